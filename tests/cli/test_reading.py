# SPDX-License-Identifier: MPL-2.0
"""Settings as subcommands read them: secrets that lie in Taskcluster are fetched, for every subcommand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fixtures_postgres import Database
from shipit.cli import group
from shipit.world.server import served
from shipit.world.taskcluster import FakeTaskcluster

NAME = "project/releng/shipit"
FILE = f"""
instance = "testing"
[backend]
database_url = {{ taskcluster = "{NAME}", key = "database" }}
"""


@pytest.fixture
async def fake() -> AsyncIterator[FakeTaskcluster]:
    made = FakeTaskcluster()
    async with served(made):
        yield made


async def run(fake: FakeTaskcluster, folder: Path, *words: str) -> Result:
    """A subcommand of a process that may read secrets; its own thread has its own event loop."""
    file = folder / "shipit.toml"
    file.write_text(FILE)
    environ = {
        "SHIPIT_CONFIG": str(file),
        "TASKCLUSTER_ROOT_URL": fake.url,
        "TASKCLUSTER_CLIENT_ID": "reader",
        "TASKCLUSTER_ACCESS_TOKEN": fake.add_client("reader", [f"secrets:get:{NAME}"]),
    }
    return await asyncio.to_thread(CliRunner().invoke, group, list(words), env=environ)


async def test_a_database_named_by_a_secret_is_the_one_that_is_used(
    fake: FakeTaskcluster, database: Database, tmp_path: Path
) -> None:
    fake.set_secret(NAME, {"database": database.url})
    told = await run(fake, tmp_path, "db", "upgrade", "--format", "json")
    assert told.exit_code == 0, told.output
    told = await run(fake, tmp_path, "events", "list", "--format", "json")
    assert (told.exit_code, told.output.strip()) == (0, "[]"), told.exception


@pytest.mark.parametrize("words", [("serve",), ("run",), ("listen",), ("db", "upgrade"), ("events", "list")])
async def test_a_secret_that_is_not_there_is_named(
    fake: FakeTaskcluster, tmp_path: Path, words: tuple[str, ...]
) -> None:
    fake.set_secret(NAME, {"other": "x"})
    told = await run(fake, tmp_path, *words)
    assert told.exit_code == 1
    assert "backend.database_url" in str(told.exception) and "database" in str(told.exception)
