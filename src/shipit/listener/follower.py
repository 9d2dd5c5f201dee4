# SPDX-License-Identifier: MPL-2.0
"""Triggered tasks are followed to their end: the broker tells, and the queue is asked in case it did not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from shipit.clients.hooks import ENDED, Hooks, TaskStatus
from shipit.clients.pulse import Address, Consumer, open_consumer, queue_name
from shipit.errors import Unavailable
from shipit.events.deliveries import QUEUE
from shipit.events.effects import is_worth_again
from shipit.events.heard import event_of
from shipit.events.slugs import task_id
from shipit.events.types import Delivery, Kind
from shipit.listener.book import rest
from shipit.listener.failpoints import Reached, never
from shipit.listener.measures import Measures
from shipit.listener.supervision import Health
from shipit.listener.telling import Teller
from shipit.storage import effects, journal
from shipit.storage.effects import Followed
from shipit.storage.pool import Database

log = logging.getLogger(__name__)

_EXCHANGES = tuple(QUEUE + "task-" + state for state in ENDED)
_FIRST, _LONGEST = timedelta(seconds=60), timedelta(minutes=10)


class FollowPace(msgspec.Struct, frozen=True, kw_only=True):
    """How tasks are asked after. first: seconds until a task is asked after a second time."""

    idle: float = 5.0
    first: timedelta = _FIRST
    lease: timedelta = timedelta(seconds=60)
    max_recreations: int = 3


class Follower:
    """Asks after fired effects, and listens for the end of their tasks."""

    def __init__(
        self,
        db: Database,
        hooks: Hooks,
        teller: Teller,
        measures: Measures,
        health: Health,
        *,
        instance: str,
        pace: FollowPace,
        due: asyncio.Event,
        reached: Reached = never,
    ) -> None:
        self._db = db
        self._hooks = hooks
        self._teller = teller
        self._measures = measures
        self._health = health
        self._instance = instance
        self._pace = pace
        self._due = due
        self._reached = reached
        self._bindings: asyncio.Queue[tuple[bool, str]] | None = None

    async def poll(self, stop: asyncio.Event) -> None:
        """Ask the queue after tasks whose time it is, until `stop`. Raises Unavailable."""
        while not stop.is_set():
            self._health.alive("follower")
            async with self._db.connection() as connection:
                found = await effects.claim_followed(connection, limit=20, lease=self._pace.lease)
            for one in found:
                await self._ask_after(one)
            if not found:
                await rest(stop, self._pace.idle)

    async def _ask_after(self, one: Followed) -> None:
        try:
            if one.wants_cancel:
                await self._cancel(one)
                return
            status = await self._hooks.status(one.task_id)
        except Unavailable as error:
            await self._seen(one, None, error.detail)
            return
        if status is None:
            await self._unknown(one)
        elif status.state in ENDED:
            await self.ended(one, status)
        else:
            await self._seen(one, status.state, None)

    async def _cancel(self, one: Followed) -> None:
        answer = await self._hooks.cancel_task(one.task_id)
        status = await self._hooks.status(one.task_id)
        if status is not None and status.state not in ENDED and not answer.is_good:
            await self._seen(one, status.state, f"cannot be cancelled: {answer.detail}")
            return
        state = status.state if status is not None and status.state in ENDED else "exception"
        async with self._db.connection() as connection:
            await effects.task_resolved(connection, one.id, state, "superseded")
            await journal.end_target(connection, one.event, "pass", "something newer took its place")

    async def _unknown(self, one: Followed) -> None:
        """The queue knows no such task: it expired, or was never made."""
        if one.looks > 20:
            await self.ended(one, TaskStatus(task_id=one.task_id, state="exception", reason="unknown"))
        else:
            await self._seen(one, None, "the queue does not know it")

    async def _seen(self, one: Followed, state: str | None, error: str | None) -> None:
        look_in = min(self._pace.first * (1 << min(one.looks, 8)), _LONGEST)
        async with self._db.connection() as connection:
            await effects.task_seen(connection, one.id, state, look_in=look_in, error=error)

    async def ended(self, one: Followed, status: TaskStatus) -> None:
        """A task is resolved: store it, or have it made again when the machines lost it."""
        self._reached("resolved")
        async with self._db.connection() as connection:
            if not one.wants_cancel and is_worth_again(
                status.state, status.reason, recreations=one.recreations, limit=self._pace.max_recreations
            ):
                words = (one.route, one.dedup, f"generation {one.generation}", f"again {one.recreations + 1}")
                fresh = task_id(self._instance, *words)
                await effects.task_again(connection, one.id, fresh, status.state, status.reason)
                self._due.set()
            elif await effects.task_resolved(connection, one.id, status.state, status.reason):
                verdict = "pass" if status.state == "completed" else "fail"
                said = f"task {one.task_id}: {status.state}" + (
                    f" ({status.reason})" if status.reason else ""
                )
                await journal.end_target(connection, one.event, verdict, said)
                await self._teller.task_ended(connection, one.route, status.state)
                self._measures.ended(one.route, status.state)
        self._reached("ended")
        if self._bindings is not None:
            self._bindings.put_nowait((False, one.task_id))

    # --- what the broker tells ---

    async def listen(self, address: Address, stop: asyncio.Event) -> None:
        """Hear of the end of followed tasks until `stop`. Raises Unavailable."""
        queue = queue_name(address.user, self._instance, "-follow")
        async with open_consumer(address, queue) as consumer:
            async with self._db.connection() as connection:
                tasks = await effects.followed_tasks(connection)
            self._bindings = asyncio.Queue()
            for task in tasks:
                self._bindings.put_nowait((True, task))
            binding = asyncio.create_task(self._bind(consumer, self._bindings))
            try:
                await consumer.run(self._heard, stop)
            finally:
                self._bindings = None
                binding.cancel()

    def fired(self, task: str) -> None:
        """A task exists now: hear of its end. Without the broker the queue is asked."""
        if self._bindings is not None:
            self._bindings.put_nowait((True, task))

    async def _bind(self, consumer: Consumer, bindings: asyncio.Queue[tuple[bool, str]]) -> None:
        """Bind and unbind tasks as they come and go, many at once; nobody waits for it."""
        while True:
            self._health.alive("pulse:-follow", is_source=True)
            wanted: dict[str, bool] = {}
            with contextlib.suppress(TimeoutError):
                is_new, task = await asyncio.wait_for(bindings.get(), 10)
                wanted[task] = is_new
            while not bindings.empty():
                is_new, task = bindings.get_nowait()
                wanted[task] = is_new
            try:
                for act, chosen in ((consumer.bind, True), (consumer.unbind, False)):
                    if tasks := [task for task, is_new in wanted.items() if is_new is chosen]:
                        await act(
                            *((exchange, f"primary.{task}.#") for task in tasks for exchange in _EXCHANGES)
                        )
            except Unavailable as error:
                log.warning("%d tasks are asked after only: %s", len(wanted), error.detail)

    async def _heard(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            event = event_of(delivery)
            if event is None or event.kind is not Kind.TASK:
                continue
            # the state, not the exchange: an exception of an old run is told while a new one is pending
            state = event.values.get("state")
            if state not in ENDED:
                continue
            async with self._db.connection() as connection:
                one = await effects.followed_by_task(connection, str(event.values["task"]))
            if one is not None:
                status = TaskStatus(task_id=one.task_id, state=state, reason=event.values.get("reason"))
                await self.ended(one, status)
