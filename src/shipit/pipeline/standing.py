# SPDX-License-Identifier: MPL-2.0
"""How each step stands: a machine's reason and a sentence, who can move it, by when; derived."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from shipit.pipeline.schema import moment
from shipit.pipeline.states import State, Status
from shipit.pipeline.transition import CANCEL_SECONDS, fold, gate, is_satisfied
from shipit.pipeline.types import Facts, Node, StepDefinition, Stop


class Reason(StrEnum):
    """Why a step is where it is."""

    WAITS_FOR_STEPS = "waits_for_steps"
    REQUIREMENT_FAILED = "requirement_failed"
    STOPPED = "stopped"
    PIPELINE_HELD = "pipeline_held"
    NEEDS_RELEASE = "needs_release"
    SCHEDULED = "scheduled"
    ABOUT_TO_START = "about_to_start"
    RUNS = "runs"
    WAITS_TO_RETRY = "waits_to_retry"
    BEING_CANCELLED = "being_cancelled"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Why it does not move. who: can move it, empty: nobody needs to. by: when it will or must move."""

    reason: Reason
    sentence: str
    who: str = ""
    by: datetime | None = None


Naming = Callable[[StepDefinition], str]


def by_uid(step: StepDefinition) -> str:
    """As commands and the API name it."""
    return step.uid


def by_title(step: StepDefinition) -> str:
    """As pages name it."""
    return step.description or step.uid.replace("_", " ")


def standing(facts: Facts, step: StepDefinition, now: datetime, *, name: Naming = by_uid) -> Standing:
    """How one step stands. name: how other steps are called in the sentence."""
    node = facts.nodes[step.uid]
    match node.state:
        case State.BLOCKED:
            return _blocked(facts, step, name)
        case State.READY:
            return _ready(facts, step, node, now)
        case State.IN_PROGRESS:
            return _runs(facts, step, node)
        case State.RETRYING:
            held = gate(facts, step, node, now)
            if held is not None:
                return _ready(facts, step, node, now)
            return Standing(
                reason=Reason.WAITS_TO_RETRY,
                sentence=f"try {node.attempt} of {node.allowed} failed{_because(node.note)}; "
                f"the next begins at {_time(node.retry_at)}",
                by=node.retry_at,
            )
        case State.CANCELLING:
            return _cancelling(facts, step, node)
        case State.SUCCESS:
            return Standing(reason=Reason.DONE, sentence=f"done{_because(node.note)}")
        case State.FAILURE:
            told = f"failed after {_tries(node)}" if node.attempt else "could not start"
            return _failed(facts, step, Reason.FAILED, told + _because(node.note))
        case State.TIMED_OUT:
            limit = f"{step.timeout_seconds:g} s" if step.timeout_seconds else "its time"
            told = f"took longer than {limit}, {_tries(node)}{_because(node.note)}"
            return _failed(facts, step, Reason.TIMED_OUT, told)
        case State.CANCELLED:
            return _cancelled(facts, step, node)
        case State.SKIPPED:
            return Standing(reason=Reason.SKIPPED, sentence=f"skipped by {node.by}{_because(node.note)}")


def standings(facts: Facts, now: datetime, *, name: Naming = by_uid) -> dict[str, Standing]:
    """How every step stands. One that waits for others is moved by whoever can move those."""
    steps = {step.uid: step for step in facts.definition.steps}
    found: dict[str, Standing] = {}
    movers: dict[str, tuple[str, ...]] = {}
    # Steps are sorted, so what a step requires was looked at before it.
    for step in facts.definition.steps:
        own = standing(facts, step, now, name=name)
        movers[step.uid] = (f"{own.who} ({name(step)})",) if own.who else ()
        if own.reason in (Reason.WAITS_FOR_STEPS, Reason.REQUIREMENT_FAILED):
            waits = [uid for uid in step.requires if not is_satisfied(steps[uid], facts.nodes[uid])]
            movers[step.uid] = tuple(dict.fromkeys(who for uid in waits for who in movers[uid]))
            own = replace(own, who=own.who or _few(movers[step.uid]))
        found[step.uid] = own
    return found


