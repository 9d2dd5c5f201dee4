# SPDX-License-Identifier: MPL-2.0
"""Versions of patches, what people did, and what workers made for a request's page when it was asked for."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0070_evidence"
down_revision = "0062_decisions"

VERSIONS = """
create table series_versions (
    request text not null references requests on delete cascade,
    digest text not null,
    series jsonb not null,
    seen_at timestamptz not null,
    primary key (request, digest)
);
comment on table series_versions is
    'Every version of a request''s patches, so that a new one can be compared.';

create function keep_version() returns trigger language plpgsql set search_path from current as $$
begin
    insert into series_versions (request, digest, series, seen_at)
    values (new.uid, new.series_digest, new.series, new.last_seen) on conflict do nothing;
    return null;
end
$$;
create trigger keep_version after insert or update of series_digest on requests for each row
    when (new.series_digest is not null) execute function keep_version();
insert into series_versions (request, digest, series, seen_at)
    select uid, series_digest, series, first_seen from requests where series_digest is not null;
"""

DEEDS = """
create table deeds (
    bug bigint not null references bugs on delete cascade,
    who text not null,
    did text not null,
    at timestamptz not null
);
create index deeds_of on deeds (who, at);
create index deeds_in on deeds (bug);
comment on table deeds is
    'What people did about the bugs of uplift requests, dated, out of the bugs'' facts.';
comment on column deeds.who is 'Address, lower case.';

create function keep_deeds() returns trigger language plpgsql set search_path from current as $$
begin
    delete from deeds where bug = new.id;
    insert into deeds (bug, who, did, at)
    select new.id, lower(person->>'email'), deed->>'did', (deed->>'at')::timestamptz
    from jsonb_path_query(new.facts, 'lax $.contributors[*]') person,
        jsonb_path_query(person, 'lax $.deeds[*]') deed
    where person->>'email' is not null and deed->>'did' is not null and deed->>'at' is not null;
    return null;
end
$$;
create trigger keep_deeds_new after insert on bugs for each row execute function keep_deeds();
create trigger keep_deeds_changed after update of facts on bugs for each row
    when (old.facts->'contributors' is distinct from new.facts->'contributors') execute function keep_deeds();
insert into deeds (bug, who, did, at)
    select id, lower(person->>'email'), deed->>'did', (deed->>'at')::timestamptz
    from bugs, jsonb_path_query(facts, 'lax $.contributors[*]') person,
        jsonb_path_query(person, 'lax $.deeds[*]') deed
    where person->>'email' is not null and deed->>'did' is not null and deed->>'at' is not null;
"""

DETAILS = """
create table details (
    request text not null references requests on delete cascade,
    kind text not null check (kind in ('conflict', 'interdiff')),
    key text not null,
    content jsonb not null,
    made_at timestamptz not null,
    primary key (request, kind, key)
);
comment on table details is 'What a worker with the clone made for a request''s page.';
comment on column details.key is 'Of everything it depends on: what is there need not be made again.';

alter table wishes add column detail text not null default '';
comment on column wishes.detail is 'Which one of several: of an interdiff the digest of the older version.';
drop index wishes_open;
create unique index wishes_open on wishes (kind, subject, detail) where done_at is null;
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(VERSIONS, DEEDS, DETAILS)
