# SPDX-License-Identifier: MPL-2.0
"""How many rows a Bugzilla gives at most: an installation may set a lower limit than we ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

RowsAt = Callable[[int, int], Awaitable[int | None]]


class Rows:
    """Tells a short answer that is whole from one that was cut, with one question per process.

    rows_at(offset, limit): how many of all its bugs Bugzilla gives there; None when it refuses to say.
    most: the most rows that are ever asked for. On an installation that has fewer bugs than that, a second
    question tells whether it has no more or gives no more.
    """

    def __init__(self, rows_at: RowsAt, *, most: int) -> None:
        self._rows_at = rows_at
        self._most = most
        self._given: int | None = None
        self._is_limit = False
        self._asking = asyncio.Lock()

    async def are_all(self, rows: int) -> bool:
        """Whether an answer of so many rows, fewer than asked for, is whole. Raises Unavailable."""
        async with self._asking:
            if self._given is None:
                given = await self._rows_at(0, self._most)
                # Refused: no answer is known to be whole, so that each costs one more call.
                self._given = given or 0
                self._is_limit = given is None or given >= self._most
            if rows >= self._given and not self._is_limit:
                if not await self._rows_at(self._given, self._most):
                    # these were all bugs there are: no limit below ours is known
                    self._given = self._most
                self._is_limit = True
            return rows < self._given
