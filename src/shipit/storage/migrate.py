# SPDX-License-Identifier: MPL-2.0
"""Bring the schema of an instance to what this code needs: Alembic, run from Python, forward only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql

from shipit.errors import Refused
from shipit.storage.pool import Limits, conninfo, translated

_FOLDER = Path(__file__).parent / "migrations"
# A migration may rewrite a table, so no statement limit; but it must not queue for ever behind a lock, for
# everything else would queue behind it.
_LIMITS = Limits(statement=0, lock=60, idle=0)


@cache
def revisions() -> tuple[str, ...]:
    """Every revision this code knows, oldest first."""
    return tuple(script.revision for script in _scripts().walk_revisions())[::-1]


def head() -> str:
    """The revision this code needs."""
    return revisions()[-1]


def current(url: str, *, instance: str) -> str | None:
    """The revision the instance is at, None when it has no schema yet. Raises Unavailable."""
    with connected(url, instance=instance) as connection:
        return revision_of(connection)


def upgrade(url: str, *, instance: str, to: str | None = None) -> str:
    """Bring the instance to `to` (the newest), all or nothing; returns the revision it is at.

    Two at once wait for each other. Raises Refused when the database is newer than this code, Unavailable.
    """
    with connected(url, instance=instance) as connection:
        upgrade_within(connection, instance=instance, to=to)
        revision = revision_of(connection)
    assert revision is not None
    return revision


def drop(url: str, *, instance: str) -> None:
    """Remove an instance with everything it stored. For the demo, which is invented anew each time."""
    with connected(url, instance=instance) as connection:
        quoted = connection.dialect.identifier_preparer.quote_identifier(instance)
        connection.execute(sqlalchemy.text(f"drop schema if exists {quoted} cascade"))


@contextlib.contextmanager
def connected(url: str, *, instance: str) -> Iterator[sqlalchemy.Connection]:
    """One transaction on a connection of its own, for upgrade_within and revision_of."""
    where = conninfo(url, instance=instance, limits=_LIMITS, application="shipit db")
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(where), poolclass=sqlalchemy.NullPool
    )
    with translated():
        try:
            with engine.begin() as connection:
                yield connection
        except sqlalchemy.exc.DBAPIError as error:
            # The cause is the driver's own error, which we have words for.
            if isinstance(error.orig, psycopg.Error):
                raise error.orig from error
            raise


def upgrade_within(connection: sqlalchemy.Connection, *, instance: str, to: str | None = None) -> None:
    """As `upgrade`, as a part of the caller's transaction."""
    driver = driver_of(connection)
    driver.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"shipit upgrade {instance}"])
    # Asked first: "if not exists" wants the right to create schemas even when there is nothing to create.
    if driver.execute("select 1 from pg_namespace where nspname = %s", [instance]).fetchone() is None:
        driver.execute(sql.SQL("create schema {}").format(sql.Identifier(instance)))
    found = revision_of(connection)
    if found is not None and found not in revisions():
        raise Refused(f"the database is at revision {found}, newer than this code, which ends at {head()}")
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to or head())


def revision_of(connection: sqlalchemy.Connection) -> str | None:
    """The revision recorded in the schema that the connection looks into."""
    return MigrationContext.configure(connection).get_current_revision()


def driver_of(connection: sqlalchemy.Connection) -> psycopg.Connection[tuple[object, ...]]:
    """The psycopg connection beneath, inside the same transaction."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _config() -> Config:
    config = Config()
    # Alembic reads % as the beginning of a reference.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
