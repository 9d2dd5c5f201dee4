# SPDX-License-Identifier: MPL-2.0
"""What of a train's cycle is over."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0100_train_cycles"
down_revision = "0090_balrog_keys"

PASSED = """
alter table trains add column passed jsonb not null default '[]';
comment on column trains.passed is 'Moments of its cycle that are over; the first is its beginning.';
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(PASSED)
