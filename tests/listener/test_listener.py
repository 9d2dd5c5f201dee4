# SPDX-License-Identifier: MPL-2.0
"""The listener whole, on a real PostgreSQL, beside a Taskcluster and a Conduit that remember."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web

from event_builders import CENTRAL, GROUP, REVISION, commit, delivery, published, resolved
from fake_taskcluster import SLUG, FakeConduit, FakeTaskcluster, group_row, served
from fixtures_postgres import Database as Scratch
from shipit.clients.differential import Differential
from shipit.clients.hooks import Hooks, takes_task_id
from shipit.clients.http import open_session
from shipit.errors import ShipitError
from shipit.events.originals import all_routes, default_hooks
from shipit.events.routes import Route, parse_routes
from shipit.events.types import Delivery
from shipit.listener.book import RouteBook
from shipit.listener.dispatcher import Pace
from shipit.listener.follower import FollowPace
from shipit.listener.listener import Listener, Outside, Plan
from shipit.listener.polls import DiffPoll, RevisionSweep
from shipit.listener.supervision import Health, supervise
from shipit.listener.telling import Recipients, Terms
from shipit.storage import journal_pages, sources
from shipit.storage.pool import Database, open_pool

CREDENTIALS = {"clientId": "listener", "accessToken": "secret"}
ORIGINALS = all_routes((), default_hooks("testing"))
COVERAGE = "project-releng/services-testing-shipit-code-coverage"
QUICK = Pace(
    lease=timedelta(seconds=2),
    idle=0.05,
    deadline=timedelta(hours=1),
    first_look=timedelta(milliseconds=50),
)
STRICT = {"type": "object", "properties": {"REVISION": {}}, "additionalProperties": False}


class Stage:
    """Everything a test needs around one listener."""

    def __init__(
        self, db: Database, session: ClientSession, tc: FakeTaskcluster, conduit: FakeConduit
    ) -> None:
        self.db, self.session, self.tc, self.conduit = db, session, tc, conduit
        self.hooks = Hooks(session, tc.url, CREDENTIALS, timeout=1.0, attempts=1)
        self.differential = Differential(session, conduit.url, "api-token")

    def listener(self, routes: tuple[Route, ...] = ORIGINALS, **plan: Any) -> Listener:
        chosen: dict[str, Any] = {
            "instance": "testing",
            "pace": QUICK,
            "poll_seconds": 0.05,
            "sweep_seconds": 0.1,
            "follow": FollowPace(idle=0.05, first=timedelta(milliseconds=50)),
            "terms": Terms(idle=0.05),
            "recipients": Recipients(mail=("a@x.example", "b@x.example")),
            **plan,
        }
        outside = Outside(hooks=self.hooks, differential=self.differential)
        return Listener(self.db, RouteBook(lambda: routes), outside, Plan(**chosen))

    @asynccontextmanager
    async def running(self, routes: tuple[Route, ...] = ORIGINALS, **plan: Any) -> AsyncIterator[Listener]:
        listener, stop = self.listener(routes, **plan), asyncio.Event()
        task = asyncio.create_task(listener.run(stop))
        try:
            yield listener
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    async def events(self) -> list[dict[str, Any]]:
        async with self.db.connection() as connection:
            found: list[dict[str, Any]] = msgspec.json.decode(await journal_pages.list_events(connection))
        return found

    async def effects(self) -> list[dict[str, Any]]:
        return [effect for event in await self.events() for effect in event["effects"]]

    async def take(self, listener: Listener, *some: Delivery) -> None:
        await listener.intake.take("test", some)


@pytest.fixture
async def stage(database: Scratch) -> AsyncIterator[Stage]:
    tc, conduit = FakeTaskcluster(), FakeConduit()
    async with AsyncExitStack() as stack:
        tc.url = await stack.enter_async_context(served(tc.app()))
        conduit.url = await stack.enter_async_context(served(conduit.app()))
        session = await stack.enter_async_context(open_session())
        db = await stack.enter_async_context(open_pool(database.url, instance=database.instance))
        tc.groups[GROUP] = [coverage_build("A")]
        yield Stage(db, session, tc, conduit)


def coverage_build(task: str, **env: str) -> dict[str, Any]:
    known = {"GECKO_HEAD_REPOSITORY": CENTRAL, "GECKO_HEAD_REV": REVISION, **env}
    return group_row("build-linux64-ccov/debug", task=task, env=known)


async def until(truth: Callable[[], Awaitable[bool]], *, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not await truth():
            await asyncio.sleep(0.02)


async def settle(stage: Stage, *states: str) -> list[dict[str, Any]]:
    """Wait until the effects are in these states, oldest first."""
    found: list[dict[str, Any]] = []

    async def reached() -> bool:
        nonlocal found
        found = sorted(await stage.effects(), key=lambda effect: effect["id"])
        return [effect["state"] for effect in found] == list(states)

    try:
        await until(reached)
    except TimeoutError:
        raise AssertionError(f"effects: {found}") from None
    return found


async def test_a_resolved_group_triggers_coverage_once_however_often_it_is_told(stage: Stage) -> None:
    async with stage.running() as listener:
        for _ in range(3):
            await stage.take(listener, resolved(), resolved())
            await settle(stage, "fired")
    (task,) = stage.tc.tasks
    assert SLUG.fullmatch(task)
    assert stage.tc.payloads() == [{"REVISION": REVISION}]
    assert (await stage.effects())[0]["task_id"] == task


async def test_pages_that_are_empty_or_overlap_are_read_to_the_end(stage: Stage) -> None:
    odd = group_row("build-linux64-ccov/opt", task="Z", env=None)
    stage.tc.groups[GROUP] = [group_row("x", task="B", env={}), odd, odd, coverage_build("A")]
    stage.tc.page_size = 1
    async with stage.running() as listener:
        await stage.take(listener, resolved())
        await settle(stage, "fired")


async def test_L12_a_failing_group_listing_is_asked_again_and_holds_up_nobody(stage: Stage) -> None:
    stage.tc.misbehave = lambda request: web.Response(status=500) if request.path.endswith("/list") else None
    async with stage.running() as listener:
        await stage.take(listener, resolved(), published(commit(1, "a")))
        await settle(stage, "fired")
        stage.tc.misbehave = lambda request: None
        await settle(stage, "fired", "fired")


async def test_L20_a_hook_that_declines_is_no_failure(stage: Stage) -> None:
    stage.tc.declines = True
    async with stage.running() as listener:
        await stage.take(listener, resolved())
        await settle(stage, "declined")


async def test_L1_a_timeout_whose_trigger_came_through_makes_one_task(stage: Stage) -> None:
    slow = [3.0]

    def late(request: web.Request) -> float | None:
        return slow.pop() if request.path.endswith("/trigger") and slow else None

    stage.tc.misbehave = late
    async with stage.running() as listener:
        await stage.take(listener, published(commit(1, "a")))
        await settle(stage, "fired")
        await asyncio.sleep(0.5)
    assert len(stage.tc.tasks) == 1


@pytest.mark.parametrize("answer", [429, "text"])
async def test_what_passes_is_tried_again(stage: Stage, answer: int | str) -> None:
    left = [1, 1]

    def broken(request: web.Request) -> web.StreamResponse | None:
        if not request.path.endswith("/trigger") or not left:
            return None
        left.pop()
        if answer == "text":
            return web.Response(text="<html>", content_type="application/json")
        headers = {"Retry-After": "0"} if answer == 429 else {}
        return web.Response(status=int(answer), headers=headers)

    stage.tc.misbehave = broken
    async with stage.running() as listener:
        await stage.take(listener, published(commit(1, "a")))
        await settle(stage, "fired")
    assert len(stage.tc.tasks) == 1


async def test_L13_one_refused_commit_does_not_repeat_the_others(stage: Stage) -> None:
    left = [1]

    def refuses(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if request.path.endswith("/trigger") and left.pop(0) else None

    left += [0] * 99
    stage.tc.misbehave = refuses
    async with stage.running() as listener:
        await stage.take(listener, published(commit(1, "a"), commit(2, "b")))
        await settle(stage, "fired", "fired")
        await stage.take(listener, published(commit(1, "a"), commit(2, "b")))
        await stage.take(listener, published(commit(2, "b"), commit(1, "a")))
        await asyncio.sleep(0.2)
    assert len(stage.tc.tasks) == 2


async def test_lacking_scopes_are_waited_for(stage: Stage) -> None:
    stage.tc.forbidden = True
    async with stage.running() as listener:
        await stage.take(listener, published(commit(1, "a")))
        await until(lambda: _called(stage.tc, "trigger", 1))
        stage.tc.forbidden = False
        await settle(stage, "fired")
    assert len(stage.tc.tasks) == 1


async def _called(tc: FakeTaskcluster, path: str, times: int) -> bool:
    return tc.calls[path] >= times


async def test_a_hook_that_takes_no_task_id_is_triggered_once_all_the_same(stage: Stage) -> None:
    stage.tc.schemas[COVERAGE] = STRICT
    assert not takes_task_id(STRICT)
    async with stage.running() as listener:
        await stage.take(listener, resolved())
        (effect,) = await settle(stage, "fired")
    assert effect["is_weak"]
    assert list(stage.tc.tasks) == [effect["task_id"]]


async def test_a_lost_answer_of_such_a_hook_is_found_among_its_last_fires(stage: Stage) -> None:
    stage.tc.schemas[COVERAGE] = {
        "type": "object",
        "properties": {"REVISION": {}},
        "additionalProperties": False,
    }
    lost = [0, 0]

    def swallow(request: web.Request) -> float | None:
        if request.path.endswith("/trigger") and lost:
            lost.pop()
            return None if lost else 1.6
        return None

    stage.tc.misbehave = swallow
    async with stage.running() as listener:
        await stage.take(listener, resolved())
        (effect,) = await settle(stage, "fired")
    assert list(stage.tc.tasks) == [effect["task_id"]]


async def test_two_listeners_on_one_journal_trigger_each_task_once(stage: Stage) -> None:
    async with stage.running() as one, stage.running() as two:
        for number in range(30):
            heard = published(commit(number, "a"))
            await asyncio.gather(stage.take(one, heard), stage.take(two, heard))
        await settle(stage, *["fired"] * 30)
    assert len(stage.tc.tasks) == 30
    assert stage.tc.calls["trigger"] == 30


async def test_a_route_that_observes_never_acts(stage: Stage) -> None:
    routes = all_routes((), default_hooks("testing"), observe_only=True)
    async with stage.running(routes) as listener:
        await stage.take(listener, published(commit(1, "a")))
        await settle(stage, "observed")
        await asyncio.sleep(0.2)
    assert stage.tc.calls["trigger"] == 0


def hook_row(name: str, **more: Any) -> Mapping[str, Any]:
    return {
        "name": name,
        "sink": {"kind": "hook", "hook": f"g/{name}"},
        "match": {"exchange": "exchange/x"},
        "payload": {"N": "${payload.n}"},
        **more,
    }


async def test_every_kind_of_sink_is_reached(stage: Stage) -> None:
    told: list[tuple[str, Any]] = []

    async def hear(request: web.Request) -> web.Response:
        told.append((request.headers["Idempotency-Key"], await request.json()))
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/hear", hear)
    async with served(app) as url:
        mail = {"subject": "n ${payload.n}", "content": "hello"}
        routes = parse_routes(
            [
                hook_row("task", sink={"kind": "task"}, payload={"payload": {"n": "${payload.n}"}}),
                hook_row("http", sink={"kind": "http", "url": url + "/hear"}),
                hook_row("mail", sink={"kind": "mail", "address": "c@x.example"}, payload=mail),
            ]
        )
        async with stage.running(routes) as listener:
            await stage.take(listener, delivery("exchange/x", "k", {"n": 7}))
            found = {effect["route"]: effect for effect in await settle(stage, "fired", "done", "done")}
    assert stage.tc.tasks[found["task"]["task_id"]]["payload"] == {"n": 7}
    assert told == [(found["http"]["task_id"], {"N": 7})]
    assert stage.tc.mails[0]["subject"] == "n 7"


async def test_a_route_at_its_limit_waits(stage: Stage) -> None:
    async with stage.running(
        parse_routes([hook_row("limited", limits={"per_hour": 2, "at_once": 1})])
    ) as listener:
        await stage.take(listener, *(delivery("exchange/x", "k", {"n": n}) for n in range(4)))
        await settle(stage, "fired", "fired", "due", "due")
    assert len(stage.tc.tasks) == 2


async def test_a_task_is_followed_until_it_is_resolved(stage: Stage) -> None:
    async with stage.running() as listener:
        await stage.take(listener, resolved())
        (effect,) = await settle(stage, "fired")
        stage.tc.resolve(effect["task_id"], "completed")
        (effect,) = await settle(stage, "done")
    assert (effect["task_state"], effect["task_reason"]) == ("completed", "completed")


async def test_L25_a_task_that_does_not_end_is_asked_after_ever_more_rarely(stage: Stage) -> None:
    async with stage.running() as listener:
        await stage.take(listener, *(published(commit(number, "a")) for number in range(5)))
        await settle(stage, *["fired"] * 5)
        await asyncio.sleep(1.2)
    # 50 ms doubled each time: five or six questions for each of five tasks, not one every 50 ms
    assert 5 <= stage.tc.calls["status"] <= 35


async def test_a_task_the_machines_lost_is_created_again_but_not_for_ever(stage: Stage) -> None:
    follow = FollowPace(idle=0.05, first=timedelta(milliseconds=50), max_recreations=2)
    async with stage.running(follow=follow) as listener:
        await stage.take(listener, resolved())
        for number in range(1, 4):
            await until(lambda n=number: _has_tasks(stage.tc, n))
            await settle(stage, "fired")
            stage.tc.resolve(list(stage.tc.tasks)[-1], "exception", "worker-shutdown")
        (effect,) = await settle(stage, "done")
    assert (effect["recreations"], effect["task_state"], len(stage.tc.tasks)) == (2, "exception", 3)
    assert effect["former_tasks"] == list(stage.tc.tasks)[:2]


async def _has_tasks(tc: FakeTaskcluster, count: int) -> bool:
    return len(tc.tasks) == count


async def test_a_streak_of_failures_raises_one_alarm_and_a_success_clears_it(stage: Stage) -> None:
    async with stage.running() as listener:
        for number in range(4):
            await stage.take(listener, published(commit(number, "a")))
            await settle(stage, *["done"] * number, "fired")
            stage.tc.resolve(list(stage.tc.tasks)[-1], "failed" if number < 3 else "completed")
            await settle(stage, *["done"] * (number + 1))
        await until(lambda: _mailed(stage.tc, 4))
        await asyncio.sleep(0.2)
    subjects = sorted({mail["subject"] for mail in stage.tc.mails})
    assert subjects == [
        "static-analysis-mozreview works again",
        "static-analysis-mozreview: 3 tasks failed in a row",
    ]


async def _mailed(tc: FakeTaskcluster, count: int) -> bool:
    return len(tc.mails) >= count


async def test_L22_L23_L24_the_report_comes_by_the_clock_to_all_but_who_denied_it(
    stage: Stage,
) -> None:
    stage.tc.denied.add("a@x.example")
    terms = Terms(idle=0.05, report_every=timedelta(seconds=1), streak=99)
    async with stage.running(terms=terms) as listener:
        await stage.take(listener, resolved())
        (effect,) = await settle(stage, "fired")
        stage.tc.resolve(effect["task_id"], "failed")
        await until(lambda: _mailed(stage.tc, 1))
        await asyncio.sleep(1.3)
    (mail,) = stage.tc.mails
    assert (mail["address"], mail["subject"], mail["template"]) == (
        "b@x.example",
        "Pulse listener tasks",
        "fullscreen",
    )
    assert "# services-testing-shipit-code-coverage tasks for the last period" in mail["content"]
    assert f"* [{effect['task_id']}]({stage.tc.url}/tasks/{effect['task_id']})" in mail["content"]


async def test_what_is_quarantined_is_told_once(stage: Stage) -> None:
    async with stage.running() as listener:
        await stage.take(listener, delivery("exchange/x", "k", b"not json"))
        await until(lambda: _mailed(stage.tc, 2))
        await stage.take(listener, delivery("exchange/x", "k", b"neither"))
        await asyncio.sleep(0.3)
    assert [mail["subject"] for mail in stage.tc.mails] == ["1 in quarantine"] * 2


# --- Phabricator ---


async def cursor(stage: Stage, name: str = "phabricator") -> Any:
    async with stage.db.connection() as connection:
        return await sources.read_cursor(connection, name)


async def test_the_first_start_begins_at_the_newest_and_pages_are_read_in_order(stage: Stage) -> None:
    stage.conduit.add(3)
    listener = stage.listener()
    poll = DiffPoll(stage.differential, listener.intake, stage.db, Health(), every=1)
    await poll.once()
    assert await cursor(stage) == {"last": 3, "floor": 3}
    for number in range(4, 49):
        stage.conduit.add(number)
    await poll.once()
    assert await cursor(stage) == {"last": 48, "floor": 3}
    assert {event["subject"] for event in await stage.events()} == {f"diff {n}" for n in range(4, 49)}
    pages = [asked for method, asked in stage.conduit.asked if asked.get("order") == "oldest"]
    assert [(page["after"], page["limit"]) for page in pages] == [("3", 20), ("23", 20), ("43", 20)]


async def test_L9_only_diffs_are_taken_from_an_answer(stage: Stage) -> None:
    stage.conduit.add(1)
    poll = DiffPoll(stage.differential, stage.listener().intake, stage.db, Health(), every=1)
    await poll.once()
    stage.conduit.add(2)
    stage.conduit.diffs[2]["type"] = "DREV"
    stage.conduit.add(3)
    await poll.once()
    assert [event["subject"] for event in await stage.events()] == ["diff 3"]


async def test_L4_L6_an_outage_of_phabricator_loses_no_diff(stage: Stage) -> None:
    stage.conduit.add(1)
    async with stage.running() as listener:
        await until(lambda: _has_cursor(stage))
        stage.conduit.down = True
        for number in (2, 3, 4):
            stage.conduit.add(number)
        await asyncio.sleep(0.3)
        assert "phabricator" in listener.health.problems(quiet=99)
        await stage.take(listener, published(commit(1, "a")))
        await settle(stage, "fired")
        stage.conduit.down = False
        await settle(stage, *["fired"] * 4)
        assert "phabricator" not in listener.health.problems(quiet=99)
    assert {p["ANALYSIS_ID"] for p in stage.tc.payloads()} == {1, "PHID-DIFF-2", "PHID-DIFF-3", "PHID-DIFF-4"}


async def _has_cursor(stage: Stage) -> bool:
    return await cursor(stage) is not None


async def test_L5_the_listener_starts_while_phabricator_is_down(stage: Stage) -> None:
    stage.conduit.down = True
    async with stage.running() as listener:
        await stage.take(listener, published(commit(1, "a")))
        await settle(stage, "fired")


@pytest.mark.parametrize("fate", ["vanished", "hidden"])
async def test_a_cursor_whose_diff_is_gone_is_paged_around(stage: Stage, fate: str) -> None:
    stage.conduit.add(5)
    poll = DiffPoll(stage.differential, stage.listener().intake, stage.db, Health(), every=1)
    await poll.once()
    for number in range(6, 30):
        stage.conduit.add(number)
    if fate == "vanished":
        del stage.conduit.diffs[5]
    else:
        stage.conduit.hidden.add(5)
    await poll.once()
    assert len(await stage.events()) == 24
    assert (await cursor(stage))["last"] == 29


async def test_L7_a_diff_that_becomes_visible_later_is_found_by_the_sweep(stage: Stage) -> None:
    stage.conduit.add(5)
    intake = stage.listener().intake
    poll = DiffPoll(stage.differential, intake, stage.db, Health(), every=1)
    sweep = RevisionSweep(stage.differential, intake, stage.db, Health(), every=1)
    await poll.once()
    for number in (7, 8):
        stage.conduit.add(number)
    stage.conduit.hidden.add(7)
    await poll.once()
    assert await sweep.once(now=1000) == 0
    stage.conduit.hidden.clear()
    stage.conduit.revisions = [{"fields": {"diffPHID": f"PHID-DIFF-{number}"}} for number in (5, 7, 8)]
    assert await sweep.once(now=2000) == 1, "5 is older than our first start, 8 is known"
    assert await sweep.once(now=3000) == 0
    assert sorted(event["subject"] for event in await stage.events()) == ["diff 7", "diff 8"]
    asked = [
        a["constraints"]["modifiedStart"]
        for m, a in stage.conduit.asked
        if m == "differential.revision.search"
    ]
    assert asked == [100, 100, 1100]


async def test_L7_a_diff_that_gets_its_revision_later_is_triggered_then(
    stage: Stage, database: Scratch
) -> None:
    stage.conduit.add(1)
    async with stage.running() as listener:
        await until(lambda: _has_cursor(stage))
        stage.conduit.add(2, revision=None)
        await until(lambda: _is_waiting(stage))
        stage.conduit.add(2, revision="PHID-DREV-b")
        with database.connect() as own:
            own.execute("update events set look_at = now()")
        listener.intake.looks.set()
        await settle(stage, "fired")
    assert stage.tc.payloads() == [{"ANALYSIS_SOURCE": "phabricator", "ANALYSIS_ID": "PHID-DIFF-2"}]


async def _is_waiting(stage: Stage) -> bool:
    found = await stage.events()
    return bool(found) and found[0]["state"] == "stored" and found[0]["looks"] > 0


async def test_herald_and_harbormaster_tell_of_a_diff_at_once(stage: Stage) -> None:
    stage.conduit.add(7, revision="PHID-DREV-b")
    stage.conduit.revisions = [{"phid": "PHID-DREV-b", "fields": {"diffPHID": "PHID-DIFF-7"}}]
    names = {"ANALYSIS_SOURCE": "phabricator", "ANALYSIS_ID": "${diff}"}
    routes = parse_routes(
        [
            {"name": "herald", "source": "herald", "sink": {"kind": "hook", "hook": "g/h"}, "payload": names},
            {
                "name": "target",
                "source": "harbormaster",
                "sink": {"kind": "hook", "hook": "g/t"},
                "payload": names,
            },
        ]
    )
    herald = {"object": {"type": "DREV", "phid": "PHID-DREV-b"}, "transactions": [{"phid": "PHID-XACT-1"}]}
    target = {"target": "PHID-HMBT-a", "diff": "7"}
    async with stage.running(routes) as listener:
        for exchange, body in (("phabricator/revisions", herald), ("phabricator/targets", target)):
            heard = Delivery(source="webhook", exchange=exchange, body=msgspec.json.encode(body))
            await stage.take(listener, heard)
        await settle(stage, "fired", "fired")
    assert stage.tc.payloads() == [{"ANALYSIS_SOURCE": "phabricator", "ANALYSIS_ID": "PHID-DIFF-7"}] * 2


async def test_every_build_target_is_told_its_end(stage: Stage) -> None:
    (route,) = parse_routes(
        [
            {
                "name": "review",
                "source": "harbormaster",
                "sink": {"kind": "hook", "hook": "g/h"},
                "match": {"repositories": ["central"]},
                "payload": {"TARGET": "${target}"},
            }
        ]
    )

    def target(name: str, repository: str) -> Delivery:
        body = {"target": name, "diff": "7", "repository": repository}
        return Delivery(
            source="harbormaster",
            exchange="phabricator/targets",
            body=msgspec.json.encode(body),
            key=f"harbormaster:{name}",
        )

    async with stage.running((route,)) as listener:
        await stage.take(listener, target("PHID-HMBT-a", "central"), target("PHID-HMBT-b", "other"))
        (effect,) = await settle(stage, "fired")
        stage.tc.resolve(effect["task_id"], "failed")
        await until(lambda: _told(stage.conduit, 2))
    told = {m["receiver"]: (m["type"], m["unit"][0]["details"]) for m in stage.conduit.messages}
    assert told == {
        "PHID-HMBT-a": ("fail", f"task {effect['task_id']}: failed (failed)"),
        "PHID-HMBT-b": ("pass", "nothing to do: repository other"),
    }


async def _told(conduit: FakeConduit, count: int) -> bool:
    return len(conduit.messages) == count


# --- the house ---


ROOMS = Path(__file__).resolve().parents[2] / "src" / "shipit"


def test_L21_no_host_is_written_into_the_code() -> None:
    files = [*(ROOMS / "listener").glob("*.py"), ROOMS / "clients/hooks.py", ROOMS / "clients/pulse.py"]
    for file in files:
        for host in ("taskcluster.net", "pulse.mozilla.org", "mozilla.com"):
            assert host not in file.read_text(encoding="utf-8"), file


def test_L28_importing_the_listener_makes_nothing() -> None:
    spoilt = "def no(*a, **k): raise SystemExit('made at import')\n"
    code = f"import asyncio\n{spoilt}asyncio.new_event_loop = asyncio.get_event_loop = no\n"
    code += "".join(f"asyncio.{kind}.__init__ = no\n" for kind in ("Queue", "Event", "Lock", "Semaphore"))
    done = subprocess.run([sys.executable, "-c", code + "import shipit.listener.listener"], check=False)
    assert done.returncode == 0


def test_a_bad_file_is_refused_and_the_good_routes_stay(tmp_path: Path) -> None:
    rows: list[Any] = [hook_row("one")]
    book = RouteBook(lambda: parse_routes(rows))
    changed = book.watch()
    rows.append({"name": "broken"})
    assert not book.reload()
    assert [route.name for route in book.routes] == ["one"]
    assert book.error is not None
    assert not changed.is_set()
    rows[1] = hook_row("two")
    assert book.reload()
    assert [route.name for route in book.routes] == ["one", "two"]
    assert changed.is_set()
    assert book.error is None


async def test_a_changed_file_is_read_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "routes"
    file.write_text("one")
    book = RouteBook(lambda: parse_routes([hook_row(file.read_text())]), path=file)
    stop = asyncio.Event()
    task = asyncio.create_task(book.follow(stop, every=0.02))
    file.write_text("another")
    async with asyncio.timeout(30):
        await book.watch().wait()
    assert book.routes[0].name == "another"
    stop.set()
    await task


async def test_a_part_that_fails_begins_anew_and_is_seen(database: Scratch) -> None:
    health, stop, runs = Health(), asyncio.Event(), 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise KeyError("surprise")
        if runs == 2:
            raise ShipitError("expected")
        health.alive("part")
        stop.set()

    task = asyncio.create_task(supervise("part", run, stop=stop, health=health, roll=lambda: 0.0))
    await until(lambda: _is(lambda: runs == 1))
    assert health.problems(quiet=9) == {"part": "KeyError: 'surprise'"}
    await task
    assert runs == 3
    assert Health().problems(quiet=9) == {}
    assert health.problems(quiet=9) == {}
    assert "part" in health.problems(quiet=-1)


async def _is(truth: Callable[[], bool]) -> bool:
    return truth()


def test_a_part_is_not_well_before_its_first_sign_of_life_and_may_rest_by_plan() -> None:
    health = Health()
    health.starting("pulse:numbers")
    assert health.problems(quiet=9) == {"pulse:numbers": "starting"}
    health.alive("pulse:numbers", rests=600)
    assert health.problems(quiet=-300) == {}


async def test_a_listener_that_has_not_begun_does_not_say_that_it_is_well(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who waits for it would publish before its queues are bound."""
    go, stop, listener = asyncio.Event(), asyncio.Event(), stage.listener(port=0)
    monkeypatch.setattr(listener, "_forget_others", lambda names: go.wait())
    running = asyncio.create_task(listener.run(stop))
    await until(lambda: _is(lambda: listener.port is not None))
    async with stage.session.get(f"http://127.0.0.1:{listener.port}/__heartbeat__") as answer:
        assert answer.status == 503
        assert (await answer.json())["problems"]["looks"] == "starting"
    stop.set()
    go.set()
    await asyncio.wait_for(running, 20)


async def test_heartbeat_and_metrics_tell_the_truth(stage: Stage) -> None:
    async with stage.running(port=0) as listener:
        await stage.take(listener, resolved())
        await settle(stage, "fired")
        await until(lambda: _is(lambda: listener.port is not None))
        base = f"http://127.0.0.1:{listener.port}"

        async def is_well() -> bool:
            async with stage.session.get(base + "/__heartbeat__") as answer:
                return answer.status == 200

        await until(is_well)
        listener.health.down("pulse:code-coverage", "gone")
        async with stage.session.get(base + "/__heartbeat__") as answer:
            assert answer.status == 503
            assert (await answer.json())["problems"] == {"pulse:code-coverage": "gone"}
        async with stage.session.get(base + "/metrics") as answer:
            text = await answer.text()
        async with stage.session.get(base + "/nothing") as answer:
            assert answer.status == 404
    assert 'shipit_listener_triggers_total{outcome="fired",route="code-coverage"} 1.0' in text
    assert 'shipit_listener_up{part="pulse:code-coverage"} 0.0' in text
    assert "shipit_listener_quarantined 0.0" in text
