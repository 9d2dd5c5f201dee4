# SPDX-License-Identifier: MPL-2.0
"""The runner of pipelines: decides what is due and looks at steps under leases. Any number may run at once.

A notification wakes it; a tick makes it right when one is lost. It may die at any point: what it decided is
one transaction, and what it does outside has an idempotency key and is done again when its lease has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from shipit.actions.reconciling import reconcile
from shipit.errors import ShipitError, Unavailable
from shipit.pipeline.types import Progress, StepRow
from shipit.runner.looping import work_until
from shipit.steps.contract import Doors
from shipit.steps.kinds import KINDS
from shipit.storage import pipelines, steps

TICK_SECONDS = 1.0
LEASE = timedelta(seconds=90)
# Longer than any call outside may take, shorter than the lease: nobody acts without one.
LOOK_SECONDS = 60.0
BATCH = 100
MOST_AT_ONCE = 16
LONGEST_PAUSE = 120.0

log = structlog.get_logger(__name__)

Failpoint = Callable[[str], None]


def _nowhere(name: str) -> None:
    """Real runners do not fail on purpose."""


async def run(
    doors: Doors,
    stop: asyncio.Event,
    *,
    database_url: str | None = None,
    tick: float = TICK_SECONDS,
    lease: timedelta = LEASE,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    at: Failpoint = _nowhere,
) -> None:
    """Work until told to stop. database_url: where notifications are heard; None: only the tick wakes it.

    at: called with the name of each point where dying matters, for tests that die there.
    """
    wake = asyncio.Event()
    runner = Runner(doors, lease=lease, now=now, at=at, wake=wake)
    try:
        await work_until(
            stop,
            runner.work,
            name="pipelines",
            wake=wake,
            tick=tick,
            database=doors.database,
            database_url=database_url,
        )
    finally:
        await runner.close()


class Runner:
    """One runner's work. Looks run beside each other, so that a slow service holds up nobody else's step."""

    def __init__(
        self,
        doors: Doors,
        *,
        lease: timedelta = LEASE,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        at: Failpoint = _nowhere,
        wake: asyncio.Event | None = None,
    ) -> None:
        self._doors, self._lease, self._now, self._at = doors, lease, now, at
        self._wake = wake or asyncio.Event()
        self._looks: set[asyncio.Task[None]] = set()
        self._failures: dict[tuple[str, str], int] = {}

    async def work(self) -> bool:
        """Decide and look once; whether there is more to do at once."""
        changed, more = await self.decide()
        claimed = await self.claim()
        return more or changed > 0 or claimed > 0

    async def decide(self) -> tuple[int, bool]:
        """Decide the pipelines that are due, in one transaction."""
        async with self._doors.database.connection() as connection:
            found = await reconcile(connection, self._now(), limit=BATCH)
            self._at("decided, not committed")
        self._at("decided")
        return found

    async def claim(self) -> int:
        """Begin to look at steps that are due, as many as there is room for."""
        room = MOST_AT_ONCE - len(self._looks)
        if room <= 0:
            return 0
        async with self._doors.database.connection() as connection:
            rows = await steps.claim(connection, limit=room, lease=self._lease)
        self._at("claimed") if rows else None
        for row in rows:
            task = asyncio.create_task(self._look(row))
            self._looks.add(task)
            task.add_done_callback(self._done)
        return len(rows)

    async def settle(self) -> None:
        """Wait for the looks that run."""
        while self._looks:
            await asyncio.wait(self._looks)

    async def close(self) -> None:
        """Let the looks that run end, for a while; the rest is looked at again when its lease has ended."""
        if self._looks:
            await asyncio.wait(self._looks, timeout=5)
        for task in self._looks:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._looks.discard(task)
        self._wake.set()

    async def _look(self, row: StepRow) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                progress = await KINDS[row.kind].look(row, self._doors, self._now())
            self._failures.pop((row.kind, row.uid), None)
        except ShipitError as error:
            progress = self._postponed(row, error)
        except TimeoutError:
            progress = self._postponed(row, Unavailable("step", f"no answer in {LOOK_SECONDS:g} s"))
        except Exception:
            # The outermost frame of a look: one broken step must not stop the others.
            log.exception("pipelines.look", kind=row.kind, uid=row.uid)
            progress = self._postponed(row, ShipitError("a defect of ours; the log has it"))
        self._at("looked")
        with contextlib.suppress(Unavailable):
            async with self._doors.database.connection() as connection:
                is_ours = await steps.record(connection, row, progress)
                if is_ours:
                    await pipelines.note(connection, progress.notes)
                self._at("recorded, not committed")
            self._at("recorded")
            if not is_ours:
                log.info("pipelines.fenced", kind=row.kind, uid=row.uid)

    def _postponed(self, row: StepRow, error: ShipitError) -> Progress:
        """The step as it was, with the reason; looked at again after a pause that grows."""
        name = (row.kind, row.uid)
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        if len(self._failures) > 10_000:
            self._failures.clear()
        pause = timedelta(seconds=min(LONGEST_PAUSE, 0.5 * 2.0 ** min(failures, 20)))
        due = self._now() + pause
        retry_at = getattr(error, "retry_at", None)
        return Progress(
            status=row.status,
            message=f"{error.detail}; asked again at {max(due, retry_at or due):%H:%M:%S %Z}",
            details=row.details,
            output=row.output,
            memory=row.memory,
            due_at=max(due, retry_at or due),
        )
