# SPDX-License-Identifier: MPL-2.0
"""`shipit bot run` as an installation runs it that nobody of ours has seen: other names for everything."""

from __future__ import annotations

import asyncio
import json
import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from fixtures_bot import free_port
from fixtures_postgres import Server
from fixtures_process import Installation, clean_environment, installed
from git_builder import run_git
from shipit.clients.http import utc_now
from shipit.world.repository import Author, Tale, diff_between
from shipit.world.schedule import Calendar
from shipit.world.world import World

WRITER = Author("Omar Bell", "omar@mail.example")
READER = "reader@mail.example"
FLAGS = {
    "preview": "approval-lighthouse-preview",
    "stable": "approval-lighthouse-stable",
    "longterm128": "approval-lighthouse-lts128",
    "longterm140": "approval-lighthouse-lts140",
}
CONFIG = """
instance = "staging"

[backend]
public_read = true

[schedule]
provider = "product-details"

[[repositories]]
name = "lighthouse"
url = "{repository}"
main = "trunk"
landing_urls = ["https://code.example/lighthouse/+/"]

[[trains]]
name = "preview"
channel = "beta"
repository = "lighthouse"
branch = "releases/preview"
approval_flag = "approval-lighthouse-preview"
status_flag = "cf_status_lighthouse{{major}}"

[[trains]]
name = "stable"
channel = "release"
repository = "lighthouse"
branch = "releases/stable"
approval_flag = "approval-lighthouse-stable"

[[trains]]
name = "longterm{{major}}"
channel = "esr"
repository = "lighthouse"
branch = "releases/lts{{major}}"
approval_flag = "approval-lighthouse-lts{{major}}"
"""


@dataclass
class Lighthouse:
    """The unfamiliar world, set up."""

    world: World
    installation: Installation
    url: str
    bugs: dict[str, int]


def tell_repository(folder: Path) -> tuple[Tale, dict[str, str]]:
    """Trunk, four branches that each changed line 1 of every file, and patches by name."""
    tale, when = Tale(), utc_now() - timedelta(days=40)
    text = "\n".join(f"line {number}" for number in range(1, 31)).encode() + b"\n"
    files: dict[str, bytes | None] = {f"lamp/{number}.txt": text for number in range(4)}
    tale.commit("trunk", "Begin", files, author=WRITER, when=when)
    branches = ("releases/preview", "releases/stable", "releases/lts128", "releases/lts140")
    marks: dict[str, int] = {}
    for branch in branches:
        tale.branch(branch, start="trunk")
        own = {1: f"only {branch}"}
        changes = {path: tale.edited(branch, path, own)[path] for path in files}
        tale.commit(branch, f"Mend {branch}", changes, author=WRITER, when=when + timedelta(days=1))
    for name, number, line in (("landed", 0, 15), ("clashes", 1, 1)):
        change = tale.edited("trunk", f"lamp/{number}.txt", {line: "mended"})
        subject = f"Bug {700 + number} - Mend lamp {number}"
        marks[name] = tale.commit("trunk", subject, change, author=WRITER, when=when + timedelta(days=20))
    for name, number in (("review", 2), ("attached", 3)):
        tale.branch(f"side/{name}", start="trunk")
        change = tale.edited(f"side/{name}", f"lamp/{number}.txt", {15: "mended"})
        subject = f"Bug {700 + number} - Mend lamp {number}"
        marks[name] = tale.commit(
            f"side/{name}", subject, change, author=WRITER, when=when + timedelta(days=21)
        )
    hashes = tale.write(folder)
    return tale, {name: hashes[mark] for name, mark in marks.items()}


