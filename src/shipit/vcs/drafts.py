# SPDX-License-Identifier: MPL-2.0
"""Series of a clone as searches and plans see them: commits by name, raw diffs as drafts above main."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.errors import InvalidInput
from shipit.merge.history import Entry, Said
from shipit.merge.overlay import Overlay
from shipit.merge.rawdiff import Hostile, read_diff
from shipit.merge.types import Commit, Patch, RawDiff
from shipit.vcs.applying import Applier
from shipit.vcs.ground import GitGround


class Drafts:
    """Series of one clone. Their entries are of `ground`, which grows with each raw diff."""

    def __init__(self, ground: GitGround, main: Entry) -> None:
        """main: the head of main, on which a diff is taken to be made whose base nobody knows."""
        self._clone = ground
        self._main = main
        self._applier = Applier(ground.shadow)
        self._made: list[Entry] = []

    @property
    def ground(self) -> Overlay:
        """The clone with the drafts so far."""
        return Overlay(self._clone, self._made)

    async def entries(self, series: Sequence[Patch], *, tip: Entry, bug: int) -> list[Entry]:
        """The patches of a series as entries, in its order.

        Raises InvalidInput for a patch that is no commit of the clone or cannot be made into trees,
        CommandFailed when the clone cannot be read.
        """
        found: list[Entry] = []
        before: str | None = None
        for patch in series:
            if isinstance(patch, Commit):
                (entry,) = await self._clone.entries([patch.revision])
            else:
                entry = await self._draft(patch, tip=tip, before=before, bug=bug)
                self._made.append(entry)
            found.append(entry)
            before = entry.tree
        return found

    async def _draft(self, patch: RawDiff, *, tip: Entry, before: str | None, bug: int) -> Entry:
        base = await self._known(patch.base)
        applied = await self._applier.apply(
            patch.diff, base=base.tree if base is not None else None, before=before, tip=tip.tree
        )
        if applied.base is None or applied.theirs is None:
            raise InvalidInput(patch.revision, expected=f"a diff that can be tried; {applied.reason}")
        on = base or self._main
        return Entry(
            # above all commits there will be, so that no index that grows meanwhile reaches it
            position=(1 << 40) + len(self._made),
            id=patch.revision,
            tree=applied.theirs,
            base=applied.base,
            parents=(on.position,),
            is_merge=False,
            author="",
            authored=on.authored,
            committed=on.committed,
            subject=patch.revision,
            said=Said(bugs=(bug,)),
            patch=b"",
            paths=_paths(patch.diff),
            lines=0,
        )

    async def _known(self, revision: str | None) -> Entry | None:
        if revision is None:
            return None
        try:
            (entry,) = await self._clone.entries([revision])
        except InvalidInput:
            return None
        return entry


def _paths(diff: bytes) -> tuple[bytes, ...]:
    try:
        return tuple(sorted(read_diff(diff).paths))
    except Hostile:
        return ()
