# SPDX-License-Identifier: MPL-2.0
"""A consistent copy of an instance in one file, and the way back; needs no program of PostgreSQL's.

The file is a gzipped tar: one member per table in COPY's text form, then `manifest.json`. The manifest comes
last, so a file cut short has none, and it holds a digest of every table.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import class_row

from shipit.errors import InvalidInput, Refused
from shipit.storage import migrate

_MANIFEST = "manifest.json"
_FORMAT = "shipit backup 1"
_BLOCK = 1 << 20
_LARGEST_MANIFEST = 1 << 20
# Alembic's own, and the versions that begin anew in each database.
_NOT_COPIED = ["alembic_version", "changes"]


class Table(msgspec.Struct, frozen=True):
    """One table in the file. sequences: column → where its sequence stands."""

    name: str
    columns: tuple[str, ...]
    rows: int
    sha256: str
    sequences: dict[str, int] = {}


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds. revision: of the schema. tables: in an order in which they can be filled."""

    format: str
    instance: str
    revision: str
    made_at: datetime
    tables: tuple[Table, ...]

    @property
    def rows(self) -> int:
        """How many rows in all tables."""
        return sum(table.rows for table in self.tables)


class _Shape(msgspec.Struct, frozen=True):
    name: str
    columns: list[str]
    identities: list[str]
    needs: list[str]


# Tables of the schema: the columns to copy, those that draw from a sequence, the tables referred to.
_SHAPES = """
select relname::text as name,
    array(select attname::text from pg_attribute where attrelid = pg_class.oid
          and attnum > 0 and not attisdropped and attgenerated = '' order by attnum) as columns,
    array(select attname::text from pg_attribute where attrelid = pg_class.oid and attnum > 0
          and not attisdropped and pg_get_serial_sequence(pg_class.oid::regclass::text, attname) is not null
          order by attnum) as identities,
    array(select distinct other.relname::text from pg_constraint join pg_class other on other.oid = confrelid
          where conrelid = pg_class.oid and contype = 'f' and confrelid <> conrelid) as needs
from pg_class where relkind = 'r' and relnamespace = current_schema()::regnamespace and relname <> all(%s)
order by relname
"""

# What a column's sequence would give next, without drawing it.
_NEXT = """
select coalesce(pg_sequence_last_value(seqrelid) + seqincrement, seqstart) from pg_sequence
where seqrelid = pg_get_serial_sequence(quote_ident(%s), %s)::regclass
"""


def backup(url: str, file: Path, *, instance: str, now: datetime | None = None) -> Manifest:
    """Copy the instance to `file` as it is at one moment; replaces the file only once the copy is whole.

    The file is readable by its owner only: it holds what is private. Raises Refused for an instance without a
    schema, Unavailable.
    """
    with migrate.connected(url, instance=instance) as connection:
        driver = migrate.driver_of(connection)
        driver.rollback()
        driver.execute("set transaction isolation level repeatable read read only")
        revision = migrate.revision_of(connection)
        if revision is None:
            raise Refused(f"there is nothing to back up: instance {instance} has no schema")
        # mkstemp: mode 0600, and beside the file, so that renaming is one step.
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.absolute().parent)
        try:
            with os.fdopen(descriptor, "wb") as raw:
                with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6) as zipped:
                    tar = tarfile.TarFile(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT)
                    tables = tuple(_write_table(driver, tar, shape) for shape in _shapes(driver))
                    manifest = Manifest(
                        format=_FORMAT,
                        instance=instance,
                        revision=revision,
                        made_at=now or datetime.now(UTC),
                        tables=tables,
                    )
                    _add(tar, _MANIFEST, io.BytesIO(msgspec.json.encode(manifest)))
                    tar.close()
                raw.flush()
                os.fsync(raw.fileno())
            os.replace(name, file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return manifest


def restore(url: str, file: Path, *, instance: str) -> Manifest:
    """Fill the empty instance from `file` and bring it to the newest revision, all or nothing.

    Raises InvalidInput for a file that is damaged or none of ours, Refused when the instance holds rows or
    the file was written by newer code, Unavailable.
    """
    manifest = verify(file)
    if manifest.revision not in migrate.revisions():
        raise Refused(f"{file} is at revision {manifest.revision}, newer than this code ({migrate.head()})")
    with migrate.connected(url, instance=instance) as connection:
        driver = migrate.driver_of(connection)
        _refuse_rows(driver, instance)
        if migrate.revision_of(connection) not in (None, manifest.revision):
            # Empty, but of another shape than the file.
            driver.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(instance)))
        migrate.upgrade_within(connection, instance=instance, to=manifest.revision)
        _load(driver, file, manifest)
        migrate.upgrade_within(connection, instance=instance)
    return manifest


