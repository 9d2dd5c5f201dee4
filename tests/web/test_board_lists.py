# SPDX-License-Identifier: MPL-2.0
"""The board's lists as people read them: honest counts with their age, and nothing of restricted bugs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from fixtures_postgres import Database
from fixtures_web import NOON, Service, make_bug, make_request, make_secret, make_train, running
from shipit.merge.types import Outcome
from shipit.uplift.lists import ListName
from shipit.uplift.needinfos import Needinfo
from shipit.uplift.report import ListedBug, ListReport, ListsReport, TrainsReport
from shipit.uplift.types import RequestState

SEARCHED = (ListName.TRACKING, ListName.RELNOTE, ListName.SECURITY, ListName.UNASKED)


def make_listed(bug: int, **more: Any) -> ListedBug:
    facts: dict[str, Any] = {
        "sentence": "It is asked for.",
        "summary": f"Summary of {bug}",
        "product": "Firefox",
        "component": "Tabs",
        "assignee": "dev@people.example",
        "is_restricted": False,
        "changed": NOON,
        "url": f"https://bugs.example/{bug}",
    }
    return ListedBug(bug=bug, **(facts | more))


def make_lists(at: datetime = NOON, **bugs: Any) -> ListsReport:
    """A report of beta's searched lists; bugs: by name of the list, a reason where it could not be read."""
    return ListsReport(
        lists=tuple(
            ListReport(train="beta", list=name, read_at=at, unavailable=found)
            if isinstance(found := bugs.get(name.name.lower(), ()), str)
            else ListReport(train="beta", list=name, read_at=at, bugs=tuple(found))
            for name in SEARCHED
        )
    )


async def told(service: Service, report: ListsReport) -> None:
    answer = await service.put("/api/board/lists", report)
    assert answer.status_code == 204, answer.text


async def seen(service: Service, who: str | None = None) -> dict[str, dict[str, Any]]:
    answer = await service.by(who).get("/api/board/beta/lists")
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["lists"]}


async def test_lists_have_counts_ages_and_rows(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        await told(
            service,
            make_lists(tracking=[make_listed(7), make_listed(8, severity="S2")], relnote="down since lunch"),
        )
        found = await seen(service)
        assert list(found) == [name.value for name in ListName]
        tracking, relnote = found["tracking"], found["relnote"]
        assert (tracking["value"], [row["bug"] for row in tracking["rows"]]) == (2, [8, 7])
        assert tracking["rows"][0]["assignee"] == "dev", "strangers see no addresses"
        assert datetime.fromisoformat(tracking["read_at"]) == NOON
        # unavailable is never zero
        assert (relnote["value"], relnote["read_at"], relnote["rows"]) == (None, None, [])
        assert relnote["unavailable_reason"] == "down since lunch"
        assert found["security"]["value"] == 0


async def test_list_that_fails_keeps_its_rows_and_says_since_when(database: Database) -> None:
    async with running(database) as service:
        await service.feed()
        await told(service, make_lists(tracking=[make_listed(7)]))
        later = NOON + timedelta(hours=1)
        await told(service, make_lists(later, tracking="Bugzilla answered 500"))
        await told(service, make_lists(later + timedelta(hours=1), tracking="Bugzilla answered 502"))
        tracking = (await seen(service))["tracking"]
        assert (tracking["value"], [row["bug"] for row in tracking["rows"]]) == (1, [7])
        assert datetime.fromisoformat(tracking["read_at"]) == NOON
        assert datetime.fromisoformat(tracking["unavailable_since"]) == later
        assert tracking["unavailable_reason"] == "Bugzilla answered 502"


async def test_older_report_changes_nothing_and_a_repeated_one_neither(database: Database) -> None:
    async with running(database) as service:
        await service.feed()
        report = make_lists(tracking=[make_listed(7)])
        for _ in range(2):
            await told(service, report)
        await told(service, make_lists(NOON - timedelta(hours=1), tracking=[make_listed(9)]))
        tracking = (await seen(service))["tracking"]
        assert [row["bug"] for row in tracking["rows"]] == [7]


async def test_restricted_bugs_are_hidden_counted_or_shown_by_audience(database: Database) -> None:
    async with running(database) as service:
        await service.feed(
            make_secret(7316661, make_request(7316661, state=RequestState.APPROVED, outcome=Outcome.CLEAN))
        )
        await told(
            service,
            make_lists(
                tracking=[make_listed(7), make_listed(7316662, is_restricted=True, summary="SECRET")],
                # public to the search, restricted when it was read: whoever is stricter is believed
                unasked=[make_listed(7316661, summary="SECRET")],
            ),
        )
        for who in (None, "stranger", "user", "admin", "bot"):
            answer = await service.by(who).get("/api/board/beta/lists")
            assert "SECRET" not in answer.text and "73166" not in answer.text, who
        numbers = {
            who: [(one["value"], one["restricted"]) for one in (await seen(service, who)).values()]
            for who in (None, "user", "reader")
        }
        assert numbers == {
            None: [(1, None), (0, None), (0, None), (0, None), (0, None), (0, None), (0, None)],
            "user": [(1, 1), (0, 0), (0, 0), (0, 0), (0, 1), (0, 0), (0, 1)],
            "reader": [(2, None), (0, None), (0, None), (0, None), (1, None), (0, None), (1, None)],
        }


async def test_lists_out_of_requests_follow_state_trial_and_flag(database: Database) -> None:
    ask = Needinfo(
        requestee="dev@people.example",
        asked_by="rosa@people.example",
        asked_at=NOON,
        cleared_by="dev@people.example",
        cleared_at=NOON + timedelta(hours=1),
    )
    affected, approved = {"cf_status_firefox152": "affected"}, RequestState.APPROVED
    async with running(database) as service:
        trains = TrainsReport(trains=(make_train(status_flag="cf_status_firefox152"),))
        await service.feed(
            make_bug(101, make_request(101, state=approved, outcome=Outcome.CLEAN), fields=affected),
            make_bug(102, make_request(102, state=approved, outcome=Outcome.LANDED), fields=affected),
            make_bug(103, make_request(103), needinfos=(ask,)),
            make_bug(104, make_request(104)),
            trains=trains,
        )
        found = await seen(service)
        rows = {name: [(row["bug"], row["request"]) for row in found[name]["rows"]] for name in found}
        assert rows == {
            "answered": [(103, "103-beta-1")],
            "not-landed": [(101, "101-beta-1")],
            "not-flagged": [(102, "102-beta-1")],
        }
        assert found["answered"]["rows"][0]["sentence"] == "dev answered rosa."
        member = await seen(service, "user")
        assert member["answered"]["rows"][0]["sentence"] == "dev@people.example answered rosa@people.example."


async def test_wrong_reports_are_refused_whole(database: Database) -> None:
    async with running(database) as service:
        await service.feed()
        good = make_lists(tracking=[make_listed(7)])
        twice = ListsReport(lists=(*good.lists, good.lists[0]))
        assert (await service.put("/api/board/lists", twice)).status_code == 400
        same = make_lists(tracking=[make_listed(7), make_listed(7)])
        assert (await service.put("/api/board/lists", same)).status_code == 400
        assert (await seen(service)).get("tracking") is None
        assert (await service.client.get("/api/board/nothing/lists")).status_code == 404
        elsewhere = msgspec.structs.replace(good.lists[0], train="nowhere")
        assert (await service.put("/api/board/lists", ListsReport(lists=(elsewhere,)))).status_code == 204
