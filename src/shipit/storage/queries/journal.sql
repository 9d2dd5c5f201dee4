-- The listener's journal: events, effects, sources.

-- name: insert_events
-- A batch of deliveries. What came before is counted; told again by the same queue, a resolved group is looked
-- at anew, since it may hold more by now.
insert into events (key, source, exchange, routing_key, cc, body, via, kind, subject, state, reason, look_at,
    judged_at, heard_at)
select key, source, exchange, routing_key, string_to_array(cc, E'\n'), body, array[via], kind, subject, state,
    reason, case when state = 'stored' then now() end, case when state <> 'stored' then now() end,
    %(heard_at)s::timestamptz
from unnest(%(key)s::text[], %(source)s::text[], %(exchange)s::text[], %(routing_key)s::text[], %(cc)s::text[],
    %(body)b::bytea[], %(via)s::text[], %(kind)s::text[], %(subject)s::text[], %(state)s::text[],
    %(reason)s::text[]) as heard(key, source, exchange, routing_key, cc, body, via, kind, subject, state, reason)
on conflict (key) do update set
    told = events.told + 1,
    told_at = now(),
    via = case when excluded.via <@ events.via then events.via else events.via || excluded.via end,
    state = case when excluded.via <@ events.via and events.kind = 'task-group-resolved'
        and events.state in ('ignored', 'matched') then 'stored' else events.state end,
    look_at = case when excluded.via <@ events.via and events.kind = 'task-group-resolved'
        and events.state in ('ignored', 'matched') then now() else events.look_at end
returning id, key, (xmax = 0) as is_new

-- name: claim_events
-- Stored events that are to be looked at, oldest first.
update events set claimed_until = now() + %(lease)s, looks = looks + 1
where id in (
    select id from events
    where state = 'stored' and look_at <= now() and (claimed_until is null or claimed_until < now())
    order by look_at, id limit %(limit)s for update skip locked)
returning id, key, source, exchange, routing_key, cc, body, via[1], looks, received_at, told

-- name: judge_event
-- What came of a look; told again meanwhile, it is looked at once more.
update events set state = case when told = %(told)s then %(state)s else 'stored' end, reason = %(reason)s,
    kind = coalesce(%(kind)s, kind), subject = coalesce(%(subject)s, subject),
    look_at = case when told = %(told)s then %(look_at)s else now() end, claimed_until = null, judged_at = now()
where id = %(id)s and state = 'stored'

-- name: insert_effect
-- A trigger; when there is one about the same already, that one.
with made as (
    insert into effects (event, route, dedup, generation, sink, payload, task_id, supersede, weight, state, due_at)
    values (%(event)s, %(route)s, %(dedup)s, %(generation)s, %(sink)s, %(payload)s::json, %(task_id)s,
        %(supersede)s, %(weight)s, %(state)s, now() + %(debounce)s)
    on conflict (route, dedup, generation) do nothing returning id, event)
select id, event, true as is_new from made
union all
select id, event, false from effects
where route = %(route)s and dedup = %(dedup)s and generation = %(generation)s and not exists (select from made)

-- name: same_as
-- What an event would trigger was triggered already; by itself before, it has nothing to say.
update events set reason = 'same as event ' || other.event
from (select event from effects where route = %(route)s and dedup = %(dedup)s order by generation limit 1) as other
where id = %(event)s and other.event <> %(event)s

-- name: newest_generation
-- The newest effect about the same, locked.
select generation, weight from effects where route = %(route)s and dedup = %(dedup)s
order by generation desc limit 1 for update

-- name: heavier_effect
-- Whether something newer already replaces what is to be inserted.
select 1 from effects where route = %(route)s and supersede = %(supersede)s and weight > %(weight)s
    and id <> %(id)s limit 1

-- name: supersede_effects
-- What a new effect replaces: what waits is dropped, what runs is cancelled.
update effects set wants_cancel = (state = 'fired'),
    state = case when state = 'due' then 'superseded' else state end,
    error = 'something newer took its place',
    resolved_at = case when state = 'due' then now() end,
    look_at = case when state = 'fired' then now() else look_at end
where route = %(route)s and supersede = %(supersede)s and weight < %(weight)s and id <> %(id)s
    and state in ('due', 'fired')

-- name: supersede_effect
update effects set state = 'superseded', error = 'something newer took its place', resolved_at = now()
where id = %(id)s and state = 'due'

