# SPDX-License-Identifier: MPL-2.0
"""What a pipeline that is a step of another tells there: its steps' outputs, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shipit.pipeline.states import ALIVE, State, Status
from shipit.pipeline.types import Served

MOST_NAMED = 3
_FAILED = frozenset({State.FAILURE, State.TIMED_OUT})
_DONE = frozenset({State.SUCCESS, State.SKIPPED})


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a pipeline within a pipeline."""

    uid: str
    state: State
    note: str = ""
    output: dict[str, Any] = {}


def inner_served(key: str, status: Status, steps: Sequence[Inner]) -> Served:
    """What the pipeline `key` says as a step. Its output, once it has succeeded: what each step put out."""
    failed = [_because(step) for step in steps if step.state in _FAILED]
    runs = [step.uid for step in steps if step.state in ALIVE or step.state is State.RETRYING]
    done = sum(step.state in _DONE for step in steps)
    told = f"{done} of {len(steps)} steps of {key} done"
    for what, names in (("failed", failed), ("now", runs)):
        if names:
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            told += f"; {what}: {', '.join(names[:MOST_NAMED])}{more}"
    is_open = status is Status.IN_PROGRESS
    return Served(
        status=status,
        message=told if status is not Status.SUCCESS else "",
        output={step.uid: step.output for step in steps} if status is Status.SUCCESS else {},
        details={"pipeline": key, **({"who": f"whoever can move the steps of {key}"} if is_open else {})},
    )


def _because(step: Inner) -> str:
    return f"{step.uid} ({step.note})" if step.note else step.uid