def verify(file: Path) -> Manifest:
    """Read the whole file and compare every digest; raises InvalidInput when it is not as it was written."""
    digests: dict[str, str] = {}
    manifest = None
    try:
        with gzip.open(file) as zipped, tarfile.open(fileobj=zipped, mode="r") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None:
                    continue
                if member.name == _MANIFEST:
                    manifest = msgspec.json.decode(content.read(_LARGEST_MANIFEST), type=Manifest)
                else:
                    digests[member.name] = _digest(content)
            # The end holds the checksum of the whole, which a tar's reader does not get to.
            while zipped.read(_BLOCK):
                pass
    except (
        tarfile.TarError,
        EOFError,
        zlib.error,
        gzip.BadGzipFile,
        msgspec.MsgspecError,
        ValueError,
    ) as error:
        raise InvalidInput(str(file), expected=f"a whole backup ({error})") from error
    if manifest is None or manifest.format != _FORMAT:
        raise InvalidInput(str(file), expected="a whole backup (its manifest is missing or of another kind)")
    if digests != {_member(table.name): table.sha256 for table in manifest.tables}:
        raise InvalidInput(str(file), expected="a whole backup (its tables differ from its manifest)")
    return manifest


def _digest(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := content.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _shapes(driver: psycopg.Connection[tuple[object, ...]]) -> list[_Shape]:
    """Tables in an order in which each comes after those it refers to."""
    with driver.cursor(row_factory=class_row(_Shape)) as cursor:
        waiting = cursor.execute(_SHAPES, [_NOT_COPIED]).fetchall()
    ordered: list[_Shape] = []
    while waiting:
        done = {shape.name for shape in ordered}
        ready = [shape for shape in waiting if done.issuperset(shape.needs)]
        assert ready, f"tables refer to each other in a circle: {[shape.name for shape in waiting]}"
        ordered += ready
        waiting = [shape for shape in waiting if shape not in ready]
    return ordered


def _write_table(
    driver: psycopg.Connection[tuple[object, ...]], tar: tarfile.TarFile, shape: _Shape
) -> Table:
    digest = hashlib.sha256()
    # Spooled, because tar wants to know the size first.
    with tempfile.TemporaryFile() as spool:
        statement = sql.SQL("copy {} ({}) to stdout").format(
            sql.Identifier(shape.name), _names(shape.columns)
        )
        with driver.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for block in copy:
                    digest.update(block)
                    spool.write(block)
            rows = cursor.rowcount
        spool.seek(0)
        _add(tar, _member(shape.name), spool)
    return Table(
        name=shape.name,
        columns=tuple(shape.columns),
        rows=rows,
        sha256=digest.hexdigest(),
        sequences={column: _sequence(driver, shape.name, column) for column in shape.identities},
    )


def _sequence(driver: psycopg.Connection[tuple[object, ...]], table: str, column: str) -> int:
    row = driver.execute(_NEXT, [table, column]).fetchone()
    assert row is not None and isinstance(row[0], int)
    return row[0]


def _load(driver: psycopg.Connection[tuple[object, ...]], file: Path, manifest: Manifest) -> None:
    """Fill the tables, in the manifest's order, which is also the file's."""
    known = {shape.name: shape for shape in _shapes(driver)}
    tables = {_member(table.name): table for table in manifest.tables}
    with tarfile.open(file, "r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if member.name == _MANIFEST or content is None:
                continue
            table = tables[member.name]
            shape = known.get(table.name)
            if shape is None or set(table.columns) != set(shape.columns):
                raise InvalidInput(
                    str(file), expected=f"the tables of revision {manifest.revision}", got=table.name
                )
            _load_table(driver, table, content)


def _load_table(driver: psycopg.Connection[tuple[object, ...]], table: Table, content: IO[bytes]) -> None:
    # A migration may have brought rows of its own; the file's are the whole truth.
    driver.execute(sql.SQL("delete from {}").format(sql.Identifier(table.name)))
    statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(table.name), _names(table.columns))
    with driver.cursor() as cursor:
        with cursor.copy(statement) as copy:
            shutil.copyfileobj(content, copy, _BLOCK)
        assert cursor.rowcount == table.rows, f"{table.name}: {cursor.rowcount} of {table.rows} rows"
    for column, value in table.sequences.items():
        driver.execute(
            "select setval(pg_get_serial_sequence(quote_ident(%s), %s), %s, false)",
            [table.name, column, value],
        )


def _refuse_rows(driver: psycopg.Connection[tuple[object, ...]], instance: str) -> None:
    for shape in _shapes(driver):
        found = driver.execute(
            sql.SQL("select 1 from {} limit 1").format(sql.Identifier(shape.name))
        ).fetchone()
        if found is not None:
            raise Refused(
                f"instance {instance} is not empty (table {shape.name}); restore into an empty database"
            )


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o600
    member.size = content.seek(0, os.SEEK_END)
    content.seek(0)
    tar.addfile(member, content)


def _member(table: str) -> str:
    return f"{table}.copy"


def _names(columns: list[str] | tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
