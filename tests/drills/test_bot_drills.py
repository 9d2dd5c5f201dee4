# SPDX-License-Identifier: MPL-2.0
"""The bot in real processes: killed, doubled, hanging, its database gone; and how soon a change is seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from fixtures_bot import BOT, BOT_CLIENT, BOT_SCOPES, Product, Scene, free_port, peopled
from fixtures_postgres import Database
from fixtures_process import Installation, installed
from shipit.clients.http import utc_now
from shipit.world.server import Trouble
from shipit.world.world import StandingClock, World

pytestmark = [pytest.mark.drill, pytest.mark.timeout(180)]

CONFIG = """
instance = "testing"

[[repositories]]
name = "firefox"
url = "{repository}"
fetch_timeout = {fetch_timeout}
"""
TRAIN = """
[[trains]]
name = "{name}"
repository = "firefox"
branch = "{name}"
approval_flag = "approval-mozilla-{name}"
"""


class House:
    """An installation with a running backend, and the scene around it."""

    def __init__(self, scene: Scene, installation: Installation) -> None:
        self.scene = scene
        self.installation = installation

    async def round(self, *words: str) -> dict[str, Any]:
        """A round in a process of its own; what it says."""
        ended = await self.installation.shipit("bot", "run", "--once", "--format", "json", *words)
        assert ended.code == 0, ended.err
        return cast("dict[str, Any]", json.loads(ended.out))

    def count(self, table: str) -> int:
        """Rows of a table of the backend."""
        return int(self.scene.rows(f"select count(*) from {table}")[0][0])

    def expire_lease(self) -> None:
        """As if the time of a lease had passed."""
        with self.scene.database.connect() as connection:
            connection.execute("update leases set expires = now() - interval '1 second'")

    def configure(self, *, repository: str, fetch_timeout: float = 60) -> None:
        """Write the settings' file."""
        text = CONFIG.format(repository=repository, fetch_timeout=fetch_timeout)
        text += "".join(TRAIN.format(name=name) for name in ("beta", "release"))
        (self.installation.folder / "shipit.toml").write_text(text, encoding="utf-8")


@asynccontextmanager
async def house(database: Database, folder: Path, *, files: int = 12) -> AsyncIterator[House]:
    async with World.open() as world:
        peopled(world)
        product = Product(folder / "product.git", files=files, trains=("beta", "release"))
        token = world.taskcluster.add_client(BOT_CLIENT, BOT_SCOPES)
        port = free_port()
        async with installed(
            folder,
            "",
            DATABASE_URL=database.url,
            PORT=str(port),
            SHIPIT_PUBLIC_READ="true",
            SHIPIT_URL=f"http://127.0.0.1:{port}",
            SHIPIT_CACHE=str(folder / "cache"),
            SHIPIT_SCHEDULE_URL=world.schedule.url,
            SHIPIT_BUGZILLA_URL=world.bugzilla.url,
            SHIPIT_BUGZILLA_API_KEY=world.bugzilla.key_for(BOT),
            SHIPIT_PHABRICATOR_URL=world.phabricator.url,
            SHIPIT_PHABRICATOR_TOKEN=world.phabricator.token_for("bot"),
            TASKCLUSTER_ROOT_URL=world.taskcluster.url,
            TASKCLUSTER_CLIENT_ID=BOT_CLIENT,
            TASKCLUSTER_ACCESS_TOKEN=token,
        ) as installation:
            # Only what people do is asked of this scene; the bot runs in processes of its own.
            scene = Scene(
                world, StandingClock(utc_now()), product, database, cast("Any", None), cast("Any", None)
            )
            made = House(scene, installation)
            made.configure(repository=str(product.folder))
            await installation.serve()
            yield made


