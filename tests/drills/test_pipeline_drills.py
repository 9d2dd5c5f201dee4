# SPDX-License-Identifier: MPL-2.0
"""Runners killed with kill -9 at every point that matters: each effect happens once, the end is the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fixtures_pipelines import ENGINEER, Bench, benched, now, step
from fixtures_postgres import Database
from shipit.actions import pipelines as acts
from shipit.world.balrog import FakeBalrog
from shipit.world.server import served
from shipit.world.task_groups import FakeTaskGroups

RUNNER = Path(__file__).parent / "pipeline_runner.py"
POINTS = (
    "decided, not committed",
    "decided",
    "claimed",
    "looked",
    "recorded, not committed",
    "recorded",
)


@contextlib.asynccontextmanager
async def runner(
    bench: Bench, point: str = "", times: int = 1, **fakes: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A runner of its own. fakes: DRILL_TASKCLUSTER, DRILL_BALROG."""
    where = (bench.database.url, bench.database.instance, point, str(times))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(RUNNER), *where, env={**os.environ, **fakes}
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def graph(url: str) -> list[dict[str, object]]:
    """a and b beside each other, then c, then a timer, then d."""
    return [
        step("a", api_url=url),
        step("b", api_url=url),
        step("c", "a", "b", api_url=url),
        step("t", "c", kind="timer", parameters={"seconds": 0.1}),
        step("d", "t", api_url=url),
    ]


async def killed_and_mended(database: Database, point: str, times: int, late: str | None = None) -> None:
    async with benched(database) as bench:
        bench.service.ends_at_once = "success"
        if late is not None:
            bench.service.fail_after_effect(late, times=2)
        await bench.put("p", *graph(bench.service.api_url))
        async with runner(bench, point, times) as process:
            assert await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
        async with runner(bench):
            await bench.until("p", "success", seconds=40)
        assert bench.service.effects == {f"p.{name}.1": 1 for name in "abcd"}
        assert set((await bench.states("p")).values()) == {"success"}


async def test_a_runner_killed_between_effect_and_record_doubles_nothing(database: Database) -> None:
    await killed_and_mended(database, "looked", 1)


@pytest.mark.drill
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_any_point_the_end_is_the_same(database: Database, point: str, times: int) -> None:
    await killed_and_mended(database, point, times)


@pytest.mark.drill
@pytest.mark.parametrize("late", ["error", "drop", "hang"])
async def test_killed_while_the_service_answers_badly_the_end_is_the_same(
    database: Database, late: str
) -> None:
    await killed_and_mended(database, "looked", 2, late)


@pytest.mark.drill
async def test_three_runners_of_which_one_dies_again_and_again(database: Database) -> None:
    async with benched(database) as bench:
        bench.service.ends_at_once = "success"
        names = [f"p{number}" for number in range(20)]
        for name in names:
            await bench.put(name, *graph(bench.service.api_url))
        async with runner(bench), runner(bench):
            for times in (2, 5):
                async with runner(bench, "looked", times) as dying:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(dying.wait(), 5)
            for name in names:
                await bench.until(name, "success", seconds=60)
        assert set(bench.service.effects.values()) == {1}
        assert len(bench.service.effects) == 4 * len(names)


@pytest.mark.drill
@pytest.mark.parametrize("point", ["decided, not committed", "claimed", "looked", "recorded, not committed"])
async def test_a_runner_frozen_at_any_point_holds_up_others_for_a_while_only(
    database: Database, point: str
) -> None:
    async with benched(database) as bench:
        bench.service.ends_at_once = "success"
        await bench.put("p", *graph(bench.service.api_url))
        async with runner(bench, point, DRILL_SIGNAL="SIGSTOP") as frozen:
            await asyncio.wait_for(asyncio.to_thread(stopped, frozen.pid), 30)
            async with runner(bench):
                await bench.until("p", "success", seconds=40)
                asked = bench.service.count("PUT")
                # What it was about to do is no longer its to do.
                frozen.send_signal(signal.SIGCONT)
                await bench.put("q", step("t", kind="timer", parameters={"seconds": 2}))
                await bench.until("q", "success", seconds=40)
        assert bench.service.count("PUT") == asked
        assert bench.service.effects == {f"p.{name}.1": 1 for name in "abcd"}
        assert set((await bench.states("p")).values()) == {"success"}


