# SPDX-License-Identifier: MPL-2.0
"""The listener whole: every part made, each supervised by itself, all ended together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import msgspec

from shipit.clients.differential import Differential
from shipit.clients.hooks import Hooks
from shipit.clients.pulse import Address
from shipit.clients.pushes import GithubDeliveries, Pushlog
from shipit.errors import Unavailable
from shipit.events.routes import exchanges
from shipit.events.sources import GroupSweep
from shipit.listener.book import RouteBook
from shipit.listener.broker import Broker, QueueOptions
from shipit.listener.dispatcher import Dispatcher, Pace
from shipit.listener.endpoint import as_json, serve
from shipit.listener.failpoints import Reached, never
from shipit.listener.firing import Firing
from shipit.listener.follower import Follower, FollowPace
from shipit.listener.groups import ExpectedGroups
from shipit.listener.intake import Intake
from shipit.listener.measures import Measures
from shipit.listener.polls import DiffPoll, PushlogPoll, RedeliverySweep, RevisionSweep
from shipit.listener.step_groups import SOURCE as STEP_GROUPS
from shipit.listener.step_groups import StepGroups
from shipit.listener.supervision import Health, supervise
from shipit.listener.telling import Recipients, Teller, Terms
from shipit.storage import journal_pages, sources
from shipit.storage.pool import Database

log = logging.getLogger(__name__)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a listener runs. acts: whether effects are fired at all; quiet: seconds without a sign of life
    after which a part counts as dead; port: of heartbeat and metrics, None for no endpoint."""

    instance: str
    acts: bool = True
    poll_seconds: float = 60.0
    sweep_seconds: float = 600.0
    quiet: float = 300.0
    host: str = "127.0.0.1"
    port: int | None = None
    pace: Pace = Pace()
    follow: FollowPace = FollowPace()
    queues: QueueOptions = QueueOptions()
    terms: Terms = Terms()
    recipients: Recipients = Recipients()
    version: str = ""


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a listener speaks to; None where the settings name none."""

    address: Address | None = None
    hooks: Hooks | None = None
    differential: Differential | None = None
    pushlogs: dict[str, Pushlog] = {}
    webhooks: dict[str, GithubDeliveries] = {}
    groups: tuple[tuple[GroupSweep, Pushlog], ...] = ()


class Listener:
    """One listener. `run` lasts until its `stop`."""

    def __init__(
        self, db: Database, book: RouteBook, outside: Outside, plan: Plan, *, reached: Reached = never
    ) -> None:
        self.health = Health()
        self.measures = Measures()
        self.port: int | None = None
        self._db = db
        self._book = book
        self._outside = outside
        self._plan = plan
        self.intake = Intake(db, book, self.measures, instance=plan.instance, reached=reached)
        self._deep: dict[str, int] = {}
        self.teller = Teller(
            db,
            outside.hooks if plan.acts else None,
            outside.differential if plan.acts else None,
            self.health,
            root_url=outside.hooks.root_url if outside.hooks else "",
            recipients=plan.recipients,
            terms=plan.terms,
            uid=uuid.uuid4().hex,
        )
        self.follower = (
            Follower(
                db,
                outside.hooks,
                self.teller,
                self.measures,
                self.health,
                instance=plan.instance,
                pace=plan.follow,
                due=self.intake.effects,
                reached=reached,
            )
            if outside.hooks is not None
            else None
        )
        self.dispatcher = Dispatcher(
            db,
            book,
            self.measures,
            self.health,
            instance=plan.instance,
            hooks=outside.hooks,
            differential=outside.differential,
            firing=Firing(db, outside.hooks, stirred=self.intake.effects, deadline=plan.pace.deadline),
            pace=plan.pace,
            on_fired=self._on_fired,
            reached=reached,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop`; then finish what is under way."""
        parts = self._parts(stop)
        # before anybody can ask: a listener none of whose parts has begun is not well
        for name, _, _ in parts:
            if name != "routes":
                self.health.starting(name)
        async with contextlib.AsyncExitStack() as stack:
            if self._plan.port is not None:
                pages = {
                    "/__heartbeat__": self._heartbeat,
                    "/__lbheartbeat__": self._lb_heartbeat,
                    "/__version__": self._version,
                    "/metrics": self._metrics,
                }
                self.port = await stack.enter_async_context(serve(self._plan.host, self._plan.port, pages))
            await self._forget_others(name for name, _, is_source in parts if is_source)
            await asyncio.gather(
                *(
                    supervise(
                        name,
                        run,
                        stop=stop,
                        health=self.health,
                        db=self._db if is_source else None,
                        reports=name != "routes",
                    )
                    for name, run, is_source in parts
                )
            )

    async def _forget_others(self, names: Iterable[str]) -> None:
        """Sources that are configured no more raise no alarm."""
        wanted = {*names, *(f"pulse:{route}" for route in exchanges(self._book.routes))}
        try:
            async with self._db.connection() as connection:
                await sources.forget_others(connection, wanted)
        except Unavailable as error:
            log.warning("old sources are kept: %s", error.detail)

    def _parts(self, stop: asyncio.Event) -> list[tuple[str, Callable[[], Awaitable[None]], bool]]:
        outside, plan = self._outside, self._plan
        parts: list[tuple[str, Callable[[], Awaitable[None]], bool]] = [
            ("looks", partial(self.dispatcher.look, stop, self.intake.looks), False),
            ("teller", partial(self.teller.run, stop), False),
            ("routes", partial(self._book.follow, stop), False),
            ("depth alarm", partial(self._tell_depths, stop), False),
        ]
        if plan.acts:
            parts.append(("effects", partial(self.dispatcher.fire, stop, self.intake.effects), False))
        if self.follower is not None and plan.acts:
            parts.append(("follower", partial(self.follower.poll, stop), False))
            if outside.address is not None:
                listen = partial(self.follower.listen, outside.address, stop)
                parts.append(("pulse:-follow", listen, True))
        if outside.address is not None:
            broker = Broker(
                outside.address,
                self._book,
                self.intake,
                self._db,
                self.health,
                self.measures,
                instance=plan.instance,
                options=plan.queues,
                too_deep=self._deep.__setitem__,
            )
            parts.append(("broker", partial(broker.run, stop), False))
            if plan.acts:
                groups = StepGroups(self._db, self.health, outside.address, instance=plan.instance)
                parts.append((STEP_GROUPS, partial(groups.listen, stop), True))
        common = (self.intake, self._db, self.health)
        if outside.differential is not None and any(r.source == "phabricator" for r in self._book.routes):
            poll = DiffPoll(outside.differential, *common, every=plan.poll_seconds)
            sweep = RevisionSweep(outside.differential, *common, every=plan.sweep_seconds)
            parts += [
                ("phabricator", partial(poll.run, stop), True),
                ("phabricator:sweep", partial(sweep.run, stop), True),
            ]
        for name, pushlog in outside.pushlogs.items():
            pushes = PushlogPoll(name, pushlog, *common, every=plan.poll_seconds)
            parts.append((f"pushlog:{name}", partial(pushes.run, stop), True))
        for rule, pushlog in outside.groups:
            if outside.hooks is not None:
                expected = ExpectedGroups(rule, pushlog, outside.hooks, *common, every=plan.sweep_seconds)
                parts.append((f"groups:{rule.name}", partial(expected.run, stop), True))
        for name, github in outside.webhooks.items():
            again = RedeliverySweep(name, github, self._db, self.health, every=plan.sweep_seconds)
            parts.append((f"github:{name}", partial(again.run, stop), True))
        return parts

    def _on_fired(self, task: str) -> None:
        if self.follower is not None:
            self.follower.fired(task)

    async def _tell_depths(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.health.alive("depth alarm")
            while self._deep:
                source, depth = self._deep.popitem()
                await self.teller.too_deep(source, depth)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 5)

    # --- pages ---

    async def _heartbeat(self) -> tuple[int, str, bytes]:
        problems = self.health.problems(quiet=self._plan.quiet)
        try:
            async with asyncio.timeout(5), self._db.connection() as connection:
                await connection.execute("select 1")
        except (Unavailable, TimeoutError) as error:
            problems["database"] = str(error)[:300]
        told = {
            "status": "error" if problems else "ok",
            "problems": problems,
            "routes_error": self._book.error,
        }
        return as_json(503 if problems else 200, told)

    async def _lb_heartbeat(self) -> tuple[int, str, bytes]:
        return as_json(200, {"status": "ok"})

    async def _version(self) -> tuple[int, str, bytes]:
        return as_json(200, {"version": self._plan.version, "instance": self._plan.instance})

    async def _metrics(self) -> tuple[int, str, bytes]:
        try:
            async with asyncio.timeout(5), self._db.connection() as connection:
                figures = await journal_pages.figures(connection)
        except (Unavailable, TimeoutError):
            figures = {}
        body = self.measures.expose(self.health, figures, time.monotonic())
        return 200, "text/plain; version=0.0.4; charset=utf-8", body
