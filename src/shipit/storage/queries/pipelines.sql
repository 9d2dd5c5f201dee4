-- Pipelines: put, read, decided in bulk. A pipeline is locked before its steps, many in the order of uids.

-- name: put
-- Keys are used once: where pipelines of this uid were removed, the steps of the new one have another stem.
insert into pipelines (uid, given, definition, digest, product, version, parent, created_by, stem)
select %(uid)s, %(given)s, %(definition)s, %(digest)s, %(product)s, %(version)s, %(parent)s, %(created_by)s,
    case when removed > 0 then %(uid)s || '.again' || removed end
from (select count(*) as removed from audit where subject = %(uid)s and step = '' and what = 'removed') as before
on conflict (uid) do nothing
returning uid

-- name: put_steps
insert into pipeline_steps (pipeline, uid, allowed, kind)
select %(pipeline)s, uid, allowed, kind
from unnest(%(uids)s::text[], %(allowed)s::integer[], %(kinds)s::text[]) as given (uid, allowed, kind)

-- name: digest_of
select digest from pipelines where uid = %(uid)s

-- name: given_of
select given from pipelines where uid = %(uid)s

-- name: wake
insert into pipeline_wakes (pipeline) select unnest(%(uids)s::text[])

-- name: woken
-- Wakes are taken in the transaction that decides; when it fails they are there again. A fifth of them are the
-- newest: when a stop that held thousands is lifted, what ends meanwhile does not wait for all of them.
with oldest as (
    select id from pipeline_wakes order by id limit %(limit)s - %(limit)s / 5 for update skip locked
), newest as (
    select id from pipeline_wakes order by id desc limit %(limit)s / 5 for update skip locked
)
delete from pipeline_wakes where id in (select id from oldest union all select id from newest)
returning pipeline

-- name: due
-- Not locked here: locks are taken in the order of uids, lest two runners wait for each other.
select uid from pipelines where due_at <= now() order by due_at limit %(limit)s

-- name: set_aside
update pipelines set due_at = now() + %(pause)s where uid = %(uid)s

-- name: time_now
select clock_timestamp()

-- name: lock
select uid, definition::text, digest, wants_cancel, hold, hold_by, status, product, version, created_by,
    created_at, updated_at, stem, parent
from pipelines where uid = any(%(uids)s) order by uid for update

-- name: read
select uid, definition::text, digest, wants_cancel, hold, hold_by, status, product, version, created_by,
    created_at, updated_at, stem, parent
from pipelines where uid = any(%(uids)s) order by uid

-- name: nodes
-- Each step with what its service says of the present try; a pipeline that is a step says it itself.
select n.pipeline, n.uid, n.state, n.attempt, n.allowed, n.kind, n.started_at, n.finished_at, n.deadline,
    n.retry_at, n.cause, n.note, n.by, n.is_released, n.output,
    coalesce(s.status, p.status), coalesce(s.message, ''), coalesce(s.output, '{}'),
    coalesce(s.details, '{}')
from pipeline_steps n
join pipelines o on o.uid = n.pipeline
left join steps s on n.attempt > 0 and s.kind = n.kind
    and s.uid = coalesce(o.stem, o.uid) || '.' || n.uid || '.' || n.attempt
left join pipelines p on n.attempt > 0 and n.kind = 'pipeline'
    and p.uid = coalesce(o.stem, o.uid) || '.' || n.uid || '.' || n.attempt
where n.pipeline = any(%(uids)s)

-- name: inner
-- The steps of pipelines that are steps of others: what they tell of themselves there.
select pipeline, uid, state, note, output from pipeline_steps where pipeline = any(%(uids)s) order by pipeline, uid

-- name: holds_above
-- What holds pipelines within others: the hold of any of those they are in, the nearest first.
with recursive above as (
    select uid as inside, parent, 1 as far from pipelines where uid = any(%(uids)s) and parent is not null
    union all
    select a.inside, p.parent, a.far + 1 from above a join pipelines p on p.uid = a.parent
    where p.parent is not null)
select distinct on (a.inside) a.inside, p.hold, p.hold_by
from above a join pipelines p on p.uid = a.parent
where p.hold <> '' order by a.inside, a.far

-- name: write_nodes
update pipeline_steps n
set state = g.state, attempt = g.attempt, allowed = g.allowed, started_at = g.started_at,
    finished_at = g.finished_at, deadline = g.deadline, retry_at = g.retry_at, cause = coalesce(g.cause, ''),
    note = coalesce(g.note, ''), by = coalesce(g.by, ''), is_released = coalesce(g.is_released, false),
    output = coalesce(g.output, '{}')
from jsonb_to_recordset(%(nodes)s) as g (pipeline text, uid text, state text, attempt integer,
    allowed integer, started_at timestamptz, finished_at timestamptz, deadline timestamptz,
    retry_at timestamptz, cause text, note text, by text, is_released boolean, output jsonb)
where n.pipeline = g.pipeline and n.uid = g.uid

-- name: write_pipelines
update pipelines p
set status = g.status, due_at = g.due_at, updated_at = now(),
    finished_at = case when g.status = 'in_progress' then null else coalesce(p.finished_at, now()) end
from jsonb_to_recordset(%(pipelines)s) as g (uid text, status text, due_at timestamptz)
where p.uid = g.uid

