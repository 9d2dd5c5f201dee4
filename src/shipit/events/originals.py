# SPDX-License-Identifier: MPL-2.0
"""The original listener's HOOKS list as routes, one to one: three types, its names, its conditions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shipit.events.deliveries import QUEUE
from shipit.events.routes import BadRoutes, Route, parse_routes

GROUP = "project-releng"
CENTRAL = "https://hg.mozilla.org/mozilla-central"
MOZREVIEW = "https://reviewboard-hg.mozilla.org/gecko"
COVERAGE_BUILDS = ("build-linux64-ccov*", "build-win64-ccov*")


def default_hooks(instance: str) -> list[dict[str, str]]:
    """The HOOKS the original ran with in one of its instances."""
    return [
        {"type": "code-coverage", "hookId": f"services-{instance}-shipit-code-coverage"},
        {"type": "static-analysis-mozreview", "hookId": f"services-{instance}-shipit-static-analysis"},
        {"type": "static-analysis-phabricator", "hookId": f"services-{instance}-shipit-static-analysis"},
    ]


def all_routes(
    rows: Iterable[Mapping[str, Any]], hooks: Iterable[Mapping[str, Any]], *, observe_only: bool = False
) -> tuple[Route, ...]:
    """The routes of `[[routes]]` and those made of `[[hooks]]`. Raises BadRoutes with all problems."""
    problems: list[str] = []
    made: list[dict[str, Any]] = []
    try:
        made = routes_of(hooks)
    except BadRoutes as error:
        problems += error.problems
    try:
        routes = parse_routes([*rows, *made], observe_only=observe_only)
    except BadRoutes as error:
        raise BadRoutes([*error.problems, *problems]) from error
    if problems:
        raise BadRoutes(problems)
    return routes


def routes_of(hooks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows for parse_routes. Raises BadRoutes with every problem of the list."""
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for place, hook in enumerate(hooks):
        found = _problems(hook)
        problems += [f"hooks[{place}]: {problem}" for problem in found]
        if not found:
            rows.append(_MAKERS[hook["type"]](hook, _name(hook["type"], rows)))
    if problems:
        raise BadRoutes(problems)
    return rows


def as_toml(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as [[routes]] of a settings file."""
    tables = ("\n".join(f"{key} = {_toml(value)}" for key, value in row.items()) for row in rows)
    return "\n".join(f"[[routes]]\n{table}\n" for table in tables)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # JSON spells texts, numbers and booleans as TOML does
    return json.dumps(value)


def _problems(hook: Mapping[str, Any]) -> Sequence[str]:
    # the value is never shown: the original's list holds the Phabricator token
    if not isinstance(hook, Mapping):
        return ["expected a table"]
    found = []
    if hook.get("type") not in _MAKERS:
        found.append(f"type: expected one of {', '.join(_MAKERS)}")
    if not isinstance(hook.get("hookId"), str) or not hook["hookId"] or "/" in hook["hookId"]:
        found.append("hookId: expected the name of a hook")
    if not isinstance(hook.get("hookGroupId", GROUP), str):
        found.append("hookGroupId: expected text")
    known = {"type", "hookId", "hookGroupId", "phabricator_url", "phabricator_token", "repositories"}
    found += [f"{name}: unknown" for name in hook if name not in known]
    return found


def _name(wanted: str, rows: Sequence[Mapping[str, Any]]) -> str:
    taken = {row["name"] for row in rows}
    number = 1
    while (name := wanted if number == 1 else f"{wanted}-{number}") in taken:
        number += 1
    return name


def _sink(hook: Mapping[str, Any]) -> dict[str, str]:
    return {"kind": "hook", "hook": f"{hook.get('hookGroupId', GROUP)}/{hook['hookId']}"}


def _coverage(hook: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        "name": name,
        "match": {
            "exchange": QUEUE + "task-group-resolved",
            # the original bound *.*.gecko-level-3._, deaf as soon as the reserved word means something
            "keys": ["*.*.gecko-level-3.#"],
            "task_names": list(COVERAGE_BUILDS),
            "repositories": list(hook.get("repositories") or [CENTRAL]),
        },
        "payload": {"REVISION": "${revision}"},
        "sink": _sink(hook),
    }


def _mozreview(hook: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        "name": name,
        "match": {
            "exchange": "exchange/mozreview/",
            "keys": ["mozreview.commits.published"],
            "repositories": list(hook.get("repositories") or [MOZREVIEW]),
        },
        "each": "payload.commits",
        "payload": {
            "ANALYSIS_SOURCE": "mozreview",
            "ANALYSIS_ID": "${item.review_request_id}",
            "MOZREVIEW_REVISION": "${item.rev}",
            "MOZREVIEW_DIFFSET": "${item.diffset_revision}",
        },
        "sink": _sink(hook),
    }


def _phabricator(hook: Mapping[str, Any], name: str) -> dict[str, Any]:
    match = {"repositories": list(hook["repositories"])} if hook.get("repositories") else {}
    return {
        "name": name,
        "source": "phabricator",
        "match": {"kind": "diff", **match},
        "payload": {"ANALYSIS_SOURCE": "phabricator", "ANALYSIS_ID": "${diff}"},
        "sink": _sink(hook),
    }


_MAKERS = {
    "static-analysis-mozreview": _mozreview,
    "static-analysis-phabricator": _phabricator,
    "code-coverage": _coverage,
}
