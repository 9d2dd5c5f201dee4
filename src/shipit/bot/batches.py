# SPDX-License-Identifier: MPL-2.0
"""Carry out a plan in batches: each is read, tried, reported and told of before the next begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from shipit.bot import mailing
from shipit.bot.outlook import Outlook
from shipit.bot.planning import requests_in
from shipit.bot.progress import Round
from shipit.bot.reading import ReadBug, Unread, read
from shipit.bot.reporting import bug_report, requests_for
from shipit.bot.trying import try_all
from shipit.errors import ShipitError
from shipit.merge.types import Outcome
from shipit.uplift.mail import Mail, request_of_key
from shipit.uplift.report import (
    BugsReport,
    Known,
    KnownBug,
    KnownRequest,
    KnownTrial,
    MailReport,
    Trial,
    TrialsReport,
)
from shipit.uplift.round_plan import OPEN, Step, Task, newly_fails
from shipit.uplift.types import Request

# Bugs read, tried and reported together: small enough to lose little, large enough for few calls.
BATCH = 50


async def carry_out(this: Round, known: Known, outlook: Outlook, steps: Sequence[Step]) -> None:
    """Read what is to be read, in batches; then try again what only needs a new trial."""
    held = {bug.bug: bug for bug in known.bugs}
    for number, bug in held.items():
        this.counted[number] = len(bug.requests)
    to_read = [step.bug for step in steps if step.task is Task.READ]
    for start in range(0, len(to_read), BATCH):
        batch = to_read[start : start + BATCH]
        this.doors.told(f"reading bugs {start + 1} to {start + len(batch)} of {len(to_read)}")
        await _read_batch(this, outlook, held, batch)
    again = {step.uid for step in steps if step.task is Task.TRY}
    waiting = [one for one in requests_in(known.bugs) if one.request.uid in again]
    for start in range(0, len(waiting), BATCH * 10):
        await _try_batch(this, outlook, waiting[start : start + BATCH * 10])


async def _read_batch(this: Round, outlook: Outlook, held: dict[int, KnownBug], batch: Sequence[int]) -> None:
    doors = this.doors
    try:
        answers = await read(doors, outlook, batch, known=held)
    except ShipitError as error:
        for bug in batch:
            this.not_read(bug, error.detail)
        return
    bugs = [answer for answer in answers if isinstance(answer, ReadBug)]
    for answer in answers:
        if isinstance(answer, Unread):
            this.not_read(answer.bug, answer.reason)
    placed = {
        one.bug.id: requests_for(one, held.get(one.bug.id), outlook.trains, this.started) for one in bugs
    }
    empty = {one.bug.id: one.bug.changed for one in bugs if one.bug.id not in held and not placed[one.bug.id]}
    this.barren |= empty
    bugs = [one for one in bugs if one.bug.id not in empty]
    to_try = [one.request for rows in placed.values() for one in rows if one.request.state in OPEN]
    doors.told(f"trying {len(to_try)} series")
    trials = await try_all(doors, outlook, to_try)
    this.trials += len(trials)
    before = {one.request.uid: one.trial for bug in held.values() for one in bug.requests}
    mails = await _claimed(
        this,
        [
            _Failure(one, row.request, trials[row.request.uid], before.get(row.request.uid))
            for one in bugs
            for row in placed[one.bug.id]
            if row.request.uid in trials
        ],
    )
    reports = [
        bug_report(
            one,
            placed[one.bug.id],
            trials,
            trains=outlook.trains,
            kept=_kept(held.get(one.bug.id), outlook),
        )
        for one in bugs
    ]
    for report in reports:
        this.counted[report.bug] = len(report.requests)
        if report.analysis_error:
            this.failed(report.bug, report.analysis_error)
    if not reports:
        return
    taken = await doors.backend.put_bugs(BugsReport(round=this.uid, bugs=tuple(reports)))
    for one_taken in taken.bugs:
        if one_taken.result == "refused":
            this.failed(one_taken.bug, one_taken.reason or "the backend refused it")
    this.mails += mails


async def _try_batch(this: Round, outlook: Outlook, waiting: Sequence[KnownRequest]) -> None:
    """Series whose bug did not change: the train moved, or the last trial could not tell."""
    doors = this.doors
    doors.told(f"trying {len(waiting)} series again")
    trials = await try_all(doors, outlook, [one.request for one in waiting])
    this.trials += len(trials)
    if not trials:
        return
    failing = [one for one in waiting if one.request.uid in trials and _is_news(one, trials)]
    bugs = await _read_for_mail(this, outlook, {one.request.bug for one in failing})
    mails = await _claimed(
        this,
        [
            _Failure(bugs[one.request.bug], one.request, trials[one.request.uid], one.trial)
            for one in failing
            if one.request.bug in bugs
        ],
    )
    await doors.backend.put_trials(TrialsReport(trials=tuple(trials.values())))
    this.mails += mails


class _Failure(msgspec.Struct, frozen=True):
    """A trial that people may have to hear of."""

    read: ReadBug
    request: Request
    trial: Trial
    before: KnownTrial | None


def _is_news(known: KnownRequest, trials: Mapping[str, Trial]) -> bool:
    trial = trials[known.request.uid]
    return newly_fails(known.trial, trial.result.outcome, trial.series_digest)


async def _read_for_mail(this: Round, outlook: Outlook, bugs: set[int]) -> dict[int, ReadBug]:
    """The bugs that mails are about: what is public of them, and who is concerned, is asked anew."""
    if not bugs or this.doors.send is None:
        return {}
    try:
        answers = await read(this.doors, outlook, bugs, known=bugs)
    except ShipitError as error:
        this.failed(None, f"no mail about {len(bugs)} bugs: {error.detail}")
        return {}
    for answer in answers:
        if isinstance(answer, Unread):
            this.failed(answer.bug, f"no mail about its conflict: {answer.reason}")
    return {answer.bug.id: answer for answer in answers if isinstance(answer, ReadBug)}


async def _claimed(this: Round, failures: Sequence[_Failure]) -> list[tuple[int, Mail]]:
    """Mails that this round is to send, by bug; claimed before the trial is reported, so none is lost."""
    found = []
    for one in failures:
        mail = await mailing.claim(this.doors, one.read, one.request, one.trial, one.before)
        if mail is not None:
            found.append((one.read.bug.id, mail))
    return found


async def _send(this: Round, mails: Sequence[tuple[int, Mail]]) -> None:
    for bug, mail in mails:
        reason = await mailing.send(this.doors, mail, this.doors.now())
        if reason is not None:
            this.failed(bug, reason)


async def send_unsent(this: Round, known: Known, outlook: Outlook) -> None:
    """Send what an earlier round claimed and did not get out, as far as it is still so."""
    doors = this.doors
    if doors.send is None or not known.unsent:
        return
    held = {one.request.uid: one for one in requests_in(known.bugs)}
    about = {key: held.get(request_of_key(key) or "") for key in known.unsent}
    still = {key: one for key, one in about.items() if one is not None and _is_conflict(one)}
    bugs = await _read_for_mail(this, outlook, {one.request.bug for one in still.values()})
    mails = []
    for key in known.unsent:
        one = still.get(key)
        if one is None:
            gone = Mail(key=key, to=(), subject="", body="")
            await mailing.mark(doors, gone, doors.now(), "no longer so when it could be sent")
        elif one.request.bug in bugs and one.trial is not None:
            result, tip = one.trial.result, one.trial.tip
            mail = mailing.word(doors, bugs[one.request.bug], one.request, result, tip=tip, key=key)
            wanted = MailReport(subject=mail.subject, recipients=mail.to) if mail else None
            if mail and wanted and await doors.backend.claim_mail(key, wanted):
                mails.append((one.request.bug, mail))
    await _send(this, mails)


def _is_conflict(known: KnownRequest) -> bool:
    return known.trial is not None and known.trial.outcome is Outcome.CONFLICT


def _kept(known: KnownBug | None, outlook: Outlook) -> tuple[str, ...]:
    """Trains that hold requests of this bug and that nobody names now: what they hold stays."""
    names = {train.name for train in outlook.trains}
    held = {one.request.train for one in known.requests} if known else set()
    return tuple(sorted(held - names))
