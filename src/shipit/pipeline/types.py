# SPDX-License-Identifier: MPL-2.0
"""What a pipeline is made of: its definition as validated, and the facts its transitions are decided on."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from shipit.pipeline.states import State, Status


class StepDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a graph.

    kind: one of ours; api_url: of any service that speaks the Step API, instead of a kind. attempts: tries in
    all. backoff_seconds: before the second try, doubled for each more. needs_release: a person must let it
    go. not_before: earliest start. rollback: what to do when its phase must be taken back.
    """

    uid: str
    kind: str | None = None
    api_url: str | None = None
    parameters: dict[str, Any] = {}
    requires: tuple[str, ...] = ()
    description: str = ""
    phase: str = ""
    attempts: int = 1
    backoff_seconds: float = 30.0
    timeout_seconds: float | None = None
    continue_on_failure: bool = False
    needs_release: bool = False
    not_before: datetime | None = None
    rollback: str = ""


class RollbackPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a phase is taken back: steps of a pipeline of its own, which a person starts."""

    steps: tuple[StepDefinition, ...]
    description: str = ""


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A validated pipeline. Its steps stand in an order in which each comes after all it requires.

    rollbacks: by phase. takes_back: the pipeline of which this takes a phase back; only we say so.
    """

    steps: tuple[StepDefinition, ...]
    rollbacks: dict[str, RollbackPlan] = {}
    product: str = ""
    version: str = ""
    build: int | None = None
    revision: str = ""
    template: str = ""
    description: str = ""
    takes_back: str = ""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What the service of a running step says of the present attempt."""

    status: Status
    message: str = ""
    output: dict[str, Any] = {}
    details: dict[str, Any] = {}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """The stored facts of one step. attempt: number of the last try, 0 before the first.

    allowed: tries allowed, raised by a person who asks for another. cause: why it is being cancelled
    ("deadline" or "asked"), or "taken": its uid at the service is another's. served: what its service says;
    None: the service knows no such step.
    """

    uid: str
    state: State = State.BLOCKED
    attempt: int = 0
    allowed: int = 1
    served: Served | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deadline: datetime | None = None
    retry_at: datetime | None = None
    cause: str = ""
    note: str = ""
    by: str = ""
    is_released: bool = False
    output: dict[str, Any] = {}


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A lock, freeze or emergency stop: nothing of the product (and phase) starts while it stands.

    restart: the signoff whose last signature ends it, once somebody asked for one.
    """

    uid: str
    product: str = ""
    phase: str = ""
    reason: str
    author: str
    since: datetime
    restart: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one pipeline when it is decided what happens next.

    stem: what its steps' uids at their services begin with, where that is not its uid: a pipeline of this uid
    was removed before, and its keys are used up.
    """

    uid: str
    stem: str = ""
    definition: Definition
    nodes: dict[str, Node]
    stops: tuple[Stop, ...] = ()
    wants_cancel: bool = False
    hold: str = ""
    hold_by: str = ""

    def key(self, step: str, attempt: int) -> str:
        """The idempotency key of one attempt: the uid under which the step's service is asked for it."""
        return f"{self.stem or self.uid}.{step}.{attempt}"

    def step_of(self, key: str) -> StepDefinition | None:
        """The step of which this is the key of an attempt; None when it is none of this pipeline."""
        name = key.removeprefix(f"{self.stem or self.uid}.").rpartition(".")[0]
        return next((step for step in self.definition.steps if step.uid == name), None)


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit: who did what to which pipeline or step, from what to what, and why."""

    subject: str
    step: str = ""
    actor: str
    what: str
    before: str = ""
    after: str = ""
    reason: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How a step that we serve stands after a look. due_at: when to look again, None: when told.

    details: shown to everybody who may see the step. output: feeds later steps. memory: the kind's own.
    notes: of what the look did, for the audit.
    """

    status: Status = Status.IN_PROGRESS
    message: str = ""
    details: dict[str, Any] = {}
    output: dict[str, Any] = {}
    memory: dict[str, Any] = {}
    due_at: datetime | None = None
    notes: tuple[Note, ...] = ()


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A step that we serve, as stored. fence: of the claim under which it was read, if it was claimed."""

    kind: str
    uid: str
    parameters: dict[str, Any]
    digest: str
    status: Status
    message: str
    details: dict[str, Any]
    output: dict[str, Any]
    memory: dict[str, Any]
    pipeline: str | None
    wants_cancel: bool
    created_by: str
    created_at: datetime
    updated_at: datetime
    fence: int


class NewStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step to be stored, begun."""

    kind: str
    uid: str
    parameters: dict[str, Any]
    progress: Progress
    pipeline: str | None = None
    created_by: str = ""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature, standing or not. groups: those that count, of which delegated: by delegation only."""

    id: int
    person: str
    client: str
    groups: tuple[str, ...]
    delegated: tuple[str, ...]
    comment: str
    digest: str
    signed_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    revoked_why: str | None = None


def digest_of(parameters: object) -> str:
    """Equal for equal JSON, whatever the order of its fields, and however its numbers are spelled."""
    return hashlib.sha256(msgspec.json.encode(_plain(parameters), order="deterministic")).hexdigest()


def _plain(value: object) -> object:
    """JSON knows one kind of number: 1, 1.0 and 1e0 are the same."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
