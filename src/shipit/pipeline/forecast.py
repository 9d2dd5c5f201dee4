# SPDX-License-Identifier: MPL-2.0
"""When a pipeline is expected to end: the longest way through what is left, by how long it took before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from shipit.pipeline.states import ENDS, State
from shipit.pipeline.transition import applies, is_satisfied
from shipit.pipeline.types import Facts, Node, StepDefinition

LEAST_HISTORY = 3
QUANTILES = (0.1, 0.5, 0.9)


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """When it ends: in eight of ten cases after early and before late.

    based_on: how many earlier steps of the rarest kind on the way tell so. supposes: failed steps that it
    takes for being tried again now. is_held: it takes what is held for going on now. unknown: steps of which
    too little is known; then there are no times. begins: when blocked steps likely begin.
    """

    early: datetime | None = None
    likely: datetime | None = None
    late: datetime | None = None
    based_on: int = 0
    supposes: tuple[str, ...] = ()
    is_held: bool = False
    unknown: tuple[str, ...] = ()
    begins: dict[str, datetime] = msgspec.field(default_factory=dict)


def forecast(facts: Facts, took: Mapping[str, Sequence[float]], now: datetime) -> Forecast:
    """took: by step, the seconds it took in earlier pipelines."""
    left = [step for step in facts.definition.steps if not is_satisfied(step, facts.nodes[step.uid])]
    unknown = tuple(step.uid for step in left if len(took.get(step.uid, ())) < LEAST_HISTORY)
    supposes = tuple(step.uid for step in left if facts.nodes[step.uid].state in ENDS)
    is_held = any(_is_held(facts, step, facts.nodes[step.uid]) for step in left)
    begins, _ = _times(facts, took, now, 0.5)
    told = {uid: when for uid, when in begins.items() if facts.nodes[uid].state is State.BLOCKED}
    if unknown or not left:
        return Forecast(supposes=supposes, unknown=unknown, is_held=is_held, begins=told)
    early, likely, late = (max(_times(facts, took, now, part)[1].values()) for part in QUANTILES)
    return Forecast(
        early=early,
        likely=likely,
        late=late,
        based_on=min(len(took[step.uid]) for step in left),
        supposes=supposes,
        is_held=is_held,
        begins=told,
    )


def quantile(took: Sequence[float], part: float) -> float:
    """The seconds within which that part of them had ended."""
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def _is_held(facts: Facts, step: StepDefinition, node: Node) -> bool:
    """Whether somebody keeps it from going on: a stop or a hold of what it has come to, a halted rollout."""
    if node.state is State.IN_PROGRESS:
        return node.served is not None and bool(node.served.details.get("halted"))
    return bool(facts.hold) or any(applies(stop, facts, step) for stop in facts.stops)


def _times(
    facts: Facts, took: Mapping[str, Sequence[float]], now: datetime, part: float
) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """By step, when it begins, and when it ends; of those that follow from what is known."""
    begins: dict[str, datetime] = {}
    ends: dict[str, datetime] = {}
    for step in facts.definition.steps:
        node = facts.nodes[step.uid]
        if is_satisfied(step, node):
            ends[step.uid] = now
        elif all(uid in ends for uid in step.requires):
            begins[step.uid] = max([now, step.not_before or now, *(ends[uid] for uid in step.requires)])
            if len(took.get(step.uid, ())) >= LEAST_HISTORY:
                seconds = quantile(took[step.uid], part)
                ends[step.uid] = _ends_at(step, node, begins[step.uid], now, seconds)
    return begins, ends


def _ends_at(step: StepDefinition, node: Node, begins: datetime, now: datetime, seconds: float) -> datetime:
    if node.state is State.IN_PROGRESS and node.started_at is not None:
        return max(now, node.started_at + timedelta(seconds=seconds), _last_raise(step, node, now))
    return max(begins + timedelta(seconds=seconds), _last_raise(step, node, begins))


def _last_raise(step: StepDefinition, node: Node, begins: datetime) -> datetime:
    """The earliest end of a rollout by its own pauses, however long others took."""
    percents = step.parameters.get("percents")
    if step.kind != "rollout" or not isinstance(percents, list | tuple):
        return begins
    reached = node.served.details.get("reached", ()) if node.served is not None else ()
    since = datetime.fromisoformat(reached[-1]["at"]) if reached else begins
    pauses = len(percents) - max(1, len(reached))
    return since + timedelta(seconds=float(step.parameters.get("pause_seconds", 0)) * pauses)
