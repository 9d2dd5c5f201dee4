# SPDX-License-Identifier: MPL-2.0
"""What is still to come for a train: its deadlines, and the next build that an approval can reach."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shipit.trains.schedule import AURORA, BETA, ESR, LADDER, NIGHTLY, RELEASE
from shipit.trains.types import Moment, Schedule, Stage

BETA_BUILD = "beta_"


def upcoming(moments: Iterable[Moment], now: datetime) -> tuple[Moment, ...]:
    """What has not surely passed, ascending; of a whole day that is so until its end."""
    return tuple(sorted((m for m in moments if not m.has_passed(now)), key=lambda m: (m.at, m.name)))


def deadlines_of(
    channel: str, major: int, nightly: int | None, schedule: Schedule, now: datetime
) -> tuple[Moment, ...]:
    """The moments of that train which are still to come. nightly: the version nightly carries, if known.

    The trains of the ladder also get the merge day on which all of them move; an ESR the releases it joins.
    """
    cycle = schedule.cycle(major)
    own = list(cycle.moments) if cycle is not None else []
    if channel == ESR:
        return upcoming(own + _joined_releases(schedule), now)
    following = schedule.cycle(nightly)
    merge = following.moment("merge_day") if following is not None and channel in LADDER else None
    if merge is not None and merge not in own:
        own.append(merge)
    if channel in (NIGHTLY, AURORA) and merge is not None:
        own = [m for m in own if m.at <= merge.at and not m.name.startswith(BETA_BUILD)]
    return upcoming(own, now)


def next_build_of(channel: str, stage: Stage, deadlines: Iterable[Moment]) -> Moment | None:
    """The first deadline that is a build of this train; None where the schedule names none.

    In RC week beta has none any more: what its version still needs goes to release.
    """
    for moment in deadlines:
        name = moment.name
        is_dot = "dot_release" in name
        if channel == BETA and stage is not Stage.RC_WEEK and name.startswith(BETA_BUILD):
            return moment
        if channel == RELEASE and (
            is_dot if stage is Stage.DOT_RELEASES else name in ("rc_gtb", "rc", "release")
        ):
            return moment
        if channel == ESR and (is_dot or name == "release"):
            return moment
    return None


def _joined_releases(schedule: Schedule) -> list[Moment]:
    """An ESR is released on the days of the schedule's releases, as long as it has no calendar of its own."""
    return [moment for cycle in schedule.cycles for moment in cycle.moments if moment.name == "release"]
