# SPDX-License-Identifier: MPL-2.0
"""A step that mirrors a scheduled change of Balrog; it is signed there, by persons with their own roles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shipit.errors import Missing
from shipit.pipeline.schema import Problem
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow
from shipit.steps import balrog_signing
from shipit.steps.contract import Doors

LOOK_SECONDS = 30.0
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["object", "sc_id"],
    "properties": {
        "object": {"enum": ["rules", "releases", "permissions", "emergency_shutoff", "pinnable_releases"]},
        "sc_id": {"type": "integer", "minimum": 1},
    },
}


def problems(parameters: Mapping[str, Any]) -> list[Problem]:
    """As the schema says."""
    return problems_of(dict(parameters), SCHEMA)


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """To be looked at."""
    return Progress(message=f"looks at Balrog's scheduled change {parameters['sc_id']}", due_at=now)


def cancel(row: StepRow, now: datetime) -> Progress | None:
    """Only the watching ends: the change is Balrog's, and taken back there."""
    message = "no longer watched; the scheduled change itself stands in Balrog"
    return Progress(status=Status.CANCELLED, message=message, details=row.details)


async def look(row: StepRow, doors: Doors, now: datetime) -> Progress:
    """Done when Balrog made the change; until then who must sign there, and when it may happen."""
    if doors.balrog is None:
        return Progress(status=Status.FAILURE, message="no Balrog is configured here (steps.balrog_url)")
    kind, number = row.parameters["object"], row.parameters["sc_id"]
    try:
        found = await doors.balrog.scheduled_change(kind, number)
    except Missing:
        message = f"Balrog has no scheduled change {number} of {kind}: it was never made, or taken back"
        return Progress(status=Status.FAILURE, message=message, details=row.details)
    memory = dict(row.memory)
    wrong: list[str] = []
    if not found.is_complete:
        found, wrong = await balrog_signing.sign_wanted(kind, found, doors.balrog, doors, memory)
    details = balrog_signing.details(kind, found, doors.balrog.url)
    if found.is_complete:
        return Progress(
            status=Status.SUCCESS, message="Balrog made the change", details=details, output={"sc_id": number}
        )
    due_at = now + timedelta(seconds=LOOK_SECONDS)
    message = "; ".join([balrog_signing.waits(found, now), *wrong])
    return Progress(message=message, details=details, memory=memory, due_at=due_at)
