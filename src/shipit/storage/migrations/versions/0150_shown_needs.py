# SPDX-License-Identifier: MPL-2.0
"""The bugs that a request needs, as whoever may not see security bugs reads them: 0 stands for such a one."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0150_shown_needs"
down_revision = "0140_page_indexes"

SHOWN_NEEDS = """
create function shown_needs(needs bigint[], see_restricted boolean) returns bigint[] language sql stable as $$
    select case when see_restricted then needs else coalesce((
        select array_agg(case when b.is_restricted then 0 else n.bug end order by n.place)
        from unnest(needs) with ordinality n(bug, place) left join bugs b on b.id = n.bug), needs) end
$$;
comment on function shown_needs is 'Bug numbers with 0 for each security bug, unless those may be seen.';
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(SHOWN_NEEDS)
