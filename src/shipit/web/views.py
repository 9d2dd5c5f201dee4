# SPDX-License-Identifier: MPL-2.0
"""Saved views of the board: one's own, and those that others share."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from shipit.errors import Missing, NotAllowed, Refused
from shipit.storage import views
from shipit.storage.pool import Connection
from shipit.storage.views import View, ViewReport
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, nothing, viewer
from shipit.web.problems import Stale, WrongShape
from shipit.web.scopes import Right

_Name = Annotated[str, Meta(min_length=1, max_length=80)]
_Query = Annotated[str, Meta(max_length=2000, pattern=r"^[!-~]*$")]


class ViewAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A view. query: of the board's address, without its question mark."""

    name: _Name
    train: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    query: _Query = ""
    is_shared: bool = False


class ViewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A saved view. owner: who shares it, for the eye; is_mine: whether the asker may change it."""

    uid: str
    name: str
    train: str | None
    query: str
    is_shared: bool
    is_mine: bool
    owner: str
    changed_at: datetime
    revision: int


@endpoint(
    "GET",
    "/api/views",
    Contract(right=Right.USER, summary="One's own saved views, then the shared ones", answer=list[ViewRow]),
)
async def list_views(request: Asked) -> Answer:
    """The views somebody may choose from."""
    person = viewer(request).client_id or ""
    async with house(request).database.connection() as connection:
        found = await views.listed(connection, person)
    return json_answer([_row(each, person) for each in found])


@endpoint(
    "PUT",
    "/api/views/{uid:str}",
    Contract(
        right=Right.USER,
        summary="Save a view under a uid of the caller's choice; once or twice is the same",
        body=ViewAsked,
        answer=ViewRow,
        statuses=(Refused.status,),
        parts=("uid",),
    ),
)
async def put_view(request: Asked) -> Answer:
    """Save a view; If-Match says which revision was seen."""
    uid = reading.name(request.path_params["uid"], "uid")
    asked = await reading.body(request, ViewAsked)
    name = " ".join(asked.name.split())
    if not name or not name.isprintable():
        raise WrongShape("name", expected="printable words")
    person = viewer(request).client_id or ""
    report = ViewReport(
        name=name, train=asked.train, query=asked.query.removeprefix("?"), is_shared=asked.is_shared
    )
    async with house(request).database.connection() as connection:
        saved = await views.save(connection, uid, report, person=person, revision=reading.if_match(request))
        if saved is None:
            raise await _why_not(connection, uid, person)
    return json_answer(_row(saved, person))


@endpoint(
    "DELETE",
    "/api/views/{uid:str}",
    Contract(
        right=Right.USER,
        summary="Remove one's own view",
        status=HTTPStatus.NO_CONTENT,
        statuses=(HTTPStatus.PRECONDITION_FAILED,),
        parts=("uid",),
    ),
)
async def drop_view(request: Asked) -> Answer:
    """Remove a view."""
    uid = reading.name(request.path_params["uid"], "uid")
    person = viewer(request).client_id or ""
    async with house(request).database.connection() as connection:
        if not await views.drop(connection, uid, person=person, revision=reading.if_match(request)):
            raise await _why_not(connection, uid, person)
    return nothing()


HANDLERS = [list_views, put_view, drop_view]


async def _why_not(connection: Connection, uid: str, person: str) -> Exception:
    """Why a view could not be written: another's private view looks as if its uid were not there."""
    found = await views.one(connection, uid, person)
    if found is None:
        return Missing(f"there is no view {uid!r} of yours")
    if found.owner != person:
        return NotAllowed("only who made a view changes it")
    return Stale(f"the view is at revision {found.revision}; read it again")


def _row(view: View, person: str) -> ViewRow:
    is_mine = view.owner == person
    return ViewRow(
        uid=view.uid,
        name=view.name,
        train=view.train,
        query=view.query,
        is_shared=view.is_shared,
        is_mine=is_mine,
        owner=view.owner,
        changed_at=view.changed_at,
        revision=view.revision,
    )
