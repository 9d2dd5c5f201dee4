# SPDX-License-Identifier: MPL-2.0
"""Runners of decisions killed with kill -9 wherever it matters: each write once, one comment, one end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from fixtures_decisions import HUGO, Desk, desked
from fixtures_postgres import Database
from shipit.actions.persons import actor
from shipit.uplift.decision_states import PartState
from shipit.uplift.verdicts import Verdict
from shipit.world.server import Trouble

RUNNER = Path(__file__).parent / "decision_runner.py"
POINTS = (
    "claimed, not committed",
    "claimed",
    "looked",
    "marked, not committed",
    "marked",
    "sent",
    "noted, not committed",
    "noted",
    "written",
    "read again",
    "finished, not committed",
    "finished",
)
V, P = Verdict, PartState
pytestmark = pytest.mark.drill


@contextlib.asynccontextmanager
async def runner(
    desk: Desk, point: str = "", times: int = 1, quiet: float = 0.3, how: str = "SIGKILL"
) -> AsyncIterator[asyncio.subprocess.Process]:
    given = {
        "DATABASE": desk.database.url,
        "INSTANCE": desk.database.instance,
        "BUGZILLA": desk.world.bugzilla.url,
        "PHABRICATOR": desk.world.phabricator.url,
        "READING_KEY": desk.outside.reading_key,
        "READING_TOKEN": desk.outside.reading_token,
        "SECRET": desk.settings.secret_key[0].reveal(),
        "POINT": point,
        "TIMES": str(times),
        "QUIET": str(quiet),
        "HOW": how,
    }
    process = await asyncio.create_subprocess_exec(sys.executable, str(RUNNER), stdin=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write("\n".join(f"{name}={value}" for name, value in given.items()).encode())
    process.stdin.close()
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def until(desk: Desk, uid: str, *, seconds: float = 60) -> PartState:
    async with asyncio.timeout(seconds):
        while True:
            state = (await desk.shown(uid)).state
            if state not in (P.HELD, P.WRITING):
                return state
            # The pauses between tries are the product's; a drill does not sit through them.
            desk.query(
                "update decision_parts set due_at = least(due_at, now() + interval '0.5 s') "
                "where state = 'writing'"
            )
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def begun(database: Database, **more: object) -> AsyncIterator[Desk]:
    async with desked(database) as desk:
        await desk.begin()
        yield desk


OFTEN = tuple(point for point in POINTS if point.startswith(("marked", "sent", "noted")))


@pytest.mark.parametrize(
    ("point", "times"), [*((point, 1) for point in POINTS), *((point, 2) for point in OFTEN)]
)
async def test_killed_at_any_point_every_write_is_made_once(
    database: Database, point: str, times: int
) -> None:
    async with begun(database) as desk:
        flagged, revised = desk.file("beta", attachments=2), desk.file("beta", uplift=2)
        await desk.read()
        made = await desk.decide(V.APPROVE, flagged, revised, template="approve")
        async with runner(desk, point, times) as process:
            assert await asyncio.wait_for(process.wait(), 40) == -signal.SIGKILL
        async with runner(desk):
            assert await until(desk, made.uid) is P.DONE
        assert desk.status_of(flagged) == ["+", "+"] and desk.status_of(revised) == ["+", "+"]
        assert desk.said(flagged) == ["Approved for 118.0b4."] and desk.said(revised) == []
        kinds = [[done.kind for done in one.done] for one in desk.revisions(revised)]
        assert kinds == [["accept"], ["accept", "comment"]]
        changes = [
            each
            for each in desk.world.bugzilla.bug(flagged).history
            if each.who.startswith("rosa") and each.field == "flagtypes.name"
        ]
        assert len(changes) == 2


@pytest.mark.parametrize("trouble", [Trouble.LATE_DROP, Trouble.LATE_ERROR, Trouble.DROP])
async def test_killed_while_answers_are_lost_the_comment_stands_once(
    database: Database, trouble: Trouble
) -> None:
    async with begun(database) as desk:
        bug = desk.file("beta", attachments=2)
        await desk.read()
        desk.world.bugzilla.fail(trouble, containing=f"PUT /rest/bug/{bug}", times=1)
        made = await desk.decide(V.APPROVE, bug, template="approve")
        async with runner(desk, "sent", 3) as process:
            assert await asyncio.wait_for(process.wait(), 40) == -signal.SIGKILL
        async with runner(desk):
            assert await until(desk, made.uid) is P.DONE
        assert desk.said(bug) == ["Approved for 118.0b4."] and desk.status_of(bug) == ["+", "+"]


async def test_an_answer_that_comes_after_we_gave_up_doubles_nothing(database: Database) -> None:
    async with begun(database) as desk:
        bug = desk.file("beta")
        await desk.read()
        # The service works on it for longer than the runner lives, and it takes effect meanwhile.
        desk.world.bugzilla.fail(Trouble.SLOW, containing=f"PUT /rest/bug/{bug}", times=1, seconds=2.0)
        made = await desk.decide(V.APPROVE, bug, template="approve")
        async with runner(desk, quiet=4.0) as process:
            async with asyncio.timeout(40):
                query = "select 1 from decision_writes where state = 'sending' and position = 1"
                while not desk.query(query):
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
            process.kill()
        async with runner(desk, quiet=4.0):
            assert await until(desk, made.uid) is P.DONE
        assert desk.said(bug) == ["Approved for 118.0b4."]


@pytest.mark.parametrize("point", ["looked", "marked"])
async def test_a_runner_that_slept_too_long_writes_nothing_when_it_wakes(
    database: Database, point: str
) -> None:
    async with begun(database) as desk:
        bug = desk.file("beta", attachments=2)
        await desk.read()
        made = await desk.decide(V.APPROVE, bug, template="approve")
        async with runner(desk, point, how="SIGSTOP") as sleeper:
            async with asyncio.timeout(40):
                query = "select 1 from decision_parts where state = 'writing'"
                while not desk.query(query) or desk.world.calls()["bugzilla"] == 0:
                    await asyncio.sleep(0.05)
            # Its claim ends while it sleeps, and another takes over.
            async with runner(desk):
                assert await until(desk, made.uid) is P.DONE
            written = desk.world.bugzilla.count("PUT ")
            sleeper.send_signal(signal.SIGCONT)
            await asyncio.sleep(2)
            assert desk.world.bugzilla.count("PUT ") == written == 3
        assert desk.said(bug) == ["Approved for 118.0b4."] and desk.status_of(bug) == ["+", "+"]


async def test_two_runners_share_the_work_and_double_none_of_it(database: Database) -> None:
    async with begun(database) as desk:
        bugs = [desk.file("beta", "release", attachments=2) for _ in range(12)]
        await desk.read()
        uids = [(await desk.decide(V.APPROVE, bug, template="approve")).uid for bug in bugs]
        async with runner(desk), runner(desk):
            for uid in uids:
                assert await until(desk, uid) is P.DONE
        for bug in bugs:
            assert desk.said(bug) == ["Approved for 118.0b4.\nApproved for 117.0.1."]
            assert desk.status_of(bug) == desk.status_of(bug, "release") == ["+", "+"]
        assert desk.world.bugzilla.count("PUT ") == 12 * 5


async def test_two_people_decide_about_one_bug_at_the_same_moment(database: Database) -> None:
    async with begun(database) as desk:
        hugo = actor(HUGO, ("project:shipit:decide/*",))
        await desk.enter_keys(hugo, HUGO, "hugo")
        bugs = [desk.file("beta", attachments=2) for _ in range(6)]
        for bug in bugs:
            desk.world.bugzilla.state.bugs[bug].changed -= timedelta(minutes=5)
        await desk.read()
        pairs = []
        for bug in bugs:
            one = await desk.decide(V.APPROVE, bug, template="approve")
            other = await desk.decide(V.REJECT, bug, by=hugo, comment="Too risky.")
            pairs.append((bug, one.uid, other.uid))
        async with runner(desk), runner(desk):
            for bug, one, other in pairs:
                ends = {await until(desk, one), await until(desk, other)}
                assert ends == {P.DONE, P.CHANGED}
                # Whoever was first, the bug tells one story.
                flags = desk.status_of(bug)
                words = (desk.said(bug), desk.said(bug, HUGO))
                assert (flags, words) in (
                    (["+", "+"], (["Approved for 118.0b4."], [])),
                    (["-", "-"], ([], ["Too risky."])),
                )


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_order_of_crashes_and_troubles_the_comment_appears_once(
    database: Database, seed: int
) -> None:
    roll = random.Random(seed)
    async with begun(database) as desk:
        bugs = [desk.file("beta", attachments=2) for _ in range(2)]
        await desk.read()
        made = await desk.decide(V.APPROVE, *bugs, template="approve")
        for _ in range(4):
            trouble = roll.choice([Trouble.LATE_DROP, Trouble.LATE_ERROR, Trouble.DROP, Trouble.ERROR])
            desk.world.bugzilla.fail(trouble, containing=roll.choice(["PUT ", "GET "]), times=1)
            point, times = roll.choice(POINTS), roll.randint(1, 3)
            async with runner(desk, point, times) as process:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 4)
        desk.world.heal()
        async with runner(desk):
            assert await until(desk, made.uid) is P.DONE
        for bug in bugs:
            assert desk.said(bug) == ["Approved for 118.0b4."] and desk.status_of(bug) == ["+", "+"]
