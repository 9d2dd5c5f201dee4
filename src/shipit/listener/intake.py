# SPDX-License-Identifier: MPL-2.0
"""Deliveries come in: read, judged as far as can be, stored with their effects; only then acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from shipit.errors import InvalidInput, Unavailable
from shipit.events.heard import Heard, hear
from shipit.events.states import EventState
from shipit.events.types import Delivery
from shipit.listener.book import RouteBook
from shipit.listener.failpoints import Reached, never
from shipit.listener.measures import Measures
from shipit.storage import journal, sources
from shipit.storage.pool import Database

log = logging.getLogger(__name__)

PATIENCE = 120.0
"""Seconds a batch waits for the database; afterwards it is left to the broker, who keeps it longer."""


class Intake:
    """The one way into the journal. `stirred` is set when something came that is to be looked at or fired."""

    def __init__(
        self,
        db: Database,
        book: RouteBook,
        measures: Measures,
        *,
        instance: str,
        reached: Reached = never,
        patience: float = PATIENCE,
    ) -> None:
        self.looks = asyncio.Event()
        self.effects = asyncio.Event()
        self._db = db
        self._book = book
        self._measures = measures
        self._instance = instance
        self._reached = reached
        self._patience = patience

    async def take(self, source: str, deliveries: Sequence[Delivery], cursor: Any = None) -> journal.Recorded:
        """Store deliveries and, with them, a source's cursor. Raises Unavailable without a database."""
        self._reached("heard")
        began, heard_at = time.perf_counter(), datetime.now(UTC)
        routes = self._book.routes
        heard = [hear(one, routes, instance=self._instance) for one in deliveries]
        place = None if cursor is None else (source, cursor)
        recorded = await self._patiently(source, heard, place, heard_at)
        self._reached("recorded")
        self._measures.heard(source, heard, recorded, time.perf_counter() - began)
        if recorded.effects:
            self.effects.set()
        if any(one.state is EventState.STORED for one in heard):
            self.looks.set()
        return recorded

    async def _patiently(
        self, source: str, heard: Sequence[Heard], cursor: tuple[str, Any] | None, heard_at: datetime
    ) -> journal.Recorded:
        deadline = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                return await self._record(source, heard, cursor, heard_at)
            except Unavailable as error:
                if time.monotonic() + pause > deadline:
                    raise
                log.warning("%s: waiting for the database: %s", source, error.detail)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)

    async def _record(
        self, source: str, heard: Sequence[Heard], cursor: tuple[str, Any] | None, heard_at: datetime
    ) -> journal.Recorded:
        try:
            async with self._db.connection() as connection:
                recorded = await journal.record(
                    connection, heard, instance=self._instance, cursor=cursor, heard_at=heard_at
                )
                if heard:
                    await sources.heard(connection, source, new=recorded.new, again=recorded.again)
                return recorded
        except InvalidInput as error:
            if len(heard) > 1 or cursor is not None:
                return await self._one_by_one(source, heard, cursor, heard_at)
            return await self._record(source, [_bare(heard[0], error.detail)], None, heard_at)

    async def _one_by_one(
        self, source: str, heard: Sequence[Heard], cursor: tuple[str, Any] | None, heard_at: datetime
    ) -> journal.Recorded:
        """The database refuses something in a batch: keep the rest, and of that one what can be kept."""
        found = [await self._record(source, [one], None, heard_at) for one in heard]
        if cursor is not None:
            async with self._db.connection() as connection:
                await sources.move_cursor(connection, *cursor)
        return journal.Recorded(
            sum(one.new for one in found), sum(one.again for one in found), sum(one.effects for one in found)
        )


def _bare(heard: Heard, reason: str) -> Heard:
    delivery = msgspec.structs.replace(
        heard.delivery, routing_key=ascii(heard.delivery.routing_key)[:500], cc=()
    )
    return Heard(
        delivery=delivery,
        key=ascii(heard.key)[:500],
        state=EventState.QUARANTINED,
        reason=f"cannot be stored: {reason}"[:500],
    )
