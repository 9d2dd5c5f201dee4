# SPDX-License-Identifier: MPL-2.0
"""Where a train is in its cycle: the rule that says so, and the map of lawful changes.

The map (a test compares it with `CHANGES`); any stage may also become `unknown`, and `unknown` anything:

    nightly      -> nightly
    aurora       -> ended
    early-beta   -> late-beta, rc-week
    late-beta    -> early-beta, rc-week
    rc-week      -> early-beta, late-beta, dot-releases
    dot-releases -> rc-week
    esr          -> ended
    ended        -> esr, aurora

`late-beta -> early-beta` is merge day as seen by a schedule that knows no RC week; `rc-week -> late-beta` a
release candidate put off; `ended -> …` a train that the schedule names again.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from shipit.trains.schedule import AURORA, BETA, ESR, NIGHTLY, RELEASE
from shipit.trains.types import Cycle, Listing, Schedule, Stage

CHANGES: dict[Stage, frozenset[Stage]] = {
    Stage.NIGHTLY: frozenset({Stage.NIGHTLY}),
    Stage.AURORA: frozenset({Stage.ENDED}),
    Stage.EARLY_BETA: frozenset({Stage.LATE_BETA, Stage.RC_WEEK}),
    Stage.LATE_BETA: frozenset({Stage.EARLY_BETA, Stage.RC_WEEK}),
    Stage.RC_WEEK: frozenset({Stage.EARLY_BETA, Stage.LATE_BETA, Stage.DOT_RELEASES}),
    Stage.DOT_RELEASES: frozenset({Stage.RC_WEEK}),
    Stage.ESR: frozenset({Stage.ENDED}),
    Stage.ENDED: frozenset({Stage.ESR, Stage.AURORA}),
}

_BETA_BUILD = re.compile(r"beta_\d+")


def may_become(before: Stage, after: Stage) -> bool:
    """Whether the map allows this change between two readings."""
    return before is after or Stage.UNKNOWN in (before, after) or after in CHANGES[before]


def stage_of(channel: str, major: int, schedule: Schedule, listing: Listing | None, now: datetime) -> Stage:
    """The stage of that channel's train carrying `major`; `listing` is what the schedule names for it."""
    if channel == BETA:
        return _beta_stage(major, schedule, listing, now)
    if channel == RELEASE:
        is_out = listing is not None and listing.major >= major
        return Stage.DOT_RELEASES if is_out else Stage.RC_WEEK
    return {NIGHTLY: Stage.NIGHTLY, AURORA: Stage.AURORA, ESR: Stage.ESR}.get(channel, Stage.UNKNOWN)


def is_rc_week(major: int, schedule: Schedule, listing: Listing | None, now: datetime) -> bool:
    """Whether beta's `major` has no beta build left, so that release carries its release candidate."""
    cycle = schedule.cycle(major)
    candidate = (cycle.moment("rc_gtb") or cycle.moment("rc")) if cycle is not None else None
    if candidate is not None and candidate.has_passed(now):
        return True
    return listing is not None and listing.major == major and listing.has_builds_left is False


def _beta_stage(major: int, schedule: Schedule, listing: Listing | None, now: datetime) -> Stage:
    if is_rc_week(major, schedule, listing, now):
        return Stage.RC_WEEK
    cycle = schedule.cycle(major)
    if cycle is None:
        return Stage.UNKNOWN
    early_end = cycle.moment("early_beta_end")
    if early_end is not None:
        return Stage.LATE_BETA if early_end.has_passed(now) else Stage.EARLY_BETA
    builds = [moment for moment in cycle.moments if _BETA_BUILD.fullmatch(moment.name)]
    if builds:
        built = sum(moment.has_passed(now) for moment in builds)
        return Stage.LATE_BETA if 2 * built >= len(builds) else Stage.EARLY_BETA
    return _stage_by_days(cycle, schedule.cycle(major + 1), now)


def _stage_by_days(cycle: Cycle, following: Cycle | None, now: datetime) -> Stage:
    """Without a calendar of builds the middle of the days between two merge days parts early from late."""
    start = cycle.moment("merge_day")
    end = following.moment("merge_day") if following is not None else None
    end = end or cycle.moment("release")
    if start is None or end is None:
        return Stage.UNKNOWN
    done, whole = (now.astimezone(UTC).date() - start.at.date()).days, (end.at.date() - start.at.date()).days
    return Stage.LATE_BETA if 2 * done >= whole else Stage.EARLY_BETA
