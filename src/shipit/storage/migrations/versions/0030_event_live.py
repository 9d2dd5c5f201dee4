# SPDX-License-Identifier: MPL-2.0
"""Open pages hear of the journal; rows written again as they were, such as claims, are no change."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0030_event_live"
down_revision = "0020_pipelines"

# Row by row, as a statement's tables would copy every body; the same words are told once for a transaction.
# No version is counted: the journal moves many times a second, and pages of requests do not show it.
TELLING = """
create function tell_events() returns trigger language plpgsql set search_path from current as $$
begin
    perform pg_notify(tg_table_schema || '_live', '{"table": "events", "trains": [], "ids": []}');
    return null;
end
$$;
create trigger tell_new after insert on events for each row execute function tell_events();
create trigger tell_judged after update of state, reason on events for each row
    when (old.state is distinct from new.state or old.reason is distinct from new.reason)
    execute function tell_events();
create trigger tell_new after insert on effects for each row execute function tell_events();
create trigger tell_moved after update of state, error, task_state on effects for each row
    when (old.state is distinct from new.state or old.error is distinct from new.error
        or old.task_state is distinct from new.task_state)
    execute function tell_events();
create trigger tell_new after insert on event_sources for each row execute function tell_events();
create trigger tell_reached after update of is_connected, error on event_sources for each row
    when (old.is_connected is distinct from new.is_connected or old.error is distinct from new.error)
    execute function tell_events();
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(TELLING)
