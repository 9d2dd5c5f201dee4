# SPDX-License-Identifier: MPL-2.0
"""Decisions as people make and read them: the facts, the rows of a new one, taking back, going on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.trains.types import Train
from shipit.uplift.decision_mail import Untold
from shipit.uplift.decision_states import PartState, WriteState
from shipit.uplift.decision_types import (
    BugFacts,
    Difference,
    Part,
    Refusal,
    RequestFacts,
    Stamp,
    Write,
)
from shipit.uplift.verdicts import Wanted

_SQL = load("decisions")
_SHOWN = (
    "uid",
    "person",
    "wanted",
    "refusals",
    "made_at",
    "hold_until",
    "parts_in_all",
    "parts",
)
_AUDITED = (
    "id",
    "at",
    "decision",
    "bug",
    "requests",
    "actor",
    "what",
    "object",
    "before",
    "after",
    "why",
    "answer",
)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the audit. actor: a person, or "ship it" for what it did for them."""

    actor: str
    what: str
    decision: str = ""
    bug: int | None = None
    requests: tuple[str, ...] = ()
    object: str = ""
    before: str = ""
    after: str = ""
    why: str = ""
    answer: str = ""


class Entry(Line, frozen=True, kw_only=True):
    """An entry as it is read. id: rises with time."""

    id: int
    at: datetime


class NewDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision to store. digest: of everything its sender sent."""

    uid: str
    person: str
    client: str
    wanted: Wanted
    digest: str
    parts: tuple[Part, ...]
    refusals: tuple[Refusal, ...]
    hold_until: datetime


class StoredWrite(msgspec.Struct, frozen=True, kw_only=True):
    """A write as it stands. answer: what the service said last."""

    position: int
    state: WriteState
    write: Write
    attempts: int = 0
    sent_at: datetime | None = None
    done_at: datetime | None = None
    answer: str = ""


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a decision: as it was, and which patches and version it means now."""

    request: str
    train: str
    stamp: Stamp
    series_digest: str | None = None
    major: int | None = None


class StoredPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part as it stands."""

    bug: int
    is_restricted: bool
    state: PartState
    message: str
    differences: tuple[Difference, ...]
    due_at: datetime
    finished_at: datetime | None = None
    plan: Part
    requests: tuple[StoredRequest, ...]
    writes: tuple[StoredWrite, ...]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as it stands, with the parts that the reader may see."""

    uid: str
    person: str
    wanted: Wanted
    refusals: tuple[Refusal, ...]
    made_at: datetime
    hold_until: datetime
    parts_in_all: int
    parts: tuple[StoredPart, ...]


async def facts(
    connection: Connection, requests: Sequence[str], bugs: Sequence[int] = (), *, see_restricted: bool
) -> tuple[dict[str, RequestFacts], dict[int, BugFacts], dict[str, Train]]:
    """Requests by uid, their bugs and these by number, as far as they may be seen; every train by name."""
    values = {"requests": list(requests), "bugs": list(bugs), "see_restricted": see_restricted}
    row = await (await connection.execute(_SQL["facts"], values)).fetchone()
    assert row is not None
    found = msgspec.convert(row[0], list[RequestFacts])
    read = msgspec.convert(row[1], list[BugFacts])
    trains = msgspec.convert(row[2], list[Train])
    return (
        {one.uid: one for one in found},
        {one.id: one for one in read},
        {one.name: one for one in trains},
    )


async def digest(connection: Connection, uid: str) -> str | None:
    """The digest of what was sent under this uid; None when nothing was."""
    row = await (await connection.execute(_SQL["digest"], {"uid": uid})).fetchone()
    return None if row is None else str(row[0])


