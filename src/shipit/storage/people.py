# SPDX-License-Identifier: MPL-2.0
"""Contributors, and what release managers noted about them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shipit.errors import Missing
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.report import Contributor

_SQL = load("people")


class Person(msgspec.Struct, frozen=True):
    """A contributor with what was noted."""

    id: int
    email: str
    name: str
    avatar: str | None
    karma: int
    comment_public: str
    comment_private: str
    revision: int


def ordered(contributors: Sequence[Contributor]) -> list[Contributor]:
    """Each address once and in order, so that two reports at once cannot wait for each other."""
    return sorted({each.email: each for each in contributors}.values(), key=lambda each: each.email)


async def listed(connection: Connection, *, see_private: bool, after: int = 0, limit: int = 500) -> bytes:
    """[{id, email, name, …}] as JSON, by id."""
    cursor = await connection.execute(
        _SQL["list_people"], {"see_private": see_private, "after": after, "limit": limit}, binary=True
    )
    row = await cursor.fetchone()
    assert row is not None
    return bytes(row[0])


async def noted(connection: Connection, emails: Sequence[str]) -> dict[str, Person]:
    """These people by address, with the notes that have not expired."""
    cursor = await connection.execute(_SQL["read_people"], {"emails": list(emails)})
    return {row[1]: Person(*row) for row in await cursor.fetchall()}


async def note(
    connection: Connection,
    person: int,
    *,
    by: str,
    karma: int | None,
    public: str | None,
    private: str | None,
    revision: int | None,
) -> Person | None:
    """Note something about a person; None when somebody else did since `revision`. Raises Missing."""
    cursor = await connection.execute(
        _SQL["note"],
        {
            "id": person,
            "by": by,
            "karma": karma,
            "public": public,
            "private": private,
            "revision": revision,
        },
    )
    row = await cursor.fetchone()
    if row is not None:
        return Person(*row)
    found = await connection.execute(_SQL["has_person"], {"id": person})
    if await found.fetchone() is None:
        raise Missing(f"there is no contributor {person}")
    return None
