# SPDX-License-Identifier: MPL-2.0
"""A real PostgreSQL for tests: one embedded server per test process, a fresh migrated database per test.

Copying the template costs a tenth of a second of the machine, emptying what a test left two thousandths: so a
database whose structure a test left alone is emptied and lent to the next one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from shipit.storage import binaries, embedded, migrate

INSTANCE = "testing"
_TEMPLATE = "shipit_template"

# Each row of the catalog that describes something of ours, by the transaction that wrote it last: whoever
# adds, alters or drops anything changes the sum. The other schemas are those of sessions' temporary tables.
_STRUCTURE = """
with ours as (select oid, xmin from pg_namespace where nspname !~ '^pg_'),
rows as (
  select oid, xmin from ours
  union all select c.oid, c.xmin from pg_class c join ours on ours.oid = c.relnamespace
  union all select p.oid, p.xmin from pg_proc p join ours on ours.oid = p.pronamespace
  union all select k.oid, k.xmin from pg_constraint k join ours on ours.oid = k.connamespace
  union all select oid, xmin from pg_trigger
  union all select attrelid, xmin from pg_attribute where attrelid >= 16384
  union all select setdatabase, xmin from pg_db_role_setting
)
select count(*), sum((oid::bigint * 7919 + xmin::text::bigint)) from rows
"""
_TOO_LARGE = 2_000_000
"""Bytes of tables from which a new copy is quicker than what deleted rows cost the tests that follow."""


@dataclass(frozen=True)
class Database:
    """A database of one test. url: for DATABASE_URL; instance: name of its schema."""

    url: str
    instance: str = INSTANCE

    def connect(self) -> psycopg.Connection:
        """A connection of the test's own, autocommitting, that looks into the instance's schema."""
        return psycopg.connect(self.url, autocommit=True, options=f"-c search_path={self.instance}")


@dataclass(frozen=True)
class _Fresh:
    """What a database at the newest revision is like. rows: of each table that is not empty."""

    structure: tuple[Any, ...]
    tables: tuple[str, ...]
    rows: dict[str, list[Any]]


class Server:
    """The server of this test process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = count(1)
        self._fresh: _Fresh | None = None
        self._idle: list[Database] = []

    def create(self, *, template: str = "template0") -> str:
        """URL of a new database, a copy of the template."""
        name = f"shipit_test_{next(self._numbers)}"
        # The default copies by files and checkpoints, ten times slower.
        copied = sql.SQL("create database {} template {} strategy wal_log")
        self._execute(copied.format(sql.Identifier(name), sql.Identifier(template)))
        return make_url(self.url, name)

    def create_migrated(self) -> Database:
        """A new database at the newest revision; the migrations run once per test process."""
        if self._fresh is None:
            if not self._template_exists():
                self._execute(sql.SQL("create database {}").format(sql.Identifier(_TEMPLATE)))
                migrate.upgrade(make_url(self.url, _TEMPLATE), instance=INSTANCE)
            with Database(make_url(self.url, _TEMPLATE)).connect() as connection:
                self._fresh = _look(connection)
        return Database(self.create(template=_TEMPLATE))

    @contextlib.contextmanager
    def lend(self) -> Iterator[Database]:
        """A database at the newest revision, its tables empty, its numbers beginning at 1."""
        lent = self._idle.pop() if self._idle else self.create_migrated()
        try:
            yield lent
        finally:
            if self._is_as_new(lent):
                self._idle.append(lent)
            else:
                self.drop(lent.url)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self._execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))

    def _is_as_new(self, database: Database) -> bool:
        """Empty the database and say whether another test may have it."""
        assert self._fresh is not None
        with database.connect() as connection:
            ended = connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
                " and backend_type = 'client backend'"
            )
            if not all(row[0] for row in ended):
                return False
            if _structure(connection) != self._fresh.structure:
                return False
            size = sql.SQL(" + ").join(
                sql.SQL("pg_relation_size({})").format(sql.Literal(name)) for name in self._fresh.tables
            )
            row = connection.execute(sql.SQL("select {}").format(size)).fetchone()
            if row is None or row[0] > _TOO_LARGE:
                return False
            _empty(connection, self._fresh)
        return True

    def _template_exists(self) -> bool:
        with psycopg.connect(self.url) as connection:
            found = connection.execute("select 1 from pg_database where datname = %s", [_TEMPLATE])
            return found.fetchone() is not None

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


def _structure(connection: psycopg.Connection) -> tuple[Any, ...]:
    row = connection.execute(_STRUCTURE).fetchone()
    assert row is not None
    return row


def _look(connection: psycopg.Connection) -> _Fresh:
    found = connection.execute("select tablename from pg_tables where schemaname = %s", [INSTANCE])
    tables = tuple(sorted(row[0] for row in found))
    rows = {}
    for table in tables:
        kept = connection.execute(
            sql.SQL("select coalesce(jsonb_agg(t), '[]') from {} t").format(sql.Identifier(table))
        ).fetchone()
        assert kept is not None
        if kept[0]:
            rows[table] = kept[0]
    return _Fresh(_structure(connection), tables, rows)


def _empty(connection: psycopg.Connection, fresh: _Fresh) -> None:
    """Leave the rows of a new database. Truncating would give each table new files, fifty times slower."""
    deleting = [sql.SQL("delete from {}").format(sql.Identifier(table)) for table in fresh.tables]
    with connection.transaction():
        # Without triggers, since an audit may not be emptied otherwise.
        connection.execute("set local session_replication_role = replica")
        connection.execute(sql.SQL(";").join(deleting))
        for table, rows in fresh.rows.items():
            name = sql.Identifier(table)
            filling = sql.SQL("insert into {} select * from jsonb_populate_recordset(null::{}, %s)")
            connection.execute(filling.format(name, name), [Jsonb(rows)])
        connection.execute(
            "select setval(c.oid, seqstart, false) from pg_sequence join pg_class c on c.oid = seqrelid"
            " where relnamespace = %s::regnamespace",
            [INSTANCE],
        )


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
    """A database at the newest revision in which nothing is yet; the test may do to it what it likes."""
    with postgres.lend() as fresh:
        yield fresh