-- name: superseded
-- A claimed effect that something newer has replaced meanwhile.
update effects set state = 'superseded', error = 'something newer took its place', resolved_at = now(),
    claimed_until = null
where id = %(id)s and state = 'firing' and exists (select from effects newer where newer.route = effects.route
    and newer.supersede = effects.supersede and newer.weight > effects.weight)

-- name: hurry
-- What follows may be lost with the server's power: a claim then ends by itself, and a trigger that is made again
-- finds its task. It is not lost with us.
set local synchronous_commit to off

-- name: claim_effects
-- Effects that are due, those of a dead listener too; firing is written before the call goes out.
update effects e set state = 'firing', claimed_until = now() + %(lease)s, attempts = e.attempts + 1,
    first_try_at = coalesce(e.first_try_at, now())
from (
    select id, state as former from effects
    where (state = 'due' and due_at <= now()) or (state = 'firing' and claimed_until < now())
    order by due_at, id limit %(limit)s for update skip locked) as due
where e.id = due.id
returning e.id, e.event, e.route, e.dedup, e.generation, e.sink, e.payload, e.task_id, e.attempts,
    e.first_try_at, e.is_weak, due.former, e.recreations, e.supersede

-- name: extend_effect
-- The claim of a call that may take longer.
update effects set claimed_until = now() + %(lease)s, is_weak = true where id = %(id)s and state = 'firing'

-- name: renew_effects
update effects set claimed_until = greatest(claimed_until, now() + %(lease)s)
where id = any(%(ids)s) and state = 'firing'

-- name: renew_events
update events set claimed_until = now() + %(lease)s where id = any(%(ids)s) and state = 'stored'

-- name: effect_fired
update effects set state = %(state)s, task_id = %(task_id)s, fired_at = now(), claimed_until = null, error = null,
    error_class = null, task_state = null, task_reason = null, looks = 0,
    look_at = case when %(state)s = 'fired' then now() + %(look_in)s end,
    wants_cancel = supersede is not null and exists (select from effects newer where newer.route = effects.route
        and newer.supersede = effects.supersede and newer.weight > effects.weight),
    resolved_at = case when %(state)s = 'done' then now() end,
    reported_at = case when %(state)s = 'done' then now() end
where id = %(id)s and state = 'firing'

-- name: effect_declined
update effects set state = 'declined', claimed_until = null, error = 'the hook made no task', resolved_at = now(),
    reported_at = now()
where id = %(id)s and state = 'firing'

-- name: effect_again
update effects set state = 'due', due_at = %(when)s, claimed_until = null, error = %(error)s,
    error_class = %(error_class)s
where id = %(id)s and state = 'firing'

-- name: effect_postponed
-- Over the route's limit: not a try.
update effects set state = 'due', due_at = now() + %(delay)s, claimed_until = null, attempts = attempts - 1
where id = %(id)s and state = 'firing'

-- name: effect_quarantined
update effects set state = 'quarantined', claimed_until = null, error = %(error)s, error_class = %(error_class)s
where id = %(id)s and state = 'firing'

-- name: fired_lately
select count(*) from effects where route = %(route)s and fired_at > now() - interval '1 hour'

-- name: usual_seconds
-- Of the last completed tasks of each route; so few that a page may ask.
select route, (select percentile_cont(0.5) within group (order by extract(epoch from resolved_at - fired_at))
    from (select fired_at, resolved_at from effects f where f.route = wanted.route and f.state = 'done'
        and f.task_state = 'completed' and f.fired_at is not null order by f.id desc limit 25) as last)
from unnest(%(routes)s::text[]) as wanted(route)

-- name: claim_followed
-- Tasks whose state is to be asked, those to be cancelled first.
update effects set claimed_until = now() + %(lease)s, looks = looks + 1
where id in (
    select id from effects
    where state = 'fired' and look_at <= now() and (claimed_until is null or claimed_until < now())
    order by wants_cancel desc, look_at limit %(limit)s for update skip locked)
returning id, event, route, dedup, generation, task_id, looks, recreations, wants_cancel, fired_at

-- name: followed_by_task
-- The effect whose task this is, if it is still followed.
select id, event, route, dedup, generation, task_id, looks, recreations, wants_cancel, fired_at
from effects where task_id = %(task_id)s and state = 'fired'

-- name: followed_tasks
select task_id from effects where state = 'fired' order by fired_at desc limit %(limit)s

