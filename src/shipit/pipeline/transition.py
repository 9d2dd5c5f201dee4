# SPDX-License-Identifier: MPL-2.0
"""The one transition function: what is known of a pipeline, and the time, give what happens next."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from shipit.errors import Refused
from shipit.pipeline.feeding import resolved
from shipit.pipeline.states import ENDS, Event, State, Status, after
from shipit.pipeline.types import Facts, Node, Served, StepDefinition, Stop

LONGEST_BACKOFF = 3600.0
# How long after its time is up a step may take to be cancelled. Then it has failed all the same, and nobody
# tries it again but a person: it may still run somewhere.
CANCEL_SECONDS = 60.0
TAKEN = "taken"
REDONE = "redone"
UNCONFIRMED = "its service has not confirmed that it is cancelled, and it may still run"
# Kinds that change nothing outside: what they did for an older result is done again for the new one.
REPEATABLE = frozenset({"signoff", "manual", "timer", "uplifts"})
# Causes of an end that what its service says later does not undo.
FINAL = frozenset({"deadline", TAKEN})
_BEGUN = Served(status=Status.IN_PROGRESS)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a service for a step. key: the uid there, the same however often this attempt is asked for.

    former: key of the attempt before, when it was given up only since what it requires was done again.
    """

    uid: str
    key: str
    kind: str | None
    api_url: str | None
    parameters: dict[str, Any]
    former: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens next. changed: nodes that differ, as they shall be. cancels: keys. wake_at: look again."""

    changed: tuple[Node, ...]
    starts: tuple[Start, ...]
    cancels: tuple[str, ...]
    status: Status
    wake_at: datetime | None


def decide(facts: Facts, now: datetime) -> Plan:
    """Everything that may happen now, each step once, requirements first. Deciding again changes nothing."""
    run = _Run(facts, now)
    for step in facts.definition.steps:
        run.settle(step)
    changed = [node for uid, node in run.nodes.items() if node != facts.nodes[uid]]
    waits = [when for when in run.waits if when > now]
    return Plan(
        changed=tuple(changed),
        starts=tuple(run.starts),
        cancels=tuple(run.cancels),
        status=fold(replace(facts, nodes=run.nodes)),
        wake_at=min(waits, default=None),
    )


def fold(facts: Facts) -> Status:
    """The status of the whole: a failure only when nothing can go on without a person."""
    steps = facts.definition.steps
    if _movable(facts):
        return Status.IN_PROGRESS
    if all(is_satisfied(step, facts.nodes[step.uid]) for step in steps):
        return Status.SUCCESS
    if facts.wants_cancel or all(_is_fine_or_cancelled(facts, step) for step in steps):
        return Status.CANCELLED
    return Status.FAILURE


def is_satisfied(step: StepDefinition, node: Node) -> bool:
    """Whether steps that require this one may go on."""
    if node.state in (State.SUCCESS, State.SKIPPED):
        return True
    return step.continue_on_failure and node.state in (State.FAILURE, State.TIMED_OUT)


def gate(facts: Facts, step: StepDefinition, node: Node, now: datetime) -> Stop | str | datetime | None:
    """What holds a step whose requirements are done: a stop, a hold ("pipeline", "step"), a time, or None."""
    for stop in facts.stops:
        if applies(stop, facts, step):
            return stop
    if facts.hold:
        return "pipeline"
    if step.needs_release and not node.is_released:
        return "step"
    if step.not_before is not None and step.not_before > now:
        return step.not_before
    return None


def applies(stop: Stop, facts: Facts, step: StepDefinition) -> bool:
    """Whether a stop holds this step: of its product, or of all; of its phase, or of all.

    What takes a phase back is what people do once it is stopped, and waits for no signature.
    """
    if facts.definition.takes_back:
        return False
    return stop.product in ("", facts.definition.product) and stop.phase in ("", step.phase)


def backoff(facts: Facts, step: StepDefinition, attempt: int) -> timedelta:
    """The pause after this attempt: doubled each time, spread by a tenth so that not all come at once."""
    seconds = min(LONGEST_BACKOFF, step.backoff_seconds * 2.0 ** min(attempt - 1, 20))
    spread = hashlib.sha256(facts.key(step.uid, attempt).encode()).digest()[0] / 255
    return timedelta(seconds=seconds * (1 + spread / 10))


def asked(facts: Facts, uid: str, event: Event, *, by: str, reason: str) -> Node:
    """The node after a person asked for something. Raises Refused, naming the rule."""
    node = facts.nodes[uid]
    if facts.wants_cancel and event in (Event.RETRY_ASKED, Event.UNSKIP_ASKED, Event.RERUN_ASKED):
        raise Refused(f"the pipeline {facts.uid} is cancelled; a cancelled pipeline is not taken up again")
    state = after(node.state, event)
    if state is None:
        raise Refused(f"step {uid!r} is {node.state.value}: {event.value.replace('_', ' ')} is not possible")
    if event is Event.SKIP_ASKED and node.state is State.IN_PROGRESS and _kind(facts, uid) not in REPEATABLE:
        raise Refused(f"step {uid!r} runs: cancel it first, then skip it")
    if event is Event.UNSKIP_ASKED and (begun := _begun_after(facts, uid)):
        raise Refused(f"steps that require {uid!r} have begun: {', '.join(begun)}")
    if event is Event.RERUN_ASKED and (after_it := effects_after(facts, uid)):
        raise Refused(f"steps after {uid!r} have taken effect: {', '.join(after_it)}")
    note = {"note": reason, "by": by, "finished_at": None}
    if event in (Event.RETRY_ASKED, Event.RERUN_ASKED):
        return replace(node, state=state, allowed=node.attempt + 1, cause="", **note)
    if event is Event.CANCEL_ASKED and state is State.CANCELLING:
        return replace(node, state=state, cause="asked", note=reason, by=by)
    return replace(node, state=state, **note)


def effects_after(facts: Facts, uid: str) -> list[str]:
    """The steps behind this one that have begun to change something outside."""
    behind = {uid}
    found = []
    for step in facts.definition.steps:
        if behind.isdisjoint(step.requires):
            continue
        behind.add(step.uid)
        if facts.nodes[step.uid].attempt and step.kind not in REPEATABLE:
            found.append(step.uid)
    return found


class _Run:
    """One deciding: nodes as they become, and what is to be done."""

    def __init__(self, facts: Facts, now: datetime) -> None:
        self.facts, self.now = facts, now
        self.nodes = dict(facts.nodes)
        self.steps = {step.uid: step for step in facts.definition.steps}
        self.starts: list[Start] = []
        self.cancels: list[str] = []
        self.waits: list[datetime] = []

    def settle(self, step: StepDefinition) -> None:
        """Move one step until nothing moves it. Each event changes the state, and every cycle waits."""
        for _ in range(len(State)):
            node = self.nodes[step.uid]
            event = self._event(step, node)
            if event is None:
                return
            state = after(node.state, event)
            assert state is not None, f"the table lacks {node.state} on {event}"
            self.nodes[step.uid] = self._moved(step, node, event, state)

    def _event(self, step: StepDefinition, node: Node) -> Event | None:
        if self._is_redone(step, node):
            return Event.REQUIREMENT_REDONE
        match node.state:
            case State.BLOCKED:
                if self.facts.wants_cancel:
                    return Event.CANCEL_ASKED
                met = all(is_satisfied(self.steps[uid], self.nodes[uid]) for uid in step.requires)
                return Event.REQUIREMENTS_MET if met else None
            case State.READY:
                return self._start(step, node)
            case State.RETRYING:
                return self._retry(step, node)
            case State.IN_PROGRESS:
                return self._progress(step, node)
            case State.CANCELLING:
                return self._cancelling(step, node)
            case State.SUCCESS:
                is_rerun = node.served is not None and node.served.status is Status.IN_PROGRESS
                return Event.RUNS_AGAIN if is_rerun and not effects_after(self._facts(), step.uid) else None
            case State.FAILURE | State.TIMED_OUT:
                # Somebody reran it at its service. A time-out that the cancel did not end is no rerun.
                return Event.RUNS_AGAIN if node.cause not in FINAL and _runs_or_ran(node) else None
            case _:
                return None

    def _is_redone(self, step: StepDefinition, node: Node) -> bool:
        """Whether something it requires, and had, is being done again."""
        if after(node.state, Event.REQUIREMENT_REDONE) is None or self.facts.wants_cancel:
            return False
        if node.state is not State.READY and step.kind not in REPEATABLE:
            return False
        required = [self.steps[uid] for uid in step.requires]
        return any(
            not is_satisfied(each, self.nodes[each.uid]) and not each.continue_on_failure for each in required
        )

    def _start(self, step: StepDefinition, node: Node) -> Event | None:
        if self.facts.wants_cancel:
            return Event.CANCEL_ASKED
        held = gate(self.facts, step, node, self.now)
        if isinstance(held, datetime):
            self.waits.append(held)
        if held is not None:
            return None
        try:
            resolved(self._facts(), step)
        except KeyError:
            return Event.UNSTARTABLE
        return Event.STARTED

    def _retry(self, step: StepDefinition, node: Node) -> Event | None:
        if self.facts.wants_cancel:
            return Event.CANCEL_ASKED
        if node.cause not in FINAL and _runs_or_ran(node):
            return Event.RUNS_AGAIN
        if node.retry_at is not None and node.retry_at > self.now:
            self.waits.append(node.retry_at)
            return None
        return self._start(step, node)

    def _progress(self, step: StepDefinition, node: Node) -> Event | None:
        status = node.served.status if node.served is not None else Status.FAILURE
        match status:
            case Status.SUCCESS:
                return Event.SUCCEEDED
            case Status.CANCELLED:
                return Event.WAS_CANCELLED
            case Status.FAILURE:
                may = node.attempt < node.allowed and not self.facts.wants_cancel
                return Event.FAILED_RETRYABLY if may else Event.FAILED
        if self.facts.wants_cancel:
            return Event.CANCEL_ASKED
        if node.deadline is not None and node.deadline <= self.now:
            return Event.DEADLINE_PASSED
        if node.deadline is not None:
            self.waits.append(node.deadline)
        return None

    def _cancelling(self, step: StepDefinition, node: Node) -> Event | None:
        if _runs(node):
            return self._unconfirmed(node)
        if node.served is not None and node.served.status is Status.SUCCESS:
            return Event.SUCCEEDED
        if node.cause != "deadline" or self.facts.wants_cancel:
            return Event.WAS_CANCELLED
        return Event.FAILED_RETRYABLY if node.attempt < node.allowed else Event.TOOK_TOO_LONG

    def _unconfirmed(self, node: Node) -> Event | None:
        """A service that cannot be reached must not keep what took too long from being told so."""
        if node.cause != "deadline" or node.deadline is None or self.facts.wants_cancel:
            return None
        until = node.deadline + timedelta(seconds=CANCEL_SECONDS)
        if until <= self.now:
            return Event.TOOK_TOO_LONG
        self.waits.append(until)
        return None

    def _moved(self, step: StepDefinition, node: Node, event: Event, state: State) -> Node:
        node = replace(node, state=state)
        if event is Event.STARTED:
            return self._started(step, node)
        if state is State.CANCELLING:
            self.cancels.append(self.facts.key(step.uid, node.attempt))
            cause = "deadline" if event is Event.DEADLINE_PASSED else "asked"
            return replace(node, cause=cause, by="", note="")
        if state is State.RETRYING:
            when = self.now + backoff(self.facts, step, node.attempt)
            return replace(node, retry_at=when, finished_at=self.now, note=self._said(node))
        if event is Event.RUNS_AGAIN:
            return replace(node, finished_at=None, retry_at=None, deadline=self._deadline(step), note="")
        if event is Event.UNSTARTABLE:
            return replace(node, finished_at=self.now, note=self._lacking(step))
        if event is Event.REQUIREMENT_REDONE:
            return self._given_up(step, node)
        if event is Event.CANCEL_ASKED:
            return replace(node, finished_at=self.now, retry_at=None, by="", note="")
        if state in ENDS:
            output = node.served.output if node.served is not None and state is State.SUCCESS else {}
            note = self._last_words(node, event)
            return replace(node, finished_at=self.now, note=note, output=output, retry_at=None)
        return node

    def _last_words(self, node: Node, event: Event) -> str:
        if event is Event.TOOK_TOO_LONG:
            return UNCONFIRMED if _runs(node) else ""
        if event is Event.SUCCEEDED:
            return self._said(node)
        # Why somebody cancelled it says more than that it is cancelled.
        is_asked = event is Event.WAS_CANCELLED and node.by
        return node.note if is_asked else self._said(node) or node.note

    def _given_up(self, step: StepDefinition, node: Node) -> Node:
        """It begins anew when what it requires is done again; what still runs of it is cancelled."""
        if _runs(node) and node.attempt:
            self.cancels.append(self.facts.key(step.uid, node.attempt))
        return replace(
            node,
            allowed=max(node.allowed, node.attempt + 1),
            finished_at=None,
            deadline=None,
            retry_at=None,
            cause=REDONE if node.attempt else node.cause,
            note="what it requires is done again",
            output={},
        )

    def _started(self, step: StepDefinition, node: Node) -> Node:
        attempt = node.attempt + 1
        name = self.facts.key(step.uid, attempt)
        parameters = resolved(self._facts(), step)
        former = self.facts.key(step.uid, node.attempt) if node.cause == REDONE else None
        start = Start(
            uid=step.uid,
            key=name,
            kind=step.kind,
            api_url=step.api_url,
            parameters=parameters,
            former=former,
        )
        self.starts.append(start)
        deadline = self._deadline(step)
        if deadline is not None:
            self.waits.append(deadline)
        return replace(
            node,
            attempt=attempt,
            allowed=max(node.allowed, step.attempts, attempt),
            served=_BEGUN,
            started_at=self.now,
            finished_at=None,
            deadline=deadline,
            retry_at=None,
            cause="",
            note="",
            by="",
            output={},
        )

    def _deadline(self, step: StepDefinition) -> datetime | None:
        return None if step.timeout_seconds is None else self.now + timedelta(seconds=step.timeout_seconds)

    def _said(self, node: Node) -> str:
        if node.served is None:
            return "its service knows no such step any more"
        return node.served.message

    def _lacking(self, step: StepDefinition) -> str:
        try:
            resolved(self._facts(), step)
        except KeyError as error:
            return f"it needs {error.args[0]}, which is not there"
        return ""

    def _facts(self) -> Facts:
        return replace(self.facts, nodes=self.nodes)


def _movable(facts: Facts) -> set[str]:
    """Steps to which something may still happen without a person mending a failure."""
    steps = {step.uid: step for step in facts.definition.steps}
    found: set[str] = set()
    # Steps are sorted, so what a step requires was judged before it.
    for step in facts.definition.steps:
        state = facts.nodes[step.uid].state
        if state is State.BLOCKED:
            may = all(uid in found or is_satisfied(steps[uid], facts.nodes[uid]) for uid in step.requires)
        else:
            may = state not in ENDS
        if may:
            found.add(step.uid)
    return found


def _is_fine_or_cancelled(facts: Facts, step: StepDefinition) -> bool:
    node = facts.nodes[step.uid]
    return is_satisfied(step, node) or node.state in (State.CANCELLED, State.BLOCKED)


def _kind(facts: Facts, uid: str) -> str | None:
    return next(step.kind for step in facts.definition.steps if step.uid == uid)


def _runs(node: Node) -> bool:
    return node.served is not None and not node.served.status.is_end


def _runs_or_ran(node: Node) -> bool:
    return node.served is not None and node.served.status in (Status.IN_PROGRESS, Status.SUCCESS)


def _begun_after(facts: Facts, uid: str) -> list[str]:
    return [
        step.uid
        for step in facts.definition.steps
        if uid in step.requires and facts.nodes[step.uid].state not in (State.BLOCKED, State.READY)
    ]
