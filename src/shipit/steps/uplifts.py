# SPDX-License-Identifier: MPL-2.0
"""A step that waits until every approved uplift of a train has landed, and lists those missing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shipit.pipeline.schema import Problem
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow
from shipit.steps.contract import Doors
from shipit.storage import steps

LOOK_SECONDS = 60.0
MOST_NAMED = 20
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["train"],
    "properties": {
        "train": {"type": "string", "minLength": 1, "maxLength": 64},
        "major": {"type": "integer", "minimum": 1, "description": "version; older approvals do not count"},
        "except": {"type": "array", "items": {"type": "integer"}, "description": "bugs that need not land"},
    },
}


def problems(parameters: Mapping[str, Any]) -> list[Problem]:
    """As the schema says."""
    return problems_of(dict(parameters), SCHEMA)


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """To be looked at."""
    return Progress(message=f"looks for the approved uplifts of {parameters['train']}", due_at=now)


def cancel(row: StepRow, now: datetime) -> Progress | None:
    """Nobody else knows of it."""
    # What had landed by then is what the build has that goes on without the rest.
    return Progress(status=Status.CANCELLED, message="cancelled", details=row.details, memory=row.memory)


async def look(row: StepRow, doors: Doors, now: datetime) -> Progress:
    """Done when nothing approved is missing. Restricted bugs are not even counted: anybody may look."""
    parameters = row.parameters
    if row.status is Status.SUCCESS:
        # What was built was built: what lands later is in the next build.
        return Progress(
            status=row.status, message=row.message, details=row.details, output=row.output, memory=row.memory
        )
    async with doors.database.connection() as connection:
        found = await steps.uplifts(connection, parameters["train"], parameters.get("major"))
    spared = set(parameters.get("except", ()))
    approved = [each for each in found if each.bug not in spared]
    landed = [each for each in approved if each.is_landed]
    missing = [each for each in approved if not each.is_landed and not each.is_closed]
    shown = sorted({each.bug for each in missing if not each.is_restricted})
    details = {
        "train": parameters["train"],
        "missing": shown,
        "contains": sorted({each.bug for each in landed if not each.is_restricted}),
    }
    # Memory is shown to nobody as it is.
    memory = {"contains": sorted({each.bug for each in landed}), "at": now.isoformat()}
    if not missing:
        message = f"all approved uplifts of {parameters['train']} have landed"
        output = {"bugs": details["contains"]}
        return Progress(status=Status.SUCCESS, message=message, details=details, output=output, memory=memory)
    names = [f"bug {bug}" for bug in shown[:MOST_NAMED]]
    if len(shown) > MOST_NAMED:
        names.append(f"{len(shown) - MOST_NAMED} more")
    told = f"approved and not landed on {parameters['train']}: {', '.join(names)}"
    message = told if names else f"waits for the approved uplifts of {parameters['train']} to land"
    details["who"] = f"whoever lands on {parameters['train']}"
    return Progress(
        message=message, details=details, memory=memory, due_at=now + timedelta(seconds=LOOK_SECONDS)
    )
