# SPDX-License-Identifier: MPL-2.0
"""What is stored around one request, and what workers made for its page."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec

from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.report import DetailReport
from shipit.uplift.told import Told, ToldOther
from shipit.uplift.types import RequestState

_SQL = load("evidence")


async def told(
    connection: Connection,
    uid: str,
    *,
    since: datetime,
    see_restricted: bool,
    see_notes: bool,
    see_private: bool,
) -> tuple[Told, int] | None:
    """Everything around a request, and its bug's revision; None when there is none that may be seen.

    since: from when on what people did is counted. see_notes, see_private: what was noted about people.
    """
    cursor = await connection.execute(
        _SQL["told"],
        {
            "uid": uid,
            "since": since,
            "see_restricted": see_restricted,
            "see_notes": see_notes,
            "see_private": see_private,
        },
        binary=True,
    )
    row = await cursor.fetchone()
    return None if row is None else (msgspec.json.decode(bytes(row[0]), type=Told), int(row[1]))


async def others(
    connection: Connection, bugs: Collection[int], train: str, *, see_restricted: bool
) -> tuple[ToldOther, ...]:
    """The requests of some bugs on a train, as far as they may be seen."""
    if not bugs:
        return ()
    cursor = await connection.execute(
        _SQL["others"], {"bugs": list(bugs), "train": train, "see_restricted": see_restricted}
    )
    return tuple(
        ToldOther(uid=row[0], bug=row[1], train=row[2], state=RequestState(row[3]), is_open=row[4])
        for row in await cursor.fetchall()
    )


async def add_detail(connection: Connection, detail: DetailReport) -> bool:
    """Keep what a worker made; False when it is there already, or its request is not."""
    cursor = await connection.execute(
        _SQL["add_detail"],
        {
            "request": detail.request,
            "kind": detail.kind,
            "key": detail.key,
            "content": msgspec.json.encode(detail.content).decode(),
            "made_at": detail.made_at,
        },
    )
    return cursor.rowcount > 0


async def detail_made_at(connection: Connection, request: str, kind: str, key: str) -> datetime | None:
    """When something was made for a request's page; None when it was not."""
    cursor = await connection.execute(_SQL["has_detail"], {"request": request, "kind": kind, "key": key})
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def conflict_now(connection: Connection, request: str) -> tuple[str, str] | None:
    """Series digest and tip of a request's newest trial; None unless that is a conflict."""
    cursor = await connection.execute(_SQL["conflict_now"], {"request": request})
    row = await cursor.fetchone()
    return None if row is None else (row[0], row[1])


async def newer_than(connection: Connection, request: str, digest: str) -> str | None:
    """The digest of a request's patches now, where `digest` is that of an older version; else None."""
    cursor = await connection.execute(_SQL["version"], {"request": request, "digest": digest})
    row = await cursor.fetchone()
    return None if row is None else row[0]
