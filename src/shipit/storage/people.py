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
LONGEST_DAYS = 365


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


async def listed(
    connection: Connection,
    *,
    see_private: bool,
    see_restricted: bool,
    person: int | None = None,
    after: int = 0,
    limit: int = 500,
) -> bytes:
    """[{id, email, name, …}] as JSON, by id; only `person` where one is given.

    see_restricted: also those who are known from restricted bugs alone.
    """
    cursor = await connection.execute(
        _SQL["list_people"],
        {
            "see_private": see_private,
            "see_restricted": see_restricted,
            "id": person,
            "after": after,
            "limit": limit,
        },
        binary=True,
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
    days: int = LONGEST_DAYS,
) -> Person | None:
    """Note something about a person for some days; None when somebody else did since `revision`.

    What is None stays as it was. Raises Missing.
    """
    cursor = await connection.execute(
        _SQL["note"],
        {
            "id": person,
            "by": by,
            "karma": karma,
            "public": public,
            "private": private,
            "revision": revision,
            "days": days,
        },
    )
    row = await cursor.fetchone()
    if row is not None:
        return Person(*row)
    await _state(connection, person)
    return None


async def expire(connection: Connection, person: int, *, by: str, revision: int | None) -> bool:
    """End what is noted about a person; ending twice is harmless.

    False: somebody else noted since `revision`. Raises Missing.
    """
    cursor = await connection.execute(_SQL["expire"], {"id": person, "by": by, "revision": revision})
    if await cursor.fetchone() is not None:
        return True
    is_valid, _ = await _state(connection, person)
    return not is_valid


async def history(connection: Connection, person: int, *, limit: int = 200) -> bytes:
    """[{at, by, what, …}] as JSON, newest first; without the words of what no longer holds."""
    cursor = await connection.execute(_SQL["list_notes"], {"id": person, "limit": limit}, binary=True)
    row = await cursor.fetchone()
    assert row is not None
    return bytes(row[0])


async def _state(connection: Connection, person: int) -> tuple[bool, int]:
    """Whether something is noted about a person now, and the revision. Raises Missing."""
    row = await (await connection.execute(_SQL["read_state"], {"id": person})).fetchone()
    if row is None:
        raise Missing(f"there is no contributor {person}")
    return bool(row[0]), int(row[1])
