# SPDX-License-Identifier: MPL-2.0
"""A step that shuts updates of a product's channel off in Balrog: the first thing of a rollback.

It needs no signature in Balrog. Undoing it does, and is done there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shipit.errors import Refused
from shipit.pipeline.schema import Problem
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow
from shipit.steps.contract import Doors

_NAME = {"type": "string", "minLength": 1, "maxLength": 100}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["product", "channel"],
    "properties": {
        "product": {**_NAME, "description": "as Balrog spells it"},
        "channel": _NAME,
        "comment": {"type": "string", "maxLength": 500},
    },
}


def problems(parameters: Mapping[str, Any]) -> list[Problem]:
    """As the schema says."""
    return problems_of(dict(parameters), SCHEMA)


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """To be done."""
    where = f"{parameters['product']} on {parameters['channel']}"
    return Progress(message=f"about to shut off updates of {where}", due_at=now)


def cancel(row: StepRow, now: datetime) -> Progress | None:
    """It is done in a moment or not at all; undoing it is signed in Balrog."""
    return Progress(
        status=Status.CANCELLED, message="cancelled; what is shut off stays so", details=row.details
    )


async def look(row: StepRow, doors: Doors, now: datetime) -> Progress:
    """Shut off what is not, and see that it is."""
    if doors.balrog is None or not doors.balrog.can_write:
        message = "no Balrog to write to is configured (balrog_url, balrog_token)"
        return Progress(status=Status.FAILURE, message=message)
    product, channel = row.parameters["product"], row.parameters["channel"]
    try:
        if not await doors.balrog.is_shut_off(product, channel):
            comment = row.parameters.get("comment", f"rollback by {row.created_by}")
            await doors.balrog.shut_off(product, channel, comment)
    except Refused as error:
        if not await doors.balrog.is_shut_off(product, channel):
            return Progress(status=Status.FAILURE, message=error.detail)
    message = f"updates of {product} on {channel} are shut off"
    return Progress(
        status=Status.SUCCESS,
        message=message,
        details={"product": product, "channel": channel},
        output={"product": product, "channel": channel},
    )
