-- The steps we serve: put, claimed under a fence, recorded, read.

-- name: put
insert into steps (kind, uid, parameters, digest, status, message, details, output, memory, pipeline,
    created_by, due_at, finished_at)
select g.kind, g.uid, g.parameters, g.digest, g.status, coalesce(g.message, ''), coalesce(g.details, '{}'),
    coalesce(g.output, '{}'), coalesce(g.memory, '{}'), g.pipeline, coalesce(g.created_by, ''), g.due_at,
    case when g.status <> 'in_progress' then now() end
from jsonb_to_recordset(%(steps)s) as g (kind text, uid text, parameters jsonb, digest text, status text,
    message text, details jsonb, output jsonb, memory jsonb, pipeline text, created_by text,
    due_at timestamptz)
on conflict (kind, uid) do nothing
returning uid

-- name: read
select kind, uid, parameters, digest, status, message, details, output, memory, pipeline, wants_cancel,
    created_by, created_at, updated_at, fence
from steps where kind = %(kind)s and uid = %(uid)s

-- name: read_many
select kind, uid, parameters, digest, status, message, details, output, memory, pipeline, wants_cancel,
    created_by, created_at, updated_at, fence
from steps where kind = %(kind)s and uid = any(%(uids)s)

-- name: lock
select kind, uid, parameters, digest, status, message, details, output, memory, pipeline, wants_cancel,
    created_by, created_at, updated_at, fence
from steps where kind = %(kind)s and uid = %(uid)s for update

-- name: claim
-- Of the oldest and of the newest that are due, so that a flood hides nobody; pipelines take turns, and no
-- service is asked for more than its share. Which of them are free is seen again under the lock.
with due as materialized (
    (select kind, uid, due_at, pipeline, parameters from steps
    where due_at <= now() and (claimed_until is null or claimed_until < now())
    order by due_at limit 300)
    union all
    (select kind, uid, due_at, pipeline, parameters from steps
    where due_at <= now() and (claimed_until is null or claimed_until < now())
    order by due_at desc limit 300)
), of_services as (
    select distinct on (kind, uid) kind, uid, due_at, coalesce(pipeline, '') as pipeline,
        case when kind = any(%(local)s) then null
            when kind = 'remote' then array_to_string((string_to_array(parameters ->> 'api_url', '/'))[:3], '/')
            else kind end as service
    from due
), turns as (
    select *, row_number() over (partition by pipeline order by due_at) as turn from of_services
), shares as (
    select *, row_number() over (partition by service order by turn, due_at) as place from turns
), chosen as (
    select kind, uid, turn, due_at from shares
    where service is null or place <= %(each)s - coalesce((%(busy)s::jsonb ->> service)::integer, 0)
    order by turn, due_at limit 3 * %(limit)s
), free as (
    select s.kind, s.uid from chosen c join steps s using (kind, uid)
    where s.due_at <= now() and (s.claimed_until is null or s.claimed_until < now())
    order by c.turn, c.due_at limit %(limit)s for update of s skip locked
)
update steps s
set claimed_until = now() + %(lease)s, fence = s.fence + 1, is_woken = false
from free where s.kind = free.kind and s.uid = free.uid
returning s.kind, s.uid, s.parameters, s.digest, s.status, s.message, s.details, s.output, s.memory,
    s.pipeline, s.wants_cancel, s.created_by, s.created_at, s.updated_at, s.fence

-- name: renew
-- Only under the newest fence, and only what was not written meanwhile.
with given as (
    select * from unnest(%(kinds)s::text[], %(uids)s::text[], %(fences)s::bigint[]) as g (kind, uid, fence)
)
update steps s set claimed_until = now() + %(lease)s
from given g where s.kind = g.kind and s.uid = g.uid and s.fence = g.fence and s.claimed_until is not null
returning s.kind, s.uid

-- name: give_back
-- Somebody else may look at once. Where a claim is no longer ours, nothing happens.
with given as (
    select * from unnest(%(kinds)s::text[], %(uids)s::text[], %(fences)s::bigint[]) as g (kind, uid, fence)
)
update steps s set claimed_until = null, due_at = now(), is_woken = true
from given g where s.kind = g.kind and s.uid = g.uid and s.fence = g.fence and s.claimed_until is not null

-- name: record
-- Only under the newest fence. What was heard meanwhile means: look again at once.
update steps
set status = %(status)s, message = %(message)s, details = %(details)s, output = %(output)s,
    memory = %(memory)s, claimed_until = null,
    due_at = case when is_woken then now() else %(due_at)s end,
    updated_at = case when (status, message) is distinct from (%(status)s, %(message)s)
        then now() else updated_at end,
    finished_at = case when %(status)s = 'in_progress' then null else coalesce(finished_at, now()) end
