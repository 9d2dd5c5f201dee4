# SPDX-License-Identifier: MPL-2.0
"""The schema: the same from empty and from every earlier revision, one per instance, never downgraded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fixtures_postgres import Database, Server
from shipit.errors import InvalidInput, Refused, Unavailable
from shipit.merge.types import Outcome
from shipit.storage import migrate
from shipit.trains.types import Stage
from shipit.uplift.types import RequestState

# Everything a schema consists of, one line each.
DESCRIPTION = """
select 'column', table_name, column_name, format('%%s %%s null %%s default %%s generated %%s',
    ordinal_position, udt_name, is_nullable, column_default, coalesce(generation_expression, is_identity))
from information_schema.columns where table_schema = %(schema)s
union all
select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
from pg_constraint where connamespace = %(schema)s::regnamespace
union all
select 'index', tablename, indexname, indexdef from pg_indexes where schemaname = %(schema)s
union all
select 'view', viewname, '', definition from pg_views where schemaname = %(schema)s
union all
select 'function', proname, '', pg_get_functiondef(oid)
from pg_proc where pronamespace = %(schema)s::regnamespace
union all
select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(pg_trigger.oid)
from pg_trigger join pg_class on pg_class.oid = tgrelid
where relnamespace = %(schema)s::regnamespace and not tgisinternal
union all
select 'sequence', sequencename, '', concat(data_type, ' ', increment_by)
from pg_sequences where schemaname = %(schema)s
union all
select 'comment', objoid::regclass::text, objsubid::text, description
from pg_description join pg_class on pg_class.oid = objoid
where classoid = 'pg_class'::regclass and relnamespace = %(schema)s::regnamespace
order by 1, 2, 3
"""


def describe(url: str, schema: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url, options=f"-c search_path={schema}") as connection:
        return connection.execute(DESCRIPTION, {"schema": schema}).fetchall()


def test_revisions_are_one_line_with_words_in_their_names() -> None:
    known = migrate.revisions()
    assert known[-1] == migrate.head()
    assert list(known) == sorted(known)
    for revision in known:
        digits, word = revision.split("_", 1)
        assert (len(digits), digits.isdigit(), word.replace("_", "").isalpha()) == (4, True, True)
        assert len(revision) <= 32, "Alembic's own table holds no more"


def test_upgrading_release_by_release_gives_the_schema_that_empty_does(
    postgres: Server, database: Database
) -> None:
    url = postgres.create()
    for revision in migrate.revisions():
        assert migrate.upgrade(url, instance="testing", to=revision) == revision
        assert migrate.current(url, instance="testing") == revision
    assert migrate.current(url, instance="testing") == migrate.head()
    assert describe(url, "testing") == describe(database.url, database.instance)
    postgres.drop(url)


def test_the_description_would_notice_a_difference(database: Database) -> None:
    before = describe(database.url, database.instance)
    kinds = {line[0] for line in before}
    assert kinds == {"column", "constraint", "index", "view", "function", "trigger", "sequence", "comment"}
    with database.connect() as connection:
        connection.execute("alter table trains alter column owner set default 'nobody'")
    assert len(set(describe(database.url, database.instance)) ^ set(before)) == 2


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    before = describe(database.url, database.instance)
    assert migrate.upgrade(database.url, instance=database.instance) == migrate.head()
    assert describe(database.url, database.instance) == before


def test_an_empty_database_has_no_revision(postgres: Server) -> None:
    url = postgres.create()
    assert migrate.current(url, instance="testing") is None
    postgres.drop(url)


def test_a_database_newer_than_the_code_is_refused_untouched(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("update alembic_version set version_num = '9999_future'")
    with pytest.raises(Refused, match="9999_future, newer than this code"):
        migrate.upgrade(database.url, instance=database.instance)
    assert migrate.current(database.url, instance=database.instance) == "9999_future"


def test_instances_share_a_server_without_touching_each_other(database: Database) -> None:
    for instance in ("production", "staging"):
        migrate.upgrade(database.url, instance=instance)
    train = (
        "insert into trains (name, channel, repository, branch) values ('beta', 'beta', 'firefox', 'beta')"
    )
    production = Database(database.url, "production")
    staging = Database(database.url, "staging")
    with production.connect() as there, staging.connect() as here:
        here.execute("listen staging_live")
        here.execute("listen production_live")
        there.execute(train)
        assert here.execute("select count(*) from trains").fetchone() == (0,)
        here.execute(train)
        heard = [notification.channel for notification in here.notifies(timeout=5, stop_after=2)]
        assert sorted(heard) == ["production_live", "staging_live"]
        there.execute("drop schema production cascade")
        assert here.execute("select count(*) from trains").fetchone() == (1,)


def test_dropping_an_instance_leaves_the_others(database: Database) -> None:
    migrate.upgrade(database.url, instance="staging")
    for _ in range(2):
        migrate.drop(database.url, instance="staging")
    assert migrate.current(database.url, instance="staging") is None
    assert migrate.current(database.url, instance=database.instance) == migrate.head()


def test_two_upgrades_at_once_wait_for_each_other(postgres: Server, database: Database) -> None:
    # Alembic keeps state per process, so a real second upgrade is another process; here its lock is enough.
    url = postgres.create()
    with psycopg.connect(url) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("select pg_advisory_xact_lock(hashtextextended('shipit upgrade testing', 0))")
        waiting = pool.submit(migrate.upgrade, url, instance="testing")
        with psycopg.connect(url, autocommit=True) as watcher:
            for _ in range(500):
                row = watcher.execute("select count(*) from pg_locks where not granted").fetchone()
                if row == (1,):
                    break
                watcher.execute("select pg_sleep(0.01)")
            assert row == (1,)
        assert not waiting.done()
        holder.rollback()
        assert waiting.result(timeout=30) == migrate.head()
    assert describe(url, "testing") == describe(database.url, "testing")
    postgres.drop(url)


def test_a_failing_migration_leaves_nothing(postgres: Server) -> None:
    url = postgres.create()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create schema testing create table people (id int)")
    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate.upgrade(url, instance="testing")
    assert migrate.current(url, instance="testing") is None
    with psycopg.connect(url) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'testing'").fetchall()
    assert tables == [("people",)]
    postgres.drop(url)


def test_an_instance_name_that_is_no_plain_schema_name_is_refused(postgres: Server) -> None:
    for bad in ("", "Production", "a b", 'x"; drop schema y', "pg_catalog", "a" * 41):
        with pytest.raises(InvalidInput, match="instance"):
            migrate.upgrade(postgres.url, instance=bad)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    url = make_conninfo("postgresql://shipit:hunter2@127.0.0.1:1/shipit")
    with pytest.raises(Unavailable, match="database") as caught:
        migrate.upgrade(url, instance="testing")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "column", "enum"),
    [("trains", "stage", Stage), ("requests", "state", RequestState), ("trials", "outcome", Outcome)],
)
def test_the_database_allows_exactly_the_values_of_the_enum(
    database: Database, table: str, column: str, enum: type[StrEnum]
) -> None:
    with database.connect() as connection:
        row = connection.execute(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = %s",
            [f"{table}_{column}_check"],
        ).fetchone()
        assert row is not None
        allowed = {word.split("'")[1] for word in row[0].split("::text") if "'" in word}
    assert allowed == {member.value for member in enum}
