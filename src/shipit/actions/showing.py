# SPDX-License-Identifier: MPL-2.0
"""Pipelines as people and the Step API see them: the stored facts, and the standing derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shipit.actions.steps import Described
from shipit.pipeline.forecast import LEAST_HISTORY, quantile
from shipit.pipeline.standing import Standing, standings, summary, what_starts
from shipit.pipeline.states import State, Status
from shipit.pipeline.types import Node, StepDefinition
from shipit.storage import pipelines
from shipit.storage.pipelines import Stored
from shipit.storage.pool import Connection

_STATUS = {
    State.SUCCESS: Status.SUCCESS,
    State.SKIPPED: Status.SUCCESS,
    State.FAILURE: Status.FAILURE,
    State.TIMED_OUT: Status.FAILURE,
    State.CANCELLED: Status.CANCELLED,
}


async def show(connection: Connection, stored: Stored, now: datetime) -> Described:
    """As described_pipeline, with when running steps are expected to end, from how long they took before."""
    running = [uid for uid, node in stored.facts.nodes.items() if node.state is State.IN_PROGRESS]
    took = await pipelines.durations(connection, stored.facts.definition.product, running)
    return described_pipeline(stored, now, took)


def described_pipeline(
    stored: Stored, now: datetime, took: Mapping[str, Sequence[float]] | None = None
) -> Described:
    """A pipeline with every step: its state, why it is there, who can move it, by when.

    took: by step, the seconds it took in earlier pipelines.
    """
    facts = stored.facts
    stands = standings(facts, now)
    details: dict[str, Any] = {
        "kind": "pipeline",
        "product": facts.definition.product,
        "version": facts.definition.version,
        "build": facts.definition.build,
        "created_by": stored.created_by,
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
        "hold": facts.hold,
        "hold_by": facts.hold_by,
        "description": facts.definition.description,
        "steps": [
            {
                **_shown(stored, step, facts.nodes[step.uid]),
                **_stands(stands[step.uid]),
                **_eta(facts.nodes[step.uid], (took or {}).get(step.uid, ())),
            }
            for step in facts.definition.steps
        ],
    }
    if facts.wants_cancel and not stored.status.is_end:
        details["is_being_cancelled"] = True
    output = {step.uid: facts.nodes[step.uid].output for step in facts.definition.steps}
    return Described(
        uid=facts.uid,
        status=stored.status,
        message=summary(facts, now),
        details=details,
        output=output if stored.status is Status.SUCCESS else {},
    )


def _eta(node: Node, took: Sequence[float]) -> dict[str, Any]:
    """When half, and nine of ten, of its like had ended; nothing without enough history."""
    if node.state is not State.IN_PROGRESS or node.started_at is None or len(took) < LEAST_HISTORY:
        return {}
    likely, late = quantile(took, 0.5), quantile(took, 0.9)
    return {
        "expected_at": node.started_at + timedelta(seconds=likely),
        "late_at": node.started_at + timedelta(seconds=late),
    }


def _stands(found: Standing) -> dict[str, Any]:
    return {"reason": found.reason.value, "message": found.sentence, "who": found.who, "by": found.by}


def _shown(stored: Stored, step: StepDefinition, node: Node) -> dict[str, Any]:
    return {
        "uid": step.uid,
        "state": node.state.value,
        "status": _STATUS.get(node.state, Status.IN_PROGRESS).value,
        "kind": step.kind,
        "api_url": step.api_url,
        "step": stored.facts.key(step.uid, node.attempt) if node.attempt else None,
        "requires": step.requires,
        "phase": step.phase,
        "description": step.description,
        "rollback": step.rollback,
        "attempt": node.attempt,
        "started_at": node.started_at,
        "finished_at": node.finished_at,
        "details": node.served.details if node.served is not None else {},
        "attempts": max(node.allowed, step.attempts),
        **({"starts": what_starts(stored.facts, step.uid)} if step.kind == "signoff" else {}),
    }
