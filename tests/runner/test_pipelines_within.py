# SPDX-License-Identifier: MPL-2.0
"""Pipelines that are steps of others: what they tell, what holds them, who may make them, how they go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from fixtures_pipelines import ENGINEER, Bench, benched, now, step
from fixtures_postgres import Database
from shipit.actions import pipelines as acts
from shipit.actions import rollouts, signing, stops
from shipit.actions import steps as served
from shipit.actions.persons import actor
from shipit.errors import NotAllowed, Refused
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.standing import standing
from shipit.pipeline.states import Event
from shipit.pipeline.types import Note
from shipit.storage import pipelines
from shipit.storage import steps as stored_steps
from shipit.world.server import served as served_by
from shipit.world.steps import FakeSteps

ADMIN = actor("ada@x", ["project:shipit:admin"])


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with benched(database) as made:
        yield made


def inner(uid: str, *steps: dict[str, Any], requires: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return step(uid, *requires, kind="pipeline", parameters={"steps": list(steps), **more})


async def tick(bench: Bench, uid: str, *, is_done: bool = True, **output: object) -> None:
    await bench.turn(2)
    await bench.act(
        served.finish, uid, ENGINEER, is_done=is_done, comment="no power", output=output, now=now()
    )
    await bench.turn(2)


async def sentence(bench: Bench, uid: str, name: str) -> str:
    facts = (await bench.load(uid)).facts
    return standing(facts, next(each for each in facts.definition.steps if each.uid == name), now()).sentence


async def test_what_a_pipeline_within_puts_out_feeds_what_comes_after(bench: Bench) -> None:
    fed = {"policy": [{"relman": 1}], "digest": {"$output": "build.digest"}}
    await bench.put(
        "p",
        inner("make", step("build"), step("sign", "build", kind="signoff", parameters=fed)),
        step("last", "make", kind="signoff", parameters={**fed, "digest": {"$output": "make.build.digest"}}),
    )
    await tick(bench, "p.make.1.build.1", digest="d1")
    signoff = "p.make.1.sign.1"
    async with bench.pool.connection() as connection:
        row = await served.read(connection, "signoff", signoff)
    assert row.details["digest"] == "d1", "its own step is meant, not one of the pipeline around it"
    assert await sentence(bench, "p", "make") == "1 of 2 steps of p.make.1 done; now: sign"
    manager = actor("mia@x", ["project:shipit:sign/relman"])
    await bench.act(signing.sign, signoff, manager, now=now())
    await bench.turn(2)
    async with bench.pool.connection() as connection:
        row = await served.read(connection, "signoff", "p.last.1")
    assert row.details["digest"] == "d1"


async def test_why_a_pipeline_within_failed_is_told_where_it_is_a_step(bench: Bench) -> None:
    await bench.put("p", inner("a", inner("b", step("m"))))
    await tick(bench, "p.a.1.b.1.m.1", is_done=False)
    told = await sentence(bench, "p", "a")
    assert told.startswith("failed after 1 try: 0 of 1 steps of p.a.1 done; failed: b (")
    assert "could not be done, says rel@example.com: no power" in told


async def test_whoever_makes_a_pipeline_needs_the_right_to_those_within_it(bench: Bench) -> None:
    tester = actor("tom@x", ["project:shipit:pipeline/none/*", "project:shipit:pipeline/firefox/test"])
    ship = {**step("s"), "phase": "ship"}
    with pytest.raises(NotAllowed, match="firefox/ship"):
        await bench.put("p", inner("a", ship, product="firefox"), by=tester)
    with pytest.raises(NotAllowed, match="firefox/ship"):
        around = {**inner("a", inner("b", ship)), "phase": "test"}
        await bench.put("p", around, by=tester, product="firefox")
    # A step without a phase of its own is of the phase of the step that its pipeline is.
    await bench.put("p", {**inner("a", step("s")), "phase": "test"}, by=tester, product="firefox")
    await bench.turn()
    within = (await bench.load("p.a.1")).facts.definition
    assert (within.product, within.steps[0].phase) == ("firefox", "test")


async def test_what_is_within_is_checked_when_it_is_made(bench: Bench) -> None:
    evil = "https://elsewhere.example/"
    with pytest.raises(InvalidDefinition) as caught:
        await bench.put(
            "p",
            inner("a", inner("b", step("c", api_url=evil))),
            step("d", kind="remote", parameters={"api_url": evil}),
            {**inner("e"), "parameters": {"steps": {"$output": "d.steps"}}, "requires": ["d"]},
        )
    assert {each.pointer for each in caught.value.problems} == {
        "/steps/0/parameters/steps/0/parameters/steps/0/api_url",
        "/steps/1/parameters/api_url",
        "/steps/2/parameters/steps",
    }
    deep = step("x" * 60)
    for _ in range(4):
        deep = inner("x" * 60, deep)
    with pytest.raises(InvalidDefinition, match="at most 290 characters"):
        await bench.put("p", deep)
    for _ in range(100):
        deep = inner("x", deep)
    with pytest.raises(InvalidDefinition, match="nested at most 64 deep"):
        await bench.put("p", deep)


async def test_a_hold_of_a_pipeline_holds_those_within_it(bench: Bench) -> None:
    await bench.put("p", inner("a", inner("b", step("m"), step("n", "m"))))
    await bench.turn()
    await bench.act(acts.hold, "p", ENGINEER, reason="the server is ill", now=now())
    await tick(bench, "p.a.1.b.1.m.1")
    assert await bench.states("p.a.1.b.1") == {"m": "success", "n": "ready"}
    held = "the pipeline is held by rel@example.com: the server is ill"
    assert await sentence(bench, "p.a.1.b.1", "n") == held
    await bench.act(acts.hold, "p", ENGINEER, reason="", now=now())
    await bench.turn(2)
    assert await bench.states("p.a.1.b.1") == {"m": "success", "n": "in_progress"}


async def test_a_pipeline_within_goes_with_the_one_around_it_and_not_before(bench: Bench) -> None:
    await bench.put("p", inner("a", step("m")))
    await tick(bench, "p.a.1.m.1")
    with pytest.raises(Refused, match="a step of pipeline 'p'"):
        await bench.act(acts.delete, "p.a.1", ENGINEER, now=now())
    assert (await bench.act(acts.delete, "p", ENGINEER, now=now()))[1] == "removed"
    assert bench.query("select uid from pipelines") == []


async def test_a_stop_and_the_rights_hold_also_where_a_uid_is_used_again(bench: Bench) -> None:
    def rollout() -> dict[str, Any]:
        return {
            **step("r", kind="rollout", parameters={"rule": 1, "percents": [10]}),
            "phase": "ship",
            "not_before": "2099-01-01T00:00:00Z",
        }

    again = {**step("s", kind="signoff", parameters={"policy": [{"relman": 1}]}), "phase": "ship"}
    last = {**step("z", "s"), "phase": "ship"}
    await bench.put("p", again, last, product="firefox")
    for _ in range(2):
        await bench.act(acts.delete, "p", ENGINEER, now=now())
    stored = await bench.put("p", again, last, product="firefox")
    key = stored.facts.key("s", 1)
    assert key == "p.again1.s.1"
    async with bench.pool.connection() as connection:
        row = await served.read(connection, "signoff", key)
        assert await served.starts(connection, row, now()) == {"z": ""}
    await bench.put("q", {**rollout(), "not_before": None}, product="firefox")
    for _ in range(2):
        await bench.act(acts.delete, "q", ENGINEER, now=now())
        await bench.turn(2)
    stored = await bench.put("q", {**rollout(), "not_before": None}, product="firefox")
    stranger = actor("eve@x", ["project:shipit:user"])
    with pytest.raises(NotAllowed, match="firefox/ship"):
        await bench.act(rollouts.halt, stored.facts.key("r", 1), stranger, reason="fun", now=now())


async def test_a_stop_whose_restart_was_cancelled_can_be_asked_to_end_again(bench: Bench) -> None:
    stop = await bench.act(stops.stop, ENGINEER, product="firefox", phase="", reason="ill", now=now())
    signoff = await bench.act(stops.restart, stop.uid, ENGINEER, policy=[{"nobody": 1}], now=now())
    with pytest.raises(Refused, match="already asked for"):
        await bench.act(stops.restart, stop.uid, ENGINEER, policy=[{"releng": 1}], now=now())
    await bench.act(served.delete, "signoff", signoff, ENGINEER, now=now())
    other = await bench.act(stops.restart, stop.uid, ENGINEER, policy=[{"releng": 1}], now=now())
    assert other != signoff
    await bench.act(signing.sign, other, ENGINEER, now=now())
    await bench.turn()
    async with bench.pool.connection() as connection:
        row = await stored_steps.read(connection, "signoff", other)
    assert row is not None and row.status.value == "success"
    assert bench.query("select uid from stops where restarted_at is null") == []


async def test_a_signature_does_not_outlive_what_was_signed(bench: Bench) -> None:
    colleague = actor("cleo@x", ["project:shipit:sign/releng"])

    async def put(subject: str) -> None:
        parameters = {"policy": [{"releng": 2}], "digest": "d", "subject": subject}
        await bench.act(served.create, "signoff", "s", parameters, ADMIN, check_url=lambda _: None, now=now())

    await put("ship 1")
    await bench.act(signing.sign, "s", ENGINEER, now=now())
    for _ in range(2):
        await bench.act(served.delete, "signoff", "s", ADMIN, now=now())
    await put("ship 2")
    await bench.act(signing.sign, "s", colleague, now=now())
    await bench.turn()
    async with bench.pool.connection() as connection:
        row = await served.read(connection, "signoff", "s")
    assert (row.status.value, row.message) == ("in_progress", "must still be signed by 1 of releng")


async def test_a_step_whose_pipeline_is_gone_can_be_removed(bench: Bench) -> None:
    await bench.put("p", step("m"))
    await tick(bench, "p.m.1")
    with pytest.raises(Refused, match="stays as long"):
        await bench.act(served.delete, "manual", "p.m.1", ENGINEER, now=now())
    await bench.act(acts.delete, "p", ENGINEER, now=now())
    assert (await bench.act(served.delete, "manual", "p.m.1", ENGINEER, now=now()))[1] == "removed"


async def test_what_waits_for_a_person_is_waived_at_once_and_what_runs_is_not(bench: Bench) -> None:
    signoff = step("sign", kind="signoff", parameters={"policy": [{"relman": 1}]})
    runs = step("runs", api_url=bench.service.api_url)
    await bench.put("p", step("qa"), signoff, runs, step("last", "qa", "sign"))
    await bench.turn()

    async def skip(name: str) -> None:
        why = "nobody is there, and it was tested before"
        await bench.act(acts.change_step, "p", name, Event.SKIP_ASKED, ENGINEER, reason=why, now=now())

    with pytest.raises(Refused, match="cancel it first"):
        await skip("runs")
    for name in ("qa", "sign"):
        await skip(name)
    assert await bench.states("p") == {
        "qa": "skipped",
        "sign": "skipped",
        "runs": "in_progress",
        "last": "in_progress",
    }
    with pytest.raises(Refused, match="has ended"):
        await bench.act(signing.sign, "p.sign.1", actor("mia@x", ["project:shipit:sign/relman"]), now=now())
    await bench.turn()
    assert (await bench.states("p"))["qa"] == "skipped"


async def test_what_takes_a_phase_back_is_not_held_by_the_stop_before_it(bench: Bench) -> None:
    plan = {"ship": {"steps": [step("undo"), inner("more", step("m"))]}}
    ship = {**step("a"), "phase": "ship"}
    await bench.put("p", ship, {**step("b", "a"), "phase": "ship"}, product="firefox", rollbacks=plan)
    await bench.act(stops.stop, ENGINEER, product="firefox", phase="", reason="it crashes", now=now())
    because = {"reason": "it crashes", "check_url": lambda _: None, "now": now()}
    await bench.act(acts.rollback, "p", "ship", ENGINEER, **because)
    await bench.turn(2)
    assert await bench.states("p.rollback-ship") == {"undo": "in_progress", "more": "in_progress"}
    assert await bench.states("p.rollback-ship.more.1") == {"m": "in_progress"}
    with pytest.raises(InvalidDefinition, match="no such field"):
        await bench.put("q", ship, product="firefox", takes_back="p")
    await bench.put("q", ship, product="firefox")
    assert await bench.states("q") == {"a": "ready"}


async def test_of_a_long_history_the_newest_is_not_lost(bench: Bench) -> None:
    async with bench.pool.connection() as connection:
        await pipelines.note(
            connection, [Note(subject="p", actor="rel", what=f"line {number}") for number in range(700)]
        )
        found = [each.what for each in await pipelines.history(connection, "p")]
        assert (found[0], found[-1], len(found)) == ("line 0", "line 699", 700)
        found = [each.what for each in await pipelines.history(connection, "p", limit=2)]
        assert found == ["line 698", "line 699"]


class Confused(FakeSteps):
    """Tells of whatever step ended last, whichever it is asked for."""

    async def _status(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"uid": "somebody.else", "status": "success", "message": "", "details": {}})


class Waiting(FakeSteps):
    """Waits for a person, and says for whom."""

    async def _status(self, request: web.Request) -> web.StreamResponse:
        uid = request.match_info["uid"]
        details = {"who": "relman", "by": "2099-01-01T00:00:00Z"}
        return web.json_response({"uid": uid, "status": "in_progress", "message": "", "details": details})


async def heard(bench: Bench, service: FakeSteps) -> None:
    """A step of the service is put, and looked at once more."""
    async with served_by(service):
        await bench.put("p", step("a", api_url=service.api_url))
        await bench.turn()
        bench.query("update steps set due_at = now()")
        await bench.turn()


async def test_whom_a_service_waits_for_is_told_where_it_is_a_step(bench: Bench) -> None:
    await heard(bench, Waiting())
    facts = (await bench.load("p")).facts
    stands = standing(facts, facts.definition.steps[0], now())
    assert (stands.who, stands.by) == ("relman", datetime(2099, 1, 1, tzinfo=UTC))


async def test_a_service_that_tells_of_another_step_is_not_believed(bench: Bench) -> None:
    await heard(bench, Confused())
    assert (await bench.states("p"))["a"] == "in_progress"
    assert "told of another step: 'somebody.else'" in await sentence(bench, "p", "a")
