# SPDX-License-Identifier: MPL-2.0
"""Prove kept results on a tip that moved on, by one difference of the tips; try only what is not proved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from shipit.errors import CommandFailed
from shipit.merge.keys import Change, Tried, View, asked, digest, homes, is_kept, is_local, key_of
from shipit.merge.requeue import Reach, touched
from shipit.merge.series import Request
from shipit.merge.store import Known, Store, Unknown
from shipit.merge.types import Commit, Outcome, Patch, SeriesResult
from shipit.vcs.kept_trials import KeptTrials, Record
from shipit.vcs.trials import Timed, look_up_all

Run = Callable[[Sequence[Request]], Awaitable[list[Timed]]]
Pair = tuple[str, str]
Changes = dict[Pair, tuple[Change, ...]]


class Trees(Protocol):
    """What a proof asks of trees, which never change. All raise CommandFailed for an unreadable one."""

    async def between(self, pairs: Collection[Pair]) -> Changes:
        """The changes from the first to the second tree of each pair; a rename is a removal and an add."""

    async def folders(self, wanted: Mapping[str, Collection[bytes]]) -> Mapping[str, Collection[bytes]]:
        """Of each tree the folders it has on the way to its wanted paths, the root (b"") among them."""

    async def views(self, wanted: Mapping[str, Collection[bytes]]) -> Mapping[str, View]:
        """Of each tree what is at its wanted paths."""

    async def edited(self, wanted: Sequence[tuple[str, Sequence[Change]]]) -> list[str | None]:
        """The name of each tree with its changes made; None where they cannot be made of it."""


class _Case:
    """One request with what its names lead to. series: None when nothing may be kept of it."""

    def __init__(self, request: Request, known: dict[str, Known | Unknown], engine: str) -> None:
        tip = known[request.onto]
        self.tip = tip if isinstance(tip, Known) else None
        self.request = request
        self.commits: list[Known] = []
        facts = [_facts(patch, known) for patch in request.series]
        self.series: str | None = None
        if self.tip is not None and None not in facts and facts:
            self.series = digest(engine, request.again, facts)
        self.known = known
        for patch in request.series:
            if isinstance(patch, Commit) and isinstance(found := known[patch.revision], Known):
                self.commits.append(found)
        # The trees before and after each patch; None until found out, and where the tip decides them.
        self.steps: list[Pair] | None = None

    async def find_steps(self, store: Store) -> bool:
        """Find out the trees before and after each patch; whether all are the same on every tip."""
        if self.steps is None and self.series is not None:
            steps = [await self._step(store, patch) for patch in self.request.series]
            found = [step for step in steps if step is not None]
            self.steps = found if len(found) == len(steps) else None
        return self.steps is not None

    async def _step(self, store: Store, patch: Patch) -> Pair | None:
        if isinstance(patch, Commit):
            found = self.known[patch.revision]
            return (found.base or "", found.tree) if isinstance(found, Known) else None
        base = self.known.get(patch.base) if patch.base is not None else None
        if not isinstance(base, Known):
            return None
        # The trial applied it a moment ago, and the store remembers what that made.
        applied = await store.apply(patch.diff, base=base.tree, before=None, tip=_tip_tree(self))
        return (base.tree, applied.theirs) if applied.base == base.tree and applied.theirs else None

    def tried(self, changes: Changes, folders: Mapping[str, Collection[bytes]]) -> list[Tried]:
        """The patches with their changes, once their steps were found."""
        return [
            Tried(
                patch.revision,
                base,
                theirs,
                changes[base, theirs],
                frozenset(folders.get(base, ())),
                frozenset(folders.get(theirs, ())),
            )
            for patch, (base, theirs) in zip(self.request.series, self.steps or (), strict=True)
        ]


def _facts(patch: Patch, known: dict[str, Known | Unknown]) -> tuple[str, ...] | None:
    if isinstance(patch, Commit):
        found = known[patch.revision]
        is_tried = isinstance(found, Known) and found.base is not None
        return (patch.revision, found.base or "", found.tree) if is_tried else None  # type: ignore[union-attr]
    base = known.get(patch.base) if patch.base is not None else None
    return (patch.revision, digest(patch.diff), base.tree if isinstance(base, Known) else "")


class Incremental:
    """Runs only those trials whose result is not proved by one that was kept."""

    def __init__(self, trees: Trees, store: Store, kept: KeptTrials, engine: str) -> None:
        """engine: version and options; another engine proves nothing."""
        self._trees = trees
        self._store = store
        self._kept = kept
        self._engine = engine

    async def run(self, requests: Sequence[Request], run: Run) -> list[Timed]:
        """The result of each request; `run` tries those that have to be."""
        try:
            cases = await self._cases(requests)
            found = await self._proved(cases)
        except CommandFailed:
            # Somebody's objects cannot be read: the trials themselves say whose.
            return await run(requests)
        left = [place for place in range(len(requests)) if place not in found]
        timed = await run([requests[place] for place in left]) if left else []
        self._kept.proved += len(found)
        self._kept.tried += len(left)
        found |= dict(zip(left, timed, strict=True))
        await self._keep([(cases[place], found[place].result) for place in left])
        self._kept.save()
        return [found[place] for place in range(len(requests))]

    async def keys(self, requests: Sequence[Request]) -> list[str | None]:
        """The key of each request's trial (see `shipit.merge.keys`); None where nothing proves a result."""
        try:
            cases = await self._cases(requests)
            local = [case for case in cases if await case.find_steps(self._store)]
            series = await self._tried(local)
            views = await self._views(local, series)
        except CommandFailed:
            return [None] * len(requests)
        keys = {
            id(case): key_of(self._engine, case.request.again, tried, view, case.tip.tree)
            for case, tried, view in zip(local, series, views, strict=True)
            if case.tip is not None
        }
        return [
            keys.get(id(case)) or (digest(case.series, case.tip.tree) if case.series and case.tip else None)
            for case in cases
        ]

    async def _cases(self, requests: Sequence[Request]) -> list[_Case]:
        known, ordered = await look_up_all(self._store, requests)
        cases = [_Case(request, known, self._engine) for request in ordered]
        # What has landed is history's word, and asked every time.
        pairs = {
            (commit.id, case.tip.id)
            for case in cases
            if case.tip is not None and not case.request.again
            for commit in case.commits
        }
        there = await self._store.ancestors(pairs) if pairs else set()
        for case in cases:
            if case.tip is not None and any((commit.id, case.tip.id) in there for commit in case.commits):
                case.series = None
        return cases

    async def _proved(self, cases: Sequence[_Case]) -> dict[int, Timed]:
        """Place and result of those that a kept result answers."""
        found: dict[int, Timed] = {}
        candidates: dict[Pair, dict[int, Record]] = defaultdict(dict)
        for place, case in enumerate(cases):
            if case.series is None or case.tip is None:
                continue
            records = self._kept.of(case.series)
            same = next((one for one in records if one.tip_tree == case.tip.tree), None)
            if same is not None:
                found[place] = Timed(same.result, 0.0, is_kept=True)
                continue
            for record in records:
                if record.reach is not None and not record.reach.is_all:
                    candidates[record.tip_tree, case.tip.tree][place] = record
        moved = await self._trees.between(candidates)
        stands: dict[int, Record] = {}
        for pair, records_of in candidates.items():
            waiting = {place: one.reach for place, one in records_of.items() if one.reach is not None}
            hit = touched(waiting, moved[pair])
            stands |= {place: one for place, one in records_of.items() if place not in hit}
        return found | await self._rebased(cases, stands)

    async def _rebased(self, cases: Sequence[_Case], stands: dict[int, Record]) -> dict[int, Timed]:
        """The results that stand, with the trees they make of the new tips."""
        edits = [(_tip_tree(cases[place]), one) for place, record in stands.items() for one in record.changes]
        made = iter(await self._trees.edited(edits))
        found: dict[int, Timed] = {}
        for place, record in stands.items():
            trees = [next(made) for _ in record.changes]
            named = [tree for tree in trees if tree is not None]
            if len(named) < len(trees):
                continue
            result = _with_trees(record.result, named)
            series = cases[place].series
            if series is not None:
                self._kept.add(series, Record(_tip_tree(cases[place]), result, record.reach, record.changes))
            found[place] = Timed(result, 0.0, is_kept=True)
        return found

    async def _keep(self, done: Sequence[tuple[_Case, SeriesResult]]) -> None:
        chosen = [(case, result) for case, result in done if case.series is not None and is_kept(result)]
        if not self._kept.follows:
            for case, result in chosen:
                self._kept.add(case.series or "", Record(_tip_tree(case), result))
            return
        try:
            local = [case for case, _ in chosen if await case.find_steps(self._store)]
            reaches = dict(zip(map(id, local), await self._reaches(local), strict=True))
            steps = {pair for case, result in chosen for pair in _steps(case, result)}
            changes = await self._trees.between(steps)
        except CommandFailed:
            return
        for case, result in chosen:
            merged = tuple(changes[pair] for pair in _steps(case, result))
            reach = reaches.get(id(case))
            if reach is not None and not {change.path for one in merged for change in one} <= reach.paths:
                # It led to other paths than its patches': what they hang on we do not know.
                reach = Reach(reach.paths, reach.folders, is_all=True)
            self._kept.add(case.series or "", Record(_tip_tree(case), result, reach, merged))

    async def _reaches(self, cases: Sequence[_Case]) -> list[Reach]:
        series = await self._tried(cases)
        views = await self._views(cases, series)
        return [
            Reach(
                frozenset(change.path for patch in tried for change in patch.changes),
                frozenset(homes(tried)),
                is_all=not is_local(tried, view),
            )
            for tried, view in zip(series, views, strict=True)
        ]

    async def _tried(self, cases: Sequence[_Case]) -> list[list[Tried]]:
        pairs = {step for case in cases for step in case.steps or ()}
        changes = await self._trees.between(pairs)
        wanted: dict[str, set[bytes]] = defaultdict(set)
        for (base, theirs), made in changes.items():
            wanted[base] |= {change.path for change in made if change.before is None}
            wanted[theirs] |= {change.path for change in made if change.after is None}
        folders = await self._trees.folders(
            {tree: _askable(paths) for tree, paths in wanted.items() if paths}
        )
        return [case.tried(changes, folders) for case in cases]

    async def _views(self, cases: Sequence[_Case], series: Sequence[Sequence[Tried]]) -> list[View]:
        wanted: dict[str, set[bytes]] = defaultdict(set)
        for case, tried in zip(cases, series, strict=True):
            wanted[_tip_tree(case)] |= asked(tried)
        views = await self._trees.views({tree: _askable(paths) for tree, paths in wanted.items()})
        return [views[_tip_tree(case)] for case in cases]


def _askable(paths: set[bytes]) -> set[bytes]:
    """Those that can be asked of git line by line; the others look absent, which proves nothing."""
    return {path for path in paths if b"\n" not in path}


def _tip_tree(case: _Case) -> str:
    return case.tip.tree if case.tip is not None else ""


def _steps(case: _Case, result: SeriesResult) -> list[Pair]:
    """The tip's tree with that of each patch that merged."""
    return [
        (_tip_tree(case), patch.tree)
        for patch in result.patches
        if patch.outcome is Outcome.CLEAN and patch.tree is not None
    ]


def _with_trees(result: SeriesResult, trees: Sequence[str]) -> SeriesResult:
    """A result whose merged patches made other trees."""
    rest = iter(trees)
    patches = tuple(
        msgspec.structs.replace(patch, tree=next(rest)) if patch.outcome is Outcome.CLEAN else patch
        for patch in result.patches
    )
    return msgspec.structs.replace(
        result, tree=trees[-1] if result.tree is not None and trees else None, patches=patches
    )
