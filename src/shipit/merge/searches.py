# SPDX-License-Identifier: MPL-2.0
"""What searches for prerequisites see of a clone, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from shipit.merge.conflicts import Side
from shipit.merge.history import Entry, History
from shipit.merge.regions import Change, Span
from shipit.merge.store import Merge, Merged

_REGULAR = frozenset(("100644", "100755"))


class Ground(Protocol):
    """The clone as a search sees it."""

    @property
    def history(self) -> History:
        """The index of commits, which holds the tip and the series."""

    async def merge(self, merge: Merge) -> Merged:
        """The outcome of a merge of trees."""

    async def read(self, names: Sequence[str]) -> list[bytes | None]:
        """Contents of files by id; None for what cannot be read."""

    async def settled(self, merged: Merged, contents: Mapping[bytes, bytes]) -> str | None:
        """The tree of a conflicting merge with these contents in the places of its conflicts; None if not."""

    async def spans(self, change: Change) -> Sequence[Span] | None:
        """The differing places of a change, read now if the index has not; None when nobody can know them."""

    async def weight(self, entries: Sequence[Entry]) -> list[int]:
        """How many lines each commit adds and removes; 0 for what cannot be read."""


class Verdict(StrEnum):
    """How a search ended."""

    CLEAN = "clean"
    LANDED = "landed"
    FOUND = "found"
    EMPTY = "empty"
    BLOCKED = "blocked"
    TOO_MUCH = "too much"
    ERROR = "error"


class Stop(msgspec.Struct, frozen=True):
    """Where a sequence of commits does not merge any further."""

    member: Entry
    merge: Merge
    merged: Merged


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found.

    prerequisites: in main's order; only with FOUND have they been verified by merging. first: where the
    series stops on the tip without them. last: where it stopped at the end, when BLOCKED. merges: how many
    were done. before, after: trees of the whole sequence. own: the train's own commits; landed: commits of
    main that it carries under another id, to that id's position. candidates: what main has and it has not.
    preferred: with BLOCKED, prerequisites with which the series merges if these of them are merged with a
    preference for the train: named, not verified.
    """

    verdict: Verdict
    prerequisites: tuple[Entry, ...] = ()
    first: Stop | None = None
    last: Stop | None = None
    tree: str | None = None
    merges: int = 0
    reason: str | None = None
    own: frozenset[int] = frozenset()
    candidates: frozenset[int] = frozenset()
    preferred: frozenset[int] = frozenset()


def conflict_paths(merged: Merged) -> list[bytes]:
    """Every path that takes part in a conflict, ascending."""
    said = (message for message in merged.messages if message.kind.startswith("CONFLICT"))
    return sorted({*merged.sides, *(path for message in said for path in message.paths)})


def is_by_lines(sides: dict[int, Side]) -> bool:
    """Whether a conflict has all three sides, as files whose lines can be compared."""
    return set(sides) == {1, 2, 3} and all(side.mode in _REGULAR for side in sides.values())
