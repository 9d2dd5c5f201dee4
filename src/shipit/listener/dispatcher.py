# SPDX-License-Identifier: MPL-2.0
"""Stored events are looked at until judged; due effects are fired until settled, wherever we were killed."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shipit.clients.differential import Differential
from shipit.clients.hooks import Hooks
from shipit.errors import Unavailable
from shipit.events import effects as rules
from shipit.events.heard import Heard, hear
from shipit.events.states import EventState
from shipit.events.types import DiffFacts, Facts, GroupTask, Need, NeedKind
from shipit.listener.book import RouteBook
from shipit.listener.failpoints import Reached, never
from shipit.listener.firing import Firing
from shipit.listener.measures import Measures
from shipit.listener.supervision import Health
from shipit.storage import effects, journal
from shipit.storage.effects import Claimed
from shipit.storage.pool import Database

log = logging.getLogger(__name__)

ATTACHMENT_PATIENCE = timedelta(days=7)
"""How long a diff may stay unattached or hidden before nothing is expected of it any more."""
_ATTACHMENT_WAITS = (timedelta(seconds=15), timedelta(minutes=15))


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much at once, and how long claims and waits last.

    idle: seconds between looks at the database; first_look: when a task is asked after first.
    """

    lease: timedelta = timedelta(seconds=15)
    idle: float = 1.0
    looks: int = 8
    fires: int = 16
    deadline: timedelta = timedelta(hours=24)
    first_look: timedelta = timedelta(seconds=60)


Fired = Callable[[str], None]


