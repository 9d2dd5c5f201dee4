# SPDX-License-Identifier: MPL-2.0
"""Groups expected, not seen: what the broker never told is found from pushes and the index, and told then."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import msgspec

from shipit.clients.hooks import ENDED, Hooks
from shipit.clients.pushes import Pushlog, push_message
from shipit.events.deliveries import QUEUE
from shipit.events.sources import GroupSweep
from shipit.events.types import Delivery
from shipit.listener.intake import Intake
from shipit.listener.supervision import Health, keep_asking
from shipit.storage import sources
from shipit.storage.pool import Database

log = logging.getLogger(__name__)


class ExpectedGroups:
    """One sweep. Its cursor is the last push whose group was told, was never made, or was given up."""

    def __init__(
        self,
        rule: GroupSweep,
        pushlog: Pushlog,
        hooks: Hooks,
        intake: Intake,
        db: Database,
        health: Health,
        *,
        every: float,
    ) -> None:
        self._name = f"groups:{rule.name}"
        self._rule = rule
        self._pushlog = pushlog
        self._hooks = hooks
        self._intake = intake
        self._db = db
        self._health = health
        self._every = every

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until `stop`. Raises Unavailable."""
        await keep_asking(
            lambda: self.once(now=time.time()), stop, self._health, self._name, every=self._every
        )

    async def once(self, *, now: float) -> int:
        """Tell the groups of pushes old enough; how many. A group that was heard of is only told again."""
        async with self._db.connection() as connection:
            cursor = await sources.read_cursor(connection, self._name)
        if cursor is None:
            newest = await self._pushlog.after(None)
            async with self._db.connection() as connection:
                await sources.move_cursor(connection, self._name, {"last": newest.last})
            return 0
        last, told = int(cursor["last"]), 0
        pushes = await self._pushlog.after(last)
        for number, row in pushes.rows:
            age = now - float(row.get("date") or 0)
            if age < self._rule.after_hours * 3600:
                break
            group = await self._resolved_group(number, row)
            if group is None and age < self._rule.give_up_hours * 3600:
                break
            if group is None:
                log.warning("%s: push %d has no resolved group, given up", self._name, number)
            await self._intake.take(self._name, [self._delivery(group)] if group else [], {"last": number})
            told += group is not None
        return told

    async def _resolved_group(self, number: int, row: dict[str, Any]) -> str | None:
        heads = push_message(self._pushlog.url, number, row)["heads"]
        if not heads:
            return None
        group = await self._hooks.indexed_group(self._rule.index.replace("{revision}", heads[-1]))
        tasks = await self._hooks.group_tasks(group) if group else None
        return group if tasks and all(task.state in ENDED for task in tasks) else None

    def _delivery(self, group: str) -> Delivery:
        scheduler = self._rule.scheduler
        body = {"taskGroupId": group, "schedulerId": scheduler, "version": 1}
        return Delivery(
            source="pulse",
            exchange=QUEUE + "task-group-resolved",
            routing_key=f"primary.{group}.{scheduler}._",
            body=msgspec.json.encode(body),
            via=self._name,
            key=f"{self._name}:{group}",
        )
