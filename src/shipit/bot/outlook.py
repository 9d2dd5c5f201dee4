# SPDX-License-Identifier: MPL-2.0
"""See which trains exist and where each one's tip is; what cannot be seen stays as it was, with its age."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from shipit.bot.doors import Doors
from shipit.bot.searching import Seen
from shipit.errors import ShipitError
from shipit.trains.resolve import trains_at
from shipit.trains.types import Schedule, Stage, Train
from shipit.uplift.analysis import window_start
from shipit.uplift.report import Known, TrainReport

# How many releases back "recent" churn reaches, as libmozdata counts it.
RECENT_RELEASES = 3


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """The trains of a round with their tips.

    tips: train -> commit; a train without one is in `reasons`.
    failed: repository -> why it did not. silent: part of the schedule -> why it was not answered.
    releases: every release the schedule tells of, past and planned.
    """

    trains: tuple[Train, ...]
    tips: Mapping[str, str]
    tips_at: datetime
    reasons: Mapping[str, str] = {}
    failed: Mapping[str, str] = {}
    silent: Mapping[str, str] = {}
    releases: tuple[datetime, ...] = ()

    def recent_since(self, now: datetime) -> datetime | None:
        """When what counts as recent began; None while the schedule tells of too few releases."""
        return window_start(self.releases, before=now, count=RECENT_RELEASES)


# Trains move a few times a month; a quick look need not ask their schedule again.
SCHEDULE_LASTS = timedelta(minutes=10)


async def see(doors: Doors, known: Known, *, is_quick: bool = False) -> Outlook:
    """Read the schedule, update every clone at once, note the tips."""
    now = doors.now()
    facts = await doors.schedule.read(at_most=SCHEDULE_LASTS if is_quick else timedelta())
    last = [report.train for report in known.trains]
    trains = trains_at(doors.settings.trains, facts, now, known=last)
    branches: dict[str, list[str]] = {}
    for train in trains:
        wanted = branches.setdefault(train.repository, [])
        # an ended train's branch may be gone, and one whose version is unknown has no branch to name
        if train.branch and train.stage is not Stage.ENDED:
            wanted.append(train.branch)
    answers = await asyncio.gather(*(_update(doors, name, wanted) for name, wanted in branches.items()))
    failed = {name: answer for name, answer in zip(branches, answers, strict=True) if answer is not None}
    tips: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for repository in branches:
        await _note_tips(doors, repository, trains, failed.get(repository), tips, reasons)
    return Outlook(
        trains=trains,
        tips=tips,
        tips_at=now,
        reasons=reasons,
        failed=failed,
        silent=facts.failed if isinstance(facts, Schedule) else {facts.source: facts.reason},
        releases=facts.releases() if isinstance(facts, Schedule) else (),
    )


async def _update(doors: Doors, repository: str, branches: Sequence[str]) -> str | None:
    main = doors.settings.repository(repository).main
    try:
        await doors.clones[repository].update(tuple(dict.fromkeys([main, *branches])))
    except ShipitError as error:
        return error.detail
    return None


async def _note_tips(
    doors: Doors,
    repository: str,
    trains: Sequence[Train],
    failure: str | None,
    tips: dict[str, str],
    reasons: dict[str, str],
) -> None:
    """Tips of the trains of one repository; where the fetch failed, those of the last one that worked."""
    mine = [train for train in trains if train.repository == repository]
    try:
        found = await doors.clones[repository].tips([train.branch for train in mine])
    except ShipitError as error:
        found, failure = {}, failure or error.detail
    for train in mine:
        tip = found.get(train.branch)
        if tip is not None:
            tips[train.name] = tip
        if failure is not None:
            reasons[train.name] = failure
        elif tip is None and train.stage is not Stage.ENDED:
            named = train.branch or "of a known name for it"
            reasons[train.name] = f"{repository} has no branch {named}"


def reported(outlook: Outlook, seen: Seen, known: Known, now: datetime) -> tuple[TrainReport, ...]:
    """What the backend is told of each train: tips, and whether its requests could be read."""
    before = {report.train.name: report for report in known.trains}
    reports = []
    for train in outlook.trains:
        last = before.get(train.name)
        tip = outlook.tips.get(train.name)
        unavailable = seen.unavailable.get(train.name)
        since = (last.requests_unavailable_since if last else None) or now
        reports.append(
            TrainReport(
                train=train,
                tip=tip,
                tip_at=outlook.tips_at if tip else None,
                tip_reason=outlook.reasons.get(train.name),
                requests_read_at=(last.requests_read_at if last else None) if unavailable else now,
                requests_unavailable_since=since if unavailable else None,
                requests_unavailable_reason=unavailable,
            )
        )
    return tuple(reports)
