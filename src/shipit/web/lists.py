# SPDX-License-Identifier: MPL-2.0
"""What people read: trains, requests, bugs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Hashable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shipit.errors import Missing
from shipit.merge.types import Outcome
from shipit.storage import advice, bugs, requests, trains, visibility
from shipit.storage.advice import Advised
from shipit.storage.pool import Connection
from shipit.storage.requests import Shown
from shipit.web import bodies, reading
from shipit.web.advising import advice_answer
from shipit.web.answers import BugAnswer, RequestAnswer, RequestsAnswer, TrainsAnswer
from shipit.web.house import Answer, Asked, Contract, endpoint, house, viewer
from shipit.web.scopes import Right
from shipit.web.viewer import Audience

_ADDRESS = re.compile(r"[^@\s]{1,200}@[^@\s]{1,200}")


class RequestsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests. after: `next` of the page before."""

    train: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    state: Shown = Shown.OPEN
    outcome: Outcome | None = None
    untried: bool = False
    bug: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None = None
    after: Annotated[str, Meta(min_length=1, max_length=300)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 500


async def versioned(
    request: Asked,
    key: Hashable,
    make: Callable[[Connection, Audience], Awaitable[bytes]],
) -> Answer:
    """A body that everybody of one audience shares, made anew only when the data changed."""
    return bodies.answer(request, await kept(request, key, make))


async def kept(
    request: Asked,
    key: Hashable,
    make: Callable[[Connection, Audience], Awaitable[bytes]],
    *,
    audience: Audience | None = None,
) -> bodies.Body:
    """The body by itself. audience: for whom it is; None: for whoever asks."""
    things = house(request)
    audience = audience or viewer(request).audience
    async with things.database.connection() as connection:
        version = await visibility.version(connection)
        return await things.bodies.get((key, audience), version, lambda: make(connection, audience))


@endpoint(
    "GET",
    "/api/trains",
    Contract(
        right=Right.READ,
        summary="The trains, each with what is open on it; a count is null where it could not be read",
        answer=TrainsAnswer,
    ),
)
async def list_trains(request: Asked) -> Answer:
    """The trains."""

    async def make(connection: Connection, audience: Audience) -> bytes:
        return await trains.listed(
            connection,
            see_restricted=audience.sees_restricted,
            count_restricted=audience.counts_restricted,
            see_addresses=audience.sees_addresses,
        )

    return await versioned(request, "trains", make)


@endpoint(
    "GET",
    "/api/requests",
    Contract(
        right=Right.READ,
        summary="Requests in slim rows, by train and newest bug",
        query=RequestsQuery,
        answer=RequestsAnswer,
    ),
)
async def list_requests(request: Asked) -> Answer:
    """A page of requests."""
    query = reading.query(request, RequestsQuery)

    async def make(connection: Connection, audience: Audience) -> bytes:
        return await requests.listed(
            connection,
            see_restricted=audience.sees_restricted,
            see_addresses=audience.sees_addresses,
            train=query.train,
            bug=query.bug,
            state=query.state,
            outcome=query.outcome,
            is_untried=query.untried,
            after=query.after,
            limit=query.limit,
        )

    return await versioned(request, ("requests", query), make)


@endpoint(
    "GET",
    "/api/requests/{uid:str}",
    Contract(right=Right.READ, summary="One request whole", answer=RequestAnswer, parts=("uid",)),
)
async def read_request(request: Asked) -> Answer:
    """One request with its form, series, history and newest trials."""
    content, revision = await request_content(request, reading.name(request.path_params["uid"], "uid"))
    return bodies.answer(request, bodies.single(content), revision=revision)


async def request_content(request: Asked, uid: str) -> tuple[bytes, int]:
    """A request as JSON for whoever asks, and its bug's revision. Raises Missing."""
    audience = viewer(request).audience
    async with house(request).database.connection() as connection:
        found = await requests.one(connection, uid, see_restricted=audience.sees_restricted)
        advised = await advice.of_requests(connection, [uid], see_restricted=audience.sees_restricted)
    if found is None:
        raise Missing(f"there is no request {uid!r}")
    if uid in advised:
        found = (_with_advice(found[0], advised[uid], audience), found[1])
    return _for(audience, found[0]), found[1]


def _with_advice(content: bytes, advised: Advised, audience: Audience) -> bytes:
    """A request's JSON with what is known of a conflict beside the trial that it belongs to."""
    whole = msgspec.json.decode(content)
    for trial in whole["trials"]:
        if (trial["tip"], trial["series_digest"]) == (advised.tip, advised.series_digest):
            trial["advice"] = advice_answer(advised, sees_addresses=audience.sees_addresses)
    return msgspec.json.encode(whole)


@endpoint(
    "GET",
    "/api/bugs/{bug:str}",
    Contract(right=Right.READ, summary="One bug whole, with its requests", answer=BugAnswer, parts=("bug",)),
)
async def read_bug(request: Asked) -> Answer:
    """One bug with facts, analysis and requests."""
    bug = reading.number(request.path_params["bug"], "bug")
    audience = viewer(request).audience
    async with house(request).database.connection() as connection:
        found = await bugs.detail(connection, bug, see_restricted=audience.sees_restricted)
    if found is None:
        raise Missing(f"there is no bug {bug}")
    content, revision = found
    return bodies.answer(request, bodies.single(_for(audience, content)), revision=revision)


def _for(audience: Audience, content: bytes) -> bytes:
    if audience.sees_addresses:
        return content
    return msgspec.json.encode(without_hosts(msgspec.json.decode(content)))


def without_hosts(value: Any) -> Any:
    """The same with each e-mail address cut before its @, as Bugzilla shows it to strangers."""
    if isinstance(value, dict):
        return {key: without_hosts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_hosts(each) for each in value]
    if isinstance(value, str) and _ADDRESS.fullmatch(value):
        return value.partition("@")[0]
    return value


HANDLERS = [list_trains, list_requests, read_request, read_bug]
