# SPDX-License-Identifier: MPL-2.0
"""shipit events: the journal, replay and skip, and what a recorded delivery would trigger."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from shipit.cli.options import shape_option
from shipit.cli.reading import database_url, read_settings
from shipit.errors import InvalidInput, Missing
from shipit.events import deliveries, matching, originals, samples
from shipit.events.routes import Route
from shipit.events.types import Delivery, Facts, Need, Unreadable
from shipit.settings import Settings
from shipit.storage import journal, journal_pages
from shipit.storage.pool import Connection, Limits, open_pool

_T = TypeVar("_T")


@click.group()
def events() -> None:
    """The listener's journal, and what a delivery would trigger."""


@events.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--facts",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with answers of listTaskGroup.",
)
@shape_option
def simulate(files: tuple[Path, ...], facts: Path | None, shape: str) -> None:
    """What recorded deliveries would trigger; nothing is called or stored.

    Without [[routes]] and [[hooks]] in the settings, the original's three hooks are taken.
    """
    settings = read_settings()
    routes = routes_or_originals(settings)
    known = _facts(facts)
    told = [
        simulated(delivery, routes, known, settings.instance)
        for file in _spread(files)
        for delivery in _deliveries(file)
    ]
    if not told:
        raise InvalidInput("FILE", expected="at least one delivery")
    if shape == "json":
        click.echo(json.dumps(told, indent=1))
        return
    for row in told:
        click.echo(f"{row['key']}  {row['event']}")
        if row["ignored"]:
            click.echo(f"  ignored: {row['ignored']}")
        for trigger in row["triggers"]:
            click.echo(
                f"  {trigger['route']} → {trigger['sink']} {trigger['task_id']} "
                + json.dumps(trigger["payload"])
            )


@events.command("import-hooks")
@click.argument("file", type=click.File("rb"))
@shape_option
def import_hooks(file: Any, shape: str) -> None:
    """The original's HOOKS list (JSON or TOML) as [[routes]]; tokens are left out."""
    rows = originals.routes_of(_hooks(file.read()))
    originals.all_routes(rows, ())
    click.echo(json.dumps(rows, indent=1) if shape == "json" else originals.as_toml(rows), nl=False)


@events.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--before", type=int, help="Only events with a smaller id: the next page.")
@click.option("--state", help="Only events in this state, or with an effect in it.")
@click.option("--route", help="Only events with an effect of this route.")
@click.option("--source", help="Only events of this source: pulse, phabricator…")
@shape_option
def list_events(
    limit: int, before: int | None, state: str | None, route: str | None, source: str | None, shape: str
) -> None:
    """The journal's rows with their effects, newest first."""

    async def read(connection: Connection) -> bytes:
        return await journal_pages.list_events(
            connection, limit=limit, before=before, state=state, route=route, source=source
        )

    found = _within(read)
    if shape == "json":
        click.echo(found)
        return
    for row in msgspec.json.decode(found):
        _print_row(row)


@events.command()
@click.argument("key")
@click.option("--why", is_flag=True, help="What every route makes of it now, without asking anybody.")
@shape_option
def show(key: str, why: bool, shape: str) -> None:
    """One event whole: how it came, what it holds, what came of it."""

    async def read(connection: Connection) -> tuple[bytes, Delivery | None]:
        listed = await journal_pages.list_events(connection, key=key, limit=1)
        return listed, await journal.read_delivery(connection, key)

    listed, delivery = _within(read)
    if delivery is None:
        raise Missing(f"there is no event {key!r}")
    row = msgspec.json.decode(listed)[0]
    row["body"] = delivery.body.decode("utf-8", "replace")
    row["cc"] = list(delivery.cc)
    if why:
        settings = read_settings()
        row["why"] = reasons(delivery, routes_or_originals(settings), settings.instance)
    if shape == "json":
        click.echo(json.dumps(row, indent=1))
        return
    _print_row(row)
    for name, reason in row.get("why", {}).items():
        click.echo(f"  {name}: {reason}")
    click.echo(row["body"])


@events.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@shape_option
def replay(keys: tuple[str, ...], shape: str) -> None:
    """Look at events anew and try what was refused again; what was triggered is not triggered twice."""

    async def act(connection: Connection) -> dict[str, int]:
        return {key: await journal.replay(connection, key) for key in keys}

    told = _within(act)
    if shape == "json":
        click.echo(json.dumps([{"key": key, "effects": count} for key, count in told.items()]))
        return
    for key, count in told.items():
        click.echo(f"{key}: looked at again, {count} effects tried again")


