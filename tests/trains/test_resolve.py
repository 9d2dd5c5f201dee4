# SPDX-License-Identifier: MPL-2.0
"""The trains that exist now: rules filled, overrides, failures, and what cannot be believed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shipit.errors import InvalidInput, Unavailable
from shipit.settings import TrainRule
from shipit.trains.resolve import keep_last, trains_at
from shipit.trains.schedule import from_file
from shipit.trains.spelling import problems_of
from shipit.trains.types import Failure, Schedule, Stage, Train

NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=6)
DOWN = Failure(source="product-details", at=NOW, reason="did not answer in 30 s")

MakeRule = Callable[..., TrainRule]
Rules = tuple[TrainRule, ...]


def said(
    *, calendar: object = None, owners: object = None, at: datetime = NOW, **versions: object
) -> Schedule:
    named = {
        "nightly": "12.0a1",
        "beta": "11.0b4",
        "release": "10.0.2",
        "esr": ["8.3.0", "10.0.0"],
        **versions,
    }
    content = {"versions": {channel: version for channel, version in named.items() if version}}
    return from_file(
        {**content, "calendar": calendar or {}, "owners": owners or {}}, source="file", read_at=at
    )


CALENDAR = {
    "10.0": {"release": "2026-10-13 14:00:00+00:00", "planned_dot_release": "2026-10-27"},
    "11.0": {
        "merge_day": "2026-10-12",
        "beta_1": "2026-10-12",
        "beta_4": "2026-10-19 13:00:00+00:00",
        "beta_5": "2026-10-21 13:00:00+00:00",
        "beta_6": "2026-10-23 13:00:00+00:00",
        "beta_7": "2026-10-25 13:00:00+00:00",
        "rc_gtb": "2026-11-02 21:00:00+00:00",
        "release": "2026-11-10 14:00:00+00:00",
    },
    "12.0": {
        "soft_code_freeze": "2026-11-05 08:00:00+00:00",
        "merge_day": "2026-11-09",
        "beta_1": "2026-11-09",
        "release": "2026-12-08 14:00:00+00:00",
    },
}


def by_name(trains: tuple[Train, ...]) -> dict[str, Train]:
    return {train.name: train for train in trains}


def test_one_train_per_rule_and_one_per_esr_with_every_placeholder_filled(rules: Rules) -> None:
    trains = trains_at(rules, said(), NOW)
    assert [(t.name, t.version, t.major, t.branch, t.approval_flag, t.status_flag) for t in trains] == [
        ("nightly", "12.0a1", 12, "nightly", "approval-mozilla-nightly", "cf_status_firefox12"),
        ("beta", "11.0b4", 11, "beta", "approval-mozilla-beta", "cf_status_firefox11"),
        ("release", "10.0.2", 10, "release", "approval-mozilla-release", "cf_status_firefox10"),
        ("esr8", "8.3.0", 8, "esr8", "approval-mozilla-esr8", "cf_status_firefox_esr8"),
        ("esr10", "10.0.0", 10, "esr10", "approval-mozilla-esr10", "cf_status_firefox_esr10"),
    ]
    assert all((t.source, t.read_at, t.unavailable_since) == ("file", NOW, None) for t in trains)


def test_stage_next_build_deadlines_and_owner_come_from_the_schedule(rules: Rules) -> None:
    trains = by_name(trains_at(rules, said(calendar=CALENDAR, owners={"11": "Rosa Marsh"}), NOW))
    beta = trains["beta"]
    assert beta.stage is Stage.EARLY_BETA and beta.owner == "Rosa Marsh"
    assert beta.next_build is not None and beta.next_build.name == "beta_5"
    names = [moment.name for moment in beta.deadlines]
    assert names == ["beta_5", "beta_6", "beta_7", "rc_gtb", "merge_day", "release"]
    assert [moment.name for moment in trains["nightly"].deadlines] == ["soft_code_freeze", "merge_day"]
    release = trains["release"]
    assert release.next_build is not None and release.next_build.name == "planned_dot_release"
    esr = trains["esr8"]
    assert esr.next_build is not None and esr.next_build.at == datetime(2026, 11, 10, 14, tzinfo=UTC)


def test_what_of_a_cycle_is_over_begins_with_its_merge_day(rules: Rules) -> None:
    trains = by_name(trains_at(rules, said(calendar=CALENDAR), NOW))
    names = {name: [moment.name for moment in train.passed] for name, train in trains.items()}
    assert names["beta"] == ["merge_day", "beta_1", "beta_4"]
    assert names["nightly"] == ["merge_day"]
    beta = trains["beta"]
    assert all(moment.at <= NOW for moment in beta.passed) and not set(beta.passed) & set(beta.deadlines)
    later = NOW + timedelta(days=3)
    assert beta.next_build is not None and beta.next_build.at < later
    failed = Failure(source="file", at=later, reason="it cannot be read")
    kept = by_name(trains_at(rules, failed, later, known=trains.values()))["beta"]
    assert [moment.name for moment in kept.passed] == [*names["beta"], "beta_5"], "it ages without a schedule"
    untold = by_name(trains_at(rules, said(), NOW))["beta"]
    assert untold.passed == ()


def test_in_rc_week_release_carries_betas_version_and_beta_has_no_build_left_L10(rules: Rules) -> None:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    trains = by_name(trains_at(rules, said(calendar=CALENDAR, at=now), now))
    beta, release = trains["beta"], trains["release"]
    assert (beta.stage, beta.major, beta.next_build) == (Stage.RC_WEEK, 11, None)
    assert (release.stage, release.major, release.version) == (Stage.RC_WEEK, 11, "11.0")
    assert release.status_flag == "cf_status_firefox11"
    assert release.next_build is not None and release.next_build.name == "release"
    assert beta.note == "no beta of 11 is left; what it still needs goes to release"
    assert release.note == "10.0.2 is out; this train carries the release candidate of 11"


def test_betas_of_the_calendar_are_no_next_build_once_the_schedule_says_none_is_left_L10(
    rules: Rules,
) -> None:
    facts = said(calendar=CALENDAR)
    last = [
        msgspec.structs.replace(listing, has_builds_left=False if listing.channel == "beta" else None)
        for listing in facts.listings
    ]
    beta = by_name(trains_at(rules, msgspec.structs.replace(facts, listings=tuple(last)), NOW))["beta"]
    assert (beta.stage, beta.next_build) == (Stage.RC_WEEK, None)
    assert beta.deadlines[0].name == "beta_5"


def test_a_release_candidate_put_off_does_not_take_the_version_back(rules: Rules) -> None:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    known = trains_at(rules, said(calendar=CALENDAR, at=now), now)
    put_off = {**CALENDAR, "11.0": {**CALENDAR["11.0"], "rc_gtb": "2026-11-05 21:00:00+00:00"}}
    trains = by_name(trains_at(rules, said(calendar=put_off, at=now), now, known=known))
    assert (trains["release"].major, trains["release"].unavailable_since) == (11, None)
    assert trains["beta"].stage is Stage.LATE_BETA


@pytest.mark.parametrize(
    ("nightly", "beta", "release", "expected"),
    [
        ("12.0a1", "10.0b9", "9.0.1", [12, 11, 10]),
        ("11.0a1", "11.0b1", "10.0", [12, 11, 10]),
        ("11.0a1", "10.0b9", "10.0", [12, 11, 10]),
        ("12.0a1", "11.0b1", "9.0.1", [12, 11, 10]),
    ],
)
def test_the_channel_that_moved_furthest_corrects_those_that_lag_L15(
    rules: Rules, nightly: str, beta: str, release: str, expected: list[int]
) -> None:
    trains = trains_at(rules, said(nightly=nightly, beta=beta, release=release), NOW)
    assert [train.major for train in trains[:3]] == expected
    for train, spelled in zip(trains, (nightly, beta, release), strict=False):
        is_as_said = spelled.startswith(f"{train.major}.")
        assert train.version == (spelled if is_as_said else None)
        assert (train.note is None) == is_as_said


def test_aurora_is_a_step_of_the_ladder_where_it_exists(rules: Rules, rule: MakeRule) -> None:
    rules = (*rules[:1], rule("aurora"), *rules[1:])
    facts = said(nightly="13.0a1", aurora="12.0a2", beta="11.0b1", release="10.0")
    trains = trains_at(rules, facts, NOW)
    assert [(t.name, t.major, t.stage) for t in trains[:2]] == [
        ("nightly", 13, Stage.NIGHTLY),
        ("aurora", 12, Stage.AURORA),
    ]
    lagging = trains_at(rules, said(nightly="14.0a1", aurora="12.0a2", beta="12.0b1", release="10.0"), NOW)
    assert [train.major for train in lagging[:4]] == [14, 13, 12, 11]


def test_a_given_up_aurora_ends_after_the_grace_and_beta_goes_on(rules: Rules, rule: MakeRule) -> None:
    rules = (*rules[:1], rule("aurora"), *rules[1:])
    known = trains_at(rules, said(nightly="13.0a1", aurora="12.0a2", beta="11.0b1", release="10.0"), NOW)
    stale = {"nightly": "13.0a1", "aurora": "12.0a2", "beta": "12.0b1", "release": "11.0"}
    first = trains_at(rules, said(**stale), NOW + timedelta(days=40), known=known)
    assert by_name(first)["aurora"].stage is Stage.AURORA
    later = trains_at(rules, said(**stale), NOW + timedelta(days=43), known=first)
    assert by_name(later)["aurora"].stage is Stage.ENDED
    assert [by_name(later)[name].major for name in ("nightly", "beta", "release")] == [13, 12, 11]


@pytest.mark.parametrize("esr", [None, "8.3.0", ["8.3.0", "10.0.0"], ["5.9.0", "7.1.0", "8.3.0", "10.0.0"]])
def test_any_number_of_esrs(rules: Rules, esr: object) -> None:
    trains = trains_at(rules, said(esr=esr), NOW)
    count = 0 if esr is None else 1 if isinstance(esr, str) else len(esr)  # type: ignore[arg-type]
    assert len(trains) == 3 + count


def test_a_rule_for_one_esr_takes_that_one_and_the_family_the_others(rules: Rules, rule: MakeRule) -> None:
    rules = (*rules, rule("esr8", branch="old-esr"))
    trains = trains_at(rules, said(), NOW)
    assert [(t.name, t.branch) for t in trains[3:]] == [("esr10", "esr10"), ("esr8", "old-esr")]
    kept = keep_last(rules, trains, DOWN, LATER)
    assert [train.name for train in kept] == [train.name for train in trains]


def test_a_channel_named_in_the_rule_wins_over_the_trains_name(rule: MakeRule) -> None:
    trains = trains_at(
        (rule("comm-beta", channel="beta"), rule("comm-esr{major}", channel="esr")), said(), NOW
    )
    assert [(t.name, t.channel, t.major) for t in trains] == [
        ("comm-beta", "beta", 11),
        ("comm-esr8", "esr", 8),
        ("comm-esr10", "esr", 10),
    ]


def test_an_esr_missing_for_less_than_the_grace_has_not_ended(rules: Rules) -> None:
    known = trains_at(rules, said(), NOW)
    for hours in (0, 10, 47):
        known = trains_at(rules, said(esr=["10.0.0"]), NOW + timedelta(hours=hours), known=known)
        esr = by_name(known)["esr8"]
        assert (esr.stage, esr.absent_since, esr.unavailable_since) == (Stage.ESR, NOW, NOW)
    back = by_name(trains_at(rules, said(), NOW + timedelta(hours=48), known=known))["esr8"]
    assert (back.stage, back.absent_since, back.unavailable_since) == (Stage.ESR, None, None)
    ended = by_name(trains_at(rules, said(esr=["10.0.0"]), NOW + timedelta(hours=48), known=known))["esr8"]
    assert (ended.stage, ended.next_build, ended.deadlines) == (Stage.ENDED, None, ())
    assert ended.note == "file has not named it since 2026-10-20"


def test_a_long_outage_before_it_is_dropped_does_not_shorten_the_grace(rules: Rules) -> None:
    known = keep_last(rules, trains_at(rules, said(), NOW), DOWN, NOW)
    after = trains_at(rules, said(esr=["10.0.0"]), NOW + timedelta(days=9), known=known)
    assert by_name(after)["esr8"].stage is Stage.ESR


def test_the_newest_esr_never_ends_for_want_of_a_successor(rules: Rules) -> None:
    known = trains_at(rules, said(), NOW)
    for days in range(10):
        known = trains_at(rules, said(esr=None), NOW + timedelta(days=days), known=known)
    assert [(t.name, t.stage) for t in known[3:]] == [("esr8", Stage.ESR), ("esr10", Stage.ESR)]
    assert all(train.unavailable_since == NOW for train in known[3:])


def test_an_esr_whose_part_could_not_be_read_has_not_ended(rules: Rules) -> None:
    known = trains_at(rules, said(), NOW)
    for days in range(10):
        facts = msgspec.structs.replace(said(esr=["10.0.0"]), failed={"esr": "answered 500"})
        known = trains_at(rules, facts, NOW + timedelta(days=days), known=known)
    assert by_name(known)["esr8"].stage is Stage.ESR


def test_an_ended_train_is_named_a_month_long_and_comes_back_when_the_schedule_names_it(rules: Rules) -> None:
    known = trains_at(rules, said(), NOW)
    for days in (0, 3, 20):
        known = trains_at(rules, said(esr=["10.0.0"]), NOW + timedelta(days=days), known=known)
    assert by_name(known)["esr8"].stage is Stage.ENDED
    assert by_name(trains_at(rules, said(), NOW + timedelta(days=21), known=known))["esr8"].stage is Stage.ESR
    assert "esr8" not in by_name(
        trains_at(rules, said(esr=["10.0.0"]), NOW + timedelta(days=31), known=known)
    )


def test_a_failing_provider_leaves_the_last_answer_with_its_age_never_an_empty_list(rules: Rules) -> None:
    known = trains_at(rules, said(calendar=CALENDAR), NOW)
    first = trains_at(rules, DOWN, LATER, known=known)
    second = trains_at(rules, DOWN, LATER + timedelta(days=1, hours=2), known=first)
    for old, new in zip(known, second, strict=True):
        assert new.unavailable_since == LATER
        assert new.note == "did not answer in 30 s"
        assert (new.major, new.version, new.stage, new.read_at) == (old.major, old.version, old.stage, NOW)
    beta = by_name(second)["beta"]
    assert beta.next_build is None, "beta_5 has passed meanwhile"
    assert beta.deadlines[0].name == "beta_6"
    back = trains_at(rules, said(calendar=CALENDAR), LATER, known=second)
    assert all(train.unavailable_since is None and train.note is None for train in back)


def test_a_first_failure_with_nothing_known_lists_the_rules_as_unknown(rules: Rules) -> None:
    trains = trains_at(rules, DOWN, NOW)
    assert [(t.name, t.stage, t.major, t.unavailable_since) for t in trains] == [
        ("nightly", Stage.UNKNOWN, None, NOW),
        ("beta", Stage.UNKNOWN, None, NOW),
        ("release", Stage.UNKNOWN, None, NOW),
    ]
    assert trains[1].status_flag is None, "a flag that needs the version is not invented"
    assert trains[1].approval_flag == "approval-mozilla-beta"


def test_nothing_to_list_at_all_is_said_aloud(rule: MakeRule) -> None:
    with pytest.raises(Unavailable, match="did not answer in 30 s"):
        trains_at((rule("esr{major}"),), DOWN, NOW)
    with pytest.raises(Unavailable):
        trains_at((rule("esr{major}"),), said(esr=None), NOW)


def test_going_backwards_counts_as_failing_and_says_how(rules: Rules) -> None:
    known = trains_at(rules, said(), NOW)
    back = trains_at(rules, said(nightly="11.0a1", beta="10.0b9", release="9.0"), LATER, known=known)
    assert [train.major for train in back[:3]] == [12, 11, 10]
    assert all(train.unavailable_since == LATER for train in back)
    assert back[0].note == "file says nightly went back from 12 to 11"


def test_release_may_not_stay_ahead_of_beta(rules: Rules) -> None:
    ahead = [msgspec.structs.replace(train, major=12) for train in trains_at(rules, said(), NOW)[2:3]]
    trains = trains_at(rules, said(), LATER, known=ahead)
    assert trains[0].note == "file says release went back from 12 to 10"


def test_versions_that_do_not_belong_together_count_as_failing(rules: Rules) -> None:
    known = trains_at(rules, said(), NOW)
    odd = trains_at(rules, said(nightly="120.0a1"), LATER, known=known)
    assert [train.major for train in odd[:3]] == [12, 11, 10]
    assert odd[0].note == "file names versions that do not belong together: nightly 120, beta 11, release 10"


@pytest.mark.parametrize("channel", ["nightly", "beta", "release"])
def test_a_missing_channel_counts_as_failing(rules: Rules, channel: str) -> None:
    trains = trains_at(rules, said(**{channel: None}), NOW)
    assert {train.note for train in trains} == {f"file names no version for {channel}"}


def test_channels_far_apart_are_taken_as_said_by_who_never_knew_better(rules: Rules) -> None:
    """Thunderbird's release was an ESR, many versions behind its beta."""
    trains = trains_at(rules, said(nightly="90.0a1", beta="89.0b4", release="78.10.2"), NOW)
    assert [train.major for train in trains[:3]] == [90, 89, 78]
    again = trains_at(rules, said(nightly="91.0a1", beta="90.0b1", release="78.11.0"), LATER, known=trains)
    assert [train.major for train in again[:3]] == [91, 90, 78]