async def until(is_so: Callable[[], bool], within: float) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < within, f"not within {within} s"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def test_change_is_in_the_backend_within_a_minute(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(database, tmp_path) as made:
        scene = made.scene
        old = scene.ask("beta", kind="revision")
        bot = await made.installation.start("bot", "run", "--watch")
        await until(lambda: made.count("trials") == 1, 60)
        await asyncio.sleep(2)
        new = scene.ask("release", kind="revision")
        tip = scene.product.move("beta")

        def has_new() -> bool:
            return (new, "release") in scene.outcomes(new) and scene.outcomes(new)[new, "release"] == "clean"

        def has_moved() -> bool:
            return bool(scene.rows("select 1 from trials where tip = %s", tip))

        request, branch = await asyncio.gather(until(has_new, 60), until(has_moved, 60))
        scene.decide(old, "beta", "+")
        decision = await until(lambda: scene.states(old) == {"beta": "approved"}, 60)
        assert await made.installation.stop(bot) == 0
    with capsys.disabled():
        print(
            f"\nseen after: a new request {request:.1f} s, a moved branch {branch:.1f} s, "
            f"a decision {decision:.1f} s (looks every 30 s)"
        )


async def test_round_killed_in_the_middle_is_resumed_where_it_was(database: Database, tmp_path: Path) -> None:
    async with house(database, tmp_path, files=110) as made:
        scene = made.scene
        for _ in range(110):
            scene.ask("beta", kind="revision")
        scene.world.bugzilla.fail(Trouble.SLOW, containing="/rest/bug?id=", seconds=2)
        bot = await made.installation.start("bot", "run", "--once")
        await until(lambda: made.count("bugs") >= 50, 60)
        os.killpg(bot.pid, signal.SIGKILL)
        await bot.communicate()
        stored = made.count("bugs")
        assert 50 <= stored < 110
        scene.world.heal()
        refused = await made.round()
        assert "is at work until" in refused["errors"][0]["reason"], "its lease outlives it for a while"
        made.expire_lease()
        scene.world.forget()
        said = await made.round()
        assert (said["bugs"], said["requests"], said["errors"]) == (110, 110, [])
        assert (said["skipped_unchanged"], said["trials"]) == (stored, 110 - stored)
        assert set(scene.outcomes().values()) == {"clean"}
        assert made.count("trials") == 110


async def test_two_bots_on_one_clone_do_the_work_once(database: Database, tmp_path: Path) -> None:
    async with house(database, tmp_path) as made:
        for _ in range(6):
            made.scene.ask("beta", "release", kind="revision")
        rounds = await asyncio.gather(
            made.round(), made.round(), made.round("--dry-run"), made.round("--dry-run")
        )
        both = sorted(said["trials"] for said in rounds[:2])
        assert both[1] == 12
        assert both[0] == 0, "the other left it alone, or found it done"
        assert {len(said["plan"]) for said in rounds[2:]} <= {0, 6}
        made.scene.product.move("beta")
        rounds = await asyncio.gather(made.round("--dry-run"), made.round(), made.round("--dry-run"))
        assert rounds[1]["trials"] == 6
        assert rounds[1]["errors"] == []
        assert made.count("trials") == 18


async def test_fetch_that_hangs_costs_its_timeout_and_nothing_else(
    database: Database, tmp_path: Path
) -> None:
    async with house(database, tmp_path) as made:
        bug = made.scene.ask("beta", kind="revision")
        await made.round()

        async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(600)
            writer.close()

        hanging = await asyncio.start_server(never, "127.0.0.1", 0)
        port = hanging.sockets[0].getsockname()[1]
        made.configure(repository=f"http://127.0.0.1:{port}/product.git", fetch_timeout=3)
        new = made.scene.ask("release", kind="attachment")
        began = time.monotonic()
        said = await made.round()
        assert time.monotonic() - began < 30
        assert any("firefox" in one["reason"] for one in said["errors"])
        assert made.scene.outcomes() == {(bug, "beta"): "clean", (new, "release"): "clean"}
        hanging.close()
        made.configure(repository=str(made.scene.product.folder))
        assert (await made.round())["errors"] == []


async def test_database_that_crashes_under_the_round_loses_nothing(
    database: Database, tmp_path: Path
) -> None:
    async with house(database, tmp_path, files=60) as made:
        scene = made.scene
        for _ in range(60):
            scene.ask("beta", kind="revision")
        scene.world.bugzilla.fail(Trouble.SLOW, containing="/rest/bug?id=", seconds=1)
        bot = await made.installation.start("bot", "run", "--once")
        await until(lambda: scene.world.bugzilla.count("/rest/bug?f1") > 0, 60)
        await asyncio.sleep(0.5)
        with database.connect() as connection:
            pids = connection.execute(
                "select pid from pg_stat_activity where datname = current_database()"
                " and backend_type = 'client backend' and pid <> pg_backend_pid()"
            ).fetchall()
        assert pids, "the web service holds connections"
        # one backend killed hard: PostgreSQL throws out everybody and recovers from its log
        os.kill(pids[0][0], signal.SIGKILL)
        await asyncio.wait_for(bot.communicate(), 90)
        scene.world.heal()
        await _answers(made)
        made.expire_lease()
        said = await made.round()
        assert (said["bugs"], said["requests"], said["errors"]) == (60, 60, [])
        assert set(scene.outcomes().values()) == {"clean"}


async def _answers(made: House) -> None:
    """Wait until the backend serves again."""
    ask: Callable[[], Awaitable[Any]] = lambda: made.installation.shipit("bot", "run", "--dry-run")  # noqa: E731
    for _ in range(10):
        if (await ask()).code == 0:
            return
        await asyncio.sleep(1)
    raise AssertionError("the backend does not recover")
