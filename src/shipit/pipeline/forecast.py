# SPDX-License-Identifier: MPL-2.0
"""When a pipeline is expected to end: the longest way through what is left, by how long it took before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from shipit.pipeline.states import ENDS, State
from shipit.pipeline.transition import is_satisfied
from shipit.pipeline.types import Facts, Node, StepDefinition

LEAST_HISTORY = 3
QUANTILES = (0.1, 0.5, 0.9)


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """When it ends: in nine of ten cases after early and before late.

    based_on: how many earlier steps of the rarest kind on the way tell so. supposes: failed steps that it
    takes for being tried again now. unknown: steps of which too little is known; then there are no times.
    """

    early: datetime | None = None
    likely: datetime | None = None
    late: datetime | None = None
    based_on: int = 0
    supposes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def forecast(facts: Facts, took: Mapping[str, Sequence[float]], now: datetime) -> Forecast:
    """took: by step, the seconds it took in earlier pipelines."""
    left = [step for step in facts.definition.steps if not is_satisfied(step, facts.nodes[step.uid])]
    unknown = tuple(step.uid for step in left if len(took.get(step.uid, ())) < LEAST_HISTORY)
    supposes = tuple(step.uid for step in left if facts.nodes[step.uid].state in ENDS)
    if unknown or not left:
        return Forecast(supposes=supposes, unknown=unknown)
    early, likely, late = (_end(facts, took, now, part) for part in QUANTILES)
    return Forecast(
        early=early,
        likely=likely,
        late=late,
        based_on=min(len(took[step.uid]) for step in left),
        supposes=supposes,
    )


def quantile(took: Sequence[float], part: float) -> float:
    """The seconds within which that part of them had ended."""
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def _end(facts: Facts, took: Mapping[str, Sequence[float]], now: datetime, part: float) -> datetime:
    ends: dict[str, datetime] = {}
    for step in facts.definition.steps:
        node = facts.nodes[step.uid]
        if is_satisfied(step, node):
            ends[step.uid] = now
            continue
        begins = max([now, *(ends[uid] for uid in step.requires)])
        ends[step.uid] = _ends_at(step, node, begins, now, quantile(took[step.uid], part))
    return max(ends.values())


def _ends_at(step: StepDefinition, node: Node, begins: datetime, now: datetime, seconds: float) -> datetime:
    if node.state is State.IN_PROGRESS and node.started_at is not None:
        return max(now, node.started_at + timedelta(seconds=seconds))
    if step.not_before is not None:
        begins = max(begins, step.not_before)
    return begins + timedelta(seconds=seconds)
