# SPDX-License-Identifier: MPL-2.0
"""Every note about a contributor is kept with its author; people of restricted bugs are found quickly."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0080_people_notes"
down_revision = "0070_evidence"

NOTES = """
create table people_notes (
    id bigint generated always as identity primary key,
    person bigint not null references people,
    at timestamptz not null default now(),
    by text not null,
    what text not null check (what in ('noted', 'expired')),
    karma integer not null,
    comment_public text not null,
    comment_private text not null,
    expires_at timestamptz not null
);
create index people_notes_of on people_notes (person, id);
comment on table people_notes is 'Who noted what about whom, and until when it holds; only added to.';

insert into people_notes (person, at, by, what, karma, comment_public, comment_private, expires_at)
select id, noted_at, coalesce(noted_by, ''), 'noted', karma, comment_public, comment_private, expires_at
from people where noted_at is not null and expires_at is not null;

create function people_notes_stay() returns trigger language plpgsql as $$
begin
    raise exception 'notes about people are only added to';
end
$$;
create trigger people_notes_stay before update or delete on people_notes
    for each row execute function people_notes_stay();
"""

OF_BUGS = """
create index bugs_of_people on bugs using gin ((facts->'contributors') jsonb_path_ops)
    where not is_restricted;
comment on index bugs_of_people is 'Whether somebody is known from a bug that everybody may see.';
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(NOTES, OF_BUGS)
