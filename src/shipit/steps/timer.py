# SPDX-License-Identifier: MPL-2.0
"""A step that succeeds at a time, or after a while."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shipit.pipeline.schema import Problem, moment
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow
from shipit.steps.contract import Doors

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "seconds": {"type": "number", "minimum": 0, "maximum": 31536000, "description": "how long"},
        "until": {"type": "string", "description": "or until when (RFC 3339)"},
    },
}


def problems(parameters: Mapping[str, Any]) -> list[Problem]:
    """Exactly one of seconds and until, the latter a time with its offset."""
    found = problems_of(dict(parameters), SCHEMA)
    if not found and len(parameters) != 1:
        found.append(Problem("", "either seconds or until"))
    if not found and "until" in parameters and moment(parameters["until"]) is None:
        found.append(Problem("/until", "a time with its offset (RFC 3339)", repr(parameters["until"])[:80]))
    return found


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """Waiting."""
    ends = moment(parameters["until"]) if "until" in parameters else None
    ends = ends or now + timedelta(seconds=float(parameters.get("seconds", 0)))
    return Progress(
        message=f"until {ends:%Y-%m-%d %H:%M:%S %Z}",
        details={"by": ends.isoformat()},
        due_at=ends,
        memory={"ends": ends.isoformat()},
    )


def cancel(row: StepRow, now: datetime) -> Progress | None:
    """Nobody else knows of it."""
    return Progress(status=Status.CANCELLED, message="cancelled", memory=row.memory)


async def look(row: StepRow, doors: Doors, now: datetime) -> Progress:
    """Done when the time is reached."""
    ends = datetime.fromisoformat(row.memory["ends"])
    if now < ends:
        return Progress(message=row.message, details=row.details, memory=row.memory, due_at=ends)
    return Progress(status=Status.SUCCESS, message="the time is reached", memory=row.memory)
