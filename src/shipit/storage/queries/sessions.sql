-- Sessions of people who logged in. The cookie's secret is not here, only its hash.

-- name: begin
insert into sessions (secret_hash, client_id, person, scopes, started_at, seen_at, checked_at, expires_at)
values (%(secret_hash)s, %(client_id)s, %(person)s, %(scopes)s, %(now)s, %(now)s, %(now)s, %(expires_at)s)

-- name: read
select client_id, person, scopes, started_at, seen_at, checked_at, expires_at
from sessions where secret_hash = %(secret_hash)s

-- name: seen
update sessions set seen_at = greatest(seen_at, %(now)s) where secret_hash = %(secret_hash)s

-- name: claim_check
-- One request at a time asks Taskcluster about a session; a claim that came to nothing is free again soon.
update sessions set claimed_at = %(now)s
where secret_hash = %(secret_hash)s
    and (claimed_at is null or claimed_at < %(now)s - make_interval(secs => %(seconds)s))
returning 1

-- name: checked
update sessions set scopes = %(scopes)s, expires_at = least(expires_at, %(expires_at)s), checked_at = %(now)s,
    claimed_at = null
where secret_hash = %(secret_hash)s
returning client_id, person, scopes, started_at, seen_at, checked_at, expires_at

-- name: finish
delete from sessions where secret_hash = %(secret_hash)s

-- name: forget_ended
delete from sessions where expires_at < %(now)s
