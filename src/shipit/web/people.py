# SPDX-License-Identifier: MPL-2.0
"""Contributors, and what is noted about them: with author and date, for a while, and not for everybody."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from shipit.errors import Missing
from shipit.storage import people
from shipit.storage.pool import Connection
from shipit.web import bodies, reading
from shipit.web.answers import NoteRow, PersonAnswer
from shipit.web.house import Answer, Asked, Contract, endpoint, house, nothing, viewer
from shipit.web.problems import Stale
from shipit.web.scopes import Right

_Text = Annotated[str, Meta(max_length=4000)]


class PeopleQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of people: those whose id is above `after`."""

    after: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 500


class NoteAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is noted, for `days`; what is left out stays as it was. karma: as the original had it."""

    karma: Annotated[int, Meta(ge=-1, le=1)] | None = None
    comment_public: _Text | None = None
    comment_private: _Text | None = None
    days: Annotated[int, Meta(ge=1, le=people.LONGEST_DAYS)] = people.LONGEST_DAYS


@endpoint(
    "GET",
    "/api/people",
    Contract(
        right=Right.USER,
        summary="Contributors; what was noted in private only for those who may note",
        query=PeopleQuery,
        answer=list[PersonAnswer],
    ),
)
async def list_people(request: Asked) -> Answer:
    """A page of contributors."""
    query = reading.query(request, PeopleQuery)
    who = viewer(request)
    async with house(request).database.connection() as connection:
        content = await people.listed(
            connection,
            see_private=who.has(Right.ADMIN),
            see_restricted=who.audience.sees_restricted,
            after=query.after,
            limit=query.limit,
        )
    return bodies.answer(request, bodies.single(content))


@endpoint(
    "GET",
    "/api/people/{person:str}",
    Contract(right=Right.USER, summary="One contributor", answer=PersonAnswer, parts=("person",)),
)
async def read_person(request: Asked) -> Answer:
    """One contributor with what is noted now."""
    async with house(request).database.connection() as connection:
        return await _person(request, connection)


@endpoint(
    "GET",
    "/api/people/{person:str}/notes",
    Contract(
        right=Right.ADMIN,
        summary="Who noted what about a contributor, newest first; no words of what no longer holds",
        answer=list[NoteRow],
        parts=("person",),
    ),
)
async def list_notes(request: Asked) -> Answer:
    """The history of what was noted."""
    async with house(request).database.connection() as connection:
        await _person(request, connection)
        content = await people.history(connection, _number(request))
    return bodies.answer(request, bodies.single(content))


@endpoint(
    "PUT",
    "/api/people/{person:str}/note",
    Contract(
        right=Right.ADMIN,
        summary="Note something about a contributor; authored, dated, for a year at most",
        body=NoteAsked,
        answer=PersonAnswer,
        parts=("person",),
    ),
)
async def put_note(request: Asked) -> Answer:
    """Note something about a person."""
    asked = await reading.body(request, NoteAsked)
    async with house(request).database.connection() as connection:
        await _person(request, connection)
        noted = await people.note(
            connection,
            _number(request),
            by=viewer(request).client_id or "",
            karma=asked.karma,
            public=asked.comment_public,
            private=asked.comment_private,
            revision=reading.if_match(request),
            days=asked.days,
        )
        if noted is None:
            raise Stale("somebody else noted something meanwhile; read it again")
        return await _person(request, connection)


@endpoint(
    "DELETE",
    "/api/people/{person:str}/note",
    Contract(
        right=Right.ADMIN,
        summary="End what is noted about a contributor",
        status=HTTPStatus.NO_CONTENT,
        statuses=(HTTPStatus.PRECONDITION_FAILED,),
        parts=("person",),
    ),
)
async def end_note(request: Asked) -> Answer:
    """What is noted no longer holds; that it was, and who ended it, is kept."""
    async with house(request).database.connection() as connection:
        await _person(request, connection)
        by, revision = viewer(request).client_id or "", reading.if_match(request)
        if not await people.expire(connection, _number(request), by=by, revision=revision):
            raise Stale("somebody else noted something meanwhile; read it again")
    return nothing()


HANDLERS = [list_people, read_person, list_notes, put_note, end_note]


def _number(request: Asked) -> int:
    return reading.number(request.path_params["person"], "person")


async def _person(request: Asked, connection: Connection) -> Answer:
    """The contributor of the path as the asker may see them. Raises Missing."""
    who, number = viewer(request), _number(request)
    content = await people.listed(
        connection,
        see_private=who.has(Right.ADMIN),
        see_restricted=who.audience.sees_restricted,
        person=number,
    )
    found = msgspec.json.decode(content, type=list[PersonAnswer])
    if not found:
        raise Missing(f"there is no contributor {number}")
    answer = bodies.single(msgspec.json.encode(found[0]))
    return bodies.answer(request, answer, revision=found[0].revision)
