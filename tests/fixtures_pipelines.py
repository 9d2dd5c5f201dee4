# SPDX-License-Identifier: MPL-2.0
"""Pipelines on a real database, with a real runner, and a step service of somebody else over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fixtures_postgres import Database
from shipit.actions import pipelines as acts
from shipit.actions.persons import Actor, actor
from shipit.clients.http import open_session
from shipit.clients.steps import StepServices
from shipit.runner.pipelines import Runner, run
from shipit.steps.contract import Doors
from shipit.steps.hosts import Hosts
from shipit.storage import pool
from shipit.storage.pipelines import Stored
from shipit.world.server import served
from shipit.world.steps import FakeSteps

ENGINEER = actor("rel@example.com", ["project:shipit:pipeline/*", "project:shipit:sign/releng"])
HOSTS = Hosts(is_loopback_allowed=True)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@dataclass
class Bench:
    """Everything a test of pipelines needs."""

    database: Database
    pool: pool.Database
    doors: Doors
    service: FakeSteps
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def put(self, uid: str, *steps: dict[str, Any], by: Actor = ENGINEER, **more: Any) -> Stored:
        """Create a pipeline."""
        async with self.pool.connection() as connection:
            given = {"steps": list(steps), **more}
            stored, _ = await acts.create(connection, uid, given, by, check_url=HOSTS.refusal, now=now())
        return stored

    async def act(self, call: Callable[..., Awaitable[Any]], *args: Any, **more: Any) -> Any:
        """Call an action in a transaction of its own."""
        async with self.pool.connection() as connection:
            return await call(connection, *args, **more)

    async def load(self, uid: str) -> Stored:
        """A pipeline as it is."""
        return await self.act(acts.load, uid)

    async def states(self, uid: str) -> dict[str, str]:
        """The state of each of its steps."""
        return {name: node.state.value for name, node in (await self.load(uid)).facts.nodes.items()}

    async def until(self, uid: str, *statuses: str, seconds: float = 20) -> Stored:
        """Wait until a pipeline has one of these statuses."""
        ends = time.monotonic() + seconds
        while True:
            stored = await self.load(uid)
            if stored.status.value in statuses:
                return stored
            assert time.monotonic() < ends, f"{uid} is {stored.status}: {await self.states(uid)}"
            await asyncio.sleep(0.02)

    async def eventually(self, check: Callable[[], Awaitable[bool]], *, seconds: float = 20) -> None:
        """Wait until something holds."""
        ends = time.monotonic() + seconds
        while not await check():
            assert time.monotonic() < ends, "it never came to hold"
            await asyncio.sleep(0.02)

    async def turn(self, times: int = 1) -> None:
        """Let a runner of our own work until nothing is due, `times` times."""
        # The runner's own clock may be ahead by what an answer takes: what is due at once would be due soon.
        runner = Runner(self.doors, now=now)
        for _ in range(times):
            while await runner.work():
                await runner.settle()

    def start_runner(self, **more: Any) -> asyncio.Task[None]:
        """Start a runner that goes on."""
        more = {"tick": 0.2, "database_url": self.database.url, **more}
        task = asyncio.ensure_future(run(self.doors, self.stop, **more))
        self.tasks.append(task)
        return task

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database directly."""
        with self.database.connect() as connection:
            cursor = connection.execute(text, values)
            return cursor.fetchall() if cursor.description else []


@contextlib.asynccontextmanager
async def benched(database: Database, *, patience: float = 1.0, **doors: Any) -> AsyncIterator[Bench]:
    """A bench on a fresh database."""
    service = FakeSteps()
    async with (
        open_session() as session,
        served(service),
        pool.open_pool(database.url, instance=database.instance, limits=pool.Limits(connections=4)) as opened,
    ):
        services = StepServices(session, HOSTS.refusal, timeout=patience)
        bench = Bench(database, opened, Doors(database=opened, services=services, **doors), service)
        try:
            yield bench
        finally:
            bench.stop.set()
            await asyncio.wait_for(asyncio.gather(*bench.tasks, return_exceptions=True), 20)


def step(uid: str, *requires: str, **more: Any) -> dict[str, Any]:
    """A step in a definition, a manual one unless said otherwise."""
    return {
        "uid": uid,
        **({} if "api_url" in more else {"kind": "manual"}),
        "requires": list(requires),
        **more,
    }


def soon(**ahead: float) -> str:
    """A time in the future, as text."""
    return (now() + timedelta(**ahead)).isoformat()
