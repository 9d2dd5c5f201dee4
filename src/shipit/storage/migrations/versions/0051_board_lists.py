# SPDX-License-Identifier: MPL-2.0
"""The lists of the board that are searched for in Bugzilla, and the bugs on them."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0051_board_lists"
down_revision = "0050_advice"

LISTS = """
create table board_lists (
    train text not null references trains,
    list text not null,
    looked_at timestamptz not null,
    read_at timestamptz,
    unavailable_since timestamptz,
    unavailable_reason text,
    primary key (train, list)
);
comment on table board_lists is 'What is searched for in Bugzilla for each train, and how that went.';
comment on column board_lists.looked_at is 'When it was last tried; an older report changes nothing.';
comment on column board_lists.read_at is 'When it was last read; null while it never was.';

create table board_bugs (
    train text not null,
    list text not null,
    bug bigint not null,
    since timestamptz not null,
    sentence text not null,
    -- Private until somebody says otherwise.
    is_restricted boolean not null default true,
    facts jsonb not null,
    primary key (train, list, bug),
    foreign key (train, list) references board_lists on delete cascade
);
comment on table board_bugs is 'Bugs on searched lists; one without a request has no row in bugs.';
comment on column board_bugs.since is 'When we first saw it there.';
"""

# Told with each report, whatever it changed: the moment of telling then says nothing about hidden bugs.
LIVE = """
create function note_lists() returns trigger language plpgsql set search_path from current as $$
begin
    perform note_change(tg_table_schema, tg_table_name,
        coalesce((select array_agg(distinct train) from after), '{}'),
        coalesce((select array_agg(distinct train) from after), '{}'));
    return null;
end
$$;
create trigger note_insert after insert on board_lists
    referencing new table as after for each statement execute function note_lists();
create trigger note_update after update on board_lists
    referencing new table as after for each statement execute function note_lists();
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(LISTS, LIVE)
