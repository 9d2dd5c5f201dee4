# SPDX-License-Identifier: MPL-2.0
"""Decisions over HTTP: preview, decide, take back, resume, let be; who decided what about a request."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import Response
from msgspec import Meta

from shipit.actions import deciding
from shipit.actions.deciding import Changed, Decide
from shipit.actions.deciding import House as Allowed
from shipit.actions.decisions_shown import (
    DecisionShown,
    Preview,
    audit_shown,
    without_addresses,
)
from shipit.errors import Missing
from shipit.storage import decisions, requests
from shipit.storage.decisions import Entry
from shipit.uplift.decision_states import PartState
from shipit.uplift.verdicts import TEMPLATES, Template, Wanted
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, viewer
from shipit.web.pipelines import BOTH, UID, Text, now, part, person
from shipit.web.problems import MEDIA_TYPE
from shipit.web.scopes import Right

ROOT = "/api/decisions"


class DecisionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose, about which request or bug, how many. mine: "true" for one's own. state: of any part."""

    request: Annotated[str, Meta(max_length=300)] | None = None
    bug: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None = None
    mine: bool = False
    state: PartState | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, in words."""

    reason: Text = ""


def allowed(request: Asked) -> Allowed:
    """What this installation lets people decide."""
    settings = house(request).settings
    return Allowed(
        is_shadow=settings.is_shadow,
        has_phabricator=settings.phabricator.url is not None,
        relnote_field=settings.bugzilla.relnote_field,
        hold=timedelta(seconds=settings.decisions.hold_seconds),
    )


def changed(error: Changed) -> Answer:
    """A problem document with what changed, and the preview as it is now."""
    shown = {
        "type": "about:blank",
        "title": "Conflict",
        "status": int(HTTPStatus.CONFLICT),
        "detail": error.detail,
        "differences": error.differences,
        "preview": error.preview,
    }
    return Response(
        msgspec.json.encode(shown),
        status_code=int(HTTPStatus.CONFLICT),
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store"},
    )


@endpoint(
    "POST",
    f"{ROOT}/preview",
    Contract(
        right=Right.USER,
        summary="Exactly what a verdict would write where, and what it would not; nothing is stored",
        body=Wanted,
        answer=Preview,
    ),
)
async def preview_decision(request: Asked) -> Answer:
    """What would be written."""
    wanted = await reading.body(request, Wanted)
    async with house(request).database.connection() as connection:
        shown = await deciding.preview(
            connection,
            wanted,
            person(request),
            see_restricted=viewer(request).audience.sees_restricted,
            house=allowed(request),
            now=now(),
        )
    return json_answer(shown)


@endpoint(
    "PUT",
    f"{ROOT}/{{uid:str}}",
    Contract(
        right=Right.USER,
        summary="Decide as previewed; the uid is yours to choose, and the same again changes nothing. "
        "409 tells what changed since the preview",
        body=Decide,
        answer=DecisionShown,
        statuses=(HTTPStatus.CREATED, HTTPStatus.CONFLICT),
        parts=UID,
    ),
)
async def put_decision(request: Asked) -> Answer:
    """Store a decision; a runner writes it when its hold ends."""
    given = await reading.body(request, Decide)
    try:
        async with house(request).database.connection() as connection:
            shown, is_new = await deciding.decide(
                connection,
                part(request),
                given,
                person(request),
                see_restricted=viewer(request).audience.sees_restricted,
                house=allowed(request),
                now=now(),
            )
    except Changed as error:
        return changed(error)
    return json_answer(shown, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@endpoint(
    "DELETE",
    f"{ROOT}/{{uid:str}}",
    Contract(
        right=Right.USER,
        summary="Take a decision back, as long as nothing of it was sent",
        answer=DecisionShown,
        statuses=BOTH,
        parts=UID,
    ),
)
async def undo_decision(request: Asked) -> Answer:
    """Take it back."""
    async with house(request).database.connection() as connection:
        shown = await deciding.undo(
            connection,
            part(request),
            person(request),
            see_restricted=viewer(request).audience.sees_restricted,
        )
    return json_answer(shown)


@endpoint(
    "POST",
    f"{ROOT}/{{uid:str}}/resume",
    Contract(
        right=Right.USER,
        summary="Go on with what is stuck; what is written stays written once",
        body=Why,
        answer=DecisionShown,
        statuses=BOTH,
        parts=UID,
    ),
)
async def resume_decision(request: Asked) -> Answer:
    """Try again what was refused."""
    await reading.body(request, Why)
    async with house(request).database.connection() as connection:
        shown = await deciding.resume(
            connection,
            part(request),
            person(request),
            see_restricted=viewer(request).audience.sees_restricted,
            house=allowed(request),
        )
    return json_answer(shown)


@endpoint(
    "POST",
    f"{ROOT}/{{uid:str}}/drop",
    Contract(
        right=Right.USER,
        summary="Let be what is stuck; what was written stays",
        body=Why,
        answer=DecisionShown,
        statuses=BOTH,
        parts=UID,
    ),
)
async def drop_decision(request: Asked) -> Answer:
    """Write no more of it."""
    why = await reading.body(request, Why)
    async with house(request).database.connection() as connection:
        shown = await deciding.drop(
            connection,
            part(request),
            person(request),
            see_restricted=viewer(request).audience.sees_restricted,
            why=why.reason,
        )
    return json_answer(shown)


@endpoint(
    "GET",
    f"{ROOT}/{{uid:str}}",
    Contract(
        right=Right.READ,
        summary="A decision, and how each of its writes stands",
        answer=DecisionShown,
        statuses=(HTTPStatus.NOT_FOUND,),
        parts=UID,
    ),
)
async def read_decision(request: Asked) -> Answer:
    """One decision."""
    audience = viewer(request).audience
    async with house(request).database.connection() as connection:
        shown = await deciding.read(
            connection, part(request), person(request), see_restricted=audience.sees_restricted
        )
    return json_answer(shown if audience.sees_addresses else without_addresses(shown))


@endpoint(
    "GET",
    ROOT,
    Contract(
        right=Right.READ,
        summary="Decisions, newest first: all, of one request or bug, or one's own",
        query=DecisionsQuery,
        answer=list[DecisionShown],
    ),
)
async def list_decisions(request: Asked) -> Answer:
    """Decisions."""
    asked = reading.query(request, DecisionsQuery)
    audience = viewer(request).audience
    async with house(request).database.connection() as connection:
        shown = await deciding.listed(
            connection,
            person(request),
            see_restricted=audience.sees_restricted,
            request=asked.request,
            bug=asked.bug,
            state=asked.state,
            is_mine=asked.mine,
            limit=asked.limit,
        )
    return json_answer(shown if audience.sees_addresses else [without_addresses(one) for one in shown])


@endpoint(
    "GET",
    "/api/requests/{uid:str}/audit",
    Contract(
        right=Right.READ,
        summary="Who decided what about a request, and what the services answered; only added to",
        answer=list[Entry],
        statuses=(HTTPStatus.NOT_FOUND,),
        parts=UID,
    ),
)
async def read_audit(request: Asked) -> Answer:
    """The audit of a request."""
    uid, audience = part(request), viewer(request).audience
    async with house(request).database.connection() as connection:
        if await requests.bug_of(connection, uid, see_restricted=audience.sees_restricted) is None:
            raise Missing(f"there is no request {uid!r}")
        entries = await decisions.audit(connection, uid)
    return json_answer([audit_shown(one, see_addresses=audience.sees_addresses) for one in entries])


@endpoint(
    "GET",
    "/api/bugs/{bug:str}/audit",
    Contract(
        right=Right.READ,
        summary="Who decided what about a bug, with or without requests; nothing of one that may not be seen",
        answer=list[Entry],
        parts=("bug",),
    ),
)
async def read_audit_of_bug(request: Asked) -> Answer:
    """The audit of a bug."""
    number, audience = reading.number(request.path_params["bug"], "bug"), viewer(request).audience
    async with house(request).database.connection() as connection:
        entries = await decisions.audit_of_bug(connection, number, see_restricted=audience.sees_restricted)
    return json_answer([audit_shown(one, see_addresses=audience.sees_addresses) for one in entries])


@endpoint(
    "GET",
    "/api/decision-templates",
    Contract(right=Right.READ, summary="Words for verdicts, with their placeholders", answer=list[Template]),
)
async def list_decision_templates(request: Asked) -> Answer:
    """The templates."""
    return json_answer(list(TEMPLATES))


HANDLERS = [
    preview_decision,
    put_decision,
    undo_decision,
    resume_decision,
    drop_decision,
    read_decision,
    list_decisions,
    read_audit,
    read_audit_of_bug,
    list_decision_templates,
]
