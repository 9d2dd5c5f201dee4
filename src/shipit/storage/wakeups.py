# SPDX-License-Identifier: MPL-2.0
"""Hear that there is work for a runner, on one connection outside the pool; silence is no proof of none."""

from __future__ import annotations

import asyncio

import psycopg
from psycopg import sql

from shipit.storage.pool import Limits, conninfo

_LIMITS = Limits(statement=10, idle=0)


async def wakeups(url: str, *, instance: str, wake: asyncio.Event, look_every: float = 30.0) -> None:
    """Set `wake` for each notification, and whenever listening began anew. For ever; cancel it to end it."""
    where = conninfo(url, instance=instance, limits=_LIMITS, application="shipit run listen")
    pause = 0.2
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(f"{instance}_work")))
                pause = 0.2
                wake.set()
                while True:
                    async for _ in connection.notifies(timeout=look_every):
                        wake.set()
                    async with asyncio.timeout(_LIMITS.statement):
                        await connection.execute("select 1")
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError):
            await asyncio.sleep(pause)
            pause = min(10.0, pause * 2)
