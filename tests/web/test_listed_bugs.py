# SPDX-License-Identifier: MPL-2.0
"""Bugs that the board's lists show and nobody requests anything for: asked about, and given other flags."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from fixtures_decisions import DECIDES, HUGO, MIRA, ROSA, SECURITY, Desk, desked
from fixtures_postgres import Server
from fixtures_web import CAST, Service, running
from shipit.storage import lists, visibility
from shipit.uplift.lists import ListName
from shipit.uplift.report import ListedBug, ListReport, ListsReport
from shipit.uplift.types import Bug

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUS, TRACKING = "cf_status_firefox_beta", "cf_tracking_firefox_beta"


class Board:
    """A desk with the web service before it, and a list of beta with bugs that have no request."""

    def __init__(self, desk: Desk, service: Service) -> None:
        self.desk, self.service = desk, service
        self.bugs: list[int] = []

    async def list(self, *, groups: tuple[str, ...] = (), **fields: str) -> int:
        """A bug that asks to be tracked, as the bot finds it."""
        bug = self.desk.world.bugzilla.file_bug(
            "Tracked?", by=MIRA, groups=groups, assigned_to=MIRA, **({TRACKING: "?"} | fields)
        )
        self.bugs.append(bug)
        await self.read()
        return bug

    async def read(self) -> None:
        """Search as the bot does."""
        outside = self.desk.outside
        found = await outside.bugzilla.bugs(self.bugs, outside.reading_key, fields=(STATUS, TRACKING))
        rows = tuple(_listed(bug) for bug in found.values() if isinstance(bug, Bug))
        report = ListReport(train="beta", list=ListName.TRACKING, read_at=datetime.now(UTC), bugs=rows)
        async with self.desk.pool.connection() as connection:
            await lists.save(connection, ListsReport(lists=(report,)))

    async def preview(self, bug: int, *, who: str | None = ROSA, **more: Any) -> Any:
        body = {"verdict": "flags", "bugs": [bug], "train": "beta", **more}
        return await self.service.by(who).post("/api/decisions/preview", json=body)

    async def decide(self, uid: str, bug: int, *, seen: Any = None, **more: Any) -> Any:
        shown = seen or (await self.preview(bug, **more)).json()
        body = {"verdict": "flags", "bugs": [bug], "train": "beta", "seen": shown["seen"], **more}
        return await self.service.by(ROSA).put(f"/api/decisions/{uid}", json=body)

    async def written(self, uid: str) -> Any:
        self.desk.query("update decision_parts set due_at = now()")
        return await self.desk.settle(uid)

    async def get(self, path: str, who: str | None = ROSA) -> Any:
        answer = await self.service.by(who).get(path)
        return answer.json() if answer.status_code == 200 else answer.status_code


def _listed(bug: Bug) -> ListedBug:
    return ListedBug(
        bug=bug.id,
        sentence="Tracking for beta is asked for.",
        summary=bug.summary,
        product=bug.product,
        component=bug.component,
        assignee=bug.assignee.email if bug.assignee else None,
        is_restricted=bug.is_restricted,
        changed=bug.changed,
        url="https://bugzilla.example",
        fields={name: bug.fields[name] for name in (STATUS, TRACKING) if name in bug.fields},
        flags=bug.flags,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def board(postgres: Server) -> AsyncIterator[Board]:
    database = postgres.create_migrated()
    async with desked(database) as desk:
        given = {
            "bugzilla": desk.settings.bugzilla,
            "phabricator": desk.settings.phabricator,
            "decisions": desk.settings.decisions,
            "secret_key": desk.settings.secret_key,
        }
        async with running(database, settings=given) as service:
            service.auth.people = {
                **CAST,
                ROSA: (*DECIDES, "project:shipit:restricted"),
                HUGO: DECIDES,
                "release-only": ("project:shipit:user", "project:shipit:decide/release"),
            }
            await desk.begin()
            yield Board(desk, service)
    postgres.drop(database.url)


async def test_tracking_status_and_generic_flags_are_set_once_and_read_again(board: Board) -> None:
    bug = await board.list()
    more = {"fields": {"tracking": "+", "status": "affected"}, "flags": {"qe-verify": "?"}}
    shown = (await board.preview(bug, **more)).json()
    assert shown["label"] == "Set flags and write 3 changes"
    (write,) = shown["parts"][0]["writes"]
    assert [(row["field"], row["before"], row["after"]) for row in write["rows"]] == [
        (TRACKING, "?", "+"),
        (STATUS, "---", "affected"),
        ("qe-verify", "not set", "?"),
    ]
    made = await board.decide("track-it", bug, seen=shown, **more)
    assert made.status_code == 201, made.text
    assert (await board.written("track-it")).state == "done"
    stored = board.desk.world.bugzilla.bug(bug)
    assert (stored.custom[TRACKING], stored.custom[STATUS]) == ("+", "affected")
    assert [flag.type.name for flag in stored.flags] == ["qe-verify"]
    audit = await board.get(f"/api/bugs/{bug}/audit")
    assert [line["what"] for line in audit] == ["flags", "written", "done"]
    assert [one["uid"] for one in await board.get(f"/api/decisions?bug={bug}")] == ["track-it"]


async def test_a_question_goes_to_the_assignee_unless_somebody_is_named(board: Board) -> None:
    bug = await board.list()
    made = await board.decide("ask-about-it", bug, verdict="ask", comment="Is it for {version}?")
    assert made.status_code == 201, made.text
    assert (await board.written("ask-about-it")).state == "done"
    stored = board.desk.world.bugzilla.bug(bug)
    assert [(flag.type.name, flag.requestee) for flag in stored.flags] == [("needinfo", MIRA)]
    assert board.desk.said(bug) == ["Is it for 118?"]
    named = (await board.preview(bug, verdict="ask", comment="?", requestee=HUGO)).json()
    assert named["parts"][0]["writes"][0]["rows"][0]["after"] == f"? {HUGO}"


async def test_it_may_be_taken_back_and_what_changed_meanwhile_stops_it(board: Board) -> None:
    bug = await board.list()
    fields = {"tracking": "+"}
    await board.decide("taken-back", bug, fields=fields)
    undone = await board.service.by(ROSA).delete("/api/decisions/taken-back")
    assert undone.json()["state"] == "undone"
    await board.decide("overtaken", bug, fields=fields)
    board.desk.world.bugzilla.change(bug, by=HUGO, **{TRACKING: "-"})
    shown = await board.written("overtaken")
    assert (shown.state, board.desk.world.bugzilla.bug(bug).custom[TRACKING]) == ("changed", "-")
    assert TRACKING in shown.sentence


async def test_nothing_is_approved_without_a_request_and_a_right_is_needed(board: Board) -> None:
    bug = await board.list()
    for verdict in ("approve", "reject", "withdraw", "defer"):
        refused = (await board.preview(bug, verdict=verdict)).json()["refusals"]
        assert [(one["request"], one["field"]) for one in refused] == [(f"bug {bug}", "verdict")]
    fields = {"tracking": "+"}
    refused = (await board.preview(bug, who="release-only", fields=fields)).json()["refusals"]
    assert refused[0]["reason"] == "this needs the scope project:shipit:decide/beta"
    unknown = (await board.preview(424242, fields=fields)).json()["refusals"]
    assert unknown[0]["field"] == "bugs"
    nobody = await board.preview(bug, train="", fields=fields)
    assert (nobody.status_code, nobody.json()["field"]) == (422, "body")


async def test_of_a_restricted_bug_nothing_is_told_or_done_without_the_right(board: Board) -> None:
    bug = await board.list(groups=(SECURITY,))
    fields = {"tracking": "+"}
    assert (await board.preview(bug, who=HUGO, fields=fields)).json()["refusals"][0]["field"] == "bugs"
    made = await board.decide("in-the-dark", bug, fields=fields)
    assert made.status_code == 201, made.text
    for who in (HUGO, None):
        assert await board.get("/api/decisions/in-the-dark", who) == 404
        assert await board.get(f"/api/decisions?bug={bug}", who) == []
        assert await board.get(f"/api/bugs/{bug}/audit", who) == []
    # What live updates name it by is known as the restricted bug's, so that they leave it out.
    async with board.desk.pool.connection() as connection:
        told = await visibility.restrictions(connection, "decisions", (f"bug {bug}",))
    assert told == [(bug, True, f"bug {bug}")]
    assert (await board.written("in-the-dark")).state == "done"


async def test_a_bug_that_becomes_restricted_takes_its_decisions_with_it(board: Board) -> None:
    bug = await board.list()
    await board.decide("was-public", bug, fields={"tracking": "+"})
    assert await board.get("/api/decisions/was-public", HUGO) != 404
    board.desk.world.bugzilla.change(bug, by=MIRA, groups=[SECURITY])
    await board.read()
    assert await board.get("/api/decisions/was-public", HUGO) == 404
    assert await board.get(f"/api/bugs/{bug}/audit", HUGO) == []
