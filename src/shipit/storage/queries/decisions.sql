-- Decisions: the facts they are made on, their parts claimed under a fence, their writes, their audit.

-- name: facts
-- The requests that may be seen, their bugs, and every train; JSON for shipit.uplift.decision_types.
-- A bug without a request is as a list or an older reading last had it; restricted if any of them says so.
with asked as (
    select r.* from requests r join bugs b on b.id = r.bug
    where r.uid = any(%(requests)s) and (%(see_restricted)s or not b.is_restricted)
), readings as (
    select b.id, b.changed, b.read_at, b.is_restricted, b.fields, b.flags, true as is_whole, (
        select c->>'email' from jsonb_array_elements(b.facts->'contributors') c
        where c->'roles' ? 'assignee' limit 1) as assignee
    from bugs b where b.id = any(array(select bug from asked) || %(bugs)s::bigint[])
    union all
    select o.bug, (o.facts->>'changed')::timestamptz, l.read_at, o.is_restricted, o.facts->'fields',
        o.facts->'flags', o.facts ? 'fields',
        case when o.facts->>'assignee' like '%%@%%' then o.facts->>'assignee' end
    from board_bugs o join board_lists l on l.train = o.train and l.list = o.list
    where o.bug = any(%(bugs)s) and not exists (select from asked where asked.bug = o.bug)
), known as (
    select distinct on (r.id) r.*
    from readings r
    where r.is_whole and (%(see_restricted)s
        or not exists (select from readings o where o.id = r.id and o.is_restricted))
    order by r.id, r.read_at desc nulls last
)
select
    (select coalesce(jsonb_agg(jsonb_build_object(
        'uid', r.uid, 'bug', r.bug, 'train', r.train, 'state', r.state, 'is_closed', r.closed_at is not null,
        'target_major', r.target_major, 'series_digest', coalesce(r.series_digest, ''),
        'patches', (select coalesce(jsonb_agg(jsonb_build_array(p->>'name', p->>'version')), '[]')
                    from jsonb_array_elements(r.series) p),
        'places', r.places, 'requested_by', r.requested_by,
        'is_tests_only', (
            select coalesce(bool_and(f @> '{"is_test": true}'), false)
            from jsonb_path_query(b.facts, '$.analysis.patches[*]') p, jsonb_path_query(p, '$.files[*]') f
            where p->'name' in (select s->'name' from jsonb_array_elements(r.series) s)),
        'outcome', (select n.outcome from trials n where n.request = r.uid order by n.tried_at desc limit 1),
        'given', (
            select jsonb_build_object('uid', d.uid, 'verdict', d.verdict, 'person', d.person,
                'at', coalesce(p.finished_at, d.made_at), 'stamp', q.stamp, 'until', d.wanted->'until')
            from decision_requests q
            join decisions d on d.uid = q.decision
            join decision_parts p on p.decision = q.decision and p.bug = q.bug
            where q.request = r.uid and p.state = 'done'
                and d.verdict in ('approve', 'reject', 'withdraw', 'defer')
            order by p.finished_at desc limit 1)
    )), '[]') from asked r join bugs b on b.id = r.bug),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'id', k.id, 'changed', k.changed, 'read_at', k.read_at, 'fields', k.fields, 'flags', k.flags,
        'is_restricted', (select bool_or(r.is_restricted) from readings r where r.id = k.id),
        'assignee', k.assignee)), '[]')
     from known k),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'name', t.name, 'channel', t.channel, 'repository', t.repository, 'branch', t.branch,
        'version', t.version, 'major', t.major, 'approval_flag', t.approval_flag,
        'status_flag', t.status_flag, 'tracking_flag', t.tracking_flag, 'stage', t.stage,
        'next_build', t.next_build)), '[]') from trains t)

-- name: adopt_bug
-- A bug that a list alone shows becomes one that decisions may be about; the bot does not follow it.
insert into bugs (id, summary, product, component, severity, priority, keywords, is_restricted, fields, flags,
    changed, read_at, facts, source, gone_at)
select o.bug, o.facts->>'summary', o.facts->>'product', o.facts->>'component', o.facts->>'severity',
    o.facts->>'priority', array(select jsonb_array_elements_text(o.facts->'keywords')),
    (select bool_or(a.is_restricted) from board_bugs a where a.bug = o.bug), o.facts->'fields', o.facts->'flags',
    (o.facts->>'changed')::timestamptz, l.read_at, jsonb_build_object('url', o.facts->'url'), 'board', now()
from board_bugs o join board_lists l on l.train = o.train and l.list = o.list
where o.bug = %(bug)s and o.facts ? 'fields'
order by l.read_at desc nulls last limit 1
on conflict (id) do nothing

-- name: digest
select digest from decisions where uid = %(uid)s

-- name: put
insert into decisions (uid, verdict, person, client, wanted, digest, refusals, hold_until)
values (%(uid)s, %(verdict)s, %(person)s, %(client)s, %(wanted)s, %(digest)s, %(refusals)s, %(hold_until)s)
on conflict (uid) do nothing
returning uid

