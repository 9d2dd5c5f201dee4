# SPDX-License-Identifier: MPL-2.0
"""What a service said to a write, and what follows from it: done, again later, or a person is needed."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)
# An answer that never came may still take effect while the service works on it.
QUIET = timedelta(seconds=60)
DEADLINE = timedelta(hours=24)


class Written(msgspec.Struct, frozen=True):
    """It took effect. answer: in the service's words, for the audit."""

    answer: str


class Denied(msgspec.Struct, frozen=True):
    """Refused for good. is_key: the key itself is not taken, which another key may cure."""

    answer: str
    is_key: bool = False


class Unsure(msgspec.Struct, frozen=True):
    """It may or may not have taken effect: the connection broke, or the service failed on the way."""

    reason: str


class NotNow(msgspec.Struct, frozen=True):
    """It surely took no effect, and may another time."""

    reason: str
    retry_at: datetime | None = None


Outcome = Written | Denied | Unsure | NotNow


def pause(tried_for: timedelta, *, roll: float) -> timedelta:
    """How long to wait when it was tried for so long: about as long again.

    roll: 0 to 1, which spreads those that failed together.
    """
    return max(FIRST_PAUSE, min(LONGEST_PAUSE, tried_for)) * (0.5 + roll / 2)


def next_try(
    outcome: Unsure | NotNow,
    *,
    first_try: datetime,
    now: datetime,
    roll: float,
    quiet: timedelta = QUIET,
) -> datetime | None:
    """When to try again, None when it was tried for so long that a person should know."""
    if now - first_try > DEADLINE:
        return None
    due = now + pause(now - first_try, roll=roll)
    if isinstance(outcome, Unsure):
        return max(due, now + quiet)
    return max(due, outcome.retry_at or due)
