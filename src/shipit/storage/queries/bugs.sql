-- Bugs as the bot reported them.

-- name: lock_bugs
-- What is stored of some bugs; locked in the order of their numbers, so that two reports cannot wait for each other.
select id, digest, read_at, changed, gone_at is not null as is_gone
from bugs where id = any(%(bugs)s) order by id for update

-- name: stored_around
-- What is stored of the requests of some bugs (and of some uids), and the trains there are.
select coalesce((
    select jsonb_agg(jsonb_build_object(
        'bug', bug, 'uid', uid, 'train', train, 'state', state, 'target_major', target_major,
        'series_digest', series_digest, 'is_closed', closed_at is not null, 'history', history))
    from requests where bug = any(%(bugs)s) or uid = any(%(uids)s)
), '[]'), array(select name from trains)

-- name: take_bug
-- One bug of a report, whole, in one statement: the bug, its requests, those that are gone from it, its people, its
-- trials. `more` appends to the history of each request what changed. Each change counts the bug's revision.
with bug as (
    insert into bugs (id, summary, product, component, status, resolution, severity, priority, keywords, groups,
        is_restricted, fields, flags, changed, read_at, digest, facts, analysis_error, revision_no, source, gone_at)
    values (%(bug)s, %(summary)s, %(product)s, %(component)s, %(status)s, %(resolution)s, %(severity)s,
        %(priority)s, %(keywords)s, %(groups)s, %(is_restricted)s, %(fields)s::jsonb, %(flags)s::jsonb,
        %(changed)s, %(read_at)s, %(digest)s, %(facts)s::jsonb, %(analysis_error)s, 1, %(source)s, null)
    on conflict (id) do update set
        summary = excluded.summary, product = excluded.product, component = excluded.component,
        status = excluded.status, resolution = excluded.resolution, severity = excluded.severity,
        priority = excluded.priority, keywords = excluded.keywords, groups = excluded.groups,
        is_restricted = excluded.is_restricted, fields = excluded.fields, flags = excluded.flags,
        changed = excluded.changed, read_at = excluded.read_at, digest = excluded.digest,
        -- an analysis that failed leaves the last one that did not
        facts = case when excluded.analysis_error is null then excluded.facts
                     else excluded.facts || jsonb_build_object('analysis', bugs.facts->'analysis') end,
        analysis_error = excluded.analysis_error, revision_no = bugs.revision_no + 1, source = excluded.source,
        gone_at = null
), asked as (
    insert into requests (uid, bug, train, state, target_major, attachments, series, series_digest, series_reason,
        requested_by, requested_at, decided_by, decided_at, form, places, first_seen, last_seen, closed_at, history)
    select q->'request'->>'uid', %(bug)s, q->'request'->>'train', q->'request'->>'state',
        (q->>'target_major')::int,
        array(select jsonb_array_elements_text(q->'request'->'attachments')::bigint),
        q->'request'->'series', q->>'series_digest', q->'request'->>'series_reason',
        q->'request'->>'requested_by', (q->'request'->>'requested_at')::timestamptz,
        q->'request'->>'decided_by', (q->'request'->>'decided_at')::timestamptz,
        nullif(q->'request'->'form', 'null'), coalesce(q->'request'->'places', '[]'), %(read_at)s, %(read_at)s,
        case when q->'request'->>'state' = 'cleared' then %(read_at)s::timestamptz end,
        coalesce(%(more)s::jsonb -> (q->'request'->>'uid'), '[]')
    from jsonb_array_elements(%(requests)s::jsonb) q
    on conflict (uid) do update set
        train = excluded.train, state = excluded.state, target_major = excluded.target_major,
        attachments = excluded.attachments, series = excluded.series, series_digest = excluded.series_digest,
        series_reason = excluded.series_reason, requested_by = excluded.requested_by,
        requested_at = excluded.requested_at, decided_by = excluded.decided_by, decided_at = excluded.decided_at,
        form = excluded.form, places = excluded.places, last_seen = excluded.last_seen,
        closed_at = case when excluded.closed_at is null then null
                         else coalesce(requests.closed_at, excluded.closed_at) end,
        history = requests.history || excluded.history
    where requests.bug = excluded.bug
), gone as (
    -- save those of trains that could not be read
    update requests set
        state = 'cleared', closed_at = %(read_at)s, last_seen = %(read_at)s,
        history = history || jsonb_build_array(jsonb_build_object(
            'at', %(read_at)s::timestamptz, 'what', 'closed', 'from', state, 'to', 'cleared',
            'reason', %(reason)s::text))
    where bug = %(bug)s and closed_at is null and not uid = any(%(seen)s) and not train = any(%(kept)s)
), met as (
    -- Names follow what was read last; who is known by this name is not even locked.
    insert into people (email, name)
    select q->>'email', q->>'name' from jsonb_array_elements(%(people)s::jsonb) q
    where not exists (select from people p where p.email = q->>'email' and p.name = q->>'name')
    on conflict (email) do update set name = excluded.name
)
insert into trials (request, train, series_digest, tip, key, outcome, tree, patches, tried_at, took_ms, engine)
select t->>'request', t->>'train', t->>'series_digest', t->>'tip', t->>'key', t->'result'->>'outcome',
    t->'result'->>'tree', t->'result'->'patches', (t->>'tried_at')::timestamptz,
    round((t->>'took_ms')::numeric)::int, t->>'engine'
