-- What the original uplift API answers, out of the same rows as everything else.

-- name: analyses
select t.number, t.name, t.major, t.channel, t.branch, t.approval_flag,
    (select count(distinct r.bug) from requests r join bugs b on b.id = r.bug
     where r.train = t.name and r.closed_at is null and b.gone_at is null
       and (%(see_restricted)s or not b.is_restricted))
from trains t where t.stage <> 'ended' order by t.position, t.name

-- name: bugs
-- Whole bugs in one query: one by its number, or all with an open request on a train.
select json_build_object(
    'id', b.id, 'summary', b.summary, 'product', b.product, 'component', b.component, 'status', b.status,
    'keywords', b.keywords, 'fields', b.fields, 'flags', b.flags, 'facts', b.facts, 'revision', b.revision_no,
    'people', (
        select coalesce(json_object_agg(p.email, json_build_object(
            'id', p.id, 'name', p.name, 'avatar', p.avatar,
            'karma', case when p.expires_at > now() then p.karma else 0 end,
            'comment_public', case when p.expires_at > now() then p.comment_public else '' end,
            'comment_private', case when p.expires_at > now() then p.comment_private else '' end)), '{}')
        from people p
        where p.email in (select c->>'email' from jsonb_array_elements(b.facts->'contributors') c)),
    'requests', (
        select coalesce(json_agg(json_build_object(
            'uid', r.uid, 'train', r.train, 'branch', t.branch, 'flag', t.approval_flag, 'state', r.state,
            'attachments', r.attachments, 'series', r.series, 'form', r.form, 'newest', (
                select n.patches from trials n where n.request = r.uid order by n.tried_at desc limit 1)
        ) order by t.position, r.uid), '[]')
        from requests r join trains t on t.name = r.train where r.bug = b.id and r.closed_at is null)
)
from bugs b
where b.gone_at is null and (%(see_restricted)s or not b.is_restricted)
  and (%(bug)s::bigint is null or b.id = %(bug)s)
  and (%(train)s::text is null or exists (
        select from requests r where r.bug = b.id and r.train = %(train)s and r.closed_at is null))
order by b.id

-- name: set_version
-- Told by an old bot; the schedule's next reading has the last word again.
update trains set major = %(version)s, version = case when major is distinct from %(version)s
    then %(version)s::text else version end, source = 'compat/uplift'
where number = %(number)s

-- name: open_requests
select r.uid, r.train, r.series_digest, t.branch from requests r join trains t on t.name = r.train
join bugs b on b.id = r.bug
where r.bug = %(bug)s and r.closed_at is null and (%(see_restricted)s or not b.is_restricted)
order by r.uid

-- name: trials
-- Every trial of a bug, oldest first.
select t.branch, n.tip, n.engine, n.tried_at, n.patches
from trials n join requests r on r.uid = n.request join trains t on t.name = n.train
where r.bug = %(bug)s order by n.tried_at, r.uid