-- name: put_request
insert into decision_requests (decision, request, bug, train, stamp)
values (%(decision)s, %(request)s, %(bug)s, %(train)s, %(stamp)s)

-- name: put_part
insert into decision_parts (decision, bug, plan, due_at)
values (%(decision)s, %(bug)s, %(plan)s, %(due_at)s)

-- name: put_write
insert into decision_writes (decision, bug, position, write)
values (%(decision)s, %(bug)s, %(position)s, %(write)s)

-- name: note
insert into decision_audit (decision, bug, requests, actor, what, object, before, after, why, answer)
values (%(decision)s, %(bug)s, %(requests)s, %(actor)s, %(what)s, %(object)s, %(before)s, %(after)s, %(why)s,
    %(answer)s)

-- name: audit_of_request
select a.id, a.at, a.decision, a.bug, a.requests, a.actor, a.what, a.object, a.before, a.after, a.why, a.answer
from decision_audit a
where a.requests @> array[%(request)s::text]
order by a.id limit 1000

-- name: audit_of_bug
-- Everything about a bug, requests or not; nothing when it may not be seen.
select a.id, a.at, a.decision, a.bug, a.requests, a.actor, a.what, a.object, a.before, a.after, a.why, a.answer
from decision_audit a join bugs b on b.id = a.bug
where a.bug = %(bug)s and (%(see_restricted)s or not b.is_restricted)
order by a.id limit 1000

-- name: due
-- Parts to write now: those whose hold has ended, those to be tried again, those whose runner died.
select p.decision, p.bug from decision_parts p
where p.due_at <= now()
    and (p.state = 'held' or (p.state = 'writing' and (p.claimed_until is null or p.claimed_until < now())))
    and not exists (
        select from decision_parts o where o.bug = p.bug and o.state = 'writing' and o.id <> p.id)
order by p.id limit %(limit)s
for update of p skip locked

-- name: claim
update decision_parts p
set state = 'writing', claimed_until = clock_timestamp() + %(lease)s, fence = p.fence + 1,
    first_try_at = coalesce(p.first_try_at, now())
from decisions d
where p.decision = %(decision)s and p.bug = %(bug)s and d.uid = p.decision
returning p.fence, p.plan, p.first_try_at, p.resumed, d.person, d.verdict

-- name: hold
-- Whether the claim is still ours; the row stays locked until the transaction ends.
select first_try_at from decision_parts
where decision = %(decision)s and bug = %(bug)s and fence = %(fence)s and state = 'writing' for update

-- name: writes
select position, state, write, attempts, mark, sent_at, done_at, answer from decision_writes
where decision = %(decision)s and bug = %(bug)s order by position

-- name: sending
update decision_writes
set state = 'sending', attempts = attempts + 1, mark = coalesce(mark, %(mark)s), sent_at = clock_timestamp()
where decision = %(decision)s and bug = %(bug)s and position = %(position)s

-- name: extend
update decision_parts set claimed_until = clock_timestamp() + %(lease)s
where decision = %(decision)s and bug = %(bug)s

-- name: write_moved
update decision_writes
set state = %(state)s, answer = %(answer)s,
    done_at = case when %(state)s = 'done' then clock_timestamp() else done_at end
where decision = %(decision)s and bug = %(bug)s and position = %(position)s

-- name: give_back
update decision_parts set claimed_until = null, due_at = %(due_at)s, message = %(message)s
where decision = %(decision)s and bug = %(bug)s

-- name: finish
update decision_parts
set state = %(state)s, message = %(message)s, differences = %(differences)s, claimed_until = null,
    finished_at = clock_timestamp()
where decision = %(decision)s and bug = %(bug)s

-- name: leave_unsent
update decision_writes set state = 'unsent'
where decision = %(decision)s and (%(bug)s::bigint is null or bug = %(bug)s) and state in ('waits', 'failed')

-- name: lock_parts
select bug, state from decision_parts where decision = %(decision)s order by bug for update

-- name: undo
update decision_parts set state = 'undone', finished_at = now(), message = 'taken back, nothing was written'
where decision = %(decision)s and state = 'held'

-- name: resume
-- First tries count anew, so that it is given as long as a new one.
update decision_parts
set state = 'writing', due_at = now(), first_try_at = now(), message = '', finished_at = null,
    claimed_until = null, resumed = resumed + 1
where decision = %(decision)s and bug = %(bug)s and state = 'stuck'

-- name: retry_failed
update decision_writes set state = 'waits'
where decision = %(decision)s and bug = %(bug)s and state = 'failed'

-- name: drop
update decision_parts set state = 'dropped', finished_at = now()
where decision = %(decision)s and bug = %(bug)s and state = 'stuck'

