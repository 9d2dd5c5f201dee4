# SPDX-License-Identifier: MPL-2.0
"""Versions of the data, and which bugs only some people may see."""

from __future__ import annotations

from collections.abc import Collection

from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("visibility")


async def version(connection: Connection) -> int:
    """A number that differs whenever anything that people read differs."""
    cursor = await connection.execute(_SQL["version"])
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def restrictions(
    connection: Connection, table: str, ids: Collection[str]
) -> list[tuple[int, bool, str]]:
    """(bug, whether it is restricted now, id) for rows of `table`: bugs by number, all others by request."""
    cursor = await connection.execute(_SQL["restrictions"], {"kind": table, "ids": list(ids)})
    return [(int(row[0]), bool(row[1]), str(row[2])) for row in await cursor.fetchall()]


async def all_restrictions(connection: Connection) -> dict[int, bool]:
    """Every bug, and whether it is restricted."""
    cursor = await connection.execute(_SQL["all_restrictions"])
    return {int(row[0]): bool(row[1]) for row in await cursor.fetchall()}


async def revision(connection: Connection) -> str | None:
    """The migration the database is at; None when it has no schema of ours."""
    row = await (await connection.execute(_SQL["has_revision"])).fetchone()
    if row is None or not row[0]:
        return None
    row = await (await connection.execute(_SQL["revision"])).fetchone()
    return str(row[0]) if row else None
