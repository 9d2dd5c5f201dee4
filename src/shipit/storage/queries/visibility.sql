-- Who may be told of what.

-- name: version
select version_of('*')

-- name: restrictions
-- The bugs behind some changed rows, and whether each is restricted now.
select b.id, b.is_restricted, touched.id
from unnest(%(ids)s::text[]) as touched(id)
join bugs b on b.id = case
    when %(kind)s::text = 'bugs' then touched.id::bigint
    -- a decision about a bug that has no request
    when touched.id ~ '^bug [0-9]{1,18}$' then substr(touched.id, 5)::bigint
    else (select r.bug from requests r where r.uid = touched.id) end
where %(kind)s::text <> 'plans'
union all
-- A plan is of no single bug: one with restricted bugs in it is as such a bug, one without as any other.
select case when touched.id like '%%/restricted' then -1 else -2 end, touched.id like '%%/restricted', touched.id
from unnest(%(ids)s::text[]) as touched(id)
where %(kind)s::text = 'plans'

-- name: all_restrictions
select id, is_restricted from bugs where gone_at is null

-- name: has_revision
select to_regclass('alembic_version') is not null

-- name: revision
select version_num from alembic_version
