# SPDX-License-Identifier: MPL-2.0
"""Trials on a git clone, bare or not: never its working copy, never its configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType

from shipit.errors import Missing
from shipit.merge.hunks import PathHunks
from shipit.merge.series import Request
from shipit.merge.standing import Landing
from shipit.merge.store import Applied, Known, Merge, Merged, Unknown
from shipit.merge.types import Outcome, Patch, SeriesResult
from shipit.vcs import ancestry
from shipit.vcs.applying import Applier
from shipit.vcs.conflict_text import path_hunks
from shipit.vcs.differences import Differences
from shipit.vcs.kept_trials import KeptTrials
from shipit.vcs.merging import Merger, accepts_trees, git_version
from shipit.vcs.objects import look_up
from shipit.vcs.proving import Incremental
from shipit.vcs.shadow import Shadow
from shipit.vcs.trials import Timed, run_timed

RECYCLE_AFTER = 5_000

Pair = tuple[str, str]


class GitStore:
    """A git clone as `shipit.merge.store.Store`."""

    def __init__(self, shadow: Shadow, merger: Merger) -> None:
        self._shadow = shadow
        self._merger = merger
        self._applier = Applier(shadow)
        self._read: dict[str, Known] = {}
        self.merges = 0

    async def rest(self) -> None:
        """End every process that runs in the shadow."""
        await self._merger.rest()

    def forget(self) -> None:
        """The shadow was emptied."""
        self._merger.forget()
        self._applier.forget()
        self._read.clear()
        self.merges = 0

    async def look_up(self, names: Collection[str]) -> dict[str, Known | Unknown]:
        """The commits that revisions name. See `Store`."""
        # A full id means the same for ever.
        read: dict[str, Known | Unknown] = {name: self._read[name] for name in names if name in self._read}
        found = await look_up(self._shadow, [name for name in names if name not in read])
        self._read |= {answer.id: answer for answer in found.values() if isinstance(answer, Known)}
        return read | found

    async def ancestors(self, pairs: Collection[Pair]) -> set[Pair]:
        """See `Store`; raises CommandFailed on an unreadable history."""
        return await ancestry.ancestors(self._shadow, pairs)

    async def backed_out(self, pairs: Collection[Pair]) -> set[Pair]:
        """See `Store`; raises CommandFailed on an unreadable history."""
        return await ancestry.backed_out(self._shadow, self._landings(pairs))

    async def twins(self, pairs: Collection[Pair]) -> dict[Pair, str]:
        """See `Store`; raises CommandFailed on an unreadable history."""
        return await ancestry.twins(self._shadow, self._landings(pairs))

    async def merge(self, merges: Sequence[Merge]) -> list[Merged]:
        """See `Store`."""
        self.merges += len(merges)
        return await self._merger.merge(merges)

    def lines(self, merges: Sequence[Merge]) -> list[bytes]:
        """What git's merge process is told of each merge (its commits written, where it needs such)."""
        return self._merger.lines(merges)

    async def apply(self, diff: bytes, *, base: str | None, before: str | None, tip: str) -> Applied:
        """See `Store`; raises CommandFailed when the clone cannot be read."""
        return await self._applier.apply(diff, base=base, before=before, tip=tip)

    async def hunks(self, merge: Merge, merged: Merged, path: str) -> PathHunks:
        """What a merge's conflict in one path looks like. Raises Missing when the path does not conflict."""
        return await path_hunks(self._shadow, merged, path, labels=self._merger.labels(merge))

    def _landings(self, pairs: Collection[Pair]) -> dict[Pair, Landing]:
        landings = {}
        for commit, tip in sorted(pairs):
            known = self._read[commit]
            landings[commit, tip] = Landing(known.id, known.author, known.authored, known.message.strip())
        return landings


