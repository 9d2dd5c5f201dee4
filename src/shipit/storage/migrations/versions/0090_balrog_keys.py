# SPDX-License-Identifier: MPL-2.0
"""Keys for Balrog too, with which people sign there as themselves; the newest pipelines found at once."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0090_balrog_keys"
down_revision = "0081_views"

KEYS = """
alter table person_keys drop constraint person_keys_system_check;
alter table person_keys add constraint person_keys_system_check
    check (system in ('bugzilla', 'phabricator', 'balrog'));
"""

NEWEST = """
create index pipelines_newest on pipelines (created_at desc, uid desc) where parent is null;
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(KEYS, NEWEST)
