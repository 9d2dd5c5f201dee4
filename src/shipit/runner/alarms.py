# SPDX-License-Identifier: MPL-2.0
"""Tell people by mail that a decision of theirs did not get through: once for each time that it stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from shipit.errors import ShipitError
from shipit.storage import decisions, mails
from shipit.storage.pool import Database
from shipit.uplift.decision_mail import GRACE, TOLD_FOR, alarm_mail
from shipit.uplift.mail import Mail
from shipit.uplift.report import MailReport

Send = Callable[[str, str, str], Awaitable[None]]

log = structlog.get_logger()


async def tell_deciders(database: Database, send: Send | None, *, url: str, now: datetime) -> int:
    """Send what is due; how many mails went out. send: None leaves them to a runner that can.

    A mail is claimed before it is sent and marked after, so that of two runners one sends it, and what a
    runner that died had claimed is sent later.
    """
    if send is None:
        return 0
    async with database.connection() as connection:
        found = await decisions.untold(connection, since=now - TOLD_FOR, until=now - GRACE)
    sent = 0
    for one in found:
        mail = alarm_mail(one, url=url)
        if mail is None:
            log.warning("decisions.nobody_to_tell", decision=one.decision)
            continue
        sent += await _send(database, send, mail, now)
    return sent


async def _send(database: Database, send: Send, mail: Mail, now: datetime) -> bool:
    (to,) = mail.to
    wanted = MailReport(subject=mail.subject, recipients=mail.to)
    async with database.connection() as connection:
        if not await mails.claim(connection, mail.key, wanted):
            return False
    try:
        await send(to, mail.subject, mail.body)
    except ShipitError as error:
        # claimed and not sent: a later tick tries again
        log.warning("decisions.mail", key=mail.key, reason=error.detail)
        return False
    done = MailReport(subject=mail.subject, recipients=mail.to, sent_at=now, outcome="sent")
    async with database.connection() as connection:
        await mails.claim(connection, mail.key, done)
    return True