class Dispatcher:
    """Two loops over the journal; several listeners may run them on one database."""

    def __init__(
        self,
        db: Database,
        book: RouteBook,
        measures: Measures,
        health: Health,
        *,
        instance: str,
        hooks: Hooks | None,
        differential: Differential | None,
        firing: Firing,
        pace: Pace,
        on_fired: Fired,
        reached: Reached = never,
        roll: Callable[[], float] = random.random,
    ) -> None:
        self._db = db
        self._book = book
        self._measures = measures
        self._health = health
        self._instance = instance
        self._hooks = hooks
        self._differential = differential
        self._firing = firing
        self._pace = pace
        self._on_fired = on_fired
        self._reached = reached
        self._roll = roll
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._looking: set[int] = set()
        self._firing_now: set[int] = set()

    async def look(self, stop: asyncio.Event, stirred: asyncio.Event) -> None:
        """Judge stored events until `stop`. Raises Unavailable when the database is away."""
        await self._loop("looks", stop, stirred, self._claim_looks, self._renew_looks, self._pace.looks)

    async def fire(self, stop: asyncio.Event, stirred: asyncio.Event) -> None:
        """Fire due effects until `stop`. Raises Unavailable when the database is away."""
        await self._loop("effects", stop, stirred, self._claim_effects, self._renew_effects, self._pace.fires)

    async def _loop(
        self,
        name: str,
        stop: asyncio.Event,
        stirred: asyncio.Event,
        claim: Callable[[int], Awaitable[list[Coroutine[Any, Any, None]]]],
        renew: Callable[[], Awaitable[None]],
        most: int,
    ) -> None:
        """Keep up to `most` pieces of work going; one that takes long holds up no other."""
        running: set[asyncio.Task[Any]] = set()
        renewed = looked = time.monotonic()
        has_more = True
        stopping = asyncio.create_task(stop.wait())
        stirring = asyncio.create_task(stirred.wait())
        try:
            while not stop.is_set():
                self._health.alive(name)
                now = time.monotonic()
                if running and now - renewed > self._pace.lease.total_seconds() / 3:
                    await renew()
                    renewed = now
                room = most - len(running)
                if stirred.is_set():
                    stirred.clear()
                    has_more = True
                if room > 0 and (has_more or now - looked >= self._pace.idle):
                    work = await claim(room)
                    looked, has_more = now, len(work) == room
                    running |= {asyncio.create_task(one) for one in work}
                    if has_more and len(running) < most:
                        continue
                if stirring.done():
                    stirring = asyncio.create_task(stirred.wait())
                done, _ = await asyncio.wait(
                    [*running, stopping, stirring],
                    timeout=self._pace.idle,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done & running:
                    running.discard(task)
                    self._done(name, task)
        finally:
            stopping.cancel()
            stirring.cancel()
            if running:
                # what is under way is let finish: half a call is worse than a late stop
                await asyncio.wait(running, timeout=25)

    def _done(self, name: str, task: asyncio.Task[Any]) -> None:
        """A piece of work ended. Without our database nothing goes on; a mistake concerns one piece."""
        error = task.exception()
        if isinstance(error, Unavailable):
            raise error
        if error is not None:
            log.error("%s: left until its claim ends", name, exc_info=error)

    # --- looks ---

    async def _claim_looks(self, room: int) -> list[Coroutine[Any, Any, None]]:
        async with self._db.connection() as connection:
            found = await journal.claim_looks(connection, limit=room, lease=self._pace.lease)
        if found:
            self._reached("looked")
        return [self._look_at(one) for one in found]

    async def _renew_looks(self) -> None:
        async with self._db.connection() as connection:
            await journal.renew_looks(connection, self._looking, lease=self._pace.lease)

    async def _look_at(self, one: journal.Look) -> None:
        self._looking.add(one.id)
        try:
            heard, look_at = await self._judged(one)
            self._reached("informed")
            async with self._db.connection() as connection:
                new = await journal.judge(connection, one, heard, instance=self._instance, look_at=look_at)
        finally:
            self._looking.discard(one.id)
        self._reached("judged")
        if new:
            self._firing.stirred.set()

    async def _judged(self, one: journal.Look) -> tuple[Heard, datetime | None]:
        """What is to be stored of a look, and when to look again."""
        facts = Facts()
        heard = hear(one.delivery, self._book.routes, instance=self._instance)
        try:
            # a fact may call for another one, never for many
            for _ in range(3):
                needs = [need for need in heard.needs if not _is_known(need, facts)]
                if heard.state is not EventState.STORED or not needs:
                    break
                facts = await self._learn(needs, facts)
                heard = hear(one.delivery, self._book.routes, facts, instance=self._instance)
        except Unavailable as error:
            return self._unlearnt(one, heard, error)
        if heard.state is EventState.STORED:
            return self._unattached(one, heard)
        return heard, None

    def _unlearnt(self, one: journal.Look, heard: Heard, error: Unavailable) -> tuple[Heard, datetime | None]:
        now = datetime.now(UTC)
        if now - one.received_at > self._pace.deadline:
            reason = f"given up: {error.detail}"
            return msgspec.structs.replace(heard, state=EventState.QUARANTINED, reason=reason[:1000]), None
        when = max(filter(None, (error.retry_at, now + rules.backoff(one.looks, self._roll()))))
        return msgspec.structs.replace(heard, reason=f"waits: {error.detail}"[:1000]), when

    def _unattached(self, one: journal.Look, heard: Heard) -> tuple[Heard, datetime | None]:
        now = datetime.now(UTC)
        if now - one.received_at > ATTACHMENT_PATIENCE:
            reason = f"not visible or not attached to a revision within {ATTACHMENT_PATIENCE.days} days"
            return msgspec.structs.replace(heard, state=EventState.IGNORED, reason=reason), None
        first, longest = _ATTACHMENT_WAITS
        return heard, now + min(first * (1 << min(one.looks - 1, 12)), longest)

    async def _learn(self, needs: list[Need], facts: Facts) -> Facts:
        groups: dict[str, tuple[GroupTask, ...] | None] = dict(facts.groups)
        diffs: dict[str, DiffFacts | None] = dict(facts.diffs)
        for need in needs:
            if need.kind is NeedKind.GROUP:
                if self._hooks is None:
                    raise Unavailable("Taskcluster", "no root URL in the settings")
                groups[need.name] = await self._hooks.group_tasks(need.name)
            else:
                if self._differential is None:
                    raise Unavailable("Phabricator", "no URL in the settings")
                diffs[need.name] = await self._differential.facts(need.name)
        return Facts(groups=groups, diffs=diffs)

    # --- effects ---

    async def _claim_effects(self, room: int) -> list[Coroutine[Any, Any, None]]:
        async with self._db.connection() as connection:
            found = await effects.claim(connection, limit=room, lease=self._pace.lease)
        if found:
            self._reached("claimed")
        return [self._fire_one(one) for one in found]

    async def _renew_effects(self) -> None:
        async with self._db.connection() as connection:
            await effects.renew(connection, self._firing_now, lease=self._pace.lease)

    async def _fire_one(self, one: Claimed) -> None:
        self._firing_now.add(one.id)
        try:
            await self._fire_in_turn(one)
        finally:
            self._firing_now.discard(one.id)
        self._reached("settled")

    async def _fire_in_turn(self, one: Claimed) -> None:
        route = self._book.route(one.route)
        most = route.limits.at_once if route else 1
        gate = self._gates.setdefault(f"{one.route} {most}", asyncio.Semaphore(most))
        async with gate:
            if one.supersede is not None:
                async with self._db.connection() as connection:
                    if await effects.superseded(connection, one.id):
                        return
            if route is not None and route.limits.per_hour is not None:
                async with self._db.connection() as connection:
                    if await effects.fired_lately(connection, one.route) >= route.limits.per_hour:
                        await effects.postponed(connection, one.id, delay=timedelta(seconds=60))
                        return
            verdict = await self._firing.fire(one, self._book.sink(one.route, one.sink))
            self._reached("triggered")
            await self._settle(one, verdict)

    async def _settle(self, one: Claimed, verdict: rules.Next) -> None:
        is_followed = one.sink.startswith(("hook:", "task"))
        async with self._db.connection() as connection:
            match verdict:
                case rules.Fired(task):
                    await effects.fired(
                        connection, one.id, task, is_followed=is_followed, look_in=self._pace.first_look
                    )
                case rules.Declined():
                    await effects.declined(connection, one.id)
                    await journal.end_target(connection, one.event, "pass", "the hook made no task")
                case rules.Again():
                    await effects.again(connection, one.id, verdict)
                case rules.Quarantine(error, detail):
                    await effects.quarantined(connection, one.id, error, detail)
                    await journal.end_target(connection, one.event, "fail", f"not triggered: {detail}")
                case rules.WithoutTaskId():
                    raise AssertionError("Firing settles this itself")
        self._measures.tried(one.route, type(verdict).__name__.lower())
        if isinstance(verdict, rules.Fired):
            seconds = (datetime.now(UTC) - one.first_try_at).total_seconds()
            self._measures.fired(one.route, seconds)
            log.info("%s: %s → %s", one.route, one.dedup, verdict.task_id)
            if is_followed:
                self._on_fired(verdict.task_id)
        elif not isinstance(verdict, rules.Declined):
            log.warning("%s: %s: %s", one.route, one.dedup, verdict)


def _is_known(need: Need, facts: Facts) -> bool:
    return need.name in (facts.groups if need.kind is NeedKind.GROUP else facts.diffs)
