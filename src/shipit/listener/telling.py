# SPDX-License-Identifier: MPL-2.0
"""What people are told: the report every few hours, alarms at once, the all-clear, the end of build targets.

Everything is stored first, a row for each recipient, and sent from there: one who cannot be reached holds up
nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from shipit.clients.differential import Differential
from shipit.clients.hooks import Hooks
from shipit.errors import Unavailable
from shipit.events.report import Ended, Mail, make_alarm, make_all_clear, make_notice, make_report
from shipit.listener.book import rest
from shipit.listener.supervision import Health
from shipit.storage import effects, journal, journal_pages, sources
from shipit.storage.pool import Connection, Database
from shipit.storage.sources import DueMail

log = logging.getLogger(__name__)

_MAX_TRIES = 30
_LONGEST = timedelta(hours=1)


class Recipients(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told. Rooms and channels get alarms only."""

    mail: tuple[str, ...] = ()
    matrix: tuple[str, ...] = ()
    slack: tuple[str, ...] = ()

    @property
    def of_alarms(self) -> list[str]:
        """All, as rows name them."""
        rooms = [f"matrix:{room}" for room in self.matrix] + [f"slack:{channel}" for channel in self.slack]
        return [*self.mail, *rooms]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """When people are told.

    streak: failed tasks of a route in a row; silent: for how long a source may be out of reach.
    """

    report_every: timedelta = timedelta(hours=7)
    streak: int = 3
    silent: timedelta = timedelta(minutes=15)
    retention: timedelta = timedelta(days=30)
    idle: float = 15.0


