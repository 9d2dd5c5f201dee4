# SPDX-License-Identifier: MPL-2.0
"""The runner of pipelines: decides what is due and looks at steps under leases. Any number may run at once.

A notification wakes it; a tick makes it right when one is lost. It may die at any point: what it decided is
one transaction, and what it does outside has an idempotency key and is done again when its lease has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from msgspec.structs import replace

from shipit.actions.reconciling import reconcile
from shipit.errors import ShipitError, Unavailable
from shipit.pipeline.types import Progress, StepRow
from shipit.runner.clock import Clock
from shipit.runner.looping import work_until
from shipit.steps.contract import Doors
from shipit.steps.kinds import KINDS
from shipit.storage import pipelines, steps
from shipit.storage.pool import translated

TICK_SECONDS = 1.0
# Renewed while a look goes on: the steps of a runner that was killed wait no longer than this.
LEASE = timedelta(seconds=20)
# Of the lease, from before it was asked for: who was held up longer does nothing more, for it may have ended.
LEASE_SHARE = 2 / 3
LOOK_SECONDS = 60.0
BATCH = 100
# Services that hang hold up others' steps only when that many of them hang at once that these numbers meet.
MOST_AT_ONCE, MOST_OF_A_SERVICE = 64, 8
LONGEST_PAUSE = 120.0
# A runner's transactions wait for nobody outside; who is frozen within one gives its locks up after this.
IDLE_SECONDS = 5.0
# How long a pipeline that cannot be decided is left alone.
ASIDE_SECONDS = 60.0

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
    now: Callable[[], datetime] | None = None,
    at: Failpoint = _nowhere,
) -> None:
    """Work until told to stop. database_url: where notifications are heard; None: only the tick wakes it.

    now: None is the database's clock, the same for all runners.
    at: called with the name of each point where dying matters, for tests that die there.
    """
    wake = asyncio.Event()
    runner = Runner(doors, lease=lease, now=now, at=at, wake=wake)
    renewing = asyncio.ensure_future(_renewing(runner, lease.total_seconds() / 6))
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
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _renewing(runner: Runner, pause: float) -> None:
    """Hold on to what is looked at, for ever; cancel it to end it."""
    while True:
        await asyncio.sleep(pause)
        # Where there is no database, looks run into their ends.
        with contextlib.suppress(Unavailable):
            await runner.renew()


@dataclass
class _Look:
    """A look that runs. ends: when nothing more may be done, by the monotonic clock; latest: its last."""

    row: StepRow
    now: datetime
    ends: float
    latest: float
    limit: asyncio.Timeout | None = None

    def hold_until(self, ends: float) -> None:
        """The lease was renewed."""
        self.ends = min(ends, self.latest)
        if self.limit is not None and not self.limit.expired():
            left = self.ends - time.monotonic()
            self.limit.reschedule(asyncio.get_running_loop().time() + left)


class Runner:
    """One runner's work. Looks run beside each other, so that a slow service holds up nobody else's step."""

    def __init__(
        self,
        doors: Doors,
        *,
        lease: timedelta = LEASE,
        now: Callable[[], datetime] | None = None,
        at: Failpoint = _nowhere,
        wake: asyncio.Event | None = None,
    ) -> None:
        self._doors, self._lease, self._at = doors, lease, at
        self._clock = Clock(now)
        self._wake = wake or asyncio.Event()
        self._looks: dict[asyncio.Task[None], _Look] = {}
        self._failures: dict[tuple[str, str], int] = {}

    async def work(self) -> bool:
        """Decide and look once; whether there is more to do at once."""
        changed, more = await self.decide()
        claimed = await self.claim()
        return more or changed > 0 or claimed > 0

    async def decide(self) -> tuple[int, bool]:
        """Decide the pipelines that are due, in one transaction."""
        try:
            async with self._doors.database.connection() as connection:
                now = await self._clock.read(connection)
                found = await reconcile(connection, now, limit=BATCH)
                self._at("decided, not committed")
        except Unavailable:
            raise
        except Exception:
            # One pipeline that cannot be decided must not stop the others.
            log.exception("pipelines.decide")
            found = await self._decide_each()
        self._at("decided")
        return found

    async def _decide_each(self) -> tuple[int, bool]:
        """Decide what is due one by one; what cannot be decided is left alone for a while."""
        changed = 0
        async with self._doors.database.connection() as connection:
            now = await self._clock.read(connection)
            due, more = await pipelines.take_due(connection, limit=BATCH)
            for uid in due:
                try:
                    with translated():
                        async with connection.transaction():
                            changed += (await reconcile(connection, now, uids=[uid]))[0]
                except Unavailable:
                    raise
                except Exception:
                    log.exception("pipelines.undecided", uid=uid)
                    await pipelines.set_aside(connection, uid, timedelta(seconds=ASIDE_SECONDS))
        return changed, more

    async def claim(self) -> int:
        """Begin to look at steps that are due, as many as there is room for."""
        room = MOST_AT_ONCE - len(self._looks)
        if room <= 0:
            return 0
        asked = time.monotonic()
        busy = Counter(steps.service_of(look.row) for look in self._looks.values())
        async with self._doors.database.connection() as connection:
            rows = await steps.claim(
                connection, limit=room, lease=self._lease, each=MOST_OF_A_SERVICE, busy=busy
            )
            now = await self._clock.read(connection) if rows else None
        if rows:
            self._at("claimed")
        for row in rows:
            assert now is not None
            look = _Look(row, now, ends=self._holds_until(asked), latest=asked + LOOK_SECONDS)
            task = asyncio.create_task(self._look(look))
            self._looks[task] = look
            task.add_done_callback(self._done)
        return len(rows)

    async def renew(self) -> None:
        """Renew the leases of looks that take long; one that is no longer ours runs into its end."""
        asked = time.monotonic()
        soon = asked + self._lease.total_seconds() / 3
        long = [look for look in self._looks.values() if look.ends <= soon and look.ends < look.latest]
        if not long:
            return
        async with self._doors.database.connection() as connection:
            kept = await steps.renew(connection, [look.row for look in long], lease=self._lease)
        for look in long:
            if (look.row.kind, look.row.uid) in kept:
                look.hold_until(self._holds_until(asked))

    def _holds_until(self, asked: float) -> float:
        return asked + self._lease.total_seconds() * LEASE_SHARE

    async def settle(self) -> None:
        """Wait for the looks that run."""
        while self._looks:
            await asyncio.wait(self._looks)

    async def close(self, *, patience: float = 5.0) -> None:
        """Let the looks that run end, for some seconds; the rest is given back, for others to look at."""
        if self._looks:
            await asyncio.wait(self._looks, timeout=patience)
        left = dict(self._looks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            # Where there is no database, their leases end.
            with contextlib.suppress(Unavailable):
                async with self._doors.database.connection() as connection:
                    await steps.give_back(connection, [look.row for look in left.values()])

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._looks[task]
        self._wake.set()

    async def _look(self, look: _Look) -> None:
        """Look at a step under its lease."""
        row = look.row
        if row.status.is_end and row.wants_cancel:
            # It ended before the cancel came to it: what happened, happened.
            row = replace(row, wants_cancel=False)
        if look.ends <= time.monotonic():
            log.warning("pipelines.late", kind=row.kind, uid=row.uid)
            return
        try:
            async with asyncio.timeout(look.ends - time.monotonic()) as look.limit:
                progress = await KINDS[row.kind].look(row, self._doors, look.now)
            self._failures.pop((row.kind, row.uid), None)
        except ShipitError as error:
            progress = self._postponed(row, error)
        except TimeoutError:
            progress = self._postponed(row, Unavailable("step", "no answer while the lease was held"))
        except Exception:
            # The outermost frame of a look: one broken step must not stop the others.
            log.exception("pipelines.look", kind=row.kind, uid=row.uid)
            progress = self._postponed(row, ShipitError("a defect of ours; the log has it"))
        self._at("looked")
        try:
            await self._record(row, progress)
        except Unavailable as error:
            log.warning("pipelines.unrecorded", kind=row.kind, uid=row.uid, reason=error.detail)
        except Exception:
            # What came of it cannot be stored: said, lest it be looked at for ever without a reason.
            log.exception("pipelines.record", kind=row.kind, uid=row.uid)
            with contextlib.suppress(Unavailable):
                told = ShipitError("what came of it cannot be stored; the log has it")
                await self._record(row, self._postponed(row, told))

    async def _record(self, row: StepRow, progress: Progress) -> None:
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
        if isinstance(error, Unavailable) and error.retry_at is not None:
            # A time by our own clock, whatever that says.
            pause = max(pause, error.retry_at - datetime.now(UTC))
        due = self._clock.now() + pause
        return Progress(
            status=row.status,
            message=f"{error.detail}; asked again at {due:%H:%M:%S %Z}",
            details=row.details,
            output=row.output,
            memory=row.memory,
            due_at=due,
        )
