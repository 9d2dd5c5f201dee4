# SPDX-License-Identifier: MPL-2.0
"""The events page: when a delivery reached us, how much each source brought, what failed found quickly."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0060_event_traces"
down_revision = "0051_board_lists"

EVENTS = """
alter table events add column heard_at timestamptz;
comment on column events.heard_at is 'When the delivery reached us, before it was stored.';
create index effects_in_quarantine on effects (event) where state = 'quarantined';
create index effects_failed on effects (event) where state = 'done' and task_state in ('failed', 'exception');
"""

COUNTS = """
create table source_counts (
    name text not null,
    bucket timestamptz not null,
    events integer not null default 0,
    repeated integer not null default 0,
    primary key (name, bucket)
);
comment on table source_counts is 'New events and repetitions of each source by ten minutes.';
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(EVENTS, COUNTS)
