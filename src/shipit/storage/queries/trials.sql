-- Merge trials: rows are added, never changed, so that each says what was true when it was made.

-- name: add_trials
insert into trials (request, train, series_digest, tip, key, outcome, tree, patches, tried_at, took_ms, engine)
select q->>'request', q->>'train', q->>'series_digest', q->>'tip', q->>'key', q->'result'->>'outcome',
    q->'result'->>'tree', q->'result'->'patches', (q->>'tried_at')::timestamptz,
    round((q->>'took_ms')::numeric)::int, q->>'engine'
from jsonb_array_elements(%(trials)s::jsonb) q
where exists (select from requests r where r.uid = q->>'request')
  and exists (select from trains t where t.name = q->>'train')
on conflict do nothing

-- name: newest_on
-- The newest trial of one request on one tip, for a reporter who tells of one patch at a time.
select patches, series_digest from trials
where request = %(request)s and tip = %(tip)s order by tried_at desc limit 1
