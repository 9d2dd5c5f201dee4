# SPDX-License-Identifier: MPL-2.0
"""The audit of pipelines is not emptied either: a trigger for each row sees no truncate."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0160_audit_whole"
down_revision = "0150_shown_needs"

WHOLE = """
create trigger audit_stays_whole before truncate on audit
    for each statement execute function audit_stays();
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(WHOLE)
