# SPDX-License-Identifier: MPL-2.0
"""What a route makes of an event: triggers, the reason why it ignores it, or the fact it must know first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shipit.events.conditions import is_any, is_named, is_repository, unmet
from shipit.events.routes import Match, Mode, Route
from shipit.events.slugs import task_id
from shipit.events.templates import Unfillable, fill, look_up
from shipit.events.topics import has_match
from shipit.events.types import NO_FACTS, DiffFacts, Event, Facts, GroupTask, Kind, Need, NeedKind

_SOURCES = {
    Kind.DIFF: "phabricator",
    Kind.REVISION: "herald",
    Kind.BUILD_TARGET: "harbormaster",
}
_DEDUP = {
    Kind.GROUP_RESOLVED: "${group}",
    Kind.TASK: "${task}/${run}/${state}",
    Kind.HG_PUSH: "${repository}@${revision}",
    Kind.DIFF: "${diff}",
    Kind.REVISION: "${diff}",
    Kind.BUILD_TARGET: "${target}",
    Kind.GIT_PUSH: "${repository}@${branch}@${revision}",
    Kind.PULL_REQUEST: "${repository}#${number}@${revision}",
    Kind.MOZREVIEW: "${item.review_request_id}/${item.diffset_revision}/${item.rev}",
}
_MAX_ITEMS = 500
_HEAD = "_HEAD_REPOSITORY"
_ELSEWHERE = "listens to "


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """One effect a route wants. dedup: what it is about, one effect for each; weight: matching tasks of a
    group, or an age that grows (a diff's number), by which newer effects supersede older ones."""

    route: str
    sink: str
    mode: Mode
    dedup: str
    task_id: str
    payload: dict[str, Any]
    supersede: str | None = None
    weight: int = 0
    debounce: float = 0.0
    again: bool = False


class Ignored(msgspec.Struct, frozen=True):
    """The route does not want the event; the reason finishes "ignored: …"."""

    reason: str


class Broken(msgspec.Struct, frozen=True):
    """The route wants the event but cannot use it as it is; the event goes to quarantine."""

    reason: str


Verdict = tuple[Trigger, ...] | Ignored | Broken | Need


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What all routes make of one event. reasons: route -> why it ignores it."""

    triggers: tuple[Trigger, ...]
    needs: tuple[Need, ...]
    reasons: dict[str, str]
    broken: dict[str, str]

    @property
    def ignored(self) -> str | None:
        """The reason for humans when nothing will happen, else None."""
        if self.triggers or self.needs or self.broken:
            return None
        if all(reason.startswith(_ELSEWHERE) for reason in self.reasons.values()):
            return "no route listens to it"
        if len(set(self.reasons.values())) == 1:
            return next(iter(self.reasons.values()))
        return "; ".join(f"{name}: {reason}" for name, reason in self.reasons.items())


def judge_all(event: Event, routes: Iterable[Route], facts: Facts = NO_FACTS, *, instance: str) -> Judgement:
    """What the routes make of the event; each by itself."""
    triggers: list[Trigger] = []
    needs: list[Need] = []
    reasons: dict[str, str] = {}
    broken: dict[str, str] = {}
    for route in routes:
        match judge(event, route, facts, instance=instance):
            case Ignored(reason):
                reasons[route.name] = reason
            case Broken(reason):
                broken[route.name] = reason
            case Need() as need:
                needs.append(need)
            case found:
                triggers += found
    # a route that hears something else is not worth a word beside one that looked closer
    closer = {name: reason for name, reason in reasons.items() if not reason.startswith(_ELSEWHERE)}
    return Judgement(
        triggers=tuple(triggers), needs=tuple(dict.fromkeys(needs)), reasons=closer or reasons, broken=broken
    )


def judge(event: Event, route: Route, facts: Facts = NO_FACTS, *, instance: str) -> Verdict:
    """What one route makes of the event."""
    reason = _deaf(event, route) or _unwanted(event, route.match)
    if reason is not None:
        return Ignored(reason)
    try:
        values: dict[str, Any] = {**event.values, "payload": event.payload, "key": event.key}
        weight = 0
        if event.kind is Kind.GROUP_RESOLVED:
            found = _group_values(event, route.match, facts)
            if not isinstance(found, tuple):
                return found
            weight = found[1]
            values |= found[0]
        elif event.diff is not None and _wants_diff(event, route):
            known = _diff_values(event, route.match, facts)
            if not isinstance(known, dict):
                return known
            values |= known
            weight = int(values.get("diff_id", 0))
        if (reason := unmet(values, route.match)) is not None:
            return Ignored(reason)
        return _triggers(event, route, values, weight, instance)
    except Unfillable as error:
        return Broken(f"{route.name}: {error.detail}")


def _deaf(event: Event, route: Route) -> str | None:
    """Why the route does not even hear the event."""
    source = _SOURCES.get(event.kind)
    if source is None and event.exchange in ("pushlog", "github"):
        source = event.exchange
    if (source or "pulse") != route.source:
        return f"{_ELSEWHERE}{route.source}"
    match = route.match
    if match.exchange is not None and match.exchange != event.exchange:
        return f"{_ELSEWHERE}{match.exchange}"
    if match.keys and not has_match(match.keys, (event.routing_key, *event.cc)):
        if match.exchange is not None and event.kind is Kind.GROUP_RESOLVED:
            return f"scheduler {event.values.get('scheduler', '?')} (key is not {' or '.join(match.keys)})"
        return f"key is not {' or '.join(match.keys)}"
    return None


def _unwanted(event: Event, match: Match) -> str | None:
    """Why the event is unwanted, by what it says itself."""
    values = event.values
    if match.kind is not None and match.kind is not event.kind:
        return f"is {event.kind}, not {match.kind}"
    if match.schedulers and not is_named(match.schedulers, values.get("scheduler")):
        return f"scheduler {values.get('scheduler')}"
    if event.kind is Kind.MOZREVIEW and "repository" not in values:
        return "names no repository_url"
    if event.kind not in (Kind.GROUP_RESOLVED, Kind.DIFF, Kind.REVISION):
        for name, patterns in (("repository", match.repositories), ("task_name", match.task_names)):
            if patterns and not is_repository(patterns, values.get(name)):
                return f"{name.replace('_', ' ')} {values.get(name)}"
        if match.task_states and not is_named(match.task_states, values.get("state")):
            return f"state {values.get('state')}"
    if match.branches and not is_named(match.branches, values.get("branch")):
        return f"branch {values.get('branch')}"
    if match.paths and not any(is_named(match.paths, path) for path in values.get("paths", ())):
        return f"touches none of {', '.join(match.paths)}"
    return None


def _group_values(event: Event, match: Match, facts: Facts) -> tuple[dict[str, Any], int] | Ignored | Need:
    """Values of the first task that fulfils everything, and how many do."""
    group = event.group or ""
    wants_tasks = match.task_names or match.repositories or match.task_states
    if not wants_tasks:
        return {}, 0
    if group not in facts.groups:
        return Need(kind=NeedKind.GROUP, name=group)
    tasks = facts.groups[group]
    if tasks is None:
        return Ignored("the queue knows no such group")
    named = [task for task in tasks if not match.task_names or is_named(match.task_names, task.name)]
    if not named:
        return Ignored(f"no task of {len(tasks)} is named {' or '.join(match.task_names)}")
    fitting = [
        task for task in named if not match.repositories or is_repository(match.repositories, head(task)[0])
    ]
    if not fitting:
        seen = sorted({head(task)[0] or "no repository" for task in named})
        return Ignored(f"{named[0].name} is of {', '.join(seen)}")
    ready = [task for task in fitting if not match.task_states or is_named(match.task_states, task.state)]
    if not ready:
        return Ignored(f"{fitting[0].name} is {fitting[0].state}")
    chosen = next((task for task in ready if head(task)[1]), ready[0])
    repository, revision = head(chosen)
    values = {
        "repository": repository,
        "revision": revision,
        "task": chosen.task_id,
        "task_name": chosen.name,
        "env": dict(chosen.env),
    }
    return {name: value for name, value in values.items() if value is not None}, len(ready)


def head(task: GroupTask) -> tuple[str | None, str | None]:
    """Repository (of Mercurial or git) and revision a task works on: its <project>_HEAD_REPOSITORY, _REV."""
    env = task.env
    projects = sorted(
        (name.removesuffix(_HEAD) for name in env if name.endswith(_HEAD)),
        key=lambda name: (name != "GECKO", name),
    )
    for project in projects:
        if env[project + _HEAD]:
            return env[project + _HEAD], env.get(f"{project}_HEAD_REV") or None
    return None, None


def _wants_diff(event: Event, route: Route) -> bool:
    """Whether a route must know the diff; a build target names its number, which may be all it asks."""
    if event.kind is Kind.BUILD_TARGET:
        return "${diff}" in str(route.payload) or "${author}" in str(route.payload)
    return True


def _diff_values(event: Event, match: Match, facts: Facts) -> dict[str, Any] | Ignored | Need:
    """Values of the diff as it is now: attached to a revision, its repository named."""
    phid = event.diff or ""
    known = facts.diffs.get(phid)
    has_row = event.kind is Kind.DIFF
    is_attached = (has_row and "revision" in event.values) or (
        known is not None and known.revision is not None
    )
    names = set(_diff_repositories(event, known))
    wants_names = bool(match.repositories) and not is_any(match.repositories, names)
    if not is_attached or (wants_names and known is None):
        return Need(kind=NeedKind.DIFF, name=phid)
    if wants_names:
        return Ignored(f"repository {', '.join(sorted(names)) or 'none'}")
    if known is None:
        return {}
    values: dict[str, Any] = {
        "revision": known.revision,
        "author": known.author,
        "repository": known.repository,
        "diff": known.phid,
        "diff_id": known.id,
    }
    return {name: value for name, value in values.items() if value is not None}


def _diff_repositories(event: Event, known: DiffFacts | None) -> Iterable[str]:
    yield from filter(None, (event.values.get("repository"),))
    if known is not None:
        yield from filter(None, (known.repository, *known.repository_names))


def _triggers(
    event: Event, route: Route, values: dict[str, Any], weight: int, instance: str
) -> tuple[Trigger, ...] | Ignored | Broken:
    items: list[Any] = [None]
    if route.each is not None:
        is_there, found = look_up(values, route.each)
        if is_there and not isinstance(found, list):
            return Broken(f"{route.each}: expected a list")
        items = found if is_there else []
        if not items:
            return Ignored(f"{route.each} is empty")
        if len(items) > _MAX_ITEMS:
            return Broken(f"{route.each}: expected at most {_MAX_ITEMS} items, got {len(items)}")
    template = route.dedup or _DEDUP.get(event.kind, "${key}")
    made: dict[str, Trigger] = {}
    for item in items:
        here = {**values, "item": item} if route.each is not None else values
        if route.dedup is None and event.kind is Kind.MOZREVIEW and route.each is None:
            template = "${key}"
        dedup = str(fill(template, here))[:500]
        made[dedup] = Trigger(
            route=route.name,
            sink=str(route.sink),
            mode=route.mode,
            dedup=dedup,
            task_id=task_id(instance, route.name, dedup),
            payload=fill(route.payload, here),
            supersede=str(fill(route.supersede, here))[:500] if route.supersede else None,
            weight=weight,
            debounce=route.debounce,
            again=route.again == "more",
        )
    return tuple(made.values())
