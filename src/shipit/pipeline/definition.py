# SPDX-License-Identifier: MPL-2.0
"""Read a pipeline's definition: all of its problems at once, each with its JSON pointer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from shipit.errors import InvalidInput
from shipit.pipeline.links import PIPELINE, Order, references
from shipit.pipeline.schema import Problem, is_deeper, moment, pointer, problems, shown
from shipit.pipeline.types import Definition, StepDefinition

MOST_STEPS = 500
MOST_ATTEMPTS = 100
UID = r"^[A-Za-z0-9_-]{1,64}$"
PIPELINE_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,159}")
MOST_DEPTH = 64
LONGEST_KEY = 290
"""Of the uid of a step at its service."""

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
        "attempts": {"type": "integer", "minimum": 1, "maximum": MOST_ATTEMPTS},
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
SCHEMA = {
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
    if is_deeper(given, MOST_DEPTH):
        raise InvalidDefinition([Problem("", f"JSON that is nested at most {MOST_DEPTH} deep")])
    found = problems(given, SCHEMA) + _rollbacks(given, check_kind)
    raw = given.get("steps") if isinstance(given, dict) else None
    steps = [step if isinstance(step, dict) else {} for step in raw] if isinstance(raw, list) else []
    steps = steps[:MOST_STEPS]
    order = Order({step["uid"]: _requires(step) for step in steps if isinstance(step.get("uid"), str)})
    found += _names(steps) + _links(steps) + _cycles(steps, order)
    for place, step in enumerate(steps):
        found += _kind(step, pointer("", "steps", place), check_kind)
        found += _references(step, order, pointer("", "steps", place))
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


class Listed(msgspec.Struct, frozen=True):
    """The steps of a pipeline, of one of its plans to roll back, or of a pipeline within it.

    pointer: of the list. product, phase: of its steps, where they name none. key: the longest that their uids
    at their services can begin with. is_plan: nothing of it starts before somebody asks for it.
    """

    pointer: str
    steps: tuple[dict[str, Any], ...]
    product: str
    phase: str
    key: str
    is_plan: bool


def lists(
    given: Mapping[str, Any], key: str = "", at: str = "", product: str = "", phase: str = ""
) -> Iterator[Listed]:
    """Every list of steps in a definition that need not be valid, its own first."""
    product = _text(given.get("product"), product)
    plans = given.get("rollbacks")
    found = [(pointer(at, "steps"), given.get("steps"), False)]
    for name, plan in plans.items() if isinstance(plans, dict) else ():
        if isinstance(plan, dict):
            found.append((pointer(at, "rollbacks", name, "steps"), plan.get("steps"), True))
    for where, raw, is_plan in found:
        steps = tuple(step if isinstance(step, dict) else {} for step in raw) if isinstance(raw, list) else ()
        yield Listed(where, steps, product, phase, key, is_plan)
        for place, step in enumerate(steps):
            within = step.get("parameters")
            if step.get("kind") == PIPELINE and isinstance(within, dict):
                inside = pointer(where, place, "parameters")
                name = f"{key}.{step.get('uid')}.{MOST_ATTEMPTS}"
                for each in lists(within, name, inside, product, _text(step.get("phase"), phase)):
                    yield msgspec.structs.replace(each, is_plan=is_plan or each.is_plan)


def _text(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) and value else otherwise


def _rollbacks(given: object, check_kind: CheckKind) -> list[Problem]:
    """What is wrong with the plans: each is a pipeline of its own, of a phase that there is."""
    plans = given.get("rollbacks") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(plans, dict):
        return []
    steps = given.get("steps")
    named = steps if isinstance(steps, list) else []
    phases = [step.get("phase") for step in named if isinstance(step, dict)]
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
    known = {name for step in steps if isinstance(name := step.get("uid"), str)}
    found = []
    for place, step in enumerate(steps):
        seen: set[str] = set()
        for position, name in enumerate(_requires(step)):
            at = pointer("", "steps", place, "requires", position)
            if name not in known:
                found.append(Problem(at, "the uid of a step of this pipeline", shown(name)))
            elif name in seen:
                found.append(Problem(at, "each requirement once", shown(name)))
            seen.add(name)
    return found


def _cycles(steps: list[dict[str, Any]], order: Order) -> list[Problem]:
    """One problem per step that lies on a cycle."""
    return [
        Problem(
            pointer("", "steps", place, "requires"),
            "no cycle: this step requires itself, by others or directly",
        )
        for place, step in enumerate(steps)
        if isinstance(name := step.get("uid"), str) and order.is_before(name, name)
    ]


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
    open_places = [pointer("", *each.path) for each in references(kind, parameters)]
    return [
        Problem(pointer(at, "parameters") + each.pointer, each.expected, each.got)
        for each in found
        if not any(_covers(place, each.pointer) for place in open_places)
    ]


def _covers(place: str, where: str) -> bool:
    return where == place or where.startswith(place + "/") or place.startswith(where + "/")


def _references(step: dict[str, Any], order: Order, at: str) -> list[Problem]:
    found = []
    for each in references(step.get("kind"), step.get("parameters", {})):
        where = pointer(at, "parameters", *each.path)
        if not each.is_open:
            expected = "to be said here: only parameters of a pipeline's steps are another step's output"
            found.append(Problem(where, expected, shown(each.output)))
        elif not order.is_before(each.step, str(step.get("uid"))):
            expected = "the output of a step that this one requires (step.field), directly or by others"
            found.append(Problem(where, expected, shown(each.output)))
    return found


def _time(step: dict[str, Any], at: str) -> list[Problem]:
    given = step.get("not_before")
    if not isinstance(given, str):
        return []
    if moment(given) is None:
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
