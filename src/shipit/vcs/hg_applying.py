# SPDX-License-Identifier: MPL-2.0
"""Make a raw diff into two trees of a Mercurial clone, so that it is tried as any commit is."""

from __future__ import annotations

import base64

from shipit.merge.rawdiff import Hostile, RawFiles, check_path
from shipit.merge.reversing import Irreversible, reverse_diff
from shipit.vcs.complaints import in_words
from shipit.vcs.diff_applier import DiffApplier, Result
from shipit.vcs.hg import HgServer


class HgApplier(DiffApplier):
    """Applies raw diffs in a command server, and remembers what they made of which tree."""

    def __init__(self, server: HgServer) -> None:
        self._server = server
        self._known: dict[tuple[bytes, str], Result] = {}

    def check(self, path: bytes) -> None:
        """Refuse also what names Mercurial's own folder."""
        check_path(path)
        if any(_is_own(part) for part in path.split(b"/")):
            raise Hostile(f"the diff names the path {path.decode('utf-8', 'backslashreplace')[:100]!r}")

    async def undone(self, diff: bytes, files: RawFiles, tree: str) -> Result:
        """The diff taken back from a tree."""
        try:
            return await self.on(reverse_diff(diff), files, tree)
        except Irreversible:
            return Result(None)

    async def versions(self, files: RawFiles, tip: str) -> str | None:
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

    async def on(self, diff: bytes, files: RawFiles, tree: str) -> Result:
        """The diff applied to a tree."""
        key = (diff, tree)
        if key not in self._known:
            (answer,) = await self._server.ask(
                "apply", diff=base64.b64encode(diff).decode("ascii"), strip=files.strip, tree=tree
            )
            for path in answer.get("changed", ()):
                # What hg took for a path must be one that we read and allowed.
                self.check(path.encode("latin-1"))
            complaint = in_words(answer.get("complaint", ""))
            self._known[key] = Result(answer.get("tree"), complaint, bool(answer.get("corrupt")))
        return self._known[key]


def _is_own(part: bytes) -> bool:
    return part.strip(b" .").lower() in (b".hg", b"hg~1") or part.lower() == b".hg"