class GitTrials:
    """Runs trials on one git clone. Use as an async context manager; it cleans its scratch up when left."""

    def __init__(
        self,
        repo: Path,
        *,
        scratch: Path | None = None,
        workers: int = 1,
        remembers: bool = True,
        progress: Callable[[int], None] | None = None,
        kept: KeptTrials | None = None,
    ) -> None:
        """repo: a clone, only read. scratch: where trials write. workers: git processes at a time.

        remembers: equal merges, and equal trials while this is open, are done once. progress: told how many
        merges were just done. kept: results of earlier trials, which spare those that they prove, and take in
        the new ones; a file of them may outlive this process.
        """
        self._kept = kept if kept is not None else (KeptTrials(follows=False) if remembers else None)
        self._incremental: Incremental | None = None
        self._shadow = Shadow(repo, scratch=scratch)
        self._workers = workers
        self._remembers = remembers
        self._progress = progress
        self._name = "git"
        self._busy = asyncio.Lock()
        self._store: GitStore | None = None

    async def __aenter__(self) -> GitTrials:
        version = await git_version()
        trees = accepts_trees(version)
        self._name = f"git {version} {'pipe' if trees else 'batch'}"
        await self._shadow.__aenter__()
        merger = Merger(
            self._shadow,
            trees=trees,
            workers=self._workers,
            remembers=self._remembers,
            progress=self._progress,
        )
        self._store = GitStore(self._shadow, merger)
        if self._kept is not None:
            self._incremental = Incremental(Differences(self._shadow), self._store, self._kept, self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._store is not None:
            await self._store.rest()
        await self._shadow.__aexit__(kind, error, trace)
        self._store = None

    @property
    def name(self) -> str:
        """What ran the trials, in words for people: git's version and how it was fed."""
        return self._name

    @property
    def shadow(self) -> Shadow:
        """The clone without its configuration, for questions that are no trials."""
        return self._shadow

    @property
    def store(self) -> GitStore:
        """The store that trials run on, while open."""
        assert self._store is not None, "GitTrials is used as an async context manager"
        return self._store

    async def run(self, requests: Sequence[Request]) -> list[SeriesResult]:
        """The result of each request, in order; a failure is an outcome and stays with its request."""
        return [timed.result for timed in await self.run_timed(requests)]

    async def run_timed(self, requests: Sequence[Request]) -> list[Timed]:
        """As `run`, with the seconds of merging of each."""
        async with self._busy:
            if self._incremental is None:
                return await self._run(requests)
            return await self._incremental.run(requests, self._run)

    async def fresh(self, request: Request) -> Timed:
        """One trial run now, though its result may be kept: what its conflict looks like is not kept."""
        async with self._busy:
            (timed,) = await self._run([request])
            return timed

    async def keys(self, requests: Sequence[Request]) -> list[str | None]:
        """The key of each request's trial: while it is equal the outcome is; None where nothing proves it.

        See `shipit.merge.keys`. What has landed has none: history is asked every time.
        """
        async with self._busy:
            incremental = self._incremental or Incremental(
                Differences(self._shadow), self.store, KeptTrials(), self._name
            )
            return await incremental.keys(requests)

    async def hunks(self, onto: str, patch: Patch, path: str, *, after: tuple[Patch, ...] = ()) -> PathHunks:
        """What conflicts in one path of a patch that conflicts onto a tip, with the three sides.

        path: as its `Conflict` spells it. after: the patches of its series that come before it. Raises
        Missing when that patch, or that path of it, does not conflict (any more).
        """
        async with self._busy:
            (timed,) = await self._run([Request(onto, (*after, patch))])
            results = [result for result in timed.result.patches if result.outcome is Outcome.CONFLICT]
            if timed.conflict is None or not results or results[0].revision != patch.revision:
                raise Missing(f"{patch.revision} does not conflict onto {onto}")
            merge, merged = timed.conflict
            return await self.store.hunks(merge, merged, path)

    async def hunks_of(self, timed: Timed) -> tuple[PathHunks, ...]:
        """What conflicts in every path of a trial that was just run; nothing when it does not conflict."""
        if timed.conflict is None:
            return ()
        merge, merged = timed.conflict
        return tuple([await self.store.hunks(merge, merged, one.path) for one in merged.conflicts])

    async def _run(self, requests: Sequence[Request]) -> list[Timed]:
        timed: list[Timed] = []
        for start in range(0, len(requests), RECYCLE_AFTER):
            if self.store.merges > RECYCLE_AFTER:
                await self.store.rest()
                self._shadow.empty()
                self.store.forget()
            self._shadow.refresh()
            timed += await run_timed(self.store, requests[start : start + RECYCLE_AFTER])
        return timed
