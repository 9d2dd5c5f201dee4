# SPDX-License-Identifier: MPL-2.0
"""${message}"""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "${up_revision}"
down_revision = ${repr(down_revision)}

STATEMENTS = """
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(STATEMENTS)
