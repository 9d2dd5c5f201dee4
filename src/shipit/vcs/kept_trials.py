# SPDX-License-Identifier: MPL-2.0
"""Results of trials that are kept, and proved on a tip that moved on by one difference of the tips."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from shipit.errors import CommandFailed
from shipit.merge.keys import Change, Tried, View, asked, digest, homes, is_kept, is_local, key_of
from shipit.merge.requeue import Reach, touched
from shipit.merge.series import Request
from shipit.merge.store import Known, Store, Unknown
from shipit.merge.types import Commit, Outcome, Patch, SeriesResult
from shipit.vcs.differences import Differences
from shipit.vcs.packs import object_id
from shipit.vcs.shadow import Shadow
from shipit.vcs.trees import Folders, NoFolder, edit_tree
from shipit.vcs.trials import Timed, look_up_all

MOST_SERIES = 20_000
# Tips that a series is remembered on: as many as there are trains, and more.
MOST_TIPS = 8
_FORMAT = 1

Run = Callable[[Sequence[Request]], Awaitable[list[Timed]]]
Pair = tuple[str, str]
Changes = dict[Pair, tuple[Change, ...]]


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A result on a tip's tree. reach: None when it is proved for that very tree only.

    changes: what each patch that merged did to the tree it was merged into.
    """

    tip_tree: str
    result: SeriesResult
    reach: Reach | None = None
    changes: tuple[tuple[Change, ...], ...] = ()


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    format: int
    records: dict[str, list[Record]]


class KeptTrials:
    """Results by what was tried (patches, engine), the last used at the end.

    follows: find out of each result what it hangs on, so that it can be proved on later tips.
    """

    def __init__(self, file: Path | None = None, *, follows: bool = True) -> None:
        """file: kept there between processes; None: while this process lives."""
        self.file = file
        self.follows = follows
        self.proved = 0
        self.tried = 0
        self._records: dict[str, list[Record]] = _load(file) if file is not None else {}

    def of(self, series: str) -> list[Record]:
        """The records of a series, newest first."""
        return self._records.get(series, [])

    def add(self, series: str, record: Record) -> None:
        """Keep a record instead of an older one on the same tree."""
        others = [one for one in self._records.pop(series, []) if one.tip_tree != record.tip_tree]
        self._records[series] = [record, *others][:MOST_TIPS]
        while len(self._records) > MOST_SERIES:
            del self._records[next(iter(self._records))]

    def forget(self, series: str) -> None:
        """Drop what was kept of a series."""
        self._records.pop(series, None)

    def save(self) -> None:
        """Write the file anew, whole or not at all; a disk that does not let us costs only time."""
        if self.file is None:
            return
        body = msgspec.msgpack.encode(_Kept(_FORMAT, self._records))
        name = None
        try:
            handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=f".{self.file.name}.")
            with os.fdopen(handle, "wb") as out:
                out.write(zlib.crc32(body).to_bytes(4, "big") + body)
            Path(name).replace(self.file)
        except OSError:
            with contextlib.suppress(OSError):
                if name is not None:
                    Path(name).unlink()


