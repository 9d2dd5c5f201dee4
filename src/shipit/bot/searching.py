# SPDX-License-Identifier: MPL-2.0
"""Ask Bugzilla which bugs carry a request: per train, so that one search that fails says so for one train."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from shipit.clients.bugzilla import Bugzilla, Unreadable
from shipit.clients.bugzilla_batches import Why
from shipit.errors import ShipitError
from shipit.trains.types import Train
from shipit.uplift.report import Known, KnownBug
from shipit.uplift.types import RequestState


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What Bugzilla answered. changed: bug -> time of its last change, for every bug we may have to read.

    unavailable: train -> reason. unknown: known bugs that Bugzilla would not name (hidden or gone).
    reason: why known bugs could not be compared; None when they were.
    """

    changed: Mapping[int, datetime]
    unavailable: Mapping[str, str] = {}
    unknown: frozenset[int] = frozenset()
    reason: str | None = None


async def search(
    bugzilla: Bugzilla, trains: Sequence[Train], known: Known, *, decided_since: datetime
) -> Seen:
    """Every bug with a pending request of any train, or one decided lately, and every bug that we know.

    When nothing changed: one call (and its further pages) for the pending, one for the decided, one for the
    known bugs that neither named. Else one for each train's pending ones.
    """
    asked = [train for train in trains if train.approval_flag]
    flags = [train.approval_flag for train in asked if train.approval_flag]
    decided = await _decided(bugzilla, flags, decided_since)
    pending = await _all_pending(bugzilla, flags, known)
    changed: dict[int, datetime] = {}
    unavailable: dict[str, str] = {}
    if pending is not None:
        changed |= pending
    else:
        answers = await asyncio.gather(*(_pending(bugzilla, flag) for flag in flags))
        for train, answer in zip(asked, answers, strict=True):
            if isinstance(answer, str):
                unavailable[train.name] = answer
            else:
                changed |= answer
    if isinstance(decided, str):
        # a decision may have been made that we do not see: no train's requests are complete
        unavailable |= {train.name: decided for train in asked if train.name not in unavailable}
    else:
        changed |= decided
    rest = {bug.bug for bug in known.bugs} - changed.keys()
    if not rest:
        return Seen(changed=changed, unavailable=unavailable)
    try:
        found = await bugzilla.changed(rest)
    except ShipitError as error:
        # what was decided or cleared among them is not seen: nobody's requests are complete
        unavailable |= {train.name: error.detail for train in asked if train.name not in unavailable}
        return Seen(changed=changed, unavailable=unavailable, reason=error.detail)
    unknown, doubted = await _doubted(bugzilla, asked, known, frozenset(rest - found.keys()))
    return Seen(changed=changed | found, unavailable={**doubted, **unavailable}, unknown=unknown)


async def _all_pending(
    bugzilla: Bugzilla, flags: Sequence[str], known: Known
) -> Mapping[int, datetime] | None:
    """Every train's pending requests at once; None when that cannot be believed.

    It is believed where it names every bug that we know to be pending: a Bugzilla that does not understand
    the question must not look like one without requests, and one that fails must say for which train.
    """
    before = {
        bug.bug
        for bug in known.bugs
        # what is hidden from us is named by no search, and says nothing about this one
        if not bug.is_hidden and any(one.request.state is RequestState.REQUESTED for one in bug.requests)
    }
    if not before:
        return None
    try:
        found = await bugzilla.flagged([f"{flag}?" for flag in flags])
    except ShipitError:
        return None
    return found if before <= found.keys() else None


# Looks overlap: a change may become visible to searches a little after its time.
OVERLAP = timedelta(minutes=2)


async def look(bugzilla: Bugzilla, trains: Sequence[Train], known: Known, *, since: datetime) -> Seen:
    """Bugs with any approval flag that changed since then, and known bugs that did: two calls."""
    asked = [train for train in trains if train.approval_flag]
    words = [f"{train.approval_flag}{status}" for train in asked for status in "?+-"]
    try:
        fresh = await bugzilla.flagged(words, changed_since=since - OVERLAP) if words else {}
        rest = {bug.bug for bug in known.bugs} - fresh.keys()
        found = await bugzilla.changed(rest) if rest else {}
    except ShipitError as error:
        return Seen(
            changed={}, unavailable={train.name: error.detail for train in asked}, reason=error.detail
        )
    unknown, doubted = await _doubted(bugzilla, asked, known, frozenset(rest - found.keys()))
    return Seen(changed={**fresh, **found}, unavailable=doubted, unknown=unknown)


async def _doubted(
    bugzilla: Bugzilla, trains: Sequence[Train], known: Known, unknown: frozenset[int]
) -> tuple[frozenset[int], Mapping[str, str]]:
    """The unknown bugs that are believed to be hidden, and the trains whose requests cannot be believed.

    A Bugzilla that names none of the bugs we know, or none of those pending for a train, may have lost its
    mind rather than hidden them all: that is believed when it says of one of them that we may not see it.
    """
    held = [bug for bug in known.bugs if not bug.is_hidden]
    doubts = {
        train.name: (pending, f"Bugzilla names none of the {len(pending)} bugs we know to be pending")
        for train in trains
        if (pending := _pending_of(train, held)) and pending <= unknown
    }
    every = frozenset(bug.bug for bug in held)
    if every and every <= unknown:
        reason = f"Bugzilla names none of the {len(every)} bugs we know"
        doubts = {train.name: (every, reason) for train in trains}
    if not doubts:
        return unknown, {}
    try:
        answers = await bugzilla.bugs({min(bugs) for bugs, _ in doubts.values()})
    except ShipitError:
        answers = {}
    hidden = {bug for bug, one in answers.items() if isinstance(one, Unreadable) and one.why is Why.HIDDEN}
    doubts = {train: doubt for train, doubt in doubts.items() if min(doubt[0]) not in hidden}
    return (
        unknown.difference(*(bugs for bugs, _ in doubts.values())),
        {train: reason for train, (_, reason) in doubts.items()},
    )


def _pending_of(train: Train, bugs: Sequence[KnownBug]) -> frozenset[int]:
    return frozenset(
        bug.bug
        for bug in bugs
        for one in bug.requests
        if one.request.train == train.name and one.request.state is RequestState.REQUESTED
    )


def decided_since(now: datetime, days: int) -> datetime:
    """How far back decided requests are looked for, to the day, so that the search stays the same."""
    return (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)


async def _pending(bugzilla: Bugzilla, flag: str) -> Mapping[int, datetime] | str:
    try:
        return await bugzilla.search(flag, "?")
    except ShipitError as error:
        return error.detail


async def _decided(bugzilla: Bugzilla, flags: Sequence[str], since: datetime) -> Mapping[int, datetime] | str:
    if not flags:
        return {}
    try:
        return await bugzilla.flagged(
            [f"{flag}{status}" for flag in flags for status in "+-"], changed_since=since
        )
    except ShipitError as error:
        return error.detail
