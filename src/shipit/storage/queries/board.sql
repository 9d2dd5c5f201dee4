-- A train's board.

-- name: board
-- The trains with their counts, and the open requests of one train with those of the same bugs on other
-- trains; JSON for shipit.storage.board.Stored. What a row says beside this is kept by its revision.
with open as (
    select r.*, b.is_restricted from requests r join bugs b on b.id = r.bug where r.closed_at is null
), counted as (
    select train, count(*) filter (where %(see_restricted)s or not is_restricted) as shown,
           count(*) filter (where is_restricted and not %(see_restricted)s) as hidden
    from open group by train
), mine as (
    select * from open where train = %(train)s and (%(see_restricted)s or not is_restricted)
    order by bug desc, uid limit %(limit)s::int + 1
), wanted as (
    select * from mine
    union all
    select o.* from open o
    where o.train <> %(train)s and o.bug in (select bug from mine) and (%(see_restricted)s or not o.is_restricted)
)
select convert_to(json_build_object(
    'trains', (select coalesce(json_agg(json_build_object(
            'name', t.name, 'channel', t.channel, 'version', t.version, 'major', t.major,
            'repository', t.repository, 'branch', t.branch, 'stage', t.stage, 'next_build', t.next_build,
            'deadlines', t.deadlines, 'passed', t.passed,
            'owner', case when %(see_addresses)s then t.owner else split_part(t.owner, '@', 1) end,
            'source', t.source, 'read_at', t.read_at, 'unavailable_since', t.schedule_unavailable_since,
            'note', t.note, 'tip', t.tip, 'tip_at', t.tip_at, 'tip_reason', t.tip_reason,
            'requests_read_at', t.requests_read_at,
            'requests_unavailable_since', t.requests_unavailable_since,
            'requests_unavailable_reason', t.requests_unavailable_reason,
            'shown', coalesce(c.shown, 0), 'hidden', coalesce(c.hidden, 0)
        ) order by t.position, t.name), '[]')
        from trains t left join counted c on c.train = t.name
        where t.stage <> 'ended' or coalesce(c.shown, 0) > 0 or t.name = %(train)s),
    'requests', (select coalesce(json_agg(json_build_object(
            'uid', r.uid, 'bug', r.bug, 'train', r.train, 'state', r.state, 'target_major', r.target_major,
            'is_restricted', r.is_restricted, 'summary', b.summary, 'product', b.product,
            'component', b.component, 'severity', b.severity, 'priority', b.priority, 'keywords', b.keywords,
            'tracking', b.fields->>(t.tracking_flag),
            'flags', (select coalesce(json_object_agg(f->>'name', f->>'status'), '{}')
                      from jsonb_array_elements(b.flags) f where f->>'name' <> 'needinfo'),
            'requested_by', r.requested_by, 'requested_at', r.requested_at,
            'decided_by', r.decided_by, 'decided_at', r.decided_at,
            'patches', jsonb_array_length(r.series), 'series_digest', r.series_digest,
            'series_reason', r.series_reason, 'revision', b.revision_no,
            'outcome', n.outcome, 'tip', n.tip, 'trial_digest', n.series_digest, 'tried_at', n.tried_at,
            'reason', (select p->>'reason' from jsonb_array_elements(n.patches) p
                       where p->>'outcome' = n.outcome limit 1),
            'files', (select coalesce(json_agg(distinct c->>'path'), '[]')
                      from jsonb_array_elements(n.patches) p, jsonb_array_elements(p->'conflicts') c),
            'needs', coalesce((select to_json(shown_needs(a.needs, %(see_restricted)s)) from advice a
                where a.request = r.uid and a.is_verified and a.tip = n.tip and a.series_digest = n.series_digest), '[]'),
            'given', (
                select json_build_object('verdict', d.verdict, 'person', d.person, 'state', p.state,
                    'at', coalesce(p.finished_at, d.made_at), 'until', d.wanted->'until', 'stamp', q.stamp)
                from decision_requests q
                join decisions d on d.uid = q.decision
                join decision_parts p on p.decision = q.decision and p.bug = q.bug
                where q.request = r.uid and p.state not in ('undone', 'dropped')
                order by d.made_at desc limit 1)
        ) order by r.bug desc, r.uid), '[]')
        from wanted r
        join bugs b on b.id = r.bug
        join trains t on t.name = r.train
        left join lateral (
            select n.outcome, n.tip, n.series_digest, n.tried_at, n.patches
            from trials n where n.request = r.uid order by n.tried_at desc limit 1
        ) n on true),
    'last_look', (select max(finished) from rounds)
)::text, 'UTF8')

-- name: told
-- What some requests' rows are read out of: form, patches, and the bug's facts; with the bug's revision.
select r.uid, convert_to(json_build_object(
    'request', json_build_object(
        'uid', r.uid, 'bug', r.bug, 'train', r.train, 'state', r.state, 'series', r.series,
        'series_reason', r.series_reason, 'requested_at', r.requested_at, 'form', r.form,
        'first_seen', r.first_seen),
    'bug', json_build_object(
        'summary', b.summary, 'status', b.status, 'fields', b.fields, 'flags', b.flags, 'read_at', b.read_at,
        'facts', b.facts),
    'train', json_build_object('name', t.name, 'nightly_flag', (select n.status_flag from trains n
        where n.channel = 'nightly' and n.repository = t.repository order by n.position limit 1))
)::text, 'UTF8'), b.revision_no
from requests r join bugs b on b.id = r.bug join trains t on t.name = r.train
where r.uid = any(%(uids)s)
