# SPDX-License-Identifier: MPL-2.0
"""In which order waiting uplifts land: one simulated sequence in main's order, and what the order decides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Protocol

import msgspec

from shipit.merge.history import Entry
from shipit.merge.store import Merge, Merged
from shipit.merge.types import Conflict

MOST_TRIES = 12


class Uplift(msgspec.Struct, frozen=True):
    """What lands together: a request's commits. name: how people call it."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def position(self) -> int:
        """Where its last commit is in main's order."""
        return max(entry.position for entry in self.entries)

    @property
    def paths(self) -> frozenset[bytes]:
        """Every path that it changes, under the old and the new name."""
        return frozenset(path for entry in self.entries for path in (*entry.paths, *entry.old_paths))


class Blocked(msgspec.Struct, frozen=True):
    """An uplift that does not merge on the tip alone. after: what must land first (then it merges, `lands`).

    Without `lands` it conflicts in every order tried; after then names what it excludes, if that is why.
    """

    revision: str
    after: tuple[str, ...]
    reason: str
    lands: bool


class Landed(msgspec.Struct, frozen=True):
    """One step of the plan. is_empty: it merges and changes nothing. tree: after it."""

    uplift: Uplift
    tree: str
    is_empty: bool = False


class Crossing(msgspec.Struct, frozen=True):
    """Two uplifts (names) that merge in both orders and leave different trees, and what to do, in words."""

    one: str
    other: str
    text: str


class Plan(msgspec.Struct, frozen=True):
    """The order to land in; what conflicts; pairs whose order matters silently; merges done."""

    steps: tuple[Landed, ...]
    conflicts: tuple[Blocked, ...]
    warnings: tuple[Crossing, ...]
    merges: int


class Merges(Protocol):
    """A clone as far as a plan sees it."""

    async def merge(self, merge: Merge) -> Merged:
        """The outcome of a merge of trees."""


class Memory:
    """Merges that were done, kept between plans: a plan made anew repeats only what changed."""

    def __init__(self, ground: Merges, *, most: int = 20_000) -> None:
        """most: merges kept; beyond it the oldest are forgotten."""
        self._ground = ground
        self._most = most
        self._known: dict[Merge, Merged] = {}
        self.merges = 0

    async def merge(self, merge: Merge) -> Merged:
        """The outcome of a merge; a failure to find out is not kept."""
        merged = self._known.get(merge)
        if merged is None:
            self.merges += 1
            merged = await self._ground.merge(merge)
            if merged.reason is None:
                self._known[merge] = merged
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]
        return merged


class _Try(msgspec.Struct, frozen=True):
    """What became of an uplift upon a tree; tree is None when it did not merge."""

    tree: str | None
    conflicts: tuple[Conflict, ...] = ()
    reason: str | None = None


async def plan(memory: Memory, uplifts: Sequence[Uplift], tip: Entry) -> Plan:
    """Simulate the uplifts on a tip in main's order; what conflicts is tried again after the others."""
    return await _Planner(memory, uplifts, tip.tree).run()


