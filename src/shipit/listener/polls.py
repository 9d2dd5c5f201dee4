# SPDX-License-Identifier: MPL-2.0
"""Sources that are asked: new diffs, revisions that changed, pushlogs, failed webhook deliveries."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import msgspec

from shipit.clients.differential import Differential, LostCursor
from shipit.clients.pushes import GithubDeliveries, Pushlog, push_message
from shipit.events.deliveries import PUSHLOG, part
from shipit.events.samples import diff_delivery
from shipit.events.types import Delivery
from shipit.listener.intake import Intake
from shipit.listener.supervision import Health, keep_asking
from shipit.storage import journal, sources
from shipit.storage.pool import Database

log = logging.getLogger(__name__)

DIFFS, SWEEP = "phabricator", "phabricator:sweep"
PAGE = 20
OVERLAP = 900
"""Seconds a sweep looks back beyond the last one: clocks differ, and daemons publish late."""
_MAX_PAGES = 500


class DiffPoll:
    """New diffs by their number. The cursor holds `last`, and `floor`: the newest at the very first start."""

    def __init__(
        self, differential: Differential, intake: Intake, db: Database, health: Health, *, every: float
    ) -> None:
        self._differential = differential
        self._intake = intake
        self._db = db
        self._health = health
        self._every = every

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop`. Raises Unavailable."""
        await keep_asking(self.once, stop, self._health, DIFFS, every=self._every)

    async def once(self) -> None:
        """Take every diff younger than the cursor; the first time, only note which is the newest."""
        async with self._db.connection() as connection:
            cursor = await sources.read_cursor(connection, DIFFS)
        if cursor is None:
            newest = (await self._differential.newest_diffs(limit=1)).rows
            number = _number(newest[0]) if newest else 0
            async with self._db.connection() as connection:
                await sources.move_cursor(connection, DIFFS, {"last": number, "floor": number})
            return
        last, floor = int(cursor["last"]), int(cursor["floor"])
        for _ in range(_MAX_PAGES):
            rows = await self._page(last)
            if not rows:
                break
            last = max(last, *(_number(row) for row in rows))
            taken = [diff_delivery(row) for row in rows if row.get("type") == "DIFF"]
            await self._intake.take(DIFFS, taken, {"last": last, "floor": floor})
            if len(rows) < PAGE:
                break
        async with self._db.connection() as connection:
            await sources.well(connection, DIFFS)

    async def _page(self, last: int) -> list[dict[str, Any]]:
        """The next diffs, oldest first. Where the cursor's own is gone: from the newest down to it."""
        if last == 0:
            return sorted(await self._down_to(0), key=_number)
        try:
            return list((await self._differential.diffs_after(last, limit=PAGE)).rows)
        except LostCursor as error:
            log.warning("diff %d is gone (%s), paging from the newest", last, error.detail)
            return sorted(await self._down_to(last), key=_number)

    async def _down_to(self, last: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after: str | None = None
        for _ in range(_MAX_PAGES):
            page = await self._differential.newest_diffs(limit=100, after=after)
            found += [row for row in page.rows if _number(row) > last]
            after = page.after
            if after is None or any(_number(row) <= last for row in page.rows):
                break
        return found


class RevisionSweep:
    """Revisions modified lately whose diff we never heard of: it was hidden when its number passed by."""

    def __init__(
        self, differential: Differential, intake: Intake, db: Database, health: Health, *, every: float
    ) -> None:
        self._differential = differential
        self._intake = intake
        self._db = db
        self._health = health
        self._every = every

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until `stop`. Raises Unavailable."""
        await keep_asking(
            lambda: self.once(now=int(time.time())), stop, self._health, SWEEP, every=self._every
        )

    async def once(self, *, now: int) -> int:
        """Look at what was modified since the last sweep, with an overlap; how many diffs were missed."""
        async with self._db.connection() as connection:
            poll = await sources.read_cursor(connection, DIFFS)
            cursor = await sources.read_cursor(connection, SWEEP)
        if poll is None:
            return 0
        since = int(cursor["since"]) if cursor else now
        phids: list[str] = []
        after: str | None = None
        for _ in range(_MAX_PAGES):
            page = await self._differential.revisions_since(since - OVERLAP, after=after)
            phids += [
                phid for row in page.rows if isinstance(phid := part(row, "fields").get("diffPHID"), str)
            ]
            after = page.after
            if after is None:
                break
        missed = await self._missed(sorted(set(phids)), floor=int(poll["floor"]), last=int(poll["last"]))
        await self._intake.take(SWEEP, missed, {"since": now})
        return len(missed)

    async def _missed(self, phids: list[str], *, floor: int, last: int) -> list[Delivery]:
        if not phids:
            return []
        rows = await self._differential.diffs(phids)
        # older than our first start is nobody's, younger than the cursor will come by itself
        found = {
            delivery.key: delivery
            for row in rows.values()
            if floor < _number(row) <= last and (delivery := diff_delivery(row, via="sweep"))
        }
        async with self._db.connection() as connection:
            known = await journal.known_diffs(connection, found)
        return [delivery for key, delivery in sorted(found.items()) if key not in known]


class PushlogPoll:
    """Pushes to a Mercurial repository by their number."""

    def __init__(
        self, name: str, pushlog: Pushlog, intake: Intake, db: Database, health: Health, *, every: float
    ) -> None:
        self._name = f"pushlog:{name}"
        self._pushlog = pushlog
        self._intake = intake
        self._db = db
        self._health = health
        self._every = every

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop`. Raises Unavailable."""
        await keep_asking(self.once, stop, self._health, self._name, every=self._every)

    async def once(self) -> None:
        """Take every push younger than the cursor; the first time, only note which is the newest."""
        async with self._db.connection() as connection:
            cursor = await sources.read_cursor(connection, self._name)
        if cursor is None:
            newest = await self._pushlog.after(None)
            async with self._db.connection() as connection:
                await sources.move_cursor(connection, self._name, {"last": newest.last})
            return
        last = int(cursor["last"])
        for _ in range(_MAX_PAGES):
            pushes = await self._pushlog.after(last)
            taken = [self._delivery(number, row) for number, row in pushes.rows if number > last]
            # numbers of stripped pushes are holes: the page after this one begins behind them
            last = min(pushes.last, max(last + 100, *(number for number, _ in pushes.rows), last))
            await self._intake.take(self._name, taken, {"last": last})
            if last >= pushes.last:
                return

    def _delivery(self, number: int, row: dict[str, Any]) -> Delivery:
        url = self._pushlog.url
        return Delivery(
            source="pushlog",
            exchange=PUSHLOG,
            routing_key=url.split("://", 1)[-1].split("/", 1)[-1],
            body=msgspec.json.encode(push_message(url, number, row)),
            via=self._name,
            key=f"pushlog:{url}:{number}",
        )


class RedeliverySweep:
    """Deliveries of a GitHub webhook that never reached us: GitHub repeats none by itself."""

    def __init__(
        self, name: str, github: GithubDeliveries, db: Database, health: Health, *, every: float
    ) -> None:
        self._name = f"github:{name}"
        self._github = github
        self._db = db
        self._health = health
        self._every = every
        self._asked: dict[int, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until `stop`. Raises Unavailable."""
        await keep_asking(self.once, stop, self._health, self._name, every=self._every)

    async def once(self) -> int:
        """Ask for every failed delivery again, each at most once an hour; how many."""
        now = time.monotonic()
        self._asked = {number: at for number, at in self._asked.items() if now - at < 3600}
        failed = [number for number in await self._github.failed() if number not in self._asked]
        for number in failed:
            await self._github.redeliver(number)
            self._asked[number] = now
        async with self._db.connection() as connection:
            await sources.well(connection, self._name)
        return len(failed)


def _number(row: dict[str, Any]) -> int:
    number = row.get("id")
    return number if isinstance(number, int) else 0
