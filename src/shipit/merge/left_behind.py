# SPDX-License-Identifier: MPL-2.0
"""Fixes left behind: main's commits that mend or undo what a train carries, and are not on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum

import msgspec

from shipit.merge.history import Entry, History, Twins, plain_subject


class Why(StrEnum):
    """How a commit of main names the uplift as its cause."""

    BACKOUT = "backs it out"
    CAUSE = "names it as its cause"
    REGRESSION = "mends a regression of its bug"
    FOLLOW_UP = "is a follow-up of the same bug"


class LeftBehind(msgspec.Struct, frozen=True):
    """A commit of main that is not on the train. of: the commit it belongs to, which the train has."""

    revision: str
    bug: int | None
    subject: str
    of: str
    why: Why


def carried(history: History, tip: int, main: int) -> tuple[set[int], set[int]]:
    """Of what main has and the tip has not: positions that it carries under another id, and the rest."""
    candidates, own = history.apart([main], [tip])
    twins = Twins(history, own)
    there = {position for position in candidates if twins.of(history.at(position)) is not None}
    return there, candidates - there


def left_behind(history: History, uplifted: Collection[int], missing: Iterable[int]) -> list[LeftBehind]:
    """What belongs to the uplifted commits of main among those that are missing, oldest first.

    uplifted, missing: positions of main's commits. What main itself backed out again is not listed, and
    with it goes its backout.
    """
    missing = sorted(missing)
    undone = _undone(history, missing)
    by_bug: dict[int, list[Entry]] = {}
    by_subject: dict[str, list[Entry]] = {}
    entries = [history.at(position) for position in sorted(uplifted)]
    for entry in entries:
        by_subject.setdefault(plain_subject(entry.subject), []).append(entry)
        for bug in entry.said.bugs:
            by_bug.setdefault(bug, []).append(entry)
    found = []
    for position in missing:
        if position in undone:
            continue
        later = history.at(position)
        for entry, why in _causes(later, entries, by_bug, by_subject):
            if entry.position < position:
                found.append(LeftBehind(later.id, later.bug, later.subject, entry.id, why))
                break
    return found


def _causes(
    later: Entry, entries: list[Entry], by_bug: dict[int, list[Entry]], by_subject: dict[str, list[Entry]]
) -> Iterable[tuple[Entry, Why]]:
    said = later.said
    for name in said.undoes:
        yield from ((entry, Why.BACKOUT) for entry in entries if entry.id.startswith(name))
    if said.is_backout and said.quoted and not said.undoes:
        yield from ((entry, Why.BACKOUT) for entry in by_subject.get(said.quoted, ()))
    for name in said.cause_commits:
        yield from ((entry, Why.CAUSE) for entry in entries if entry.id.startswith(name))
    for bug in said.cause_bugs:
        yield from ((entry, Why.REGRESSION) for entry in by_bug.get(bug, ()))
    for bug in said.bugs:
        yield from ((entry, Why.FOLLOW_UP) for entry in by_bug.get(bug, ()))


def _undone(history: History, missing: Collection[int]) -> set[int]:
    """Missing commits that a missing backout undid, and that backout."""
    gone: set[int] = set()
    by_subject: dict[str, int] = {}
    ids: dict[str, int] = {}
    for position in missing:
        entry = history.at(position)
        said = entry.said
        if said.is_backout:
            named = [ids[name[:7]] for name in said.undoes if name[:7] in ids]
            if not said.undoes and said.quoted in by_subject:
                named = [by_subject[said.quoted]]
            if named:
                gone |= {position, *named}
        by_subject[plain_subject(entry.subject)] = position
        ids[entry.id[:7]] = position
    return gone
