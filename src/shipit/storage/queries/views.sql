-- Saved views: one's own, and those that others share.

-- name: list_views
select uid, owner, name, train, query, is_shared, changed_at, revision_no
from views where owner = %(person)s or is_shared
order by (owner <> %(person)s), lower(name), uid

-- name: read_view
select uid, owner, name, train, query, is_shared, changed_at, revision_no
from views where uid = %(uid)s and (owner = %(person)s or is_shared)

-- name: count_views
select count(*) from views where owner = %(person)s

-- name: name_taken
select 1 from views where owner = %(person)s and lower(name) = lower(%(name)s) and uid <> %(uid)s

-- name: save_view
-- Only the owner's, and only the revision they saw; the same again changes nothing.
insert into views (uid, owner, name, train, query, is_shared)
values (%(uid)s, %(person)s, %(name)s, %(train)s, %(query)s, %(is_shared)s)
on conflict (uid) do update set
    name = excluded.name, train = excluded.train, query = excluded.query, is_shared = excluded.is_shared,
    changed_at = now(), revision_no = views.revision_no + 1
where views.owner = excluded.owner
    and (%(revision)s::bigint is null or views.revision_no = %(revision)s)
returning uid, owner, name, train, query, is_shared, changed_at, revision_no

-- name: drop_view
delete from views
where uid = %(uid)s and owner = %(person)s and (%(revision)s::bigint is null or revision_no = %(revision)s)
returning 1
