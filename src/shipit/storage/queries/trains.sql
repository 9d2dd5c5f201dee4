-- Trains as the bot reported them, and the counts people read.

-- name: upsert_train
-- A reading older than the stored one changes nothing; what was last read is never overwritten by "unavailable".
insert into trains (name, position, channel, repository, branch, version, major, approval_flag, status_flag,
    tracking_flag, stage, next_build, deadlines, passed, owner, source, read_at, schedule_unavailable_since, tip, tip_at,
    requests_read_at, requests_unavailable_since, requests_unavailable_reason, tip_reason,
    absent_since, note)
values (%(name)s, %(position)s, %(channel)s, %(repository)s, %(branch)s, %(version)s, %(major)s,
    %(approval_flag)s, %(status_flag)s, %(tracking_flag)s, %(stage)s, %(next_build)s::jsonb,
    %(deadlines)s::jsonb, %(passed)s::jsonb, %(owner)s, %(source)s, %(read_at)s, %(unavailable_since)s, %(tip)s, %(tip_at)s,
    %(requests_read_at)s, %(requests_unavailable_since)s, %(requests_unavailable_reason)s,
    %(tip_reason)s, %(absent_since)s, %(note)s)
on conflict (name) do update set
    position = excluded.position, channel = excluded.channel, repository = excluded.repository,
    branch = excluded.branch, version = excluded.version, major = excluded.major,
    approval_flag = excluded.approval_flag, status_flag = excluded.status_flag,
    tracking_flag = excluded.tracking_flag, stage = excluded.stage, next_build = excluded.next_build,
    deadlines = excluded.deadlines, passed = excluded.passed, owner = excluded.owner, source = excluded.source,
    read_at = excluded.read_at, schedule_unavailable_since = excluded.schedule_unavailable_since,
    absent_since = excluded.absent_since, note = excluded.note,
    tip_reason = excluded.tip_reason, tip = coalesce(excluded.tip, trains.tip), tip_at = coalesce(excluded.tip_at, trains.tip_at),
    requests_read_at = greatest(excluded.requests_read_at, trains.requests_read_at),
    requests_unavailable_since = excluded.requests_unavailable_since,
    requests_unavailable_reason = excluded.requests_unavailable_reason
where trains.read_at is null or excluded.read_at is null or excluded.read_at >= trains.read_at

-- name: end_trains
-- Trains that exist no more; their rows stay for the requests that name them.
-- Behind those that go on.
update trains set stage = 'ended', position = 1000 where not name = any(%(names)s) and stage <> 'ended'

-- name: list_trains
-- Each train with what is counted on it. Where we could not read, a count is null: unavailable is never zero.
with open as (
    select r.train, r.state, b.is_restricted, coalesce(newest.outcome, 'untried') as outcome
    from requests r
    join bugs b on b.id = r.bug
    left join lateral (
        select n.outcome from trials n where n.request = r.uid order by n.tried_at desc limit 1
    ) newest on true
    where r.closed_at is null
), seen as (
    select train, state, outcome, count(*) as n from open
    where %(see_restricted)s or not is_restricted group by train, state, outcome
), counted as (
    select train, json_object_agg(state, outcomes) as counts, sum(n)::bigint as n from (
        select train, state, sum(n) as n,
               json_build_object('total', sum(n), 'outcomes', json_object_agg(outcome, n)) as outcomes
        from seen group by train, state) by_state
    group by train
), hidden as (
    select train, count(*) as n from open where is_restricted and not %(see_restricted)s group by train
)
select convert_to('{"trains":' || coalesce(json_agg(json_build_object(
    'name', t.name, 'channel', t.channel, 'version', t.version, 'major', t.major,
    'repository', t.repository, 'branch', t.branch, 'stage', t.stage, 'next_build', t.next_build,
    'deadlines', t.deadlines, 'passed', t.passed,
    'owner', case when %(see_addresses)s then t.owner else split_part(t.owner, '@', 1) end,
    'source', t.source, 'read_at', t.read_at, 'unavailable_since', t.schedule_unavailable_since, 'note', t.note,
    'tip', t.tip, 'tip_at', t.tip_at, 'tip_reason', t.tip_reason, 'requests_read_at', t.requests_read_at,
    'requests_unavailable_since', t.requests_unavailable_since,
    'requests_unavailable_reason', t.requests_unavailable_reason,
    'open', case when coalesce(c.n, 0) = 0 and (t.requests_read_at is null
                      or t.requests_unavailable_since is not null) then null else coalesce(c.n, 0) end,
    'counts', case when c.n is null and (t.requests_read_at is null
                        or t.requests_unavailable_since is not null) then null
                   else coalesce(c.counts, '{}') end,
    'restricted', case when %(count_restricted)s then coalesce(h.n, 0) end
) order by t.position, t.name), '[]')::text || '}', 'UTF8')
from trains t
left join counted c on c.train = t.name
left join hidden h on h.train = t.name
where t.stage <> 'ended' or c.n > 0

-- name: train_names
select name from trains order by position, name
