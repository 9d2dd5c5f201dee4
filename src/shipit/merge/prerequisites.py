# SPDX-License-Identifier: MPL-2.0
"""Find the smallest set of main's commits which, tried first, makes a series merge, by really merging."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from shipit.merge.conflicts import Side
from shipit.merge.history import Entry, History, Twins, changes_by
from shipit.merge.keeping import prefer_ours
from shipit.merge.regions import Change, Range, Span, before, differing, meeting
from shipit.merge.store import Merge, Merged

MOST_MERGES = 60
MOST_MEMBERS = 30
# To make a set smaller: a large one is called a series anyway.
MOST_LESSENING = 30
MOST_BANNED = 4
# Prerequisites that conflict themselves: how large a set of such is still told, and what looking may cost.
MOST_PREFERRED = 5
MOST_PREFERRING = 40
# What conflicts in more files (an import of strings, say) is no small thing to be preferred away.
MOST_PREFERRED_PATHS = 10
_REGULAR = frozenset(("100644", "100755"))


class Ground(Protocol):
    """The clone as a search sees it."""

    @property
    def history(self) -> History:
        """The index of commits, which holds the tip and the series."""

    async def merge(self, merge: Merge) -> Merged:
        """The outcome of a merge of trees."""

    async def read(self, names: Sequence[str]) -> list[bytes | None]:
        """Contents of files by id; None for what cannot be read."""

    async def settled(self, merged: Merged, contents: Mapping[bytes, bytes]) -> str | None:
        """The tree of a conflicting merge with these contents in the places of its conflicts; None if not."""

    async def spans(self, change: Change) -> Sequence[Span] | None:
        """The differing places of a change, read now if the index has not; None when nobody can know them."""

    async def weight(self, entries: Sequence[Entry]) -> list[int]:
        """How many lines each commit adds and removes; 0 for what cannot be read."""


class Verdict(StrEnum):
    """How a search ended."""

    CLEAN = "clean"
    LANDED = "landed"
    FOUND = "found"
    EMPTY = "empty"
    BLOCKED = "blocked"
    TOO_MUCH = "too much"
    ERROR = "error"


class Stop(msgspec.Struct, frozen=True):
    """Where a sequence of commits does not merge any further."""

    member: Entry
    merge: Merge
    merged: Merged


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found.

    prerequisites: in main's order; only with FOUND have they been verified by merging. first: where the
    series stops on the tip without them. last: where it stopped at the end, when BLOCKED. merges: how many
    were done. before, after: trees of the whole sequence. own: the train's own commits; landed: commits of
    main that it carries under another id, to that id's position. candidates: what main has and it has not.
    preferred: with BLOCKED, prerequisites with which the series merges if these of them are merged with a
    preference for the train: named, not verified.
    """

    verdict: Verdict
    prerequisites: tuple[Entry, ...] = ()
    first: Stop | None = None
    last: Stop | None = None
    tree: str | None = None
    merges: int = 0
    reason: str | None = None
    own: frozenset[int] = frozenset()
    candidates: frozenset[int] = frozenset()
    preferred: frozenset[int] = frozenset()


async def search(
    ground: Ground,
    series: Sequence[Entry],
    tip: Entry,
    *,
    first: Collection[int] = (),
    most_merges: int = MOST_MERGES,
    most_members: int = MOST_MEMBERS,
) -> Search:
    """Look for what a series misses on a tip.

    first: positions that are tried before all others whether blamed or not (what waits for the train).
    """
    return await _Searcher(ground, series, tip, most_merges, most_members).run(first)


class Run(msgspec.Struct, frozen=True):
    """One try of a sequence: its last tree, or where it stops; is_empty: the series changes nothing."""

    tree: str | None
    stop: Stop | None
    is_empty: bool = False
    reason: str | None = None


