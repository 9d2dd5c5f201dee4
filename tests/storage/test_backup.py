# SPDX-License-Identifier: MPL-2.0
"""Backup and restore, drilled: every row of awkward data comes back, and a bad file changes nothing."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from fixtures_postgres import Database, Server
from shipit.cli.db import db
from shipit.errors import InvalidInput, Refused
from shipit.storage import backup, migrate

AWKWARD = 'tab\tnewline\nreturn\rbackslash\\ \\N \\. quote\' "double" ü 漢字 🦊 \u202e\u0301'

FILL = [
    "insert into trains (name, channel, repository, branch, next_build, read_at) values "
    "('beta', 'beta', %(text)s, '', %(json)s, '2026-01-02 03:04:05.678901+05:30'), "
    "('esr', '', '', '', null, null)",
    "insert into bugs (id, summary, keywords, groups, fields, facts, changed) values "
    "(1, %(text)s, array[%(text)s, '', 'NULL', null], '{security}', %(json)s, %(json)s, 'infinity'), "
    "(9223372036854775807, '', '{}', '{}', 'null', '[]', null)",
    "insert into requests (uid, bug, train, state, attachments, form) values "
    "(%(text)s, 1, 'beta', 'requested', '{1,2}', %(json)s), ('2', 1, 'esr', 'cleared', '{}', null)",
    "insert into trials (request, train, series_digest, tip, key, outcome, patches) values "
    "(%(text)s, 'beta', '', '', '', 'conflict', %(json)s)",
    "insert into rounds (uid, kind, holder, counts) values (%(text)s, '', '', %(json)s)",
    "insert into leases (name, holder, expires) values (%(text)s, '', '-infinity')",
    "insert into wishes (uid, kind, subject, result) values "
    "(%(text)s, '', '', null), ('2', '', '2', %(json)s)",
    "insert into mails (key, recipients, subject) values ('', array[%(text)s], %(text)s)",
    "insert into people (email, comment_private) values ('gone', ''), (%(text)s, %(text)s)",
    "delete from people where email = 'gone'",
]


AWKWARD_JSON = json.dumps({AWKWARD: [None, 1.5e300, AWKWARD, {}, [], 2**60]})

# A value of each type, for the tables that are not filled by hand.
ANY = {
    "text": AWKWARD,
    "jsonb": AWKWARD_JSON,
    "json": AWKWARD_JSON,
    "bytea": bytes(range(256)),
    "_text": [AWKWARD, None, "", "NULL"],
    "_int8": [1, None],
    "int2": 1,
    "int4": 1,
    "int8": 2**62,
    "float8": 0.1,
    "numeric": "1.10",
    "bool": True,
    "timestamptz": "2026-01-02 03:04:05.678901+05:30",
    "date": "2026-01-02",
    "interval": "1 month 2 days 3.5 seconds",
    "uuid": "6f1c1a6e-0000-4000-8000-000000000000",
}

# Columns to fill: their type, the first word a check allows, the table and column a foreign key points to.
COLUMNS = """
select attname, typname,
    (select substring(pg_get_constraintdef(oid) from 'ANY \\(+ARRAY\\[''([^'']+)''') from pg_constraint
     where conrelid = attrelid and contype = 'c' and conkey = array[attnum] limit 1),
    target.relname, target.key
from pg_attribute column_ join pg_type on pg_type.oid = atttypid
left join lateral (
    select relname, other.attname as key from pg_constraint
    cross join unnest(conkey, confkey) as pair (mine, theirs)
    join pg_class on pg_class.oid = confrelid
    join pg_attribute other on other.attrelid = confrelid and other.attnum = theirs
    where conrelid = column_.attrelid and contype = 'f' and mine = column_.attnum
    -- a key of several columns points to one row, which each of them has to come from
    order by cardinality(conkey) desc limit 1
) target on true
where attrelid = %s::regclass and attnum > 0
    and not attisdropped and attgenerated = '' and attidentity = ''
