# SPDX-License-Identifier: MPL-2.0
"""The database's time: runners whose own clocks are wrong decide alike."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from shipit.storage.pipelines import time_now
from shipit.storage.pool import Connection

OLD_SECONDS = 10.0


class Clock:
    """Read from the database now and then, and gone on since by a clock that nobody sets.

    given: a clock to go by instead. read: how the database is asked.
    """

    def __init__(
        self,
        given: Callable[[], datetime] | None = None,
        *,
        read: Callable[[Connection], Awaitable[datetime]] = time_now,
    ) -> None:
        self._given, self._ask = given, read
        self._known: tuple[datetime, float] | None = None

    async def read(self, connection: Connection) -> datetime:
        """The time, asked for when what is known of it is older than some seconds."""
        asked_at = time.monotonic()
        if self._given is None and (self._known is None or asked_at - self._known[1] > OLD_SECONDS):
            # As if it had been answered at once: late by nothing, so that what is due there is due here.
            self._known = (await self._ask(connection), asked_at)
        return self.now()

    def now(self) -> datetime:
        """The time, as last read and gone on since."""
        if self._given is not None:
            return self._given()
        assert self._known is not None, "it is read before anything is looked at"
        return self._known[0] + timedelta(seconds=time.monotonic() - self._known[1])
