# SPDX-License-Identifier: MPL-2.0
"""Decide pipelines in bulk and write what follows, in one transaction; nobody outside is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from shipit.errors import Missing
from shipit.pipeline.definition import LONGEST_KEY, InvalidDefinition, read
from shipit.pipeline.links import PIPELINE
from shipit.pipeline.schema import Problem
from shipit.pipeline.states import State, Status
from shipit.pipeline.transition import TAKEN, Plan, Start, decide
from shipit.pipeline.types import Definition, NewStep, Node, Note, Progress, StepDefinition
from shipit.steps.kinds import KINDS, check
from shipit.storage import pipelines, signatures, steps
from shipit.storage.pipelines import Stored, Written
from shipit.storage.pool import Connection

RUNNER = "runner"
DEEPEST = 5


def check_kind(kind: str, parameters: Mapping[str, Any]) -> list[Problem] | None:
    """As for every kind; a pipeline within a pipeline is checked as one."""
    if kind != PIPELINE:
        return check(kind, parameters)
    try:
        read(dict(parameters), check_kind)
    except InvalidDefinition as error:
        return list(error.problems)
    return []


async def reconcile(
    connection: Connection, now: datetime, *, uids: Collection[str] | None = None, limit: int = 100
) -> tuple[int, bool]:
    """Decide pipelines and write what follows; (how many changed, whether more are due).

    uids: these, else those of which something was heard or whose time has come. One transaction, no call to
    anybody outside: what it writes happens wholly or not at all, so a runner may die here at any point.
    """
    more = False
    if uids is None:
        uids, more = await pipelines.take_due(connection, limit=limit)
    changed: set[str] = set()
    todo = sorted(set(uids))
    for _ in range(DEEPEST):
        if not todo:
            break
        todo = await _decide(connection, todo, changed, now)
    if todo:
        await pipelines.wake(connection, todo)
    if changed:
        await pipelines.tell(connection, changed)
    return len(changed), more


async def _decide(
    connection: Connection, uids: Collection[str], changed: set[str], now: datetime
) -> list[str]:
    """Decide once; the uids of which something is known at once that decides more."""
    nodes: list[tuple[str, Node]] = []
    keys: list[str] = []
    written: list[Written] = []
    waits: list[Written] = []
    notes: list[Note] = []
    begun: list[NewStep] = []
    former: dict[str, str] = {}
    again: set[str] = set()
    taken: set[str] = set()
    for stored in await pipelines.load_many(connection, uids, is_locked=True):
        uid = stored.facts.uid
        plan = decide(stored.facts, now)
        row = Written(uid=uid, status=plan.status, due_at=plan.wake_at)
        if not plan.changed and plan.status is stored.status:
            waits.append(row)
            continue
        changed.add(uid)
        written.append(row)
        nodes += [(uid, node) for node in plan.changed]
        keys += [stored.facts.key(node.uid, node.attempt) for node in plan.changed]
        notes += _notes(stored, plan)
        for start in plan.starts:
            step = await _begin(connection, stored, start, now)
            if step is None:
                taken.add(start.key)
            elif isinstance(step, NewStep):
                begun.append(step)
                if start.former is not None and step.kind == "signoff":
                    former[start.key] = start.former
                if step.progress.status.is_end:
                    again.add(uid)
        # The rows are written first: a cancelled step's end is read from them.
        for name in plan.cancels:
            node = next(each for each in plan.changed if name == stored.facts.key(each.uid, each.attempt))
            if await cancel_step(connection, stored, node, now):
                again.add(uid)
    taken |= {step.uid for step in begun} - await steps.put(connection, begun)
    for new, old in former.items():
        await signatures.carry(connection, old, new)
    nodes = [
        (uid, _failed(node, now) if key in taken else node)
        for (uid, node), key in zip(nodes, keys, strict=True)
    ]
    await pipelines.write(connection, nodes, written, waits)
    await pipelines.wake(connection, sorted({uid for uid, node in nodes if node.cause == TAKEN}))
    await pipelines.note(connection, notes)
    return sorted(again)


async def _begin(
    connection: Connection, stored: Stored, start: Start, now: datetime
) -> NewStep | bool | None:
    """The step to store; True when it is a pipeline, which is stored here; None when its uid is taken."""
    uid, by = stored.facts.uid, stored.created_by
    if start.api_url is not None:
        kind, parameters = "remote", {"api_url": start.api_url, "parameters": start.parameters}
    else:
        assert start.kind is not None
        kind, parameters = start.kind, start.parameters
    problems = check_kind(kind, parameters) or []
    if problems:
        words = "; ".join(str(each) for each in problems[:5])
        progress = Progress(status=Status.FAILURE, message=f"its parameters are wrong: {words}")
    elif kind == PIPELINE:
        if len(start.key) > LONGEST_KEY:
            progress = Progress(status=Status.FAILURE, message="pipelines within pipelines, too deep")
        else:
            definition = read(dict(parameters), check_kind)
            definition = _inherited(definition, stored, start.uid)
            return (
                await pipelines.put(connection, start.key, parameters, definition, created_by=by, parent=uid)
                or None
            )
    else:
        progress = KINDS[kind].begin(parameters, now)
    return NewStep(
        kind=kind, uid=start.key, parameters=parameters, progress=progress, pipeline=uid, created_by=by
    )


def _inherited(definition: Definition, stored: Stored, uid: str) -> Definition:
    """A pipeline within a pipeline: of its product, and of the phase of its step, where it names none."""
    phase = step_of(stored, uid).phase
    return replace(
        definition,
        product=definition.product or stored.facts.definition.product,
        takes_back=stored.facts.definition.takes_back,
        steps=tuple(replace(step, phase=step.phase or phase) for step in definition.steps),
    )


def _failed(node: Node, now: datetime) -> Node:
    """Somebody has made a step of this uid, which is not ours to use; another try has another uid."""
    note = "its uid is taken by a step that is not of this pipeline"
    return replace(node, state=State.FAILURE, cause=TAKEN, note=note, finished_at=now)


async def cancel_step(connection: Connection, stored: Stored, node: Node, now: datetime) -> bool:
    """Cancel what runs of a step; True when it is cancelled already."""
    step = step_of(stored, node.uid)
    key = stored.facts.key(node.uid, node.attempt)
    if step.kind == PIPELINE:
        await pipelines.set_cancel(connection, key)
        await pipelines.wake(connection, [key])
        return False
    kind = step.kind or "remote"
    row = await steps.lock(connection, kind, key)
    if row is None or row.status.is_end:
        return True
    progress = KINDS[kind].cancel(row, now)
    if progress is None:
        await steps.ask_cancel(connection, kind, key)
        return False
    await steps.write(connection, row, progress, wants_cancel=True)
    return True


def step_of(stored: Stored, uid: str) -> StepDefinition:
    for step in stored.facts.definition.steps:
        if step.uid == uid:
            return step
    raise Missing(f"pipeline {stored.facts.uid!r} has no step {uid!r}")


def _notes(stored: Stored, plan: Plan) -> list[Note]:
    uid = stored.facts.uid
    lines = [
        Note(
            subject=uid,
            step=node.uid,
            actor=RUNNER,
            what="moved",
            before=stored.facts.nodes[node.uid].state.value,
            after=node.state.value,
            reason=node.note[:500],
        )
        for node in plan.changed
        if node.state is not stored.facts.nodes[node.uid].state
    ]
    if plan.status is not stored.status:
        lines.append(
            Note(
                subject=uid,
                actor=RUNNER,
                what="moved",
                before=stored.status.value,
                after=plan.status.value,
            )
        )
    return lines
