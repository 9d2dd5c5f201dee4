# SPDX-License-Identifier: MPL-2.0
"""The runner's loop: every minute, see whether rounds still come, and tell somebody when they do not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from shipit.errors import ShipitError
from shipit.runner.alarms import tell_deciders
from shipit.settings import Settings
from shipit.storage import mails, rounds, sources
from shipit.storage.pool import Database
from shipit.uplift.report import MailReport
from shipit.uplift.silence import LISTENER, Notice, Word, notices, silence_told

Send = Callable[[str, str, str], Awaitable[None]]
TICK_SECONDS = 60.0

log = structlog.get_logger()


async def run(
    settings: Settings,
    database: Database,
    send: Send | None,
    stop: asyncio.Event,
    *,
    every: float = TICK_SECONDS,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Tick until told to stop. Whatever goes wrong in a tick is logged, and the next one comes.

    send: sends one mail; None: alarms are only logged, and stay to be sent.
    """
    since = now()
    while not stop.is_set():
        try:
            await tick(settings, database, send, since=since, now=now())
        except ShipitError as error:
            log.warning("runner.trouble", reason=error.detail)
        except Exception:
            # the outermost loop of this door: recorded, and the next tick comes
            log.exception("runner.surprise")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every)


async def tick(
    settings: Settings, database: Database, send: Send | None, *, since: datetime, now: datetime
) -> None:
    """Look once. Raises when the database does not answer."""
    async with database.connection() as connection:
        ended = await rounds.last_ends(connection, limit=2)
    stale = timedelta(minutes=settings.bot.stale_minutes)
    url = settings.backend.url or "the page"
    for notice in notices(ended, since=since, now=now, stale=stale, instance=settings.instance, url=url):
        await _tell(database, send, notice, now, settings.bot.notify)
    await _watch_listener(settings, database, send, now=now)
    await tell_deciders(database, send, url=url, now=now)


async def _watch_listener(
    settings: Settings, database: Database, send: Send | None, *, now: datetime
) -> None:
    """A listener that ever lived must go on living; its own alarms cannot say that it does not."""
    async with database.connection() as connection:
        alive = await sources.last_life(connection)
        told = await mails.last_key(connection, f"{Word.LISTENER_SILENT}-")
    if alive is None:
        return
    before = silence_told(told) if told else None
    found = notices(
        (alive,) if before is None else (alive, before),
        since=alive,
        now=now,
        stale=timedelta(minutes=settings.listener.silent_minutes),
        instance=settings.instance,
        url=settings.backend.url or "the page",
        who=LISTENER,
    )
    for notice in found:
        await _tell(database, send, notice, now, settings.listener.notify or settings.bot.notify)


async def _tell(
    database: Database, send: Send | None, notice: Notice, now: datetime, recipients: tuple[str, ...]
) -> None:
    """Send a notice once. Who hears that somebody is back heard of the silence before."""
    mail = MailReport(subject=notice.subject, recipients=recipients)
    async with database.connection() as connection:
        if notice.after is not None and not await mails.is_known(connection, notice.after):
            return
        if not await mails.claim(connection, notice.key, mail):
            return
    log.warning(notice.word.value, anchor=notice.anchor.isoformat(), recipients=len(recipients))
    failed = []
    for address in recipients:
        if send is None:
            # it stays unsent: whoever can send tells it later
            log.warning("runner.mail", reasons=["nothing is set up to send mail with"], key=notice.key)
            return
        try:
            await send(address, notice.subject, notice.text)
        except ShipitError as error:
            # one address that cannot be reached must not silence the others
            failed.append(error.detail)
    if failed:
        log.warning("runner.mail", reasons=failed)
    if len(failed) < len(recipients) or not recipients:
        async with database.connection() as connection:
            sent = MailReport(
                subject=notice.subject,
                recipients=recipients,
                sent_at=now,
                outcome="; ".join(failed) or "sent",
            )
            await mails.claim(connection, notice.key, sent)
