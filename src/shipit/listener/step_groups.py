# SPDX-License-Identifier: MPL-2.0
"""Task groups that steps of pipelines wait for: what the broker tells of them wakes the steps at once.

Only a hint is passed on: the step looks for itself, and looks now and then also when nothing is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from shipit.clients.pulse import Address, Consumer, open_consumer, queue_name
from shipit.errors import Unavailable
from shipit.events.deliveries import QUEUE
from shipit.events.heard import event_of
from shipit.events.types import Delivery
from shipit.listener.supervision import Health
from shipit.storage import sources, steps
from shipit.storage.pool import Database

log = logging.getLogger(__name__)

SOURCE = "pulse:-steps"
MOST_GROUPS = 500
"""Groups bound at once, the newest; older ones are only asked after."""
Binding = tuple[str, str]


def bindings(group: str, *, is_over: bool) -> tuple[Binding, ...]:
    """What is worth hearing of a group. is_over: its steps have ended, so only a rerun is news."""
    tasks = ("pending",) if is_over else ("failed", "exception")
    of_tasks = tuple((f"{QUEUE}task-{state}", f"primary.#.{group}._") for state in tasks)
    return (*of_tasks, (f"{QUEUE}task-group-resolved", f"primary.{group}.#"))


class StepGroups:
    """The queue of one listener for the groups of steps."""

    def __init__(
        self, db: Database, health: Health, address: Address, *, instance: str, look_seconds: float = 5.0
    ) -> None:
        self._db = db
        self._health = health
        self._address = address
        self._queue = queue_name(address.user, instance, "-steps")
        self._look_seconds = look_seconds

    async def listen(self, stop: asyncio.Event) -> None:
        """Hear of groups until `stop`. Raises Unavailable when broker or database are away."""
        async with open_consumer(self._address, self._queue) as consumer:
            async with self._db.connection() as connection:
                bound = await sources.read_bindings(connection, self._queue)
            binding = asyncio.create_task(self._bind(consumer, bound))
            try:
                await consumer.run(self.heard, stop)
            finally:
                binding.cancel()

    async def heard(self, deliveries: Sequence[Delivery]) -> None:
        """Wake the steps of the groups that these tell of."""
        events = [event for one in deliveries if (event := event_of(one)) is not None]
        if found := {str(event.values["group"]) for event in events if event.values.get("group")}:
            async with self._db.connection() as connection:
                await steps.wake_groups(connection, sorted(found))

    async def _bind(self, consumer: Consumer, bound: set[Binding]) -> None:
        """Bind the groups that steps wait for, as they come and go; what was heard before binding is lost,
        so whoever is bound anew is looked at once more. bound: what is remembered of earlier times."""
        known: dict[str, bool] = {}
        # bound on this connection: what is only remembered may have died with the broker
        fresh: set[Binding] = set()
        while True:
            try:
                async with self._db.connection() as connection:
                    wanted = await steps.watched_groups(connection, limit=MOST_GROUPS)
                each = {one for group, is_over in wanted.items() for one in bindings(group, is_over=is_over)}
                # remembered before it is bound: a crash between leaves nothing bound that nobody takes back
                await self._remember(each - bound)
                await consumer.bind(*sorted(each - fresh))
                await consumer.unbind(*sorted(bound - each))
                await self._forget(bound - each)
                if new := sorted(group for group in wanted if wanted[group] is not known.get(group)):
                    async with self._db.connection() as connection:
                        await steps.wake_groups(connection, new)
                bound, fresh, known = each, each, wanted
                self._health.alive(SOURCE, is_source=True)
            except Unavailable as error:
                log.warning("groups of steps are asked after only: %s", error.detail)
            await asyncio.sleep(self._look_seconds)

    async def _remember(self, found: set[Binding]) -> None:
        if found:
            async with self._db.connection() as connection:
                for exchange, key in sorted(found):
                    await sources.add_binding(connection, self._queue, exchange, key)

    async def _forget(self, found: set[Binding]) -> None:
        if found:
            async with self._db.connection() as connection:
                for exchange, key in sorted(found):
                    await sources.drop_binding(connection, self._queue, exchange, key)
