# SPDX-License-Identifier: MPL-2.0
"""`shipit db`: bring the schema up to date, copy the data, and bring a copy back."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from shipit.cli.options import shape_option
from shipit.cli.reading import database_url, read_settings
from shipit.errors import InvalidInput
from shipit.storage import backup as backups
from shipit.storage import migrate

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def db() -> None:
    """Migrations; a consistent copy and back. The database is DATABASE_URL's, the instance the settings'."""


@db.command()
@shape_option
def upgrade(shape: str) -> None:
    """Bring the schema to the newest revision (run it at each release; safe to run again)."""
    url, instance = _where()
    before = migrate.current(url, instance=instance)
    after = migrate.upgrade(url, instance=instance)
    text = f"{instance} is at {after}" if before == after else f"{instance}: {before or 'empty'} → {after}"
    _say(shape, text, {"instance": instance, "before": before, "after": after})


@db.command()
@click.argument("file", type=_FILE)
@shape_option
def backup(file: Path, shape: str) -> None:
    """Copy the instance to FILE, as it is at one moment, while everything goes on."""
    url, instance = _where()
    _tell(shape, f"{instance} copied to {file}", backups.backup(url, file, instance=instance))


@db.command()
@click.argument("file", type=_FILE)
@shape_option
def restore(file: Path, shape: str) -> None:
    """Fill the empty instance from FILE and bring it to the newest revision, all or nothing."""
    if not file.is_file():
        raise InvalidInput("FILE", expected="an existing backup", got=str(file))
    url, instance = _where()
    _tell(shape, f"{instance} restored from {file}", backups.restore(url, file, instance=instance))


def _where() -> tuple[str, str]:
    settings = read_settings()
    return database_url(settings), settings.instance


def _tell(shape: str, text: str, manifest: backups.Manifest) -> None:
    shown = {
        "instance": manifest.instance,
        "revision": manifest.revision,
        "made_at": manifest.made_at,
        "tables": {table.name: table.rows for table in manifest.tables},
        "rows": manifest.rows,
    }
    _say(shape, f"{text}: {manifest.rows} rows in {len(manifest.tables)} tables, {manifest.revision}", shown)


def _say(shape: str, text: str, result: dict[str, object]) -> None:
    click.echo(msgspec.json.encode(result).decode() if shape == "json" else text)
