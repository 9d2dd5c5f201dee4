# SPDX-License-Identifier: MPL-2.0
"""Read a pipeline's definition: all of its problems at once, each with its JSON pointer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from shipit.errors import InvalidInput
from shipit.pipeline.schema import Problem, pointer, problems, shown
from shipit.pipeline.types import Definition, StepDefinition

MOST_STEPS = 500
UID = r"^[A-Za-z0-9_-]{1,64}$"
PIPELINE_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,159}")
REFERENCE = "$output"

CheckKind = Callable[[str, Mapping[str, Any]], list[Problem] | None]
"""(kind, parameters) -> problems with pointers below the parameters; None when there is no such kind."""

_TEXT = {"type": "string", "maxLength": 4000}
STEP = {
    "type": "object",
    "required": ["uid"],
    "additionalProperties": False,
    "properties": {
        "uid": {"type": "string", "pattern": UID},
        "kind": {"type": ["string", "null"]},
        "api_url": {"type": ["string", "null"], "pattern": r"^https?://[^\s@]+$", "maxLength": 2000},
        "parameters": {"type": "object"},
        # The original's field, a name of a schema; kept readable, never used by its services either.
        "parameters_schema": _TEXT,
        "requires": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_STEPS},
        "description": _TEXT,
        "phase": {"type": "string", "maxLength": 64, "pattern": r"^[A-Za-z0-9_-]*$"},
        "attempts": {"type": "integer", "minimum": 1, "maximum": 100},
        "backoff_seconds": {"type": "number", "minimum": 0, "maximum": 86400},
        "timeout_seconds": {"type": ["number", "null"], "minimum": 0.001, "maximum": 31536000},
        "continue_on_failure": {"type": "boolean"},
        "needs_release": {"type": "boolean"},
        "not_before": {"type": ["string", "null"]},
        "rollback": _TEXT,
    },
}
_STEPS = {"type": "array", "minItems": 1, "maxItems": MOST_STEPS, "items": STEP}
ROLLBACK = {
    "type": "object",
    "required": ["steps"],
    "additionalProperties": False,
    "properties": {"steps": _STEPS, "description": _TEXT},
}
PIPELINE = {
    "type": "object",
    "required": ["steps"],
    "additionalProperties": False,
    "properties": {
        "steps": _STEPS,
        "rollbacks": {"type": "object", "additionalProperties": ROLLBACK, "description": "by phase"},
        "product": {"type": "string", "maxLength": 64, "pattern": r"^[A-Za-z0-9_-]*$"},
        "version": {"type": "string", "maxLength": 64},
        "build": {"type": ["integer", "null"], "minimum": 1},
        "revision": {"type": "string", "maxLength": 64},
        "template": {"type": "string", "maxLength": 64},
        "description": _TEXT,
    },
}


class InvalidDefinition(InvalidInput):
    """The definition cannot be run; every problem found."""

    def __init__(self, found: list[Problem]) -> None:
        self.problems = tuple(found)
        super().__init__("definition", expected=f"no problems, found {len(found)}")
        self.detail = "; ".join(str(each) for each in found[:20])
        self.args = (self.detail,)


def read(given: object, check_kind: CheckKind) -> Definition:
    """The definition, its steps sorted so that each follows what it requires. Raises InvalidDefinition."""
    found = problems(given, PIPELINE) + _rollbacks(given, check_kind)
    raw = given.get("steps") if isinstance(given, dict) else None
    steps = [step if isinstance(step, dict) else {} for step in raw] if isinstance(raw, list) else []
    steps = steps[:MOST_STEPS]
    found += _names(steps) + _links(steps) + _cycles(steps)
    for place, step in enumerate(steps):
        found += _kind(step, pointer("", "steps", place), check_kind)
        found += _references(step, steps, pointer("", "steps", place))
        found += _time(step, pointer("", "steps", place))
    if found:
        raise InvalidDefinition(list(dict.fromkeys(found)))
    assert isinstance(given, dict)
    kept = [{name: value for name, value in step.items() if name != "parameters_schema"} for step in steps]
    try:
        made = msgspec.convert({**given, "steps": kept}, Definition)
    except msgspec.ValidationError as error:
        raise InvalidDefinition([Problem("", str(error))]) from error
    return msgspec.structs.replace(made, steps=_ordered(made.steps))


def _rollbacks(given: object, check_kind: CheckKind) -> list[Problem]:
    """What is wrong with the plans: each is a pipeline of its own, of a phase that there is."""
    plans = given.get("rollbacks") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(plans, dict):
        return []
    steps = given.get("steps")
    phases = (
        {step.get("phase") for step in steps if isinstance(step, dict)} if isinstance(steps, list) else {}
    )
    found = []
    for phase, plan in plans.items():
        at = pointer("", "rollbacks", phase)
        if phase not in phases:
            found.append(Problem(at, "a phase of this pipeline", shown(phase)))
        if isinstance(plan, dict) and isinstance(plan.get("steps"), list):
            try:
                read({"steps": plan["steps"]}, check_kind)
            except InvalidDefinition as error:
                found += [Problem(at + each.pointer, each.expected, each.got) for each in error.problems]
    return found


def references(value: object, at: str = "") -> Iterator[tuple[str, str]]:
    """Every {"$output": "step.path"} within parameters, as (pointer, "step.path")."""
    if isinstance(value, dict):
        if set(value) == {REFERENCE} and isinstance(value[REFERENCE], str):
            yield at, value[REFERENCE]
            return
        for name, each in value.items():
            yield from references(each, pointer(at, name))
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from references(each, pointer(at, place))


def ancestors(steps: Mapping[str, tuple[str, ...]], uid: str) -> set[str]:
    """Every step that must be done before this one. steps: uid -> what it requires."""
    found: set[str] = set()
    todo = list(steps.get(uid, ()))
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += steps.get(name, ())
    return found


def _names(steps: list[dict[str, Any]]) -> list[Problem]:
    first: dict[str, int] = {}
    found = []
    for place, step in enumerate(steps):
        name = step.get("uid")
        if isinstance(name, str) and first.setdefault(name, place) != place:
            expected = f"a uid that no other step has (step {first[name]} has it)"
            found.append(Problem(pointer("", "steps", place, "uid"), expected, shown(name)))
    return found


def _requires(step: dict[str, Any]) -> list[str]:
    given = step.get("requires", [])
    return [name for name in given if isinstance(name, str)] if isinstance(given, list) else []


def _links(steps: list[dict[str, Any]]) -> list[Problem]:
    known = {step.get("uid") for step in steps}
    found = []
    for place, step in enumerate(steps):
        names = _requires(step)
        for position, name in enumerate(names):
            at = pointer("", "steps", place, "requires", position)
            if name not in known:
                found.append(Problem(at, "the uid of a step of this pipeline", shown(name)))
            elif name in names[:position]:
                found.append(Problem(at, "each requirement once", shown(name)))
    return found


def _cycles(steps: list[dict[str, Any]]) -> list[Problem]:
    """One problem per step that lies on a cycle: what is left when all that can go first has gone."""
    links = {step["uid"]: set(_requires(step)) for step in steps if isinstance(step.get("uid"), str)}
    links = {name: needed & set(links) for name, needed in links.items()}
    circular = (
        {name for name in links if name in ancestors({n: tuple(r) for n, r in links.items()}, name)}
        if _has_cycle(links)
        else set()
    )
    return [
        Problem(
            pointer("", "steps", place, "requires"),
            "no cycle: this step requires itself, by others or directly",
        )
        for place, step in enumerate(steps)
        if step.get("uid") in circular
    ]


def _has_cycle(links: dict[str, set[str]]) -> bool:
    left = {name: set(needed) for name, needed in links.items()}
    while free := [name for name, needed in left.items() if not needed]:
        for name in free:
            del left[name]
        for needed in left.values():
            needed.difference_update(free)
    return bool(left)


def _kind(step: dict[str, Any], at: str, check_kind: CheckKind) -> list[Problem]:
    kind, api_url = step.get("kind"), step.get("api_url")
    if (kind is None) == (api_url is None):
        return [Problem(at, "either a kind or an api_url")]
    if not isinstance(kind, str):
        return []
    parameters = step.get("parameters", {})
    if not isinstance(parameters, dict):
        return []
    found = check_kind(kind, parameters)
    if found is None:
        return [Problem(pointer(at, "kind"), "a kind of step that we have", shown(kind))]
    # What another step will put out is not known yet, so only what stands there already is judged.
    open_places = [place for place, _ in references(parameters)]
    return [
        Problem(pointer(at, "parameters") + each.pointer, each.expected, each.got)
        for each in found
        if not any(_covers(place, each.pointer) for place in open_places)
    ]


def _covers(place: str, where: str) -> bool:
    return where == place or where.startswith(place + "/") or place.startswith(where + "/")


def _references(step: dict[str, Any], steps: list[dict[str, Any]], at: str) -> list[Problem]:
    mine = list(references(step.get("parameters", {})))
    if not mine:
        return []
    links = {each["uid"]: tuple(_requires(each)) for each in steps if isinstance(each.get("uid"), str)}
    before = ancestors(links, str(step.get("uid")))
    return [
        Problem(
            pointer(at, "parameters") + place,
            "the output of a step that this one requires (step.field), directly or by others",
            shown(reference),
        )
        for place, reference in mine
        if reference.split(".", 1)[0] not in before
    ]


def _time(step: dict[str, Any], at: str) -> list[Problem]:
    given = step.get("not_before")
    if not isinstance(given, str):
        return []
    try:
        when = datetime.fromisoformat(given)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        return [Problem(pointer(at, "not_before"), "a time with its offset (RFC 3339)", shown(given))]
    return []


def _ordered(steps: tuple[StepDefinition, ...]) -> tuple[StepDefinition, ...]:
    done: set[str] = set()
    ordered: list[StepDefinition] = []
    left = list(steps)
    while left:
        free = [step for step in left if done.issuperset(step.requires)]
        ordered += free
        done.update(step.uid for step in free)
        left = [step for step in left if step.uid not in done]
    return tuple(ordered)
