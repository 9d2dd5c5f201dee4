# SPDX-License-Identifier: MPL-2.0
"""How the steps of a graph hang together: which are before which, and whose output is fed to whom."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

REFERENCE, OPTIONAL = "$output", "$optional"
PIPELINE = "pipeline"
"""A pipeline is a kind of step too; within one, its own steps are meant first."""

Path = tuple[str | int, ...]
# What another step may put out for a pipeline, beside its steps' parameters.
_OPEN = frozenset({"version", "revision", "build", "description"})


class Reference(msgspec.Struct, frozen=True):
    """Parameters to be put in: where, and of which step ("step.field"). is_open: it may stand there.

    is_optional: left out where that step put out no such thing, for it was skipped.
    What steps a pipeline has is never put in, for it is judged when it is made: who may do that, and what is
    asked where.
    """

    path: Path
    output: str
    is_open: bool = True
    is_optional: bool = False

    @property
    def step(self) -> str:
        """The uid of the step that puts it out."""
        return self.output.split(".", 1)[0]


class Order:
    """Which steps must be done before which, directly or by others. A step on a cycle is before itself."""

    def __init__(self, requires: Mapping[str, Sequence[str]]) -> None:
        self._bits = {uid: 1 << place for place, uid in enumerate(requires)}
        self._before = {uid: 0 for uid in requires}
        for uid, needed in requires.items():
            for each in needed:
                self._before[uid] |= self._bits.get(each, 0)
        for middle, bit in self._bits.items():
            for uid, mask in self._before.items():
                if mask & bit:
                    self._before[uid] = mask | self._before[middle]

    def is_before(self, first: str, then: str) -> bool:
        """Whether `then` requires `first`, directly or by others."""
        return bool(self._before.get(then, 0) & self._bits.get(first, 0))


def references(kind: object, parameters: object) -> Iterator[Reference]:
    """Every {"$output": "step.field"} in a step's parameters that means a step of its own pipeline."""
    yield from _within(kind, parameters, (), frozenset())


def put_in(parameters: Any, found: Sequence[tuple[Path, Any]]) -> Any:
    """The parameters with these values at their places; UNSET: without what stands there."""
    if not found:
        return parameters
    root = {"": copy.deepcopy(parameters)}
    # From behind, so that what is left out of a list moves no place that is still to be filled.
    for path, value in reversed(found):
        inside: Any = root
        places: Path = ("", *path)
        for part in places[:-1]:
            inside = inside[part]
        last = places[-1]
        if value is UNSET:
            del inside[last]
        else:
            inside[last] = value
    return root.get("", {})


def _within(kind: object, parameters: object, path: Path, inner: frozenset[str]) -> Iterator[Reference]:
    """inner: steps of pipelines in between, which are meant first."""
    if kind != PIPELINE or not isinstance(parameters, dict) or _is_reference(parameters):
        yield from _plain(parameters, path, inner, is_open=kind != PIPELINE)
        return
    steps = parameters.get("steps")
    steps = steps if isinstance(steps, list) else []
    inner |= {str(step.get("uid")) for step in steps if isinstance(step, dict)}
    for name, value in parameters.items():
        # A plan to roll back is started as a pipeline of its own.
        if name == "rollbacks":
            continue
        if name != "steps" or not isinstance(value, list):
            yield from _plain(value, (*path, name), inner, is_open=name in _OPEN)
            continue
        for place, step in enumerate(value):
            fields = step.items() if isinstance(step, dict) else ()
            for field, each in fields:
                at = (*path, name, place, field)
                if field == "parameters":
                    yield from _within(step.get("kind"), each, at, inner)
                else:
                    yield from _plain(each, at, inner, is_open=False)


def _plain(value: object, path: Path, inner: frozenset[str], *, is_open: bool) -> Iterator[Reference]:
    if _is_reference(value):
        assert isinstance(value, dict)
        found = Reference(path, value[REFERENCE], is_open, bool(value.get(OPTIONAL)))
        if found.step not in inner:
            yield found
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _plain(each, (*path, name), inner, is_open=is_open)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _plain(each, (*path, place), inner, is_open=is_open)


def _is_reference(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get(REFERENCE), str):
        return False
    return set(value) <= {REFERENCE, OPTIONAL} and isinstance(value.get(OPTIONAL, False), bool)
