# SPDX-License-Identifier: MPL-2.0
"""Stops, build numbers and templates over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shipit.actions import stops as stopping
from shipit.actions.merge_days import MergeDay, merge_day
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.templates import TEMPLATES, make
from shipit.pipeline.types import Stop
from shipit.storage import pipelines
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer
from shipit.web.pipelines import ABSENT, BOTH, UID, Name, Text, now, part, person, refusal
from shipit.web.scopes import Right


class StopBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to stop, and why; without product and phase: everything."""

    reason: Text
    product: Name = ""
    phase: Name = ""


class RestartBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who must sign that it goes on."""

    policy: list[dict[str, int]]


class Restart(msgspec.Struct, frozen=True):
    """The signoff that ends a stop."""

    signoff: str


class BuildBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For which version a number is wanted."""

    product: Annotated[str, Meta(min_length=1, max_length=64)]
    version: Annotated[str, Meta(min_length=1, max_length=64)]


class Build(msgspec.Struct, frozen=True):
    """A build number nobody had."""

    product: str
    version: str
    build: int


@endpoint("GET", "/api/stops", Contract(right=Right.READ, summary="What is stopped", answer=list[Stop]))
async def list_stops(request: Asked) -> Answer:
    """The stops that stand."""
    async with house(request).database.connection() as connection:
        return json_answer(await pipelines.stops(connection))


@endpoint(
    "POST",
    "/api/stops",
    Contract(right=Right.USER, summary="Stop a product's phase, or everything", body=StopBody, answer=Stop),
)
async def stop(request: Asked) -> Answer:
    """Stop; nobody else need agree."""
    body = await reading.body(request, StopBody)
    async with house(request).database.connection() as connection:
        made = await stopping.stop(
            connection,
            person(request),
            product=body.product,
            phase=body.phase,
            reason=body.reason,
            now=now(),
        )
    return json_answer(made)


@endpoint(
    "POST",
    "/api/stops/{uid:str}/restart",
    Contract(
        right=Right.USER,
        summary="Ask that it goes on: the last signature on the signoff ends the stop",
        body=RestartBody,
        answer=Restart,
        statuses=BOTH,
        parts=UID,
    ),
)
async def restart(request: Asked) -> Answer:
    """Ask for signatures."""
    body = await reading.body(request, RestartBody)
    async with house(request).database.connection() as connection:
        signoff = await stopping.restart(
            connection, part(request), person(request), policy=body.policy, now=now()
        )
    return json_answer(Restart(signoff))


@endpoint(
    "POST",
    "/api/builds",
    Contract(right=Right.USER, summary="Give out the next build number", body=BuildBody, answer=Build),
)
async def next_build(request: Asked) -> Answer:
    """A number nobody had."""
    body = await reading.body(request, BuildBody)
    async with house(request).database.connection() as connection:
        number = await stopping.next_build(
            connection, person(request), product=body.product, version=body.version
        )
    return json_answer(Build(body.product, body.version, number))


@endpoint(
    "GET",
    "/api/templates",
    Contract(right=Right.READ, summary="Templates of pipelines", answer=dict[str, Any]),
)
async def list_templates(request: Asked) -> Answer:
    """The templates, with the values each wants."""
    shown = {
        name: {"description": each.description, "values": each.values} for name, each in TEMPLATES.items()
    }
    return json_answer(shown)


@endpoint(
    "POST",
    "/api/templates/{uid:str}",
    Contract(
        right=Right.READ,
        summary="The definition a template makes of these values; nothing is created",
        body=dict[str, Any],
        answer=dict[str, Any],
        statuses=ABSENT,
        parts=UID,
    ),
)
async def fill_template(request: Asked) -> Answer:
    """A definition, to be put."""
    values = await reading.body(request, dict[str, Any])
    try:
        return json_answer(make(part(request), values))
    except InvalidDefinition as error:
        return refusal(error)


@endpoint(
    "GET",
    "/api/merge-day",
    Contract(
        right=Right.READ,
        summary="The next merge day from the calendar: values of the template merge-day",
        answer=MergeDay,
        statuses=ABSENT,
    ),
)
async def next_merge_day(request: Asked) -> Answer:
    """Which merges, when, and why."""
    async with house(request).database.connection() as connection:
        return json_answer(merge_day(await pipelines.trains(connection)))


HANDLERS = [
    list_stops,
    stop,
    restart,
    next_build,
    list_templates,
    fill_template,
    next_merge_day,
]
