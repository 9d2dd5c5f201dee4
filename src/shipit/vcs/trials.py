# SPDX-License-Identifier: MPL-2.0
"""Run many trials on a store: look everything up at once, then merge all series level by level."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shipit.errors import CommandFailed
from shipit.merge.series import STOPPING, Request, in_order, named, pairs_within, settle
from shipit.merge.store import Known, Merge, Merged, Store, Unknown
from shipit.merge.types import Commit, Conflict, Outcome, Patch, PatchResult, RawDiff, SeriesResult

# Raw diffs made into trees at the same time; each costs a few short processes.
DIFFS_AT_ONCE = 4

Pair = tuple[str, str]


class _Series:
    """One request on its way: where it stands, and what its patches became so far."""

    def __init__(self, request: Request, tip: Known) -> None:
        self.tip = tip
        self.tree = tip.tree
        # What the last patch of the stack made of its own base: where an unlanded child begins.
        self.before: str | None = None
        self.waiting = list(request.series)
        self.results: list[PatchResult] = []
        self.seconds = 0.0
        # The merge that the series ended at, to show what conflicts.
        self.conflict: tuple[Merge, Merged] | None = None

    def record(
        self,
        patch: Patch,
        outcome: Outcome,
        *,
        conflicts: tuple[Conflict, ...] = (),
        reason: str | None = None,
    ) -> None:
        """The outcome of the patch in turn; one that does not merge makes the rest skipped."""
        self.waiting.pop(0)
        tree = None if outcome in STOPPING else self.tree
        self.results.append(
            PatchResult(patch.revision, outcome, tree=tree, conflicts=conflicts, reason=reason)
        )
        if outcome in STOPPING:
            because = f"{patch.revision} before it did not merge"
            self.results += [
                PatchResult(revision=rest.revision, outcome=Outcome.SKIPPED, reason=because)
                for rest in self.waiting
            ]
            self.waiting.clear()


class Timed:
    """A series' result with the seconds of merging that went into it (a batch's time shared by its merges).

    conflict: the merge at which the series ended, when it ended with a conflict. is_kept: nothing was merged,
    the result of an earlier trial is proved to stand; what its conflict looks like stands as well.
    """

    def __init__(
        self,
        result: SeriesResult,
        seconds: float,
        conflict: tuple[Merge, Merged] | None = None,
        *,
        is_kept: bool = False,
    ) -> None:
        self.result = result
        self.seconds = seconds
        self.conflict = conflict
        self.is_kept = is_kept


async def run(store: Store, requests: Sequence[Request]) -> list[SeriesResult]:
    """The result of each request, in order. A request that fails never disturbs the others."""
    return [timed.result for timed in await run_timed(store, requests)]


async def run_timed(store: Store, requests: Sequence[Request]) -> list[Timed]:
    """As `run`, with the seconds of each."""
    try:
        known, ordered, landed = await _prepare(store, requests)
    except CommandFailed as error:
        if len(requests) > 1:
            # Somebody's history cannot be read: find out whose, and spare the others.
            half = len(requests) // 2
            return [*await run_timed(store, requests[:half]), *await run_timed(store, requests[half:])]
        return [Timed(_nothing(request, f"the clone cannot be read: {error}"), 0.0) for request in requests]
    series = [_start(request, known) for request in ordered]
    active = [one for one in series if isinstance(one, _Series)]
    while active := [one for one in active if one.waiting]:
        await _level(store, active, known, landed)
    await _mark_landed(store, [one for one in series if isinstance(one, _Series)], known)
    return [
        Timed(settle(one.results, one.tree), one.seconds, one.conflict)
        if isinstance(one, _Series)
        else Timed(one, 0.0)
        for one in series
    ]


async def _prepare(
    store: Store, requests: Sequence[Request]
) -> tuple[dict[str, Known | Unknown], list[Request], set[Pair]]:
    """What all names lead to, the requests in order, and who has landed where."""
    known, ordered = await look_up_all(store, requests)
    return known, ordered, await _landed(store, ordered, known)


async def look_up_all(
    store: Store, requests: Sequence[Request]
) -> tuple[dict[str, Known | Unknown], list[Request]]:
    """What all names lead to, and the requests with their patches in order. Raises CommandFailed."""
    names = {request.onto for request in requests}
    names |= {name for request in requests for patch in request.series if (name := named(patch)) is not None}
    known = await store.look_up(names)
    return known, await _ordered(store, requests, known)


async def _ordered(
    store: Store, requests: Sequence[Request], known: dict[str, Known | Unknown]
) -> list[Request]:
    def ids(request: Request) -> list[str | None]:
        return [_id(known, patch) for patch in request.series]

    pairs: set[Pair] = set()
    for request in requests:
        pairs |= pairs_within(ids(request))
    below = await store.ancestors(pairs) if pairs else set()
    return [
        Request(
            request.onto,
            tuple(request.series[place] for place in in_order(request.series, ids(request), below)),
            request.again,
        )
        for request in requests
    ]


def _id(known: dict[str, Known | Unknown], patch: Patch) -> str | None:
    found = known.get(patch.revision) if isinstance(patch, Commit) else None
    return found.id if isinstance(found, Known) else None


async def _landed(store: Store, requests: Sequence[Request], known: dict[str, Known | Unknown]) -> set[Pair]:
    """The (commit, tip) pairs that are on their tip and stand there."""
    pairs: dict[Pair, tuple[Known, Known]] = {}
    for request in requests:
        tip = known[request.onto]
        if request.again or isinstance(tip, Unknown):
            continue
        for patch in request.series:
            found = known.get(patch.revision) if isinstance(patch, Commit) else None
            if isinstance(found, Known):
                pairs[found.id, tip.id] = (found, tip)
    there = await store.ancestors(pairs.keys()) if pairs else set()
    if not there:
        return there
    standing = there - await store.backed_out(there)
    return standing - await _undone(store, [pairs[pair] for pair in sorted(standing)])


async def _undone(store: Store, landings: Sequence[tuple[Known, Known]]) -> set[Pair]:
    """Of landings, those of which nothing is left: whoever undid them need not have said so.

    Taking the patch out again changes nothing on the tip.
    """
    merges = {
        (found.id, tip.id): Merge(found.tree, tip.tree, found.base)
        for found, tip in landings
        if found.base is not None and found.base != found.tree
    }
    answers = await store.merge(list(merges.values()))
    return {
        pair
        for (pair, merge), merged in zip(merges.items(), answers, strict=True)
        if merged.tree == merge.ours
    }


def _start(request: Request, known: dict[str, Known | Unknown]) -> _Series | SeriesResult:
    tip = known[request.onto]
    if isinstance(tip, Unknown):
        return _nothing(request, f"the tip {request.onto!r} {tip.reason}")
    return _Series(request, tip)


def _nothing(request: Request, reason: str) -> SeriesResult:
    """Nothing could be tried."""
    results = [PatchResult(patch.revision, Outcome.ERROR, reason=reason) for patch in request.series]
    return SeriesResult(Outcome.ERROR, None, tuple(results))


async def _level(
    store: Store, active: Sequence[_Series], known: dict[str, Known | Unknown], landed: set[Pair]
) -> None:
    """Try the next patch of every series, all in one go."""
    slots = asyncio.Semaphore(DIFFS_AT_ONCE)

    async def plan(series: _Series) -> tuple[_Series, Patch, Merge, str | None] | None:
        patch = series.waiting[0]
        how = None
        if isinstance(patch, Commit):
            merge = _plan_commit(series, patch, known[patch.revision], landed)
        else:
            async with slots:
                merge, how = await _plan_diff(store, series, patch, known)
        return None if merge is None else (series, patch, merge, how)

    planned = [one for one in await asyncio.gather(*(plan(series) for series in active)) if one is not None]
    answers = await store.merge([merge for _, _, merge, _ in planned])
    for (series, patch, merge, how), merged in zip(planned, answers, strict=True):
        series.seconds += merged.seconds
        series.before = merge.theirs
        if merged.conflicts:
            series.conflict = (merge, merged)
        _conclude(series, patch, merged, how)


def _plan_commit(series: _Series, patch: Commit, found: Known | Unknown, landed: set[Pair]) -> Merge | None:
    if isinstance(found, Unknown):
        outcome = Outcome.ERROR if found.is_broken else Outcome.MISSING
        series.record(patch, outcome, reason=f"{patch.revision} {found.reason}")
    elif (found.id, series.tip.id) in landed:
        series.record(patch, Outcome.LANDED, reason=f"{found.id[:12]} is on the train")
    elif found.base is None:
        count = len(found.parents)
        reason = f"{found.id[:12]} is a merge of {count} parents: which side is the change cannot be told"
        series.record(patch, Outcome.ERROR, reason=reason)
    else:
        return Merge(found.base, series.tree, found.tree)
    return None


async def _plan_diff(
    store: Store, series: _Series, patch: RawDiff, known: dict[str, Known | Unknown]
) -> tuple[Merge | None, str | None]:
    base = known.get(patch.base) if patch.base is not None else None
    tree = base.tree if isinstance(base, Known) else None
    try:
        applied = await store.apply(patch.diff, base=tree, before=series.before, tip=series.tree)
    except CommandFailed as error:
        series.record(patch, Outcome.ERROR, reason=f"the diff could not be tried: {error}")
        return None, None
    if applied.base is None or applied.theirs is None:
        outcome = Outcome.ERROR if applied.is_refused else Outcome.MISSING
        series.record(patch, outcome, reason=applied.reason)
        return None, None
    return Merge(applied.base, series.tree, applied.theirs), applied.how


def _conclude(series: _Series, patch: Patch, merged: Merged, how: str | None) -> None:
    if merged.reason is not None:
        series.record(patch, Outcome.ERROR, reason=merged.reason)
    elif merged.tree is None:
        series.record(patch, Outcome.CONFLICT, conflicts=merged.conflicts, reason=how)
    elif merged.tree == series.tree:
        series.record(patch, Outcome.EMPTY, reason=how)
    else:
        series.tree = merged.tree
        series.record(patch, Outcome.CLEAN, reason=how)


async def _mark_landed(store: Store, done: Sequence[_Series], known: dict[str, Known | Unknown]) -> None:
    """An empty trial whose twin stands on the train has landed."""
    pairs = {
        (found.id, series.tip.id)
        for series in done
        for result in series.results
        if result.outcome is Outcome.EMPTY and isinstance(found := known.get(result.revision), Known)
    }
    if not pairs:
        return
    try:
        twins = await store.twins(pairs)
    except CommandFailed:
        # Whether a twin is there is a finer word for the same fact: nothing changes.
        return
    for series in done:
        for place, result in enumerate(series.results):
            found = known.get(result.revision)
            if result.outcome is not Outcome.EMPTY or not isinstance(found, Known):
                continue
            if twin := twins.get((found.id, series.tip.id)):
                reason = f"{twin[:12]} on the train is the same patch"
                series.results[place] = PatchResult(
                    result.revision, Outcome.LANDED, result.tree, reason=reason
                )