-- name: write_due
update pipelines p set due_at = g.due_at
from jsonb_to_recordset(%(pipelines)s) as g (uid text, due_at timestamptz)
where p.uid = g.uid and p.due_at is distinct from g.due_at

-- name: set_cancel
update pipelines set wants_cancel = true, updated_at = now() where uid = %(uid)s

-- name: set_hold
update pipelines set hold = %(reason)s, hold_by = %(by)s, updated_at = now() where uid = %(uid)s

-- name: remove
-- With the pipelines within it, which are nobody else's.
with recursive within as (
    select %(uid)s::text as uid
    union all
    select p.uid from within w join pipelines p on p.parent = w.uid)
delete from pipelines where uid in (select uid from within)

-- name: wake_within
-- What holds a pipeline holds those within it.
with recursive within as (
    select uid from pipelines where parent = %(uid)s
    union all
    select p.uid from within w join pipelines p on p.parent = w.uid)
insert into pipeline_wakes (pipeline) select uid from within

-- name: list
select uid, status, updated_at, product, version, created_at
from pipelines
where (%(status)s::text is null or status = %(status)s)
    and (%(product)s::text is null or product = %(product)s)
    and uid > %(after)s
order by uid limit %(limit)s

-- name: stops
-- restart: the signoff that is open; one that was cancelled, or removed, ends nothing.
select o.uid, o.product, o.phase, o.reason, o.author, o.since, s.uid
from stops o left join steps s on s.kind = 'signoff' and s.uid = o.restart and s.status = 'in_progress'
where o.restarted_at is null order by o.since, o.uid

-- name: put_stop
insert into stops (uid, product, phase, reason, author)
values (%(uid)s, %(product)s, %(phase)s, %(reason)s, %(author)s)

-- name: set_restart
-- Where somebody cancelled the signoff, or removed it, another may be asked for.
update stops set restart = %(step)s
where uid = %(uid)s and restarted_at is null and (restart is null or not exists (
    select 1 from steps where kind = 'signoff' and uid = stops.restart and status in ('in_progress', 'success')))
returning uid

-- name: next_build
insert into build_numbers as n (product, version, last) values (%(product)s, %(version)s, 1)
on conflict (product, version) do update set last = n.last + 1
returning last

-- name: lock_builds
-- One release of a version is started at a time; what follows sees what others have started.
insert into build_numbers as n (product, version, last) values (%(product)s, %(version)s, 0)
on conflict (product, version) do update set last = n.last

-- name: of_revision
select uid from pipelines
where product = %(product)s and version = %(version)s and parent is null and not wants_cancel
    and status <> 'cancelled' and definition ->> 'revision' = %(revision)s
    and definition ->> 'template' = %(template)s
order by created_at desc limit 1

-- name: last_of
select uid, version, (definition ->> 'build')::integer from pipelines
where product = %(product)s and definition ->> 'template' = %(template)s and parent is null
order by created_at desc limit 1

-- name: note
insert into audit (subject, step, actor, what, before, after, reason)
select subject, step, actor, what, before, after, reason
from jsonb_to_recordset(%(notes)s) as g (subject text, step text, actor text, what text, before text,
    after text, reason text)

-- name: history
-- Where there are more lines than that, the newest.
select at, subject, step, actor, what, before, after, reason
from (select * from audit where subject = %(subject)s order by id desc limit %(limit)s) as newest
order by id

-- name: durations
-- How long the newest hundred steps of each name took that succeeded, in seconds.
select wanted.uid, took.seconds
from unnest(%(steps)s::text[]) as wanted (uid), lateral (
    select extract(epoch from n.finished_at - n.started_at)::float8 as seconds
    from pipeline_steps n join pipelines p on p.uid = n.pipeline
    where n.uid = wanted.uid and n.state = 'success' and n.started_at is not null
        and p.product = %(product)s
    order by n.finished_at desc limit 100
) as took

-- name: tell
-- To open pages only: nothing that is cached depends on pipelines. Of none, or many, all pages look.
select pg_notify(current_schema() || '_live', json_build_object('table', 'pipelines', 'trains', '[]'::json,
    'ids', case when cardinality(%(uids)s::text[]) between 1 and 50 then to_json(%(uids)s::text[]) end)::text)

-- name: trains
-- As the schedule had them last; what a merge day follows from.
select name, channel, repository, branch, major, stage, deadlines from trains order by position, name

-- name: tip
select tip, tip_at from trains where name = %(train)s and tip is not null and tip_at is not null

-- name: statuses
select uid, status from pipelines where uid = any(%(uids)s)

-- name: uplifts_steps
-- The uplifts steps of the newest pipelines of a product before this one that found what their build contains.
select s.memory from pipelines p
join pipeline_steps n on n.pipeline = p.uid and n.kind = 'uplifts' and n.state in ('success', 'skipped')
join steps s on s.kind = 'uplifts' and s.uid = coalesce(p.stem, p.uid) || '.' || n.uid || '.' || n.attempt
where p.product = %(product)s and p.created_at < %(before)s and p.status <> 'cancelled'
    and s.parameters ->> 'train' = %(train)s
order by p.created_at desc limit 1

-- name: newest
select uid from pipelines
where parent is null
    and (%(status)s::text is null or status = %(status)s)
    and (%(product)s::text is null or product = %(product)s)
    and (%(after)s::text = '' or (created_at, uid)
        < (select a.created_at, a.uid from pipelines a where a.uid = %(after)s))
order by created_at desc, uid desc limit %(limit)s
