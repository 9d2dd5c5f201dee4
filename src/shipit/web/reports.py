# SPDX-License-Identifier: MPL-2.0
"""What the bot tells and asks: each write may be repeated, and no older reading overwrites a newer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shipit.errors import InvalidInput
from shipit.storage import bugs, leases, mails, rounds, trains, trials, wishes
from shipit.uplift.report import (
    BugsReport,
    BugsTaken,
    Known,
    Lease,
    LeaseRequest,
    MailReport,
    RoundReport,
    TrainsReport,
    TrialsReport,
    Wish,
)
from shipit.web import bodies, reading
from shipit.web.answers import Claimed
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, nothing
from shipit.web.problems import WrongShape
from shipit.web.scopes import Right

_LONGEST_LEASE = 3600
_CONFLICT = (HTTPStatus.CONFLICT,)


class HolderQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose lease."""

    holder: Annotated[str, Meta(min_length=1, max_length=300)]


class RoundsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the newest."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class WishDone(msgspec.Struct, frozen=True):
    """What came of a wish."""

    result: dict[str, Any]


@endpoint(
    "GET", "/api/known", Contract(right=Right.BOT, summary="All that the backend holds open", answer=Known)
)
async def read_known(request: Asked) -> Answer:
    """What a bot needs to begin a round."""
    things = house(request)
    async with things.database.connection() as connection:
        content = await bugs.known(connection)
    # Not kept for others: only bots read it, and each of them once a round.
    return bodies.answer(request, bodies.single(content))


@endpoint(
    "PUT",
    "/api/trains",
    Contract(
        right=Right.BOT,
        summary="Tell which trains exist",
        body=TrainsReport,
        status=HTTPStatus.NO_CONTENT,
        statuses=_CONFLICT,
    ),
)
async def put_trains(request: Asked) -> Answer:
    """Store the trains."""
    report = await reading.body(request, TrainsReport)
    async with house(request).database.connection() as connection:
        await trains.save(connection, report)
    return nothing()


@endpoint(
    "PUT",
    "/api/bugs",
    Contract(
        right=Right.BOT,
        summary="Tell about bugs; each is taken or refused by itself",
        body=BugsReport,
        answer=BugsTaken,
    ),
)
async def put_bugs(request: Asked) -> Answer:
    """Store bugs, their requests and trials."""
    report = await reading.body(request, BugsReport)
    async with house(request).database.connection() as connection:
        taken = await bugs.take(connection, report)
    return json_answer(taken)


@endpoint(
    "PUT",
    "/api/trials",
    Contract(
        right=Right.BOT,
        summary="Tell of trials made again",
        body=TrialsReport,
        status=HTTPStatus.NO_CONTENT,
    ),
)
async def put_trials(request: Asked) -> Answer:
    """Store trials."""
    report = await reading.body(request, TrialsReport)
    async with house(request).database.connection() as connection:
        await trials.save(connection, report)
    return nothing()


@endpoint(
    "GET",
    "/api/rounds",
    Contract(right=Right.BOT, summary="The newest rounds", query=RoundsQuery, answer=list[RoundReport]),
)
async def list_rounds(request: Asked) -> Answer:
    """The newest rounds first."""
    query = reading.query(request, RoundsQuery)
    async with house(request).database.connection() as connection:
        return json_answer(await rounds.listed(connection, limit=query.limit))


@endpoint(
    "PUT",
    "/api/rounds/{uid:str}",
    Contract(
        right=Right.BOT,
        summary="Tell that a round began or ended",
        body=RoundReport,
        status=HTTPStatus.NO_CONTENT,
        parts=("uid",),
    ),
)
async def put_round(request: Asked) -> Answer:
    """Store a round."""
    uid = reading.name(request.path_params["uid"], "uid")
    report = await reading.body(request, RoundReport)
    if report.uid != uid:
        raise WrongShape("uid", expected=f"{uid!r} as in the path", got=report.uid)
    async with house(request).database.connection() as connection:
        await rounds.save(connection, report)
    return nothing()


@endpoint(
    "PUT",
    "/api/leases/{name:str}",
    Contract(
        right=Right.BOT,
        summary="Take or renew a lease; is_ours says who has it",
        body=LeaseRequest,
        answer=Lease,
        parts=("name",),
    ),
)
async def put_lease(request: Asked) -> Answer:
    """Take a lease."""
    name = reading.name(request.path_params["name"], "name")
    wanted = await reading.body(request, LeaseRequest)
    if not 1 <= wanted.seconds <= _LONGEST_LEASE:
        raise WrongShape("seconds", expected=f"1 to {_LONGEST_LEASE}", got=wanted.seconds)
    if not wanted.holder.strip():
        raise WrongShape("holder", expected="a name", got=wanted.holder)
    async with house(request).database.connection() as connection:
        return json_answer(await leases.take(connection, name, wanted))


@endpoint(
    "DELETE",
    "/api/leases/{name:str}",
    Contract(
        right=Right.BOT,
        summary="Give a lease back",
        query=HolderQuery,
        status=HTTPStatus.NO_CONTENT,
        parts=("name",),
    ),
)
async def drop_lease(request: Asked) -> Answer:
    """Give a lease back; nothing happens when it is somebody else's."""
    name = reading.name(request.path_params["name"], "name")
    query = reading.query(request, HolderQuery)
    async with house(request).database.connection() as connection:
        await leases.drop(connection, name, query.holder)
    return nothing()


@endpoint(
    "GET",
    "/api/wishes",
    Contract(right=Right.BOT, summary="Wishes that nobody fulfilled yet", answer=list[Wish]),
)
async def list_wishes(request: Asked) -> Answer:
    """Open wishes, oldest first."""
    async with house(request).database.connection() as connection:
        return json_answer(await wishes.open_ones(connection))


@endpoint(
    "PUT",
    "/api/wishes/{uid:str}",
    Contract(
        right=Right.BOT,
        summary="Tell that a wish is fulfilled",
        body=WishDone,
        status=HTTPStatus.NO_CONTENT,
        parts=("uid",),
    ),
)
async def finish_wish(request: Asked) -> Answer:
    """A wish is fulfilled."""
    uid = reading.name(request.path_params["uid"], "uid")
    done = await reading.body(request, WishDone)
    async with house(request).database.connection() as connection:
        await wishes.finish(connection, uid, done.result)
    return nothing()


@endpoint(
    "PUT",
    "/api/mails/{key:path}",
    Contract(
        right=Right.BOT,
        summary="Claim the sending of a mail",
        body=MailReport,
        answer=Claimed,
        parts=("key",),
    ),
)
async def claim_mail(request: Asked) -> Answer:
    """Claim a mail; the first to claim it sends it."""
    key = reading.name(str(request.path_params["key"]).lstrip("/"), "key")
    mail = await reading.body(request, MailReport)
    if len(mail.recipients) > 100:
        raise InvalidInput("recipients", expected="at most 100", got=len(mail.recipients))
    async with house(request).database.connection() as connection:
        return json_answer(Claimed(await mails.claim(connection, key, mail)))


HANDLERS = [
    read_known,
    put_trains,
    put_bugs,
    put_trials,
    list_rounds,
    put_round,
    put_lease,
    drop_lease,
    list_wishes,
    finish_wish,
    claim_mail,
]
