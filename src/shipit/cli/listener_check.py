# SPDX-License-Identifier: MPL-2.0
"""What `shipit check` looks at for the listener: routes, sources, the broker's exchanges, hooks' schemas."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shipit.cli.listen import address_of, outside_of, routes_of
from shipit.clients.hooks import Hooks, takes_task_id
from shipit.clients.http import Session
from shipit.clients.pulse import probe
from shipit.errors import ShipitError
from shipit.events.routes import BadRoutes, Hook, Route, exchanges
from shipit.events.sources import parse_sources
from shipit.settings import Settings


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. problem: None when it is as it should be; said: what was seen."""

    what: str
    problem: str | None = None
    said: str = ""


def offline(settings: Settings) -> list[Finding]:
    """What the settings alone tell: every problem of routes, hooks and sources."""
    found: list[Finding] = []
    for what, read in (
        ("routes", lambda: routes_of(settings)),
        ("sources", lambda: parse_sources(settings.sources)),
    ):
        try:
            rows = read()
        except BadRoutes as error:
            found += [Finding(what, problem) for problem in error.problems]
        else:
            if rows:
                found.append(Finding(what, said=", ".join(row.name for row in rows)))
    try:
        address_of(settings)
    except ShipitError as error:
        found.append(Finding("pulse", error.detail))
    return found


async def online(settings: Settings, session: Session) -> list[Finding]:
    """What broker and Taskcluster say, asked only where routes need them; nothing is changed."""
    try:
        routes = routes_of(settings)
        outside = outside_of(settings, session)
    except ShipitError as error:
        return [Finding("listener", error.detail)]
    if not routes:
        return []
    return [
        *await _broker(settings, routes),
        *await _hooks(outside.hooks, routes),
        *await _phabricator(outside.differential, routes),
    ]


async def _broker(settings: Settings, routes: Iterable[Route]) -> list[Finding]:
    wanted = sorted({exchange for exchange, _ in exchanges(routes).values()})
    if not wanted:
        return []
    address = address_of(settings)
    if address is None:
        return [Finding("pulse", "no URL (SHIPIT_PULSE_URL), and routes listen to it")]
    try:
        answers = await probe(address, wanted)
    except ShipitError as error:
        return [Finding("pulse", error.detail)]
    return [Finding(f"pulse {name}", problem, "is there") for name, problem in answers.items()]


async def _hooks(hooks: Hooks | None, routes: Iterable[Route]) -> list[Finding]:
    wanted = {sink.hook: sink for route in routes if isinstance(sink := route.sink, Hook)}
    if not wanted:
        return []
    if hooks is None:
        return [Finding("taskcluster", "no root URL (TASKCLUSTER_ROOT_URL), and routes trigger hooks")]
    found = []
    for name, sink in sorted(wanted.items()):
        try:
            schema = await hooks.trigger_schema(sink.group, sink.name)
        except ShipitError as error:
            found.append(Finding(f"hook {name}", error.detail))
            continue
        if schema is None:
            found.append(Finding(f"hook {name}", "there is no such hook"))
        elif sink.task_id == "never" or not takes_task_id(schema):
            weaker = "takes no taskId: the weaker promise (its last fires are searched after a crash)"
            found.append(Finding(f"hook {name}", said=weaker))
        else:
            found.append(Finding(f"hook {name}", said="takes a taskId: exactly one task"))
    return found


async def _phabricator(differential: object, routes: Iterable[Route]) -> list[Finding]:
    if differential is None and any(route.source == "phabricator" for route in routes):
        return [Finding("phabricator", "no URL (SHIPIT_PHABRICATOR_URL), and routes poll it")]
    return []
