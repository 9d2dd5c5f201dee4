# SPDX-License-Identifier: MPL-2.0
"""Short words for steps and pipelines, as lists and graphs show them; the sentences are in `standing`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from shipit.pipeline.standing import Reason, standing
from shipit.pipeline.states import ENDS, State, Status
from shipit.pipeline.transition import fold
from shipit.pipeline.types import Facts, Node, StepDefinition


class Tone(StrEnum):
    """Which colour stands beside the word; never without it."""

    OK = "ok"
    RUN = "run"
    WARN = "warn"
    BAD = "bad"
    MUTE = "mute"


class Word(msgspec.Struct, frozen=True):
    """A word with its tone. Warn: a person is waited for."""

    word: str
    tone: Tone


_GATES = {
    Reason.STOPPED: Word("Stopped", Tone.WARN),
    Reason.PIPELINE_HELD: Word("Held", Tone.WARN),
    Reason.NEEDS_RELEASE: Word("Needs a release", Tone.WARN),
    Reason.SCHEDULED: Word("Scheduled", Tone.MUTE),
    Reason.ABOUT_TO_START: Word("About to start", Tone.RUN),
}


def word(facts: Facts, step: StepDefinition, now: datetime) -> Word:
    """A step in a word or three."""
    node = facts.nodes[step.uid]
    match node.state:
        case State.SUCCESS:
            done = "Signed" if step.kind == "signoff" else "Done"
            return Word(done + (f", {_nth(node.attempt)} try" if node.attempt > 1 else ""), Tone.OK)
        case State.FAILURE:
            tries = max(node.allowed, step.attempts, node.attempt)
            counted = f", {node.attempt} of {tries}" if tries > 1 else ""
            return Word(f"Failed{counted}", Tone.MUTE if step.continue_on_failure else Tone.BAD)
        case State.TIMED_OUT:
            return Word("Timed out", Tone.MUTE if step.continue_on_failure else Tone.BAD)
        case State.IN_PROGRESS:
            return _running(step, node)
        case State.RETRYING:
            held = _GATES.get(standing(facts, step, now).reason)
            return held or Word(f"Tries again, {node.attempt} of {node.allowed} failed", Tone.RUN)
        case State.READY:
            return _GATES.get(standing(facts, step, now).reason, _GATES[Reason.ABOUT_TO_START])
        case State.CANCELLING:
            return Word("Being cancelled", Tone.RUN)
        case State.CANCELLED:
            return Word("Cancelled", Tone.MUTE)
        case State.SKIPPED:
            return Word("Skipped", Tone.MUTE)
        case State.BLOCKED:
            return Word("Blocked", Tone.MUTE)


def headline(facts: Facts, now: datetime) -> Word:
    """A whole pipeline in a few words: what needs a person first."""
    status = fold(facts)
    if status is Status.SUCCESS:
        return Word("all done", Tone.OK)
    if status is Status.CANCELLED:
        return Word("cancelled", Tone.MUTE)
    words = [word(facts, step, now) for step in facts.definition.steps]
    if failed := sum(each.tone is Tone.BAD for each in words):
        return Word(f"blocked by {_count(failed, 'failed step')}", Tone.BAD)
    if facts.hold:
        return Word("held", Tone.WARN)
    if any(each == _GATES[Reason.STOPPED] for each in words):
        return Word("stopped", Tone.WARN)
    if waiting := sum(each.tone is Tone.WARN for each in words):
        return Word(
            "waits for a person" if waiting == 1 else f"waits for people at {waiting} steps", Tone.WARN
        )
    return Word("being cancelled" if facts.wants_cancel else "running", Tone.RUN)


def tally(facts: Facts, now: datetime) -> str:
    """How many steps are how: "5 done, 1 running, 1 failed"."""
    names = {
        State.SUCCESS: "done",
        State.IN_PROGRESS: "running",
        State.RETRYING: "trying again",
        State.CANCELLING: "being cancelled",
        State.FAILURE: "failed",
        State.TIMED_OUT: "timed out",
        State.READY: "held",
        State.BLOCKED: "blocked",
        State.SKIPPED: "skipped",
        State.CANCELLED: "cancelled",
    }
    counts: Counter[str] = Counter()
    for step in facts.definition.steps:
        node = facts.nodes[step.uid]
        is_open = node.state is State.IN_PROGRESS and word(facts, step, now).tone is Tone.WARN
        counts["waiting for a person" if is_open else names[node.state]] += 1
    order = ["done", "running", "trying again", "waiting for a person", *names.values()]
    return ", ".join(f"{counts[name]} {name}" for name in dict.fromkeys(order) if counts[name])


def is_stuck(facts: Facts, step: StepDefinition) -> bool:
    """Whether it does not move by itself: blocked, held, waiting for a person, or failed."""
    state = facts.nodes[step.uid].state
    return state not in ENDS or state in (State.FAILURE, State.TIMED_OUT)


def _running(step: StepDefinition, node: Node) -> Word:
    details: dict[str, Any] = node.served.details if node.served is not None else {}
    if step.kind == "signoff":
        lacking = min((len(slots) for slots in details.get("missing", ())), default=0)
        if not lacking:
            return Word("Signed, about to take effect", Tone.RUN)
        return Word(f"Needs {_count(lacking, 'signature')}", Tone.WARN)
    if step.kind == "manual":
        return Word("Needs a person", Tone.WARN)
    if step.kind == "rollout":
        percent = details.get("percent")
        rate = f"{percent} %" if percent is not None else "Begins"
        return Word(f"Halted at {rate}", Tone.WARN) if details.get("halted") else Word(rate, Tone.RUN)
    if step.kind in ("uplifts", "timer", "balrog"):
        return Word("Waits", Tone.RUN)
    tasks, ended = details.get("tasks"), details.get("ended")
    if isinstance(tasks, int) and isinstance(ended, int) and tasks:
        return Word(f"Running, {100 * ended // tasks} %", Tone.RUN)
    return Word("Running", Tone.RUN)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _nth(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{endings.get(number % 10, 'th') if number not in (11, 12, 13) else 'th'}"