def _load(file: Path) -> dict[str, list[Record]]:
    """What was kept; nothing where the file is not there, torn or of another make."""
    try:
        raw = file.read_bytes()
        kept = msgspec.msgpack.decode(raw[4:], type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return {}
    is_whole = raw[:4] == zlib.crc32(raw[4:]).to_bytes(4, "big") and kept.format == _FORMAT
    return kept.records if is_whole else {}


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
        for patch in request.series:
            if isinstance(patch, Commit) and isinstance(found := known[patch.revision], Known):
                self.commits.append(found)
        self.is_all_commits = len(self.commits) == len(request.series)

    def tried(self, changes: Changes, folders: Mapping[str, Folders]) -> list[Tried]:
        """The patches with their changes."""
        return [
            Tried(
                patch.revision,
                commit.base or "",
                commit.tree,
                changes[commit.base or "", commit.tree],
                frozenset(folders.get(commit.base or "", ())),
                frozenset(folders.get(commit.tree, ())),
            )
            for patch, commit in zip(self.request.series, self.commits, strict=True)
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

    def __init__(self, shadow: Shadow, store: Store, kept: KeptTrials, engine: str) -> None:
        """engine: version and options; another engine proves nothing."""
        self._hash_name = shadow.hash_name
        self._store = store
        self._kept = kept
        self._engine = engine
        self._diffs = Differences(shadow)

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
            local = [case for case in cases if case.series is not None and case.is_all_commits]
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
        moved = await self._diffs.between(candidates)
        stands: dict[int, Record] = {}
        for pair, records_of in candidates.items():
            waiting = {place: one.reach for place, one in records_of.items() if one.reach is not None}
            hit = touched(waiting, moved[pair])
            stands |= {place: one for place, one in records_of.items() if place not in hit}
        return found | await self._rebased(cases, stands)

    async def _rebased(self, cases: Sequence[_Case], stands: dict[int, Record]) -> dict[int, Timed]:
        """The results that stand, with the trees they make of the new tips."""
        wanted: dict[str, set[bytes]] = defaultdict(set)
        for place, record in stands.items():
            wanted[_tip_tree(cases[place])] |= {change.path for one in record.changes for change in one}
        folders = await self._diffs.folders({tree: paths for tree, paths in wanted.items() if paths})
        found: dict[int, Timed] = {}
        for place, record in stands.items():
            tree = _tip_tree(cases[place])
            changes: dict[bytes, tuple[str, str] | None] = {}
            trees = []
            try:
                for one in record.changes:
                    changes |= {change.path: change.after for change in one}
                    root = edit_tree(folders[tree], changes, hash_name=self._hash_name)[-1]
                    trees.append(object_id(*root, hash_name=self._hash_name))
            except NoFolder:
                continue
            result = _with_trees(record.result, trees)
            series = cases[place].series
            if series is not None:
                self._kept.add(series, Record(tree, result, record.reach, record.changes))
            found[place] = Timed(result, 0.0, is_kept=True)
        return found

    async def _keep(self, done: Sequence[tuple[_Case, SeriesResult]]) -> None:
        chosen = [(case, result) for case, result in done if case.series is not None and is_kept(result)]
        if not self._kept.follows:
            for case, result in chosen:
                self._kept.add(case.series or "", Record(_tip_tree(case), result))
            return
        try:
            local = [case for case, _ in chosen if case.is_all_commits]
            reaches = dict(zip(map(id, local), await self._reaches(local), strict=True))
            steps = {pair for case, result in chosen for pair in _steps(case, result)}
            changes = await self._diffs.between(steps)
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
        pairs = {(commit.base or "", commit.tree) for case in cases for commit in case.commits}
        changes = await self._diffs.between(pairs)
        wanted: dict[str, set[bytes]] = defaultdict(set)
        for (base, theirs), made in changes.items():
            wanted[base] |= {change.path for change in made if change.before is None}
            wanted[theirs] |= {change.path for change in made if change.after is None}
        folders = await self._diffs.folders(
            {tree: _askable(paths) for tree, paths in wanted.items() if paths}
        )
        return [case.tried(changes, folders) for case in cases]

    async def _views(self, cases: Sequence[_Case], series: Sequence[Sequence[Tried]]) -> list[View]:
        wanted: dict[str, set[bytes]] = defaultdict(set)
        for case, tried in zip(cases, series, strict=True):
            wanted[_tip_tree(case)] |= asked(tried)
        views = await self._diffs.views({tree: _askable(paths) for tree, paths in wanted.items()})
        return [views[_tip_tree(case)] for case in cases]


def _askable(paths: set[bytes]) -> set[bytes]:
    """Those that can be asked of git line by line; the others look absent, which proves nothing."""
    return {path for path in paths if b"\n" not in path}


def _tip_tree(case: _Case) -> str:
    return case.tip.tree if case.tip is not None else ""


def _steps(case: _Case, result: SeriesResult) -> list[Pair]:
    """The trees between which each merged patch led."""
    steps = []
    tree = _tip_tree(case)
    for patch in result.patches:
        if patch.outcome is Outcome.CLEAN and patch.tree is not None:
            steps.append((tree, patch.tree))
            tree = patch.tree
    return steps


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
