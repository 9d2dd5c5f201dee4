# SPDX-License-Identifier: MPL-2.0
"""The outbox of decisions: parts claimed under a fence, each write marked before it goes out and after."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.decision_states import PartState, WriteState
from shipit.uplift.decision_types import Difference, Part, Write
from shipit.uplift.verdicts import Verdict

_SQL = load("decisions")


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A part that this runner writes. fence: whoever holds a younger one has taken it from us."""

    decision: str
    bug: int
    fence: int
    part: Part
    person: str
    verdict: Verdict
    first_try_at: datetime
    resumed: int

    @property
    def where(self) -> dict[str, Any]:
        """Which part, for statements."""
        return {"decision": self.decision, "bug": self.bug, "fence": self.fence}


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A write as it stands. mark: newest comment or transaction before it was first sent, None before."""

    position: int
    state: WriteState
    write: Write
    attempts: int
    mark: int | None
    sent_at: datetime | None
    answer: str


class Lost(Exception):
    """Somebody else holds the claim now."""


async def claim(connection: Connection, *, limit: int, lease: timedelta) -> list[Claimed]:
    """Parts that are due, at most one of each bug, for the length of the lease."""
    found = await connection.execute(_SQL["due"], {"limit": limit})
    claimed: dict[int, Claimed] = {}
    for decision, bug in await found.fetchall():
        if bug in claimed:
            continue
        try:
            async with connection.transaction():
                values = {"decision": decision, "bug": bug, "lease": lease}
                row = await (await connection.execute(_SQL["claim"], values)).fetchone()
        except psycopg.errors.UniqueViolation:
            # Somebody began to write another decision to this bug at the same moment.
            continue
        assert row is not None
        claimed[bug] = Claimed(
            decision=decision,
            bug=bug,
            fence=row[0],
            part=msgspec.convert(row[1], Part),
            first_try_at=row[2],
            resumed=row[3],
            person=row[4],
            verdict=Verdict(row[5]),
        )
    return list(claimed.values())


async def writes(connection: Connection, one: Claimed) -> list[Outgoing]:
    """The writes of a part, in their order."""
    found = await connection.execute(_SQL["writes"], one.where)
    return [
        Outgoing(
            position=row[0],
            state=WriteState(row[1]),
            write=msgspec.convert(row[2], Write),
            attempts=row[3],
            mark=row[4],
            sent_at=row[5],
            answer=row[7],
        )
        for row in await found.fetchall()
    ]


async def sending(
    connection: Connection, one: Claimed, position: int, *, mark: int, lease: timedelta
) -> None:
    """Note, before the call, that it goes out; the lease begins anew. Raises Lost."""
    await _hold(connection, one)
    values = one.where | {"position": position, "mark": mark, "lease": lease}
    await connection.execute(_SQL["sending"], values)
    await connection.execute(_SQL["extend"], values)


async def moved(connection: Connection, one: Claimed, position: int, state: WriteState, answer: str) -> None:
    """Note what came of a write. Raises Lost."""
    await _hold(connection, one)
    values = one.where | {"position": position, "state": state.value, "answer": answer[:4000]}
    await connection.execute(_SQL["write_moved"], values)


async def give_back(connection: Connection, one: Claimed, *, due_at: datetime, message: str) -> None:
    """It goes on later, with whichever runner. Raises Lost."""
    await _hold(connection, one)
    await connection.execute(_SQL["give_back"], one.where | {"due_at": due_at, "message": message[:2000]})


async def finish(
    connection: Connection,
    one: Claimed,
    state: PartState,
    message: str,
    differences: tuple[Difference, ...] = (),
) -> None:
    """The part has come to an end, or to a person. Raises Lost."""
    await _hold(connection, one)
    values = one.where | {
        "state": state.value,
        "message": message[:2000],
        "differences": Jsonb(differences),
    }
    await connection.execute(_SQL["finish"], values)
    if state is PartState.CHANGED:
        await connection.execute(_SQL["leave_unsent"], one.where)


async def _hold(connection: Connection, one: Claimed) -> None:
    if await (await connection.execute(_SQL["hold"], one.where)).fetchone() is None:
        raise Lost