@events.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--reason", default="skipped by hand", show_default=True)
@shape_option
def skip(keys: tuple[str, ...], reason: str, shape: str) -> None:
    """Decide that nothing (more) shall happen of events."""

    async def act(connection: Connection) -> dict[str, bool]:
        return {key: await journal.skip(connection, key, reason=reason) for key in keys}

    told = _within(act)
    if shape == "json":
        click.echo(json.dumps([{"key": key, "skipped": is_skipped} for key, is_skipped in told.items()]))
        return
    for key, is_skipped in told.items():
        click.echo(f"{key}: {'skipped' if is_skipped else 'nothing waited'}")


def reasons(delivery: Delivery, routes: tuple[Route, ...], instance: str) -> dict[str, str]:
    """What every route makes of a delivery, in words."""
    event = deliveries.read(delivery)
    if isinstance(event, Unreadable):
        return {"*": event.reason}
    told: dict[str, str] = {}
    for route in routes:
        match matching.judge(event, route, instance=instance):
            case matching.Ignored(reason):
                told[route.name] = f"ignored: {reason}"
            case matching.Broken(reason):
                told[route.name] = f"cannot use it: {reason}"
            case Need() as need:
                told[route.name] = f"wants to know the {need.kind} {need.name} first"
            case triggers:
                told[route.name] = "; ".join(f"triggers {t.sink} as {t.task_id}" for t in triggers)
    return told


def _within(act: Callable[[Connection], Awaitable[_T]]) -> _T:
    """Do something in one transaction on the database of the settings."""
    settings = read_settings()
    url = database_url(settings)

    async def run() -> _T:
        async with (
            open_pool(url, instance=settings.instance, limits=Limits(connections=1)) as db,
            db.connection() as connection,
        ):
            return await act(connection)

    return asyncio.run(run())


def _print_row(row: dict[str, Any]) -> None:
    reason = f"  ({row['reason']})" if row["reason"] else ""
    click.echo(f"{row['received_at'][:19]}  {row['key']}  {row['subject']}  {row['state']}{reason}")
    for effect in row["effects"]:
        ended = effect["task_state"] or effect["error"] or ""
        click.echo(
            f"  {effect['route']} → {effect['sink']} {effect['task_id']} {effect['state']} {ended}".rstrip()
        )


def simulated(delivery: Delivery, routes: tuple[Route, ...], facts: Facts, instance: str) -> dict[str, Any]:
    """What one delivery would trigger, as the contract spells it."""
    event = deliveries.read(delivery)
    if isinstance(event, Unreadable):
        return {"key": event.key, "event": None, "ignored": f"quarantined: {event.reason}", "triggers": []}
    judged = matching.judge_all(event, routes, facts, instance=instance)
    ignored = judged.ignored
    if not judged.triggers and judged.broken:
        ignored = f"quarantined: {'; '.join(judged.broken.values())}"
    elif not judged.triggers and judged.needs:
        ignored = "; ".join(f"the {need.kind} {need.name} is not among the facts" for need in judged.needs)
    return {
        "key": event.key,
        "event": event.kind.value,
        "subject": event.subject,
        "ignored": ignored,
        "triggers": [
            {
                "route": trigger.route,
                "sink": trigger.sink,
                "task_id": trigger.task_id,
                "payload": trigger.payload,
                "mode": trigger.mode,
            }
            for trigger in judged.triggers
        ],
    }


def routes_or_originals(settings: Settings) -> tuple[Route, ...]:
    """The routes of the settings; where there are none, the original's."""
    hooks = settings.hooks
    if not settings.routes and not hooks:
        hooks = tuple(originals.default_hooks(settings.instance))
    return originals.all_routes(settings.routes, hooks)


def _hooks(content: bytes) -> list[Any]:
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError:
        try:
            found = tomllib.loads(content.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput("HOOKS", expected="a JSON or TOML file") from error
    if isinstance(found, dict):
        found = found.get("HOOKS", found.get("hooks"))
    if not isinstance(found, list):
        raise InvalidInput("HOOKS", expected="a list of hooks")
    return found


def _spread(paths: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob("*.json")) if path.is_dir() else [path]
    return found


def _facts(folder: Path | None) -> Facts:
    if folder is None:
        return Facts()
    documents = []
    for file in sorted(folder.rglob("*.json")):
        try:
            documents.append((file.name, msgspec.json.decode(file.read_bytes())))
        except (msgspec.DecodeError, UnicodeDecodeError):
            click.echo(f"{file}: not JSON, left out", err=True)
    return samples.facts_of(documents)


def _deliveries(file: Path) -> list[Delivery]:
    """Those of a file; a file of something else among others is told and left out."""
    try:
        return list(samples.deliveries_of(msgspec.json.decode(file.read_bytes()), file.name))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        click.echo(f"{file}: not JSON, left out", err=True)
    except InvalidInput as error:
        click.echo(f"{error.detail}; left out", err=True)
    return []
