# SPDX-License-Identifier: MPL-2.0
"""Landing plans of trains, kept fresh: made again only when heads, patches or decisions changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from shipit.bot.doors import Doors
from shipit.bot.outlook import Outlook
from shipit.bot.patches import to_try
from shipit.errors import CommandFailed, InvalidInput
from shipit.merge.history import Entry
from shipit.merge.landing_order import Memory, Plan, Uplift, plan
from shipit.merge.left_behind import carried, left_behind
from shipit.merge.types import SeriesResult
from shipit.trains.types import Train
from shipit.uplift.plans import (
    Behind,
    LeftOut,
    PlannedUplift,
    PlansReport,
    Scope,
    TrainPlan,
    Waiting,
    Warned,
    names_of,
    plan_key,
    plan_requests,
)
from shipit.uplift.report import Known, KnownRequest
from shipit.vcs.drafts import Drafts
from shipit.vcs.ground import GitGround

NOT_HERE = "landing plans are made of git repositories only, and this one is Mercurial's"
PLAN_SECONDS = 60.0
MOST_BEHIND = 500
MOST_PAIRS = 50

log = structlog.get_logger()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that is not (or no more) what the backend keeps. tip, main: the heads it is to be made with."""

    train: Train
    scope: Scope
    sees_restricted: bool
    key: str
    tip: str
    main: str
    requests: tuple[KnownRequest, ...]

    def made(self, doors: Doors, **more: object) -> TrainPlan:
        """The plan."""
        facts: dict[str, object] = {
            "train": self.train.name,
            "scope": self.scope,
            "sees_restricted": self.sees_restricted,
            "key": self.key,
            "made_at": doors.now(),
            "tip": self.tip,
            "main": self.main,
            **more,
        }
        return TrainPlan(**facts)  # type: ignore[arg-type]


def stale_plans(known: Known, outlook: Outlook, repository: str, main: str) -> list[Wanted]:
    """The plans of a repository's trains that have to be made (again)."""
    kept = {(one.train, one.scope, one.sees_restricted): one.key for one in known.plans}
    found = []
    for train in outlook.trains:
        tip = outlook.tips.get(train.name)
        if train.repository != repository or tip is None:
            continue
        for scope in Scope:
            for sees in (False, True):
                requests = plan_requests(known.bugs, train.name, scope, sees_restricted=sees)
                key = plan_key(requests, tip=tip, main=main)
                if kept.get((train.name, scope.value, sees)) != key:
                    found.append(
                        Wanted(
                            train=train,
                            scope=scope,
                            sees_restricted=sees,
                            key=key,
                            tip=tip,
                            main=main,
                            requests=requests,
                        )
                    )
    return found


class Ground:
    """A clone with what plans remember of it: merges that were done, and what each train carries."""

    def __init__(self, clone: GitGround) -> None:
        self.clone = clone
        self.memory = Memory(clone)
        self._carried: dict[tuple[int, int], tuple[set[int], set[int]]] = {}

    def carried(self, tip: Entry, main: Entry) -> tuple[set[int], set[int]]:
        """See `shipit.merge.left_behind.carried`."""
        pair = (tip.position, main.position)
        if pair not in self._carried:
            if len(self._carried) >= MOST_PAIRS:
                self._carried.clear()
            self._carried[pair] = carried(self.clone.history, *pair)
        return self._carried[pair]


async def plan_in(doors: Doors, ground: Ground, wanted: Sequence[Wanted], *, until: float) -> int:
    """Make plans and tell the backend of each train's, until the loop's clock says so; how many were made."""
    made = 0
    for train in dict.fromkeys(one.train.name for one in wanted):
        if asyncio.get_running_loop().time() >= until:
            break
        plans: list[TrainPlan] = []
        # with and without restricted bugs, and of both scopes, they are often of the same requests
        same: dict[tuple[str, ...], TrainPlan] = {}
        for one in (each for each in wanted if each.train.name == train):
            uids = tuple(each.request.uid for each in one.requests)
            if uids not in same:
                found = await _plan(doors, ground, one)
                if found is None:
                    continue
                same[uids] = found
            plans.append(
                msgspec.structs.replace(
                    same[uids], scope=one.scope, sees_restricted=one.sees_restricted, key=one.key
                )
            )
        if plans:
            await doors.backend.put_plans(train, PlansReport(plans=tuple(plans)))
        made += len(plans)
    return made


