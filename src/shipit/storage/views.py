# SPDX-License-Identifier: MPL-2.0
"""Saved views of the board."""

from __future__ import annotations

from datetime import datetime

import msgspec
from psycopg.errors import UniqueViolation

from shipit.errors import Refused
from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("views")
MOST_VIEWS = 200


class View(msgspec.Struct, frozen=True):
    """A saved view. query: of the board's address; train: None for whichever is shown."""

    uid: str
    owner: str
    name: str
    train: str | None
    query: str
    is_shared: bool
    changed_at: datetime
    revision: int


class ViewReport(msgspec.Struct, frozen=True, kw_only=True):
    """A view as its owner wants it."""

    name: str
    train: str | None
    query: str
    is_shared: bool


async def listed(connection: Connection, person: str) -> list[View]:
    """A person's own views, then those others share, each by name."""
    cursor = await connection.execute(_SQL["list_views"], {"person": person})
    return [View(*row) for row in await cursor.fetchall()]


async def one(connection: Connection, uid: str, person: str) -> View | None:
    """A view that this person may see."""
    cursor = await connection.execute(_SQL["read_view"], {"uid": uid, "person": person})
    row = await cursor.fetchone()
    return None if row is None else View(*row)


async def save(
    connection: Connection, uid: str, report: ViewReport, *, person: str, revision: int | None
) -> View | None:
    """Store a view; None when it is not (any more) the revision that was seen, or not this person's.

    Raises Refused when the name is taken or there are too many.
    """
    values = {"uid": uid, "person": person, "revision": revision, **msgspec.structs.asdict(report)}
    taken = await connection.execute(_SQL["name_taken"], values)
    if await taken.fetchone() is not None:
        raise Refused(f"you have a view called {report.name!r} already")
    count = await (await connection.execute(_SQL["count_views"], values)).fetchone()
    if count is not None and count[0] >= MOST_VIEWS and await one(connection, uid, person) is None:
        raise Refused(f"a person keeps at most {MOST_VIEWS} views")
    try:
        row = await (await connection.execute(_SQL["save_view"], values)).fetchone()
    except UniqueViolation as error:
        raise Refused(f"you have a view called {report.name!r} already") from error
    return None if row is None else View(*row)


async def drop(connection: Connection, uid: str, *, person: str, revision: int | None) -> bool:
    """Remove one's own view; False when it is not the revision that was seen, or not there."""
    values = {"uid": uid, "person": person, "revision": revision}
    cursor = await connection.execute(_SQL["drop_view"], values)
    return await cursor.fetchone() is not None
