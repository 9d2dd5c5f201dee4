# SPDX-License-Identifier: MPL-2.0
"""A real PostgreSQL for tests: one embedded server per test process, a fresh migrated database per test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from shipit.storage import binaries, embedded, migrate

INSTANCE = "testing"
_TEMPLATE = "shipit_template"


@dataclass(frozen=True)
class Database:
    """A database of one test. url: for DATABASE_URL; instance: name of its schema."""

    url: str
    instance: str = INSTANCE

    def connect(self) -> psycopg.Connection:
        """A connection of the test's own, autocommitting, that looks into the instance's schema."""
        return psycopg.connect(self.url, autocommit=True, options=f"-c search_path={self.instance}")


class Server:
    """The server of this test process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = count(1)

    def create(self, *, template: str = "template0") -> str:
        """URL of a new database, a copy of the template."""
        name = f"shipit_test_{next(self._numbers)}"
        # The default copies by files and checkpoints, ten times slower.
        copied = sql.SQL("create database {} template {} strategy wal_log")
        self._execute(copied.format(sql.Identifier(name), sql.Identifier(template)))
        return make_url(self.url, name)

    def create_migrated(self) -> Database:
        """A new database at the newest revision; the migrations run once per test process."""
        if not self._template_exists():
            self._execute(sql.SQL("create database {}").format(sql.Identifier(_TEMPLATE)))
            migrate.upgrade(make_url(self.url, _TEMPLATE), instance=INSTANCE)
        return Database(self.create(template=_TEMPLATE))

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self._execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))

    def _template_exists(self) -> bool:
        with psycopg.connect(self.url) as connection:
            found = connection.execute("select 1 from pg_database where datname = %s", [_TEMPLATE])
            return found.fetchone() is not None

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


def make_url(url: str, database: str) -> str:
    """The same server, another database."""
    before, after = url.split("?", 1)
    return f"{before.rsplit('/', 1)[0]}/{database}?{after}"


def server_binaries() -> binaries.Binaries | None:
    """SHIPIT_TEST_POSTGRES names a bin folder to test another version with; None is the first found."""
    folder = os.environ.get("SHIPIT_TEST_POSTGRES")
    if not folder:
        return None
    given = binaries.at(Path(folder))
    assert given is not None, f"SHIPIT_TEST_POSTGRES={folder} holds no postgres and initdb"
    return given


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server; its `create()` gives empty databases."""
    options = embedded.Options(durable=False, max_connections=100, binaries=server_binaries())
    with embedded.run(tmp_path_factory.mktemp("postgres"), options) as url:
        yield Server(url)


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    """A fresh database at the newest revision, gone after the test."""
    fresh = postgres.create_migrated()
    yield fresh
    postgres.drop(fresh.url)
