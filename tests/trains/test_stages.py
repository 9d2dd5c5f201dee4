# SPDX-License-Identifier: MPL-2.0
"""The stages of a cycle, and that the drawn map is the map."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from shipit.trains import stages
from shipit.trains.stages import CHANGES, may_become, stage_of
from shipit.trains.types import Cycle, Listing, Moment, Schedule, Stage

NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)


def at(name: str, day: int, hour: int | None = 13) -> Moment:
    return Moment(name, datetime(2026, 10, day, hour or 0, tzinfo=UTC), hour is None)


def beta_stage(*moments: Moment, has_builds_left: bool | None = None, now: datetime = NOW) -> Stage:
    listing = Listing(channel="beta", version="11.0b2", major=11, has_builds_left=has_builds_left)
    cycle = Cycle(major=11, version="11.0", moments=moments)
    schedule = Schedule(source="file", read_at=now, listings=(listing,), cycles=(cycle,) if moments else ())
    return stage_of("beta", 11, schedule, listing, now)


def test_the_drawn_map_and_the_table_agree() -> None:
    drawn = {
        Stage(found[1]): frozenset(Stage(name) for name in found[2].split(", "))
        for found in re.finditer(r"^ {4}([a-z-]+) +-> ([a-z, -]+)$", stages.__doc__ or "", re.MULTILINE)
    }
    assert drawn == CHANGES
    assert set(CHANGES) == set(Stage) - {Stage.UNKNOWN}


def test_unknown_is_always_possible_and_esr_never_becomes_beta() -> None:
    assert all(may_become(stage, Stage.UNKNOWN) and may_become(Stage.UNKNOWN, stage) for stage in Stage)
    assert not may_become(Stage.ESR, Stage.EARLY_BETA)
    assert not may_become(Stage.DOT_RELEASES, Stage.ENDED)


def test_half_of_the_betas_that_exist_part_early_from_late() -> None:
    builds = [at(f"beta_{number}", 12 + 2 * number) for number in range(1, 8)]
    assert beta_stage(*builds) is Stage.EARLY_BETA
    assert beta_stage(*builds, now=datetime(2026, 10, 20, 13, tzinfo=UTC)) is Stage.LATE_BETA
    assert beta_stage(*builds[:6]) is Stage.LATE_BETA, "with fewer betas late begins sooner"


def test_an_explicit_end_of_early_beta_decides() -> None:
    builds = [at(f"beta_{number}", 12 + number) for number in range(1, 8)]
    assert beta_stage(*builds, at("early_beta_end", 25)) is Stage.EARLY_BETA
    assert beta_stage(*builds, at("early_beta_end", 20, 11)) is Stage.LATE_BETA


@pytest.mark.parametrize("name", ["rc_gtb", "rc"])
def test_rc_week_begins_with_the_release_candidate(name: str) -> None:
    assert beta_stage(at("beta_1", 1), at(name, 20, 12)) is Stage.RC_WEEK
    assert beta_stage(at("beta_1", 1), at(name, 20, 13)) is Stage.LATE_BETA
    assert beta_stage(at("beta_1", 1), at(name, 20, None)) is Stage.LATE_BETA, (
        "the hour of a day is not known"
    )


def test_no_betas_left_is_rc_week_whatever_the_calendar_says_L10() -> None:
    assert beta_stage(at("beta_1", 25), has_builds_left=False) is Stage.RC_WEEK
    assert beta_stage(has_builds_left=False) is Stage.RC_WEEK


def test_with_days_alone_the_middle_day_parts_early_from_late() -> None:
    days = (at("merge_day", 12, None), at("release", 30, None))
    assert beta_stage(*days) is Stage.EARLY_BETA
    assert beta_stage(*days, now=datetime(2026, 10, 21, tzinfo=UTC)) is Stage.LATE_BETA


def test_without_any_date_the_stage_of_beta_is_unknown() -> None:
    assert beta_stage() is Stage.UNKNOWN
    assert beta_stage(at("merge_day", 12, None)) is Stage.UNKNOWN


def test_release_is_in_rc_week_until_its_version_is_out() -> None:
    listing = Listing(channel="release", version="10.0.1", major=10)
    schedule = Schedule(source="file", read_at=NOW, listings=(listing,))
    assert stage_of("release", 11, schedule, listing, NOW) is Stage.RC_WEEK
    assert stage_of("release", 10, schedule, listing, NOW) is Stage.DOT_RELEASES
    assert stage_of("something", 10, schedule, listing, NOW) is Stage.UNKNOWN
