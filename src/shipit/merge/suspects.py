# SPDX-License-Identifier: MPL-2.0
"""Who is to blame when a sequence of commits stops: main's commits that wrote what it meets there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from shipit.merge.history import Twins, changes_by
from shipit.merge.regions import Change, Range, before, differing, meeting
from shipit.merge.searches import Ground, Stop, conflict_paths, is_by_lines


class Suspects:
    """Names suspects among a search's candidates."""

    def __init__(
        self, ground: Ground, candidates: Collection[int], series: Collection[int], twins: Twins
    ) -> None:
        """candidates: positions of what main has and the train has not. series: those of what is searched.

        twins: which commits the train has under another id.
        """
        self._ground = ground
        self._history = ground.history
        self.candidates = candidates
        self._series = series
        self._twins = twins
        self._open: dict[int, bool] = {}
        self.banned: set[int] = set()

    async def of(self, stop: Stop, members: set[int]) -> set[int]:
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
            and (change.position in self.candidates or change.position in self._series)
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

    def _is_open(self, position: int, members: Collection[int]) -> bool:
        """Whether a candidate may be named: not on the train under any id, not named yet, and no merge."""
        if position in members or position in self._series or position in self.banned:
            return False
        known = self._open.get(position)
        if known is None:
            entry = self._history.at(position)
            known = self._open[position] = entry.base is not None and self._twins.of(entry) is None
        return known


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
