# SPDX-License-Identifier: MPL-2.0
"""What the originals' dialects share: their words for states, their errors, the same rows underneath."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from shipit.actions import steps as acts
from shipit.errors import InvalidInput, Refused
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.states import Status
from shipit.pipeline.types import StepRow
from shipit.storage import steps
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, house, json_answer
from shipit.web.pipelines import BOTH, hosts, now, part, person, refusal
from shipit.web.scopes import Right

OLD_WORD = {
    Status.IN_PROGRESS: "running",
    Status.SUCCESS: "completed",
    Status.FAILURE: "failed",
    # The originals had no cancelled; this is the nearest.
    Status.CANCELLED: "exception",
}
NEW_WORD = {
    **dict.fromkeys(("pending", "starting", "running", "stopping"), Status.IN_PROGRESS),
    "completed": Status.SUCCESS,
    "failed": Status.FAILURE,
    "exception": Status.CANCELLED,
}
MOST = 1000


class StateQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of which state."""

    state: str = "running"


def reads(summary: str, answer: Any, **more: Any) -> Contract:
    """The contract of a route that reads."""
    return Contract(right=Right.READ, summary=summary, answer=answer, **more)


def writes(summary: str, **more: Any) -> Contract:
    """The contract of a route that writes."""
    return Contract(right=Right.USER, summary=summary, answer=dict[str, Any], statuses=BOTH, **more)


async def put_step(request: Asked, kind: str, parameters: dict[str, Any]) -> Answer:
    """Create a step of a kind."""
    refuse = hosts(request).refusal
    try:
        async with house(request).database.connection() as connection:
            await acts.create(
                connection, kind, part(request), parameters, person(request), check_url=refuse, now=now()
            )
    except InvalidDefinition as error:
        return refusal(error)
    except Refused as error:
        return conflict(error)
    return json_answer({})


async def delete_step(request: Asked, kind: str) -> Answer:
    """Cancel or remove a step of a kind."""
    async with house(request).database.connection() as connection:
        await acts.delete(connection, kind, part(request), person(request), now=now())
    return json_answer({})


async def row_of(request: Asked, kind: str) -> StepRow:
    """The step that the path names."""
    async with house(request).database.connection() as connection:
        return await acts.read(connection, kind, part(request))


async def of_state(request: Asked, connection: Any, kind: str) -> list[StepRow]:
    """The first thousand steps of the state that is asked for."""
    state = reading.query(request, StateQuery).state
    if state not in NEW_WORD:
        raise InvalidInput("state", expected=f"one of {', '.join(NEW_WORD)}", got=state)
    rows = await steps.page(connection, kind, status=NEW_WORD[state], after="", limit=MOST)
    found = [await steps.read(connection, kind, row.uid) for row in rows]
    return [row for row in found if row is not None]


def conflict(error: Refused) -> Answer:
    """409 as the originals worded it."""
    shown = {"error_title": "Conflict", "error_message": error.detail}
    return json_answer(shown, HTTPStatus.CONFLICT)
