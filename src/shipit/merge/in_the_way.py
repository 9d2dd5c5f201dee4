# SPDX-License-Identifier: MPL-2.0
"""Which commits of the train own the place that a patch conflicts with, when nothing of main is missing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec

from shipit.merge.conflicts import shown_path
from shipit.merge.history import Entry, History, plain_subject
from shipit.merge.regions import Range, before, differing, meeting
from shipit.merge.searches import Ground, Search, Stop, conflict_paths, is_by_lines

MOST_SHOWN = 10
MOST_MERGES_LOOKED_AT = 50


class How(StrEnum):
    """Why a commit is named."""

    REGION = "owns the lines"
    PATH = "changed the file"
    MERGE = "brought the file by a merge"
    ADAPTED = "is an earlier uplift adapted by hand"


class Blocker(msgspec.Struct, frozen=True):
    """A commit in the way. path: where; how: why it is named; of_main: what of main it was adapted from."""

    entry: Entry
    path: str
    how: How
    of_main: str | None = None


async def in_the_way(ground: Ground, search: Search) -> list[Blocker]:
    """The train's own commits behind where a search stopped, by region where lines tell, else by path.

    Where the train has none of its own there, the merges of main that brought the file.
    """
    stop = search.last or search.first
    if stop is None:
        return []
    found: dict[tuple[int, str], Blocker] = {}
    for path in conflict_paths(stop.merged):
        for position, how in await _owners(ground, search, stop, path):
            entry = ground.history.at(position)
            found.setdefault((position, shown_path(path)), Blocker(entry, shown_path(path), how))
    if not found and (merge := _brought_by(ground.history, search, stop.member)) is not None:
        paths = conflict_paths(stop.merged)
        where = shown_path(paths[0]) if paths else ""
        found[merge, where] = Blocker(ground.history.at(merge), where, How.MERGE)
    named = sorted(found.values(), key=lambda one: -one.entry.position)
    return [_adapted(ground.history, search, one) for one in named[:MOST_SHOWN]]


async def _owners(ground: Ground, search: Search, stop: Stop, path: bytes) -> list[tuple[int, How]]:
    history = ground.history
    sides = {side.stage: side for side in stop.merged.sides.get(path, ())}
    if is_by_lines(sides):
        texts = await ground.read([sides[stage].id for stage in (1, 2, 3)])
        base, ours, theirs = (text or b"" for text in texts)
        if all(text is not None and b"\0" not in text[:8000] for text in texts):
            ranges = _ranges_in_ours(differing(base, ours), differing(base, theirs))
            owners = await _walk(ground, path, ranges, search)
            if owners:
                return [(position, How.REGION) for position in owners]
    names = {path, *_former_names(history, path, search.own)}
    own = sorted({p for name in names for p in _touching(history, name, search.own)}, reverse=True)
    if own:
        return [(position, How.PATH) for position in own]
    merges = [
        change.position
        for change in history.changes(path)
        if change.status == "X" and change.position in search.candidates
    ]
    merges = merges or _bringers(history, search, stop)
    return [(position, How.MERGE) for position in merges[-1:]]


def _brought_by(history: History, search: Search, member: Entry) -> int | None:
    """The merge of main by which a commit came that main itself never had as its newest (an import)."""
    above = sorted(position for position in search.candidates if position > member.position)
    merges = [position for position in above if len(history.at(position).parents) > 1]
    for position in merges[:MOST_MERGES_LOOKED_AT]:
        first, *others = history.at(position).parents
        if member.position in history.apart(others, [first])[0]:
            return position
    return None


def _bringers(history: History, search: Search, stop: Stop) -> list[int]:
    """Merges of main, below the commit that stops, that brought content of their own: imports."""
    below = (position for position in search.candidates if position < stop.member.position)
    return [position for position in sorted(below) if _is_bringing(history.at(position))]


def _is_bringing(entry: Entry) -> bool:
    return entry.is_merge and bool(entry.paths)


def _ranges_in_ours(
    ours: Sequence[tuple[int, int, int, int]], theirs: Sequence[tuple[int, int, int, int]]
) -> list[Range]:
    """The lines of the train's file at the places where both sides changed the base."""
    for distance in (0, 1, 3):
        if meeting(ours, theirs, distance=distance):
            return [
                (new_start, new_end)
                for start, end, new_start, new_end in ours
                if any(low <= end + distance and start <= high + distance for low, high, _, _ in theirs)
            ]
    return []


async def _walk(ground: Ground, path: bytes, ranges: Sequence[Range], search: Search) -> list[int]:
    """The train's own commits that wrote the ranges, newest first; what was tried first is looked through."""
    history = ground.history
    tried = {entry.position for entry in search.prerequisites}
    order = [
        change
        for positions in (tried, search.own)
        for change in reversed(history.changes(path))
        if change.position in positions
    ]
    found: list[int] = []
    left = list(ranges)
    while order and left:
        change = order.pop(0)
        if change.path != path:
            continue
        is_own = change.position in search.own
        spans = await ground.spans(change)
        if spans is None:
            if is_own and change.status != "X":
                found.append(change.position)
                break
            continue
        left, is_touched = before(left, spans, keeps=not is_own)
        if is_touched and is_own:
            found.append(change.position)
        if change.old_path != path:
            path = change.old_path
            order = [
                one
                for one in reversed(history.changes(path))
                if one.position in search.own and one.position < change.position
            ]
    return found


def _touching(history: History, path: bytes, positions: Collection[int]) -> set[int]:
    return {change.position for change in history.changes(path) if change.position in positions}


def _former_names(history: History, path: bytes, positions: Collection[int]) -> set[bytes]:
    return {
        name
        for change in history.changes(path)
        if change.position in positions
        for name in (change.path, change.old_path)
    }


def _adapted(history: History, search: Search, one: Blocker) -> Blocker:
    """Whether a blocker is an earlier uplift whose content is no longer that of main's commit.

    Its message says what it was picked from, or it shares bug or subject with a commit of main there.
    """
    entry = one.entry
    if one.how is How.MERGE:
        return one
    for position in search.candidates:
        main = history.at(position)
        if not _says_same(entry, main) or main.patch == entry.patch:
            continue
        return Blocker(entry, one.path, How.ADAPTED, main.id)
    return one


def _says_same(entry: Entry, main: Entry) -> bool:
    if any(main.id.startswith(name) for name in entry.said.picked):
        return True
    if not set(main.paths) & set(entry.paths):
        return False
    if entry.bug is not None and entry.bug == main.bug:
        return True
    return plain_subject(entry.subject) == plain_subject(main.subject)