def summary(facts: Facts, now: datetime, *, name: Naming = by_uid) -> str:
    """One sentence about the whole pipeline."""
    status = fold(facts)
    steps = facts.definition.steps
    done = sum(is_satisfied(step, facts.nodes[step.uid]) for step in steps)
    counted = f"{done} of {len(steps)} steps done"
    if status is Status.SUCCESS:
        return "its one step is done" if len(steps) == 1 else f"all {len(steps)} steps are done"
    if status is Status.CANCELLED and facts.wants_cancel:
        return f"cancelled, {counted}"
    told = what_it_waits_for(facts, now, name=name)
    return f"{counted}; {told}" if told else counted


def what_it_waits_for(facts: Facts, now: datetime, *, name: Naming = by_uid) -> str:
    """What does not move, the first three: what failed, then what a person can move, then what runs."""
    status, steps = fold(facts), facts.definition.steps
    if status is Status.CANCELLED:
        gone = [name(step) for step in steps if facts.nodes[step.uid].state is State.CANCELLED]
        was = "was" if len(gone) == 1 else "were"
        return "" if facts.wants_cancel else f"{_list(gone)} {was} cancelled; retry or skip {_it(gone)}"
    quiet = (State.BLOCKED, State.SUCCESS, State.SKIPPED, State.CANCELLED)
    shown = [
        (step, standing(facts, step, now, name=name))
        for step in steps
        if facts.nodes[step.uid].state not in quiet
    ]
    failed = (Reason.FAILED, Reason.TIMED_OUT)
    shown.sort(key=lambda each: 0 if each[1].reason in failed else 1 if each[1].who else 2)
    more = f" (and {len(shown) - 3} more)" if len(shown) > 3 else ""
    return "; ".join(f"{name(step)}: {told.sentence}" for step, told in shown[:3]) + more


def what_starts(facts: Facts, uid: str) -> tuple[str, ...]:
    """The steps that start when this one is done: all else they require is done already."""
    steps = {step.uid: step for step in facts.definition.steps}
    return tuple(
        step.uid
        for step in facts.definition.steps
        if uid in step.requires
        and facts.nodes[step.uid].state is State.BLOCKED
        and all(other == uid or is_satisfied(steps[other], facts.nodes[other]) for other in step.requires)
    )


def when_it_starts(facts: Facts, uid: str, now: datetime) -> str:
    """What a step that is let go waits for all the same: a person, a time, a stop; empty: nothing."""
    step = next(each for each in facts.definition.steps if each.uid == uid)
    match held := gate(facts, step, facts.nodes[uid], now):
        case Stop():
            return f"once it is no longer stopped by {held.author}"
        case "pipeline":
            return f"once {facts.hold_by} holds the pipeline no more"
        case "step":
            return "once a person releases it"
        case datetime():
            return f"at {_time(held)}"
    return ""


def _blocked(facts: Facts, step: StepDefinition, name: Naming) -> Standing:
    steps = {each.uid: each for each in facts.definition.steps}
    waits = [steps[uid] for uid in step.requires if not is_satisfied(steps[uid], facts.nodes[uid])]
    ended = (State.FAILURE, State.TIMED_OUT, State.CANCELLED)
    failed = [each for each in waits if facts.nodes[each.uid].state in ended]
    if failed:
        names = [name(each) for each in failed]
        return Standing(
            reason=Reason.REQUIREMENT_FAILED,
            sentence=f"cannot start: {_list(names)} did not succeed; retry or skip {_it(names)}",
            who=_owner(facts, failed[0]),
        )
    return Standing(reason=Reason.WAITS_FOR_STEPS, sentence=f"waits for {_list([*map(name, waits)])}")


