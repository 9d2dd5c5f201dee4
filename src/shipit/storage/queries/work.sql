-- Rounds, leases, wishes and mails: what keeps workers from doing the same thing twice.

-- name: save_round
-- A round's beginning, and later its end; an end that is stored is not taken back by a late beginning.
insert into rounds (uid, kind, holder, started, finished, counts, errors)
values (%(uid)s, %(kind)s, %(holder)s, %(started)s, %(finished)s, %(counts)s::jsonb, %(errors)s::jsonb)
on conflict (uid) do update set finished = excluded.finished, counts = excluded.counts, errors = excluded.errors
where rounds.finished is null or excluded.finished >= rounds.finished

-- name: list_rounds
select convert_to(coalesce(json_agg(json_build_object(
    'uid', uid, 'kind', kind, 'holder', holder, 'started', started, 'finished', finished,
    'counts', counts, 'errors', errors) order by started desc), '[]')::text, 'UTF8')
from (select * from rounds order by started desc limit %(limit)s) newest

-- name: last_finished
-- A round that could read no train's requests keeps nothing current. Rounds of old did not count them.
select max(finished) from rounds
where finished is not null and coalesce((counts->>'trains_read')::numeric, 1) > 0

-- name: last_ends
select finished from rounds
where finished is not null and coalesce((counts->>'trains_read')::numeric, 1) > 0
order by finished desc limit %(limit)s

-- name: take_lease
-- Ours when it was free, expired or ours already; fence grows only when the holder changes.
insert into leases (name, holder, fence, expires)
values (%(name)s, %(holder)s, 1, now() + make_interval(secs => %(seconds)s))
on conflict (name) do update set
    holder = excluded.holder, expires = excluded.expires,
    fence = leases.fence + case when leases.holder = excluded.holder and leases.expires > now() then 0 else 1 end
where leases.holder = excluded.holder or leases.expires <= now()
returning name, holder, fence, expires

-- name: read_lease
select name, holder, fence, expires from leases where name = %(name)s

-- name: drop_lease
-- Expired rather than deleted, so that the fence goes on growing.
update leases set expires = now() where name = %(name)s and holder = %(holder)s and expires > now()

-- name: ask_wish
-- One open wish for one thing, however many ask.
insert into wishes (uid, kind, subject, detail, asked_by)
values (%(uid)s, %(kind)s, %(subject)s, %(detail)s, %(asked_by)s)
on conflict (kind, subject, detail) where done_at is null do nothing
returning uid, kind, subject, asked_at, detail

-- name: open_wish
select uid, kind, subject, asked_at, detail from wishes
where kind = %(kind)s and subject = %(subject)s and detail = %(detail)s and done_at is null

-- name: open_wishes
select uid, kind, subject, asked_at, detail from wishes where done_at is null order by asked_at, uid limit 500

-- name: finish_wish
update wishes set done_at = now(), result = %(result)s::jsonb
where uid = %(uid)s and done_at is null returning kind, subject

-- name: has_wish
select 1 from wishes where uid = %(uid)s

-- name: claim_mail
-- The first to claim it; or, when who claimed it died before sending, whoever comes later.
insert into mails (key, recipients, subject) values (%(key)s, %(recipients)s, %(subject)s)
on conflict (key) do update set claimed_at = now()
where mails.sent_at is null and mails.claimed_at < now() - interval '5 minutes'
returning key

-- name: has_mail
select 1 from mails where key = %(key)s

-- name: last_mail
select max(key) from mails where starts_with(key, %(prefix)s)

-- name: mail_sent
update mails set sent_at = %(sent_at)s, outcome = %(outcome)s where key = %(key)s
