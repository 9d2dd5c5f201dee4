-- Contributors, and what release managers noted about them. A note that has expired is as if it were not there.

-- name: list_people
select convert_to(coalesce(json_agg(json_build_object(
    'id', id, 'email', email, 'name', name, 'avatar', avatar, 'karma', case when is_valid then karma else 0 end,
    'comment_public', case when is_valid then comment_public else '' end,
    'comment_private', case when %(see_private)s and is_valid then comment_private end,
    'noted_by', case when is_valid then noted_by end, 'noted_at', case when is_valid then noted_at end,
    'expires_at', case when is_valid then expires_at end, 'revision', revision_no
) order by id), '[]')::text, 'UTF8')
from (select *, coalesce(expires_at > now(), false) as is_valid from people
      where id > %(after)s order by id limit %(limit)s) page

-- name: read_people
select id, email, name, avatar, case when expires_at > now() then karma else 0 end,
    case when expires_at > now() then comment_public else '' end,
    case when expires_at > now() then comment_private else '' end, revision_no
from people where email = any(%(emails)s)

-- name: note
-- What is noted has an author and a time, and expires.
update people set
    karma = coalesce(%(karma)s::int, karma), comment_public = coalesce(%(public)s::text, comment_public),
    comment_private = coalesce(%(private)s::text, comment_private), noted_by = %(by)s, noted_at = now(),
    expires_at = now() + interval '1 year', revision_no = revision_no + 1
where id = %(id)s and (%(revision)s::bigint is null or revision_no = %(revision)s)
returning id, email, name, avatar, karma, comment_public, comment_private, revision_no

-- name: has_person
select 1 from people where id = %(id)s