"""


def fill_the_rest(connection: psycopg.Connection) -> None:
    """One row into each table that has none, so that tables of later migrations are drilled too."""
    tables = connection.execute("select tablename from pg_tables where schemaname = 'testing'").fetchall()
    empty = [
        name
        for (name,) in tables
        if not connection.execute(sql.SQL("select 1 from {}").format(sql.Identifier(name))).fetchall()
    ]
    while empty:
        left = [name for name in empty if not _fill(connection, name, empty)]
        assert left != empty, f"cannot be filled: {left}"
        empty = left


def _fill(connection: psycopg.Connection, table: str, empty: list[str]) -> bool:
    values: dict[str, object] = {}
    for column, kind, allowed, target, key in connection.execute(COLUMNS, [table]).fetchall():
        if target is None:
            assert kind in ANY, f"{table}.{column} is of type {kind}: give it a value in ANY"
            values[column] = allowed or ANY[kind]
        elif target in empty:
            return False
        else:
            query = sql.SQL("select {} from {}").format(sql.Identifier(key), sql.Identifier(target))
            values[column] = connection.execute(query).fetchall()[0][0]
    connection.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() for _ in values),
        ),
        list(values.values()),
    )
    return True


@pytest.fixture
def filled(database: Database) -> Database:
    """Every table holds rows, the awkward among them."""
    value = {"text": AWKWARD, "json": AWKWARD_JSON}
    with database.connect() as connection:
        for statement in FILL:
            connection.execute(statement, value)
        fill_the_rest(connection)
    return database


@pytest.fixture
def empty(postgres: Server) -> Iterator[Database]:
    """A database without anything."""
    database = Database(postgres.create())
    yield database
    postgres.drop(database.url)


def rows_of(database: Database) -> dict[str, list[str]]:
    with database.connect() as connection:
        names = connection.execute(
            "select tablename from pg_tables where schemaname = %s and tablename <> 'changes'",
            [database.instance],
        ).fetchall()
        return {
            name: [
                row[0]
                for row in connection.execute(
                    sql.SQL("select t::text from {} t order by 1").format(sql.Identifier(name))
                )
            ]
            for (name,) in names
        }


def is_untouched(database: Database) -> bool:
    with database.connect() as connection:
        found = connection.execute("select 1 from pg_namespace where nspname = %s", [database.instance])
        return found.fetchone() is None


@pytest.fixture
def file(filled: Database, tmp_path: Path) -> Path:
    """A backup of `filled`."""
    backup.backup(filled.url, tmp_path / "copy.tar.gz", instance=filled.instance)
    return tmp_path / "copy.tar.gz"


def test_every_row_of_every_table_comes_back(filled: Database, empty: Database, file: Path) -> None:
    before = rows_of(filled)
    assert all(before.values()), f"a table without rows proves nothing: {before}"
    made = backup.verify(file)
    assert {table.name for table in made.tables} == set(before) - {"alembic_version"}
    assert made.rows == sum(map(len, before.values())) - 1

    assert backup.restore(empty.url, file, instance=empty.instance) == made
    assert rows_of(empty) == before


def test_sequences_go_on_where_they_were(filled: Database, empty: Database, file: Path) -> None:
    backup.restore(empty.url, file, instance=empty.instance)
    insert = "insert into people (email) values ('next') returning id"
    with filled.connect() as there, empty.connect() as here:
        assert there.execute(insert).fetchone() == here.execute(insert).fetchone() == (3,)


def test_versions_never_repeat_after_a_restore(filled: Database, empty: Database, file: Path) -> None:
    with filled.connect() as there:
        seen = there.execute("select version_of('beta')").fetchone()
    backup.restore(empty.url, file, instance=empty.instance)
    with empty.connect() as here:
        now = here.execute("select version_of('beta')").fetchone()
    assert now is not None and seen is not None and now[0] > seen[0]


def test_an_instance_is_restored_as_another(filled: Database, file: Path) -> None:
    backup.restore(filled.url, file, instance="staging")
    assert rows_of(Database(filled.url, "staging")) == rows_of(filled)


def test_a_migrated_but_empty_database_is_filled_too(filled: Database, postgres: Server, file: Path) -> None:
    target = postgres.create_migrated()
    backup.restore(target.url, file, instance=target.instance)
    assert rows_of(target) == rows_of(filled)
    postgres.drop(target.url)


@pytest.mark.drill
@pytest.mark.parametrize("earlier", migrate.revisions())
def test_a_backup_of_every_earlier_revision_is_restored_and_upgraded(
    postgres: Server, database: Database, empty: Database, tmp_path: Path, earlier: str
) -> None:
    old = Database(postgres.create())
    migrate.upgrade(old.url, instance="testing", to=earlier)
    with old.connect() as connection:
        connection.execute("insert into people (email) values ('a@example.org')")
    assert backup.backup(old.url, tmp_path / "old", instance="testing").revision == earlier
    backup.restore(empty.url, tmp_path / "old", instance="testing")
    assert migrate.current(empty.url, instance="testing") == migrate.head()
    backup.restore(database.url, tmp_path / "old", instance="testing")
    assert len(rows_of(empty)["people"]) == len(rows_of(database)["people"]) == 1
    postgres.drop(old.url)


def test_the_copy_is_of_one_moment_although_writers_go_on(filled: Database, tmp_path: Path) -> None:
    # A writer holds bugs; the copy began before it commits and must not see half of what it does.
    with filled.connect() as writer:
        writer.autocommit = False
        writer.execute("update bugs set summary = 'half'")
        writer.execute("delete from trials")
        made = backup.backup(filled.url, tmp_path / "copy", instance=filled.instance)
        writer.commit()
    assert {table.name: table.rows for table in made.tables}["trials"] == 1
    with tarfile.open(tmp_path / "copy") as tar:
        bugs = tar.extractfile("bugs.copy")
        assert bugs is not None
        assert b"half" not in bugs.read()


def test_a_file_cut_short_anywhere_is_refused(empty: Database, file: Path) -> None:
    whole = file.read_bytes()
    for length in [0, 1, 10, 100, *range(0, len(whole), len(whole) // 20), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(InvalidInput, match="a whole backup"):
            backup.restore(empty.url, file, instance=empty.instance)
    assert is_untouched(empty)


def test_a_file_with_any_byte_of_content_changed_is_refused(empty: Database, file: Path) -> None:
    whole = file.read_bytes()
    content = gzip.decompress(whole)
    for place in [*range(0, len(whole) - 8, len(whole) // 40), len(whole) - 5]:
        changed = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        # Some bits of gzip hold a time, or the padding between blocks, and change nothing.
        with contextlib.suppress(gzip.BadGzipFile, EOFError, zlib.error):
            if gzip.decompress(changed) == content:
                continue
        file.write_bytes(changed)
        with pytest.raises(InvalidInput, match="a whole backup"):
            backup.restore(empty.url, file, instance=empty.instance)
    assert is_untouched(empty)


def rewritten(file: Path, **changes: bytes) -> None:
    """The same archive, zipped anew, with other contents for some members; None leaves one out."""
    target = io.BytesIO()
    with tarfile.open(file) as old, tarfile.open(fileobj=target, mode="w") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            data = changes.get(member.name.split(".")[0], content.read())
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    file.write_bytes(gzip.compress(target.getvalue()))


def test_a_table_that_differs_from_its_manifest_is_refused(empty: Database, file: Path) -> None:
    rewritten(file, people=b"")
    with pytest.raises(InvalidInput, match="differ from its manifest"):
        backup.restore(empty.url, file, instance=empty.instance)
    assert is_untouched(empty)


def test_rows_that_break_the_schema_roll_everything_back(empty: Database, file: Path) -> None:
    # Digests agree, yet a trial points to a request that is not there.
    manifest = json.loads(_member(file, "manifest.json"))
    for table in manifest["tables"]:
        if table["name"] == "requests":
            table |= {"rows": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
    rewritten(file, requests=b"", manifest=json.dumps(manifest).encode())
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        backup.restore(empty.url, file, instance=empty.instance)
    assert is_untouched(empty)


def _member(file: Path, name: str) -> bytes:
    with tarfile.open(file) as tar:
        content = tar.extractfile(name)
        assert content is not None
        return content.read()


def test_a_file_of_newer_code_is_refused(empty: Database, file: Path) -> None:
    manifest = json.loads(_member(file, "manifest.json")) | {"revision": "9999_future"}
    rewritten(file, manifest=json.dumps(manifest).encode())
    with pytest.raises(Refused, match="newer than this code"):
        backup.restore(empty.url, file, instance=empty.instance)
    assert is_untouched(empty)


def test_a_database_that_is_not_empty_is_refused_and_kept(filled: Database, file: Path) -> None:
    before = rows_of(filled)
    with pytest.raises(Refused, match="not empty"):
        backup.restore(filled.url, file, instance=filled.instance)
    assert rows_of(filled) == before


def test_the_file_is_for_its_owner_only_and_a_failed_copy_keeps_the_old_one(
    filled: Database, empty: Database, file: Path
) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(Refused, match="nothing to back up"):
        backup.backup(empty.url, file, instance=empty.instance)
    with filled.connect() as connection:
        connection.execute("alter table people rename to persons")
        connection.execute("create view broken as select 1 / 0")
        # A table that cannot be read stops the copy midway.
        connection.execute("create function fail() returns int language plpgsql as 'begin raise; end'")
        connection.execute("alter table mails enable row level security")
        connection.execute("alter table mails force row level security")
        connection.execute("create role reader login")
        connection.execute("grant usage on schema testing to reader")
        connection.execute("grant select on bugs, leases, alembic_version to reader")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        backup.backup(filled.url.replace("postgres@", "reader@"), file, instance=filled.instance)
    assert file.read_bytes() == before
    assert sorted(entry.name for entry in file.parent.iterdir()) == [file.name]
    with filled.connect() as connection:
        connection.execute("drop owned by reader")
        connection.execute("drop role reader")


def test_the_commands_upgrade_copy_and_restore(filled: Database, empty: Database, tmp_path: Path) -> None:
    runner = CliRunner()
    file = str(tmp_path / "copy")
    there = {"DATABASE_URL": filled.url, "SHIPIT_INSTANCE": filled.instance}
    here = {"DATABASE_URL": empty.url, "SHIPIT_INSTANCE": empty.instance}
    made = json.loads(runner.invoke(db, ["backup", file, "--format", "json"], env=there).output)
    restored = json.loads(runner.invoke(db, ["restore", file, "--format", "json"], env=here).output)
    assert made == restored
    assert made["rows"] == sum(made["tables"].values()) >= 13
    again = runner.invoke(db, ["upgrade"], env=here)
    assert again.output == f"testing is at {migrate.head()}\n"
    refused = runner.invoke(db, ["restore", file], env=here)
    assert isinstance(refused.exception, Refused)
    absent = runner.invoke(db, ["restore", file + "x"], env=here)
    assert isinstance(absent.exception, InvalidInput)