class Teller:
    """Writes what people shall be told, and sends it."""

    def __init__(
        self,
        db: Database,
        hooks: Hooks | None,
        differential: Differential | None,
        health: Health,
        *,
        root_url: str,
        recipients: Recipients,
        terms: Terms,
        uid: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._hooks = hooks
        self._differential = differential
        self._health = health
        self._root_url = root_url
        self._recipients = recipients
        self._terms = terms
        self._uid = uid
        self._now = now
        self._purged = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Tell until `stop`. Raises Unavailable for our own database."""
        while not stop.is_set():
            self._health.alive("teller")
            await self.once()
            await rest(stop, self._terms.idle)

    async def once(self) -> None:
        """Write what is due, send what waits, forget what is old."""
        await self._write()
        await self._send_mails()
        await self._end_targets()
        if time.monotonic() - self._purged > 600:
            for _ in range(100):
                async with self._db.connection() as connection:
                    if await journal.purge(connection, age=self._terms.retention) == 0:
                        break
            self._purged = time.monotonic()

    async def _write(self) -> None:
        now = self._now()
        async with self._db.connection() as connection:
            await sources.live(connection, self._uid)
            ended = await sources.take_report(connection, next_at=now + self._terms.report_every)
            if ended:
                rows = [
                    Ended(hook=_hook(one.sink), task_id=one.task_id, state=one.state, about=one.dedup)
                    for one in ended
                ]
                mail = make_report(rows, root_url=self._root_url)
                if mail is not None:
                    key = f"report {now:%Y-%m-%dT%H:%M:%S}"
                    await sources.add_mail(connection, key, self._recipients.mail, mail)
            for one in await sources.newly_silent(connection, self._terms.silent):
                notice = make_notice(
                    f"{one.name} is out of reach", f"since {one.since:%Y-%m-%d %H:%M} UTC: {one.error}"
                )
                await self._alarm(connection, f"silent {one.name} {one.since:%Y%m%d%H%M}", notice)
            for one in await sources.back_again(connection):
                raised = f"the alarm was raised {one.since:%Y-%m-%d %H:%M} UTC"
                notice = make_notice(f"{one.name} is back", raised)
                await self._alarm(connection, f"back {one.name} {now:%Y%m%d%H%M}", notice)
            figures = await journal_pages.figures(connection)
            await self._quarantine(connection, int(figures["quarantined"]))

    async def _quarantine(self, connection: Connection, count: int) -> None:
        """Tell once that something is in quarantine, until none is."""
        if count == 0:
            await sources.forget(connection, "quarantine told")
        elif await sources.remember_once(connection, "quarantine told", count):
            notice = make_notice(
                f"{count} in quarantine", "Look at them on the events page, or with `shipit events list`."
            )
            await self._alarm(connection, f"quarantine {self._now():%Y%m%d%H%M%S}", notice)

    async def task_ended(self, connection: Connection, route: str, state: str) -> None:
        """Raise the alarm when the last tasks of a route all failed; clear it when one completed."""
        name = f"streak {route}"
        if state == "completed":
            if (told := await sources.forget(connection, name)) is not None:
                mail = make_all_clear(route, since=f"{told[1]:%Y-%m-%d %H:%M} UTC")
                await self._alarm(connection, f"clear {route} {told[1]:%Y%m%d%H%M%S}", mail)
            return
        last = await effects.last_tasks(connection, route, limit=self._terms.streak)
        if len(last) < self._terms.streak or any(one.state == "completed" for one in last):
            return
        if await sources.remember_once(connection, name, last[0].task_id):
            rows = [Ended(hook=route, task_id=o.task_id, state=o.state, about=o.dedup) for o in last]
            mail = make_alarm(route, rows, root_url=self._root_url)
            await self._alarm(connection, f"{name} {last[0].task_id}", mail)

    async def too_deep(self, source: str, depth: int) -> None:
        """A queue grows towards the limit at which it is deleted; told once a day."""
        notice = make_notice(
            f"{source}: {depth} deliveries wait", "PulseGuardian deletes queues that are too long."
        )
        async with self._db.connection() as connection:
            await self._alarm(connection, f"deep {source} {self._now():%Y%m%d}", notice)

    async def _alarm(self, connection: Connection, key: str, mail: Mail) -> None:
        log.warning("%s", mail.subject)
        await sources.add_mail(connection, key, self._recipients.of_alarms, mail)

    async def _send_mails(self) -> None:
        if self._hooks is None:
            return
        async with self._db.connection() as connection:
            due = await sources.claim_mails(connection)
        for mail in due:
            await self._send(self._hooks, mail)

    async def _send(self, hooks: Hooks, mail: DueMail) -> None:
        channel, _, target = mail.recipient.partition(":")
        if channel in ("matrix", "slack"):
            answer = await hooks.tell(channel, target, f"{mail.subject}\n\n{mail.content[:3000]}")
        else:
            answer = await hooks.mail(mail.recipient, mail.subject, mail.content)
        async with self._db.connection() as connection:
            if answer.status == 204:
                # denied, rate limited, or told already: notify does not say which
                await sources.mail_done(connection, mail.id, "not sent (204)", is_sent=False)
            elif answer.is_good:
                await sources.mail_done(connection, mail.id, "sent", is_sent=True)
            elif 400 <= answer.status < 500 and answer.status not in (401, 403, 408, 429):
                await sources.mail_done(connection, mail.id, answer.detail, is_sent=False)
            elif mail.attempts >= _MAX_TRIES:
                await sources.mail_done(connection, mail.id, f"given up: {answer.detail}", is_sent=False)
            else:
                delay = min(timedelta(seconds=30) * (1 << min(mail.attempts, 8)), _LONGEST)
                await sources.mail_again(connection, mail.id, delay=delay)

    async def _end_targets(self) -> None:
        if self._differential is None:
            return
        async with self._db.connection() as connection:
            due = await sources.claim_targets(connection)
        for one in due:
            try:
                await self._differential.end_target(one.target, one.verdict, one.reason)
            except Unavailable as error:
                delay = min(timedelta(seconds=15) * (1 << min(one.attempts, 8)), _LONGEST)
                async with self._db.connection() as connection:
                    await sources.target_again(connection, one.target, error.detail, delay=delay)
            else:
                async with self._db.connection() as connection:
                    await sources.target_told(connection, one.target)


def _hook(sink: str) -> str:
    """The report's heading: the hook's own name, as the original had it."""
    return sink.rsplit("/", 1)[-1] if sink.startswith("hook:") else sink
