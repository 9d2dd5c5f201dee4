# SPDX-License-Identifier: MPL-2.0
"""The states of a step within a pipeline, what moves it, and the one table that says where to."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a step of a pipeline is. READY: everything it requires is done, a gate may still hold it."""

    BLOCKED = "blocked"
    READY = "ready"
    IN_PROGRESS = "in_progress"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    SUCCESS = "success"
    FAILURE = "failure"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Event(StrEnum):
    """What moves a step. The last five are a person's."""

    REQUIREMENTS_MET = "requirements_met"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FAILED_RETRYABLY = "failed_retryably"
    DEADLINE_PASSED = "deadline_passed"
    WAS_CANCELLED = "was_cancelled"
    TOOK_TOO_LONG = "took_too_long"
    RUNS_AGAIN = "runs_again"
    UNSTARTABLE = "unstartable"
    REQUIREMENT_REDONE = "requirement_redone"
    CANCEL_ASKED = "cancel_asked"
    SKIP_ASKED = "skip_asked"
    RETRY_ASKED = "retry_asked"
    UNSKIP_ASKED = "unskip_asked"
    RERUN_ASKED = "rerun_asked"


class Status(StrEnum):
    """What a step of the Step API says of itself, and a pipeline too, for it is one."""

    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        """Whether nothing more is expected; a rerun may still bring it back."""
        return self is not Status.IN_PROGRESS


ENDS = frozenset({State.SUCCESS, State.FAILURE, State.TIMED_OUT, State.CANCELLED, State.SKIPPED})
ALIVE = frozenset({State.IN_PROGRESS, State.CANCELLING})
"""States in which a step runs somewhere."""

_S, _E = State, Event
TABLE: dict[tuple[State, Event], State] = {
    (_S.BLOCKED, _E.REQUIREMENTS_MET): _S.READY,
    (_S.BLOCKED, _E.CANCEL_ASKED): _S.CANCELLED,
    (_S.BLOCKED, _E.SKIP_ASKED): _S.SKIPPED,
    (_S.READY, _E.STARTED): _S.IN_PROGRESS,
    (_S.READY, _E.UNSTARTABLE): _S.FAILURE,
    (_S.READY, _E.CANCEL_ASKED): _S.CANCELLED,
    (_S.READY, _E.SKIP_ASKED): _S.SKIPPED,
    (_S.READY, _E.REQUIREMENT_REDONE): _S.BLOCKED,
    (_S.IN_PROGRESS, _E.SUCCEEDED): _S.SUCCESS,
    (_S.IN_PROGRESS, _E.FAILED): _S.FAILURE,
    (_S.IN_PROGRESS, _E.FAILED_RETRYABLY): _S.RETRYING,
    (_S.IN_PROGRESS, _E.WAS_CANCELLED): _S.CANCELLED,
    (_S.IN_PROGRESS, _E.DEADLINE_PASSED): _S.CANCELLING,
    (_S.IN_PROGRESS, _E.CANCEL_ASKED): _S.CANCELLING,
    # Only what waits for a person, a time or others: what runs somewhere is cancelled first.
    (_S.IN_PROGRESS, _E.SKIP_ASKED): _S.SKIPPED,
    (_S.IN_PROGRESS, _E.REQUIREMENT_REDONE): _S.BLOCKED,
    (_S.RETRYING, _E.STARTED): _S.IN_PROGRESS,
    (_S.RETRYING, _E.UNSTARTABLE): _S.FAILURE,
    (_S.RETRYING, _E.RUNS_AGAIN): _S.IN_PROGRESS,
    (_S.RETRYING, _E.CANCEL_ASKED): _S.CANCELLED,
    (_S.RETRYING, _E.SKIP_ASKED): _S.SKIPPED,
    # It was faster than the cancel: what happened, happened.
    (_S.CANCELLING, _E.SUCCEEDED): _S.SUCCESS,
    (_S.CANCELLING, _E.WAS_CANCELLED): _S.CANCELLED,
    (_S.CANCELLING, _E.TOOK_TOO_LONG): _S.TIMED_OUT,
    (_S.CANCELLING, _E.FAILED_RETRYABLY): _S.RETRYING,
    # Its service is gone for good, and somebody says why that does no harm.
    (_S.CANCELLING, _E.SKIP_ASKED): _S.SKIPPED,
    # Only while nothing that requires it has taken effect.
    (_S.SUCCESS, _E.RUNS_AGAIN): _S.IN_PROGRESS,
    (_S.SUCCESS, _E.RERUN_ASKED): _S.READY,
    (_S.SUCCESS, _E.REQUIREMENT_REDONE): _S.BLOCKED,
    (_S.FAILURE, _E.RUNS_AGAIN): _S.IN_PROGRESS,
    (_S.FAILURE, _E.RETRY_ASKED): _S.READY,
    (_S.FAILURE, _E.SKIP_ASKED): _S.SKIPPED,
    (_S.TIMED_OUT, _E.RUNS_AGAIN): _S.IN_PROGRESS,
    (_S.TIMED_OUT, _E.RETRY_ASKED): _S.READY,
    (_S.TIMED_OUT, _E.SKIP_ASKED): _S.SKIPPED,
    (_S.CANCELLED, _E.RETRY_ASKED): _S.READY,
    (_S.CANCELLED, _E.SKIP_ASKED): _S.SKIPPED,
    (_S.SKIPPED, _E.UNSKIP_ASKED): _S.BLOCKED,
}


def after(state: State, event: Event) -> State | None:
    """Where an event moves a step; None when the table forbids it."""
    return TABLE.get((state, event))


def drawing() -> str:
    """The table as a Mermaid state diagram, for the docs."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.BLOCKED.value}"]
    lines += [f"    {here.value} --> {there.value}: {event.value}" for (here, event), there in TABLE.items()]
    return "\n".join(lines)
