# SPDX-License-Identifier: MPL-2.0
"""Find the smallest set of main's commits which, tried first, makes a series merge, by really merging."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from shipit.merge.history import Entry, Twins
from shipit.merge.keeping import prefer_ours
from shipit.merge.searches import Ground, Search, Stop, Verdict, conflict_paths, is_by_lines
from shipit.merge.store import Merge, Merged
from shipit.merge.suspects import Suspects

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
        twins = Twins(self._history, own)
        self._suspects = Suspects(ground, self.candidates, self._own_positions, twins)
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
            if run.stop.member.position in self._own_positions or len(self._suspects.banned) >= MOST_BANNED:
                break
            # that prerequisite cannot be had: is there a way without it?
            self._suspects.banned.add(run.stop.member.position)
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
            new = await self._suspects.of(run.stop, members)
            if not new:
                return members, run, Verdict.BLOCKED
            members |= new
            if len(members) > self._most_members or self.merges > self._most_merges:
                return members, run, Verdict.TOO_MUCH
            run = await self._try(members)
        return members, run, Verdict.FOUND

    async def _with_preference(self, stop: Stop) -> set[int] | None:
        """A small set with which the series merges strictly, if some of the set prefer the train."""
        self._suspects.banned.clear()
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
