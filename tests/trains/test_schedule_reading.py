# SPDX-License-Identifier: MPL-2.0
"""Reading what providers say."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipit.errors import InvalidInput
from shipit.settings import TrainRule
from shipit.trains.resolve import trains_at
from shipit.trains.schedule import (
    from_file,
    from_product_details,
    from_whattrainisitnow,
    read_cycle,
    read_moment,
    read_owners,
)
from shipit.trains.types import Moment, Schedule

NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)


def listed(schedule: Schedule) -> list[tuple[str, str]]:
    return [(listing.channel, listing.version) for listing in schedule.listings]


def product_details(**said: object) -> Schedule:
    return from_product_details(said, source="product-details", read_at=NOW)


def test_channels_are_found_by_the_words_of_their_keys_not_by_a_list_of_keys() -> None:
    schedule = product_details(
        FIREFOX_NIGHTLY="147.0a1",
        FIREFOX_AURORA="146.0a2",
        LATEST_FIREFOX_DEVEL_VERSION="145.0b3",
        FIREFOX_ESR="140.4.0esr",
        FIREFOX_ESR_NEXT="153.1.0esr",
        FIREFOX_ESR115="115.29.0esr",
        FIREFOX_ESR128="128.16.0esr",
        LATEST_FIREFOX_OLDER_VERSION="3.6.28",
        LATEST_FIREFOX_VERSION="144.0.1",
        FIREFOX_PINEBUILD="200.0",
    )
    assert listed(schedule) == [
        ("nightly", "147.0a1"),
        ("aurora", "146.0a2"),
        ("beta", "145.0b3"),
        ("esr", "140.4.0esr"),
        ("esr", "153.1.0esr"),
        ("esr", "115.29.0esr"),
        ("esr", "128.16.0esr"),
        ("release", "144.0.1"),
    ]


def test_thunderbird_and_mobile_are_read_by_the_same_words(shared: Path) -> None:
    folder = shared / "data/product-details/ship-89.0/before"

    def read(name: str) -> list[tuple[str, str]]:
        said = json.loads((folder / name).read_text())
        return listed(from_product_details(said, source="product-details", read_at=NOW))

    assert read("thunderbird_versions.json") == [
        ("aurora", "54.0a2"),
        ("beta", "89.0b4"),
        ("nightly", "90.0a1"),
        ("release", "78.10.2"),
    ]
    assert read("mobile_versions.json") == [
        ("aurora", "84.0a1"),
        ("beta", "89.0.0-beta.9"),
        ("nightly", "84.0a1"),
        ("release", "88.1.4"),
    ]


def test_the_newer_of_beta_and_developer_edition_tells_what_the_beta_branch_carries() -> None:
    schedule = product_details(LATEST_FIREFOX_DEVEL_VERSION="67.0b19", FIREFOX_DEVEDITION="68.0b2")
    assert listed(schedule) == [("beta", "68.0b2")]


@pytest.mark.parametrize("empty", ["", None, "soon", "1" * 9, "147.0" + "x" * 99, "147<b>", 147, ["147.0a1"]])
def test_empty_and_senseless_values_are_nothing(empty: object) -> None:
    assert listed(product_details(FIREFOX_NIGHTLY="147.0a1", FIREFOX_ESR_NEXT=empty)) == [
        ("nightly", "147.0a1")
    ]


@pytest.mark.parametrize(
    "nonsense", [None, [], "<html>", {}, {"FIREFOX_NIGHTLY": ""}, {"a": 1}, {1: "147.0"}]
)
def test_an_answer_without_any_version_is_refused(nonsense: object) -> None:
    with pytest.raises(InvalidInput):
        from_product_details(nonsense, source="product-details", read_at=NOW)


def test_days_of_product_details_belong_to_the_versions_around_nightly() -> None:
    schedule = product_details(
        FIREFOX_NIGHTLY="147.0a1",
        LAST_MERGE_DATE="2026-10-12",
        LAST_RELEASE_DATE="2026-10-13",
        NEXT_SOFTFREEZE_DATE="2026-11-05",
        NEXT_STRINGFREEZE_DATE="2026-11-06",
        NEXT_MERGE_DATE="2026-11-09",
        NEXT_RELEASE_DATE="2026-11-10",
    )
    assert {cycle.major: [moment.name for moment in cycle.moments] for cycle in schedule.cycles} == {
        145: ["release"],
        146: ["merge_day", "release"],
        147: ["soft_code_freeze", "string_freeze", "merge_day"],
    }
    assert all(moment.is_whole_day for cycle in schedule.cycles for moment in cycle.moments)


def test_next_days_that_are_over_show_that_nobody_keeps_them() -> None:
    assert product_details(FIREFOX_NIGHTLY="147.0a1", NEXT_MERGE_DATE="2026-10-19").cycles == ()
    assert product_details(FIREFOX_NIGHTLY="147.0a1", NEXT_MERGE_DATE="2026-10-20").cycles != ()


def test_a_day_is_over_only_when_it_ends_because_its_hour_is_not_known() -> None:
    day = read_moment("release", "2026-10-20")
    assert not day.has_passed(datetime(2026, 10, 20, 23, 59, tzinfo=UTC))
    assert day.has_passed(datetime(2026, 10, 21, tzinfo=UTC))
    hour = read_moment("release", "2026-10-20 14:00:00+00:00")
    assert hour.has_passed(datetime(2026, 10, 20, 14, tzinfo=UTC))
    assert not hour.has_passed(datetime(2026, 10, 20, 13, 59, tzinfo=UTC))
    assert not read_moment("release", "9999-12-31").has_passed(NOW)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2026-10-20", Moment("x", datetime(2026, 10, 20, tzinfo=UTC), True)),
        ("2026-10-20 00:00:00+00:00", Moment("x", datetime(2026, 10, 20, tzinfo=UTC), True)),
        ("2026-10-20 14:00:00+00:00", Moment("x", datetime(2026, 10, 20, 14, tzinfo=UTC))),
        ("2026-10-20T06:00:00-08:00", Moment("x", datetime(2026, 10, 20, 14, tzinfo=UTC))),
        (date(2026, 10, 20), Moment("x", datetime(2026, 10, 20, tzinfo=UTC), True)),
        (
            datetime(2026, 10, 20, 6, tzinfo=timezone(timedelta(hours=-8))),
            Moment("x", datetime(2026, 10, 20, 14, tzinfo=UTC)),
        ),
    ],
)
def test_moments_are_read_in_every_spelling(said: object, expected: Moment) -> None:
    assert read_moment("x", said) == expected


@pytest.mark.parametrize(
    "said", ["", "soon", "2026-13-40", "0001-01-01T00:00:00+05:00", "2026-10-20 14:00:00", 1760000000, None]
)
def test_a_moment_without_zone_or_sense_is_refused(said: object) -> None:
    with pytest.raises(InvalidInput):
        read_moment("release", said)


def test_the_recorded_calendar_is_read_whole(shared: Path) -> None:
    path = (
        shared
        / "data/product-details/trains/whattrainisitnow-api_release_schedule-version_beta-2023-05-03.json"
    )
    cycle = read_cycle(json.loads(path.read_text()))
    assert (cycle.major, cycle.version, len(cycle.moments)) == (108, "108.0", 16)
    gtb = cycle.moment("rc_gtb")
    assert gtb is not None and gtb.at == datetime(2022, 12, 5, 21, tzinfo=UTC) and not gtb.is_whole_day
    merge = cycle.moment("merge_day")
    assert merge is not None and merge.is_whole_day


def test_recorded_owners_leave_out_those_nobody_documented(shared: Path) -> None:
    path = shared / "data/product-details/trains/whattrainisitnow-api_release_owners-2023-05-03.json"
    owners = read_owners(json.loads(path.read_text()))
    assert len(owners) == 95 and min(owners) == 27 and owners[108] == "Dianna Smith"


def test_an_error_object_is_no_calendar_and_says_so() -> None:
    with pytest.raises(InvalidInput, match="Not enough data"):
        read_cycle({"error": "Not enough data for this version number."})


def test_a_calendar_is_bounded() -> None:
    with pytest.raises(InvalidInput, match="at most"):
        read_cycle({"version": "147.0", **{f"beta_{number}": "2026-10-20" for number in range(300)}})


def test_trains_for_lando_are_read_with_numbers_texts_and_several_esrs() -> None:
    schedule = from_whattrainisitnow(
        {
            "trains": {
                "nightly": {"version": 153, "release_date": "2026-07-21"},
                "beta": {"version": "152.0b3", "has_betas_left": False, "is_rc_shipped": False},
                "release": {"version": 151},
                "esr": {"version": "140.11.0"},
                "esr_previous": {"version": 128},
                "esr_next": None,
            }
        },
        source="whattrainisitnow",
        read_at=NOW,
    )
    assert [(one.channel, one.version, one.major, one.has_builds_left) for one in schedule.listings] == [
        ("nightly", "", 153, None),
        ("beta", "152.0b3", 152, False),
        ("release", "", 151, None),
        ("esr", "140.11.0", 140, None),
        ("esr", "", 128, None),
    ]


def test_living_esrs_are_those_that_joined_the_last_common_releases() -> None:
    history = {
        "128.12.0": "2026-07-21",
        "115.29.0": "2026-09-15",
        "115.30.0": "2026-10-13",
        "140.3.0": "2026-09-15",
        "140.3.1": "2026-09-30",
        "140.4.0": "2026-10-13",
        "140.5.0": "2026-10-20",
        "153.0": "2026-11-10",
        "102.15.0": "2023-08-29",
    }
    schedule = from_whattrainisitnow({"esr": history}, source="whattrainisitnow", read_at=NOW)
    assert listed(schedule) == [("esr", "115.30.0"), ("esr", "140.5.0")], "115 follows within the day"


def test_one_unreadable_part_does_not_lose_the_rest() -> None:
    schedule = from_whattrainisitnow(
        {"trains": {"beta": {"version": 152}}, "owners": ["nobody"], "nightly": {"error": "no"}},
        failed={"esr": "answered 500"},
        source="whattrainisitnow",
        read_at=NOW,
    )
    assert [(one.channel, one.major) for one in schedule.listings] == [("beta", 152)]
    assert set(schedule.failed) == {"esr", "owners", "nightly", "calendar"}


def test_when_nothing_is_left_the_reasons_are_told() -> None:
    with pytest.raises(InvalidInput, match="answered 500"):
        from_whattrainisitnow({}, failed={"trains": "answered 500"}, source="whattrainisitnow", read_at=NOW)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.sampled_from(["147.0a1", "2026-10-20", "2026-10-20 14:00:00+00:00", "9999-12-31", "0"]),
)
KEYS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["version", "versions", "calendar", "owners", "beta", "release", "147.0", "has_betas_left"]
    ),
    st.sampled_from(["FIREFOX_NIGHTLY", "NEXT_MERGE_DATE", "LATEST_FIREFOX_VERSION", "FIREFOX_ESR115"]),
)
JSON = st.recursive(
    SCALARS, lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(KEYS, deeper, max_size=4)
)


@settings(max_examples=300, deadline=None)
@given(answer=JSON, part=st.sampled_from(["trains", "owners", "esr", "nightly", "release", "147"]))
def test_whatever_is_answered_is_a_schedule_or_refused(answer: object, part: str) -> None:
    for read in (
        lambda: from_product_details(answer, source="product-details", read_at=NOW),
        lambda: from_file(answer, source="file", read_at=NOW),
        lambda: from_whattrainisitnow({part: answer}, source="whattrainisitnow", read_at=NOW),
    ):
        try:
            schedule = read()
        except InvalidInput:
            continue
        assert schedule.listings
        rule = TrainRule(name="beta", repository="firefox", branch="beta")
        assert [train.name for train in trains_at((rule,), schedule, NOW)] == ["beta"]


FILE = """
no_builds_left = ["beta"]
[versions]
nightly = "12.0a1"
beta = "11.0b4"
release = "10.0.2"
esr = ["8.3.0", "10.0.0"]
[calendar."11.0"]
beta_1 = 2026-10-12
rc_gtb = 2026-11-02T21:00:00Z
release = "2026-11-10"
[owners]
11 = "Rosa Marsh"
"""


def test_a_file_says_the_same_in_toml_and_json() -> None:
    from_toml = from_file(tomllib.loads(FILE), source="file", read_at=NOW)
    as_json = json.loads(json.dumps(tomllib.loads(FILE), default=str))
    assert from_file(as_json, source="file", read_at=NOW) == from_toml
    assert listed(from_toml) == [
        ("nightly", "12.0a1"),
        ("beta", "11.0b4"),
        ("release", "10.0.2"),
        ("esr", "8.3.0"),
        ("esr", "10.0.0"),
    ]
    assert from_toml.listings[1].has_builds_left is False
    assert from_toml.owners == {11: "Rosa Marsh"}
    assert [moment.name for moment in from_toml.cycles[0].moments] == ["beta_1", "rc_gtb", "release"]


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "versions"),
        ({"versions": {"beta": "soon"}}, "versions.beta"),
        ({"versions": {"beta": "11.0"}, "calendar": {"11.0": {"release": "soon"}}}, "release"),
        ({"versions": {"beta": "11.0"}, "no_builds_left": "beta"}, "no_builds_left"),
        ({"versions": {}}, "schedule"),
    ],
)
def test_a_wrong_file_names_the_field(content: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        from_file(content, source="file", read_at=NOW)
    assert caught.value.field == field
