# SPDX-License-Identifier: MPL-2.0
"""Decisions about bugs that have no request: told live by their number, their audit found by it."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0120_decided_bugs"
down_revision = "0110_pipeline_stems"

AUDIT = """
create index decision_audit_of_bug on decision_audit (bug, id);
create index decision_parts_of_bug on decision_parts (bug);
"""

TELLING = """
create or replace function tell_decision() returns trigger language plpgsql set search_path from current as $$
declare
    trains text[];
    ids text[];
begin
    select array_agg(distinct train), array_agg(request) into trains, ids
    from decision_requests where decision = new.decision and bug = new.bug;
    if ids is null then
        trains := array(select d.wanted->>'train' from decisions d
            where d.uid = new.decision and d.wanted->>'train' <> '');
        ids := array['bug ' || new.bug];
    end if;
    perform note_change(tg_table_schema, 'decisions', trains, ids);
    return null;
end
$$;
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(AUDIT, TELLING)