class _Searcher:
    def __init__(
        self, ground: Ground, series: Sequence[Entry], tip: Entry, most_merges: int, most_members: int
    ) -> None:
        self._ground = ground
        self._history = ground.history
        self._series = sorted(series, key=lambda entry: entry.position)
        self._own_positions = {entry.position for entry in series}
        self._tip = tip
        self._most_merges = most_merges
        self._most_members = most_members
        self._known: dict[tuple[str, int], Merged] = {}
        self.merges = 0
        candidates, own = self._history.apart(self._own_positions, [tip.position])
        self._outside = candidates
        self.candidates = candidates - self._own_positions
        self.own = own
        self._twins = Twins(self._history, own)
        self._open: dict[int, bool] = {}
        self._banned: set[int] = set()
        self._preferred: set[int] = set()
        self._preferring: dict[tuple[str, int], str | None] = {}

    async def run(self, preferred: Collection[int]) -> Search:
        if all(self._is_landed(entry) for entry in self._series):
            return self._result(Verdict.LANDED)
        self._series = [entry for entry in self._series if not self._is_landed(entry)]
        run = await self._try(())
        first = run.stop
        if first is None:
            if run.reason is not None:
                return self._result(Verdict.ERROR, reason=run.reason)
            return self._result(Verdict.EMPTY if run.is_empty else Verdict.CLEAN, tree=run.tree)
        members, run, verdict = await self._gather(run)
        ended = (members, run, verdict)
        while verdict is Verdict.BLOCKED and run.stop is not None and self.merges < self._most_merges:
            if run.stop.member.position in self._own_positions or len(self._banned) >= MOST_BANNED:
                break
            # that prerequisite cannot be had: is there a way without it?
            self._banned.add(run.stop.member.position)
            members, run, verdict = await self._gather(await self._try(()))
        if verdict is not Verdict.FOUND:
            members, run, verdict = ended
            if verdict is Verdict.BLOCKED and run.stop is not None:
                members = await self._with_preference(run.stop) or members
            return self._result(verdict, first=first, last=run.stop, members=members)
        if run.reason is not None:
            return self._result(Verdict.ERROR, first=first, reason=run.reason)
        members, run = await self._least(members, run)
        verdict = Verdict.EMPTY if run.is_empty else Verdict.FOUND
        return self._result(verdict, first=first, members=members, tree=run.tree)

    def _is_landed(self, entry: Entry) -> bool:
        """Whether a commit is below the tip (a twin that was adapted may still be worth a try)."""
        return entry.position not in self._outside

    async def _gather(self, run: Run) -> tuple[set[int], Run, Verdict]:
        """Add what is to blame for each stop until nothing stops, nobody is to blame, or it is too much."""
        members: set[int] = set()
        while run.stop is not None:
            new = await self._suspects(run.stop, members)
            if not new:
                return members, run, Verdict.BLOCKED
            members |= new
            if len(members) > self._most_members or self.merges > self._most_merges:
                return members, run, Verdict.TOO_MUCH
            run = await self._try(members)
        return members, run, Verdict.FOUND

    async def _with_preference(self, stop: Stop) -> set[int] | None:
        """A small set with which the series merges strictly, if some of the set prefer the train."""
        self._banned.clear()
        budget = self.merges + MOST_PREFERRING
        while stop.member.position not in self._own_positions | self._preferred and self.merges < budget:
            if len(conflict_paths(stop.merged)) > MOST_PREFERRED_PATHS:
                break
            self._preferred.add(stop.member.position)
            members, run, verdict = await self._gather(await self._try(()))
            if verdict is Verdict.FOUND and run.reason is None and not run.is_empty:
                self._preferred &= members
                if self._preferred and len(members) <= MOST_PREFERRED:
                    return members
                break
            if verdict is not Verdict.BLOCKED or run.stop is None:
                break
            stop = run.stop
        self._preferred.clear()
        return None

    async def _prefer_ours(self, merged: Merged) -> str | None:
        """The tree of a conflicting merge with the train's lines where both changed some; None if not so."""
        contents: dict[bytes, bytes] = {}
        for path in conflict_paths(merged):
            sides = {side.stage: side for side in merged.sides.get(path, ())}
            if not is_by_lines(sides):
                return None
            base, ours, theirs = await self._ground.read([sides[stage].id for stage in (1, 2, 3)])
            if base is None or ours is None or theirs is None or b"\0" in base + ours + theirs:
                return None
            contents[path] = prefer_ours(base, ours, theirs)
        return await self._ground.settled(merged, contents)

    def _result(
        self,
        verdict: Verdict,
        *,
        first: Stop | None = None,
        last: Stop | None = None,
        members: Collection[int] = (),
        tree: str | None = None,
        reason: str | None = None,
    ) -> Search:
        return Search(
            verdict=verdict,
            prerequisites=tuple(self._history.at(position) for position in sorted(members)),
            first=first,
            last=last,
            tree=tree,
            merges=self.merges,
            reason=reason,
            own=frozenset(self.own),
            candidates=frozenset(self.candidates),
            preferred=frozenset(self._preferred),
        )

    async def _try(self, members: Collection[int]) -> Run:
        tree, is_empty = self._tip.tree, True
        sequence = [*(self._history.at(position) for position in members), *self._series]
        for entry in sorted(sequence, key=lambda one: one.position):
            if entry.base is None:
                return Run(None, None, reason=f"{entry.id[:12]} is a merge: which side is the change is open")
            merge = Merge(entry.base, tree, entry.tree)
            merged = self._known.get((tree, entry.position))
            if merged is None:
                merged = self._known[tree, entry.position] = await self._ground.merge(merge)
                self.merges += 1
            if merged.reason is not None:
                return Run(None, None, reason=merged.reason)
            after = merged.tree
            if after is None and entry.position in self._preferred:
                if (tree, entry.position) not in self._preferring:
                    self._preferring[tree, entry.position] = await self._prefer_ours(merged)
                after = self._preferring[tree, entry.position]
            if after is None:
                return Run(None, Stop(entry, merge, merged))
            if entry.position in self._own_positions and after != tree:
                is_empty = False
            tree = after
        return Run(tree, None, is_empty)

    async def _least(self, members: set[int], run: Run) -> tuple[set[int], Run]:
        """Leave out whatever is not needed, the newest first; a series made empty is worth a smaller set."""
        budget = self.merges + MOST_LESSENING
        is_smaller = True
        while is_smaller and len(members) > 1:
            is_smaller = False
            for position in sorted(members, reverse=True):
                if len(members) == 1 or self.merges > budget:
                    return members, run
                fewer, other = await self._without(position, members)
                if other.stop is None and other.reason is None and (run.is_empty or not other.is_empty):
                    members, run, is_smaller = fewer, other, True
        return members, run

    async def _without(self, position: int, members: set[int]) -> tuple[set[int], Run]:
        """Try without a member, and without those that then do not merge: they may be there for it alone."""
        fewer = members - {position}
        run = await self._try(fewer)
        while run.stop is not None and run.stop.member.position in fewer:
            fewer = fewer - {run.stop.member.position}
            run = await self._try(fewer)
        return fewer, run

    def _is_open(self, position: int, members: Collection[int]) -> bool:
        """Whether a candidate may be named: not on the train under any id, not named yet, and no merge."""
        if position in members or position in self._own_positions or position in self._banned:
            return False
        known = self._open.get(position)
        if known is None:
            entry = self._history.at(position)
            known = self._open[position] = entry.base is not None and self._twins.of(entry) is None
        return known

    async def _suspects(self, stop: Stop, members: set[int]) -> set[int]:
        """Commits older than the one that stops, not on the train, that wrote what it meets there."""
        found: set[int] = set()
        paths = conflict_paths(stop.merged)
        for path in paths:
            found |= await self._suspects_of(path, stop, members)
        if not found:
            for path in paths:
                found |= self._all_on(self._main_path(path, stop), stop, members)
        return found or self._beside(paths, stop, members)

    def _beside(self, paths: Sequence[bytes], stop: Stop, members: set[int]) -> set[int]:
        """The newest that added files beside those that a guessed rename of their folder drew away."""
        folders = {path.rpartition(b"/")[0] for path in paths if path in stop.member.paths}
        for position in sorted(self.candidates, reverse=True) if folders else ():
            if position >= stop.member.position or not self._is_open(position, members):
                continue
            for path in self._history.at(position).paths:
                if path.rpartition(b"/")[0] in folders and self._adds(path, position):
                    return {position}
        return set()

    def _adds(self, path: bytes, position: int) -> bool:
        return any(change.status in "AR" for change in changes_by(self._history.changes(path), position))

    async def _suspects_of(self, path: bytes, stop: Stop, members: set[int]) -> set[int]:
        sides = {side.stage: side for side in stop.merged.sides.get(path, ())}
        name = self._main_path(path, stop)
        if is_by_lines(sides):
            texts = await self._ground.read([sides[stage].id for stage in (1, 2, 3)])
            if all(text is not None and b"\0" not in text[:8000] for text in texts):
                base, ours, theirs = (text or b"" for text in texts)
                mine, yours = differing(base, ours), differing(base, theirs)
                for ranges in meeting_places(mine, yours):
                    if found := await self._walk(name, ranges, stop, members):
                        return found
                return self._all_on(name, stop, members)
        # a name that only the merge's guess of a rename brought in may have a history of its own
        found = self._structural(path, stop, members)
        return found if name == path else found | self._structural(name, stop, members)

    def _main_path(self, path: bytes, stop: Stop) -> bytes:
        """What main calls, before the commit that stops, the file that the merge calls `path`."""
        base = next((side.id for side in stop.merged.sides.get(path, ()) if side.stage == 1), "")
        renamed = path
        for touched in stop.member.paths:
            for change in changes_by(self._history.changes(touched), stop.member.position):
                if change.path == path:
                    return change.old_path
                if base and change.old and base.startswith(change.old.hex()):
                    renamed = change.old_path
        return renamed

    def _before(self, path: bytes, stop: Stop) -> list[Change]:
        """What candidates older than the one that stops did to a path, the newest first."""
        limit = stop.member.position
        changes = self._history.changes(path)
        return [
            change
            for change in reversed(changes)
            if change.position < limit
            and (change.position in self.candidates or change.position in self._own_positions)
        ]

    async def _walk(self, path: bytes, ranges: Sequence[Range], stop: Stop, members: set[int]) -> set[int]:
        """Go back from the base through what changed the path: who wrote (or emptied) the ranges?"""
        found: set[int] = set()
        left = list(ranges)
        changes = self._before(path, stop)
        while changes and left:
            change = changes.pop(0)
            if change.path != path or change.status == "X":
                continue
            is_open = self._is_open(change.position, members)
            spans = await self._ground.spans(change)
            if spans is None:
                if is_open:
                    return found | {change.position}
                continue
            left, is_touched = before(left, spans, keeps=not is_open)
            if is_touched and is_open:
                found.add(change.position)
            if change.status == "A":
                break
            if change.old_path != path:
                path = change.old_path
                changes = [one for one in self._before(path, stop) if one.position < change.position]
        return found

    def _structural(self, path: bytes, stop: Stop, members: set[int]) -> set[int]:
        for change in self._before(path, stop):
            if change.status in "ARDC" and self._is_open(change.position, members):
                return {change.position}
        return self._all_on(path, stop, members)

    def _all_on(self, path: bytes, stop: Stop, members: set[int]) -> set[int]:
        return {
            change.position
            for change in self._before(path, stop)
            if change.status != "X" and self._is_open(change.position, members)
        }


def conflict_paths(merged: Merged) -> list[bytes]:
    """Every path that takes part in a conflict, ascending."""
    said = (message for message in merged.messages if message.kind.startswith("CONFLICT"))
    return sorted({*merged.sides, *(path for message in said for path in message.paths)})


def is_by_lines(sides: dict[int, Side]) -> bool:
    """Whether a conflict has all three sides, as files whose lines can be compared."""
    return set(sides) == {1, 2, 3} and all(side.mode in _REGULAR for side in sides.values())


def meeting_places(
    ours: Sequence[tuple[int, int, int, int]], theirs: Sequence[tuple[int, int, int, int]]
) -> Iterable[list[Range]]:
    """Ranges of the base where a search looks, one attempt after the other: narrow, near, wide."""
    for distance in (0, 1, 3):
        if ranges := meeting(ours, theirs, distance=distance):
            yield ranges
            wide = [
                (start, end)
                for start, end, _, _ in ours
                if any(low <= end + distance and start <= high + distance for low, high, _, _ in theirs)
            ]
            if wide != ranges:
                yield wide
            return
