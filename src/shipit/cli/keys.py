# SPDX-License-Identifier: MPL-2.0
"""`shipit keys`: one's own keys for Bugzilla, Phabricator and Balrog; rotation of what encrypts them all."""

from __future__ import annotations

import asyncio
import sys

import click
import msgspec

from shipit.actions.my_keys import SYSTEMS
from shipit.cli.options import shape_option
from shipit.cli.pipeline import ask
from shipit.cli.reading import database_url, read_settings
from shipit.cli.writing import vault_of
from shipit.errors import Refused
from shipit.settings import Settings
from shipit.storage import keys as stored
from shipit.storage.pool import open_pool

system_argument = click.argument("system", type=click.Choice(SYSTEMS))


@click.group()
def keys() -> None:
    """Your keys for Bugzilla, Phabricator and Balrog, with which you write and sign there."""


@keys.command("list")
@shape_option
def list_all(shape: str) -> None:
    """Which keys you have here, and as whom they write."""
    found = ask("GET", "/api/me/keys")
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        state = f"not taken any more: {each['refused_why']}" if each["refused_at"] else "in use"
        click.echo(f"{each['system']:12} {each['account']} ({state})")


@keys.command("set")
@system_argument
def set_key(system: str) -> None:
    """Keep a key. It is asked for, or read from standard input; never give it as an argument."""
    given = click.prompt("Key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    kept = ask("PUT", f"/api/me/keys/{system}", {"key": given.strip()}, what="key")
    click.echo(f"{system}: decisions are written as {kept['account']}")


@keys.command()
@system_argument
def forget(system: str) -> None:
    """Forget a key."""
    ask("DELETE", f"/api/me/keys/{system}")
    click.echo(f"{system}: forgotten")


@keys.command()
def rotate() -> None:
    """Encrypt everybody's keys with the first secret of SHIPIT_SECRET_KEY. Needs DATABASE_URL."""
    settings = read_settings()
    count, lost = asyncio.run(_rotate(settings, database_url(settings)))
    click.echo(f"{count} keys are encrypted anew")
    if lost:
        raise Refused(f"{lost} keys open with none of the secrets: their owners enter them again")
    click.echo("every key is encrypted with the first secret; the others can be taken away")


async def _rotate(settings: Settings, url: str) -> tuple[int, int]:
    async with (
        open_pool(url, instance=settings.instance) as database,
        database.connection() as connection,
    ):
        return await stored.rotate(connection, vault_of(settings))
