# SPDX-License-Identifier: MPL-2.0
"""A train's cycle: what of it is over, what is to come, and the next build that an approval can reach."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time

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
    return upcoming(_moments(channel, major, nightly, schedule), now)


def passed_of(
    channel: str, major: int, nightly: int | None, schedule: Schedule, now: datetime
) -> tuple[Moment, ...]:
    """The moments of that train's cycle that are over, from its beginning on; none where that is not told.

    A cycle begins with the merge day on which all trains moved; release's with the release candidate that it
    took over; an ESR's with the release that it joined last.
    """
    begun = _beginning(channel, major, nightly, schedule, now)
    if begun is None:
        return ()
    over = {m for m in _moments(channel, major, nightly, schedule) if m.has_passed(now) and m.at >= begun.at}
    return tuple(sorted({begun} | over, key=lambda m: (m.at, m != begun, m.name)))


def _moments(channel: str, major: int, nightly: int | None, schedule: Schedule) -> list[Moment]:
    cycle = schedule.cycle(major)
    own = list(cycle.moments) if cycle is not None else []
    if channel == ESR:
        return own + _joined_releases(schedule)
    following = schedule.cycle(nightly)
    merge = following.moment("merge_day") if following is not None and channel in LADDER else None
    if merge is not None and merge not in own:
        own.append(merge)
    if channel in (NIGHTLY, AURORA) and merge is not None:
        own = [m for m in own if m.at <= merge.at and not m.name.startswith(BETA_BUILD)]
    return own


def _beginning(
    channel: str, major: int, nightly: int | None, schedule: Schedule, now: datetime
) -> Moment | None:
    """When that train's cycle began; of a whole day from its first second on, as nobody says the hour."""
    cycle = schedule.cycle(major)
    found: list[Moment | None] = []
    if channel == ESR:
        found = [Moment("release", at, at.time() == time()) for at in schedule.releases()]
    elif channel == RELEASE and cycle is not None:
        found = [cycle.moment("rc_gtb") or cycle.moment("rc")]
    if channel in LADDER and nightly is not None and not any(found):
        named = ((nightly - 1, "merge_day"), (nightly, "nightly_start"))
        found = [one.moment(name) for number, name in named if (one := schedule.cycle(number)) is not None]
    return max((m for m in found if m is not None and m.at <= now), key=lambda m: m.at, default=None)


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