-- name: task_seen
-- A task that is not resolved yet.
update effects set task_state = %(task_state)s, claimed_until = null, look_at = now() + %(look_in)s, error = %(error)s
where id = %(id)s and state = 'fired'

-- name: task_resolved
update effects set state = case when wants_cancel then 'superseded' else 'done' end, task_state = %(task_state)s,
    task_reason = %(task_reason)s, claimed_until = null, look_at = null, resolved_at = now(), error = null
where id = %(id)s and state = 'fired'
returning id

-- name: task_again
-- The machines lost it: another task for the same effect.
update effects set state = 'due', due_at = now(), claimed_until = null, look_at = null,
    former_tasks = former_tasks || task_id, task_id = %(task_id)s, recreations = recreations + 1,
    attempts = 0, first_try_at = null, task_state = %(task_state)s, task_reason = %(task_reason)s
where id = %(id)s and state = 'fired' and not wants_cancel
returning id

-- name: replay_event
-- A person wants it looked at again: quarantined effects are tried anew, whatever was refused or skipped too.
update events set state = 'stored', look_at = now(), claimed_until = null, reason = null where key = %(key)s
returning id

-- name: replay_effects
update effects set state = 'due', due_at = now(), attempts = 0, first_try_at = null, error = null,
    error_class = null, claimed_until = null
where event = %(event)s and state in ('quarantined', 'skipped', 'declined')

-- name: skip_event
update events set state = 'skipped', reason = %(reason)s, claimed_until = null
where key = %(key)s and state in ('stored', 'quarantined') returning id

-- name: skip_effects
update effects set state = 'skipped', error = %(reason)s, claimed_until = null
where event = (select id from events where key = %(key)s) and state in ('due', 'quarantined') returning id

-- name: list_events
-- Newest first, each with its effects. heard_by: the queue or poll that brought it.
select convert_to(coalesce(json_agg(row order by id desc)::text, '[]'), 'UTF8'), count(*), min(id) from (
    select e.id, json_build_object(
        'id', e.id, 'key', e.key, 'source', e.source, 'exchange', e.exchange, 'routing_key', e.routing_key,
        'event', e.kind, 'subject', e.subject, 'state', e.state, 'reason', e.reason, 'told', e.told,
        'looks', e.looks, 'heard_at', e.heard_at, 'received_at', e.received_at, 'judged_at', e.judged_at,
        'via', e.via,
        'effects', (
            select coalesce(json_agg(json_build_object(
                'id', f.id, 'route', f.route, 'sink', f.sink, 'dedup', f.dedup, 'generation', f.generation,
                'payload', f.payload, 'task_id', f.task_id, 'former_tasks', f.former_tasks, 'state', f.state,
                'error_class', f.error_class, 'error', f.error, 'attempts', f.attempts,
                'recreations', f.recreations, 'is_weak', f.is_weak, 'created_at', f.created_at,
                'due_at', f.due_at, 'fired_at', f.fired_at,
                'task_state', f.task_state, 'task_reason', f.task_reason, 'resolved_at', f.resolved_at)
                order by f.id), '[]')
            from effects f where f.event = e.id)) as row
    from events e
    where (%(before)s::bigint is null or e.id < %(before)s)
        and (%(ids)s::bigint[] is null or e.id = any(%(ids)s))
        and (%(key)s::text is null or e.key = %(key)s)
        and (%(state)s::text is null or e.state = %(state)s
            or exists (select from effects f where f.event = e.id and f.state = %(state)s))
        and (%(route)s::text is null or exists (select from effects f where f.event = e.id and f.route = %(route)s))
        and (%(source)s::text is null or e.source = %(source)s)
        and (%(heard_by)s::text is null
            or exists (select from unnest(e.via) v
                where v = %(heard_by)s or right(v, length(%(heard_by)s) + 1) = '/' || %(heard_by)s))
        and (%(only)s::text[] is null or e.source = any(%(only)s))
    order by e.id desc limit %(limit)s) as rows

-- name: ids_triggered
-- Events with effects; looked up by these and not by the events, of which few have any.
select distinct event from effects where (%(before)s::bigint is null or event < %(before)s)
order by event desc limit %(limit)s

-- name: ids_waiting
select id from events where state = 'stored' and (%(before)s::bigint is null or id < %(before)s)
union
select event from effects where state in ('due', 'firing') and (%(before)s::bigint is null or event < %(before)s)
order by 1 desc limit %(limit)s

