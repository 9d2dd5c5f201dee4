# SPDX-License-Identifier: MPL-2.0
"""The outermost loop of a runner: work while there is some, then wait for a wake-up, the tick or the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shipit.errors import ShipitError
from shipit.storage.pool import Database
from shipit.storage.wakeups import wakeups

log = structlog.get_logger(__name__)


async def work_until(
    stop: asyncio.Event,
    work: Callable[[], Awaitable[bool]],
    *,
    name: str,
    wake: asyncio.Event,
    tick: float,
    database: Database,
    database_url: str | None,
) -> None:
    """Call `work` again as long as it says that there is more; whatever goes wrong is logged under the name.

    database_url: where notifications are heard; None: only the tick (seconds) and `wake` end a pause.
    """
    hearing = None
    if database_url is not None:
        hearing = asyncio.ensure_future(wakeups(database_url, instance=database.instance, wake=wake))
    try:
        while not stop.is_set():
            wake.clear()
            try:
                is_busy = await work()
            except ShipitError as error:
                log.warning(f"{name}.trouble", reason=error.detail)
                is_busy = False
            except Exception:
                # The outermost loop of this door: recorded, and the next tick comes.
                log.exception(f"{name}.surprise")
                is_busy = False
            if not is_busy:
                await _first_of(stop, wake, tick)
    finally:
        if hearing is not None:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)


async def _first_of(stop: asyncio.Event, wake: asyncio.Event, seconds: float) -> None:
    """Sleep until something happens."""
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(wake.wait())]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
