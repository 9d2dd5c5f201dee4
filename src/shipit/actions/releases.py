# SPDX-License-Identifier: MPL-2.0
"""A pipeline as its page shows it, to somebody: all of its steps, when it ends, and what they may do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from shipit.actions.persons import ADMIN, PIPELINE, Actor
from shipit.actions.pipelines import rollback_uid
from shipit.actions.showing import described_pipeline
from shipit.actions.steps import Described
from shipit.pipeline.forecast import Forecast, forecast
from shipit.pipeline.standing import summary
from shipit.pipeline.states import State, Status
from shipit.pipeline.types import Signature, StepDefinition, Stop, key
from shipit.signoff import policy as policies
from shipit.signoff.policy import Signer
from shipit.steps import signoff
from shipit.storage import pipelines, signatures, steps
from shipit.storage.pipelines import Stored
from shipit.storage.pool import Connection


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a phase, and how it stands once somebody started it."""

    phase: str
    description: str
    steps: tuple[str, ...]
    uid: str
    status: Status | None


class You(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever asks may do here. phases: they may act on. signs: by step, why they may not sign, "" when
    they may; has_signed: steps whose signature of theirs stands."""

    person: str
    phases: tuple[str, ...]
    signs: dict[str, str]
    has_signed: tuple[str, ...]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the page of a pipeline shows."""

    pipeline: Described
    forecast: Forecast
    stops: tuple[Stop, ...]
    rollbacks: tuple[Rollback, ...]
    you: You


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline in the list. counts: steps by state."""

    uid: str
    product: str
    version: str
    build: int | None
    description: str
    status: Status
    sentence: str
    counts: dict[str, int]
    created_at: datetime
    updated_at: datetime
    created_by: str
    hold: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a step, as its service told of it last."""

    attempt: int
    step: str
    status: Status
    message: str
    started_at: datetime
    ended_at: datetime | None
    details: dict[str, Any]


async def release(connection: Connection, stored: Stored, by: Actor, now: datetime) -> Release:
    """A pipeline for its page."""
    definition = stored.facts.definition
    took = await pipelines.durations(connection, definition.product, [step.uid for step in definition.steps])
    names = {phase: rollback_uid(stored.facts.uid, phase) for phase in definition.rollbacks}
    begun = await pipelines.statuses(connection, list(names.values()))
    return Release(
        pipeline=described_pipeline(stored, now, took),
        forecast=forecast(stored.facts, took, now),
        stops=tuple(stop for stop in stored.facts.stops if stop.product in ("", definition.product)),
        rollbacks=tuple(
            Rollback(
                phase=phase,
                description=plan.description,
                steps=tuple(step.description or step.uid for step in plan.steps),
                uid=names[phase],
                status=begun.get(names[phase]),
            )
            for phase, plan in definition.rollbacks.items()
        ),
        you=await _you(connection, stored, by, now),
    )


def line(stored: Stored, now: datetime) -> Line:
    """A pipeline in the list."""
    definition = stored.facts.definition
    return Line(
        uid=stored.facts.uid,
        product=definition.product,
        version=definition.version,
        build=definition.build,
        description=definition.description,
        status=stored.status,
        sentence=summary(stored.facts, now),
        counts=dict(Counter(node.state.value for node in stored.facts.nodes.values())),
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        created_by=stored.created_by,
        hold=stored.facts.hold,
    )


async def attempts(connection: Connection, stored: Stored, step: StepDefinition) -> list[Attempt]:
    """Every try of a step, the newest first."""
    count = stored.facts.nodes[step.uid].attempt
    names = [key(stored.facts.uid, step.uid, number) for number in range(count, 0, -1)]
    kind = "remote" if step.api_url is not None else step.kind or ""
    rows = await steps.read_many(connection, kind, names)
    return [
        Attempt(
            attempt=int(row.uid.rpartition(".")[2]),
            step=row.uid,
            status=row.status,
            message=row.message,
            started_at=row.created_at,
            ended_at=row.updated_at if row.status.is_end else None,
            details=row.details,
        )
        for row in sorted(rows, key=lambda row: -int(row.uid.rpartition(".")[2]))
    ]


def may_act(by: Actor, product: str, phase: str) -> bool:
    """Whether they hold the scope of a phase."""
    return by.has(f"{PIPELINE}/{product or 'none'}/{phase or 'none'}") or by.has(ADMIN)


async def _you(connection: Connection, stored: Stored, by: Actor, now: datetime) -> You:
    definition, nodes = stored.facts.definition, stored.facts.nodes
    open_ones = [
        step
        for step in definition.steps
        if step.kind == "signoff" and nodes[step.uid].state is State.IN_PROGRESS
    ]
    signs: dict[str, str] = {}
    signed: list[str] = []
    for step in open_ones:
        name = key(stored.facts.uid, step.uid, nodes[step.uid].attempt)
        given = await signatures.of_step(connection, name)
        row = await steps.read(connection, "signoff", name)
        if row is None or row.status.is_end:
            continue
        counted = signoff.valid(given, row.memory.get("digest", ""), now)
        if any(each.person == by.person for each in counted):
            signed.append(step.uid)
        signs[step.uid] = _why_not(row.parameters, counted, by)
    return You(
        person=by.person,
        phases=tuple(
            phase
            for phase in dict.fromkeys(step.phase for step in definition.steps)
            if may_act(by, definition.product, phase)
        ),
        signs=signs,
        has_signed=tuple(signed),
    )


def _why_not(parameters: Mapping[str, Any], counted: Sequence[Signature], by: Actor) -> str:
    """Why they may not sign, naming the rule; empty when they may."""
    if not by.person:
        return "log in to sign"
    policy = policies.read(parameters["policy"])
    names = {name for wanted in policy for name in wanted}
    if by.person in signoff.excluded_of(parameters):
        return "whoever asks for it does not sign it"
    if any(each.person == by.person for each in counted):
        return "you have signed; a person signs once"
    signer = Signer(by.person, by.groups(names))
    if not policies.eligible(policy, signer):
        return f"you are in no group that signs this (needed: {' or '.join(sorted(names))})"
    if not policies.helps(policy, signoff.signers(counted), signer):
        return "nobody of your groups is needed any more"
    return ""