-- name: ids_quarantined
select id from events where state = 'quarantined' and (%(before)s::bigint is null or id < %(before)s)
union
select event from effects where state = 'quarantined' and (%(before)s::bigint is null or event < %(before)s)
order by 1 desc limit %(limit)s

-- name: ids_failed
-- Events whose task failed, or which are in quarantine.
select id from events where state = 'quarantined' and (%(before)s::bigint is null or id < %(before)s)
union
select event from effects where (state = 'quarantined' or task_state in ('failed', 'exception') and state = 'done')
    and (%(before)s::bigint is null or event < %(before)s)
order by 1 desc limit %(limit)s

-- name: count_failed
-- Tasks that failed within a day, and what is in quarantine.
select (select count(*) from events where state = 'quarantined')
    + (select count(*) from effects where state = 'quarantined')
    + (select count(*) from effects where state = 'done' and task_state in ('failed', 'exception')
        and resolved_at > now() - interval '1 day')

-- name: read_deliveries
select source, exchange, routing_key, cc, body, via[1], key from events where key = any(%(keys)s)

-- name: read_cursor
select cursor from event_sources where name = %(name)s

-- name: move_cursor
insert into event_sources (name, cursor, last_ok_at, is_connected) values (%(name)s, %(cursor)s::jsonb, now(), true)
on conflict (name) do update set cursor = excluded.cursor, last_ok_at = now(), error = null,
    since = case when event_sources.is_connected then event_sources.since else now() end, is_connected = true

-- name: source_heard
insert into event_sources (name, last_event_at, last_ok_at, is_connected) values (%(name)s, now(), now(), true)
on conflict (name) do update set last_event_at = now(), last_ok_at = now(), error = null,
    since = case when event_sources.is_connected then event_sources.since else now() end, is_connected = true

-- name: count_heard
-- By ten minutes, so that a page need not count events.
insert into source_counts (name, bucket, events, repeated)
values (%(name)s, date_bin('10 minutes', now(), 'epoch'), %(new)s, %(again)s)
on conflict (name, bucket) do update set events = source_counts.events + excluded.events,
    repeated = source_counts.repeated + excluded.repeated

-- name: source_well
insert into event_sources (name, last_ok_at, is_connected, depth) values (%(name)s, now(), true, %(depth)s)
on conflict (name) do update set last_ok_at = now(), error = null, depth = excluded.depth,
    since = case when event_sources.is_connected then event_sources.since else now() end, is_connected = true

-- name: source_ill
insert into event_sources (name, error, reconnects) values (%(name)s, %(error)s, 1)
on conflict (name) do update set error = excluded.error, reconnects = event_sources.reconnects + 1,
    since = case when event_sources.is_connected then now() else event_sources.since end, is_connected = false

-- name: list_sources
select convert_to(coalesce(json_agg(json_build_object('name', name, 'cursor', cursor, 'is_connected', is_connected,
    'since', since, 'last_event_at', last_event_at, 'last_ok_at', last_ok_at, 'error', error,
    'reconnects', reconnects, 'depth', depth, 'today', today, 'repeated', repeated, 'recent', recent)
    order by name)::text, '[]'), 'UTF8')
