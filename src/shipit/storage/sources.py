# SPDX-License-Identifier: MPL-2.0
"""Where each source of events stands; what our queues are bound to; mails and build targets to tell."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from shipit.events.report import Mail
from shipit.events.templates import storable
from shipit.storage.effects import Resolved
from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("journal")


class DueMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to one recipient."""

    id: int
    recipient: str
    subject: str
    content: str
    attempts: int


class DueTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A build target whose end is to be told."""

    target: str
    verdict: str
    reason: str
    attempts: int


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A source out of reach, or back from it."""

    name: str
    since: datetime
    error: str


async def read_cursor(connection: Connection, name: str) -> Any:
    """The cursor of a source, None when it has none yet."""
    row = await (await connection.execute(_SQL["read_cursor"], {"name": name})).fetchone()
    return row[0] if row else None


async def move_cursor(connection: Connection, name: str, cursor: Any) -> None:
    """Move the cursor of a source that brought nothing."""
    await connection.execute(_SQL["move_cursor"], {"name": name, "cursor": Jsonb(cursor)})


async def heard(connection: Connection, name: str, *, new: int = 0, again: int = 0) -> None:
    """A source brought events: so many new ones, and so many that were stored already."""
    await connection.execute(_SQL["source_heard"], {"name": name})
    await connection.execute(_SQL["count_heard"], {"name": name, "new": new, "again": again})


async def well(connection: Connection, name: str, *, depth: int | None = None) -> None:
    """A source is reachable. depth: deliveries that wait in its queue."""
    await connection.execute(_SQL["source_well"], {"name": name, "depth": depth})


async def ill(connection: Connection, name: str, error: str) -> None:
    """A source cannot be reached."""
    await connection.execute(_SQL["source_ill"], {"name": name, "error": str(storable(error))[:1000]})


async def list_sources(connection: Connection) -> bytes:
    """Every source as JSON, shaped as `events.told.SourceRow` with its cursor."""
    row = await (await connection.execute(_SQL["list_sources"])).fetchone()
    assert row is not None
    return bytes(row[0])


async def forget_others(connection: Connection, names: Iterable[str]) -> None:
    """Forget sources that are configured no more; cursors are kept."""
    await connection.execute(_SQL["forget_sources"], {"names": sorted(names)})


async def newly_silent(connection: Connection, silent: timedelta) -> list[Silence]:
    """Sources out of reach for that long whose alarm nobody raised; now it counts as raised."""
    found = await connection.execute(_SQL["sources_to_alarm"], {"silent": silent})
    return [Silence(name=n, since=s, error=e or "") for n, s, e in await found.fetchall()]


async def back_again(connection: Connection) -> list[Silence]:
    """Sources whose alarm was raised (`since`) and that are reachable again."""
    found = await connection.execute(_SQL["sources_to_clear"])
    return [Silence(name=n, since=s, error=e) for n, s, e in await found.fetchall()]


async def read_bindings(connection: Connection, queue: str) -> set[tuple[str, str]]:
    """(exchange, key) of every binding we made for a queue."""
    found = await connection.execute(_SQL["read_bindings"], {"queue": queue})
    return {(exchange, key) for exchange, key in await found.fetchall()}


async def known_queues(connection: Connection, prefix: str) -> set[str]:
    """Queues we bound whose name begins with `prefix`."""
    escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    found = await connection.execute(_SQL["known_queues"], {"prefix": escaped + "%"})
    return {queue for (queue,) in await found.fetchall()}


async def add_binding(connection: Connection, queue: str, exchange: str, key: str) -> None:
    """Remember a binding."""
    await connection.execute(_SQL["add_binding"], {"queue": queue, "exchange": exchange, "key": key})


async def drop_binding(connection: Connection, queue: str, exchange: str, key: str) -> None:
    """Forget a binding that was taken back."""
    await connection.execute(_SQL["drop_binding"], {"queue": queue, "exchange": exchange, "key": key})


async def drop_queue(connection: Connection, queue: str) -> None:
    """Forget a queue that was deleted."""
    await connection.execute(_SQL["drop_queue"], {"queue": queue})


# --- mails ---


async def take_report(connection: Connection, *, next_at: datetime) -> list[Resolved] | None:
    """The tasks resolved since the last report when one is due, else None; the next is due at `next_at`."""
    values = {"next": next_at.isoformat()}
    await connection.execute(_SQL["start_report"], values)
    if await (await connection.execute(_SQL["claim_report"], values)).fetchone() is None:
        return None
    found = await connection.execute(_SQL["take_ended"])
    return [
        Resolved(sink=sink, task_id=task, state=state, dedup=dedup)
        for sink, task, state, dedup in await found.fetchall()
        if state is not None
    ]


async def add_mail(connection: Connection, key: str, recipients: Iterable[str], mail: Mail) -> None:
    """Store a mail for each recipient; the same key is told once."""
    for recipient in recipients:
        await connection.execute(
            _SQL["add_mail"],
            {
                "key": key,
                "recipient": recipient,
                "subject": storable(mail.subject),
                "content": mail.content.replace("\0", ""),
            },
        )


async def claim_mails(connection: Connection) -> list[DueMail]:
    """Mails that are due."""
    found = await connection.execute(_SQL["claim_mails"])
    return [
        DueMail(id=number, recipient=recipient, subject=subject, content=content, attempts=attempts)
        for number, recipient, subject, content, attempts in await found.fetchall()
    ]


async def mail_done(connection: Connection, mail: int, outcome: str, *, is_sent: bool) -> None:
    """A mail went out, or never will."""
    await connection.execute(_SQL["mail_done"], {"id": mail, "outcome": outcome[:500], "is_sent": is_sent})


async def mail_again(connection: Connection, mail: int, *, delay: timedelta) -> None:
    """Try a mail again later."""
    await connection.execute(_SQL["mail_again"], {"id": mail, "delay": delay})


async def remember_once(connection: Connection, name: str, value: Any) -> bool:
    """Note something; False when it was noted already."""
    values = {"name": name, "value": Jsonb(value)}
    return await (await connection.execute(_SQL["remember_once"], values)).fetchone() is not None


async def forget(connection: Connection, name: str) -> tuple[Any, datetime] | None:
    """Forget what was noted: its value and when, None when there was nothing."""
    row = await (await connection.execute(_SQL["forget"], {"name": name})).fetchone()
    return (row[0], row[1]) if row else None


async def live(connection: Connection, uid: str) -> None:
    """Note that a listener is alive."""
    await connection.execute(_SQL["remember"], {"name": "alive", "value": Jsonb(uid)})


async def last_life(connection: Connection) -> datetime | None:
    """When a listener was last alive; for the one who watches it."""
    row = await (await connection.execute(_SQL["last_life"])).fetchone()
    return row[0] if row else None


# --- build targets ---


async def claim_targets(connection: Connection) -> list[DueTarget]:
    """Build targets whose end is to be told."""
    found = await connection.execute(_SQL["claim_targets"])
    return [
        DueTarget(target=target, verdict=verdict, reason=reason or "", attempts=attempts)
        for target, verdict, reason, attempts in await found.fetchall()
    ]


async def target_told(connection: Connection, target: str) -> None:
    """Harbormaster knows."""
    await connection.execute(_SQL["target_told"], {"target": target})


async def target_again(connection: Connection, target: str, error: str, *, delay: timedelta) -> None:
    """Tell it again later."""
    values = {"target": target, "error": str(storable(error))[:500], "delay": delay}
    await connection.execute(_SQL["target_again"], values)
