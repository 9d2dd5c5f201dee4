# SPDX-License-Identifier: MPL-2.0
"""What a request's page reads is found by indexes: its wishes, who is noted by their address, listed bugs."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0140_page_indexes"
down_revision = "0130_search"

INDEXES = """
create index wishes_of on wishes (subject, kind, detail, asked_at desc);
create index people_by_address on people (lower(email));
create index board_bugs_of on board_bugs (bug);
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(INDEXES)
