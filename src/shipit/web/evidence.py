# SPDX-License-Identifier: MPL-2.0
"""The evidence of a request, what pages ask of workers for it, and what those bring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta

from shipit.errors import Missing
from shipit.storage import evidence as stored
from shipit.storage import requests, wishes
from shipit.storage.pool import Connection
from shipit.uplift.evidence import Evidence
from shipit.uplift.evidence_making import evidence
from shipit.uplift.evidence_parts import CONFLICT, INTERDIFF
from shipit.uplift.evidence_subject import named_bugs
from shipit.uplift.report import DetailReport, Wish
from shipit.uplift.told import conflict_key, interdiff_key
from shipit.uplift.track_record import SPAN
from shipit.web import bodies, reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, nothing, viewer
from shipit.web.lists import request_content, without_hosts
from shipit.web.problems import Stale, WrongShape
from shipit.web.scopes import Right
from shipit.web.shell import PRELOADS
from shipit.web.viewer import Audience


class WishAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wished.

    "trial" tries the request's patches again, "bug" reads its bug again, "conflict" shows what does not merge
    in the newest trial, "interdiff" what changed since an older version of the patches (since: its digest).
    """

    kind: Annotated[str, Meta(pattern="^(trial|bug|conflict|interdiff)$")] = "trial"
    since: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


@endpoint(
    "GET",
    "/api/requests/{uid:str}/evidence",
    Contract(
        right=Right.READ,
        summary="What to look at before deciding: answers beside facts, patches, conflict, people, timeline",
        answer=Evidence,
        parts=("uid",),
    ),
)
async def read_evidence(request: Asked) -> Answer:
    """Everything known about a request, with contradictions first."""
    content, revision = await evidence_content(request, reading.name(request.path_params["uid"], "uid"))
    return bodies.answer(request, bodies.single(content), revision=revision)


async def evidence_content(request: Asked, uid: str) -> tuple[bytes, int]:
    """The evidence of a request as JSON for whoever asks, and its bug's revision. Raises Missing."""
    who = viewer(request)
    now = datetime.now(UTC)
    async with house(request).database.connection() as connection:
        found = await stored.told(
            connection,
            uid,
            since=now - SPAN,
            see_restricted=who.audience.sees_restricted,
            see_notes=who.audience is not Audience.PUBLIC,
            see_private=who.has(Right.ADMIN),
        )
        if found is None:
            raise Missing(f"there is no request {uid!r}")
        told, revision = found
        others = await stored.others(
            connection, named_bugs(told), told.train.name, see_restricted=who.audience.sees_restricted
        )
    told = msgspec.structs.replace(told, others=told.others + others)
    content = msgspec.json.encode(evidence(told, now=now))
    if not who.audience.sees_addresses:
        content = msgspec.json.encode(without_hosts(msgspec.json.decode(content)))
    return content, revision


@endpoint(
    "POST",
    "/api/requests/{uid:str}/wishes",
    Contract(
        right=Right.USER,
        summary="Ask a worker for a trial, reading, conflict or interdiff; asking twice makes one wish",
        body=WishAsked,
        answer=Wish,
        parts=("uid",),
    ),
)
async def ask_wish(request: Asked) -> Answer:
    """Ask a worker with the clone to do something about a request; what is there is not made again."""
    uid = reading.name(request.path_params["uid"], "uid")
    asked = await reading.body(request, WishAsked)
    if (asked.kind == INTERDIFF) != (asked.since is not None):
        raise WrongShape("since", expected="the digest of an older version, for an interdiff alone")
    seen = reading.if_match(request)
    who = viewer(request)
    async with house(request).database.connection() as connection:
        found = await requests.bug_of(connection, uid, see_restricted=who.audience.sees_restricted)
        if found is None:
            raise Missing(f"there is no request {uid!r}")
        bug, revision = found
        if seen is not None and seen != revision:
            raise Stale(f"the bug is at revision {revision}, you saw {seen}; read it again")
        key = await _KEYS[asked.kind](connection, uid, asked) if asked.kind in _KEYS else None
        made_at = await stored.detail_made_at(connection, uid, asked.kind, key) if key else None
        if made_at is not None:
            there = Wish(uid="", kind=asked.kind, subject=uid, asked_at=made_at, done_at=made_at)
            return json_answer(there)
        subject = str(bug) if asked.kind == "bug" else uid
        wish, _ = await wishes.ask(
            connection, asked.kind, subject, asked_by=who.client_id, detail=asked.since or ""
        )
    return json_answer(wish)


async def _conflict_key(connection: Connection, uid: str, _: WishAsked) -> str:
    found = await stored.conflict_now(connection, uid)
    if found is None:
        raise Missing("the newest trial of this request shows no conflict")
    return conflict_key(*found)


async def _interdiff_key(connection: Connection, uid: str, asked: WishAsked) -> str:
    older = asked.since or ""
    newer = await stored.newer_than(connection, uid, older)
    if newer is None:
        raise Missing("that is no older version of this request's patches")
    return interdiff_key(older, newer)


_KEYS: dict[str, Callable[[Connection, str, WishAsked], Awaitable[str]]] = {
    CONFLICT: _conflict_key,
    INTERDIFF: _interdiff_key,
}


@endpoint(
    "PUT",
    "/api/requests/{uid:str}/details",
    Contract(
        right=Right.BOT,
        summary="Bring what a page asked for: the view of a conflict or of an interdiff",
        body=DetailReport,
        status=HTTPStatus.NO_CONTENT,
        parts=("uid",),
    ),
)
async def put_detail(request: Asked) -> Answer:
    """Keep what a worker made; bringing it twice changes nothing."""
    uid = reading.name(request.path_params["uid"], "uid")
    detail = await reading.body(request, DetailReport)
    if detail.request != uid:
        raise WrongShape("request", expected=f"{uid!r} as in the path", got=detail.request)
    async with house(request).database.connection() as connection:
        await stored.add_detail(connection, detail)
    return nothing()


async def _preload(request: Asked) -> list[tuple[str, bodies.Piece]]:
    """What the page of a request shows first."""
    uid = reading.name(request.path_params["uid"], "uid")
    answers = {
        f"/api/requests/{quote(uid, safe='')}": await request_content(request, uid),
        f"/api/requests/{quote(uid, safe='')}/evidence": await evidence_content(request, uid),
    }
    return [
        (address, bodies.Piece.of(bodies.inline(content), keep=False))
        for address, (content, _) in answers.items()
    ]


PRELOADS["/requests/{uid:str}"] = _preload
HANDLERS = [read_evidence, ask_wish, put_detail]
