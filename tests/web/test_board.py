# SPDX-License-Identifier: MPL-2.0
"""GET /api/board/{train}: honest counts, the words of the standing, groups by actor, and who may see what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fixtures_postgres import Database
from fixtures_web import NOON, Service, make_bug, make_request, make_train, make_trains, running
from shipit.merge.types import Outcome
from shipit.trains.types import Moment
from shipit.uplift.types import RequestState


async def board(service: Service, train: str = "beta", *, who: str | None = None) -> dict[str, Any]:
    answer = await service.by(who).get(f"/api/board/{train}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def tab(answer: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(each["count"]) for each in answer["tabs"] if each["name"] == name)


async def test_counts_say_unavailable_unread_and_zero_apart(database: Database) -> None:
    async with running(database) as service:
        later = NOON + timedelta(hours=1)
        trains = make_trains(
            make_train("beta"),
            make_train("release", requests_read_at=None),
            make_train(
                "esr140", requests_unavailable_since=later, requests_unavailable_reason="it answered 503"
            ),
        )
        await service.feed(make_bug(1, make_request(1)), trains=trains)
        answer = await board(service)
        assert tab(answer, "beta")["value"] == 1
        assert tab(answer, "beta")["at"] == "2026-11-20T12:00:00Z"
        assert tab(answer, "release") == {
            "value": None, "at": None, "unavailable_since": None, "reason": "they were not read yet",
            "restricted": None,
        }  # fmt: skip
        gone = tab(answer, "esr140")
        assert (gone["value"], gone["reason"]) == (None, "it answered 503")
        assert gone["unavailable_since"] == "2026-11-20T13:00:00Z"
        empty = await board(service, "release")
        assert (empty["rows"], empty["count"]["value"]) == ([], None)


async def test_the_calendar_tells_what_is_over_what_is_to_come_and_whose_it_is(database: Database) -> None:
    async with running(database) as service:
        merge, built = Moment("merge_day", NOON - timedelta(days=9), True), Moment("beta_1", NOON)
        await service.feed(trains=make_trains(make_train("beta", passed=(merge, built), owner="Omar Bell")))
        train = (await board(service))["train"]
        assert [each["label"] for each in train["passed"]] == ["merge", "b1"]
        assert [each["label"] for each in train["moments"]] == ["merge"]
        assert (train["owner"], train["build"]) == ("Omar Bell", "147.0b4")


async def test_rows_carry_the_words_of_the_standing_on_every_train(database: Database) -> None:
    async with running(database) as service:
        await service.feed(
            make_bug(
                1,
                make_request(1, "beta", outcome=Outcome.CONFLICT),
                make_request(1, "release", outcome=Outcome.CLEAN),
            ),
            make_bug(2, make_request(2, outcome=Outcome.CLEAN)),
            make_bug(3, make_request(3)),
        )
        answer = await board(service)
        rows = {row["bug"]: row for row in answer["rows"]}
        assert [rows[bug]["group"] for bug in (1, 2, 3)] == ["blocked", "decide", "trying"]
        assert rows[1]["here"]["colour"] == "red"
        assert rows[1]["here"]["sentence"].startswith("It conflicts with beta")
        assert rows[1]["others"]["release"]["word"] == "Clean"
        assert rows[2]["others"] == {}
        assert rows[3]["here"]["word"] == "Queued"
        assert [group["key"] for group in answer["groups"]][:2] == ["decide", "blocked"]


async def test_approved_and_rejected_stand_in_groups_of_their_own(database: Database) -> None:
    async with running(database) as service:
        await service.feed(
            make_bug(1, make_request(1, state=RequestState.APPROVED, outcome=Outcome.CLEAN)),
            make_bug(2, make_request(2, state=RequestState.REJECTED, outcome=Outcome.CLEAN)),
            make_bug(3, make_request(3, state=RequestState.APPROVED, outcome=Outcome.LANDED)),
        )
        rows = {row["bug"]: row["group"] for row in (await board(service))["rows"]}
        assert rows == {1: "approved", 2: "done", 3: "done"}


async def test_a_restricted_bug_reaches_only_who_may_see_it(database: Database) -> None:
    async with running(database) as service:
        secret = make_bug(
            7, make_request(7), is_restricted=True, summary="a secret flaw", groups=("core-security",)
        )
        await service.feed(make_bug(1, make_request(1)), secret)
        nobody, member, trusted = [await board(service, who=who) for who in (None, "user", "reader")]
        assert [row["bug"] for row in trusted["rows"]] == [7, 1]
        assert [row["is_restricted"] for row in trusted["rows"]] == [True, False]
        for answer in (nobody, member):
            assert "secret" not in str(answer) and [row["bug"] for row in answer["rows"]] == [1]
        assert (nobody["count"]["restricted"], member["count"]["restricted"]) == (None, 1)
        page = (await service.client.get("/")).text
        assert "secret flaw" not in page and '"bug":1,' in page


async def test_the_same_is_not_sent_twice_and_a_change_is(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1)))
        first = await service.client.get("/api/board/beta")
        tag = {"If-None-Match": first.headers["etag"]}
        assert (await service.client.get("/api/board/beta", headers=tag)).status_code == 304
        await service.feed(
            make_bug(1, make_request(1), digest="d2", summary="Another", read_at=NOON + timedelta(1))
        )
        again = await service.client.get("/api/board/beta", headers=tag)
        assert again.status_code == 200
        assert again.json()["rows"][0]["summary"] == "Another"


async def test_a_train_that_is_not_there_is_a_problem(database: Database) -> None:
    async with running(database) as service:
        answer = await service.client.get("/api/board/gamma")
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no train 'gamma'")


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--", "\u2028'\"&"])
async def test_hostile_words_stay_inside_the_facts(database: Database, text: str) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1), summary=text))
        page = (await service.client.get("/")).text
        _, _, facts = page.partition('id="facts">')
        inside, _, after = facts.partition("</script>")
        assert "<" not in inside and "alert" not in after
