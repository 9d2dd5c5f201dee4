# SPDX-License-Identifier: MPL-2.0
"""A step that a person does and ticks off, with what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shipit.pipeline.schema import Problem
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow
from shipit.steps.contract import Doors

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "instructions": {"type": "string", "maxLength": 8000, "description": "what to do"},
        "group": {
            "type": "string",
            "maxLength": 64,
            "description": "who may tick it off; empty: whoever may act on its phase, if it has one",
        },
    },
}


def problems(parameters: Mapping[str, Any]) -> list[Problem]:
    """As the schema says."""
    return problems_of(dict(parameters), SCHEMA)


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """Waiting for a person."""
    group = parameters.get("group", "")
    who = f"a member of {group}" if group else "a person"
    return Progress(message=f"waits for {who} to do it", details={"who": who, **dict(parameters)})


def cancel(row: StepRow, now: datetime) -> Progress | None:
    """Nobody need do it any more."""
    return Progress(status=Status.CANCELLED, message="cancelled", details=row.details)


def finished(row: StepRow, *, by: str, is_done: bool, comment: str, output: dict[str, Any]) -> Progress:
    """How it stands when a person said so."""
    words = f"{'done' if is_done else 'could not be done'}, says {by}{f': {comment}' if comment else ''}"
    status = Status.SUCCESS if is_done else Status.FAILURE
    return Progress(status=status, message=words, details=row.details, output=output)


async def look(row: StepRow, doors: Doors, now: datetime) -> Progress:
    """There is nothing to see: a person tells."""
    return Progress(status=row.status, message=row.message, details=row.details, output=row.output)
