-- The board's lists besides the requests.

-- name: save_lists
-- One report: how each search went, and the bugs it found. A search that failed leaves its bugs as they were.
with given as (
    select q->>'train' as train, q->>'list' as list, (q->>'read_at')::timestamptz as at,
           q->>'unavailable' as reason, q->'bugs' as bugs
    from jsonb_array_elements(%(lists)s::jsonb) q
    where exists (select from trains t where t.name = q->>'train')
), taken as (
    insert into board_lists (train, list, looked_at, read_at, unavailable_since, unavailable_reason)
    select train, list, at, case when reason is null then at end, case when reason is not null then at end, reason
    from given
    on conflict (train, list) do update set
        looked_at = excluded.looked_at, read_at = coalesce(excluded.read_at, board_lists.read_at),
        unavailable_since = case when excluded.unavailable_reason is not null
            then coalesce(board_lists.unavailable_since, excluded.unavailable_since) end,
        unavailable_reason = excluded.unavailable_reason
    where board_lists.looked_at <= excluded.looked_at
    returning train, list, unavailable_reason
), found as (
    select g.train, g.list, g.at, (b->>'bug')::bigint as bug, b->>'sentence' as sentence,
           (b->>'is_restricted')::boolean as is_restricted, b - 'bug' - 'sentence' - 'is_restricted' as facts
    from given g
    join taken t on t.train = g.train and t.list = g.list and t.unavailable_reason is null,
    jsonb_array_elements(g.bugs) b
), gone as (
    delete from board_bugs o using taken t
    where o.train = t.train and o.list = t.list and t.unavailable_reason is null
      and not exists (select from found f where f.train = o.train and f.list = o.list and f.bug = o.bug)
), hidden as (
    -- A bug that decisions are about is as restricted as the list that was read after it says.
    update bugs b set is_restricted = true, revision_no = b.revision_no + 1
    from (select bug, max(at) as at from found where is_restricted group by bug) f
    where b.id = f.bug and not b.is_restricted and (b.read_at is null or b.read_at < f.at)
), ended as (
    delete from board_lists o where not exists (select from given g where g.train = o.train and g.list = o.list)
)
insert into board_bugs (train, list, bug, since, sentence, is_restricted, facts)
select train, list, bug, at, sentence, is_restricted, facts from found
on conflict (train, list, bug) do update set
    sentence = excluded.sentence, is_restricted = excluded.is_restricted, facts = excluded.facts
where (board_bugs.sentence, board_bugs.is_restricted, board_bugs.facts)
    is distinct from (excluded.sentence, excluded.is_restricted, excluded.facts)

-- name: read_lists
-- All that the lists of one train are made of, as one JSON object; a bug that either reading calls restricted is.
select convert_to(json_build_object(
    'train', json_build_object(
        'name', t.name, 'channel', t.channel, 'repository', t.repository, 'branch', t.branch, 'major', t.major,
        'approval_flag', t.approval_flag, 'status_flag', t.status_flag, 'tracking_flag', t.tracking_flag),
    'requests_read_at', t.requests_read_at, 'requests_unavailable_since', t.requests_unavailable_since,
    'requests_unavailable_reason', t.requests_unavailable_reason,
    'searched', (
        select coalesce(json_agg(json_build_object(
            'list', l.list, 'read_at', l.read_at, 'unavailable_since', l.unavailable_since,
            'unavailable_reason', l.unavailable_reason)), '[]')
        from board_lists l where l.train = t.name),
    'bugs', (
        select coalesce(json_agg(json_build_object(
            'list', o.list, 'bug', o.bug, 'since', o.since, 'sentence', o.sentence,
            'is_restricted', o.is_restricted or coalesce(b.is_restricted, false), 'facts', o.facts)), '[]')
        from board_bugs o left join bugs b on b.id = o.bug where o.train = t.name),
    'held', (
        select coalesce(json_agg(json_build_object(
            'uid', r.uid, 'bug', r.bug, 'is_restricted', b.is_restricted,
            'facts', json_build_object(
                'summary', b.summary, 'product', b.product, 'component', b.component, 'severity', b.severity,
                'priority', b.priority, 'keywords', b.keywords, 'assignee', r.requested_by,
                'changed', b.changed, 'url', b.facts->>'url'),
            'held', json_build_object(
                'state', r.state, 'requested_at', r.requested_at, 'decided_by', r.decided_by,
                'decided_at', r.decided_at, 'target_major', r.target_major, 'outcome', newest.outcome,
                'status', b.fields->>t.status_flag, 'needinfos', coalesce(b.facts->'needinfos', '[]')))), '[]')
        from requests r
        join bugs b on b.id = r.bug
        left join lateral (
            select n.outcome from trials n where n.request = r.uid order by n.tried_at desc limit 1
        ) newest on true
        where r.train = t.name and r.closed_at is null)
)::text, 'UTF8')
from trains t where t.name = %(train)s
