# SPDX-License-Identifier: MPL-2.0
"""The rules of a series: its order, and what its patches' outcomes say together."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from shipit.merge.types import Commit, Outcome, Patch, PatchResult, SeriesResult

# After these nothing is tried any more: the next patch would stand on a tree that nobody has.
STOPPING = frozenset((Outcome.CONFLICT, Outcome.MISSING, Outcome.ERROR))
_WORST_FIRST = (Outcome.ERROR, Outcome.CONFLICT, Outcome.MISSING)
_BEST_FIRST = (Outcome.CLEAN, Outcome.EMPTY, Outcome.LANDED)


class Request(msgspec.Struct, frozen=True):
    """One trial to be run: a series of patches onto a tip (a ref or commit of the clone).

    again: merge also what is on the train already (as somebody who uplifts it a second time would).
    """

    onto: str
    series: tuple[Patch, ...]
    again: bool = False


def in_order(
    series: Sequence[Patch], ids: Sequence[str | None], below: Collection[tuple[str, str]]
) -> list[int]:
    """Places of a series' patches in the order to try them: ancestors first, otherwise as given.

    ids: the full id of each commit, None for what is not a known commit. below: pairs (ancestor, descendant).
    """
    left = list(range(len(series)))
    order: list[int] = []
    while left:
        place = next(place for place in left if not _waits(place, left, ids, below))
        left.remove(place)
        order.append(place)
    return order


def _waits(
    place: int, left: Sequence[int], ids: Sequence[str | None], below: Collection[tuple[str, str]]
) -> bool:
    own = ids[place]
    if own is None:
        return False
    return any(ids[other] not in (None, own) and (ids[other], own) in below for other in left)


def pairs_within(ids: Sequence[str | None]) -> set[tuple[str, str]]:
    """The pairs of commits whose order has to be known to order a series."""
    known = {name for name in ids if name is not None}
    return {(one, other) for one in known for other in known if one != other}


def settle(patches: Sequence[PatchResult], tree: str | None) -> SeriesResult:
    """The series' result. tree: the tree after the last patch that merged, the tip's when none changed it."""
    outcomes = {patch.outcome for patch in patches}
    for outcome in _WORST_FIRST:
        if outcome in outcomes:
            return SeriesResult(outcome, None, tuple(patches))
    for outcome in _BEST_FIRST:
        if outcome in outcomes:
            return SeriesResult(outcome, tree, tuple(patches))
    return SeriesResult(Outcome.MISSING, None, tuple(patches))


def named(patch: Patch) -> str | None:
    """The revision to look up in the clone before a patch can be tried."""
    return patch.revision if isinstance(patch, Commit) else patch.base