def stopped(pid: int) -> None:
    """Wait until a process has stopped itself."""
    while Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()[0] != "T":
        time.sleep(0.02)


@pytest.mark.drill
async def test_a_cancel_that_a_dying_runner_began_is_finished(database: Database) -> None:
    async with benched(database) as bench:
        await bench.put("p", *graph(bench.service.api_url))
        async with runner(bench):
            await bench.eventually(lambda: _begun(bench))
        await bench.act(acts.cancel, "p", ENGINEER, now=now())
        async with runner(bench, "looked") as process:
            assert await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
        async with runner(bench):
            await bench.until("p", "cancelled", seconds=40)
        assert sorted(bench.service.deleted) == ["p.a.1", "p.b.1"]


async def _begun(bench: Bench) -> bool:
    return {"p.a.1", "p.b.1"} <= set(bench.service.steps)


DECISION = "D" * 22


@pytest.mark.drill
@pytest.mark.parametrize(("point", "times"), [("claimed", 2), ("looked", 1), ("looked", 2), ("looked", 3)])
async def test_an_action_is_triggered_once_wherever_the_runner_dies(
    database: Database, point: str, times: int
) -> None:
    fake = FakeTaskGroups()
    fake.add_client("drill", ["queue:*", "hooks:*"], token="drill")
    fake.add_decision(DECISION, "release-promotion")
    wanted = {"decision_task": DECISION, "name": "release-promotion", "input": {"build_number": 7}}

    async def play(stop: asyncio.Event) -> None:
        while not stop.is_set():
            for each in fake.fired:
                if each.task not in fake.groups:
                    fake.add_task(each.task, "T", "completed")
                    fake.tasks[each.task] = "completed"
            await asyncio.sleep(0.05)

    async with benched(database) as bench, served(fake) as url:
        playing = asyncio.ensure_future(play(bench.stop))
        bench.tasks.append(playing)
        parameters = {"action": wanted, "appear_seconds": 20}
        await bench.put("p", step("promote", kind="taskcluster", parameters=parameters))
        async with runner(bench, point, times, DRILL_TASKCLUSTER=url) as process:
            assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
        async with runner(bench, DRILL_TASKCLUSTER=url):
            await bench.until("p", "success", seconds=60)
        assert len(fake.fired) == 1


@pytest.mark.drill
@pytest.mark.parametrize(("point", "times"), [("looked", 1), ("looked", 2), ("recorded, not committed", 1)])
async def test_a_rate_is_raised_once_wherever_the_runner_dies(
    database: Database, point: str, times: int
) -> None:
    fake = FakeBalrog()
    fake.add_rule(42, mapping="Firefox-147.0-build2")
    fake.add_person("drill", "shipit")

    async def agent(stop: asyncio.Event) -> None:
        while not stop.is_set():
            fake.enact()
            await asyncio.sleep(0.1)

    async with benched(database) as bench, served(fake):
        bench.tasks.append(asyncio.ensure_future(agent(bench.stop)))
        parameters = {"rule": 42, "percents": [25, 100], "pause_seconds": 0}
        await bench.put("p", step("rate", kind="rollout", parameters=parameters))
        async with runner(bench, point, times, DRILL_BALROG=fake.api_url) as process:
            assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
        async with runner(bench, DRILL_BALROG=fake.api_url):
            await bench.until("p", "success", seconds=60)
        assert fake.enacted == [(42, 25), (42, 100)]
        assert fake.count("POST /api/scheduled_changes/rules") == 2
        raised = bench.query("select after from audit where what = 'rate raised' order by id")
        assert raised == [("25 %",), ("100 %",)], "each is on record once"
