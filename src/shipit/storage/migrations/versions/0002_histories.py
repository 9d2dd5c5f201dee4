# SPDX-License-Identifier: MPL-2.0
"""A trial made again keeps the earlier one; notes are locked; wishes and rounds are told live."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0002_histories"
down_revision = "0001_uplift"

TRIALS = """
alter table trials alter column key drop not null;
alter table trials drop constraint trials_pkey;
alter table trials add primary key (request, train, tip, series_digest, tried_at);
"""

PEOPLE = """
alter table people add column revision_no bigint not null default 1;
comment on column people.revision_no is 'Optimistic locking of what was noted.';
"""

TRAINS = """
alter table trains add column number integer generated always as identity unique;
comment on column trains.number is 'What /compat/uplift calls the id of an analysis.';
alter table trains add column tip_reason text;
alter table trains add column absent_since timestamptz, add column note text;
comment on column trains.absent_since is 'Since when the schedule does not name it; it may have ended.';
comment on column trains.note is 'What people should know of how the version was found.';
comment on column trains.tip_reason is 'Why the clone could not be read; tip is then the last that was.';
"""

LIVE = """
create function note_wish() returns trigger language plpgsql set search_path from current as $$
begin
    perform note_change(tg_table_schema, tg_table_name,
        coalesce((select array_agg(train) from requests where uid = new.subject), '{}'), array[new.subject]);
    return null;
end
$$;
create trigger note_wish after insert or update on wishes for each row execute function note_wish();

create function note_round() returns trigger language plpgsql set search_path from current as $$
begin
    perform note_change(tg_table_schema, tg_table_name, '{}', array[new.uid]);
    return null;
end
$$;
create trigger note_round after insert or update on rounds for each row execute function note_round();
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(TRIALS, PEOPLE, TRAINS, LIVE)
