# SPDX-License-Identifier: MPL-2.0
"""Pipelines over HTTP: the verbs of the Step API, and what people do to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Response
from msgspec import Meta

from shipit.actions import pipelines as acts
from shipit.actions.contents import Contents, contents
from shipit.actions.persons import Actor, Known, actor
from shipit.actions.showing import described_pipeline, show
from shipit.actions.steps import Described
from shipit.errors import InvalidInput
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.states import Event, Status
from shipit.settings import Login
from shipit.steps.hosts import Hosts
from shipit.storage import pipelines
from shipit.storage.pool import Connection
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, viewer
from shipit.web.problems import MEDIA_TYPE
from shipit.web.scopes import Right
from shipit.web.viewer import Viewer

ROOT = "/api/pipelines"
CONFLICT = (HTTPStatus.CONFLICT,)
ABSENT = (HTTPStatus.NOT_FOUND,)
BOTH = (*ABSENT, *CONFLICT)
UID = ("uid",)

Text = Annotated[str, Meta(max_length=4000)]
Name = Annotated[str, Meta(max_length=64)]


class StepBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a step is asked to do."""

    parameters: dict[str, Any]


class PipelineQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which, how many, and after which uid."""

    status: Status | None = None
    product: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=300)] = ""


class Line(msgspec.Struct, frozen=True):
    """A step in a list."""

    uid: str
    status: Status
    updated: datetime


class Page(msgspec.Struct, frozen=True):
    """Some steps; next: give it as `after` for more, null at the end."""

    steps: tuple[Line, ...]
    next: str | None


class Definition(msgspec.Struct, frozen=True):
    """What was put."""

    uid: str
    parameters: dict[str, Any]


class Deleted(msgspec.Struct, frozen=True):
    """How it stands, and what was done."""

    uid: str
    status: Status
    message: str


class Because(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: Text = ""


def person(request: Asked) -> Actor:
    """Who asks, as somebody who acts."""
    return behind(viewer(request), house(request).settings.login)


def behind(who: Viewer, login: Login) -> Actor:
    """The person behind whoever asks, as far as that is known."""
    known = Known(frozenset(login.providers), login.aliases)
    if who.client_id is not None and who.login_client is not None:
        return Actor(login.aliases.get(who.client_id, who.client_id), who.login_client, who.scopes)
    return actor(who.client_id or "", who.scopes, known)


def hosts(request: Asked) -> Hosts:
    """Where step services may be."""
    settings = house(request).settings.steps
    return Hosts(settings.allowed_hosts, settings.allow_loopback)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def refusal(error: InvalidDefinition) -> Answer:
    """A problem document that names every problem with its JSON pointer."""
    shown = {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": error.detail,
        "problems": [msgspec.structs.asdict(each) for each in error.problems[:200]],
    }
    return Response(
        msgspec.json.encode(shown),
        status_code=400,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store"},
    )


def page_of(rows: list[pipelines.Listed], limit: int) -> Page:
    """A page out of one row more than it holds."""
    lines = tuple(Line(row.uid, row.status, row.updated) for row in rows[:limit])
    return Page(lines, lines[-1].uid if len(rows) > limit else None)


def part(request: Asked, name: str = "uid") -> str:
    """A part of the path."""
    return reading.name(request.path_params[name], name)


@endpoint("GET", ROOT, Contract(right=Right.READ, summary="Pipelines", query=PipelineQuery, answer=Page))
async def list_pipelines(request: Asked) -> Answer:
    """Pipelines in the order of their uids."""
    asked = reading.query(request, PipelineQuery)
    async with house(request).database.connection() as connection:
        rows = await pipelines.page(
            connection,
            status=asked.status,
            product=asked.product,
            after=asked.after,
            limit=asked.limit + 1,
        )
    return json_answer(page_of(rows, asked.limit))


@endpoint(
    "PUT",
    f"{ROOT}/{{uid:str}}",
    Contract(
        right=Right.USER,
        summary="Create a pipeline: {steps: […]}, or {parameters: {steps: […]}}",
        body=dict[str, Any],
        answer=Described,
        statuses=(HTTPStatus.CREATED, *CONFLICT),
        parts=UID,
    ),
)
async def put_pipeline(request: Asked) -> Answer:
    """Create a pipeline; the same again is no change."""
    given = await reading.body(request, dict[str, Any])
    if set(given) == {"parameters"} and isinstance(given["parameters"], dict):
        given = given["parameters"]
    return await put(request, part(request), given)


async def put(request: Asked, uid: str, given: dict[str, Any]) -> Answer:
    """Create a pipeline, whichever door it came by."""
    try:
        async with house(request).database.connection() as connection:
            stored, is_new = await acts.create(
                connection, uid, given, person(request), check_url=hosts(request).refusal, now=now()
            )
    except InvalidDefinition as error:
        return refusal(error)
    status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
    return json_answer(described_pipeline(stored, now()), status)


@endpoint(
    "DELETE",
    f"{ROOT}/{{uid:str}}",
    Contract(
        right=Right.USER,
        summary="Cancel a pipeline that runs; remove one that has ended",
        answer=Deleted,
        statuses=ABSENT,
        parts=UID,
    ),
)
async def delete_pipeline(request: Asked) -> Answer:
    """Cancel or remove, and say which."""
    async with house(request).database.connection() as connection:
        stored, what = await acts.delete(connection, part(request), person(request), now=now())
    return json_answer(Deleted(stored.facts.uid, stored.status, what))


@endpoint(
    "GET",
    f"{ROOT}/{{uid:str}}/definition",
    Contract(
        right=Right.READ, summary="A pipeline as it was put", answer=Definition, statuses=ABSENT, parts=UID
    ),
)
async def read_definition(request: Asked) -> Answer:
    """The definition."""
    uid = part(request)
    async with house(request).database.connection() as connection:
        given = await acts.put_as(connection, uid)
    return json_answer(Definition(uid, given))


@endpoint(
    "GET",
    f"{ROOT}/{{uid:str}}/status",
    Contract(
        right=Right.READ,
        summary="How a pipeline and each of its steps stands, why, who can move it, by when",
        answer=Described,
        statuses=ABSENT,
        parts=UID,
    ),
)
async def read_status(request: Asked) -> Answer:
    """The status."""
    async with house(request).database.connection() as connection:
        stored = await acts.load(connection, part(request))
        return json_answer(await show(connection, stored, now()))


@endpoint(
    "GET",
    f"{ROOT}/{{uid:str}}/history",
    Contract(right=Right.READ, summary="Who did what when and why", answer=list[pipelines.Event], parts=UID),
)
async def read_history(request: Asked) -> Answer:
    """The audit of a pipeline, also of one that was removed."""
    async with house(request).database.connection() as connection:
        return json_answer(await pipelines.history(connection, part(request)))


@endpoint(
    "GET",
    f"{ROOT}/{{uid:str}}/uplifts",
    Contract(
        right=Right.READ,
        summary="Which uplifts a build contains, and which are approved and not landed",
        answer=Contents,
        statuses=ABSENT,
        parts=UID,
    ),
)
async def read_uplifts(request: Asked) -> Answer:
    """As far as whoever asks may see the bugs."""
    audience = viewer(request).audience
    async with house(request).database.connection() as connection:
        stored = await acts.load(connection, part(request))
        found = await contents(
            connection,
            stored,
            sees_restricted=audience.sees_restricted,
            counts_restricted=audience.counts_restricted,
        )
    return json_answer(found)


_VERBS = {
    "retry": Event.RETRY_ASKED,
    "skip": Event.SKIP_ASKED,
    "unskip": Event.UNSKIP_ASKED,
    "cancel": Event.CANCEL_ASKED,
    "rerun": Event.RERUN_ASKED,
}
_CHANGED = Contract(
    right=Right.USER,
    summary="Hold a pipeline, with a reason; without one it goes on",
    body=Because,
    answer=Described,
    statuses=BOTH,
    parts=UID,
)


@endpoint(
    "POST",
    f"{ROOT}/{{uid:str}}/rollback/{{phase:str}}",
    Contract(
        right=Right.USER,
        summary="Take a phase back: hold the pipeline, start its plan as a pipeline of its own",
        body=Because,
        answer=Described,
        statuses=BOTH,
        parts=("uid", "phase"),
    ),
)
async def roll_back(request: Asked) -> Answer:
    """Start the plan; asked again, the same plan goes on."""
    because = await reading.body(request, Because)
    uid, phase, by, refuse = part(request), part(request, "phase"), person(request), hosts(request).refusal
    return await _after(
        request,
        lambda connection: acts.rollback(
            connection, uid, phase, by, reason=because.reason, check_url=refuse, now=now()
        ),
    )


@endpoint("POST", f"{ROOT}/{{uid:str}}/hold", _CHANGED)
async def hold_pipeline(request: Asked) -> Answer:
    """Hold it, or let it go on."""
    because = await reading.body(request, Because)
    uid, by = part(request), person(request)
    return await _after(
        request, lambda connection: acts.hold(connection, uid, by, reason=because.reason, now=now())
    )


@endpoint(
    "POST",
    f"{ROOT}/{{uid:str}}/steps/{{step:str}}/{{verb:str}}",
    Contract(
        right=Right.USER,
        summary="Retry, rerun, skip, unskip, cancel or release a step",
        body=Because,
        answer=Described,
        statuses=BOTH,
        parts=("uid", "step", "verb"),
    ),
)
async def change_step(request: Asked) -> Answer:
    """What a person does to one step."""
    because = await reading.body(request, Because)
    uid, step, verb, by = part(request), part(request, "step"), part(request, "verb"), person(request)
    if verb == "release":
        return await _after(request, lambda connection: acts.release(connection, uid, step, by, now=now()))
    if verb not in _VERBS:
        raise InvalidInput("verb", expected=f"one of release, {', '.join(_VERBS)}", got=verb)
    return await _after(
        request,
        lambda connection: acts.change_step(
            connection, uid, step, _VERBS[verb], by, reason=because.reason, now=now()
        ),
    )


async def _after(request: Asked, act: Callable[[Connection], Awaitable[pipelines.Stored]]) -> Answer:
    async with house(request).database.connection() as connection:
        stored = await act(connection)
    return json_answer(described_pipeline(stored, now()))


HANDLERS = [
    list_pipelines,
    put_pipeline,
    delete_pipeline,
    read_definition,
    read_status,
    read_history,
    read_uplifts,
    hold_pipeline,
    roll_back,
    change_step,
]
