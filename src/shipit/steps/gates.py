# SPDX-License-Identifier: MPL-2.0
"""What holds a step that runs already and acts again and again: a stop, or a hold of its pipeline."""

from __future__ import annotations

from datetime import datetime

from shipit.pipeline.transition import applies
from shipit.pipeline.types import StepRow, Stop
from shipit.storage import pipelines
from shipit.storage.pool import Connection


async def held(connection: Connection, row: StepRow, now: datetime) -> Stop | str:
    """The stop that holds it, or why its pipeline is held, in words; empty: nothing does."""
    if row.pipeline is None:
        return ""
    found = await pipelines.load_many(connection, [row.pipeline], is_locked=False)
    if not found:
        return ""
    facts = found[0].facts
    step = facts.step_of(row.uid)
    for stop in facts.stops:
        if step is not None and applies(stop, facts, step):
            return stop
    return f"the pipeline is held by {facts.hold_by}: {facts.hold}" if facts.hold else ""
