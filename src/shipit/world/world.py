# SPDX-License-Identifier: MPL-2.0
"""The whole fake world, served on loopback in the running event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

from shipit.world.balrog import FakeBalrog
from shipit.world.bridge import Bridge
from shipit.world.bugzilla import FakeBugzilla
from shipit.world.lando import FakeLando
from shipit.world.notices import FakeNotices
from shipit.world.phabricator import FakePhabricator
from shipit.world.schedule import FakeSchedule
from shipit.world.server import Clock, Fake, served, utc_now


class StandingClock:
    """A clock for tests: it stands until it is moved."""

    def __init__(self, at: datetime) -> None:
        self.time = at

    def __call__(self) -> datetime:
        """The time it shows."""
        return self.time

    def move(self, **ahead: float) -> None:
        """Move it ahead, in the words of timedelta: move(minutes=5)."""
        self.time += timedelta(**ahead)


class World:
    """Every service outside; each is a Fake with its own verbs, `url`, log (`asked`) and faults."""

    def __init__(self, now: Clock = utc_now) -> None:
        self.now = now
        self.bugzilla = FakeBugzilla(now)
        self.phabricator = FakePhabricator(now)
        self.taskcluster = FakeNotices(now)
        self.schedule = FakeSchedule(now=now)
        self.lando = FakeLando(now)
        self.balrog = FakeBalrog(now)
        self.bridge = Bridge(self.bugzilla, self.phabricator)

    @property
    def services(self) -> tuple[Fake, ...]:
        """All of them."""
        return (self.bugzilla, self.phabricator, self.taskcluster, self.schedule, self.lando, self.balrog)

    @classmethod
    @asynccontextmanager
    async def open(cls, *, now: Clock = utc_now, host: str = "127.0.0.1") -> AsyncIterator[World]:
        """Serve the world while the body runs, each service on a port of its own."""
        world = cls(now)
        async with AsyncExitStack() as stack:
            for service in world.services:
                await stack.enter_async_context(served(service, host=host))
            yield world

    def calls(self) -> dict[str, int]:
        """How many requests each service has received."""
        return {service.name: len(service.asked) for service in self.services}

    def forget(self) -> None:
        """Begin counting anew everywhere."""
        for service in self.services:
            service.forget()

    def heal(self) -> None:
        """No more faults anywhere."""
        for service in self.services:
            service.heal()
        self.bugzilla.reopen()
