# SPDX-License-Identifier: MPL-2.0
"""One database for all tests of the web, emptied before each: making one takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from fixtures_postgres import Database, Server


@pytest.fixture(scope="session")
def shared_database(postgres: Server) -> Iterator[Database]:
    """A migrated database for the whole session."""
    database = postgres.create_migrated()
    yield database
    postgres.drop(database.url)


@pytest.fixture
def database(shared_database: Database) -> Database:
    """The shared database, empty, its numbers beginning at 1; a test must leave the schema as it is."""
    with shared_database.connect() as connection:
        empty(connection, shared_database.instance)
    return shared_database


@pytest.fixture
def own_database(postgres: Server) -> Iterator[Database]:
    """A database for a test that harms it."""
    database = postgres.create_migrated()
    yield database
    postgres.drop(database.url)


def empty(connection: psycopg.Connection, instance: str) -> None:
    """Remove every row, whoever added the table."""
    found = connection.execute("select tablename from pg_tables where schemaname = %s", [instance])
    names = {row[0] for row in found} - {"alembic_version", "changes"}
    tables = sql.SQL(", ").join(sql.Identifier(name) for name in sorted(names))
    # Without triggers, since an audit may not be emptied otherwise.
    connection.execute("set session_replication_role = replica")
    connection.execute(sql.SQL("truncate {} restart identity cascade").format(tables))
    connection.execute("reset session_replication_role")