def test_a_version_set_by_hand_wins_and_is_the_way_out_of_a_wrong_answer(
    rules: Rules, rule: MakeRule
) -> None:
    by_hand = (*rules[:1], rule("beta", version="11.0b7"), *rules[2:])
    beta = by_name(trains_at(by_hand, said(beta="10.0b9"), NOW))["beta"]
    assert (beta.version, beta.major, beta.source, beta.note) == (
        "11.0b7",
        11,
        "settings",
        "version set by hand",
    )
    known = trains_at(rules, said(nightly="13.0a1", beta="12.0b1", release="11.0"), NOW)
    assert trains_at(rules, said(), LATER, known=known)[0].unavailable_since == LATER
    every = tuple(
        rule(n, version=v) for n, v in (("nightly", "12.0a1"), ("beta", "11.0b4"), ("release", "10.0"))
    )
    assert [train.major for train in trains_at(every, said(), LATER, known=known)] == [12, 11, 10]


def test_versions_set_by_hand_work_without_any_provider(rule: MakeRule) -> None:
    rules = (rule("beta", version="11.0b7"), rule("esr{major}", version="10.2.0"))
    trains = trains_at(rules, DOWN, NOW)
    assert [(t.name, t.version, t.major, t.branch) for t in trains] == [
        ("beta", "11.0b7", 11, "beta"),
        ("esr10", "10.2.0", 10, "esr10"),
    ]
    known = trains_at((rule("beta"), *rules[1:]), said(), NOW)
    assert trains_at(rules, DOWN, NOW, known=known)[0].version == "11.0b7"


