# SPDX-License-Identifier: MPL-2.0
"""What holds a runner up, breaks under it or is wrong about it, and whom that must not concern."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from fixtures_pipelines import ENGINEER, Bench, benched, now, step
from fixtures_postgres import Database
from shipit.actions import pipelines as acts
from shipit.actions import steps as served
from shipit.pipeline.states import Status
from shipit.pipeline.types import StepRow
from shipit.runner.clock import Clock
from shipit.runner.pipelines import Runner
from shipit.steps import remote
from shipit.storage import pipelines as stored_pipelines
from shipit.storage import steps as stored_steps
from shipit.world.steps import Kept

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with benched(database) as made:
        yield made


async def claimed(bench: Bench, *, limit: int = 50, each: int = 50, **busy: int) -> list[str]:
    async with bench.pool.connection() as connection:
        rows = await stored_steps.claim(connection, limit=limit, lease=MINUTE, each=each, busy=busy)
    return sorted(row.uid for row in rows)


async def test_a_pipeline_with_many_steps_due_holds_up_no_other(bench: Bench) -> None:
    url = bench.service.api_url
    await bench.put("flood", *(step(f"s{n}", api_url=url) for n in range(40)))
    await bench.put("p", step("a", api_url=url))
    assert "p.a.1" in await claimed(bench, limit=4)


async def test_thousands_of_wakes_hold_up_no_pipeline(bench: Bench) -> None:
    await bench.put("p", step("a"))
    await bench.turn()
    bench.query("insert into pipeline_wakes (pipeline) select 'flood' || n from generate_series(1, 1000) n")
    bench.query("insert into pipeline_wakes (pipeline) values ('p')")
    taken: list[str] = []
    for expected in (True, True, False):
        async with bench.pool.connection() as connection:
            uids, more = await stored_pipelines.take_due(connection, limit=500)
        assert ("p" in uids) is not bool(taken), "the newest first of all, and once"
        assert more is expected
        taken += uids
    # None is taken twice, and none is left.
    assert (len(taken), len(set(taken))) == (1001, 1001)
    assert bench.query("select count(*) from pipeline_wakes") == [(0,)]


async def test_a_service_is_asked_for_no_more_than_its_share(bench: Bench) -> None:
    one, other = bench.service.api_url, "http://127.0.0.1:1/steps"
    steps = [step(f"{name}{n}", api_url=url) for name, url in (("a", one), ("b", other)) for n in range(5)]
    await bench.put("p", *steps, step("t", kind="timer", parameters={"seconds": 0}))
    host = one.removesuffix("/steps")
    assert await claimed(bench, each=3, **{host: 2}) == ["p.a0.1", "p.b0.1", "p.b1.1", "p.b2.1", "p.t.1"]


async def test_every_service_has_the_same_name_in_both_languages(bench: Bench) -> None:
    await bench.put("p", step("a", api_url=bench.service.api_url))
    async with bench.pool.connection() as connection:
        row = (await stored_steps.claim(connection, limit=1, lease=timedelta(seconds=-1)))[0]
    # As many as one may have, by the name that a runner counts it under.
    assert await claimed(bench, each=1, **{stored_steps.service_of(row): 1}) == []
    assert await claimed(bench, each=1) == ["p.a.1"]


async def test_a_service_that_hangs_leaves_room_for_others(database: Database) -> None:
    async with benched(database, patience=300) as bench:
        bench.service.fail_after_effect("hang", times=100)
        await bench.put("p", *(step(f"s{n}", api_url=bench.service.api_url) for n in range(100)))
        runner = Runner(bench.doors)
        await runner.work()
        await bench.put("q", step("t", kind="timer", parameters={"seconds": 0}))
        await runner.work()
        await bench.eventually(lambda: _is(bench, "q.t.1", "success"))
        assert not bench.query("select 1 from steps where status = 'success' and kind = 'remote'")
        await runner.close(patience=0)


async def _is(bench: Bench, uid: str, status: str) -> bool:
    found: list[tuple[str]] = bench.query("select status from steps where uid = %s", uid)
    return found == [(status,)]


async def test_a_runner_held_up_for_longer_than_its_lease_does_nothing_more(bench: Bench) -> None:
    await bench.put("p", step("a", api_url=bench.service.api_url))
    runner = Runner(bench.doors, lease=timedelta(0))
    assert await runner.claim() == 1
    await runner.settle()
    assert bench.service.count("PUT") == 0
    await bench.turn()
    assert bench.service.effects == {"p.a.1": 1}


@asynccontextmanager
async def looking_long(database: Database) -> AsyncIterator[tuple[Bench, Runner]]:
    """A runner whose look hangs in a service that has made the step."""
    async with benched(database, patience=300) as bench:
        bench.service.fail_after_effect("hang")
        await bench.put("p", step("a", api_url=bench.service.api_url))
        runner = Runner(bench.doors, lease=timedelta(seconds=60))
        await runner.work()
        await bench.eventually(lambda: _has(bench, "p.a.1"))
        yield bench, runner


async def test_a_look_that_takes_long_keeps_its_lease(database: Database) -> None:
    async with looking_long(database) as (bench, runner):
        bench.query("update steps set claimed_until = now() + interval '1 second'")
        await runner.renew()
        assert bench.query("select claimed_until < now() + interval '2 seconds' from steps") == [(True,)]
        for look in runner._looks.values():
            look.hold_until(look.ends - 30)
        await runner.renew()
        assert bench.query("select claimed_until > now() + interval '50 seconds' from steps") == [(True,)]
        # What somebody else has claimed meanwhile is not held any longer.
        bench.query("update steps set fence = fence + 1, claimed_until = now()")
        for look in runner._looks.values():
            look.hold_until(look.ends - 30)
        await runner.renew()
        assert bench.query("select claimed_until <= now() from steps") == [(True,)]
        await runner.close(patience=0)


async def test_a_look_that_loses_its_lease_ends(database: Database) -> None:
    async with looking_long(database) as (bench, runner):
        for look in runner._looks.values():
            look.hold_until(0)
        await runner.settle()
        ((message,),) = bench.query("select message from steps")
        assert "no answer" in message


async def test_a_runner_that_is_stopped_gives_back_what_it_has_not_done(bench: Bench) -> None:
    bench.service.fail_after_effect("hang")
    await bench.put("p", step("a", api_url=bench.service.api_url))
    runner = Runner(bench.doors)
    await runner.work()
    await bench.eventually(lambda: _has(bench, "p.a.1"))
    await runner.close(patience=0)
    assert await claimed(bench) == ["p.a.1"]


async def _has(bench: Bench, uid: str) -> bool:
    return uid in bench.service.steps


async def test_a_pipeline_that_cannot_be_decided_stops_no_other(bench: Bench) -> None:
    for uid in ("bad", "good"):
        await bench.put(uid, step("a"), step("b", "a"))
        done = {"is_done": True, "comment": "", "output": {}, "now": now()}
        await bench.act(served.finish, f"{uid}.a.1", ENGINEER, **done)
    bench.query("""update pipelines set definition = '{"steps": 7}' where uid = 'bad'""")
    await bench.turn()
    assert await bench.states("good") == {"a": "success", "b": "in_progress"}
    # Nothing of it is forgotten.
    assert bench.query("select due_at > now() from pipelines where uid = 'bad'") == [(True,)]
    assert bench.query("select count(*) from pipeline_wakes") == [(0,)]


async def test_what_ended_before_its_cancel_came_stays_ended(bench: Bench) -> None:
    bench.service.ends_at_once = "success"
    await bench.put("p", step("a", api_url=bench.service.api_url))
    await bench.turn(2)
    assert (await bench.load("p")).status is Status.SUCCESS
    # As when somebody asked while the look that saw its end was under way.
    bench.query("update steps set wants_cancel = true, is_woken = true, due_at = now()")
    await bench.turn(2)
    assert bench.service.deleted == []
    assert await _is(bench, "p.a.1", "success")


async def test_what_ended_stays_ended_though_its_service_forgot_it(bench: Bench) -> None:
    bench.service.ends_at_once = "success"
    await bench.put("p", step("a", api_url=bench.service.api_url))
    await bench.turn(2)
    bench.service.steps.clear()
    bench.query("update steps set is_woken = true, due_at = now()")
    await bench.turn(2)
    assert await _is(bench, "p.a.1", "success")


async def row_of(bench: Bench, uid: str) -> StepRow:
    async with bench.pool.connection() as connection:
        row = await stored_steps.read(connection, "remote", uid)
    assert row is not None
    return row


async def test_a_cancel_is_followed_closely_however_long_the_step_ran(bench: Bench) -> None:
    bench.service.cancels_slowly = True
    await bench.put("p", step("a", api_url=bench.service.api_url))
    await bench.turn()
    row, begun = await row_of(bench, "p.a.1"), now()
    hours = {**row.memory, "asked": (begun - timedelta(hours=3)).isoformat()}
    said = await remote.look(replace(row, memory=hours, wants_cancel=True), bench.doors, begun)
    later = begun + timedelta(seconds=2)
    said = await remote.look(replace(row, memory=said.memory, wants_cancel=True), bench.doors, later)
    assert said.due_at is not None
    assert said.due_at - later <= timedelta(seconds=1)
    bench.service.end("p.a.1", "cancelled")
    said = await remote.look(replace(row, memory=said.memory, wants_cancel=True), bench.doors, later)
    assert said.status is Status.CANCELLED


async def test_a_creation_that_arrives_after_its_cancel_is_cancelled_too(bench: Bench) -> None:
    await bench.put("p", step("a", api_url=bench.service.api_url))
    # Some former look may have asked for it, and its runner died before it wrote so.
    row = replace(await row_of(bench, "p.a.1"), fence=2, wants_cancel=True)
    begun = now()
    said = await remote.look(row, bench.doors, begun)
    assert said.status is Status.IN_PROGRESS
    assert said.due_at is not None
    bench.service.steps["p.a.1"] = Kept({})
    said = await remote.look(replace(row, memory=said.memory), bench.doors, said.due_at)
    assert said.status is Status.CANCELLED
    assert bench.service.deleted == ["p.a.1"]


async def test_a_creation_that_never_came_is_cancelled_for_good(bench: Bench) -> None:
    await bench.put("p", step("a", api_url=bench.service.api_url))
    row = replace(await row_of(bench, "p.a.1"), fence=2, wants_cancel=True)
    said = await remote.look(row, bench.doors, now())
    assert said.due_at is not None
    said = await remote.look(replace(row, memory=said.memory), bench.doors, said.due_at)
    assert said.status is Status.CANCELLED
    # Where nobody looked before, nothing was asked for.
    first = replace(row, fence=1)
    assert (await remote.look(first, bench.doors, now())).status is Status.CANCELLED


async def test_runners_go_by_the_databases_clock(bench: Bench) -> None:
    async with bench.pool.connection() as connection:
        await connection.execute("set local time zone 'Asia/Tokyo'")
        clock = Clock()
        read = await clock.read(connection)
        assert abs(await stored_pipelines.time_now(connection) - read) < MINUTE
        assert read <= clock.now()
        # A time read before is gone on from, whatever our own clock says.
        ahead = Clock(read=lambda _: _in_a_year())
        assert await ahead.read(connection) - now() > timedelta(days=364)
        await asyncio.sleep(0.01)
        assert timedelta(0) < ahead.now() - await ahead.read(connection) + timedelta(seconds=1)


async def _in_a_year() -> datetime:
    return datetime.now(UTC) + timedelta(days=365)


async def test_a_cancelled_pipeline_waits_for_no_lease_that_nobody_holds(bench: Bench) -> None:
    bench.service.fail_after_effect("hang")
    await bench.put("p", step("a", api_url=bench.service.api_url))
    runner = Runner(bench.doors)
    await runner.work()
    await bench.eventually(lambda: _has(bench, "p.a.1"))
    await bench.act(acts.cancel, "p", ENGINEER, now=now())
    await runner.close(patience=0)
    await bench.turn(2)
    assert (await bench.load("p")).status is Status.CANCELLED
    assert bench.service.deleted == ["p.a.1"]
