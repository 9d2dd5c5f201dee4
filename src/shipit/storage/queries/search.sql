-- Search across all trains.

-- name: search
-- Requests that hold every word, or its beginning, and bugs of the lists that nobody requests; open ones first.
-- What a viewer may not see is not found, and not counted either: a count would answer questions about it.
with given as (
    select string_agg(w || ':*', ' & ') as every, string_agg(w || ':*A', ' | ') as bug, string_agg(w || ':*B', ' | ') as people,
           string_agg(w || ':*C', ' | ') as form, string_agg(w || ':*D', ' | ') as files
    from unnest(string_to_array(trim(words_in(lower(%(text)s))), ' ')) w where w <> ''
), asked as materialized (
    select to_tsquery('simple', every) as every, to_tsquery('simple', bug) as bug,
           to_tsquery('simple', people) as people, to_tsquery('simple', form) as form,
           to_tsquery('simple', files) as files
    from given where every is not null
), requested as (
    select b.id as bug, b.summary, b.product, b.component, b.is_restricted, r.train, r.uid as request,
           r.state, r.closed_at is null as is_open, null::text as list, b.words || r.words as words
    from requests r join bugs b on b.id = r.bug, asked a
    where (%(see_restricted)s or not b.is_restricted) and (b.words || r.words) @@ a.every
), listed as (
    select o.bug, o.facts->>'summary' as summary, o.facts->>'product' as product,
           o.facts->>'component' as component, o.is_restricted or coalesce(b.is_restricted, false) as is_restricted,
           o.train, null::text as request, null::text as state, true as is_open, o.list, w.words
    from board_bugs o left join bugs b on b.id = o.bug
    cross join lateral (select setweight(to_tsvector('simple', words_in(concat_ws(' ', o.bug, o.facts->>'summary',
        o.facts->>'product', o.facts->>'component', o.facts->>'keywords'))), 'A')
        || setweight(to_tsvector('simple', words_in(coalesce(o.facts->>'assignee', ''))), 'B') as words) w, asked a
    where (%(see_restricted)s or not (o.is_restricted or coalesce(b.is_restricted, false))) and w.words @@ a.every
      and not exists (select from requests r where r.bug = o.bug and r.train = o.train)
), found as (
    select * from (select * from requested union all select * from listed) every
    order by is_open desc, request is null, bug desc, train limit %(limit)s
)
select f.bug, f.summary, f.product, f.component, f.is_restricted, f.train, f.request, f.state, f.is_open, f.list,
       array_remove(array[case when f.words @@ a.bug then 'bug' end, case when f.words @@ a.people then 'people' end,
           case when f.words @@ a.form then 'form' end, case when f.words @@ a.files then 'files' end], null),
       t.channel, t.major
from found f join trains t on t.name = f.train, asked a
order by f.is_open desc, f.request is null, f.bug desc, t.position
