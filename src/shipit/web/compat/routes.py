# SPDX-License-Identifier: MPL-2.0
"""The original uplift API below /compat/uplift, for clients that still speak it; without its auth0 login."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from litestar.handlers import HTTPRouteHandler

from shipit.errors import Missing, Refused
from shipit.merge.series import settle
from shipit.storage import bugs, compat, people, trials, wishes
from shipit.storage.pool import Connection
from shipit.uplift.report import BugsReport, Trial, TrialsReport
from shipit.web import bodies, reading
from shipit.web.compat.dialect import (
    ENGINE,
    analysis_json,
    bug_json,
    patch_rows,
    with_patch,
)
from shipit.web.compat.shapes import (
    BugBody,
    ContributorBody,
    Edited,
    OldAnalysis,
    OldBug,
    PatchBody,
    PatchRow,
    VersionBody,
)
from shipit.web.compat.told import bug_report
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, viewer
from shipit.web.lists import versioned
from shipit.web.problems import Stale
from shipit.web.scopes import Right
from shipit.web.viewer import Audience

ROOT = "/compat/uplift"


@endpoint("GET", f"{ROOT}/ping", Contract(right=Right.PUBLIC, summary="pong", answer=str))
async def ping(request: Asked) -> Answer:
    """The original's sign of life."""
    return json_answer("pong")


@endpoint(
    "GET",
    f"{ROOT}/analysis",
    Contract(right=Right.READ, summary="The trains, without bugs", answer=list[OldAnalysis]),
)
async def list_analyses(request: Asked) -> Answer:
    """The trains."""

    async def make(connection: Connection, audience: Audience) -> bytes:
        found = await compat.analyses(connection, see_restricted=audience.sees_restricted)
        return msgspec.json.encode([analysis_json(each, []) for each in found])

    return await versioned(request, "compat analyses", make)


@endpoint(
    "GET",
    f"{ROOT}/analysis/{{number:str}}",
    Contract(right=Right.READ, summary="A train with its bugs", answer=OldAnalysis, parts=("number",)),
)
async def read_analysis(request: Asked) -> Answer:
    """A train with every bug that asks for it."""
    number = reading.number(request.path_params["number"], "number")
    see_private = viewer(request).has(Right.ADMIN)

    async def make(connection: Connection, audience: Audience) -> bytes:
        analysis = await _analysis(connection, number, see_restricted=audience.sees_restricted)
        found = await compat.bugs(connection, see_restricted=audience.sees_restricted, train=analysis.name)
        old = [
            bug_json(each, see_private=see_private, see_addresses=audience.sees_addresses) for each in found
        ]
        return msgspec.json.encode(analysis_json(analysis, old))

    return await versioned(request, ("compat analysis", number, see_private), make)


@endpoint(
    "PUT",
    f"{ROOT}/analysis/{{number:str}}",
    Contract(
        right=Right.BOT,
        summary="Tell a train's major version",
        body=VersionBody,
        answer=OldAnalysis,
        parts=("number",),
    ),
)
async def put_analysis(request: Asked) -> Answer:
    """An old bot tells which version a train has."""
    number = reading.number(request.path_params["number"], "number")
    body = await reading.body(request, VersionBody)
    sees = viewer(request).audience.sees_restricted
    async with house(request).database.connection() as connection:
        if not await compat.set_version(connection, number, body.version):
            raise Missing(f"there is no analysis {number}")
        return json_answer(analysis_json(await _analysis(connection, number, see_restricted=sees), []))


@endpoint(
    "POST",
    f"{ROOT}/bugs",
    Contract(
        right=Right.BOT,
        summary="Tell about a bug",
        body=BugBody,
        answer=OldBug,
        statuses=(Refused.status,),
    ),
)
async def post_bug(request: Asked) -> Answer:
    """An old bot tells about a bug and the trains it asks for; trains it no longer asks for are closed."""
    body = await reading.body(request, BugBody)
    async with house(request).database.connection() as connection:
        analyses = {each.number: each for each in await compat.analyses(connection, see_restricted=True)}
        there = await compat.open_requests(connection, body.bugzilla_id, see_restricted=True)
        uids = {train: uid for uid, train, _, _ in reversed(there)}
        report = bug_report(body, analyses, uids, now=datetime.now(UTC))
        (taken,) = (await bugs.take(connection, BugsReport(round="compat", bugs=(report,)))).bugs
        if taken.result == "refused":
            raise Refused(taken.reason or "refused")
        return json_answer(await _bug(connection, request, body.bugzilla_id, see_restricted=True))


@endpoint(
    "PUT",
    f"{ROOT}/bugs/{{bugzilla_id:str}}",
    Contract(
        right=Right.USER,
        summary="Tell that a bug was edited; it will be read again from Bugzilla",
        body=list[Edited],
        answer=OldBug,
        parts=("bugzilla_id",),
    ),
)
async def put_bug(request: Asked) -> Answer:
    """A client edited a bug: nothing it says is believed, and Bugzilla is asked again."""
    number = reading.number(request.path_params["bugzilla_id"], "bugzilla_id")
    await reading.body(request, list[Edited])
    seen = reading.if_match(request)
    who = viewer(request)
    sees = who.audience.sees_restricted
    async with house(request).database.connection() as connection:
        revision = await bugs.revision(connection, number, see_restricted=sees)
        if revision is None:
            raise Missing(f"there is no bug {number}")
        if seen is not None and seen != revision:
            raise Stale(f"the bug is at revision {revision}, you saw {seen}; read it again")
        await wishes.ask(connection, "bug", str(number), asked_by=who.client_id)
        return json_answer(await _bug(connection, request, number, see_restricted=sees))


