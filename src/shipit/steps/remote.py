# SPDX-License-Identifier: MPL-2.0
"""A step of another service that speaks the Step API, asked for under the same uid however often we ask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shipit.errors import InvalidInput, Missing, Refused
from shipit.pipeline.schema import Problem
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow
from shipit.steps.contract import Doors

FIRST_LOOK, LONGEST_LOOK = 1.0, 30.0
# A service may need a moment until it finds what it has taken.
MOST_MISSING = 3
# A request that was given up, or whose sender died, may still arrive; after this it does no more.
SETTLE = timedelta(seconds=15)
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["api_url"],
    "properties": {
        "api_url": {"type": "string", "pattern": r"^https?://[^\s@?#]+$", "maxLength": 2000},
        "parameters": {"type": "object"},
    },
}


def problems(parameters: Mapping[str, Any]) -> list[Problem]:
    """As the schema says; whether the host is allowed is the instance's setting, asked when it is put."""
    return problems_of(dict(parameters), SCHEMA)


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """Nothing was asked yet."""
    message = f"about to be asked for at {parameters['api_url']}"
    return Progress(message=message, memory={"phase": "new", "since": now.isoformat()}, due_at=now)


def cancel(row: StepRow, now: datetime) -> Progress | None:
    """Only the service can."""
    return None


async def look(row: StepRow, doors: Doors, now: datetime) -> Progress:
    """One call: create it, or cancel it, or ask how it stands."""
    if doors.services is None:
        return _ended(row, Status.FAILURE, "this runner has no way to ask other services")
    try:
        if row.wants_cancel and row.memory["phase"] != "cancelled":
            return await _cancel(row, doors, now)
        if row.memory["phase"] == "new":
            return await _create(row, doors, now)
        return await _follow(row, doors, now)
    except InvalidInput as error:
        return _ended(row, Status.FAILURE, error.detail)


async def _create(row: StepRow, doors: Doors, now: datetime) -> Progress:
    assert doors.services is not None
    try:
        said = await doors.services.put(_url(row), row.uid, row.parameters.get("parameters", {}))
    except (Refused, Missing) as error:
        return _ended(row, Status.FAILURE, error.detail)
    memory = {**row.memory, "phase": "asked", "asked": now.isoformat()}
    if said.status.is_end:
        # Its status has what came of it; the answer to PUT need not.
        return Progress(message="asked for", memory=memory, due_at=now)
    return Progress(
        message=said.message or f"runs at {_url(row)}",
        details=_details(row, said.details),
        memory=memory,
        due_at=now + timedelta(seconds=FIRST_LOOK),
    )


async def _cancel(row: StepRow, doors: Doors, now: datetime) -> Progress:
    assert doors.services is not None
    # From here on it is asked as often as in the beginning, however long it has run.
    memory = {**row.memory, "phase": "cancelled", "asked": now.isoformat()}
    soon = now + timedelta(seconds=FIRST_LOOK)
    try:
        # Also when nothing was created as far as we know: our PUT may have been taken all the same.
        said = await doors.services.delete(_url(row), row.uid)
    except Missing:
        if (settled := _settled_at(row, now)) > now:
            message = "being cancelled; its service knows no such step yet, and is asked again"
            kept = {**row.memory, "settled": settled.isoformat()}
            return Progress(message=message, details=row.details, memory=kept, due_at=settled)
        return _ended(row, Status.CANCELLED, "cancelled; its service knows no such step")
    except Refused as error:
        message = f"cannot be cancelled: {error.detail}"
        return Progress(message=message, details=row.details, memory=memory, due_at=soon)
    if said.status.is_end:
        return _ended(row, said.status, said.message or f"its service says {said.status.value}", said.output)
    message = said.message or "its service is cancelling it"
    return Progress(message=message, details=row.details, memory=memory, due_at=soon)


def _settled_at(row: StepRow, now: datetime) -> datetime:
    """When it is certain that no creation of ours is on its way; now, when none was ever sent."""
    if row.memory["phase"] != "new" or row.fence <= 1:
        return now
    known = row.memory.get("settled")
    return now + SETTLE if known is None else datetime.fromisoformat(known)


async def _follow(row: StepRow, doors: Doors, now: datetime) -> Progress:
    assert doors.services is not None
    try:
        said = await doors.services.status(_url(row), row.uid)
    except Missing:
        if row.status.is_end:
            return _ended(row, row.status, row.message, row.output)
        if row.memory["phase"] == "cancelled":
            return _ended(row, Status.CANCELLED, "cancelled and removed by its service")
        missing = int(row.memory.get("missing", 0)) + 1
        if missing >= MOST_MISSING:
            return _ended(row, Status.FAILURE, "its service took it and knows it no more")
        return Progress(
            message="its service does not know it yet",
            memory={**row.memory, "missing": missing},
            due_at=now + timedelta(seconds=FIRST_LOOK),
        )
    except Refused as error:
        return _ended(row, Status.FAILURE, error.detail)
    if said.status.is_end:
        # The contract has details only; a service that says no output of its own is read by those.
        ended = _ended(row, said.status, said.message, said.output or said.details)
        return Progress(
            status=ended.status,
            message=ended.message,
            details=_details(row, said.details),
            output=ended.output,
            memory=row.memory,
        )
    asked = datetime.fromisoformat(row.memory.get("asked") or row.memory["since"])
    # What runs long is asked less often: a tenth of the time it has run.
    pause = min(LONGEST_LOOK, max(FIRST_LOOK, (now - asked).total_seconds() / 10))
    return Progress(
        message=said.message or f"runs at {_url(row)}",
        details=_details(row, said.details),
        memory={**row.memory, "missing": 0},
        due_at=now + timedelta(seconds=pause),
    )


def _ended(row: StepRow, status: Status, message: str, output: dict[str, Any] | None = None) -> Progress:
    return Progress(
        status=status, message=message, details=row.details, output=output or {}, memory=row.memory
    )


def _details(row: StepRow, given: dict[str, Any]) -> dict[str, Any]:
    # Who can move it, and when it moves by itself, where the service says so as ours do.
    told = {name: given[name][:300] for name in ("who", "by") if isinstance(given.get(name), str)}
    return {"api_url": _url(row), "uid": row.uid, "service": given, **told}


def _url(row: StepRow) -> str:
    return str(row.parameters["api_url"])
