# SPDX-License-Identifier: MPL-2.0
"""Requests over time: closed, kept, reopened, re-targeted, each with its history and nobody asked twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from fixtures_postgres import Database
from fixtures_web import NOON, make_bug, make_request, make_train, make_trains, make_trial
from shipit.errors import Refused
from shipit.merge.types import Outcome
from shipit.storage import bugs, requests, trains, trials
from shipit.storage.pool import open_pool
from shipit.storage.requests import Stored, entries
from shipit.uplift.report import BugReport, BugsReport, Retarget, TrainsReport, TrialsReport
from shipit.uplift.types import RequestState


class Story:
    """Reports one after the other, each an hour later."""

    def __init__(self, pool: Any) -> None:
        self.pool, self.hours = pool, 0

    async def told(self, *reported: Any, **more: Any) -> str:
        self.hours += 1
        at = NOON + timedelta(hours=self.hours)
        report = make_bug(1, *reported, **{"digest": f"d{self.hours}", "read_at": at, **more})
        async with self.pool.connection() as connection:
            (taken,) = (await bugs.take(connection, BugsReport(round="r", bugs=(report,)))).bugs
        assert taken.reason is None, taken.reason
        return taken.result

    async def read(self, uid: str = "1-beta-1") -> dict[str, Any]:
        async with self.pool.connection() as connection:
            found = await requests.one(connection, uid, see_restricted=True)
        assert found is not None
        return dict(msgspec.json.decode(found[0]))

    async def whats(self, uid: str = "1-beta-1") -> list[str]:
        return [entry["what"] for entry in (await self.read(uid))["history"]]


async def begun(pool: Any) -> Story:
    async with pool.connection() as connection:
        await trains.save(connection, make_trains())
    return Story(pool)


async def test_a_request_that_is_gone_is_closed_as_cleared_and_one_that_comes_back_is_open_again(
    database: Database,
) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        story = await begun(pool)
        assert await story.told(make_request(1), make_request(1, "release")) == "created"
        assert await story.told(make_request(1, "release")) == "updated"
        closed = await story.read()
        assert (closed["state"], closed["closed_at"] is None) == ("cleared", False)
        assert closed["history"][-1]["reason"] == "no longer requested in Bugzilla"
        assert (await story.read("1-release-1"))["closed_at"] is None
        await story.told(make_request(1), make_request(1, "release"))
        assert (await story.read())["closed_at"] is None
        assert await story.whats() == ["seen", "closed", "state", "reopened"]


async def test_a_request_reported_as_cleared_is_closed(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        story = await begun(pool)
        await story.told(make_request(1))
        await story.told(make_request(1, state=RequestState.CLEARED))
        first = (await story.read())["closed_at"]
        await story.told(make_request(1, state=RequestState.CLEARED))
        assert (await story.read())["closed_at"] == first


async def test_trains_whose_requests_could_not_be_read_keep_them(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        story = await begun(pool)
        await story.told(make_request(1), make_request(1, "release"))
        assert await story.told(make_request(1, "release"), requests_kept=("beta",)) == "updated"
        assert await story.read() == {**await story.read(), "state": "requested", "closed_at": None}


async def test_a_request_of_a_new_train_and_version_says_where_it_came_from_once(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        story = await begun(pool)
        await story.told(make_request(1))
        moved = Retarget(from_train="beta", to_train="release", major=147, at=NOON, reason="merge day")
        carried = make_request(1, "release", uid="1-beta-1", target_major=148, retargets=(moved,))
        await story.told(carried)
        await story.told(carried, digest="again")
        found = await story.read()
        assert (found["train"], found["target_major"]) == ("release", 148)
        assert await story.whats() == ["seen", "retarget", "target"]


async def test_the_same_report_is_unchanged_and_an_older_is_refused(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        story = await begun(pool)
        await story.told(make_request(1, outcome=Outcome.CLEAN), digest="same")
        assert await story.told(make_request(1), digest="same") == "unchanged"
        assert await story.told(make_request(1, series_digest="s2"), digest="same") == "updated"
        async with pool.connection() as connection:
            old = make_bug(1, digest="old", read_at=NOON - timedelta(hours=1))
            (taken,) = (await bugs.take(connection, BugsReport(round="r", bugs=(old,)))).bugs
        assert taken.result == "refused"
        assert (await story.read())["closed_at"] is None


async def test_a_failed_analysis_keeps_the_bug_and_the_last_good_one(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        story = await begun(pool)
        await story.told(make_request(1), analysis={"good": 1})
        await story.told(make_request(1), analysis=None, analysis_error="timed out")
        async with pool.connection() as connection:
            found = await bugs.detail(connection, 1, see_restricted=True)
        assert found is not None
        bug = msgspec.json.decode(found[0])
        assert (bug["facts"]["analysis"], bug["analysis_error"]) == ({"good": 1}, "timed out")


async def test_a_uid_of_another_bug_is_refused_and_leaves_both_as_they_were(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        story = await begun(pool)
        await story.told(make_request(1))
        thief = make_bug(2, make_request(2, uid="1-beta-1"))
        async with pool.connection() as connection:
            (taken,) = (await bugs.take(connection, BugsReport(round="r", bugs=(thief,)))).bugs
        assert (taken.result, "another bug" in (taken.reason or "")) == ("refused", True)
        assert (await story.read())["bug"] == 1


async def test_reports_of_the_same_bugs_at_once_wait_for_each_other_and_none_is_lost(
    database: Database,
) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        await begun(pool)

        async def tell(numbers: list[int], train: str) -> list[str]:
            reports: list[BugReport] = [
                make_bug(n, make_request(n, train), digest=f"{train}{n}", requests_kept=("beta", "release"))
                for n in numbers
            ]
            async with pool.connection() as connection:
                taken = await bugs.take(connection, BugsReport(round="r", bugs=tuple(reports)))
            return [each.result for each in taken.bugs]

        results = await asyncio.gather(
            tell(list(range(1, 30)), "beta"), tell(list(range(29, 0, -1)), "release")
        )
        assert "refused" not in [one for many in results for one in many]
        async with pool.connection() as connection:
            raw = await requests.listed(connection, see_restricted=True, see_addresses=True)
        assert len(msgspec.json.decode(raw)["requests"]) == 58


async def test_a_trial_told_twice_is_one_and_one_made_later_is_another(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        story = await begun(pool)
        await story.told(make_request(1))
        later = NOON + timedelta(minutes=1)
        for at, added in ((NOON, 1), (NOON, 0), (later, 1)):
            async with pool.connection() as connection:
                report = TrialsReport(trials=(make_trial("1-beta-1", "beta", tried_at=at),))
                assert await trials.save(connection, report) == added
        assert len((await story.read())["trials"]) == 2


async def test_no_report_empties_the_trains_and_one_without_a_train_ends_it(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        story = await begun(pool)
        await story.told(make_request(1))

        async def names() -> list[str]:
            async with pool.connection() as connection:
                raw = await trains.listed(
                    connection, see_restricted=True, count_restricted=False, see_addresses=True
                )
            return [each["name"] for each in msgspec.json.decode(raw)["trains"]]

        with pytest.raises(Refused):
            async with pool.connection() as connection:
                await trains.save(connection, TrainsReport(trains=()))
        assert await names() == ["beta", "release"]
        later = NOON + timedelta(days=1)
        async with pool.connection() as connection:
            await trains.save(connection, make_trains(make_train("esr140", read_at=later)))
        # Beta still holds an open request, so it is still shown; release is not.
        assert await names() == ["esr140", "beta"]
        async with pool.connection() as connection:
            stale = make_train("esr140", version="old", read_at=NOON)
            await trains.save(connection, make_trains(stale))
            raw = await trains.listed(
                connection, see_restricted=True, count_restricted=False, see_addresses=True
            )
        assert msgspec.json.decode(raw)["trains"][0]["version"] == "147.0b3"


def test_history_is_a_pure_matter() -> None:
    new = make_request(1, series_digest="s2", state=RequestState.APPROVED)
    old = Stored(
        bug=1,
        uid="1-beta-1",
        train="beta",
        state="requested",
        target_major=147,
        series_digest="s1",
        is_closed=False,
        history=[],
    )
    assert [entry["what"] for entry in entries(None, new, NOON)] == ["seen"]
    assert [entry["what"] for entry in entries(old, new, NOON)] == ["state", "series"]
    assert entries(old, make_request(1), NOON) == []
