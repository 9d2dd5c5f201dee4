# SPDX-License-Identifier: MPL-2.0
"""The main job from report to page, over real HTTP and PostgreSQL."""

from __future__ import annotations

import msgspec

from fixtures_postgres import Database
from fixtures_web import make_bug, make_request, make_round, make_trains, running
from shipit.merge.types import Outcome
from shipit.uplift.report import Known
from shipit.web.answers import BugAnswer, RequestAnswer, RequestsAnswer, TrainsAnswer


async def test_what_the_bot_reports_is_what_people_read(database: Database) -> None:
    async with running(database, is_demo=True) as service:
        assert (await service.client.get("/__heartbeat__")).status_code == 503
        answer = await service.feed(
            make_bug(101, make_request(101, outcome=Outcome.CLEAN), make_request(101, "release")),
            make_bug(102, make_request(102, outcome=Outcome.CONFLICT, reason="a.c differs")),
        )
        assert answer.json() == {
            "bugs": [
                {"bug": 101, "result": "created", "reason": None},
                {"bug": 102, "result": "created", "reason": None},
            ]
        }
        assert (await service.put("/api/rounds/r1", make_round())).status_code == 204
        beat = await service.client.get("/__heartbeat__")
        assert (beat.status_code, beat.json()["checks"]["rounds"]) == (200, "ok")

        trains = msgspec.json.decode((await service.client.get("/api/trains")).content, type=TrainsAnswer)
        assert [(each.name, each.open) for each in trains.trains] == [("beta", 2), ("release", 1)]
        assert trains.trains[0].counts is not None
        assert trains.trains[0].counts["requested"].outcomes == {"clean": 1, "conflict": 1}

        listed = await service.client.get("/api/requests", params={"train": "beta"})
        rows = msgspec.json.decode(listed.content, type=RequestsAnswer).requests
        assert [(row.bug, row.outcome, row.reason) for row in rows] == [
            (102, Outcome.CONFLICT, "a.c differs"),
            (101, Outcome.CLEAN, None),
        ]
        one = await service.client.get("/api/requests/101-beta-1")
        assert msgspec.json.decode(one.content, type=RequestAnswer).trials[0].took_ms == 12
        bug = await service.client.get("/api/bugs/101")
        assert len(msgspec.json.decode(bug.content, type=BugAnswer).requests) == 2

        known = msgspec.json.decode((await service.by("bot").get("/api/known")).content, type=Known)
        assert [bug.bug for bug in known.bugs] == [101, 102]
        assert known.trains == make_trains().trains

        page = await service.client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert '"is_demo":true' in page.text
        assert "Summary of 102" in page.text
