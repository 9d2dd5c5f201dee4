-- Contributors, and what release managers noted about them. A note that has expired is as if it were not there.
-- Who is known from restricted bugs alone is there only for those who may see these.

-- name: list_people
select convert_to(coalesce(json_agg(json_build_object(
    'id', id, 'email', email, 'name', name, 'avatar', avatar, 'karma', case when is_valid then karma else 0 end,
    'comment_public', case when is_valid then comment_public else '' end,
    'comment_private', case when %(see_private)s then case when is_valid then comment_private else '' end end,
    'noted_by', case when is_valid then noted_by end, 'noted_at', case when is_valid then noted_at end,
    'expires_at', case when is_valid then expires_at end, 'revision', revision_no
) order by id), '[]')::text, 'UTF8')
from (
    select *, coalesce(expires_at > now(), false) as is_valid from people p
    where id > %(after)s and (%(id)s::bigint is null or id = %(id)s)
      and (%(see_restricted)s or exists (
            select from bugs b where not b.is_restricted
              and b.facts->'contributors' @> jsonb_build_array(jsonb_build_object('email', p.email))))
    order by id limit %(limit)s
) page

-- name: read_people
select id, email, name, avatar, case when expires_at > now() then karma else 0 end,
    case when expires_at > now() then comment_public else '' end,
    case when expires_at > now() then comment_private else '' end, revision_no
from people where email = any(%(emails)s)

-- name: note
-- What is noted has an author and a time, expires, and is written down. What is left out stays as it was, unless
-- that has expired.
with noted as (
    update people set
        karma = coalesce(%(karma)s::int, case when expires_at > now() then karma end, 0),
        comment_public = coalesce(%(public)s::text, case when expires_at > now() then comment_public end, ''),
        comment_private = coalesce(%(private)s::text, case when expires_at > now() then comment_private end, ''),
        noted_by = %(by)s, noted_at = now(),
        expires_at = now() + make_interval(days => %(days)s), revision_no = revision_no + 1
    where id = %(id)s and (%(revision)s::bigint is null or revision_no = %(revision)s)
    returning *
), written as (
    insert into people_notes (person, by, what, karma, comment_public, comment_private, expires_at)
    select id, noted_by, 'noted', karma, comment_public, comment_private, expires_at from noted
)
select id, email, name, avatar, karma, comment_public, comment_private, revision_no from noted

-- name: expire
with ended as (
    update people set expires_at = now(), revision_no = revision_no + 1
    where id = %(id)s and expires_at > now() and (%(revision)s::bigint is null or revision_no = %(revision)s)
    returning *
), written as (
    insert into people_notes (person, by, what, karma, comment_public, comment_private, expires_at)
    select id, %(by)s, 'expired', 0, '', '', now() from ended
)
select id from ended

-- name: read_state
select coalesce(expires_at > now(), false), revision_no from people where id = %(id)s

-- name: list_notes
-- The words of a note are shown as long as it holds: one that was ended is ended in its history too.
select convert_to(coalesce(json_agg(json_build_object(
    'at', at, 'by', by, 'what', what, 'expires_at', expires_at, 'is_valid', is_valid,
    'karma', case when is_valid then karma end,
    'comment_public', case when is_valid then comment_public end,
    'comment_private', case when is_valid then comment_private end
) order by id desc), '[]')::text, 'UTF8')
from (
    select n.*, n.what = 'noted' and n.expires_at > now() and not exists (
        select from people_notes later where later.person = n.person and later.id > n.id and later.what = 'expired'
    ) as is_valid
    from people_notes n where n.person = %(id)s order by n.id desc limit %(limit)s
) newest
