# SPDX-License-Identifier: MPL-2.0
"""Routes as data: what of an event matches, what it becomes and where it goes; all problems told at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shipit.errors import InvalidInput, ShipitError
from shipit.events.deliveries import DIFFS
from shipit.events.templates import problems_of
from shipit.events.types import Kind

Mode = Literal["act", "observe"]
Words = tuple[str, ...]
_SLASHED = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]+/[A-Za-z0-9_.\-/]+$")]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; an unknown key is an error, because a typo must not silently do nothing."""


class Where(_Table, frozen=True, kw_only=True):
    """A condition on a value of the event: exactly one of equals, one_of, matches, exists."""

    path: str
    equals: Any | UnsetType = UNSET
    one_of: list[Any] | UnsetType = UNSET
    matches: str | UnsetType = UNSET
    exists: bool | UnsetType = UNSET


class Match(_Table, frozen=True, kw_only=True):
    """What an event must be. Every given condition must hold; within a list any item will do.

    keys are topics (`*` a word, `#` any number); names, repositories, authors, branches and paths know `*`.
    task_names and repositories of a resolved task group are conditions on one and the same task of it.
    """

    exchange: str | None = None
    keys: Words = ()
    kind: Kind | None = None
    repositories: Words = ()
    authors: Words = ()
    not_authors: Words = ()
    branches: Words = ()
    schedulers: Words = ()
    task_names: Words = ()
    task_states: Words = ()
    paths: Words = ()
    where: tuple[Where, ...] = ()


class Hook(_Table, frozen=True, kw_only=True, tag="hook", tag_field="kind"):
    """A Taskcluster hook. task_id: whether its schema takes `taskId`; auto: we find out when it refuses."""

    hook: _SLASHED
    task_id: Literal["auto", "never"] = "auto"

    @property
    def group(self) -> str:
        """hookGroupId."""
        return self.hook.split("/", 1)[0]

    @property
    def name(self) -> str:
        """hookId."""
        return self.hook.split("/", 1)[1]

    def __str__(self) -> str:
        return f"hook:{self.hook}"


class Task(_Table, frozen=True, kw_only=True, tag="task", tag_field="kind"):
    """A task of our own; the route's payload is its definition, `created`, `deadline`, `expires` in hours."""

    deadline_hours: Annotated[float, Meta(gt=0, le=120)] = 24.0
    expires_days: Annotated[float, Meta(gt=0, le=366)] = 30.0

    def __str__(self) -> str:
        return "task"


class Http(_Table, frozen=True, kw_only=True, tag="http", tag_field="kind"):
    """A POST of the payload as JSON; the task id is its Idempotency-Key."""

    url: Annotated[str, Meta(pattern=r"^https?://[^\s@]+$")]

    def __str__(self) -> str:
        return f"http:{self.url}"


class Mail(_Table, frozen=True, kw_only=True, tag="mail", tag_field="kind"):
    """A mail by Taskcluster notify; the payload holds `subject` and `content`."""

    address: Annotated[str, Meta(pattern=r"^[^\s@]+@[^\s@]+$")]

    def __str__(self) -> str:
        return f"mail:{self.address}"


Sink = Hook | Task | Http | Mail


class Limits(_Table, frozen=True, kw_only=True):
    """How often a route may act; what exceeds it waits."""

    per_hour: Annotated[int, Meta(ge=1)] | None = None
    at_once: Annotated[int, Meta(ge=1, le=64)] = 8


class Route(_Table, frozen=True, kw_only=True):
    """One rule of the listener.

    each: path of a list in the payload; every item triggers by itself and is `item` in templates.
    dedup: template of what the effect is about; one effect per route and value. None: by the kind of event.
    again: what happens when the same thing is told again with more matching tasks: nothing, or once more.
    supersede: template of what a newer effect replaces the older ones of. debounce: seconds an effect waits
    for a newer one.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_\-]{0,60}$")]
    sink: Sink
    source: Literal["pulse", "phabricator", "herald", "harbormaster", "pushlog", "github"] = "pulse"
    mode: Mode = "act"
    match: Match = Match()
    each: str | None = None
    payload: dict[str, Any] = {}
    dedup: str | None = None
    again: Literal["never", "more"] = "never"
    supersede: str | None = None
    debounce: Annotated[float, Meta(ge=0)] = 0.0
    limits: Limits = Limits()


class BadRoutes(ShipitError):
    """The routes cannot be used; every problem found, each naming its field."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("routes: " + "; ".join(problems))
        self.problems = tuple(problems)


def parse_routes(rows: Iterable[Mapping[str, Any]], *, observe_only: bool = False) -> tuple[Route, ...]:
    """The routes of `[[routes]]`. observe_only: none can ever act. Raises BadRoutes with every problem."""
    routes, problems = [], []
    for place, row in enumerate(rows):
        try:
            route = msgspec.convert(dict(row), Route)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            problems.append(f"routes[{place}]: {_spoken(error)}")
            continue
        problems += [f"routes[{place}].{problem}" for problem in _problems(route)]
        routes.append(msgspec.structs.replace(route, mode="observe") if observe_only else route)
    names = [route.name for route in routes]
    problems += [
        f"routes: the name {n!r} is given twice" for n in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems:
        raise BadRoutes(problems)
    return tuple(routes)


def exchanges(routes: Iterable[Route]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What each pulse route binds to: route name -> (exchange, keys)."""
    return {
        route.name: (route.match.exchange, route.match.keys or ("#",))
        for route in routes
        if route.source == "pulse" and route.match.exchange
    }


def _problems(route: Route) -> list[str]:
    found: list[str] = []
    if route.source == "pulse" and not route.match.exchange:
        found.append('match.exchange: expected the exchange to bind to, as source is "pulse"')
    if route.source == "phabricator" and route.match.exchange not in (None, DIFFS):
        found.append(f"match.exchange: expected none, polls of diffs are {DIFFS}")
    for place, where in enumerate(route.match.where):
        given = [v for v in (where.equals, where.one_of, where.matches, where.exists) if v is not UNSET]
        if len(given) != 1:
            found.append(f"match.where[{place}]: expected exactly one of equals, one_of, matches, exists")
        if isinstance(where.matches, str):
            found += _regex_problems(f"match.where[{place}].matches", where.matches)
    templates = {"payload": route.payload, "dedup": route.dedup, "supersede": route.supersede}
    for field, template in templates.items():
        found += [f"{field}{problem}" for problem in problems_of(template)]
    if isinstance(route.sink, Mail) and not {"subject", "content"} <= route.payload.keys():
        found.append("payload: expected subject and content, as the sink is mail")
    if "taskId" in route.payload:
        found.append("payload.taskId: expected none, we choose it")
    if route.again == "more" and route.match.kind not in (None, Kind.GROUP_RESOLVED):
        found.append('again: "more" counts the matching tasks of a group, which other kinds lack')
    return found


def _regex_problems(field: str, pattern: str) -> list[str]:
    if len(pattern) > 500:
        return [f"{field}: expected at most 500 characters"]
    try:
        re.compile(pattern)
    except re.error as error:
        return [f"{field}: expected a regular expression, {error}"]
    return []


def _spoken(error: Exception) -> str:
    return str(InvalidInput("value", expected="a table")) if isinstance(error, TypeError) else str(error)
