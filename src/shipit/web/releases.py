# SPDX-License-Identifier: MPL-2.0
"""What the pages of releases show: pipelines newest first, one with everything about it, tries of a step."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta

from shipit.actions import pipelines as acts
from shipit.actions import releases
from shipit.actions.reconciling import step_of
from shipit.actions.releases import Attempt, Release, ReleaseLine
from shipit.pipeline.states import Status
from shipit.storage import pipelines
from shipit.web import reading
from shipit.web.bodies import Piece, inline
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer
from shipit.web.pipelines import ABSENT, ROOT, UID, Name, now, part, person
from shipit.web.scopes import Right
from shipit.web.shell import PRELOADS


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which, how many, and after which pipeline."""

    status: Status | None = None
    product: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    after: Annotated[str, Meta(max_length=300)] = ""


class Lines(msgspec.Struct, frozen=True):
    """Some pipelines, the newest first; next: give it as `after` for more, null at the end."""

    releases: tuple[ReleaseLine, ...]
    next: str | None


@endpoint(
    "GET",
    "/api/releases",
    Contract(right=Right.READ, summary="Pipelines, the newest first", query=ListQuery, answer=Lines),
)
async def list_releases(request: Asked) -> Answer:
    """Pipelines that are not steps of others, the newest first."""
    return json_answer(await _lines(request, reading.query(request, ListQuery)))


async def _lines(request: Asked, asked: ListQuery) -> Lines:
    async with house(request).database.connection() as connection:
        uids = await pipelines.newest(
            connection,
            status=asked.status,
            product=asked.product,
            after=asked.after,
            limit=asked.limit + 1,
        )
        shown = uids[: asked.limit]
        found = {
            each.facts.uid: each for each in await pipelines.load_many(connection, shown, is_locked=False)
        }
    lines = tuple(releases.line(found[uid], now()) for uid in shown if uid in found)
    return Lines(lines, shown[-1] if len(uids) > asked.limit else None)


@endpoint(
    "GET",
    "/api/releases/{uid:str}",
    Contract(
        right=Right.READ,
        summary="A pipeline with when it ends, what stops it, how it is taken back, and what you may do",
        answer=Release,
        statuses=ABSENT,
        parts=UID,
    ),
)
async def read_release(request: Asked) -> Answer:
    """Everything its page shows at once."""
    return json_answer(await _release(request))


async def _release(request: Asked) -> Release:
    async with house(request).database.connection() as connection:
        stored = await acts.load(connection, part(request))
        root = house(request).settings.taskcluster.root_url
        return await releases.release(connection, stored, person(request), now(), taskcluster_url=root)


@endpoint(
    "GET",
    f"{ROOT}/{{uid:str}}/steps/{{step:str}}",
    Contract(
        right=Right.READ,
        summary="Every try of a step, the newest first",
        answer=list[Attempt],
        statuses=ABSENT,
        parts=("uid", "step"),
    ),
)
async def read_attempts(request: Asked) -> Answer:
    """The tries, with what was answered."""
    async with house(request).database.connection() as connection:
        stored = await acts.load(connection, part(request))
        found = await releases.attempts(connection, stored, step_of(stored, part(request, "step")))
    return json_answer(found)


async def _preload_list(request: Asked) -> list[tuple[str, Piece]]:
    """What the list shows first, where nothing else is asked for."""
    if request.url.query:
        return []
    return [_piece("/api/releases", await _lines(request, ListQuery()))]


async def _preload_one(request: Asked) -> list[tuple[str, Piece]]:
    """What the page of a release shows first."""
    return [_piece(f"/api/releases/{quote(part(request), safe='')}", await _release(request))]


def _piece(address: str, answer: object) -> tuple[str, Piece]:
    return address, Piece.of(inline(msgspec.json.encode(answer)), keep=False)


PRELOADS["/releases"] = _preload_list
PRELOADS["/releases/{uid:str}"] = _preload_one
HANDLERS = [list_releases, read_release, read_attempts]