-- name: shown
-- Decisions as people read them, newest first; of restricted bugs only for those who may.
select d.uid, d.person, d.wanted, d.refusals, d.made_at, d.hold_until,
    (select count(*) from decision_parts p where p.decision = d.uid),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'bug', p.bug, 'is_restricted', b.is_restricted, 'state', p.state, 'message', p.message,
        'differences', p.differences,
        'due_at', p.due_at, 'finished_at', p.finished_at, 'plan', p.plan,
        'requests', (select coalesce(jsonb_agg(jsonb_build_object(
                'request', q.request, 'train', q.train, 'stamp', q.stamp,
                'series_digest', r.series_digest, 'major', t.major) order by q.request), '[]')
            from decision_requests q join requests r on r.uid = q.request left join trains t on t.name = q.train
            where q.decision = d.uid and q.bug = p.bug),
        'writes', (select coalesce(jsonb_agg(jsonb_build_object(
                'position', w.position, 'state', w.state, 'write', w.write, 'attempts', w.attempts,
                'sent_at', w.sent_at, 'done_at', w.done_at, 'answer', w.answer) order by w.position), '[]')
            from decision_writes w where w.decision = d.uid and w.bug = p.bug)
    ) order by p.bug), '[]')
    from decision_parts p join bugs b on b.id = p.bug
    where p.decision = d.uid and (%(see_restricted)s or not b.is_restricted))
from decisions d
where (%(uid)s::text is null or d.uid = %(uid)s)
    and (%(request)s::text is null or exists (
        select from decision_requests q where q.decision = d.uid and q.request = %(request)s))
    and (%(bug)s::bigint is null or exists (
        select from decision_parts p where p.decision = d.uid and p.bug = %(bug)s))
    and (%(state)s::text is null or exists (
        select from decision_parts p where p.decision = d.uid and p.state = %(state)s))
    and (%(person)s::text is null or d.person = %(person)s)
    and exists (
        select from decision_parts p join bugs b on b.id = p.bug
        where p.decision = d.uid and (%(see_restricted)s or not b.is_restricted))
order by d.made_at desc, d.uid limit %(limit)s

-- name: untold
-- Parts that stopped and need their decider, who neither went on nor decided anew nor got a mail of it.
select p.decision, p.bug, p.fence, p.state, p.message, p.differences, p.finished_at,
    (select count(*) from decision_writes w where w.decision = p.decision and w.bug = p.bug and w.state = 'done'),
    (select count(*) from decision_writes w where w.decision = p.decision and w.bug = p.bug),
    b.is_restricted, d.person, k.account, d.verdict,
    (select min(q.request) from decision_requests q where q.decision = p.decision and q.bug = p.bug),
    coalesce((select string_agg(distinct q.train, ' and ') from decision_requests q
        where q.decision = p.decision and q.bug = p.bug), d.wanted->>'train', '')
from decision_parts p
join decisions d on d.uid = p.decision
join bugs b on b.id = p.bug
left join person_keys k on k.person = d.person and k.system = 'bugzilla'
where p.state in ('stuck', 'changed') and p.finished_at between %(since)s and %(until)s
    and not exists (
        select from decision_parts later join decisions e on e.uid = later.decision
        where later.bug = p.bug and e.person = d.person and e.made_at > p.finished_at)
    and not exists (
        select from mails m where m.sent_at is not null
            and m.key = 'decision-' || p.decision || '.' || p.bug || '.' || p.fence)
order by p.finished_at limit 100

-- name: keys_of
select system, account, account_id, entered_at, refused_at, refused_why from person_keys
where person = %(person)s order by system

-- name: key
select account, account_id, sealed, sealed_with, refused_at, refused_why from person_keys
where person = %(person)s and system = %(system)s

-- name: put_key
insert into person_keys (person, system, account, account_id, sealed, sealed_with)
values (%(person)s, %(system)s, %(account)s, %(account_id)s, %(sealed)s, %(sealed_with)s)
on conflict (person, system) do update set
    account = excluded.account, account_id = excluded.account_id, sealed = excluded.sealed,
    sealed_with = excluded.sealed_with, entered_at = now(), refused_at = null, refused_why = ''

-- name: drop_key
delete from person_keys where person = %(person)s and system = %(system)s

-- name: refuse_key
update person_keys set refused_at = now(), refused_why = %(why)s
where person = %(person)s and system = %(system)s and sealed = %(sealed)s and refused_at is null

-- name: stale_keys
select person, system, sealed, sealed_with from person_keys where sealed_with <> %(newest)s
order by person, system for update skip locked

-- name: reseal
update person_keys set sealed = %(sealed)s, sealed_with = %(sealed_with)s
where person = %(person)s and system = %(system)s

-- name: lock_tries
select pg_advisory_xact_lock(hashtext(%(name)s))

-- name: count_tries
with old as (delete from key_tries where at < now() - interval '1 hour')
select count(*) from key_tries where system = %(system)s and at > now() - interval '1 minute'

-- name: note_try
insert into key_tries (system) values (%(system)s)