def fill(world: World, folder: Path, commits: dict[str, str]) -> dict[str, int]:
    """Bugs of another product, with flags of other names; their numbers by what is special of them."""
    bugzilla, phabricator = world.bugzilla, world.phabricator
    for login in (WRITER.email, READER):
        bugzilla.add_user(login, login)
    bugzilla.add_product("Lighthouse", "Lamp")
    for flag in (*FLAGS.values(), "approval-lighthouse-preview-old"):
        bugzilla.add_flag_type(flag)
    phabricator.add_user("omar")
    phabricator.add_user("reader")
    phabricator.add_repository("lighthouse-trunk")
    made: dict[str, int] = {}
    for number, name in enumerate(("landed", "clashes", "review", "attached", "foreign")):
        made[name] = bugzilla.file_bug(
            f"The lamp is {name}",
            by=WRITER.email,
            number=700 + number,
            product="Lighthouse",
            component="Lamp",
        )

    def attach(name: str, data: str) -> int:
        return bugzilla.attach(made[name], data.encode(), by=WRITER.email, is_patch=True)

    def diff(name: str) -> str:
        return diff_between(folder, f"{commits[name]}^", commits[name]).decode()

    def ask(attachment: int, *trains: str) -> None:
        for train in trains:
            bugzilla.set_flag(FLAGS[train], "?", by=WRITER.email, attachment=attachment)

    ask(attach("landed", diff("landed")), "preview", "stable", "longterm140")
    ask(attach("clashes", diff("clashes")), "preview", "longterm128")
    for name in ("landed", "clashes"):
        bugzilla.comment(made[name], f"https://code.example/lighthouse/+/{commits[name]}", by=WRITER.email)
    revision = phabricator.revise(
        "Mend lamp 2",
        diff("review"),
        by="omar",
        repository="lighthouse-trunk",
        base=run_git(folder, "rev-parse", f"{commits['review']}^").decode().strip(),
        bug=made["review"],
        number=44,
    )
    ask(bugzilla.attach_revision(made["review"], revision, by=WRITER.email, root=phabricator.url), "preview")
    ask(attach("attached", diff("attached")), "stable")
    # a flag whose name only begins like one of ours is not ours
    bugzilla.set_flag(
        "approval-lighthouse-preview-old", "?", by=WRITER.email, attachment=attach("foreign", "x")
    )
    return made


@asynccontextmanager
async def lighthouse(database_url: str, folder: Path) -> AsyncIterator[Lighthouse]:
    async with World.open() as world:
        now = utc_now()
        start = datetime(now.year, now.month, now.day, tzinfo=UTC) - timedelta(days=14)
        world.schedule.calendar = Calendar(first=150, start=start, esr=(128, 140), overlap=20)
        _, commits = tell_repository(folder / "lighthouse.git")
        bugs = fill(world, folder / "lighthouse.git", commits)
        token = world.taskcluster.add_client(
            "staging/bot", ("project:shipit:bot", "project:shipit:restricted", "notify:email:*")
        )
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        async with installed(
            folder,
            CONFIG.format(repository=folder / "lighthouse.git"),
            DATABASE_URL=database_url,
            PORT=str(port),
            SHIPIT_URL=url,
            SHIPIT_CACHE=str(folder / "cache"),
            SHIPIT_SCHEDULE_URL=world.schedule.url,
            SHIPIT_BUGZILLA_URL=world.bugzilla.url,
            SHIPIT_BUGZILLA_API_KEY=world.bugzilla.key_for(READER),
            SHIPIT_PHABRICATOR_URL=world.phabricator.url,
            SHIPIT_PHABRICATOR_TOKEN=world.phabricator.token_for("reader"),
            TASKCLUSTER_ROOT_URL=world.taskcluster.url,
            TASKCLUSTER_CLIENT_ID="staging/bot",
            TASKCLUSTER_ACCESS_TOKEN=token,
        ) as installation:
            yield Lighthouse(world, installation, url, bugs)


