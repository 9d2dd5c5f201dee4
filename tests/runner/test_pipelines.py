# SPDX-License-Identifier: MPL-2.0
"""The runner of pipelines on a real database, with services over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fixtures_pipelines import ENGINEER, Bench, benched, now, step
from fixtures_postgres import Database
from shipit.actions import pipelines as acts
from shipit.actions import signing, stops
from shipit.actions import steps as served
from shipit.errors import Refused
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.states import Event
from shipit.runner.pipelines import Runner
from shipit.storage import steps as stored_steps


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with benched(database) as made:
        yield made


async def done(bench: Bench, uid: str, **output: object) -> None:
    await bench.act(served.finish, uid, ENGINEER, is_done=True, comment="", output=output, now=now())


async def test_a_pipeline_of_remote_steps_runs_to_its_end(bench: Bench) -> None:
    url = bench.service.api_url
    bench.start_runner()
    await bench.put(
        "p",
        step("a", api_url=url),
        step("b", "a", api_url=url, parameters={"x": {"$output": "a.n"}}),
        step("c", "b", api_url=url, parameters={"x": {"$output": "b.by"}}),
    )
    await bench.eventually(lambda: _has(bench, "p.a.1"))
    bench.service.end("p.a.1", n=7)
    await bench.eventually(lambda: _has(bench, "p.b.1"))
    assert bench.service.steps["p.b.1"].parameters == {"x": 7}
    bench.service.end("p.b.1")
    await bench.eventually(lambda: _has(bench, "p.c.1"))
    # It said no output, so its details are.
    assert bench.service.steps["p.c.1"].parameters == {"x": "the fake"}
    bench.service.end("p.c.1")
    await bench.until("p", "success")
    assert bench.service.effects == {"p.a.1": 1, "p.b.1": 1, "p.c.1": 1}


async def _has(bench: Bench, uid: str) -> bool:
    return uid in bench.service.steps


async def test_p1_what_is_known_outlives_every_runner(bench: Bench) -> None:
    await bench.put("p", step("a"), step("b", "a"))
    await done(bench, "p.a.1")
    await bench.turn()
    assert await bench.states("p") == {"a": "success", "b": "in_progress"}


async def test_p8_a_running_pipeline_is_not_overwritten(bench: Bench) -> None:
    await bench.put("p", step("a"))
    await bench.put("p", step("a"))
    with pytest.raises(Refused, match="another definition"):
        await bench.put("p", step("a"), step("b"))
    with pytest.raises(InvalidDefinition, match="no other step has"):
        await bench.put("q", step("a"), step("a"))


async def test_p10_two_runners_start_every_step_once(bench: Bench) -> None:
    url = bench.service.api_url
    bench.service.ends_at_once = "success"
    for _ in range(3):
        bench.start_runner()
    names = [f"p{n}" for n in range(12)]
    for name in names:
        await bench.put(
            name, step("a", api_url=url), step("b", "a", api_url=url), step("c", "a", api_url=url)
        )
    for name in names:
        await bench.until(name, "success")
    assert set(bench.service.effects.values()) == {1}
    assert len(bench.service.effects) == 36


@pytest.mark.parametrize("how", ["error", "drop", "hang"])
async def test_a_failure_after_the_effect_happened_doubles_nothing(bench: Bench, how: str) -> None:
    bench.service.fail_after_effect(how)
    bench.service.ends_at_once = "success"
    bench.start_runner()
    await bench.put("p", step("a", api_url=bench.service.api_url))
    await bench.until("p", "success")
    assert bench.service.effects == {"p.a.1": 1}
    # A request on which the service still sits is not in its log yet.
    assert bench.service.count("PUT /steps/p.a.1") == (1 if how == "hang" else 2)


async def test_a_cancel_reaches_the_service_and_the_step_says_so(bench: Bench) -> None:
    bench.start_runner()
    await bench.put("p", step("a", api_url=bench.service.api_url), step("m"), step("b", "a"))
    await bench.eventually(lambda: _has(bench, "p.a.1"))
    stored = await bench.act(acts.cancel, "p", ENGINEER, now=now(), reason="wrong build")
    assert stored.facts.nodes["m"].state.value == "cancelled"
    await bench.until("p", "cancelled")
    assert bench.service.deleted == ["p.a.1"]
    assert set((await bench.states("p")).values()) == {"cancelled"}


async def test_p9_deleting_a_running_pipeline_forgets_no_running_step(bench: Bench) -> None:
    await bench.put("p", step("a"))
    stored, what = await bench.act(acts.delete, "p", ENGINEER, now=now())
    assert (stored.status.value, "cancelled" in what) == ("cancelled", True)
    assert bench.query("select status from steps where uid = 'p.a.1'") == [("cancelled",)]
    _, what = await bench.act(acts.delete, "p", ENGINEER, now=now())
    assert what == "removed"
    assert bench.query("select count(*) from pipelines") == [(0,)]
    assert bench.query("select what from audit where subject = 'p' order by id desc limit 1") == [
        ("removed",)
    ]


async def test_a_pipeline_is_a_step_of_another(bench: Bench) -> None:
    inner = {"steps": [step("x")]}
    await bench.put("p", step("sub", kind="pipeline", parameters=inner), step("after", "sub"))
    await bench.turn()
    assert await bench.states("p.sub.1") == {"x": "in_progress"}
    await done(bench, "p.sub.1.x.1")
    await bench.turn()
    assert await bench.states("p") == {"sub": "success", "after": "in_progress"}
    await bench.put("q", step("sub", kind="pipeline", parameters=inner))
    await bench.act(acts.cancel, "q", ENGINEER, now=now())
    await bench.turn()
    assert (await bench.load("q")).status.value == "cancelled"
    assert (await bench.load("q.sub.1")).status.value == "cancelled"


async def test_a_timer_ends_in_time_and_wakes_what_waits_for_it(bench: Bench) -> None:
    bench.start_runner(tick=0.1)
    begun = now()
    await bench.put("p", step("t", kind="timer", parameters={"seconds": 0.3}), step("a", "t"))
    await bench.eventually(lambda: _is(bench, "p", "a", "in_progress"))
    assert timedelta(seconds=0.3) <= now() - begun < timedelta(seconds=3)


async def _is(bench: Bench, uid: str, name: str, state: str) -> bool:
    return (await bench.states(uid))[name] == state


async def test_retry_and_skip_by_a_person_are_on_record(bench: Bench) -> None:
    await bench.put("p", step("a"), step("b", "a"))
    await bench.act(served.finish, "p.a.1", ENGINEER, is_done=False, comment="no disk", output={}, now=now())
    await bench.turn()
    assert (await bench.load("p")).status.value == "failure"
    await bench.act(acts.change_step, "p", "a", Event.RETRY_ASKED, ENGINEER, reason="mended", now=now())
    assert bench.query("select status from steps where uid = 'p.a.2'") == [("in_progress",)]
    await bench.act(served.finish, "p.a.2", ENGINEER, is_done=False, comment="again", output={}, now=now())
    await bench.turn()
    await bench.act(acts.change_step, "p", "a", Event.SKIP_ASKED, ENGINEER, reason="waived by QA", now=now())
    assert await bench.states("p") == {"a": "skipped", "b": "in_progress"}
    assert ("skip_asked", "waived by QA") in bench.query("select what, reason from audit where step = 'a'")


async def test_a_stop_needs_one_person_and_going_on_a_signature(bench: Bench) -> None:
    stop = await bench.act(stops.stop, ENGINEER, product="firefox", phase="", reason="crashes", now=now())
    await bench.put("p", step("a"), product="firefox")
    await bench.turn()
    assert await bench.states("p") == {"a": "ready"}
    signoff = await bench.act(stops.restart, stop.uid, ENGINEER, policy=[{"releng": 1}], now=now())
    with pytest.raises(Refused):
        await bench.act(stops.restart, stop.uid, ENGINEER, policy=[{"releng": 1}], now=now())
    signed = await bench.act(_sign, signoff)
    assert signed.memory["met_at"]
    await bench.turn(2)
    assert await bench.states("p") == {"a": "in_progress"}


async def _sign(connection: object, uid: str) -> object:
    return await signing.sign(connection, uid, ENGINEER, now=now())


async def test_a_claim_that_was_lost_writes_nothing(bench: Bench) -> None:
    await bench.put("p", step("a", api_url=bench.service.api_url))
    async with bench.pool.connection() as connection:
        first = (await stored_steps.claim(connection, limit=5, lease=timedelta(seconds=-1)))[0]
    async with bench.pool.connection() as connection:
        second = (await stored_steps.claim(connection, limit=5, lease=timedelta(seconds=30)))[0]
        assert await stored_steps.claim(connection, limit=5, lease=timedelta(seconds=30)) == []
    assert second.fence == first.fence + 1
    progress = stored_steps.Progress(message="from the grave")
    assert not await bench.act(stored_steps.record, first, progress)
    assert await bench.act(stored_steps.record, second, stored_steps.Progress(message="alive"))
    assert bench.query("select message from steps") == [("alive",)]


async def test_what_is_heard_during_a_look_is_looked_at_again(bench: Bench) -> None:
    await bench.put("p", step("a", api_url=bench.service.api_url))
    async with bench.pool.connection() as connection:
        row = (await stored_steps.claim(connection, limit=5, lease=timedelta(seconds=30)))[0]
    await bench.act(stored_steps.ask_cancel, "remote", "p.a.1")
    assert await bench.act(stored_steps.record, row, stored_steps.Progress(memory=row.memory))
    assert bench.query("select due_at <= now(), wants_cancel from steps") == [(True, True)]


async def test_a_slow_service_holds_up_nobody_else(bench: Bench) -> None:
    bench.service.fail_after_effect("hang", times=3)
    runner = Runner(bench.doors)
    for n in range(3):
        await bench.put(f"slow{n}", step("a", api_url=bench.service.api_url))
    await runner.work()
    await bench.put("p", step("a"), step("b", "a"))
    await done(bench, "p.a.1")
    await runner.work()
    assert (await bench.states("p"))["b"] == "in_progress"
    await runner.settle()


async def test_a_pass_in_which_nothing_is_due_decides_nothing(bench: Bench) -> None:
    await bench.put("p", step("a"), step("b", "a"))
    await bench.turn()
    runner = Runner(bench.doors)
    assert await runner.decide() == (0, False)
    assert await runner.claim() == 0


async def test_the_audit_is_only_added_to(bench: Bench) -> None:
    await bench.put("p", step("a"))
    with pytest.raises(Exception, match="only added to"):
        bench.query("delete from audit")
    with pytest.raises(Exception, match="only added to"):
        bench.query("update audit set actor = 'nobody'")
    with pytest.raises(Exception, match="only added to"):
        bench.query("truncate audit")


async def test_a_database_that_restarts_is_waited_for(bench: Bench) -> None:
    bench.start_runner(tick=0.1)
    await bench.put("p", step("t", kind="timer", parameters={"seconds": 0.5}))
    bench.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
        " and datname = current_database()"
    )
    await asyncio.sleep(0.5)
    await bench.until("p", "success")


async def test_a_step_that_somebody_put_before_under_the_same_uid_is_not_taken_for_ours(bench: Bench) -> None:
    foreign = {"check_url": lambda url: None, "now": now()}
    await bench.act(served.create, "manual", "p.a.1", {"instructions": "mine"}, ENGINEER, **foreign)
    await bench.act(acts.create, "p.sub.1", {"steps": [step("x")]}, ENGINEER, **foreign)
    await bench.put("p", step("a"), step("sub", kind="pipeline", parameters={"steps": [step("x")]}))
    await bench.turn()
    stored = await bench.load("p")
    assert (stored.status.value, set((await bench.states("p")).values())) == ("failure", {"failure"})
    assert "taken" in stored.facts.nodes["a"].note
    await bench.act(acts.change_step, "p", "a", Event.RETRY_ASKED, ENGINEER, reason="", now=now())
    assert (await bench.states("p"))["a"] == "in_progress"


async def test_a_uid_is_free_again_once_its_pipeline_is_removed_and_its_keys_are_not(bench: Bench) -> None:
    url = bench.service.api_url
    sign = step("a", kind="signoff", parameters={"policy": [{"releng": 1}], "digest": "1"})
    bench.start_runner()
    await bench.put("p", sign, step("b", api_url=url))
    await bench.eventually(lambda: _has(bench, "p.b.1"))
    await bench.act(signing.sign, "p.a.1", ENGINEER, now=now())
    bench.service.end("p.b.1")
    await bench.until("p", "success")
    assert (await bench.act(acts.delete, "p", ENGINEER, now=now()))[1] == "removed"
    await bench.put("p", sign, step("b", api_url=url, parameters={"other": 1}))
    await bench.eventually(lambda: _has(bench, "p.again1.b.1"))
    bench.service.end("p.again1.b.1")
    await bench.eventually(lambda: _is(bench, "p", "b", "success"))
    # What was signed before is not signed now.
    assert (await bench.states("p"))["a"] == "in_progress"
    await bench.act(signing.sign, "p.again1.a.1", ENGINEER, now=now())
    await bench.until("p", "success")
