# SPDX-License-Identifier: MPL-2.0
"""What the engines for git and Mercurial have in common: trials in turn, kept results, shown conflicts."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from shipit.errors import Missing
from shipit.merge.hunks import PathHunks
from shipit.merge.series import Request
from shipit.merge.store import Merge, Merged, Store
from shipit.merge.types import Outcome, Patch, SeriesResult
from shipit.vcs.kept_trials import KeptTrials
from shipit.vcs.proving import Incremental
from shipit.vcs.trials import Timed


class ShowingStore(Store, Protocol):
    """A store that also shows what conflicts."""

    async def hunks(self, merge: Merge, merged: Merged, path: str) -> PathHunks:
        """What a merge's conflict in one path looks like. Raises Missing when the path does not conflict."""


class Engine(ABC):
    """Runs trials on one clone, one batch at a time."""

    def __init__(self, *, remembers: bool, kept: KeptTrials | None) -> None:
        """remembers, kept: see `GitTrials`."""
        self._kept = kept if kept is not None else (KeptTrials(follows=False) if remembers else None)
        self._incremental: Incremental | None = None
        self._busy = asyncio.Lock()

    @property
    @abstractmethod
    def store(self) -> ShowingStore:
        """The store that trials run on, while open."""

    @abstractmethod
    async def _run(self, requests: Sequence[Request]) -> list[Timed]:
        """Every trial run now."""

    @abstractmethod
    def _proving(self, kept: KeptTrials) -> Incremental:
        """Spares the trials that kept results prove."""

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
            return await (self._incremental or self._proving(KeptTrials())).keys(requests)

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
            return await self.store.hunks(*timed.conflict, path)

    async def hunks_of(self, timed: Timed) -> tuple[PathHunks, ...]:
        """What conflicts in every path of a trial that was just run; nothing when it does not conflict."""
        if timed.conflict is None:
            return ()
        merge, merged = timed.conflict
        return tuple([await self.store.hunks(merge, merged, one.path) for one in merged.conflicts])
