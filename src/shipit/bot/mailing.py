# SPDX-License-Identifier: MPL-2.0
"""Tell the people concerned when a request newly fails to merge: once per state, nothing restricted.

A mail is claimed before its trial is reported and marked when it went out, so that whoever dies in between
leaves a claimed mail behind, which a later round sends.
"""

from __future__ import annotations

from datetime import datetime

from shipit.bot.doors import Doors
from shipit.bot.reading import ReadBug
from shipit.errors import ShipitError
from shipit.merge.types import SeriesResult
from shipit.uplift.mail import Mail, Place, conflict_mail, mail_key, since_of
from shipit.uplift.people import concerned
from shipit.uplift.report import KnownTrial, MailReport, Trial
from shipit.uplift.round_plan import newly_fails
from shipit.uplift.types import Request, RequestState

# Nobody is waiting for what was rejected.
_AWAITED = frozenset({RequestState.REQUESTED, RequestState.APPROVED})


async def claim(
    doors: Doors, read: ReadBug, request: Request, trial: Trial, before: KnownTrial | None
) -> Mail | None:
    """The mail about this conflict if it is news, somebody is to be told and nobody else tells them.

    Raises ShipitError when the backend cannot say so.
    """
    if doors.send is None or request.state not in _AWAITED:
        return None
    if not newly_fails(before, trial.result.outcome, trial.series_digest):
        return None
    key = mail_key(request, trial.series_digest, since_of(before.outcome if before else None, trial.tip))
    mail = word(doors, read, request, trial.result, tip=trial.tip, key=key)
    if mail is None:
        return None
    wanted = MailReport(subject=mail.subject, recipients=mail.to)
    return mail if await doors.backend.claim_mail(mail.key, wanted) else None


def word(
    doors: Doors, read: ReadBug, request: Request, result: SeriesResult, *, tip: str, key: str
) -> Mail | None:
    """The mail about a conflict; None when nobody is to be told."""
    people = concerned(request, read.analysis.people) if doors.settings.bot.notify_people else ()
    # Who gets every mail need not be somebody who may know of a restricted bug.
    others = () if read.bug.is_restricted else doors.settings.bot.notify
    return conflict_mail(
        read.bug,
        request,
        [conflict for patch in result.patches for conflict in patch.conflicts],
        place=Place(
            train=request.train,
            tip=tip,
            bug_url=f"{read.bugzilla}/show_bug.cgi?id={read.bug.id}",
            page_url=f"{doors.backend.url}/?bug={read.bug.id}",
        ),
        to=(*people, *others),
        key=key,
    )


async def send(doors: Doors, mail: Mail, now: datetime) -> str | None:
    """Send a claimed mail; the reason when somebody could not be told.

    One address that is refused does not keep the others from hearing; while nobody could be told the mail
    stays unsent, for a later round.
    """
    assert doors.send is not None
    failed = []
    for address in mail.to:
        try:
            await doors.send(address, mail.subject, mail.body)
        except ShipitError as error:
            failed.append(error.detail)
    reason = f"the mail about its conflict was not sent: {'; '.join(failed)}" if failed else None
    if len(failed) == len(mail.to):
        return reason
    try:
        await mark(doors, mail, now, "; ".join(failed)[:500] or "sent")
    except ShipitError as error:
        return f"its mail went out, which the backend was not told: {error.detail}"
    return reason


async def mark(doors: Doors, mail: Mail, now: datetime, outcome: str) -> None:
    """Tell the backend what became of a mail: nobody sends it any more."""
    report = MailReport(subject=mail.subject, recipients=mail.to, sent_at=now, outcome=outcome)
    await doors.backend.claim_mail(mail.key, report)
