# SPDX-License-Identifier: MPL-2.0
"""On which tree a raw diff is tried, and what is said of it: the same for git and for Mercurial."""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec

from shipit.merge.rawdiff import Hostile, RawFiles, read_diff
from shipit.merge.store import Applied
from shipit.vcs.complaints import EMPTY, NO_DIFF
from shipit.vcs.trees import NoFolder

_ON_BASE = "tried on its recorded base"
_ON_PATCH_BEFORE = "tried on what the patch before it left"
_ON_VERSIONS = "its base is unknown here: tried on the file versions it names"
_ON_TIP = "its base is unknown here: applied to the tip as it stands"
_IN_TIP = "its base is unknown here: the tip holds it already"


class Result(msgspec.Struct, frozen=True):
    """What a diff made of a tree. tree: None where it does not apply, and then complaint says why."""

    tree: str | None
    complaint: str = ""
    is_corrupt: bool = False


class DiffApplier(ABC):
    """Applies raw diffs: on the base they name, else on what comes nearest to it."""

    async def apply(self, diff: bytes, *, base: str | None, before: str | None, tip: str) -> Applied:
        """See `shipit.merge.store.Store.apply`. Raises CommandFailed when the clone cannot be read."""
        try:
            files = read_diff(diff)
            if not files.files:
                return Applied(reason=NO_DIFF if diff.strip() else EMPTY)
            for path in files.paths:
                self.check(path)
            return await self._apply(diff, files, base=base, before=before, tip=tip)
        except (Hostile, NoFolder) as error:
            return Applied(reason=f"refused: {error}", is_refused=True)

    @abstractmethod
    def check(self, path: bytes) -> None:
        """Raise Hostile for a path that must not be written."""

    @abstractmethod
    async def on(self, diff: bytes, files: RawFiles, tree: str) -> Result:
        """The diff applied to a tree."""

    @abstractmethod
    async def undone(self, diff: bytes, files: RawFiles, tree: str) -> Result:
        """The diff taken back from a tree."""

    @abstractmethod
    async def versions(self, files: RawFiles, tip: str) -> str | None:
        """The tip with what the diff says was there before it; None unless all of it is in the clone."""

    async def _apply(
        self, diff: bytes, files: RawFiles, *, base: str | None, before: str | None, tip: str
    ) -> Applied:
        complaint = ""
        for tree, how in ((base, _ON_BASE), (before, _ON_PATCH_BEFORE)):
            if tree is None:
                continue
            result = await self.on(diff, files, tree)
            if result.tree is not None:
                return Applied(base=tree, theirs=result.tree, how=how)
            if result.is_corrupt:
                return Applied(reason=f"the diff is corrupt: {result.complaint}", is_refused=True)
            complaint = complaint or result.complaint
        if base is not None:
            return Applied(reason=f"the diff does not apply on its own base: {complaint}", is_refused=True)
        return await self._without_base(diff, files, tip)

    async def _without_base(self, diff: bytes, files: RawFiles, tip: str) -> Applied:
        base = await self.versions(files, tip)
        if base is not None:
            result = await self.on(diff, files, base)
            if result.tree is not None:
                return Applied(base=base, theirs=result.tree, how=_ON_VERSIONS)
        result = await self.on(diff, files, tip)
        if result.tree is not None:
            return Applied(base=tip, theirs=result.tree, how=_ON_TIP)
        if result.is_corrupt:
            return Applied(reason=f"the diff is corrupt: {result.complaint}", is_refused=True)
        undone = await self.undone(diff, files, tip)
        if undone.tree is not None:
            return Applied(base=undone.tree, theirs=tip, how=_IN_TIP)
        reason = "raw diff without a known base, and it does not apply to the tip as it stands"
        return Applied(reason=f"{reason}: {result.complaint}")