@pytest.mark.drill
async def test_unfamiliar_installation_is_one_file_and_an_environment(
    postgres: Server, tmp_path: Path
) -> None:
    database = postgres.create()
    async with lighthouse(database, tmp_path) as house:
        run = house.installation.shipit
        refused = await run("bot", "run", "--once", "--format", "json")
        assert refused.code == 1, "no backend is there yet"
        assert "Ship It" in refused.err
        upgraded = await run("db", "upgrade", "--format", "json")
        assert (upgraded.code, json.loads(upgraded.out)["instance"]) == (0, "staging")
        await house.installation.serve()

        dry = await run("bot", "run", "--once", "--dry-run", "--format", "json")
        assert {step["bug"] for step in json.loads(dry.out)["plan"]} == set(house.bugs.values())
        told = await run("bot", "run", "--once", "--dry-run")
        assert "5 bugs to read, 0 series of other bugs to try again" in told.out
        assert "trials" not in told.out, "nothing is said to have been done"

        first = await run("bot", "run", "--once", "--format", "json")
        assert first.code == 0, first.err
        said = json.loads(first.out)
        assert said["errors"] == []
        assert (said["bugs"], said["requests"], said["trials"], said["skipped_unchanged"]) == (4, 7, 7, 0)

        async with httpx.AsyncClient(base_url=house.url) as client:
            rows = (await client.get("/api/requests?limit=500")).json()["requests"]
            trains = (await client.get("/api/trains")).json()
            assert (await client.get("/__heartbeat__")).status_code == 200
        bug = house.bugs
        assert {(row["bug"], row["train"]): row["outcome"] for row in rows} == {
            (bug["landed"], "preview"): "clean",
            (bug["landed"], "stable"): "clean",
            (bug["landed"], "longterm140"): "clean",
            (bug["clashes"], "preview"): "conflict",
            (bug["clashes"], "longterm128"): "conflict",
            (bug["review"], "preview"): "clean",
            (bug["attached"], "stable"): "clean",
        }
        assert all(f"'{train}'" in str(trains) for train in FLAGS)

        again = json.loads((await run("bot", "run", "--once", "--format", "json")).out)
        assert (again["requests"], again["trials"], again["errors"]) == (7, 0, [])
        assert again["calls"]["Bugzilla"] + again["calls"]["Ship It"] <= 10

        one = await run("bot", "run", "--bug", str(bug["review"]))
        assert (one.code, "1 trials" in one.out) == (0, True)
        assert await on_a_terminal(house) > 0

        absent = await run("bot", "run", "--bug", "999999", "--format", "json")
        assert (absent.code, "bug 999999 could not be read" in absent.err) == (1, True)
        assert [one["bug"] for one in json.loads(absent.out)["errors"]] == [999999]
        house.world.bugzilla.fail(containing=f"/rest/bug/{bug['attached']}")
        house.world.bugzilla.comment(bug["attached"], "Any news?", by=WRITER.email)
        partly = await run("bot", "run", "--once", "--format", "json")
        assert ([one["bug"] for one in json.loads(partly.out)["errors"]], partly.code) == (
            [bug["attached"]],
            0,
        )
        house.world.bugzilla.fail()
        blind = await run("bot", "run", "--once", "--format", "json")
        assert (blind.code, "no train's requests could be read" in blind.err) == (1, True)
        assert {one["reason"].partition(":")[0] for one in json.loads(blind.out)["errors"]} >= set(FLAGS)
        await asyncio.to_thread(hold_the_lease, database)
        held = await run("bot", "run", "--once", "--format", "json")
        assert (held.code, json.loads(held.out)["errors"][0]["reason"][:18]) == (0, "another is at work")
    postgres.drop(database)


def hold_the_lease(url: str) -> None:
    """Another bot is at work."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "update staging.leases set holder = 'another', expires = now() + interval '9 minutes'"
            " where name = 'bot'"
        )


async def on_a_terminal(house: Lighthouse) -> int:
    """On a terminal people see what goes on, not the log's JSON; how much was shown."""
    main, other = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        os.path.join(os.path.dirname(os.sys.executable), "shipit"),
        "bot",
        "run",
        "--once",
        cwd=house.installation.folder,
        env=clean_environment(TERM="xterm", **house.installation.environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=other,
    )
    os.close(other)
    await asyncio.wait_for(process.communicate(), 60)
    shown = b""
    while True:
        try:
            part = await asyncio.to_thread(os.read, main, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(main)
    assert process.returncode == 0
    assert b"\x1b[" in shown
    assert b'{"' not in shown
    return len(shown)


async def test_wrong_words_are_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    async with installed(tmp_path, "instance = 'staging'") as installation:
        both = await installation.shipit("bot", "run", "--watch", "--once")
        assert (both.code, "--watch goes on by itself" in both.err) == (2, True)
        bare = await installation.shipit("bot", "run", "--once")
        assert (bare.code, "SHIPIT_URL" in bare.err) == (1, True)
