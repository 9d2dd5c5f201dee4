# SPDX-License-Identifier: MPL-2.0
"""A pipeline as its page shows it, to somebody: all of its steps, when it ends, and what they may do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shipit.actions.persons import Actor
from shipit.actions.pipelines import rollback_uid
from shipit.actions.rights import You
from shipit.actions.rights import you as rights_of
from shipit.pipeline.forecast import LEAST_HISTORY, Forecast, forecast, quantile
from shipit.pipeline.standing import (
    Reason,
    Standing,
    by_title,
    standings,
    summary,
    what_it_waits_for,
    what_starts,
)
from shipit.pipeline.states import State, Status
from shipit.pipeline.transition import is_satisfied
from shipit.pipeline.types import StepDefinition, Stop
from shipit.pipeline.wording import Tone, Word, headline, is_stuck, tally, word
from shipit.steps.signoff import excluded_of
from shipit.storage import pipelines, steps
from shipit.storage.pipelines import Stored
from shipit.storage.pool import Connection


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a phase, and how it stands once somebody started it."""

    phase: str
    description: str
    steps: tuple[str, ...]
    uid: str
    status: Status | None


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step: a word and its tone, the sentence why it is there, who can move it and by when.

    step: its uid at its service, null before the first try. starts: what its end starts. details: its
    service's own.
    """

    uid: str
    title: str
    kind: str
    phase: str
    requires: tuple[str, ...]
    state: State
    word: str
    tone: Tone
    reason: Reason
    sentence: str
    who: str
    by: datetime | None
    is_stuck: bool
    step: str | None
    attempt: int
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    expected_at: datetime | None
    late_at: datetime | None
    rollback: str
    starts: tuple[str, ...]
    details: dict[str, Any]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the page of a pipeline shows. parent: the pipeline whose step it is.

    wants_cancel: it was cancelled, and is not taken up again.
    """

    uid: str
    parent: str | None
    product: str
    version: str
    build: int | None
    revision: str
    description: str
    status: Status
    headline: Word
    sentence: str
    tally: str
    created_by: str
    created_at: datetime
    hold: str
    hold_by: str
    wants_cancel: bool
    is_being_cancelled: bool
    steps: tuple[StepView, ...]
    forecast: Forecast
    taskcluster_url: str | None
    stops: tuple[Stop, ...]
    rollbacks: tuple[Rollback, ...]
    you: You


class ReleaseLine(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline in the list. done: of so many steps. waits: what it waits for, empty when it is over."""

    uid: str
    product: str
    version: str
    build: int | None
    description: str
    status: Status
    headline: Word
    sentence: str
    waits: str
    tally: str
    done: int
    steps: int
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


async def release(
    connection: Connection, stored: Stored, by: Actor, now: datetime, *, taskcluster_url: str | None = None
) -> Release:
    """A pipeline for its page. taskcluster_url: where task groups can be seen."""
    definition = stored.facts.definition
    took = await pipelines.durations(connection, definition.product, [step.uid for step in definition.steps])
    stands = standings(stored.facts, now, name=by_title)
    names = {phase: rollback_uid(stored.facts.uid, phase) for phase in definition.rollbacks}
    begun = await pipelines.statuses(connection, list(names.values()))
    # The database keeps no order of names: the latest phase is what is taken back first.
    order = {step.phase: -place for place, step in enumerate(definition.steps)}
    stops = tuple(stop for stop in stored.facts.stops if stop.product in ("", definition.product))
    return Release(
        uid=stored.facts.uid,
        parent=stored.parent,
        product=definition.product,
        version=definition.version,
        build=definition.build,
        revision=definition.revision,
        description=definition.description,
        status=stored.status,
        headline=headline(stored.facts, now),
        sentence=summary(stored.facts, now, name=by_title),
        tally=tally(stored.facts, now),
        created_by=stored.created_by,
        created_at=stored.created_at,
        hold=stored.facts.hold,
        hold_by=stored.facts.hold_by,
        wants_cancel=stored.facts.wants_cancel,
        is_being_cancelled=stored.facts.wants_cancel and not stored.status.is_end,
        steps=tuple(
            _step(stored, step, stands[step.uid], took.get(step.uid, ()), now) for step in definition.steps
        ),
        forecast=forecast(stored.facts, took, now),
        taskcluster_url=taskcluster_url,
        stops=stops,
        rollbacks=tuple(
            Rollback(
                phase=phase,
                description=plan.description,
                steps=tuple(step.description or step.uid for step in plan.steps),
                uid=names[phase],
                status=begun.get(names[phase]),
            )
            for phase, plan in sorted(definition.rollbacks.items(), key=lambda each: order.get(each[0], 0))
        ),
        you=await rights_of(connection, stored, stops, by, now),
    )


def line(stored: Stored, now: datetime) -> ReleaseLine:
    """A pipeline in the list."""
    definition = stored.facts.definition
    return ReleaseLine(
        uid=stored.facts.uid,
        product=definition.product,
        version=definition.version,
        build=definition.build,
        description=definition.description,
        status=stored.status,
        headline=headline(stored.facts, now),
        sentence=summary(stored.facts, now, name=by_title),
        waits=what_it_waits_for(stored.facts, now, name=by_title),
        tally=tally(stored.facts, now),
        done=sum(is_satisfied(step, stored.facts.nodes[step.uid]) for step in definition.steps),
        steps=len(definition.steps),
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        created_by=stored.created_by,
        hold=stored.facts.hold,
    )


async def attempts(connection: Connection, stored: Stored, step: StepDefinition) -> list[Attempt]:
    """Every try of a step, the newest first."""
    count = stored.facts.nodes[step.uid].attempt
    names = [stored.facts.key(step.uid, number) for number in range(count, 0, -1)]
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


def _step(
    stored: Stored, step: StepDefinition, told: Standing, took: Sequence[float], now: datetime
) -> StepView:
    facts = stored.facts
    node = facts.nodes[step.uid]
    short = word(facts, step, now)
    details = _details(stored, step)
    # What is halted ends when somebody lets it go on.
    is_running = node.state is State.IN_PROGRESS and not details.get("halted")
    begun = node.started_at if is_running and len(took) >= LEAST_HISTORY else None
    return StepView(
        uid=step.uid,
        title=by_title(step),
        kind="remote" if step.api_url is not None else step.kind or "",
        phase=step.phase,
        requires=step.requires,
        state=node.state,
        word=short.word,
        tone=short.tone,
        reason=told.reason,
        sentence=told.sentence,
        who=told.who,
        by=told.by,
        is_stuck=is_stuck(facts, step),
        step=facts.key(step.uid, node.attempt) if node.attempt else None,
        attempt=node.attempt,
        attempts=max(node.allowed, step.attempts),
        started_at=node.started_at,
        finished_at=node.finished_at,
        expected_at=begun and begun + timedelta(seconds=quantile(took, 0.5)),
        late_at=begun and begun + timedelta(seconds=quantile(took, 0.9)),
        rollback=step.rollback,
        starts=what_starts(facts, step.uid) if step.kind == "signoff" else (),
        details=details,
    )


def _details(stored: Stored, step: StepDefinition) -> dict[str, Any]:
    """What its service says; of a signoff also who is not to sign."""
    node = stored.facts.nodes[step.uid]
    details = node.served.details if node.served is not None else {}
    if step.kind != "signoff":
        return details
    return {**details, "excluded": sorted(excluded_of(step.parameters, stored.created_by))}
