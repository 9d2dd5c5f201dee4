# SPDX-License-Identifier: MPL-2.0
"""One round: read, analyse, try, report. What fails is kept with its reason; the rest goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from shipit.bot.aftermath import Aftermath
from shipit.bot.barren import Barren
from shipit.bot.batches import carry_out, send_unsent
from shipit.bot.details import KINDS, make_details
from shipit.bot.doors import Doors
from shipit.bot.listing import read_lists
from shipit.bot.outlook import Outlook, reported, see
from shipit.bot.planning import bug_of, planned
from shipit.bot.progress import Round, RoundResult, Trouble
from shipit.bot.searching import Seen, decided_since, look, search
from shipit.errors import ShipitError
from shipit.uplift.report import BugsReport, Known, RoundReport, TrainsReport, Wish
from shipit.uplift.round_plan import Step, Task

__all__ = ["LEASE", "RoundResult", "Trouble", "run_look", "run_round"]

LEASE = "bot"
LEASE_SECONDS = 180

log = structlog.get_logger()


async def run_round(
    doors: Doors,
    *,
    kind: str = "full",
    only: int | None = None,
    is_dry: bool = False,
    aftermath: Aftermath | None = None,
) -> RoundResult:
    """One round over every train, or over one bug. Raises when the backend is out of reach; nothing is lost.

    Two rounds never overlap: the lease in the backend is held for as long as this one runs. aftermath: does
    what follows the trials beside later rounds; None: this round does it before it ends.
    """
    return await _leased(Round(doors, kind=kind, only=only, is_dry=is_dry, aftermath=aftermath))


async def run_look(doors: Doors, *, since: datetime, aftermath: Aftermath | None = None) -> RoundResult:
    """A quick round: what changed since then in Bugzilla, in Phabricator and on the branches, and wishes."""
    return await _leased(Round(doors, kind="look", since=since, aftermath=aftermath))


async def _leased(this: Round) -> RoundResult:
    doors = this.doors
    if this.is_dry:
        return await _run(this)
    lease = await doors.backend.take_lease(LEASE, doors.holder, LEASE_SECONDS)
    if not lease.is_ours:
        return _theirs(f"{lease.holder} is at work until {lease.expires:%H:%M:%S} UTC")
    work = asyncio.create_task(_run(this))
    keeper = asyncio.create_task(_keep_lease(doors))
    try:
        await asyncio.wait({work, keeper}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return _theirs(f"the round was given up: {await keeper}")
        return work.result()
    except BaseException:
        await _ended(work, keeper)
        # the next bot need not wait for the lease to end
        with contextlib.suppress(ShipitError):
            await doors.backend.drop_lease(LEASE, doors.holder)
        raise
    finally:
        await _ended(work, keeper)


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _theirs(reason: str) -> RoundResult:
    return RoundResult(is_ours=False, is_whole=False, errors=(Trouble(None, reason),))


async def _keep_lease(doors: Doors) -> str:
    """Renew the lease until cancelled; ends, with the reason, when somebody else has it."""
    while True:
        await asyncio.sleep(LEASE_SECONDS / 3)
        try:
            lease = await doors.backend.take_lease(LEASE, doors.holder, LEASE_SECONDS)
        except ShipitError as error:
            # the next renewal comes well before the lease ends
            log.warning("round.lease", reason=error.detail)
            continue
        if not lease.is_ours:
            return f"{lease.holder} took over the lease"


async def _run(this: Round) -> RoundResult:
    doors = this.doors
    known = await doors.backend.known()
    doors.told("reading the schedule and updating clones")
    outlook = await see(doors, known, is_quick=this.since is not None)
    for part, reason in (*outlook.silent.items(), *outlook.failed.items()):
        this.failed(None, f"{part}: {reason}")
    doors.told("asking Bugzilla for requests")
    if this.since is None:
        since = decided_since(this.started, doors.settings.bugzilla.decided_days)
        seen = await search(doors.bugzilla, outlook.trains, known, decided_since=since)
    else:
        seen = await look(doors.bugzilla, outlook.trains, known, since=this.since)
    for train, reason in seen.unavailable.items():
        this.is_whole = False
        this.failed(None, f"{train}: {reason}")
    this.trains_read = _trains_read(outlook, seen)
    steps = await planned(this, known, outlook, seen)
    _tell_unknown(this, known, steps)
    if this.is_dry:
        return this.result(steps, known)
    trains = reported(outlook, seen, known, this.started)
    await doors.backend.put_trains(TrainsReport(trains=trains))
    await _hide(this, known, seen)
    await read_lists(this, known, outlook, seen)
    await carry_out(this, known, outlook, steps)
    made = await make_details(doors, outlook, known, only=this.only)
    await _follow(this, known, outlook, steps)
    is_whole_search = this.since is None and not seen.unavailable
    Barren(doors.cache, outlook.trains).note(this.barren, named=seen.changed if is_whole_search else None)
    await send_unsent(this, known, outlook)
    await _fulfil(this, known.wishes, made)
    if this.since is None:
        doors.diffs.prune()
    result = this.result(steps, known)
    has_work = any(step.task is not Task.KEEP for step in steps)
    if this.since is not None and not (has_work or result.errors):
        await doors.backend.drop_lease(LEASE, doors.holder)
    else:
        await doors.backend.put_round(_report(this, result))
    # the last call counts as well
    return this.result(steps, known)


async def _follow(this: Round, known: Known, outlook: Outlook, steps: Sequence[Step]) -> None:
    """Search what conflicts miss, plan landings, send mails: beside the next looks, or here and now."""
    is_quick = this.since is not None
    if any(step.task is not Task.KEEP for step in steps):
        known = await this.doors.backend.known()
    if this.aftermath is not None:
        this.aftermath.later(known, outlook, this.mails, is_quick=is_quick)
        return
    async with Aftermath(this.doors) as aftermath:
        for bug, reason in await aftermath.follow(known, outlook, this.mails, is_quick=is_quick):
            this.failed(bug, reason)


def _trains_read(outlook: Outlook, seen: Seen) -> int:
    """How many trains' requests could be read; one without requests counts only where no train has any."""
    asked = [train.name for train in outlook.trains if train.approval_flag]
    named = asked or [train.name for train in outlook.trains]
    return sum(1 for train in named if train not in seen.unavailable)