from event_sources s,
    lateral (
        select coalesce(sum(c.events), 0) as today, coalesce(sum(c.repeated), 0) as repeated from source_counts c
        where c.name = s.name and c.bucket >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC') as counts,
    lateral (
        select json_agg(coalesce(c.events, 0) order by b) as recent
        from generate_series(date_bin('10 minutes', now(), 'epoch') - interval '290 minutes',
            date_bin('10 minutes', now(), 'epoch'), interval '10 minutes') as b
        left join source_counts c on c.name = s.name and c.bucket = b) as spark

-- name: purge_counts
delete from source_counts where bucket < now() - interval '8 days'

-- name: sources_to_alarm
-- Sources out of reach for longer than allowed, whose alarm nobody raised.
update event_sources set alarmed_at = now()
where not is_connected and since < now() - %(silent)s and alarmed_at is null
returning name, since, error

-- name: sources_to_clear
-- With when the alarm was raised, which the update itself would return as it is afterwards.
update event_sources s set alarmed_at = null
from (select name, alarmed_at from event_sources where is_connected and alarmed_at is not null for update) as raised
where s.name = raised.name returning s.name, raised.alarmed_at, coalesce(s.error, '')

-- name: forget_sources
delete from event_sources where name <> all(%(names)s) and cursor is null

-- name: read_bindings
select exchange, key from pulse_bindings where queue = %(queue)s

-- name: known_queues
select distinct queue from pulse_bindings where queue like %(prefix)s

-- name: add_binding
insert into pulse_bindings (queue, exchange, key) values (%(queue)s, %(exchange)s, %(key)s) on conflict do nothing

-- name: drop_binding
delete from pulse_bindings where queue = %(queue)s and exchange = %(exchange)s and key = %(key)s

-- name: drop_queue
delete from pulse_bindings where queue = %(queue)s

-- name: known_diffs
select key from events where key = any(%(keys)s)

-- name: figures
-- What metrics tell.
select
    (select count(*) from events where state = 'quarantined')
        + (select count(*) from effects where state = 'quarantined'),
    (select coalesce(extract(epoch from now() - min(received_at)), 0) from events where state = 'stored'),
    (select coalesce(extract(epoch from now() - min(created_at)), 0) from effects where state in ('due', 'firing')),
    (select count(*) from events where state = 'stored'),
    (select count(*) from effects where state in ('due', 'firing')),
    (select count(*) from effects where state = 'fired')

-- name: purge
-- Old events in small steps; what still waits or runs is kept.
delete from events where id in (
    select id from events e where received_at < now() - %(age)s and state <> 'stored'
        and not exists (select from effects f where f.event = e.id and f.state in ('due', 'firing', 'fired'))
    order by received_at limit %(limit)s)

-- name: claim_report
-- The tasks of the period; whoever claims the report's time writes it.
update listener_memory set value = to_jsonb(%(next)s::text), noted_at = now()
where name = 'report' and (value #>> '{}')::timestamptz <= now() returning 1

-- name: start_report
insert into listener_memory (name, value) values ('report', to_jsonb(%(next)s::text)) on conflict do nothing

-- name: take_ended
update effects set reported_at = now() where reported_at is null and resolved_at is not null and state = 'done'
returning sink, task_id, task_state, dedup

-- name: add_mail
insert into listener_mails (key, recipient, subject, content) values (%(key)s, %(recipient)s, %(subject)s, %(content)s)
on conflict (key, recipient) do nothing

-- name: claim_mails
update listener_mails set claimed_until = now() + interval '1 minute', attempts = attempts + 1
where id in (
    select id from listener_mails
    where sent_at is null and outcome is null and due_at <= now() and (claimed_until is null or claimed_until < now())
    order by due_at limit 20 for update skip locked)
returning id, recipient, subject, content, attempts

-- name: mail_done
update listener_mails set sent_at = case when %(is_sent)s then now() end, outcome = %(outcome)s where id = %(id)s

-- name: mail_again
update listener_mails set due_at = now() + %(delay)s, claimed_until = null where id = %(id)s

-- name: last_tasks
-- The last resolved tasks of a route, newest first.
select sink, task_id, task_state, dedup, resolved_at from effects
where route = %(route)s and state = 'done' and task_state is not null order by resolved_at desc, id desc limit %(limit)s

-- name: remember
insert into listener_memory (name, value) values (%(name)s, %(value)s::jsonb)
on conflict (name) do update set value = excluded.value, noted_at = now()

-- name: remember_once
insert into listener_memory (name, value) values (%(name)s, %(value)s::jsonb) on conflict (name) do nothing returning 1

-- name: forget
delete from listener_memory where name = %(name)s returning value, noted_at

-- name: last_life
select noted_at from listener_memory where name = 'alive'

-- name: open_target
insert into build_targets (target, event) select %(target)s, id from events where key = %(key)s on conflict do nothing

-- name: end_target
-- The end of a build target; the first word counts, as Harbormaster takes only one.
update build_targets set verdict = %(verdict)s, reason = %(reason)s, due_at = now()
where event = %(event)s and verdict is null

-- name: claim_targets
update build_targets set claimed_until = now() + interval '1 minute', attempts = attempts + 1
where target in (
    select target from build_targets
    where verdict is not null and sent_at is null and due_at <= now()
        and (claimed_until is null or claimed_until < now())
    order by due_at limit 20 for update skip locked)
returning target, verdict, reason, attempts

-- name: target_told
update build_targets set sent_at = now(), error = null where target = %(target)s

-- name: target_again
update build_targets set due_at = now() + %(delay)s, claimed_until = null, error = %(error)s where target = %(target)s

-- name: is_known_task
select 1 from effects where task_id = %(task_id)s or %(task_id)s = any(former_tasks)
