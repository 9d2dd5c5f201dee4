# SPDX-License-Identifier: MPL-2.0
"""Open requests follow their version, and nobody is asked twice."""

from __future__ import annotations

from datetime import UTC, datetime

from shipit.trains.merge_day import carry
from shipit.trains.types import Aim, Stage, Train

NOW = datetime(2026, 11, 9, 12, tzinfo=UTC)


def train(name: str, major: int | None, *, channel: str | None = None, **given: object) -> Train:
    made = Train(
        name=name,
        channel=channel or name.rstrip("0123456789"),
        repository="firefox",
        branch=name,
        major=major,
    )
    return Train(**{**{field: getattr(made, field) for field in made.__struct_fields__}, **given})  # type: ignore[arg-type]


def aim(on: str, target: int | None) -> Aim:
    return Aim(
        uid=f"{on} {target}", train=on, target_major=target, requested_at=datetime(2026, 11, 1, tzinfo=UTC)
    )


def moved(request: Aim, *trains: Train) -> tuple[str | None, int | None, str] | None:
    found = carry([request], trains, NOW)
    assert len(found) <= 1
    assert all(one.at == NOW and one.from_train == request.train and one.uid == request.uid for one in found)
    return (found[0].to_train, found[0].major, found[0].reason) if found else None


BEFORE = (train("nightly", 148), train("beta", 147), train("release", 146), train("esr140", 140))
AFTER = (train("nightly", 149), train("beta", 148), train("release", 147), train("esr140", 140))


def test_on_merge_day_a_beta_request_follows_its_version_to_release() -> None:
    assert moved(aim("beta", 147), *BEFORE) is None
    assert moved(aim("beta", 147), *AFTER) == ("release", 147, "beta moved on to 148; 147 is now on release")


def test_a_release_request_aims_at_what_release_carries_next() -> None:
    assert moved(aim("release", 146), *AFTER) == ("release", 147, "146 is over; release now carries 147")


def test_in_rc_week_a_beta_request_stays_while_beta_carries_its_version() -> None:
    assert moved(aim("beta", 147), train("beta", 147), train("release", 147)) is None


def test_after_several_missed_merge_days_the_request_lands_on_the_last_train() -> None:
    late = (train("nightly", 152), train("beta", 151), train("release", 150))
    assert moved(aim("beta", 147), *late) == (
        "release",
        150,
        "beta moved on to 151 and 147 is over; release carries 150",
    )


def test_a_request_on_aurora_goes_to_beta() -> None:
    trains = (train("nightly", 56), train("aurora", 55), train("beta", 54), train("release", 53))
    assert moved(aim("aurora", 54), *trains) == ("beta", 54, "aurora moved on to 55; 54 is now on beta")


def test_a_train_that_lags_or_goes_back_moves_nothing() -> None:
    assert moved(aim("beta", 148), *BEFORE) is None
    assert moved(aim("beta", 147), train("beta", 148), train("release", 146)) is None, (
        "release has not taken it yet"
    )


def test_old_facts_move_nothing() -> None:
    stale = train("beta", 148, unavailable_since=NOW)
    assert moved(aim("beta", 147), stale, train("release", 147)) is None
    assert moved(aim("beta", 147), train("beta", 148), train("release", 147, unavailable_since=NOW)) is None
    assert moved(aim("beta", 147), train("beta", None), train("release", 147)) is None


def test_an_esr_request_stays_with_its_esr_through_every_merge_day() -> None:
    assert moved(aim("esr140", 140), *AFTER) is None


def test_an_ended_esr_closes_its_requests_with_the_reason() -> None:
    ended = train("esr128", 128, stage=Stage.ENDED, note="file has not named it since 2026-10-20")
    assert moved(aim("esr128", 128), ended, train("esr140", 140)) == (
        None,
        128,
        "esr128 has ended: file has not named it since 2026-10-20",
    )


def test_one_train_for_the_current_esr_aims_at_its_next_version() -> None:
    assert moved(aim("esr", 128), train("esr", 140)) == ("esr", 140, "128 is over; esr now carries 140")


def test_a_request_without_a_version_is_aimed_at_what_its_train_carries() -> None:
    assert moved(aim("beta", None), *BEFORE) == ("beta", 147, "beta carries 147")


def test_a_request_on_a_train_nobody_configured_stays_as_it_is() -> None:
    assert moved(aim("comm-beta", 147), *AFTER) is None


def test_without_a_release_train_the_request_stays_on_beta() -> None:
    assert moved(aim("beta", 147), train("beta", 148)) == ("beta", 148, "147 is over; beta now carries 148")


def test_two_products_do_not_mix() -> None:
    comm = (
        train("comm-beta", 148, channel="beta", repository="thunderbird"),
        train("comm-release", 147, channel="release", repository="thunderbird"),
    )
    found = moved(aim("comm-beta", 147), *AFTER, *comm)
    assert found is not None and found[0] == "comm-release"
    found = moved(aim("beta", 147), *comm, *AFTER)
    assert found is not None and found[0] == "release"


def test_each_request_is_moved_alone_and_asking_again_moves_nothing() -> None:
    requests = [aim("beta", 147), aim("beta", 148), aim("esr140", 140), aim("release", 147)]
    found = carry(requests, AFTER, NOW)
    assert [one.uid for one in found] == ["beta 147"]
    assert carry([aim("release", 147), *requests[1:]], AFTER, NOW) == ()