async def put(connection: Connection, new: NewDecision) -> bool:
    """Store a decision with everything it will write; False when the uid is taken."""
    values = {
        "uid": new.uid,
        "verdict": new.wanted.verdict.value,
        "person": new.person,
        "client": new.client,
        "wanted": Jsonb(new.wanted),
        "digest": new.digest,
        "refusals": Jsonb(new.refusals),
        "hold_until": new.hold_until,
    }
    if await (await connection.execute(_SQL["put"], values)).fetchone() is None:
        return False
    for part in new.parts:
        of = {"decision": new.uid, "bug": part.bug}
        if not part.requests:
            await connection.execute(_SQL["adopt_bug"], of)
        for uid in part.requests:
            stamp = part.stamps[uid]
            row = {"request": uid, "train": stamp.train, "stamp": Jsonb(stamp)}
            await connection.execute(_SQL["put_request"], of | row)
        await connection.execute(_SQL["put_part"], of | {"plan": Jsonb(part), "due_at": new.hold_until})
        for position, write in enumerate(part.writes):
            row = {"position": position, "write": Jsonb(write)}
            await connection.execute(_SQL["put_write"], of | row)
    return True


async def shown(
    connection: Connection,
    *,
    see_restricted: bool,
    uid: str | None = None,
    request: str | None = None,
    bug: int | None = None,
    state: PartState | None = None,
    person: str | None = None,
    limit: int = 100,
) -> list[Stored]:
    """Decisions, newest first. A decision of which nothing may be seen is not there."""
    values = {
        "uid": uid,
        "request": request,
        "bug": bug,
        "state": state,
        "person": person,
        "see_restricted": see_restricted,
        "limit": limit,
    }
    found = await connection.execute(_SQL["shown"], values)
    rows = [dict(zip(_SHOWN, row, strict=True)) for row in await found.fetchall()]
    return [msgspec.convert(row, Stored) for row in rows]


async def lock(connection: Connection, uid: str) -> dict[int, PartState]:
    """The parts of a decision by bug, locked until the transaction ends; {} when there is none."""
    found = await connection.execute(_SQL["lock_parts"], {"decision": uid})
    return {int(bug): PartState(state) for bug, state in await found.fetchall()}


async def undo(connection: Connection, uid: str) -> None:
    """Take back every part that is held."""
    await connection.execute(_SQL["undo"], {"decision": uid})
    await connection.execute(_SQL["leave_unsent"], {"decision": uid, "bug": None})


async def resume(connection: Connection, uid: str, bug: int) -> None:
    """Let a part that is stuck go on."""
    of = {"decision": uid, "bug": bug}
    await connection.execute(_SQL["retry_failed"], of)
    await connection.execute(_SQL["resume"], of)


async def drop(connection: Connection, uid: str, bug: int) -> None:
    """Let a part that is stuck be; what was written stays."""
    of = {"decision": uid, "bug": bug}
    await connection.execute(_SQL["leave_unsent"], of)
    await connection.execute(_SQL["drop"], of)


async def note(connection: Connection, line: Line) -> None:
    """Add to the audit."""
    values: dict[str, Any] = msgspec.structs.asdict(line)
    await connection.execute(_SQL["note"], values | {"requests": list(line.requests)})


async def audit(connection: Connection, request: str) -> list[Entry]:
    """The audit of a request, oldest first."""
    found = await connection.execute(_SQL["audit_of_request"], {"request": request})
    return _entries(await found.fetchall())


async def audit_of_bug(connection: Connection, bug: int, *, see_restricted: bool) -> list[Entry]:
    """The audit of a bug with and without requests, oldest first; empty when it may not be seen."""
    values = {"bug": bug, "see_restricted": see_restricted}
    found = await connection.execute(_SQL["audit_of_bug"], values)
    return _entries(await found.fetchall())


async def untold(connection: Connection, *, since: datetime, until: datetime) -> list[Untold]:
    """Parts that stopped in that time and need their decider, who was not told by mail."""
    found = await connection.execute(_SQL["untold"], {"since": since, "until": until})
    names = Untold.__struct_fields__
    return [msgspec.convert(dict(zip(names, row, strict=True)), Untold) for row in await found.fetchall()]


def _entries(rows: Sequence[tuple[Any, ...]]) -> list[Entry]:
    return [msgspec.convert(dict(zip(_AUDITED, row, strict=True)), Entry) for row in rows]
