# SPDX-License-Identifier: MPL-2.0
"""Trials on a git clone, bare or not: never its working copy, never its configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType

from shipit.merge.hunks import PathHunks
from shipit.merge.series import Request
from shipit.merge.standing import Landing
from shipit.merge.store import Applied, Known, Merge, Merged, Unknown
from shipit.vcs import ancestry
from shipit.vcs.applying import Applier
from shipit.vcs.conflict_text import path_hunks
from shipit.vcs.differences import Differences
from shipit.vcs.engine import Engine
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


class GitTrials(Engine):
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
        super().__init__(remembers=remembers, kept=kept)
        self._shadow = Shadow(repo, scratch=scratch)
        self._workers = workers
        self._remembers = remembers
        self._progress = progress
        self._name = "git"
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
            self._incremental = self._proving(self._kept)
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

    def _proving(self, kept: KeptTrials) -> Incremental:
        return Incremental(Differences(self._shadow), self.store, kept, self._name)
