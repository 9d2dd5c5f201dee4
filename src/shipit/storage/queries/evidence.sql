-- What is stored around one request, for its page.

-- name: told
-- Everything in one answer (shipit.uplift.told.Told). Counts of what people did leave out bugs that may not be seen,
-- and what deciders wrote for each other is left out where notes are.
with asked as (
    select r.*, b.summary, b.status, b.is_restricted, b.fields, b.flags, b.read_at as bug_read_at, b.facts,
        b.analysis_error, b.revision_no
    from requests r join bugs b on b.id = r.bug
    where r.uid = %(uid)s and (%(see_restricted)s or not b.is_restricted)
), newest as (
    select n.* from trials n join asked r on n.request = r.uid order by n.tried_at desc limit 1
), addresses as (
    select array(select lower(person->>'email')
        from asked, jsonb_path_query(asked.facts, 'lax $.contributors[*]') person) as emails
)
select convert_to(json_build_object(
    'request', json_build_object(
        'uid', r.uid, 'bug', r.bug, 'train', r.train, 'state', r.state, 'target_major', r.target_major,
        'series', r.series, 'series_digest', r.series_digest, 'series_reason', r.series_reason,
        'requested_by', r.requested_by, 'requested_at', r.requested_at, 'decided_by', r.decided_by,
        'decided_at', r.decided_at, 'form', r.form, 'first_seen', r.first_seen, 'closed_at', r.closed_at,
        'history', r.history),
    'bug', json_build_object(
        'summary', r.summary, 'status', r.status, 'is_restricted', r.is_restricted, 'fields', r.fields,
        'flags', r.flags, 'read_at', r.bug_read_at, 'facts', r.facts, 'analysis_error', r.analysis_error),
    'train', json_build_object(
        'name', t.name, 'major', t.major, 'status_flag', t.status_flag,
        'nightly_flag', (select n.status_flag from trains n
            where n.channel = 'nightly' and n.repository = t.repository order by n.position limit 1),
        'tip', t.tip, 'tip_at', t.tip_at, 'tip_reason', t.tip_reason, 'requests_read_at', t.requests_read_at,
        'requests_unavailable_since', t.requests_unavailable_since,
        'requests_unavailable_reason', t.requests_unavailable_reason),
    'trials', (select coalesce(json_agg(json_build_object(
            'tip', n.tip, 'series_digest', n.series_digest, 'outcome', n.outcome, 'tree', n.tree,
            'patches', n.patches, 'tried_at', n.tried_at, 'engine', n.engine)), '[]')
        from newest n),
    'turns', (select coalesce(json_agg(json_build_object(
            'tip', n.tip, 'series_digest', n.series_digest, 'outcome', n.outcome, 'patches', n.patches,
            'tried_at', n.tried_at, 'engine', n.engine) order by n.tried_at), '[]')
        from (
            select * from (
                select n.*, lag(outcome) over (order by tried_at) as was,
                    lag(series_digest) over (order by tried_at) as was_digest
                from trials n where n.request = r.uid) all_of_them
            where was is distinct from outcome or was_digest is distinct from series_digest
            order by tried_at desc limit 100) n),
    'versions', (select coalesce(json_agg(json_build_object(
            'digest', v.digest, 'series', v.series, 'seen_at', v.seen_at) order by v.seen_at), '[]')
        from series_versions v where v.request = r.uid),
    'details', (select coalesce(json_agg(json_build_object(
            'kind', d.kind, 'key', d.key, 'content', d.content, 'made_at', d.made_at)), '[]')
        from (select * from details d where d.request = r.uid order by d.made_at desc limit 8) d),
    'wishes', (select coalesce(json_agg(json_build_object(
            'kind', w.kind, 'detail', w.detail, 'asked_at', w.asked_at, 'done_at', w.done_at,
            'error', w.result->>'error')), '[]')
        from (select distinct on (kind, detail) * from wishes w
            where w.subject = r.uid and (w.done_at is null or w.result->>'error' is not null)
            order by kind, detail, asked_at desc) w),
    'others', (select coalesce(json_agg(json_build_object(
            'uid', o.uid, 'bug', o.bug, 'train', o.train, 'state', o.state, 'is_open', o.closed_at is null,
            'outcome', (select n.outcome from trials n where n.request = o.uid order by n.tried_at desc limit 1)
        ) order by o.closed_at is not null, p.position, o.uid), '[]')
        from requests o join trains p on p.name = o.train where o.bug = r.bug and o.uid <> r.uid),
    'needs', coalesce((select shown_needs(a.needs, %(see_restricted)s) from advice a join newest n on a.request = n.request
        where a.is_verified and a.tip = n.tip and a.series_digest = n.series_digest), '{}'),
    'records', (select coalesce(json_agg(json_build_object(
            'who', d.who, 'did', d.did, 'count', d.count, 'first', d.first, 'last', d.last)), '[]')
        from (
            select d.who, d.did, count(*) as count, min(d.at) as first, max(d.at) as last
            from deeds d join bugs b on b.id = d.bug
            where d.who = any((select emails from addresses)::text[]) and d.at >= %(since)s
                and (%(see_restricted)s or not b.is_restricted)
            group by d.who, d.did) d),
    'known', (select coalesce(json_agg(json_build_object('email', p.email, 'id', p.id)), '[]')
        from people p where %(see_notes)s and lower(p.email) = any((select emails from addresses)::text[])),
    'notes', (select coalesce(json_agg(json_build_object(
            'email', p.email, 'karma', p.karma, 'comment_public', p.comment_public,
            'comment_private', case when %(see_private)s then p.comment_private end,
            'noted_by', p.noted_by, 'noted_at', p.noted_at, 'expires_at', p.expires_at)), '[]')
        from people p
        where %(see_notes)s and lower(p.email) = any((select emails from addresses)::text[])
            and p.noted_at is not null and (p.expires_at is null or p.expires_at > now())),
    'audit', (select coalesce(json_agg(json_build_object(
            'at', a.at, 'actor', a.actor, 'what', a.what, 'object', a.object, 'before', a.before, 'after', a.after,
            'why', case when %(see_notes)s then a.why else '' end,
            'answer', case when %(see_notes)s then a.answer else '' end) order by a.id), '[]')
        from (select * from decision_audit a where a.requests @> array[r.uid] order by a.id desc limit 200) a),
    'last_look', (select max(finished) from rounds)
)::text, 'UTF8'), r.revision_no
from asked r join trains t on t.name = r.train

-- name: others
-- The requests of some bugs on one train, as far as they may be seen; open ones first.
select r.uid, r.bug, r.train, r.state, r.closed_at is null
from requests r join bugs b on b.id = r.bug
where r.bug = any(%(bugs)s) and r.train = %(train)s and (%(see_restricted)s or not b.is_restricted)
order by r.closed_at is not null, r.uid

-- name: add_detail
-- The first to make it is believed: whoever makes it again made the same.
insert into details (request, kind, key, content, made_at)
select %(request)s, %(kind)s, %(key)s, %(content)s::jsonb, %(made_at)s
where exists (select from requests r where r.uid = %(request)s)
on conflict do nothing

-- name: has_detail
select made_at from details where request = %(request)s and kind = %(kind)s and key = %(key)s

-- name: conflict_now
-- Patches and tip of a request's newest trial, when it is a conflict.
select n.series_digest, n.tip from (
    select * from trials n where n.request = %(request)s order by n.tried_at desc limit 1) n
where n.outcome = 'conflict'

-- name: version
-- Whether an older version of a request's patches is known, and the digest of the current one.
select r.series_digest from requests r join series_versions v on v.request = r.uid
where r.uid = %(request)s and v.digest = %(digest)s and r.series_digest is distinct from v.digest