@endpoint(
    "DELETE",
    f"{ROOT}/bugs/{{bugzilla_id:str}}",
    Contract(
        right=Right.BOT,
        summary="A bug asks for nothing any more; its history stays",
        answer=dict[str, int],
        parts=("bugzilla_id",),
    ),
)
async def delete_bug(request: Asked) -> Answer:
    """An old bot no longer cares for a bug."""
    number = reading.number(request.path_params["bugzilla_id"], "bugzilla_id")
    async with house(request).database.connection() as connection:
        if not await bugs.drop(connection, number, now=datetime.now(UTC), reason="taken back by the old bot"):
            raise Missing(f"there is no bug {number}")
    return json_answer({"deleted": number})


@endpoint(
    "GET",
    f"{ROOT}/bugs/{{bugzilla_id:str}}/patches",
    Contract(
        right=Right.BOT,
        summary="Every patch of every trial, oldest first",
        answer=list[PatchRow],
        parts=("bugzilla_id",),
    ),
)
async def list_patches(request: Asked) -> Answer:
    """What became of each patch, with the message."""
    number = reading.number(request.path_params["bugzilla_id"], "bugzilla_id")
    sees = viewer(request).audience.sees_restricted
    async with house(request).database.connection() as connection:
        if await bugs.revision(connection, number, see_restricted=sees) is None:
            raise Missing(f"there is no bug {number}")
        rows = patch_rows(await compat.trials(connection, number))
    return bodies.answer(request, bodies.single(msgspec.json.encode(rows)))


@endpoint(
    "POST",
    f"{ROOT}/bugs/{{bugzilla_id:str}}/patches",
    Contract(
        right=Right.BOT,
        summary="Tell what became of a patch on a branch",
        body=PatchBody,
        answer=list[PatchRow],
        parts=("bugzilla_id",),
    ),
)
async def post_patch(request: Asked) -> Answer:
    """An old bot tried one patch: a trial of the requests on that branch, with its run's earlier patches."""
    number = reading.number(request.path_params["bugzilla_id"], "bugzilla_id")
    body = await reading.body(request, PatchBody)
    sees = viewer(request).audience.sees_restricted
    async with house(request).database.connection() as connection:
        found = await compat.open_requests(connection, number, see_restricted=sees)
        asked = [each for each in found if each[3] == body.branch]
        if not asked:
            raise Missing(f"bug {number} asks for nothing on the branch {body.branch!r}")
        made = []
        for uid, train, digest, _ in asked:
            before = await trials.newest_on(connection, uid, body.revision_parent)
            patches = with_patch(before, body.revision, body.status, body.message)
            made.append(
                Trial(
                    request=uid,
                    train=train,
                    tip=body.revision_parent,
                    series_digest=digest,
                    result=settle(patches, None),
                    tried_at=datetime.now(UTC),
                    took_ms=0,
                    engine=f"{ENGINE} {body.group}",
                )
            )
        await trials.save(connection, TrialsReport(trials=tuple(made)))
        rows = patch_rows(await compat.trials(connection, number))
    return json_answer(rows)


@endpoint(
    "PUT",
    f"{ROOT}/contributor/{{person:str}}",
    Contract(
        right=Right.ADMIN,
        summary="Note something about a contributor; authored, dated, expires after a year",
        body=ContributorBody,
        answer=people.Person,
        parts=("person",),
    ),
)
async def put_contributor(request: Asked) -> Answer:
    """Note something about a person."""
    person = reading.number(request.path_params["person"], "person")
    body = await reading.body(request, ContributorBody)
    async with house(request).database.connection() as connection:
        noted = await people.note(
            connection,
            person,
            by=viewer(request).client_id or "",
            karma=body.karma,
            public=body.comment_public,
            private=body.comment_private,
            revision=reading.if_match(request),
        )
    if noted is None:
        raise Stale("somebody else noted something meanwhile; read it again")
    return json_answer(noted)


HANDLERS: list[HTTPRouteHandler] = [
    ping,
    list_analyses,
    read_analysis,
    put_analysis,
    post_bug,
    put_bug,
    delete_bug,
    list_patches,
    post_patch,
    put_contributor,
]


async def _analysis(connection: Connection, number: int, *, see_restricted: bool) -> compat.Analysis:
    found = await compat.analyses(connection, see_restricted=see_restricted)
    analysis = next((each for each in found if each.number == number), None)
    if analysis is None:
        raise Missing(f"there is no analysis {number}")
    return analysis


async def _bug(connection: Connection, request: Asked, number: int, *, see_restricted: bool) -> OldBug:
    found = await compat.bugs(connection, see_restricted=see_restricted, bug=number)
    if not found:
        raise Missing(f"there is no bug {number}")
    who = viewer(request)
    return bug_json(found[0], see_private=who.has(Right.ADMIN), see_addresses=who.audience.sees_addresses)
