-- Releases as if they had happened: for the demo, whose data is invented, and for measuring.

-- name: times
-- When each step began and ended. Ended steps are done; of those that have not ended only the begin moves.
update pipeline_steps n
set started_at = g.started_at, finished_at = coalesce(g.finished_at, n.finished_at),
    state = case when %(are_done)s then 'success' else n.state end,
    attempt = case when %(are_done)s then greatest(n.attempt, 1) else n.attempt end
from jsonb_to_recordset(%(times)s) as g (uid text, started_at timestamptz, finished_at timestamptz)
where n.pipeline = %(pipeline)s and n.uid = g.uid

-- name: begun
update pipelines set created_at = %(at)s, updated_at = now() where uid = %(pipeline)s

-- name: done
update pipelines set status = 'success', created_at = %(at)s, updated_at = %(ended)s, finished_at = %(ended)s,
    due_at = null
where uid = %(pipeline)s

-- name: tries
update steps s set created_at = g.started_at, updated_at = coalesce(g.finished_at, s.updated_at)
from jsonb_to_recordset(%(times)s) as g (uid text, started_at timestamptz, finished_at timestamptz)
where s.pipeline = %(pipeline)s and s.uid = %(pipeline)s || '.' || g.uid

-- name: unwake
delete from pipeline_wakes where pipeline = %(pipeline)s
