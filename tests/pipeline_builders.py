# SPDX-License-Identifier: MPL-2.0
"""A tiny language for pipelines: "build -> test; build -> sign; test sign -> ship"."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from shipit.pipeline.definition import read
from shipit.pipeline.schema import Problem, problems
from shipit.pipeline.states import Status
from shipit.pipeline.transition import REPEATABLE, Plan, decide
from shipit.pipeline.types import Definition, Facts, Node, Served

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SCHEMA = {"type": "object", "additionalProperties": True, "properties": {"seconds": {"type": "number"}}}


def check_kind(kind: str, parameters: Mapping[str, Any]) -> list[Problem] | None:
    """A world with one kind, "work", whose seconds must be a number, and those that may be repeated."""
    return problems(dict(parameters), SCHEMA) if kind in ("work", *REPEATABLE) else None


def graph(text: str, **options: dict[str, Any]) -> Definition:
    """A definition; options: by step, what differs from a plain step of kind work."""
    requires: dict[str, list[str]] = {}
    for rule in filter(None, (part.strip() for part in text.split(";"))):
        links = [part.split() for part in rule.split("->")]
        for name in links[0]:
            requires.setdefault(name, [])
        for firsts, names in itertools.pairwise(links):
            for name in names:
                requires.setdefault(name, []).extend(firsts)
    steps = [
        {"uid": uid, "kind": "work", "requires": needed, **options.get(uid, {})}
        for uid, needed in requires.items()
    ]
    return read({"steps": steps, "product": "firefox"}, check_kind)


def fresh(definition: Definition, **more: Any) -> Facts:
    """The facts of a pipeline nobody has looked at."""
    nodes = {step.uid: Node(uid=step.uid, allowed=step.attempts) for step in definition.steps}
    return Facts(uid="p", definition=definition, nodes=nodes, **more)


def applied(facts: Facts, plan: Plan) -> Facts:
    """The facts after a plan was carried out."""
    return replace(facts, nodes=facts.nodes | {node.uid: node for node in plan.changed})


def turn(facts: Facts, now: datetime = NOON) -> tuple[Facts, Plan]:
    """Decide and carry out."""
    plan = decide(facts, now)
    return applied(facts, plan), plan


def says(facts: Facts, uid: str, status: str, message: str = "", **output: Any) -> Facts:
    """The service of a step says something."""
    served = Served(status=Status(status), message=message, output=output)
    return replace(facts, nodes=facts.nodes | {uid: replace(facts.nodes[uid], served=served)})


def states(facts: Facts) -> str:
    """Every step's state: "a=success b=blocked"."""
    return " ".join(f"{step.uid}={facts.nodes[step.uid].state.value}" for step in facts.definition.steps)