def _tell_unknown(this: Round, known: Known, steps: Sequence[Step]) -> None:
    """Known bugs that Bugzilla does not show us, each with the reason; a quick look tells it once."""
    told = {bug.bug for bug in known.bugs if bug.is_hidden} if this.since is not None else set()
    told |= {step.bug for step in steps if step.task is Task.READ}
    for step in steps:
        if step.task is Task.KEEP and step.bug not in told:
            this.failed(step.bug, step.reason)


async def _hide(this: Round, known: Known, seen: Seen) -> None:
    """A bug that Bugzilla no longer shows even to us is shown to nobody who might not see it there."""
    hidden = tuple(bug.bug for bug in known.bugs if bug.bug in seen.unknown and not bug.is_hidden)
    if hidden:
        await this.doors.backend.put_bugs(BugsReport(round=this.uid, bugs=(), hidden=hidden))


async def _fulfil(this: Round, wishes: Sequence[Wish], made: Mapping[str, str | None]) -> None:
    """Tell the pages that what they asked for was done; the result itself was reported with its bug.

    made: what was made for a page alone, by wish, with the reason where it could not be.
    """
    failed = {trouble.bug: trouble.reason for trouble in this.errors}
    for wish in wishes:
        bug = bug_of(wish)
        if wish.kind in KINDS:
            if wish.uid in made:
                await this.doors.backend.wish_done(wish.uid, {"error": made[wish.uid]})
        elif this.only in (None, bug):
            await this.doors.backend.wish_done(wish.uid, {"error": failed.get(bug)})


def _report(this: Round, result: RoundResult) -> RoundReport:
    return RoundReport(
        uid=this.uid,
        kind=this.kind,
        holder=this.doors.holder,
        started=this.started,
        finished=this.doors.now(),
        lease=LEASE,
        counts={
            "bugs": result.bugs,
            "requests": result.requests,
            "trials": result.trials,
            "skipped_unchanged": result.skipped_unchanged,
            "trains_read": result.trains_read,
            "http_calls": result.http_calls,
            "seconds": result.seconds,
        },
        errors=tuple({"bug": trouble.bug, "reason": trouble.reason} for trouble in this.errors),
    )
