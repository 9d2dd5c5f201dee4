# SPDX-License-Identifier: MPL-2.0
"""A history with patches on top that are no commits yet, so that a search sees them as any others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from shipit.merge.history import Entry, History
from shipit.merge.regions import Change, Span
from shipit.merge.searches import Ground
from shipit.merge.store import Merge, Merged


class Overlay:
    """A ground whose history holds drafts above its commits; itself a `Ground` and a `History`.

    A draft's position is above that of every commit; its parents are the commits that it was made on.
    """

    def __init__(self, ground: Ground, drafts: Sequence[Entry]) -> None:
        self._ground = ground
        self._drafts = {entry.position: entry for entry in drafts}

    @property
    def history(self) -> History:
        """The index of commits, with the drafts."""
        return self

    async def merge(self, merge: Merge) -> Merged:
        """The outcome of a merge of trees."""
        return await self._ground.merge(merge)

    async def read(self, names: Sequence[str]) -> list[bytes | None]:
        """Contents of files by id; None for what cannot be read."""
        return await self._ground.read(names)

    async def settled(self, merged: Merged, contents: Mapping[bytes, bytes]) -> str | None:
        """The tree of a conflicting merge with these contents in the places of its conflicts; None if not."""
        return await self._ground.settled(merged, contents)

    async def spans(self, change: Change) -> Sequence[Span] | None:
        """The differing places of a change; None when nobody can know them."""
        return await self._ground.spans(change)

    async def weight(self, entries: Sequence[Entry]) -> list[int]:
        """How many lines each commit adds and removes."""
        return await self._ground.weight(entries)

    def find(self, id_: str) -> Entry | None:
        """The commit with a full id, or the draft of that name."""
        draft = next((entry for entry in self._drafts.values() if entry.id == id_), None)
        return draft or self._ground.history.find(id_)

    def at(self, position: int) -> Entry:
        """The commit or draft at a position."""
        return self._drafts.get(position) or self._ground.history.at(position)

    def changes(self, path: bytes) -> Sequence[Change]:
        """What commits did to a path, oldest first; drafts are no history yet."""
        return self._ground.history.changes(path)

    def apart(self, one: Collection[int], other: Collection[int]) -> tuple[set[int], set[int]]:
        """As of commits; a draft counts to the side that names it, with all below what it was made on."""
        mine, yours = self._split(one), self._split(other)
        left, right = self._ground.history.apart(mine[1], yours[1])
        return left | mine[0], right | yours[0]

    def _split(self, positions: Collection[int]) -> tuple[set[int], set[int]]:
        """The drafts among some positions, and the commits: of a draft those that it was made on."""
        drafts = {position for position in positions if position in self._drafts}
        below = {parent for position in drafts for parent in self._drafts[position].parents}
        return drafts, (set(positions) - drafts) | below
