# SPDX-License-Identifier: MPL-2.0
"""Mails: each is claimed by what it is about before it is sent, so that nobody is told twice."""

from __future__ import annotations

from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.report import MailReport

_SQL = load("work")


async def claim(connection: Connection, key: str, mail: MailReport) -> bool:
    """Whether the caller is the first to claim this mail; with `sent_at` it also went out."""
    cursor = await connection.execute(
        _SQL["claim_mail"], {"key": key, "recipients": list(mail.recipients), "subject": mail.subject}
    )
    is_first = await cursor.fetchone() is not None
    if mail.sent_at is not None:
        await connection.execute(
            _SQL["mail_sent"], {"key": key, "sent_at": mail.sent_at, "outcome": mail.outcome}
        )
    return is_first


async def is_known(connection: Connection, key: str) -> bool:
    """Whether anybody ever claimed the mail of this key."""
    cursor = await connection.execute(_SQL["has_mail"], {"key": key})
    return await cursor.fetchone() is not None


async def last_key(connection: Connection, prefix: str) -> str | None:
    """The last of the keys that begin so, in their order; None when there is none."""
    row = await (await connection.execute(_SQL["last_mail"], {"prefix": prefix})).fetchone()
    return row[0] if row else None
