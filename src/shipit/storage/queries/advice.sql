-- What searches found for conflicting requests, and the plans of trains.

-- name: save_advice
-- One row for each request: an older search never replaces a newer one, and one for a gone request is dropped.
insert into advice (request, train, tip, series_digest, key, needs, is_verified, content, reason, searched_at,
    took_ms, engine)
select q->>'request', q->>'train', q->>'tip', q->>'series_digest', q->>'key',
    array(select jsonb_array_elements_text(q->'needs')::bigint),
    (q->>'is_verified')::boolean, nullif(q->'advice', 'null'), q->>'reason', (q->>'searched_at')::timestamptz,
    round((q->>'took_ms')::numeric)::int, q->>'engine'
from jsonb_array_elements(%(searches)s::jsonb) q
where exists (select from requests r where r.uid = q->>'request')
  and exists (select from trains t where t.name = q->>'train')
on conflict (request) do update set
    train = excluded.train, tip = excluded.tip, series_digest = excluded.series_digest, key = excluded.key,
    needs = excluded.needs, is_verified = excluded.is_verified, content = excluded.content,
    reason = excluded.reason, searched_at = excluded.searched_at, took_ms = excluded.took_ms,
    engine = excluded.engine
where advice.searched_at <= excluded.searched_at

-- name: advice_of
-- What was found for some requests, with the train that each is of; only of bugs that may be seen.
select a.request, a.train, a.tip, a.series_digest, a.content, a.reason, a.searched_at, a.took_ms, a.engine,
    a.tip = t.tip and a.series_digest = r.series_digest
from advice a join requests r on r.uid = a.request join bugs b on b.id = r.bug join trains t on t.name = r.train
where a.request = any(%(requests)s) and (%(see_restricted)s or not b.is_restricted)

-- name: restricted_among
-- Which of some bugs are security bugs.
select id from bugs where id = any(%(bugs)s) and is_restricted

-- name: open_on
-- The open requests of some trains that are of certain bugs or hold certain commits, and may be seen.
select r.train, r.uid, r.bug, r.state, r.series
from requests r join bugs b on b.id = r.bug
where r.train = any(%(trains)s) and r.closed_at is null and (%(see_restricted)s or not b.is_restricted)
  and (r.bug = any(%(bugs)s) or exists (
        select from jsonb_array_elements(r.series) p where p->>'version' = any(%(revisions)s)))
order by r.train, r.uid

-- name: save_plans
insert into plans (train, scope, sees_restricted, key, tip, made_at, requests, content)
select q->>'train', q->>'scope', (q->>'sees_restricted')::boolean, q->>'key', q->>'tip',
    (q->>'made_at')::timestamptz, array(select jsonb_array_elements_text(q->'requests')), q->'content'
from jsonb_array_elements(%(plans)s::jsonb) q
where exists (select from trains t where t.name = q->>'train')
on conflict (train, scope, sees_restricted) do update set
    key = excluded.key, tip = excluded.tip, made_at = excluded.made_at, requests = excluded.requests,
    content = excluded.content
where plans.made_at <= excluded.made_at

-- name: read_plan
-- A plan, unless it names a bug that whoever asks may no longer see; with the train's tip now.
select p.content, t.tip, exists (
    select from requests r join bugs b on b.id = r.bug
    where r.uid = any(p.requests) and b.is_restricted and not %(see_restricted)s)
from trains t left join plans p on p.train = t.name and p.scope = %(scope)s
    and p.sees_restricted = %(see_restricted)s
where t.name = %(train)s

-- name: planned
-- What a plan's requests are called, and how they stand now.
select r.uid, b.summary, r.state, b.is_restricted
from requests r join bugs b on b.id = r.bug
where r.uid = any(%(requests)s) and (%(see_restricted)s or not b.is_restricted)

-- name: count_restricted
select count(*) from requests r join bugs b on b.id = r.bug
where r.train = %(train)s and r.closed_at is null and b.is_restricted
  and (r.state = 'approved' or (%(scope)s = 'pending' and r.state = 'requested'))
