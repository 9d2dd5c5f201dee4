# SPDX-License-Identifier: MPL-2.0
"""The broker's queues: one for each route of this instance, bound as its route says, consumed by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

import msgspec

from shipit.clients.pulse import Address, Consumer, delete_queue, open_consumer, queue_name
from shipit.errors import Unavailable
from shipit.events.routes import exchanges
from shipit.events.types import Delivery
from shipit.listener.book import RouteBook, rest
from shipit.listener.intake import Intake
from shipit.listener.measures import Measures
from shipit.listener.supervision import Health, supervise
from shipit.storage import sources
from shipit.storage.pool import Database

log = logging.getLogger(__name__)

_LOOK_SECONDS = 20.0


class QueueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How queues are made and watched. warn_depth: waiting deliveries that raise the alarm."""

    queue_type: str = "classic"
    prefetch: int = 500
    warn_depth: int = 1500
    look_seconds: float = _LOOK_SECONDS


class Broker:
    """The queues of all pulse routes, opened, rebound and closed as the routes change."""

    def __init__(
        self,
        address: Address,
        book: RouteBook,
        intake: Intake,
        db: Database,
        health: Health,
        measures: Measures,
        *,
        instance: str,
        options: QueueOptions,
        too_deep: Callable[[str, int], None],
    ) -> None:
        self._address = address
        self._book = book
        self._intake = intake
        self._db = db
        self._health = health
        self._measures = measures
        self._instance = instance
        self._options = options
        self._too_deep = too_deep

    def queue(self, route: str) -> str:
        """The queue of a route."""
        return queue_name(self._address.user, self._instance, route)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume every route's queue until `stop`; follow changes of the routes."""
        running: dict[str, tuple[object, asyncio.Event, asyncio.Task[None]]] = {}
        changed = self._book.watch()
        changed.set()
        try:
            while not stop.is_set():
                if changed.is_set():
                    changed.clear()
                    await self._adjust(running, stop)
                self._health.alive("broker")
                await rest(stop, 0.5)
        finally:
            for _, halt, _ in running.values():
                halt.set()
            await asyncio.gather(*(task for _, _, task in running.values()))

    async def _adjust(
        self, running: dict[str, tuple[object, asyncio.Event, asyncio.Task[None]]], stop: asyncio.Event
    ) -> None:
        wanted = exchanges(self._book.routes)
        for route in [name for name, (binding, _, _) in running.items() if wanted.get(name) != binding]:
            _, halt, task = running.pop(route)
            halt.set()
            await task
            self._health.gone(f"pulse:{route}")
        for route, binding in wanted.items():
            if route not in running:
                halt = asyncio.Event()
                self._health.starting(f"pulse:{route}")
                consume = _Part(self, route, binding, halt).run
                task = asyncio.create_task(
                    supervise(f"pulse:{route}", consume, stop=halt, health=self._health, db=self._db)
                )
                running[route] = (binding, halt, task)
        await self._remove_others(wanted)

    async def _remove_others(self, wanted: dict[str, tuple[str, tuple[str, ...]]]) -> None:
        """Delete queues of routes that are no more: nobody would empty them."""
        async with self._db.connection() as connection:
            known = await sources.known_queues(connection, self.queue(""))
        for queue in known - {self.queue(route) for route in wanted}:
            if queue.startswith(self.queue("-")):
                # no route's, but a part's of the listener itself
                continue
            await delete_queue(self._address, queue)
            async with self._db.connection() as connection:
                await sources.drop_queue(connection, queue)
            log.info("%s deleted: its route is gone", queue)


class _Part:
    """One route's queue."""

    def __init__(
        self, broker: Broker, route: str, binding: tuple[str, tuple[str, ...]], halt: asyncio.Event
    ) -> None:
        self._broker = broker
        self._name = f"pulse:{route}"
        self._queue = broker.queue(route)
        self._exchange, self._keys = binding
        self._halt = halt

    async def run(self) -> None:
        """Connect, bind, consume until halted. Raises Unavailable when the connection is lost."""
        broker, options = self._broker, self._broker._options
        async with open_consumer(
            broker._address, self._queue, queue_type=options.queue_type, prefetch=options.prefetch
        ) as consumer:
            await self._bind(consumer)
            if consumer.is_new:
                log.warning("%s: the queue is new; what was published before is not in it", self._name)
            watch = asyncio.create_task(self._watch(consumer))
            try:
                await consumer.run(self._take, self._halt)
            finally:
                watch.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watch

    async def _bind(self, consumer: Consumer) -> None:
        wanted = {(self._exchange, key) for key in self._keys}
        async with self._broker._db.connection() as connection:
            known = await sources.read_bindings(connection, self._queue)
        # bound before it is remembered would be forgotten in a crash, and never taken back
        async with self._broker._db.connection() as connection:
            for exchange, key in sorted(wanted - known):
                await sources.add_binding(connection, self._queue, exchange, key)
        for exchange, key in sorted(wanted):
            await consumer.bind((exchange, key))
        for exchange, key in sorted(known - wanted):
            await consumer.unbind((exchange, key))
            async with self._broker._db.connection() as connection:
                await sources.drop_binding(connection, self._queue, exchange, key)

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        await self._broker._intake.take(self._name, deliveries)
        self._broker._health.alive(self._name, is_source=True)

    async def _watch(self, consumer: Consumer) -> None:
        """Look now and then how deep the queue is; a look that fails is found out by the consumer itself."""
        broker = self._broker
        while True:
            try:
                depth = await consumer.depth()
            except Unavailable as error:
                log.warning("%s: %s", self._name, error.detail)
            else:
                broker._health.alive(self._name, is_source=True)
                broker._measures.deep(self._name, depth)
                if depth >= broker._options.warn_depth:
                    broker._too_deep(self._name, depth)
                try:
                    async with broker._db.connection() as connection:
                        await sources.well(connection, self._name, depth=depth)
                except Unavailable as error:
                    log.warning("%s: %s", self._name, error.detail)
            await asyncio.sleep(broker._options.look_seconds)
