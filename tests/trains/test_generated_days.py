# SPDX-License-Identifier: MPL-2.0
"""Every hour over two cycles of invented calendars: any cadence, any number of ESRs, Aurora or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shipit.settings import TrainRule
from shipit.trains.merge_day import carry
from shipit.trains.resolve import GRACE, trains_at
from shipit.trains.schedule import from_product_details, from_whattrainisitnow
from shipit.trains.stages import may_become
from shipit.trains.types import Aim, Failure, Schedule, Stage, Train
from shipit.world.schedule import Calendar, FakeSchedule

HOUR = timedelta(hours=1)

patient = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@st.composite
def calendars(draw: st.DrawFn, *, has_aurora: bool = False) -> Calendar:
    first = draw(st.integers(40, 400))
    lengths = tuple(draw(st.lists(st.sampled_from([7, 14, 21, 28, 35, 42]), min_size=1, max_size=3)))
    esr = draw(st.lists(st.integers(first - 30, first + 2), max_size=4, unique=True))
    return Calendar(
        first=first,
        start=datetime(2026, 1, 5, tzinfo=UTC),
        lengths=lengths,
        betas=draw(st.integers(0, 15)),
        rc_days=draw(st.integers(0, 7)),
        release_days=draw(st.integers(0, 4)),
        has_aurora=has_aurora,
        esr=tuple(sorted(esr)),
        overlap=draw(st.integers(1, 4)),
    )


def two_cycles(calendar: Calendar) -> Iterator[datetime]:
    at = calendar.start + timedelta(minutes=1)
    while at < calendar.begins(calendar.first + 2) + timedelta(days=3):
        yield at
        at += HOUR


def whattrainisitnow(fake: FakeSchedule) -> Schedule:
    named = fake.named()
    answers: dict[str, object] = {channel: fake.moments(major) for channel, major in named.items()}
    answers |= {str(major): fake.moments(major) for major in range(named["release"] + 1, named["nightly"])}
    answers |= {"trains": fake.trains(), "owners": fake.owners(), "esr": fake.esr_releases()}
    return from_whattrainisitnow(answers, source="whattrainisitnow", read_at=fake.now())


def product_details(fake: FakeSchedule) -> Schedule:
    return from_product_details(fake.versions(), source="product-details", read_at=fake.now())


class Walk:
    """What must hold at every step, whichever provider is read."""

    def __init__(self, rules: tuple[TrainRule, ...]) -> None:
        self.rules = rules
        self.known: tuple[Train, ...] = ()
        self.aims: dict[str, Aim] = {}
        self.moves: dict[str, list[tuple[str | None, int | None]]] = {}
        self.closed: set[str] = set()

    def step(self, facts: Schedule | Failure, now: datetime) -> dict[str, Train]:
        trains = trains_at(self.rules, facts, now, known=self.known)
        names = [train.name for train in trains]
        plain = [rule.name for rule in self.rules if "{" not in rule.name]
        assert names[: len(plain)] == plain and len(set(names)) == len(names)
        before = {train.name: train for train in self.known}
        for train in trains:
            last = before.get(train.name, train)
            assert may_become(last.stage, train.stage), (now, train.name, last.stage, train.stage)
            assert last.major is None or (train.major is not None and train.major >= last.major), (now, train)
            assert all(not moment.has_passed(now) for moment in train.deadlines)
            assert [moment.at for moment in train.deadlines] == sorted(
                moment.at for moment in train.deadlines
            )
            assert all(moment.at <= now for moment in train.passed)
            assert len(set(train.passed)) == len(train.passed)
        self._requests(trains, now)
        self.known = trains
        return {train.name: train for train in trains}

    def _requests(self, trains: tuple[Train, ...], now: datetime) -> None:
        for train in trains:
            uid = f"{train.name} {train.major}"
            if train.stage is not Stage.ENDED and train.major is not None and uid not in self.moves:
                self.moves[uid] = []
                self.aims[uid] = Aim(uid=uid, train=train.name, target_major=train.major, requested_at=now)
        for moved in carry(self.aims.values(), trains, now):
            self.moves[moved.uid].append((moved.to_train, moved.major))
            aim = self.aims.pop(moved.uid)
            if moved.to_train is None:
                self.closed.add(moved.uid)
                continue
            self.aims[moved.uid] = msgspec.structs.replace(
                aim, train=moved.to_train, target_major=moved.major
            )
        assert carry(self.aims.values(), trains, now) == ()
        by_name = {train.name: train for train in trains}
        for aim in self.aims.values():
            assert by_name[aim.train].major == aim.target_major, (now, aim)
        assert all(uid.startswith("esr") or uid.startswith("aurora") for uid in self.closed)


@pytest.mark.drill
@patient
@given(calendar=calendars(), beta_lag=st.integers(0, 72))
@example(calendar=Calendar(lengths=(14,), betas=4, rc_days=3), beta_lag=48)
@example(calendar=Calendar(lengths=(28,), release_days=0, esr=()), beta_lag=0)
@example(calendar=Calendar(lengths=(28,), rc_days=7, release_days=4, esr=(140, 148), overlap=3), beta_lag=40)
def test_with_whattrainisitnow_every_hour_tells_what_each_branch_carries(
    rules: tuple[TrainRule, ...], calendar: Calendar, beta_lag: int
) -> None:
    fake = FakeSchedule(calendar)
    fake.beta_lag = timedelta(hours=beta_lag)
    walk = Walk(rules)
    for now in two_cycles(calendar):
        fake.set_now(now)
        trains = walk.step(whattrainisitnow(fake), now)
        carried = calendar.carried(now)
        assert {name: trains[name].major for name in carried} == carried, now
        beta, release = trains["beta"], trains["release"]
        assert (beta.stage is Stage.RC_WEEK) == (now >= calendar.rc_gtb(carried["beta"])), now
        assert (release.stage is Stage.DOT_RELEASES) == (calendar.released(now) >= carried["release"]), now
        builds = [at for at in calendar.beta_builds(carried["beta"]) if at > now]
        if builds and beta.stage is not Stage.RC_WEEK:
            assert beta.next_build is not None and beta.next_build.at <= builds[0], now
        assert beta.owner == fake.owners()[str(carried["beta"])]
        living = {f"esr{major}" for major, _ in calendar.living_esr(now)}
        assert living <= {name for name, train in trains.items() if train.stage is Stage.ESR}, now


@patient
@given(
    calendar=st.one_of(calendars(), calendars(has_aurora=True)),
    beta_lag=st.integers(0, 48),
    behind=st.integers(0, 48),
)
@example(calendar=Calendar(lengths=(14,), betas=4, rc_days=3, has_aurora=True), beta_lag=48, behind=0)
@example(calendar=Calendar(lengths=(7,), esr=(130, 140, 148, 150), overlap=1), beta_lag=24, behind=24)
def test_with_product_details_lag_delays_but_never_mixes_up_versions(
    rules: tuple[TrainRule, ...],
    rule: Callable[..., TrainRule],
    calendar: Calendar,
    beta_lag: int,
    behind: int,
) -> None:
    fake = FakeSchedule(calendar)
    fake.beta_lag, fake.product_details_lag = timedelta(hours=beta_lag), timedelta(hours=behind)
    if calendar.has_aurora:
        rules = (rules[0], rule("aurora"), *rules[1:])
    walk = Walk(rules)
    for now in two_cycles(calendar):
        fake.set_now(now)
        trains = walk.step(product_details(fake), now)
        nightly = calendar.nightly(now - fake.product_details_lag)
        ladder = [name for name in ("nightly", "aurora", "beta", "release") if name in trains]
        assert [trains[name].major for name in ladder] == [nightly - rank for rank in range(len(ladder))], now
        assert all(moment.is_whole_day for train in trains.values() for moment in train.deadlines)
        living = {f"esr{major}" for major, _ in calendar.living_esr(now - fake.product_details_lag)}
        shown = {name for name, train in trains.items() if train.stage is Stage.ESR}
        assert living <= shown
        gone_for = calendar.living_esr(now - fake.product_details_lag - GRACE - HOUR)
        assert shown <= living | {f"esr{major}" for major, _ in gone_for}, now


@pytest.mark.drill
@patient
@given(
    calendar=calendars(),
    failing=st.lists(st.tuples(st.integers(0, 1400), st.integers(1, 80)), max_size=6),
    kind=st.sampled_from(["silent", "empty", "no beta", "backwards"]),
)
@example(calendar=Calendar(lengths=(14,)), failing=[(10, 400)], kind="silent")
@example(calendar=Calendar(lengths=(14,), betas=4), failing=[(300, 80), (500, 30)], kind="backwards")
def test_hours_of_failure_leave_the_last_known_and_its_age(
    rules: tuple[TrainRule, ...], calendar: Calendar, failing: list[tuple[int, int]], kind: str
) -> None:
    fake = FakeSchedule(calendar)
    walk = Walk(rules)
    failed_since: datetime | None = None
    for hour, now in enumerate(two_cycles(calendar)):
        if hour % 3 and not any(start <= hour < start + hours for start, hours in failing):
            continue
        fake.set_now(now)
        good = whattrainisitnow(fake)
        is_failing = hour > 0 and any(start <= hour < start + hours for start, hours in failing)
        if not is_failing:
            failed_since = None
            trains = walk.step(good, now)
            assert all(trains[name].unavailable_since is None for name in ("nightly", "beta", "release"))
            continue
        failed_since = failed_since or now
        before = walk.known
        after = walk.step(_failing(kind, good, now), now)
        assert list(after) == [train.name for train in before]
        for train in before:
            same = after[train.name]
            assert (same.major, same.version, same.stage, same.branch) == (
                train.major,
                train.version,
                train.stage,
                train.branch,
            )
            if train.stage is not Stage.ENDED:
                assert same.unavailable_since is not None and same.unavailable_since <= failed_since
                assert same.note


def _failing(kind: str, good: Schedule, now: datetime) -> Schedule | Failure:
    if kind == "silent":
        return Failure(source=good.source, at=now, reason="did not answer in 30 s")
    if kind == "empty":
        return msgspec.structs.replace(good, listings=())
    if kind == "no beta":
        return msgspec.structs.replace(
            good, listings=tuple(listing for listing in good.listings if listing.channel != "beta")
        )
    back = [
        msgspec.structs.replace(listing, major=listing.major - 3, version="") for listing in good.listings
    ]
    return msgspec.structs.replace(good, listings=tuple(back))