class _Planner:
    def __init__(self, memory: Memory, uplifts: Sequence[Uplift], tree: str) -> None:
        self._memory = memory
        self._uplifts = sorted(uplifts, key=lambda uplift: uplift.position)
        self._tree = tree
        # What became of an uplift while nothing that concerns it had landed: alone it would be the same.
        self._free: dict[str, _Try] = {}

    async def run(self) -> Plan:
        start = self._memory.merges
        steps, waiting = await self._sequence()
        landed = {step.uplift.name for step in steps}
        conflicts = []
        for uplift in self._uplifts:
            if uplift.name in landed and (await self._alone(uplift)).tree is None:
                conflicts.append(await self._needs(uplift, steps))
        conflicts += [await self._excluded(uplift, steps) for uplift in waiting]
        warnings = await self._warnings()
        return Plan(tuple(steps), tuple(conflicts), tuple(warnings), self._memory.merges - start)

    async def _sequence(self) -> tuple[list[Landed], list[Uplift]]:
        """Main's order first; those that conflicted again, as long as one more of them merges.

        What conflicted goes on to do so while nothing lands that shares a path with it or with its conflict.
        """
        steps: list[Landed] = []
        # how many steps there were when an uplift last conflicted, and how it did
        failed: dict[str, tuple[int, _Try]] = {}
        tree, waiting, is_moving = self._tree, list(self._uplifts), True
        while waiting and is_moving:
            is_moving, rest = False, []
            for uplift in waiting:
                if uplift.name not in failed and any(_concerns(step.uplift, uplift) for step in steps):
                    alone = self._free[uplift.name] = await self._on(uplift, self._tree)
                    if alone.tree is None:
                        failed[uplift.name] = (0, alone)
                if uplift.name in failed and not _may_merge_now(uplift, *failed[uplift.name], steps):
                    rest.append(uplift)
                    continue
                tried = await self._on(uplift, tree)
                if tried.tree is not None or not _may_merge_now(uplift, 0, tried, steps):
                    self._free.setdefault(uplift.name, tried)
                if tried.tree is None:
                    failed[uplift.name] = (len(steps), tried)
                    rest.append(uplift)
                    continue
                steps.append(Landed(uplift, tried.tree, tried.tree == tree))
                tree, is_moving = tried.tree, True
            waiting = rest
        return steps, waiting

    async def _alone(self, uplift: Uplift) -> _Try:
        """What becomes of an uplift without the others; its tree may be upon others that do not matter."""
        return self._free.get(uplift.name) or await self._on(uplift, self._tree)

    async def _on(self, uplift: Uplift, tree: str) -> _Try:
        for entry in sorted(uplift.entries, key=lambda one: one.position):
            if entry.base is None:
                return _Try(
                    None, reason=f"{entry.id[:12]} is a merge: which side is the change cannot be told"
                )
            merged = await self._memory.merge(Merge(entry.base, tree, entry.tree))
            if merged.tree is None:
                return _Try(None, merged.conflicts, merged.reason)
            tree = merged.tree
        return _Try(tree)

    async def _all_on(self, uplifts: Sequence[Uplift]) -> _Try:
        tree = self._tree
        for uplift in uplifts:
            tried = await self._on(uplift, tree)
            if tried.tree is None:
                return tried
            tree = tried.tree
        return _Try(tree)

    async def _needs(self, uplift: Uplift, steps: Sequence[Landed]) -> Blocked:
        """Which of those before it in the plan it cannot do without."""
        before = []
        for step in steps:
            if step.uplift.name == uplift.name:
                break
            before.append(step.uplift)
        for other in [one for one in reversed(before) if one.paths & uplift.paths][:MOST_TRIES]:
            if (await self._all_on([other, uplift])).tree is not None:
                return _after(uplift, [other])
        needed = _related(uplift, before)
        if (await self._all_on([*needed, uplift])).tree is None:
            needed = before
        for other in list(reversed(needed))[:MOST_TRIES]:
            fewer = [one for one in needed if one is not other]
            if (await self._all_on([*fewer, uplift])).tree is not None:
                needed = fewer
        return _after(uplift, needed)

    async def _excluded(self, uplift: Uplift, steps: Sequence[Landed]) -> Blocked:
        """Why an uplift merges nowhere in the plan."""
        alone = await self._alone(uplift)
        if alone.tree is None:
            paths = ", ".join(conflict.path for conflict in alone.conflicts[:3])
            reason = alone.reason or f"conflicts in {paths}, alone and after the others"
            return Blocked(uplift.name, (), reason, False)
        others = []
        for step in steps:
            if not _concerns(step.uplift, uplift):
                continue
            tree = (await self._on(step.uplift, self._tree)).tree
            if tree is not None and (await self._on(uplift, tree)).tree is None:
                others.append(step.uplift.name)
        named = ", ".join(others) or "the others together"
        return Blocked(
            uplift.name,
            tuple(others),
            f"merges cleanly alone, but not after {named}: they exclude each other",
            False,
        )

    async def _warnings(self) -> list[Crossing]:
        """Pairs that merge in both orders, and leave different trees: one undoes or changes the other."""
        warnings: list[Crossing] = []
        for one, other in combinations(self._uplifts, 2):
            # without a common path the order cannot matter: every sampled pair of the study agreed
            if not one.paths & other.paths:
                continue
            if (await self._alone(one)).tree is None or (await self._alone(other)).tree is None:
                continue
            first, second = [(await self._on(each, self._tree)).tree for each in (one, other)]
            if first is None or second is None:
                continue
            forth, back = await self._on(other, first), await self._on(one, second)
            if forth.tree is None or back.tree is None or forth.tree == back.tree:
                continue
            undoing = "one undoes the other, " if _undoes(one, other) else ""
            text = (
                f"{one.name} and {other.name} merge cleanly in both orders and leave different trees:"
                f" {undoing}keep main's order"
            )
            warnings.append(Crossing(one.name, other.name, text))
        return warnings


def _after(uplift: Uplift, needed: Sequence[Uplift]) -> Blocked:
    names = tuple(one.name for one in needed)
    reason = f"conflicts alone, merges cleanly with {', '.join(names)} landed first"
    return Blocked(uplift.name, names, reason, True)


def _concerns(landed: Uplift, uplift: Uplift) -> bool:
    """Whether an uplift might fare otherwise because of another that landed before it."""
    if not landed.paths.isdisjoint(uplift.paths):
        return True
    # a folder that was moved may draw along what is added there, and what is beside it
    moved = {old.rsplit(b"/", 2)[0] + b"/" for entry in landed.entries for old in entry.old_paths}
    return any(path.startswith(folder) for path in uplift.paths for folder in moved)


def _may_merge_now(uplift: Uplift, count: int, failed: _Try, steps: Sequence[Landed]) -> bool:
    """Whether what landed since an uplift conflicted (after `count` steps) can have changed anything."""
    # a guessed rename may conflict under a name that the uplift itself does not know
    paths = uplift.paths | {conflict.path.encode() for conflict in failed.conflicts}
    return any(not paths.isdisjoint(step.uplift.paths) for step in steps[count:])


def _related(uplift: Uplift, before: Sequence[Uplift]) -> list[Uplift]:
    """Those before an uplift that share a path with it, or with one that does."""
    paths, chosen, is_growing = set(uplift.paths), [], True
    while is_growing:
        is_growing = False
        for one in before:
            if one not in chosen and one.paths & paths:
                chosen.append(one)
                paths |= one.paths
                is_growing = True
    return [one for one in before if one in chosen]


def _undoes(one: Uplift, other: Uplift) -> bool:
    ids = [entry.id for entry in one.entries]
    return any(
        entry.said.is_backout and any(id_.startswith(name) for id_ in ids for name in entry.said.undoes)
        for entry in other.entries
    )
