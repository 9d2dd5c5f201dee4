-- Uplift requests as people and the bot read them.

-- name: list_requests
-- Slim rows of one page as raw JSON; the newest trial of each decides its outcome.
with page as (
    select r.*, t.position, t.tip as train_tip, b.summary, b.product, b.component, b.severity, b.priority,
           b.is_restricted, b.revision_no, newest.outcome, newest.tip as trial_tip, newest.tried_at,
           newest.patches as tried, newest.series_digest as trial_digest
    from requests r
    join bugs b on b.id = r.bug
    join trains t on t.name = r.train
    left join lateral (
        select n.outcome, n.tip, n.tried_at, n.patches, n.series_digest
        from trials n where n.request = r.uid
        order by n.tried_at desc limit 1
    ) newest on true
    where (%(see_restricted)s or not b.is_restricted)
      and (%(train)s::text is null or r.train = %(train)s)
      and (%(bug)s::bigint is null or r.bug = %(bug)s)
      and case %(state)s::text
            when 'open' then r.closed_at is null
            when 'closed' then r.closed_at is not null
            when 'all' then true
            else r.state = %(state)s and r.closed_at is null
          end
      and (%(outcome)s::text is null or coalesce(newest.outcome, 'untried') = %(outcome)s)
      and (%(after)s::text is null or (t.position, t.name, -r.bug, r.uid) > (
            select ta.position, ta.name, -ra.bug, ra.uid
            from requests ra join trains ta on ta.name = ra.train where ra.uid = %(after)s))
    order by t.position, t.name, r.bug desc, r.uid
    limit %(limit)s::int + 1
), numbered as (
    select *, row_number() over (order by position, train, bug desc, uid) as n from page
)
select convert_to(
    '{"requests":[' || coalesce(string_agg(json_build_object(
        'uid', uid, 'bug', bug, 'train', train, 'state', state, 'target_major', target_major,
        'is_open', closed_at is null, 'is_restricted', is_restricted,
        'summary', summary, 'product', product, 'component', component,
        'severity', severity, 'priority', priority,
        'requested_by', case when %(see_addresses)s then requested_by else split_part(requested_by, '@', 1) end,
        'requested_at', requested_at,
        'decided_by', case when %(see_addresses)s then decided_by else split_part(decided_by, '@', 1) end,
        'decided_at', decided_at,
        'patches', jsonb_array_length(series), 'series_reason', series_reason,
        'outcome', outcome,
        'reason', (select p->>'reason' from jsonb_array_elements(tried) p where p->>'outcome' = outcome limit 1),
        'files', (select coalesce(json_agg(distinct c->>'path'), '[]')
                  from jsonb_array_elements(tried) p, jsonb_array_elements(p->'conflicts') c),
        'series_digest', series_digest, 'trial_digest', trial_digest,
        'tip', trial_tip, 'tried_at', tried_at,
        'is_current', trial_tip = train_tip and trial_digest = series_digest,
        'needs', coalesce((select to_json(shown_needs(a.needs, %(see_restricted)s)) from advice a
                           where a.request = uid and a.is_verified
                           and a.tip = trial_tip and a.series_digest = trial_digest), '[]'),
        'revision', revision_no
    )::text, ',' order by n) filter (where n <= %(limit)s::int), '')
    || '],"next":'
    || case when count(*) > %(limit)s::int
            then to_json(max(uid) filter (where n = %(limit)s::int))::text else 'null' end
    || '}', 'UTF8')
from numbered

-- name: read_request
-- One request whole, with its bug's words, its train, and its newest trials, newest first.
select convert_to(json_build_object(
    'uid', r.uid, 'bug', r.bug, 'train', r.train, 'state', r.state, 'target_major', r.target_major,
    'is_restricted', b.is_restricted, 'summary', b.summary, 'product', b.product, 'component', b.component,
    'attachments', r.attachments, 'series', r.series, 'series_digest', r.series_digest,
    'series_reason', r.series_reason, 'requested_by', r.requested_by, 'requested_at', r.requested_at,
    'decided_by', r.decided_by, 'decided_at', r.decided_at, 'form', r.form,
    'first_seen', r.first_seen, 'last_seen', r.last_seen, 'closed_at', r.closed_at, 'history', r.history,
    'train_tip', t.tip, 'revision', b.revision_no,
    'trials', (
        select coalesce(json_agg(json_build_object(
            'tip', n.tip, 'series_digest', n.series_digest, 'outcome', n.outcome, 'tree', n.tree,
            'patches', n.patches, 'tried_at', n.tried_at, 'took_ms', n.took_ms, 'engine', n.engine,
            'needs', coalesce((select to_json(shown_needs(a.needs, %(see_restricted)s)) from advice a
                               where a.request = r.uid and a.is_verified
                               and a.tip = n.tip and a.series_digest = n.series_digest), '[]')
        ) order by n.tried_at desc), '[]')
        from (select * from trials n where n.request = r.uid
              order by n.tried_at desc limit 20) n),
    'wishes', (
        select coalesce(json_agg(json_build_object(
            'uid', w.uid, 'kind', w.kind, 'asked_at', w.asked_at, 'done_at', w.done_at) order by w.asked_at desc), '[]')
        from (select * from wishes w where w.subject = r.uid and w.kind = 'trial'
              order by w.asked_at desc limit 5) w)
)::text, 'UTF8'), b.revision_no
from requests r
join bugs b on b.id = r.bug
join trains t on t.name = r.train
where r.uid = %(uid)s and (%(see_restricted)s or not b.is_restricted)

-- name: close_all
update requests set
    state = 'cleared', closed_at = %(now)s, last_seen = %(now)s,
    history = history || jsonb_build_array(jsonb_build_object(
        'at', %(now)s::timestamptz, 'what', 'closed', 'from', state, 'to', 'cleared', 'reason', %(reason)s::text))
where bug = %(bug)s and closed_at is null

-- name: bug_of
select r.bug, b.revision_no from requests r join bugs b on b.id = r.bug
where r.uid = %(uid)s and (%(see_restricted)s or not b.is_restricted)