def _ready(facts: Facts, step: StepDefinition, node: Node, now: datetime) -> Standing:
    held = gate(facts, step, node, now)
    match held:
        case Stop():
            return _stopped(facts, step, held)
        case "pipeline":
            return Standing(
                reason=Reason.PIPELINE_HELD,
                sentence=f"the pipeline is held by {facts.hold_by}: {facts.hold}",
                who=facts.hold_by,
            )
        case "step":
            return Standing(
                reason=Reason.NEEDS_RELEASE,
                sentence="everything it requires is done; a person must release it",
                who=_owner(facts, step),
            )
        case datetime():
            return Standing(reason=Reason.SCHEDULED, sentence=f"starts at {_time(held)}", by=held)
    return Standing(reason=Reason.ABOUT_TO_START, sentence="about to start")


def _stopped(facts: Facts, step: StepDefinition, stop: Stop) -> Standing:
    """Whoever may act on it asks that it goes on; then those move it who sign that."""
    told = f"stopped by {stop.author} since {_time(stop.since)}: {stop.reason}"
    if stop.restart is None:
        return Standing(reason=Reason.STOPPED, sentence=told, who=f"{stop.author}, or {_owner(facts, step)}")
    sentence = f"{told}; that it goes on is to be signed: {stop.restart}"
    return Standing(reason=Reason.STOPPED, sentence=sentence, who=f"whoever signs {stop.restart}")


def _runs(facts: Facts, step: StepDefinition, node: Node) -> Standing:
    said = node.served.message if node.served is not None else ""
    details = node.served.details if node.served is not None else {}
    # Who ticks off a step of no group is whoever may act on its phase.
    is_anybodys = step.kind == "manual" and not step.parameters.get("group")
    who = _owner(facts, step) if is_anybodys else str(details.get("who", ""))
    # A kind says when it goes on by itself; before that or then it must have ended.
    ends = [each for each in (node.deadline, moment(str(details.get("by", "")))) if each is not None]
    tries = f", try {node.attempt} of {max(node.allowed, step.attempts)}" if node.attempt > 1 else ""
    return Standing(
        reason=Reason.RUNS,
        sentence=f"{said or 'runs'}{tries}",
        who=who,
        by=min(ends, default=None),
    )


def _cancelling(facts: Facts, step: StepDefinition, node: Node) -> Standing:
    why = "it took too long" if node.cause == "deadline" else f"asked by {node.by or 'the pipeline'}"
    why += f" ({node.note})" if node.by and node.note else ""
    heard = node.served.message if node.served is not None else ""
    told = f"; last heard of it: {heard}" if heard else ""
    is_late = node.cause == "deadline" and node.deadline is not None
    return Standing(
        reason=Reason.BEING_CANCELLED,
        sentence=f"being cancelled: {why}{told}",
        who=_owner(facts, step),
        by=node.deadline + timedelta(seconds=CANCEL_SECONDS) if is_late and node.deadline else None,
    )


def _cancelled(facts: Facts, step: StepDefinition, node: Node) -> Standing:
    by = f" by {node.by}" if node.by else " with the pipeline" if facts.wants_cancel else ""
    return Standing(
        reason=Reason.CANCELLED,
        sentence=f"cancelled{by}{_because(node.note if node.note != 'cancelled' else '')}",
        who="" if facts.wants_cancel else _owner(facts, step),
    )


def _failed(facts: Facts, step: StepDefinition, reason: Reason, sentence: str) -> Standing:
    if step.continue_on_failure:
        return Standing(reason=reason, sentence=f"{sentence}; the pipeline goes on without it")
    return Standing(reason=reason, sentence=sentence, who=_owner(facts, step))


def _owner(facts: Facts, step: StepDefinition) -> str:
    product, phase = facts.definition.product or "none", step.phase or "none"
    return f"holders of project:shipit:pipeline/{product}/{phase}"


def _tries(node: Node) -> str:
    return "1 try" if node.attempt == 1 else f"{node.attempt} tries"


def _because(note: str) -> str:
    return f": {note}" if note else ""


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nothing"


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return "; ".join(names[:3]) + more


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _time(when: datetime | None) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S UTC") if when is not None else "an unknown time"
