# SPDX-License-Identifier: MPL-2.0
"""`shipit db`: bring the schema up to date, copy the data, and bring a copy back."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from shipit.errors import InvalidInput
from shipit.settings import load
from shipit.storage import backup as backups
from shipit.storage import migrate

_FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print the result."
)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def db() -> None:
    """Migrations; a consistent copy and back. The database is DATABASE_URL's, the instance the settings'."""


@db.command()
@_FORMAT
def upgrade(form: str) -> None:
    """Bring the schema to the newest revision (run it at each release; safe to run again)."""
    url, instance = _where()
    before = migrate.current(url, instance=instance)
    after = migrate.upgrade(url, instance=instance)
    text = f"{instance} is at {after}" if before == after else f"{instance}: {before or 'empty'} → {after}"
    _say(form, text, {"instance": instance, "before": before, "after": after})


@db.command()
@click.argument("file", type=_FILE)
@_FORMAT
def backup(file: Path, form: str) -> None:
    """Copy the instance to FILE, as it is at one moment, while everything goes on."""
    url, instance = _where()
    _tell(form, f"{instance} copied to {file}", backups.backup(url, file, instance=instance))


@db.command()
@click.argument("file", type=_FILE)
@_FORMAT
def restore(file: Path, form: str) -> None:
    """Fill the empty instance from FILE and bring it to the newest revision, all or nothing."""
    if not file.is_file():
        raise InvalidInput("FILE", expected="an existing backup", got=str(file))
    url, instance = _where()
    _tell(form, f"{instance} restored from {file}", backups.restore(url, file, instance=instance))


def _where() -> tuple[str, str]:
    settings = load(os.environ)
    url = settings.backend.database_url
    if url is None:
        raise InvalidInput("DATABASE_URL", expected="the URL of a PostgreSQL database")
    return url.reveal(), settings.instance


def _tell(form: str, text: str, manifest: backups.Manifest) -> None:
    shown = {
        "instance": manifest.instance,
        "revision": manifest.revision,
        "made_at": manifest.made_at,
        "tables": {table.name: table.rows for table in manifest.tables},
        "rows": manifest.rows,
    }
    _say(form, f"{text}: {manifest.rows} rows in {len(manifest.tables)} tables, {manifest.revision}", shown)


def _say(form: str, text: str, result: dict[str, object]) -> None:
    click.echo(msgspec.json.encode(result).decode() if form == "json" else text)
