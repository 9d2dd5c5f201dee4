# SPDX-License-Identifier: MPL-2.0
"""The schedule as last answered: quick looks do not ask again what changes a few times a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from shipit.clients.schedule import ScheduleClient
from shipit.trains.types import Failure, Schedule


class Calendar:
    """A provider of schedules that remembers its last whole answer."""

    def __init__(self, client: ScheduleClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._last: Schedule | None = None

    async def read(self, *, at_most: timedelta = timedelta()) -> Schedule | Failure:
        """What the provider says now, or said not longer than `at_most` ago."""
        if self._last is not None and self._now() - self._last.read_at < at_most:
            return self._last
        answer = await self._client.read()
        # What was answered in part is asked again soon.
        self._last = answer if isinstance(answer, Schedule) and not answer.failed else None
        return answer
