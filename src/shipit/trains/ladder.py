# SPDX-License-Identifier: MPL-2.0
"""Which version each channel carries, though providers publish channels one after another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from shipit.trains.schedule import AURORA, BETA, LADDER, NIGHTLY, RELEASE
from shipit.trains.stages import is_rc_week
from shipit.trains.types import Listing, Schedule


class Ladder(msgspec.Struct, frozen=True):
    """The major each ladder channel carries. is_whole: they belong together, so each could be checked."""

    majors: dict[str, int]
    is_whole: bool


def ladder_of(schedule: Schedule, now: datetime) -> Ladder:
    """What each channel carries, corrected where one lags behind merge day.

    Each channel carries one version less than the one before it and all move together, so the channel that
    has moved furthest tells where all are: providers publish nightly, beta and release hours to days apart.
    Beta's release candidate is on release already, while beta waits for merge day.
    """
    listed = _listed(schedule)
    majors = {channel: listing.major for channel, listing in listed.items()}
    if not hangs_together(majors):
        return Ladder(majors, False)
    first = max(major + rank for rank, major in enumerate(majors.values()))
    majors = {channel: first - rank for rank, channel in enumerate(majors)}
    beta = majors.get(BETA)
    if beta is not None and RELEASE in majors and is_rc_week(beta, schedule, listed[BETA], now):
        majors[RELEASE] = beta
    return Ladder(majors, True)


def hangs_together(majors: Mapping[str, int]) -> bool:
    """Whether these majors, by channel in ladder order, are at most one merge day apart."""
    if len(majors) < 2:
        return False
    firsts = [major + rank for rank, major in enumerate(majors.values())]
    return max(firsts) - min(firsts) <= 1


def _listed(schedule: Schedule) -> dict[str, Listing]:
    named = {listing.channel: listing for listing in schedule.listings}
    listed = {channel: named[channel] for channel in LADDER if channel in named}
    if _is_given_up(listed):
        del listed[AURORA]
    return listed


def _is_given_up(listed: Mapping[str, Listing]) -> bool:
    """Whether Aurora is still named though nightly hands its versions to beta directly."""
    if not {NIGHTLY, AURORA, BETA} <= listed.keys():
        return False
    nightly, aurora, beta = (listed[channel].major for channel in (NIGHTLY, AURORA, BETA))
    return aurora <= beta == nightly - 1