where kind = %(kind)s and uid = %(uid)s and fence = %(fence)s
returning uid

-- name: write
-- By somebody who holds the row's lock. A claim that is out loses its fence.
update steps
set status = %(status)s, message = %(message)s, details = %(details)s, output = %(output)s,
    memory = %(memory)s, due_at = %(due_at)s, is_woken = true, claimed_until = null, fence = fence + 1,
    wants_cancel = wants_cancel or %(wants_cancel)s, updated_at = now(),
    finished_at = case when %(status)s = 'in_progress' then null else coalesce(finished_at, now()) end
where kind = %(kind)s and uid = %(uid)s

-- name: ask_cancel
update steps set wants_cancel = true, due_at = now(), is_woken = true, updated_at = now()
where kind = %(kind)s and uid = %(uid)s and status = 'in_progress'

-- name: wake
update steps set due_at = now(), is_woken = true where kind = %(kind)s and uid = %(uid)s

-- name: wake_groups
update steps set due_at = now(), is_woken = true
where kind = 'taskcluster' and memory ->> 'task_group_id' = any(%(groups)s)

-- name: remove
delete from steps where kind = %(kind)s and uid = %(uid)s

-- name: list
select uid, status, updated_at from steps
where kind = %(kind)s and (%(status)s::text is null or status = %(status)s) and uid > %(after)s
order by uid limit %(limit)s

-- name: sign
insert into signatures (step, person, client, groups, delegated, comment, digest, expires_at)
values (%(step)s, %(person)s, %(client)s, %(groups)s, %(delegated)s, %(comment)s, %(digest)s, %(expires_at)s)
on conflict (step, person) where revoked_at is null do nothing
returning id

-- name: signatures
select id, person, client, groups, delegated, comment, digest, signed_at, expires_at, revoked_at, revoked_by,
    revoked_why
from signatures where step = %(step)s order by id

-- name: scopes_of_session
select scopes from sessions where person = %(person)s and expires_at > now() order by checked_at desc limit 1

-- name: carry
-- Only where all is the same that was signed: policy, subject, digest. Then it is looked at.
with carried as (
    insert into signatures (step, person, client, groups, delegated, comment, digest, signed_at, expires_at)
    select n.uid, g.person, g.client, g.groups, g.delegated, g.comment, g.digest, g.signed_at, g.expires_at
    from steps o
    join steps n on n.kind = 'signoff' and n.uid = %(new)s and n.digest = o.digest
    join signatures g on g.step = o.uid and g.revoked_at is null
        and g.digest = coalesce(n.parameters ->> 'digest', '')
    where o.kind = 'signoff' and o.uid = %(old)s
    on conflict do nothing
)
update steps set due_at = now(), is_woken = true where kind = 'signoff' and uid = %(new)s

-- name: revoke
update signatures set revoked_at = now(), revoked_by = %(by)s, revoked_why = %(why)s
where step = %(step)s and revoked_at is null and (%(person)s::text is null or person = %(person)s)
returning person

-- name: delegate
insert into delegations (giver, taker, group_name, reason, until)
values (%(giver)s, %(taker)s, %(group)s, %(reason)s, %(until)s)
returning id

-- name: delegations
select id, giver, taker, group_name, reason, until from delegations
where (taker = %(taker)s or giver = %(giver)s) and ended_at is null and until > now()
order by id

-- name: end_delegation
update delegations set ended_at = now()
where id = %(id)s and giver = %(giver)s and ended_at is null and until > now()
returning group_name, taker

-- name: uplifts
-- Approved requests of a train, and whether their newest trial says that they are there; also whether one on
-- the commit that is built said so, null where none was made on it.
select r.uid, r.bug, coalesce(t.outcome = 'landed', false), b.is_restricted, r.closed_at is not null,
    b.summary, (select at.outcome = 'landed' from trials at where at.request = r.uid and at.train = r.train
        and %(revision)s::text <> '' and starts_with(at.tip, %(revision)s) order by at.tried_at desc limit 1)
from requests r
join bugs b on b.id = r.bug
left join newest_trials t on t.request = r.uid and t.train = r.train
where r.train = %(train)s and r.state = 'approved'
    and (%(major)s::integer is null or r.target_major = %(major)s)
order by r.bug, r.uid

-- name: is_known_task
select exists (select 1 from steps where kind = 'taskcluster' and memory ->> 'task_id' = %(task)s)

-- name: watched_groups
-- Groups of which news is wanted: of steps that wait, and of failed ones that somebody may rerun.
select memory ->> 'task_group_id', bool_and(status <> 'in_progress') from steps
where kind = 'taskcluster' and memory ->> 'task_group_id' is not null
    and (status = 'in_progress' or finished_at > now() - interval '7 days')
group by 1 order by max(created_at) desc limit %(limit)s
