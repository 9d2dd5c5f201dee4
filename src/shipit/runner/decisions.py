# SPDX-License-Identifier: MPL-2.0
"""The runner of decisions: takes up parts whose hold has ended and writes them; any number may run."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import structlog

from shipit.errors import ShipitError
from shipit.runner.looping import work_until
from shipit.runner.writing import Outside, Writing
from shipit.storage import keys, outbox
from shipit.storage.outbox import Claimed

TICK_SECONDS = 1.0
MOST_AT_ONCE = 4

log = structlog.get_logger(__name__)


async def run(
    outside: Outside, stop: asyncio.Event, *, database_url: str | None = None, tick: float = TICK_SECONDS
) -> None:
    """Work until told to stop. database_url: where notifications are heard; None: only the tick wakes it."""
    wake = asyncio.Event()
    runner = Runner(outside, wake=wake)
    await runner.rotate()

    async def work() -> bool:
        return await runner.claim() > 0

    try:
        await work_until(
            stop,
            work,
            name="decisions",
            wake=wake,
            tick=tick,
            database=outside.database,
            database_url=database_url,
        )
    finally:
        await runner.close()


class Runner:
    """One runner's work. Parts are written beside each other, never two of one bug."""

    def __init__(self, outside: Outside, *, wake: asyncio.Event | None = None) -> None:
        self._outside = outside
        self._wake = wake or asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def rotate(self) -> None:
        """Seal anew what an older secret sealed, so that the older one can be taken away."""
        try:
            async with self._outside.database.connection() as connection:
                count, lost = await keys.rotate(connection, self._outside.vault)
        except ShipitError as error:
            log.warning("decisions.rotate", reason=error.detail)
        else:
            if count or lost:
                log.info("decisions.rotated", keys=count, lost=lost)

    async def claim(self) -> int:
        """Take up parts that are due, as many as there is room for."""
        room = MOST_AT_ONCE - len(self._tasks)
        if room <= 0:
            return 0
        now = time.monotonic()
        async with self._outside.database.connection() as connection:
            found = await outbox.claim(connection, limit=room, lease=self._outside.lease)
            if found:
                self._outside.at("claimed, not committed")
        if found:
            self._outside.at("claimed")
        for one in found:
            task = asyncio.create_task(self._write(one, now))
            self._tasks.add(task)
            task.add_done_callback(self._done)
        return len(found)

    async def settle(self) -> None:
        """Wait for the parts that are being written."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Let what is being written come to its end for a while; the rest goes on with another runner."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timedelta(seconds=10).total_seconds())
        for task in self._tasks:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _write(self, one: Claimed, claimed_at: float) -> None:
        try:
            await Writing(self._outside, one, claimed_at=claimed_at).run()
        except ShipitError as error:
            # Our own database: the claim ends by itself, and the part is taken up again.
            log.warning("decisions.trouble", decision=one.decision, reason=error.detail)
        except Exception:
            # The outermost frame of a part: one broken part must not stop the others.
            log.exception("decisions.part", decision=one.decision)
