# SPDX-License-Identifier: MPL-2.0
"""Make a raw diff into two trees of a Mercurial clone, so that it is tried as any commit is."""

from __future__ import annotations

import base64

import msgspec

from shipit.merge.rawdiff import Hostile, RawFiles, check_path, read_diff
from shipit.merge.reversing import Irreversible, reverse_diff
from shipit.merge.store import Applied
from shipit.vcs.complaints import EMPTY, NO_DIFF, in_words
from shipit.vcs.hg import HgServer

_ON_BASE = "tried on its recorded base"
_ON_PATCH_BEFORE = "tried on what the patch before it left"
_ON_VERSIONS = "its base is unknown here: tried on the file versions it names"
_ON_TIP = "its base is unknown here: applied to the tip as it stands"
_IN_TIP = "its base is unknown here: the tip holds it already"


class _Result(msgspec.Struct, frozen=True):
    tree: str | None
    complaint: str = ""
    is_corrupt: bool = False


class HgApplier:
    """Applies raw diffs in a command server, and remembers what they made of which tree."""

    def __init__(self, server: HgServer) -> None:
        self._server = server
        self._known: dict[tuple[bytes, str], _Result] = {}

    async def apply(self, diff: bytes, *, base: str | None, before: str | None, tip: str) -> Applied:
        """See `shipit.merge.store.Store.apply`. Raises CommandFailed when the clone cannot be read."""
        try:
            files = read_diff(diff)
            if not files.files:
                return Applied(reason=NO_DIFF if diff.strip() else EMPTY)
            for path in files.paths:
                _check(path)
            return await self._apply(diff, files, base=base, before=before, tip=tip)
        except Hostile as error:
            return Applied(reason=f"refused: {error}", is_refused=True)

    async def _apply(
        self, diff: bytes, files: RawFiles, *, base: str | None, before: str | None, tip: str
    ) -> Applied:
        complaint = ""
        for tree, how in ((base, _ON_BASE), (before, _ON_PATCH_BEFORE)):
            if tree is None:
                continue
            result = await self._on(diff, files, tree)
            if result.tree is not None:
                return Applied(base=tree, theirs=result.tree, how=how)
            if result.is_corrupt:
                return Applied(reason=f"the diff is corrupt: {result.complaint}", is_refused=True)
            complaint = complaint or result.complaint
        if base is not None:
            return Applied(reason=f"the diff does not apply on its own base: {complaint}", is_refused=True)
        return await self._without_base(diff, files, tip)

    async def _without_base(self, diff: bytes, files: RawFiles, tip: str) -> Applied:
        base = await self._versions(files, tip)
        if base is not None:
            result = await self._on(diff, files, base)
            if result.tree is not None:
                return Applied(base=base, theirs=result.tree, how=_ON_VERSIONS)
        result = await self._on(diff, files, tip)
        if result.tree is not None:
            return Applied(base=tip, theirs=result.tree, how=_ON_TIP)
        if result.is_corrupt:
            return Applied(reason=f"the diff is corrupt: {result.complaint}", is_refused=True)
        try:
            undone = await self._on(reverse_diff(diff), files, tip)
        except Irreversible:
            undone = _Result(None)
        if undone.tree is not None:
            return Applied(base=undone.tree, theirs=tip, how=_IN_TIP)
        reason = "raw diff without a known base, and it does not apply to the tip as it stands"
        return Applied(reason=f"{reason}: {result.complaint}")

    async def _versions(self, files: RawFiles, tip: str) -> str | None:
        """The tip with what the diff says was there before it; None unless all of it is in the clone."""
        named = [file for file in files.files if file.old is not None]
        if not named or any(file.old_id is None for file in named):
            return None
        (answer,) = await self._server.ask(
            "versions",
            tip=tip,
            old=[((file.old or b"").decode("latin-1"), file.old_id, file.old_mode) for file in named],
            new=[
                file.new.decode("latin-1")
                for file in files.files
                if file.old is None and file.new is not None
            ],
        )
        tree = answer.get("tree")
        return None if tree is None else str(tree)

    async def _on(self, diff: bytes, files: RawFiles, tree: str) -> _Result:
        key = (diff, tree)
        if key not in self._known:
            (answer,) = await self._server.ask(
                "apply", diff=base64.b64encode(diff).decode("ascii"), strip=files.strip, tree=tree
            )
            for path in answer.get("changed", ()):
                # What hg took for a path must be one that we read and allowed.
                _check(path.encode("latin-1"))
            complaint = in_words(answer.get("complaint", ""))
            self._known[key] = _Result(answer.get("tree"), complaint, bool(answer.get("corrupt")))
        return self._known[key]


def _check(path: bytes) -> None:
    """Refuse also what names Mercurial's own folder."""
    check_path(path)
    if any(
        part.strip(b" .").lower() in (b".hg", b"hg~1") or part.lower() == b".hg" for part in path.split(b"/")
    ):
        raise Hostile(f"the diff names the path {path.decode('utf-8', 'backslashreplace')[:100]!r}")
