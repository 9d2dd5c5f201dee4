# SPDX-License-Identifier: MPL-2.0
"""Whoever has a page open sees at once that something was stopped, is asked to go on, or goes on."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0170_tell_of_stops"
down_revision = "0160_audit_whole"

STOPS = """
create function tell_of_stops() returns trigger language plpgsql set search_path from current as $$
begin
    -- Without ids: whichever pipeline it concerns.
    perform pg_notify(current_schema() || '_live',
        json_build_object('table', 'pipelines', 'trains', '[]'::json, 'ids', null)::text);
    return null;
end
$$;
create trigger tell_of_stops after insert or update on stops
    for each statement execute function tell_of_stops();
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(STOPS)
