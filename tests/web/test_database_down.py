# SPDX-License-Identifier: MPL-2.0
"""While the database is away, every page and answer says so soon, and works again when it is back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg
import pytest

from fixtures_postgres import Database, make_url
from fixtures_web import make_bug, make_request, running


@contextlib.contextmanager
def away(database: Database) -> Iterator[None]:
    """Nobody can connect any more, and whoever was connected is not."""
    with psycopg.connect(make_url(database.url, "postgres"), autocommit=True) as connection:
        (name,) = database.connect().execute("select current_database()").fetchone() or ("",)
        connection.execute(f"alter database {name} allow_connections false")
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [name]
        )
        try:
            yield
        finally:
            connection.execute(f"alter database {name} allow_connections true")


@pytest.mark.drill
async def test_a_database_that_is_away_is_said_within_seconds(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        with away(database):
            shell = await service.client.get("/")
            assert (shell.status_code, '"answers":{}' in shell.text) == (200, True)
            for path in ("/api/board/beta", "/api/trains", "/api/requests"):
                started = time.monotonic()
                answer = await service.client.get(path)
                assert answer.status_code == 503, path
                assert time.monotonic() - started < 6, path
        deadline = time.monotonic() + 20
        while (await service.client.get("/api/trains")).status_code != 200:
            assert time.monotonic() < deadline
