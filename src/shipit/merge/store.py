# SPDX-License-Identifier: MPL-2.0
"""What a trial needs of a clone, whichever system keeps it: the store of objects as merge sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from shipit.merge.conflicts import Message, Side
from shipit.merge.types import Conflict


class Known(msgspec.Struct, frozen=True):
    """A commit of the clone. tree, and base (its parent's tree; the empty one of a root) are opaque ids.

    author: name and address as recorded. authored: Unix seconds. message: subject, blank line, body.
    """

    id: str
    tree: str
    base: str | None
    parents: tuple[str, ...]
    author: str
    authored: int
    message: str

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0].strip()


class Unknown(msgspec.Struct, frozen=True):
    """A name that leads to no readable commit. is_broken: it exists, and cannot be read."""

    reason: str
    is_broken: bool = False


class Merge(msgspec.Struct, frozen=True):
    """A three-way merge of trees to be done: what changed from base to theirs, upon ours."""

    base: str
    ours: str
    theirs: str


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a merge.

    tree: the result, None unless it merged. reason: why it could not be found out; None when it merged or
    conflicts. marked: the tree with conflict markers. seconds: its share of the process's time.
    """

    tree: str | None = None
    conflicts: tuple[Conflict, ...] = ()
    reason: str | None = None
    marked: str | None = None
    sides: Mapping[bytes, Sequence[Side]] = {}
    messages: tuple[Message, ...] = ()
    seconds: float = 0.0


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A raw diff made into trees: base and theirs, or the reason why not.

    how: on what it was applied, in words for people. is_refused: it may not be tried (hostile, corrupt),
    in contrast to one that leads nowhere here.
    """

    base: str | None = None
    theirs: str | None = None
    how: str | None = None
    reason: str | None = None
    is_refused: bool = False


class Store(Protocol):
    """A clone on which trials run without a working copy. Pairs are (commit, tip), both full ids."""

    async def look_up(self, names: Collection[str]) -> dict[str, Known | Unknown]:
        """The commits that revisions name."""

    async def ancestors(self, pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those pairs whose commit is its tip or an ancestor of it."""

    async def backed_out(self, pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those pairs of a commit and a tip above it between which the commit was backed out for good."""

    async def twins(self, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """For pairs whose tip carries the same patch under another id, not backed out there: that id."""

    async def merge(self, merges: Sequence[Merge]) -> list[Merged]:
        """The outcome of each merge, in order."""

    async def apply(self, diff: bytes, *, base: str | None, before: str | None, tip: str) -> Applied:
        """Make a raw diff into trees.

        base: the tree it was made on, if known. before: the tree that the patch before it in its stack made.
        tip: the tree it shall land on.
        """
