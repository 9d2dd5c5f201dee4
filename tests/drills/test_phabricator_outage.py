# SPDX-License-Identifier: MPL-2.0
"""Phabricator is down for an hour, and everything of that hour is heard, once.

The hour is run faster: every pause of the listener, and the clock its sweep and Phabricator go by, are SPEED
times as fast. Requests, the database and their waits are real. Polls, sweeps, growing pauses and alarms are
the listener's own, at the intervals it has in production.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from fake_taskcluster import FakeTaskcluster
from fake_taskcluster import served as serve_app
from fixtures_postgres import Database as Scratch
from shipit.clients.differential import Differential
from shipit.clients.hooks import Hooks
from shipit.clients.http import open_session
from shipit.events.routes import parse_routes
from shipit.listener import polls, supervision
from shipit.listener.book import RouteBook, rest
from shipit.listener.listener import Listener, Outside, Plan
from shipit.listener.telling import Recipients, Terms
from shipit.storage import sources
from shipit.storage.pool import Database, open_pool
from shipit.world.phabricator import FakePhabricator
from shipit.world.server import served

pytestmark = [pytest.mark.drill, pytest.mark.timeout(180)]

SPEED = 1200
MINUTE = 60 / SPEED
ROUTES = parse_routes(
    [
        {
            "name": "diffs",
            "source": "phabricator",
            "sink": {"kind": "hook", "hook": "drill/diffs"},
            "payload": {"N": "${diff_id}"},
        }
    ]
)


class FastClock:
    """Says the time of a world that is SPEED times as fast, and pauses as long as that takes."""

    def __init__(self) -> None:
        self._start = datetime.now(UTC).replace(microsecond=0)
        self._began = time.monotonic()

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * SPEED)

    def time(self) -> float:
        return self().timestamp()

    async def rest(self, stop: asyncio.Event, seconds: float) -> bool:
        return await rest(stop, seconds / SPEED)


class Outage:
    """A listener beside a Phabricator in which people go on working, and a bot that sees what is public."""

    def __init__(self, clock: FastClock, db: Database, tc: FakeTaskcluster) -> None:
        self.db, self.tc = db, tc
        self.phabricator = FakePhabricator(clock)
        self.phabricator.add_user("bot")
        self.phabricator.add_user("ann")
        self.phabricator.add_repository("firefox-main")
        self.token = self.phabricator.token_for("bot")

    def work(self, *, hidden: bool = False) -> int:
        """Somebody puts up a patch; the number of its diff."""
        view: Any = frozenset({"ann"}) if hidden else "public"
        revision = self.phabricator.revise("A patch", "x", by="ann", repository="firefox-main", view=view)
        return self.phabricator.revisions[revision].diffs[-1].id

    def publish(self, diff: int) -> None:
        """What was for few is for all now."""
        for revision in self.phabricator.revisions.values():
            if any(each.id == diff for each in revision.diffs):
                revision.view = "public"
                revision.changed = int(self.phabricator.now().timestamp())

    def asked(self) -> int:
        """How often it was asked for new diffs."""
        return self.phabricator.count("differential.diff.search")

    async def cursor(self) -> Any:
        async with self.db.connection() as connection:
            return await sources.read_cursor(connection, polls.DIFFS)

    async def until_told(self, *diffs: int) -> float:
        """Seconds until exactly these have a task, one each."""
        began = time.monotonic()
        wanted = Counter(diffs)
        async with asyncio.timeout(60):
            while Counter(payload["N"] for payload in self.tc.payloads()) != wanted:
                await asyncio.sleep(0.05)
        return time.monotonic() - began


@pytest.fixture
async def outage(database: Scratch, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Outage]:
    clock, tc = FastClock(), FakeTaskcluster()
    monkeypatch.setattr(supervision, "rest", clock.rest)
    monkeypatch.setattr(polls, "time", SimpleNamespace(time=clock.time, monotonic=time.monotonic))
    async with AsyncExitStack() as stack:
        tc.url = await stack.enter_async_context(serve_app(tc.app()))
        db = await stack.enter_async_context(open_pool(database.url, instance=database.instance))
        made = Outage(clock, db, tc)
        await stack.enter_async_context(served(made.phabricator))
        made.work()
        await stack.enter_async_context(listening(made))
        yield made


@asynccontextmanager
async def listening(outage: Outage) -> AsyncIterator[None]:
    """A listener as in production but for SPEED; an alarm after 15 of its minutes."""
    stop = asyncio.Event()
    terms = Terms(silent=timedelta(seconds=15 * MINUTE), idle=0.1)
    async with open_session() as session:
        outside = Outside(
            hooks=Hooks(session, outage.tc.url, {}),
            differential=Differential(session, outage.phabricator.url, outage.token),
        )
        plan = Plan(instance="testing", terms=terms, recipients=Recipients(mail=("ann@people.example",)))
        running = asyncio.create_task(Listener(outage.db, RouteBook(lambda: ROUTES), outside, plan).run(stop))
        async with asyncio.timeout(30):
            while await outage.cursor() is None:
                await asyncio.sleep(0.02)
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(running, 20)


async def test_phabricator_is_down_for_an_hour(outage: Outage) -> None:
    before = [outage.work() for _ in range(3)]
    await outage.until_told(*before)
    outage.phabricator.fail(containing="/api/")
    asked_before = outage.asked()
    hour: list[int] = []
    hidden: list[int] = []
    for minute in range(60):
        (hidden if minute % 9 == 5 else hour).append(outage.work(hidden=minute % 9 == 5))
        await asyncio.sleep(MINUTE)
    asked = outage.asked() - asked_before
    # the diff where the cursor stands is destroyed meanwhile
    del outage.phabricator.diffs[(await outage.cursor())["last"]]
    outage.phabricator.heal()
    took = await outage.until_told(*before, *hour)
    for diff in hidden[:-1]:
        outage.publish(diff)
    swept = await outage.until_told(*before, *hour, *hidden[:-1])
    # nothing more comes: neither doubled, nor the one that is still hidden
    await asyncio.sleep(15 * MINUTE)
    await outage.until_told(*before, *hour, *hidden[:-1])
    assert asked >= 5, "it went on asking"
    assert asked <= 200, "and did not hammer"
    subjects = Counter(mail["subject"] for mail in outage.tc.mails)
    assert subjects["phabricator is out of reach"] == 1
    assert subjects["phabricator is back"] == 1
    print(
        f"\ndrill: Phabricator down an hour ({SPEED} times as fast, asked {asked} times): lost 0, doubled 0, "
        f"all {len(hour)} diffs triggered {took:.1f} s after it was back, "
        f"{len(hidden) - 1} that became public by the sweep {swept:.1f} s later"
    )