def test_owner_and_next_build_set_by_hand_win_until_the_build_has_passed(
    rules: Rules, rule: MakeRule
) -> None:
    given = {"owner": "Omar Bell", "next_build": "chemspill", "next_build_at": "2026-10-20T18:00:00Z"}
    mine = (*rules[:1], rule("beta", **given), *rules[2:])
    facts = said(calendar=CALENDAR, owners={"11": "Rosa Marsh"})
    beta = by_name(trains_at(mine, facts, NOW))["beta"]
    assert beta.owner == "Omar Bell"
    assert beta.next_build is not None and beta.next_build.name == "chemspill"
    later = by_name(trains_at(mine, facts, LATER))["beta"]
    assert later.next_build is not None and later.next_build.name == "beta_5"
    down = by_name(trains_at(mine, DOWN, NOW))["beta"]
    assert down.next_build == beta.next_build and down.owner == "Omar Bell"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"version": "soon"}, "trains.beta.version"),
        ({"next_build": "beta_9"}, "trains.beta.next_build_at"),
        ({"next_build": "beta_9", "next_build_at": "tomorrow"}, "trains.beta.next_build_at"),
    ],
)
def test_a_rule_that_cannot_be_read_names_its_field(
    rule: MakeRule, given: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        trains_at((rule("beta", **given),), said(), NOW)
    assert caught.value.field == field


def test_a_part_that_fails_keeps_what_was_known_of_it_and_only_that(rules: Rules) -> None:
    known = trains_at(rules, said(calendar=CALENDAR, owners={"11": "Rosa Marsh"}), NOW)
    partial = msgspec.structs.replace(
        said(beta="11.0b5", at=LATER), failed={"owners": "answered 500", "calendar": "answered 500"}
    )
    beta = by_name(trains_at(rules, partial, LATER, known=known))["beta"]
    assert (beta.version, beta.owner, beta.stage, beta.unavailable_since) == (
        "11.0b5",
        "Rosa Marsh",
        Stage.EARLY_BETA,
        None,
    )
    assert beta.next_build is not None and beta.next_build.name == "beta_5"
    moved = msgspec.structs.replace(
        said(nightly="13.0a1", beta="12.0b1", release="11.0", at=LATER), failed=partial.failed
    )
    fresh = by_name(trains_at(rules, moved, LATER, known=known))["beta"]
    assert (fresh.major, fresh.owner, fresh.stage, fresh.deadlines) == (12, None, Stage.UNKNOWN, ())


def test_all_problems_of_the_rules_are_told_before_a_round(rules: Rules, rule: MakeRule) -> None:
    wrong = (
        rule("beta", version="soon"),
        rule("release", next_build="chemspill"),
        rule("esr{major}", version=""),
    )
    problems = problems_of((*rules, *wrong), NOW)
    assert [problem.split(":")[0] for problem in problems] == [
        "trains.beta.version",
        "trains.release.next_build_at",
    ]
    assert problems_of(rules, NOW) == ()


def test_a_branch_named_after_an_unknown_version_is_empty_not_invented(rule: MakeRule) -> None:
    assert trains_at((rule("beta", branch="releases_v{major}"),), DOWN, NOW)[0].branch == ""
    assert trains_at((rule("esr140", branch="esr{major}"),), DOWN, NOW)[0].branch == "esr140"


def test_a_time_without_zone_is_refused(rules: Rules) -> None:
    with pytest.raises(InvalidInput):
        trains_at(rules, said(), datetime(2026, 10, 20))