async def tell_none(doors: Doors, wanted: Sequence[Wanted], reason: str) -> None:
    """Tell the backend that no plan can be made, and why."""
    for train in dict.fromkeys(one.train.name for one in wanted):
        mine = tuple(one.made(doors, reason=reason) for one in wanted if one.train.name == train)
        await doors.backend.put_plans(train, PlansReport(plans=mine))


async def _plan(doors: Doors, ground: Ground, wanted: Wanted) -> TrainPlan | None:
    """One plan; None when it may go better the next time."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(PLAN_SECONDS):
            found = await _made(doors, ground, wanted)
    except TimeoutError:
        return wanted.made(doors, reason=f"planning was given up after {PLAN_SECONDS:g} s")
    except CommandFailed as error:
        log.warning("plan.failed", train=wanted.train.name, reason=error.detail)
        return None
    return msgspec.structs.replace(found, took_ms=(time.perf_counter() - started) * 1000)


async def _made(doors: Doors, ground: Ground, wanted: Wanted) -> TrainPlan:
    tip, main = await ground.clone.entries([wanted.tip, wanted.main])
    drafts = Drafts(ground.clone, main)
    diffs = doors.diffs
    names = names_of(wanted.requests)
    left_out: list[LeftOut] = []
    entries_of: dict[str, list[Entry]] = {}
    for one in wanted.requests:
        request = one.request
        reason = request.series_reason if not request.series else None
        series = await to_try(request.series, diffs)
        if isinstance(series, SeriesResult):
            reason = reason or next((each.reason for each in series.patches if each.reason), "no patch")
        elif reason is None:
            try:
                entries_of[request.uid] = await drafts.entries(series, tip=tip, bug=request.bug)
            except InvalidInput as error:
                reason = error.detail
        if reason is not None:
            left_out.append(LeftOut(request=request.uid, bug=request.bug, reason=reason))
    there, missing = ground.carried(tip, main)
    history = drafts.ground
    positions = {entry.position for entries in entries_of.values() for entry in entries}
    # what is on the train already, under whichever id, does not land again
    landing = history.apart(positions, [tip.position])[0] & positions - there
    uplifts = []
    for uid, entries in entries_of.items():
        if rest := tuple(entry for entry in entries if entry.position in landing):
            uplifts.append(Uplift(names[uid], rest))
    made = await plan(ground.memory, uplifts, tip)
    behind = left_behind(ground.clone.history, there | (landing & missing), missing - landing)
    return wanted.made(
        doors,
        **_worded(wanted, made, {name: uid for uid, name in names.items()}, uplifts),
        left_behind=tuple(
            Behind(
                revision=one.revision,
                bug=one.bug,
                subject=one.subject,
                of=one.of,
                of_bug=_bug_of(ground, one.of),
                why=one.why,
            )
            for one in behind[-MOST_BEHIND:]
        ),
        left_out=tuple(left_out),
        merges=made.merges,
    )


def _worded(
    wanted: Wanted, made: Plan, uids: Mapping[str, str], uplifts: Sequence[Uplift]
) -> dict[str, object]:
    """A plan by requests. uids: of the names that its uplifts have."""
    revisions = {uplift.name: tuple(entry.id for entry in uplift.entries) for uplift in uplifts}
    bugs = {one.request.uid: one.request.bug for one in wanted.requests}
    return {
        "order": tuple(
            PlannedUplift(
                request=(uid := uids[step.uplift.name]),
                bug=bugs[uid],
                revisions=revisions[step.uplift.name],
                subject=step.uplift.entries[-1].subject,
                is_empty=step.is_empty,
            )
            for step in made.steps
        ),
        "conflicts": tuple(
            Waiting(
                request=(uid := uids[one.revision]),
                bug=bugs[uid],
                revisions=revisions[one.revision],
                after=tuple(uids[name] for name in one.after),
                reason=one.reason,
                lands=one.lands,
            )
            for one in made.conflicts
        ),
        "warnings": tuple(
            Warned(requests=(uids[one.one], uids[one.other]), text=one.text) for one in made.warnings
        ),
    }


def _bug_of(ground: Ground, revision: str) -> int | None:
    entry = ground.clone.history.find(revision)
    return entry.bug if entry is not None else None
