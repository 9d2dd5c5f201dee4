# SPDX-License-Identifier: MPL-2.0
"""Every day of the recorded product-details timeline (2019 to 2022), hour by hour around each publication."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from shipit.errors import InvalidInput
from shipit.settings import TrainRule
from shipit.trains.merge_day import carry
from shipit.trains.resolve import trains_at
from shipit.trains.schedule import from_product_details
from shipit.trains.stages import may_become
from shipit.trains.types import Aim, Failure, Schedule, Stage, Train

Reading = tuple[datetime, dict[str, str]]
Day = tuple[datetime, Schedule | Failure, tuple[Train, ...]]


def read(said: object, at: datetime) -> Schedule | Failure:
    try:
        return from_product_details(said, source="product-details", read_at=at)
    except InvalidInput as error:
        return Failure(source="product-details", at=at, reason=error.detail)


def times_of(timeline: Sequence[Reading]) -> Iterator[Reading]:
    """Each publication at its time, and the newest of it at the begin and the noon of every day between."""
    for place, (at, said) in enumerate(timeline):
        yield at.astimezone(UTC), said
        following = timeline[place + 1][0] if place + 1 < len(timeline) else at
        noon = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
        while (noon := noon + timedelta(hours=12)) < following:
            if noon > at:
                yield noon, said


def walk(timeline: Sequence[Reading], rules: tuple[TrainRule, ...]) -> Iterator[Day]:
    known: tuple[Train, ...] = ()
    for at, said in times_of(timeline):
        facts = read(said, at)
        known = trains_at(rules, facts, at, known=known)
        yield at, facts, known


@pytest.fixture(scope="module")
def days(timeline: list[Reading], rules: tuple[TrainRule, ...]) -> list[Day]:
    return list(walk(timeline, rules))


def test_the_whole_recorded_time_is_walked(timeline: list[Reading], days: list[Day]) -> None:
    assert len(timeline) == 1013
    seen = {at.date() for at, _, _ in days}
    first, last = min(seen), max(seen)
    assert len(seen) == (last - first).days + 1 > 1300


def test_no_day_is_without_its_trains_and_each_is_there_once(days: list[Day]) -> None:
    for at, _, trains in days:
        names = [train.name for train in trains]
        assert names[:3] == ["nightly", "beta", "release"], at
        assert len(set(names)) == len(names), at
        assert any(name.startswith("esr") for name in names), at
        assert all(train.major is not None for train in trains), at


def test_versions_never_go_back(days: list[Day]) -> None:
    before: dict[str, int] = {}
    for at, _, trains in days:
        for train in trains:
            assert train.major is not None
            assert before.get(train.name, 0) <= train.major, (at, train)
            before[train.name] = train.major


def test_each_train_carries_one_version_less_than_the_one_before(days: list[Day]) -> None:
    for at, _, (nightly, beta, release, *_) in days:
        assert nightly.major is not None and beta.major is not None and release.major is not None
        assert nightly.major - beta.major == beta.major - release.major == 1, at


def test_the_corrected_versions_are_what_product_details_said_in_the_end(
    timeline: list[Reading], days: list[Day]
) -> None:
    """Whatever beta we ever showed was later published as a beta of that version, and vice versa."""
    shown = {train.major for _, _, trains in days for train in trains if train.name == "beta"}
    said = {
        int(s["LATEST_FIREFOX_DEVEL_VERSION"].split(".")[0]) for _, s in timeline if s["FIREFOX_DEVEDITION"]
    }
    assert shown - said <= {65}, "65 is told by nightly alone, in the first reading of 2019"
    assert said - shown <= {64}, "64 is the beta which that reading still named"


def test_only_stages_on_the_map_follow_each_other(days: list[Day]) -> None:
    before: dict[str, Stage] = {}
    seen = set()
    for at, _, trains in days:
        for train in trains:
            last = before.get(train.name, train.stage)
            assert may_become(last, train.stage), (at, train.name, last, train.stage)
            before[train.name] = train.stage
            seen.add(train.stage)
    assert seen == set(Stage) - {Stage.AURORA}


def test_flags_are_those_of_the_version_the_branch_carries_even_while_beta_lags_L15(days: list[Day]) -> None:
    lagging = 0
    for _, facts, (nightly, beta, *_) in days:
        assert beta.status_flag == f"cf_status_firefox{beta.major}"
        assert nightly.status_flag == f"cf_status_firefox{nightly.major}"
        if isinstance(facts, Schedule) and beta.unavailable_since is None:
            listed = next(listing for listing in facts.listings if listing.channel == "beta")
            if listed.major != beta.major:
                lagging += 1
                assert beta.note is not None and "still names" in beta.note
                assert beta.version != listed.version
    assert lagging > 50


def test_an_answer_without_versions_leaves_the_last_known_with_its_age(days: list[Day]) -> None:
    gaps = 0
    for (_, _, before), (at, facts, trains) in pairwise(days):
        if isinstance(facts, Schedule) and any(listing.channel == "beta" for listing in facts.listings):
            continue
        gaps += 1
        assert [train.name for train in trains] == [train.name for train in before]
        for old, new in zip(before, trains, strict=True):
            assert (new.major, new.version, new.stage) == (old.major, old.version, old.stage)
            assert new.stage is Stage.ENDED or new.unavailable_since == (old.unavailable_since or at)
            assert new.stage is Stage.ENDED or "names no version for" in (new.note or "")
    assert gaps > 10


def test_old_and_new_esr_overlap_and_the_old_one_ends_once(days: list[Day]) -> None:
    lives: dict[int, list[tuple[datetime, Stage]]] = {}
    for at, _, trains in days:
        for train in trains:
            if train.channel == "esr" and train.major is not None:
                stages = lives.setdefault(train.major, [])
                if not stages or stages[-1][1] is not train.stage:
                    stages.append((at, train.stage))
    assert sorted(lives) == [60, 68, 78, 91, 102]
    for major, stages in lives.items():
        expected = [Stage.ESR] if major == 102 else [Stage.ESR, Stage.ENDED]
        assert [stage for _, stage in stages] == expected
    for old, new in ((60, 68), (68, 78), (78, 91), (91, 102)):
        assert lives[new][0][0] < lives[old][1][0], "they overlap"


def test_ended_trains_are_forgotten_after_their_requests_had_time_to_close(days: list[Day]) -> None:
    _, _, trains = days[-1]
    assert [train.name for train in trains] == ["nightly", "beta", "release", "esr102"]


def test_from_days_alone_no_hour_is_inferred(timeline: list[Reading], rules: tuple[TrainRule, ...]) -> None:
    """Read at any hour of a day, the same publication means the same, and no moment claims an hour."""
    for at, said in timeline[::9]:
        midnight = datetime.combine(at.date(), time(), UTC)
        answers = []
        for hour in (0, 6, 13, 23):
            now = midnight + timedelta(hours=hour)
            facts = read(said, now)
            if isinstance(facts, Failure) or len({listing.channel for listing in facts.listings}) < 4:
                break
            trains = trains_at(rules, facts, now)
            assert all(moment.is_whole_day for train in trains for moment in train.deadlines)
            assert all(train.next_build is None or train.next_build.is_whole_day for train in trains)
            answers.append([msgspec.structs.replace(train, read_at=None) for train in trains])
        assert all(answer == answers[0] for answer in answers), at


def test_open_requests_always_have_one_train_that_carries_their_version(days: list[Day]) -> None:
    aims = {
        "a beta patch": Aim(
            uid="a beta patch", train="beta", target_major=67, requested_at=datetime(2019, 3, 20, tzinfo=UTC)
        ),
        "a release patch": Aim(
            uid="a release patch",
            train="release",
            target_major=66,
            requested_at=datetime(2019, 3, 20, tzinfo=UTC),
        ),
        "an esr patch": Aim(
            uid="an esr patch", train="esr60", target_major=60, requested_at=datetime(2019, 3, 20, tzinfo=UTC)
        ),
    }
    history: dict[str, list[tuple[str | None, int | None]]] = {uid: [] for uid in aims}
    for at, _, trains in days:
        for moved in carry(aims.values(), trains, at):
            history[moved.uid].append((moved.to_train, moved.major))
            aim = aims.pop(moved.uid)
            if moved.to_train is not None:
                aims[moved.uid] = Aim(
                    uid=aim.uid, train=moved.to_train, target_major=moved.major, requested_at=aim.requested_at
                )
        assert carry(aims.values(), trains, at) == (), "asking again changes nothing"
        by_name = {train.name: train for train in trains}
        for aim in aims.values():
            train = by_name[aim.train]
            assert train.major == aim.target_major or at < datetime(2019, 3, 21, tzinfo=UTC), (at, aim)
    assert history["a beta patch"][:2] == [("release", 67), ("release", 68)], "it follows 67, then the train"
    assert [major for _, major in history["a release patch"]] == list(range(67, 109))
    assert history["an esr patch"] == [(None, 60)], "closed once, when ESR 60 ended"


def test_a_day_or_two_of_lag_moves_a_request_once(
    timeline: list[Reading], rules: tuple[TrainRule, ...]
) -> None:
    """Around every recorded merge day, a request for beta moves to release exactly once, and never back."""
    known: tuple[Train, ...] = ()
    moves: dict[int, list[str | None]] = {}
    aims: dict[int, Aim] = {}
    for at, said in times_of(timeline):
        known = trains_at(rules, read(said, at), at, known=known)
        beta = next(train for train in known if train.name == "beta")
        assert beta.major is not None
        if beta.major not in moves:
            moves[beta.major] = []
            aims[beta.major] = Aim(
                uid=str(beta.major), train="beta", target_major=beta.major, requested_at=at
            )
        for moved in carry(tuple(aims.values()), known, at):
            major = int(moved.uid)
            moves[major].append(moved.to_train)
            if moved.major != major:
                del aims[major]
            else:
                assert moved.to_train is not None
                aims[major] = Aim(uid=moved.uid, train=moved.to_train, target_major=major, requested_at=at)
    over = [major for major in moves if major <= 106]
    assert len(over) > 35
    for major in over:
        assert moves[major] == ["release", "release"], major


def test_shipping_89_is_seen_though_only_release_was_published(
    shared: Path, rules: tuple[TrainRule, ...]
) -> None:
    folder = shared / "data/product-details/ship-89.0"
    now = datetime(2021, 6, 1, 13, tzinfo=UTC)

    def at(moment: str) -> tuple[Train, ...]:
        return trains_at(
            rules,
            read(msgspec.json.decode((folder / moment / "firefox_versions.json").read_bytes()), now),
            now,
        )

    before, after = at("before"), at("after")
    assert [train.major for train in before] == [90, 89, 88, 78]
    assert [train.major for train in after] == [91, 90, 89, 78]
    assert after[2].version == "89.0" and after[2].stage is Stage.DOT_RELEASES


def test_the_aurora_of_2017_is_read_and_known_to_be_given_up(
    shared: Path, rules: tuple[TrainRule, ...]
) -> None:
    said = msgspec.json.decode(
        (
            shared / "data/product-details/libmozdata/product-details-1.0_firefox_versions-2017-05-10.json"
        ).read_bytes()
    )
    now = datetime(2017, 5, 10, tzinfo=UTC)
    facts = read(said, now)
    assert isinstance(facts, Schedule)
    assert ("aurora", "54.0a2") in [(listing.channel, listing.version) for listing in facts.listings]
    assert [(train.name, train.version) for train in trains_at(rules, facts, now)] == [
        ("nightly", "55.0a1"),
        ("beta", "54.0b6"),
        ("release", "53.0.2"),
        ("esr45", "45.9.0esr"),
    ]
