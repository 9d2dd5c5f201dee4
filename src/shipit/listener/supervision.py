# SPDX-License-Identifier: MPL-2.0
"""Every part of the listener runs by itself: what fails is noted and begun again, and stops nobody else."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

import msgspec

from shipit.errors import ShipitError, Unavailable
from shipit.listener.book import rest
from shipit.storage import sources
from shipit.storage.pool import Database

log = logging.getLogger(__name__)

_FIRST, _LONGEST, _WELL = 0.5, 60.0, 30.0


class PartHealth(msgspec.Struct, kw_only=True):
    """How a part is.

    seen: time.monotonic() of its last sign of life; error: why it is down; rests: seconds it is silent as
    planned.
    """

    seen: float
    error: str | None = None
    rests: float = 0.0
    is_source: bool = False
    reconnects: int = 0
    since: float = 0.0


class Health:
    """How every part is, in memory, for heartbeat and metrics."""

    def __init__(self) -> None:
        self.parts: dict[str, PartHealth] = {}

    def starting(self, name: str) -> None:
        """A part begins: not well before its first sign of life."""
        self.parts.setdefault(name, PartHealth(seen=0.0, error="starting", since=time.monotonic()))

    def alive(self, name: str, *, is_source: bool = False, rests: float = 0.0) -> None:
        """A sign of life. rests: seconds until the next one is due."""
        part = self.parts.setdefault(name, PartHealth(seen=0.0, is_source=is_source))
        part.seen, part.error, part.is_source = time.monotonic(), None, is_source
        part.rests = rests

    def down(self, name: str, error: str) -> None:
        """A part failed."""
        part = self.parts.setdefault(name, PartHealth(seen=0.0))
        if part.error is None:
            part.since = time.monotonic()
        part.error, part.reconnects = error, part.reconnects + 1

    def gone(self, name: str) -> None:
        """A part is wanted no more."""
        self.parts.pop(name, None)

    def problems(self, *, quiet: float) -> dict[str, str]:
        """Parts that are down, or gave no sign of life for `quiet` seconds."""
        now = time.monotonic()
        found = {}
        for name, part in self.parts.items():
            if part.error is not None:
                found[name] = part.error
            elif now - part.seen > quiet + part.rests:
                found[name] = f"no sign of life for {now - part.seen:.0f} s"
        return found


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    stop: asyncio.Event,
    health: Health,
    db: Database | None = None,
    reports: bool = True,
    roll: Callable[[], float] = random.random,
) -> None:
    """Run a part until `stop`, beginning anew whenever it ends, with growing pauses while it fails.

    db: where its failures are noted, for a source of events. reports: whether it gives signs of life.
    """
    failures = 0
    if reports:
        health.starting(name)
    while not stop.is_set():
        started = time.monotonic()
        try:
            await run()
            failures = 0
            continue
        except ShipitError as error:
            reason = error.detail
            log.warning("%s: %s", name, reason)
        except Exception as error:
            # the outermost loop of a door: what fails here stops nobody else
            reason = f"{type(error).__name__}: {error}"[:500]
            log.exception("%s failed", name)
        failures = 1 if time.monotonic() - started > _WELL else failures + 1
        health.down(name, reason)
        if db is not None:
            await _note(db, name, reason)
        pause = min(_LONGEST, _FIRST * 2 ** min(failures - 1, 10)) * (0.5 + roll() / 2)
        await rest(stop, pause)


async def keep_asking(
    once: Callable[[], Awaitable[object]], stop: asyncio.Event, health: Health, name: str, *, every: float
) -> None:
    """Ask a source again and again until `stop`, each time a sign of its life. every: seconds between."""
    while not stop.is_set():
        await once()
        health.alive(name, is_source=True, rests=every)
        await rest(stop, every)


async def _note(db: Database, name: str, reason: str) -> None:
    try:
        async with db.connection() as connection:
            await sources.ill(connection, name, reason)
    except Unavailable as error:
        log.warning("%s: cannot even note it: %s", name, error.detail)
