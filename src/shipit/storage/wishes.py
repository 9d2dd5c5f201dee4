# SPDX-License-Identifier: MPL-2.0
"""Wishes: what a page asked a worker with the clone to do."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from shipit.errors import Missing
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.report import Wish

_SQL = load("work")


async def ask(
    connection: Connection, kind: str, subject: str, *, asked_by: str | None, detail: str = ""
) -> tuple[Wish, bool]:
    """The open wish for this, and whether it is new; asking twice makes one wish."""
    wanted = {
        "uid": f"w-{secrets.token_hex(8)}",
        "kind": kind,
        "subject": subject,
        "detail": detail,
        "asked_by": asked_by,
    }
    # Between the two statements somebody may fulfil the wish; then the second round makes a new one.
    for _ in range(3):
        cursor = await connection.execute(_SQL["ask_wish"], wanted)
        row = await cursor.fetchone()
        if row is not None:
            return _wish(row), True
        cursor = await connection.execute(_SQL["open_wish"], wanted)
        row = await cursor.fetchone()
        if row is not None:
            return _wish(row), False
    raise Missing("the wish was fulfilled while it was made; ask again")


async def open_ones(connection: Connection) -> tuple[Wish, ...]:
    """Wishes that nobody fulfilled yet, oldest first, at most 500."""
    cursor = await connection.execute(_SQL["open_wishes"])
    return tuple(_wish(row) for row in await cursor.fetchall())


async def finish(connection: Connection, uid: str, result: dict[str, Any]) -> None:
    """A wish is fulfilled; saying so twice is harmless. Raises Missing for a wish nobody made."""
    cursor = await connection.execute(
        _SQL["finish_wish"], {"uid": uid, "result": msgspec.json.encode(result).decode()}
    )
    if await cursor.fetchone() is not None:
        return
    cursor = await connection.execute(_SQL["has_wish"], {"uid": uid})
    if await cursor.fetchone() is None:
        raise Missing(f"there is no wish {uid!r}")


def _wish(row: tuple[Any, ...]) -> Wish:
    return Wish(uid=row[0], kind=row[1], subject=row[2], asked_at=row[3], detail=row[4])
