# SPDX-License-Identifier: MPL-2.0
"""`shipit pipeline` and `shipit sign` against a running service."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
from click.testing import CliRunner, Result

from fixtures_pipelines import Bench, benched, step
from fixtures_postgres import Database
from fixtures_web import KEY, running
from shipit.cli.pipeline import sign
from shipit.cli.pipeline_verbs import pipeline
from shipit.errors import InvalidInput, Missing, NotAllowed, Refused
from shipit.settings import ReleaseKind

ENGINEER = ("project:shipit:user", "project:shipit:pipeline/*", "project:shipit:sign/releng")
BETA = ReleaseKind(
    name="beta",
    template="beta",
    product="firefox",
    values={"hook": {"group": "g", "id": "h"}, "signers": [{"relman": 1}]},
)
Run = Callable[..., Awaitable[Result]]


@contextlib.asynccontextmanager
async def commands(database: Database) -> AsyncIterator[tuple[Bench, Run]]:
    """A service, and its commands run against it as the release engineer, or another."""
    settings = {"releases": (BETA,)}
    async with running(database, settings=settings) as service, benched(database) as bench:
        service.auth.people = {"engineer": ENGINEER, "user": ("project:shipit:user",)}
        # The test's service has its port from the system, so its public URL is known only now.
        service.app.state.house.gate._public = urlsplit(service.url)

        async def run(command: click.Command, *words: str, who: str = "engineer") -> Result:
            environ = {
                "SHIPIT_URL": service.url,
                "TASKCLUSTER_ROOT_URL": "https://tc.example.com",
                "TASKCLUSTER_CLIENT_ID": who,
                "TASKCLUSTER_ACCESS_TOKEN": KEY,
                "SHIPIT_CONFIG": "",
            }
            invoke: Callable[..., Result] = CliRunner().invoke
            return await asyncio.to_thread(invoke, command, list(words), env=environ)

        yield bench, run


async def test_create_show_skip_sign_and_cancel(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "definition.json"
    signoff = step("sign", "a", kind="signoff", parameters={"policy": [{"releng": 1}]})
    file.write_text(
        json.dumps({"steps": [step("a", needs_release=True), signoff, step("b", "sign")]}), "utf-8"
    )
    async with commands(database) as (bench, run):
        refused = await run(pipeline, "create", "p", str(file), who="user")
        assert isinstance(refused.exception, NotAllowed)
        created = await run(pipeline, "create", "p", str(file), "--format", "json")
        assert _json(created)["status"] == "in_progress"
        skipped = await run(pipeline, "skip", "p", "a", "--reason", "waived", "--format", "json")
        assert [each["state"] for each in _json(skipped)["details"]["steps"]] == [
            "skipped",
            "in_progress",
            "blocked",
        ]
        signed = await run(sign, "p.sign.1", "--comment", "go")
        assert "everybody needed has signed" in signed.output
        assert isinstance((await run(sign, "p.sign.1")).exception, Refused)
        await bench.turn(2)
        shown = await run(pipeline, "show", "p")
        assert "p: in_progress: 2 of 3 steps done" in shown.output
        assert "p.b.1" in shown.output
        assert "in_progress  p" in (await run(pipeline, "list")).output
        held = await run(pipeline, "hold", "p", "--reason", "wait", "--format", "json")
        assert _json(held)["details"]["hold"] == "wait"
        assert "p: cancelled" in (await run(pipeline, "cancel", "p")).output
        stopped = await run(pipeline, "stop", "--product", "firefox", "--reason", "crashes")
        assert stopped.output.startswith("stopped: stop-")
        assert "firefox: crashes (engineer, " in (await run(pipeline, "stops")).output


async def test_a_group_is_delegated_and_taken_back(database: Database) -> None:
    async with commands(database) as (_, run):
        until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
        words = ("delegate", "user", "releng", "--until", until, "--reason", "holiday")
        assert (await run(pipeline, *words)).output == "delegated: 1\n"
        assert "engineer lets user sign for releng" in (await run(pipeline, "delegations", who="user")).output
        assert isinstance((await run(pipeline, "undelegate", "1", who="user")).exception, Missing)
        assert (await run(pipeline, "undelegate", "1", "--format", "json")).output == '{"id":1}\n'
        assert (await run(pipeline, "delegations", "--format", "json")).output == "[]\n"


async def test_a_release_is_started_by_its_kind(database: Database) -> None:
    async with commands(database) as (_, run):
        shown = await run(pipeline, "kinds")
        assert "beta (firefox): A beta: promote, push, ship\n  the last one: none\n" in shown.output
        assert "Signoff for Push, by 1 of relman" in shown.output
        words = ("start", "beta", "--version", "147.0b1", "--revision", "abc", "--format", "json")
        assert _json(await run(pipeline, *words))["uid"] == "firefox-147.0b1-build1"
        assert _json(await run(pipeline, *words))["uid"] == "firefox-147.0b1-build1"
        assert isinstance((await run(pipeline, *words, who="user")).exception, NotAllowed)
        lacking = await run(pipeline, "start", "beta", "--version", "147.0b1")
        assert isinstance(lacking.exception, InvalidInput) and "revision" in str(lacking.exception)


async def test_what_the_page_does_to_steps_phases_and_rollouts_the_command_does(database: Database) -> None:
    async with commands(database) as (bench, run):
        plan = {"ship": {"description": "back to 146.0", "steps": [step("undo")]}}
        rate = {"rule": 42, "percents": [25], "signers": [{"relman": 1}]}
        await bench.put(
            "p",
            step("a", phase="ship"),
            step("b", "a", phase="ship"),
            step("rate", kind="rollout", phase="ship", parameters=rate),
            product="firefox",
            rollbacks=plan,
        )
        assert "halted by" in (await run(pipeline, "halt", "p", "rate", "--reason", "crashes")).output
        assert "to be signed: p.rate.1.resume-" in (await run(pipeline, "resume", "p", "rate")).output
        assert "done, says" in (await run(pipeline, "done", "p", "a", "--comment", "green")).output
        await bench.turn()
        assert "p.a.2" in (await run(pipeline, "rerun", "p", "a", "--reason", "wrong locale")).output
        await run(pipeline, "cancel-step", "p", "a", "--reason", "not now")
        await run(pipeline, "skip", "p", "a", "--reason", "waived")
        answer = await run(pipeline, "unskip", "p", "a", "--reason", "after all")
        assert isinstance(answer.exception, Refused), "b has begun"
        assert (
            "p.rollback-ship" in (await run(pipeline, "rollback", "p", "ship", "--reason", "crashes")).output
        )
        assert "rolled back ship" in (await run(pipeline, "history", "p")).output
        stopped = await run(pipeline, "stop", "--product", "firefox", "--reason", "crashes")
        stop = stopped.output.split()[1]
        restarted = await run(pipeline, "restart", stop, "--signers", '[{"releng": 1}]')
        assert f"to be signed: {stop}.restart" in restarted.output
        assert isinstance((await run(pipeline, "done", "p", "zzz")).exception, InvalidInput)
        assert isinstance((await run(pipeline, "uplifts", "p")).exception, Missing)
        assert isinstance((await run(pipeline, "merge-day")).exception, Missing)


def _json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_without_a_backend_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHIPIT_URL", raising=False)
    result = CliRunner().invoke(pipeline, ["show", "p"], env={"SHIPIT_CONFIG": ""})
    assert "SHIPIT_URL" in str(result.exception)
