# SPDX-License-Identifier: MPL-2.0
"""`shipit serve` as it is run: refuses an old schema in words, serves, and stops cleanly when told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from fixtures_postgres import Database, Server
from shipit.storage import migrate


def start(url: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "shipit", "serve", "--port", "0"],
        env={
            **kept,
            "DATABASE_URL": url,
            "SHIPIT_PUBLIC_READ": "true",
            "PYTHONUNBUFFERED": "1",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def empty(postgres: Server) -> Iterator[str]:
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_stop_though_a_page_is_open(database: Database, stop: signal.Signals) -> None:
    process = start(database.url, SHIPIT_COMMIT="abc")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert httpx.get(f"{url}/__version__").json()["commit"] == "abc"
        with httpx.stream("GET", f"{url}/api/live") as answer:
            next(answer.iter_lines())
            process.send_signal(stop)
            # three seconds where nothing else runs; for ever where the page is waited for
            process.wait(20)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("revision", [None, "0001_uplift"])
def test_it_refuses_an_older_schema_and_says_what_to_do(empty: str, revision: str | None) -> None:
    if revision is not None:
        migrate.upgrade(empty, instance="testing", to=revision)
    process = start(empty)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "shipit db upgrade" in said
    assert "Traceback" not in said


def test_without_a_database_it_names_the_variable() -> None:
    process = start("")
    _, said = process.communicate(timeout=30)
    assert (process.returncode, "DATABASE_URL" in said) == (1, True)


def test_its_log_never_holds_the_password() -> None:
    process = start("postgresql://someone:hunter2@127.0.0.1:1/none")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "hunter2" not in said
