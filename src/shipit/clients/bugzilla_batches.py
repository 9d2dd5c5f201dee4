# SPDX-License-Identifier: MPL-2.0
"""Many bugs in one question, halved where it is refused, so that one bug never spoils the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

import msgspec

from shipit.clients.bugzilla_rest import HIDDEN, SERVICE, UNKNOWN, Said
from shipit.clients.http import TooLarge
from shipit.errors import ShipitError, Unavailable

FAILURES_IN_A_ROW = 10
"""More than one bug that Bugzilla stumbles over costs while halving; beyond it Bugzilla itself is ill."""

T = TypeVar("T")


class Why(StrEnum):
    """Why a bug cannot be read: we may not, there is none, Bugzilla fails on it, we do not understand it."""

    HIDDEN = "hidden"
    UNKNOWN = "unknown"
    FAILED = "failed"
    BROKEN = "broken"


class Unreadable(msgspec.Struct, frozen=True):
    """A bug we could not read. reason: a sentence's end for people, naming what stopped us."""

    bug: int
    why: Why
    reason: str


class Luck:
    """How often in a row Bugzilla failed, so that an ill one is not asked for each bug alone."""

    def __init__(self) -> None:
        self._failures = 0

    def held(self) -> None:
        """It answered."""
        self._failures = 0

    def fell(self, error: ShipitError) -> None:
        """It failed or refused; raises Unavailable when it has failed too often in a row."""
        if not isinstance(error, Said) or not error.is_failure:
            return
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            raise Unavailable(SERVICE, f"{error.detail}, again and again") from error


async def halved(
    ids: Sequence[int], fetch: Callable[[Sequence[int]], Awaitable[Mapping[int, T]]], luck: Luck
) -> dict[int, T | Unreadable]:
    """`fetch` for all ids, halved where it is refused, so that only the bug at fault carries the reason.

    An id that a wider answer leaves out is asked for alone, which tells why.
    """
    if not ids:
        return {}
    try:
        answered = await fetch(ids)
    except (Said, TooLarge) as error:
        luck.fell(error)
        if len(ids) == 1:
            return {ids[0]: _unreadable(ids[0], error)}
        middle = len(ids) // 2
        first = await halved(ids[:middle], fetch, luck)
        return first | await halved(ids[middle:], fetch, luck)
    luck.held()
    got: dict[int, T | Unreadable] = {bug: answered[bug] for bug in ids if bug in answered}
    for bug in ids:
        if bug in got:
            continue
        if len(ids) == 1:
            got[bug] = Unreadable(bug, Why.UNKNOWN, "Bugzilla leaves it out of its answer")
        else:
            got |= await halved([bug], fetch, luck)
    return got


def _unreadable(bug: int, error: ShipitError) -> Unreadable:
    why = Why.BROKEN
    if isinstance(error, Said):
        why = (
            Why.FAILED
            if error.is_failure
            else {HIDDEN: Why.HIDDEN, UNKNOWN: Why.UNKNOWN}.get(error.code or 0, why)
        )
    return Unreadable(bug, why, error.detail)
