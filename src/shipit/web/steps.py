# SPDX-License-Identifier: MPL-2.0
"""The Step API for every kind we serve, and what people do to steps: sign, tick off."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shipit.actions import pipelines as pipeline_acts
from shipit.actions import steps as acts
from shipit.actions.showing import described_pipeline
from shipit.actions.steps import Described
from shipit.errors import Missing
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.links import PIPELINE
from shipit.pipeline.states import Status
from shipit.steps.kinds import KINDS
from shipit.storage import pipelines, steps
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer
from shipit.web.pipelines import (
    ABSENT,
    BOTH,
    Definition,
    Deleted,
    Page,
    StepBody,
    Text,
    hosts,
    now,
    page_of,
    part,
    person,
    put,
    refusal,
)
from shipit.web.scopes import Right

ROOT = "/steps/{kind:str}"
STEP = f"{ROOT}/{{uid:str}}"
PARTS = ("kind", "uid")


class StepQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which, how many, and after which uid."""

    status: Status | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=300)] = ""


class DoneBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a manual step."""

    done: bool = True
    comment: Text = ""
    output: dict[str, Any] = {}


@endpoint(
    "GET",
    ROOT,
    Contract(
        right=Right.READ,
        summary="Steps of a kind",
        query=StepQuery,
        answer=Page,
        statuses=ABSENT,
        parts=("kind",),
    ),
)
async def list_steps(request: Asked) -> Answer:
    """Steps in the order of their uids."""
    asked = reading.query(request, StepQuery)
    kind = _kind(request)
    more = {"status": asked.status, "after": asked.after, "limit": asked.limit + 1}
    async with house(request).database.connection() as connection:
        if kind == PIPELINE:
            rows = await pipelines.page(connection, product=None, **more)  # type: ignore[arg-type]
        else:
            rows = await steps.page(connection, kind, **more)  # type: ignore[arg-type]
    return json_answer(page_of(rows, asked.limit))


@endpoint(
    "PUT",
    STEP,
    Contract(
        right=Right.USER,
        summary="Create a step",
        body=StepBody,
        answer=Described,
        statuses=(HTTPStatus.CREATED, *BOTH),
        parts=PARTS,
    ),
)
async def put_step(request: Asked) -> Answer:
    """Create a step; the same again is no change, another body is refused."""
    kind, uid = _kind(request), part(request)
    body = await reading.body(request, StepBody)
    if kind == PIPELINE:
        return await put(request, uid, body.parameters)
    try:
        async with house(request).database.connection() as connection:
            row, is_new = await acts.create(
                connection,
                kind,
                uid,
                body.parameters,
                person(request),
                check_url=hosts(request).refusal,
                now=now(),
            )
            shown = await acts.show(connection, row, now())
    except InvalidDefinition as error:
        return refusal(error)
    return json_answer(shown, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@endpoint(
    "DELETE",
    STEP,
    Contract(
        right=Right.USER,
        summary="Cancel a step that runs; remove one that has ended",
        answer=Deleted,
        statuses=BOTH,
        parts=PARTS,
    ),
)
async def delete_step(request: Asked) -> Answer:
    """Cancel or remove, and say which."""
    kind, uid = _kind(request), part(request)
    async with house(request).database.connection() as connection:
        if kind == PIPELINE:
            stored, what = await pipeline_acts.delete(connection, uid, person(request), now=now())
            return json_answer(Deleted(uid, stored.status, what))
        shown, what = await acts.delete(connection, kind, uid, person(request), now=now())
    return json_answer(Deleted(uid, shown.status, what))


@endpoint(
    "GET",
    f"{STEP}/definition",
    Contract(
        right=Right.READ, summary="A step as it was put", answer=Definition, statuses=ABSENT, parts=PARTS
    ),
)
async def read_definition(request: Asked) -> Answer:
    """The definition."""
    kind, uid = _kind(request), part(request)
    async with house(request).database.connection() as connection:
        if kind == PIPELINE:
            given = await pipeline_acts.put_as(connection, uid)
        else:
            given = (await acts.read(connection, kind, uid)).parameters
    return json_answer(Definition(uid, given))


@endpoint(
    "GET",
    f"{STEP}/status",
    Contract(right=Right.READ, summary="How a step stands", answer=Described, statuses=ABSENT, parts=PARTS),
)
async def read_status(request: Asked) -> Answer:
    """The status."""
    kind, uid = _kind(request), part(request)
    async with house(request).database.connection() as connection:
        if kind == PIPELINE:
            return json_answer(described_pipeline(await pipeline_acts.load(connection, uid), now()))
        row = await acts.read(connection, kind, uid)
        return json_answer(await acts.show(connection, row, now()))


@endpoint(
    "PUT",
    f"{STEP}/done",
    Contract(
        right=Right.USER,
        summary="Tick a manual step off, or say that it could not be done",
        body=DoneBody,
        answer=Described,
        statuses=BOTH,
        parts=PARTS,
    ),
)
async def finish(request: Asked) -> Answer:
    """Tick off."""
    only(request, "manual")
    body = await reading.body(request, DoneBody)
    async with house(request).database.connection() as connection:
        row = await acts.finish(
            connection,
            part(request),
            person(request),
            is_done=body.done,
            comment=body.comment,
            output=body.output,
            now=now(),
        )
        return json_answer(await acts.show(connection, row, now()))


HANDLERS = [
    list_steps,
    put_step,
    delete_step,
    read_definition,
    read_status,
    finish,
]


def _kind(request: Asked) -> str:
    kind = part(request, "kind")
    if kind != PIPELINE and kind not in KINDS:
        known = ", ".join((*KINDS, PIPELINE))
        raise Missing(f"there is no kind of step {kind[:60]!r}; there are {known}")
    return kind


def only(request: Asked, kind: str) -> None:
    if _kind(request) != kind:
        raise Missing(f"only a {kind} step has this")
