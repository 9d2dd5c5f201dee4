# SPDX-License-Identifier: MPL-2.0
"""The journal as lists and figures show it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from shipit.events.states import EventState
from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("journal")


class Show(StrEnum):
    """Which events a list shows."""

    ALL = "all"
    TRIGGERED = "triggered"
    WAITING = "waiting"
    FAILED = "failed"
    IGNORED = "ignored"
    QUARANTINED = "quarantined"


class Page(msgspec.Struct, frozen=True):
    """Events as JSON, newest first, shaped as `events.told.EventRow`. next: `before` of the page after it."""

    rows: bytes
    next: int | None


async def list_events(connection: Connection, **which: Any) -> bytes:
    """The rows of `page`."""
    return (await page(connection, **which)).rows


async def page(
    connection: Connection,
    *,
    limit: int = 100,
    before: int | None = None,
    show: Show = Show.ALL,
    key: str | None = None,
    state: str | None = None,
    route: str | None = None,
    source: str | None = None,
    heard_by: str | None = None,
    only: Collection[str] | None = None,
) -> Page:
    """A page of the journal, each event with its effects.

    before: the id after which a page goes on; state: of the event or of one of its effects; heard_by: the
    route of the queue, or the poll, that brought it; only: sources beside which none is told.
    """
    limit = max(1, min(limit, 1000))
    ids = await _ids(connection, show, limit=limit, before=before)
    values = {
        "limit": limit,
        "before": before,
        "ids": ids,
        "key": key,
        "state": EventState.IGNORED.value if show is Show.IGNORED else state,
        "route": route,
        "source": source,
        "heard_by": heard_by,
        "only": None if only is None else sorted(only),
    }
    found = await (await connection.execute(_SQL["list_events"], values)).fetchone()
    assert found is not None
    rows, count, last = found
    if ids is not None:
        # other conditions may leave less of them than a page holds, and more follow all the same
        return Page(bytes(rows), min(ids) if len(ids) == limit else None)
    return Page(bytes(rows), last if count == limit else None)


async def _ids(connection: Connection, show: Show, *, limit: int, before: int | None) -> list[int] | None:
    """The events to show where they are few among many, None where all may be."""
    if show in (Show.ALL, Show.IGNORED):
        return None
    found = await connection.execute(_SQL[f"ids_{show}"], {"limit": limit, "before": before})
    return [number for (number,) in await found.fetchall()]


async def count_failed(connection: Connection) -> int:
    """Tasks that failed within a day, and what is in quarantine."""
    row = await (await connection.execute(_SQL["count_failed"])).fetchone()
    assert row is not None
    return int(row[0])


async def figures(connection: Connection) -> Mapping[str, float]:
    """quarantined, oldest_event and oldest_effect (seconds), stored, due, followed."""
    row = await (await connection.execute(_SQL["figures"])).fetchone()
    assert row is not None
    names = ("quarantined", "oldest_event", "oldest_effect", "stored", "due", "followed")
    return {name: float(value) for name, value in zip(names, row, strict=True)}