from jsonb_array_elements(%(requests)s::jsonb) q, jsonb_path_query(q, '$.trial ? (@ != null)') t
on conflict do nothing

-- name: read_bug
-- One bug whole, with its requests and the newest trial of each.
select convert_to(json_build_object(
    'id', b.id, 'summary', b.summary, 'product', b.product, 'component', b.component, 'status', b.status,
    'resolution', b.resolution, 'severity', b.severity, 'priority', b.priority, 'keywords', b.keywords,
    'is_restricted', b.is_restricted, 'fields', b.fields, 'flags', b.flags, 'changed', b.changed,
    'read_at', b.read_at, 'source', b.source, 'facts', b.facts, 'analysis_error', b.analysis_error,
    'revision', b.revision_no, 'gone_at', b.gone_at,
    'requests', (
        select coalesce(json_agg(json_build_object(
            'uid', r.uid, 'train', r.train, 'state', r.state, 'target_major', r.target_major,
            'attachments', r.attachments, 'series', r.series, 'series_digest', r.series_digest,
            'series_reason', r.series_reason, 'requested_by', r.requested_by, 'requested_at', r.requested_at,
            'decided_by', r.decided_by, 'decided_at', r.decided_at, 'form', r.form, 'closed_at', r.closed_at,
            'history', r.history, 'train_tip', t.tip,
            'trial', (
                select json_build_object('tip', n.tip, 'series_digest', n.series_digest, 'outcome', n.outcome,
                    'tree', n.tree, 'patches', n.patches, 'tried_at', n.tried_at, 'took_ms', n.took_ms,
                    'engine', n.engine,
                    'needs', coalesce((select to_json(shown_needs(a.needs, %(see_restricted)s))
                        from advice a where a.request = r.uid
                        and a.is_verified and a.tip = n.tip and a.series_digest = n.series_digest), '[]'))
                from trials n where n.request = r.uid order by n.tried_at desc limit 1)
        ) order by t.position, r.uid), '[]')
        from requests r join trains t on t.name = r.train where r.bug = b.id)
)::text, 'UTF8'), b.revision_no
from bugs b
where b.id = %(bug)s and (%(see_restricted)s or not b.is_restricted)

-- name: drop_bug
-- The bug is no longer of interest; its rows stay, with their history.
update bugs set gone_at = %(now)s, revision_no = revision_no + 1 where id = %(bug)s and gone_at is null

-- name: hide_bugs
-- The digest says that whoever can read the bug again has to; that reading takes the reason away.
update bugs set is_restricted = true, digest = %(digest)s, revision_no = revision_no + 1,
    facts = facts || jsonb_build_object('hidden_reason', %(reason)s::text)
