# SPDX-License-Identifier: MPL-2.0
"""Hear of changes as they are committed, on one connection outside the pool; a gap is said, never hidden.

Triggers tell of trains, bugs, requests and trials, whoever writes them; `changed` tells of the rest.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable

import msgspec
import psycopg
from psycopg import sql

from shipit.storage.pool import Connection, Limits, conninfo

_LIMITS = Limits(statement=10, idle=0)
_LONGEST_WAIT = 30.0


class Change(msgspec.Struct, frozen=True):
    """Rows of `table` changed. trains: whose page that touches. ids: which rows, None when they are many."""

    table: str
    trains: tuple[str, ...]
    ids: tuple[str, ...] | None


class Resync(msgspec.Struct, frozen=True):
    """What happened before this is unknown: read afresh."""


async def changed(connection: Connection, trains: Iterable[str]) -> None:
    """Tell, when the caller's transaction commits, of what no trigger sees, such as a wish or a round."""
    await connection.execute("select note_change(current_schema(), 'other', %s, '{}')", [sorted(set(trains))])


_decode = msgspec.json.Decoder(Change).decode


async def changes(url: str, *, instance: str, look_every: float = 30.0) -> AsyncIterator[Change | Resync]:
    """For ever: a Resync when listening begins (at first, and after each lost connection), then changes.

    look_every: seconds of silence after which the connection is tried, since a dead one is silent as well.
    A database that is away is waited for, with growing pauses up to half a minute.
    Close it (`contextlib.aclosing`) to give the connection back.
    """
    failures = 0
    where = conninfo(url, instance=instance, limits=_LIMITS, application="shipit listen")
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(f"{instance}_live")))
                failures = 0
                yield Resync()
                while True:
                    heard = False
                    async for notification in connection.notifies(timeout=look_every):
                        heard = True
                        yield _read(notification.payload)
                    if not heard:
                        async with asyncio.timeout(_LIMITS.statement):
                            await connection.execute("select 1")
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError):
            await asyncio.sleep(_pause(failures))
            failures += 1


def _read(payload: str) -> Change | Resync:
    try:
        return _decode(payload)
    except msgspec.MsgspecError:
        # Written by other code than this, as during a deployment: something changed, we do not know what.
        return Resync()


def _pause(failures: int) -> float:
    # Spread, so that the processes of a restarted database do not come back all at once.
    return min(_LONGEST_WAIT, 0.2 * 2.0 ** min(failures, 20)) * random.uniform(0.5, 1)
