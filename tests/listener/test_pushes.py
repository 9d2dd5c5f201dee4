# SPDX-License-Identifier: MPL-2.0
"""Pushes: a pushlog is read without a hole, what the broker never told is found, GitHub is asked again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from aiohttp import web

from event_builders import CENTRAL, GROUP, REVISION
from fake_taskcluster import FakeTaskcluster, group_row, served
from fixtures_postgres import Database as Scratch
from shipit.clients.hooks import Hooks
from shipit.clients.http import open_session
from shipit.clients.pushes import GithubDeliveries, Pushlog
from shipit.events.originals import all_routes, default_hooks
from shipit.events.sources import GroupSweep
from shipit.listener.book import RouteBook
from shipit.listener.groups import ExpectedGroups
from shipit.listener.intake import Intake
from shipit.listener.measures import Measures
from shipit.listener.polls import PushlogPoll, RedeliverySweep
from shipit.listener.supervision import Health
from shipit.storage import journal_pages, sources
from shipit.storage.pool import Database, open_pool


class Repository:
    """A pushlog that remembers, and GitHub's list of deliveries."""

    def __init__(self) -> None:
        self.pushes: dict[int, dict[str, Any]] = {}
        self.deliveries: list[dict[str, Any]] = []
        self.again: list[int] = []

    def push(self, number: int, *, date: int = 1000, node: str = REVISION) -> None:
        changeset = {"node": node, "files": [f"dir/file{number}"], "desc": "x"}
        self.pushes[number] = {"changesets": [changeset], "date": date, "user": "a@x.example"}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/repo/json-pushes", self._pushes)
        app.router.add_get("/repos/o/r/hooks/7/deliveries", self._deliveries)
        app.router.add_post("/repos/o/r/hooks/7/deliveries/{number}/attempts", self._attempt)
        return app

    async def _pushes(self, request: web.Request) -> web.Response:
        start, end = int(request.query["startID"]), int(request.query["endID"])
        found = {str(n): push for n, push in self.pushes.items() if start < n <= end}
        return web.json_response({"lastpushid": max(self.pushes), "pushes": found})

    async def _deliveries(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer token"
        return web.json_response(self.deliveries)

    async def _attempt(self, request: web.Request) -> web.Response:
        self.again.append(int(request.match_info["number"]))
        return web.json_response({}, status=202)


class Stage:
    def __init__(
        self, repository: Repository, tc: FakeTaskcluster, url: str, db: Database, session: Any
    ) -> None:
        self.repository, self.tc, self.url, self.db = repository, tc, url, db
        self.pushlog = Pushlog(session, f"{url}/repo")
        self.hooks = Hooks(session, tc.url, {}, attempts=1)
        self.github = GithubDeliveries(session, url, "o/r", 7, "token")
        routes = all_routes((), default_hooks("testing"))
        self.intake = Intake(db, RouteBook(lambda: routes), Measures(), instance="testing")

    async def events(self) -> list[dict[str, Any]]:
        async with self.db.connection() as connection:
            found: list[dict[str, Any]] = msgspec.json.decode(await journal_pages.list_events(connection))
        return found

    async def cursor(self, name: str) -> Any:
        async with self.db.connection() as connection:
            return await sources.read_cursor(connection, name)


@pytest.fixture
async def stage(database: Scratch) -> AsyncIterator[Stage]:
    repository, tc = Repository(), FakeTaskcluster()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(repository.app()))
        tc.url = await stack.enter_async_context(served(tc.app()))
        session = await stack.enter_async_context(open_session())
        db = await stack.enter_async_context(open_pool(database.url, instance=database.instance))
        yield Stage(repository, tc, url, db, session)


async def test_a_pushlog_is_read_from_the_newest_on_and_without_a_hole(stage: Stage) -> None:
    stage.repository.push(10)
    poll = PushlogPoll("central", stage.pushlog, stage.intake, stage.db, Health(), every=1)
    await poll.once()
    assert await stage.cursor("pushlog:central") == {"last": 10}
    assert await stage.events() == []
    for number in (11, 12, 400):
        stage.repository.push(number)
    await poll.once()
    assert await stage.cursor("pushlog:central") == {"last": 400}
    rows = await stage.events()
    assert sorted(row["subject"] for row in rows) == ["repo, push 11", "repo, push 12", "repo, push 400"]
    assert all(row["event"] == "hg-push" for row in rows)


async def test_a_group_the_broker_never_told_is_told_once_it_is_resolved(stage: Stage) -> None:
    rule = GroupSweep(name="central", url=stage.pushlog.url, index="gecko.{revision}.decision", after_hours=1)
    sweep = ExpectedGroups(rule, stage.pushlog, stage.hooks, stage.intake, stage.db, Health(), every=1)
    stage.repository.push(1)
    await sweep.once(now=1000)
    stage.repository.push(2, date=1000)
    row = group_row("build-linux64-ccov/debug", task="A", env={"GECKO_HEAD_REPOSITORY": CENTRAL})
    stage.tc.groups[GROUP] = [row]
    stage.tc.tasks["D"] = {"state": "completed", "runs": [], "group": GROUP}
    stage.tc.index[f"gecko.{REVISION}.decision"] = "D"
    assert await sweep.once(now=1000 + 1800) == 0, "too young"
    row["status"]["state"] = "running"
    assert await sweep.once(now=1000 + 7200) == 0, "not resolved"
    row["status"]["state"] = "failed"
    assert await sweep.once(now=1000 + 7200) == 1
    assert await sweep.once(now=1000 + 7200) == 0
    (event,) = await stage.events()
    assert (event["event"], event["subject"], event["state"]) == ("task-group-resolved", GROUP, "stored")


async def test_a_push_without_group_is_given_up_in_the_end(stage: Stage) -> None:
    rule = GroupSweep(
        name="central", url=stage.pushlog.url, index="x.{revision}", after_hours=1, give_up_hours=2
    )
    sweep = ExpectedGroups(rule, stage.pushlog, stage.hooks, stage.intake, stage.db, Health(), every=1)
    stage.repository.push(1)
    await sweep.once(now=1000)
    stage.repository.push(2, date=1000)
    await sweep.once(now=1000 + 5400)
    assert await stage.cursor("groups:central") == {"last": 1}
    await sweep.once(now=1000 + 9000)
    assert await stage.cursor("groups:central") == {"last": 2}


async def test_a_delivery_that_never_reached_us_is_asked_for_again_once(stage: Stage) -> None:
    stage.repository.deliveries = [
        {"id": 3, "guid": "b", "status_code": 200},
        {"id": 2, "guid": "a", "status_code": 502},
        {"id": 1, "guid": "b", "status_code": 500},
        {"id": 4, "guid": "c", "status_code": 0},
    ]
    sweep = RedeliverySweep("app", stage.github, stage.db, Health(), every=1)
    assert await sweep.once() == 2
    assert await sweep.once() == 0
    assert stage.repository.again == [2, 4]
