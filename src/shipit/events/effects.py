# SPDX-License-Identifier: MPL-2.0
"""What the answer to a trigger means, and when to ask again: decisions, no calls.

Settled as Taskcluster v106 answers: after any refusal of a trigger that carried a task id only the queue
knows whether the task exists; a repetition is refused even when it made the task.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=5)
REFUSALS = 6
"""Refused for lack of rights this often, an effect goes to quarantine: somebody must grant a scope."""


class ErrorClass(StrEnum):
    """Why something did not work."""

    TRANSIENT = "transient"
    """The other side is unwell: asked again until the deadline."""
    FORBIDDEN = "forbidden"
    """We may not: asked again a few times, as rights are often granted within minutes."""
    PERMANENT = "permanent"
    """Asking the same again will always fail."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back from a sink. status: of HTTP, 0 when nothing came. task_id: of the task it made.
    is_declined: it answered that it makes none. retry_at: when it wants to be asked again."""

    status: int
    detail: str = ""
    task_id: str | None = None
    is_declined: bool = False
    retry_at: datetime | None = None

    @property
    def is_good(self) -> bool:
        """Whether the sink did what it was asked."""
        return 200 <= self.status < 300

    @property
    def forbids_task_id(self) -> bool:
        """Whether a hook's schema may have refused the `taskId` in the payload."""
        return self.status == 400 and "must NOT have additional properties" in self.detail


class Fired(msgspec.Struct, frozen=True):
    """The task exists."""

    task_id: str


class Declined(msgspec.Struct, frozen=True):
    """There is no task and shall be none."""


class WithoutTaskId(msgspec.Struct, frozen=True):
    """The hook does not take a task id: trigger it without, looking at its last fires first."""


class Again(msgspec.Struct, frozen=True):
    """Not now; ask again at `when`."""

    when: datetime
    error: ErrorClass
    detail: str


class Quarantine(msgspec.Struct, frozen=True):
    """Not without a person."""

    error: ErrorClass
    detail: str


Next = Fired | Declined | WithoutTaskId | Again | Quarantine


def classify(answer: Answer) -> ErrorClass:
    """The class of a bad answer."""
    if answer.status in (401, 403):
        return ErrorClass.FORBIDDEN
    if answer.status in (0, 408, 423, 425, 429) or answer.status >= 500:
        return ErrorClass.TRANSIENT
    return ErrorClass.PERMANENT


def settle(
    answer: Answer,
    *,
    exists: bool | None,
    task_id: str,
    carried_id: bool,
    attempts: int,
    first_try: datetime,
    now: datetime,
    deadline: timedelta,
    roll: float,
) -> Next:
    """What to do after a try.

    exists: whether the queue knows the task; None: it could not be asked. attempts: tries so far, this one
    included.
    roll: 0 to 1, by chance, so that listeners do not all come back at once.
    """
    if answer.is_good:
        return Declined() if answer.is_declined else Fired(answer.task_id or task_id)
    if exists:
        return Fired(task_id)
    error = classify(answer)
    if carried_id and exists is not None and answer.forbids_task_id:
        return WithoutTaskId()
    if carried_id and answer.status == 400 and (exists is None or "hooks_last_fires_pkey" in answer.detail):
        # a former try was refused after its id was noted: what it lacked may have come meanwhile
        error = ErrorClass.TRANSIENT if exists is None else ErrorClass.FORBIDDEN
    if error is ErrorClass.PERMANENT:
        return Quarantine(error, answer.detail)
    if error is ErrorClass.FORBIDDEN and attempts >= REFUSALS:
        return Quarantine(error, answer.detail)
    if now - first_try >= deadline:
        return Quarantine(error, f"given up after {_spoken(now - first_try)}: {answer.detail}")
    return Again(max(filter(None, (answer.retry_at, now + backoff(attempts, roll)))), error, answer.detail)


def backoff(attempts: int, roll: float) -> timedelta:
    """How long to wait after that many tries: doubling, bounded, spread over its upper half by chance."""
    doublings = min(max(attempts - 1, 0), 20)
    whole = min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)
    return whole * (0.5 + max(0.0, min(roll, 1.0)) / 2)


LOST_BY_MACHINES = frozenset(
    {"claim-expired", "worker-shutdown", "internal-error", "resource-unavailable", "intermittent-task"}
)
"""Reasons of an exception for which the same task created again may well succeed."""


def is_worth_again(state: str, reason: str | None, *, recreations: int, limit: int) -> bool:
    """Whether a resolved task is created again: only lost ones, a bounded number of times."""
    return state == "exception" and reason in LOST_BY_MACHINES and recreations < limit


def _spoken(span: timedelta) -> str:
    hours, rest = divmod(int(span.total_seconds()), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min"
