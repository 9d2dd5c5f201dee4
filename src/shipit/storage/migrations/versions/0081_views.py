# SPDX-License-Identifier: MPL-2.0
"""Saved views of the board."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0081_views"
down_revision = "0080_people_notes"

VIEWS = """
create table views (
    uid text primary key,
    owner text not null,
    name text not null,
    train text,
    query text not null default '',
    is_shared boolean not null default false,
    made_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    revision_no bigint not null default 1
);
create unique index views_by_name on views (owner, lower(name));
create index views_shared on views (lower(name)) where is_shared;
comment on table views is
    'Filters of the board that somebody gave a name; shared ones are for all who log in.';
comment on column views.query is 'What stands in the address after the question mark.';
comment on column views.train is 'Which train it is of; null: of the one that is shown.';
comment on column views.revision_no is 'Optimistic locking.';
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(VIEWS)