where id = any(%(bugs)s) and (not is_restricted or digest is distinct from %(digest)s)

-- name: revision_of
select revision_no from bugs where id = %(bug)s and (%(see_restricted)s or not is_restricted)

-- name: known
-- All that a bot with an empty disk needs, in one answer.
select convert_to('{"trains":' || (
    select coalesce(json_agg(json_build_object(
        'train', json_build_object(
            'name', t.name, 'channel', t.channel, 'repository', t.repository, 'branch', t.branch,
            'version', t.version, 'major', t.major, 'approval_flag', t.approval_flag,
            'status_flag', t.status_flag, 'tracking_flag', t.tracking_flag, 'stage', t.stage,
            'next_build', t.next_build, 'deadlines', t.deadlines, 'passed', t.passed,
            'owner', t.owner, 'source', t.source,
            'read_at', t.read_at, 'unavailable_since', t.schedule_unavailable_since,
            'absent_since', t.absent_since, 'note', t.note),
        'tip', t.tip, 'tip_at', t.tip_at, 'tip_reason', t.tip_reason, 'requests_read_at', t.requests_read_at,
        'requests_unavailable_since', t.requests_unavailable_since,
        'requests_unavailable_reason', t.requests_unavailable_reason
    ) order by t.position, t.name), '[]')::text from trains t
) || ',"bugs":[' || coalesce((
    select string_agg(json_build_object(
        'bug', b.id, 'changed', b.changed, 'read_at', b.read_at, 'digest', b.digest,
        'is_restricted', b.is_restricted, 'analysis_error', b.analysis_error, 'requests', open.requests
    )::text, ',' order by b.id)
    from bugs b join (
        select r.bug, json_agg(json_build_object(
            'request', json_build_object(
                'uid', r.uid, 'bug', r.bug, 'train', r.train, 'state', r.state, 'attachments', r.attachments,
                'series', r.series, 'series_reason', r.series_reason, 'requested_by', r.requested_by,
                'requested_at', r.requested_at, 'decided_by', r.decided_by, 'decided_at', r.decided_at,
                'form', r.form, 'places', r.places),
            'target_major', r.target_major, 'series_digest', r.series_digest,
            'trial', (
                select json_build_object('tip', n.tip, 'series_digest', n.series_digest, 'key', n.key,
                    'outcome', n.outcome, 'tried_at', n.tried_at,
                    'result', json_build_object('outcome', n.outcome, 'tree', n.tree, 'patches', n.patches))
                from trials n where n.request = r.uid order by n.tried_at desc limit 1),
            'searched', (select a.key from advice a where a.request = r.uid)
        ) order by r.uid) as requests
        from requests r where r.closed_at is null group by r.bug
    ) open on open.bug = b.id
    where b.gone_at is null
), '') || '],"wishes":' || (
    select coalesce(json_agg(json_build_object(
        'uid', w.uid, 'kind', w.kind, 'subject', w.subject, 'asked_at', w.asked_at, 'detail', w.detail,
        'series', coalesce((select v.series from series_versions v
            where v.request = w.subject and v.digest = w.detail), '[]')
    ) order by w.asked_at, w.uid), '[]')::text
    from (select * from wishes where done_at is null order by asked_at, uid limit 500) w
) || ',"unsent":' || (
    select coalesce(json_agg(m.key order by m.key), '[]')::text
    from (select key from mails
          where sent_at is null and starts_with(key, 'conflict-')
            and claimed_at < now() - interval '5 minutes' and claimed_at > now() - interval '2 days'
          order by key limit 100) m
) || ',"plans":' || (
    select coalesce(json_agg(json_build_object(
        'train', p.train, 'scope', p.scope, 'sees_restricted', p.sees_restricted, 'key', p.key)), '[]')::text
    from plans p
) || ',"lists_read_at":' || (
    -- one that never was read makes them all as old as that
    select case when bool_and(read_at is not null) then to_json(min(read_at))::text else 'null' end
    from board_lists
) || '}', 'UTF8')
