# SPDX-License-Identifier: MPL-2.0
"""`shipit check`: every problem of the settings and of what they reach, at once."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from shipit.cli import listener_check, login_check
from shipit.cli.listener_check import Finding
from shipit.cli.opening import bot_doors
from shipit.cli.options import shape_option
from shipit.cli.reading import read_settings
from shipit.cli.serve import check_schema
from shipit.cli.writing import vault_of
from shipit.clients.http import open_session
from shipit.errors import InvalidInput, ShipitError
from shipit.settings import Settings
from shipit.settings.reading import BadSettings
from shipit.trains.spelling import problems_of
from shipit.trains.types import Failure


@click.command()
@click.option("--offline", is_flag=True, help="Only the settings; ask nobody.")
@shape_option
def check(offline: bool, shape: str) -> None:
    """Check settings and reachability. Exit code 1 when something is wrong; nothing is changed anywhere."""
    findings = asyncio.run(_all(offline))
    if shape == "json":
        click.echo(msgspec.json.encode({"findings": findings}).decode())
    else:
        for finding in findings:
            mark = "ok " if finding.problem is None else "BAD"
            click.echo(f"{mark} {finding.what}: {finding.problem or finding.said}")
    sys.exit(1 if any(finding.problem for finding in findings) else 0)


async def _all(offline: bool) -> list[Finding]:
    try:
        settings = await asyncio.to_thread(read_settings)
    except BadSettings as error:
        return [Finding("settings", problem) for problem in error.problems]
    except ShipitError as error:
        return [Finding("settings", error.detail)]
    problems = [Finding("trains", text) for text in problems_of(settings.trains, datetime.now(UTC))]
    problems += [one for one in listener_check.offline(settings) if one.problem]
    problems += [Finding("login", problem) for problem in login_check.problems(settings)]
    problems += [Finding("decisions", problem) for problem in _decisions(settings)]
    findings = [Finding("settings", said=os.environ.get("SHIPIT_CONFIG") or "no file; defaults"), *problems]
    if offline or problems:
        return findings
    return [
        *findings,
        *await _database(settings),
        *await _services(settings),
        await _login(settings),
        *await _listener(settings),
    ]


def _decisions(settings: Settings) -> list[str]:
    """What keeps decisions from being written though that is wanted."""
    if not settings.decisions.enabled:
        return []
    if not settings.secret_key:
        return ["decisions.enabled needs SHIPIT_SECRET_KEY, which encrypts people's keys"]
    try:
        vault_of(settings)
    except InvalidInput as error:
        return [error.detail]
    return []


async def _login(settings: Settings) -> Finding:
    async with open_session(trust_env=True) as session:
        return await _asked("login", lambda: login_check.answers(settings, session))


async def _listener(settings: Settings) -> list[Finding]:
    async with open_session(trust_env=True) as session:
        return await listener_check.online(settings, session)


async def _database(settings: Settings) -> list[Finding]:
    url = settings.backend.database_url
    if url is None:
        return [Finding("database", said="none set (the bot needs none)")]
    try:
        await asyncio.to_thread(check_schema, url.reveal(), settings.instance)
    except ShipitError as error:
        return [Finding("database", error.detail)]
    return [Finding("database", said=f"schema of {settings.instance} is current")]


async def _services(settings: Settings) -> list[Finding]:
    """One harmless question to each service that is set."""
    try:
        async with bot_doors(settings, told=lambda text: None) as doors:
            asked: dict[str, Callable[[], Awaitable[str]]] = {
                "bugzilla": lambda: _named(doors.bugzilla.whoami, settings.bugzilla.api_key is not None),
                "schedule": lambda: _schedule(doors.schedule.read),
                "backend": lambda: _backend(doors.backend.known),
            }
            if doors.phabricator is not None:
                asked["phabricator"] = lambda: _named(doors.phabricator.whoami, True)  # type: ignore[union-attr]
            for name, clone in doors.clones.items():
                asked[f"clone {name}"] = lambda folder=clone.folder: _clone(folder)  # type: ignore[misc]
            answers = await asyncio.gather(*(_asked(name, ask) for name, ask in asked.items()))
    except ShipitError as error:
        return [Finding("doors", error.detail)]
    return list(answers)


async def _asked(name: str, ask: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(name, said=await ask())
    except ShipitError as error:
        return Finding(name, error.detail)


async def _named(whoami: Callable[[], Awaitable[str]], has_key: bool) -> str:
    return f"we are {await whoami()}" if has_key else "no key set: only what everybody may see is read"


async def _schedule(read: Callable[[], Awaitable[object]]) -> str:
    answer = await read()
    if isinstance(answer, Failure):
        raise ShipitError(answer.reason)
    return "answers"


async def _backend(known: Callable[[], Awaitable[object]]) -> str:
    await known()
    return "answers, and takes our signature"


async def _clone(folder: Path) -> str:
    exists = await asyncio.to_thread(folder.exists)
    return f"{folder} exists" if exists else f"{folder} will be made by the first round"
