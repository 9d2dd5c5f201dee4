# SPDX-License-Identifier: MPL-2.0
"""Our Mercurial clone, without a working copy: main and the trains, kept fresh, mended when broken."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from shipit.errors import CommandFailed, InvalidInput, Unavailable
from shipit.vcs.clone import (
    ASK_SECONDS,
    LOCK_SECONDS,
    LOOK_SECONDS,
    MAINTENANCE_SECONDS,
    Clone,
    Updated,
    _Broken,
)
from shipit.vcs.git import GitAnswer
from shipit.vcs.hg import hg, is_hg

TIPS = "shipit-tips"
_SCHEMES = frozenset(("", "file", "http", "https", "ssh"))
# What a broken store makes hg say; a broken network says none of it.
_BROKEN = (
    b"integrity check failed",
    b"no node",
    b"no match found",
    b"unknown parent",
    b"corrupt",
    b"is truncated",
    b"index 00",
    b"unknown revlog",
    b"requires features unknown",
    b"unexpected end of data",
)


class _Names(msgspec.Struct, frozen=True):
    bookmarks: Mapping[str, str]
    branches: Mapping[str, tuple[str, ...]]


class HgClone(Clone):
    """A Mercurial clone in `folder`; a train's branch is a bookmark or a named branch of the remote.

    Which commit each of them is at stands in a file of ours in the clone: what the remote calls "beta" now
    need not be what a bookmark of that name says here.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        main: str = "default",
        timeout: float = 900.0,
        lock_timeout: float = LOCK_SECONDS,
    ) -> None:
        """url: where it comes from, without a password in it. timeout: seconds for one pull."""
        super().__init__(folder, url, main=main, timeout=timeout, lock_timeout=lock_timeout)
        if urlsplit(url).scheme not in _SCHEMES:
            raise InvalidInput("repository url", expected="an address by http, https, ssh, or a folder")

    async def verify(self) -> str | None:
        """What is wrong with the clone's store, None when it is whole; long on a big one."""
        answer = await hg(self.folder, "verify", "--quiet", timeout=MAINTENANCE_SECONDS, check=False)
        if answer.code == 0:
            return None
        found = (answer.stderr + answer.stdout).decode("utf-8", "replace").strip()[-500:]
        return found or f"hg verify ended with {answer.code}"

    async def maintain(self) -> None:
        """Warm Mercurial's caches off the hot path; see `Clone.maintain`. Raises Unavailable."""
        async with self._alone("maintained", patience=LOOK_SECONDS):
            self._complain(
                await hg(self.folder, "debugupdatecaches", timeout=MAINTENANCE_SECONDS, check=False)
            )

    async def _damage(self) -> str | None:
        if not self.folder.exists():
            await self._begin(self.folder)
            return None
        if not is_hg(self.folder):
            return "it is no Mercurial repository"
        if (self.folder / ".hg/store/journal").exists():
            # A killed pull left it; undoing what it had begun is what hg asks for.
            await hg(self.folder, "recover", timeout=self._timeout, check=False)
        try:
            known = await self._refs(self.folder)
        except Unavailable as error:
            return error.detail
        if not known:
            return None
        revisions = [word for name in sorted(set(known.values())) for word in ("-r", name)]
        answer = await hg(self.folder, "log", *revisions, "-T", "{node} {manifest}\n", check=False)
        if answer.code != 0:
            return f"the tip of a branch cannot be read: {answer.complaint}"
        return None

    async def _begin(self, folder: Path) -> None:
        try:
            await hg(None, "init", "--", str(folder))
        except CommandFailed as error:
            raise Unavailable(f"clone {self.folder.name}", error.stderr) from error

    async def _refs(self, folder: Path) -> dict[str, str]:
        if not is_hg(folder):
            raise Unavailable(f"clone {self.folder.name}", "it is no Mercurial repository")
        try:
            return msgspec.json.decode((folder / ".hg" / TIPS).read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(f"clone {self.folder.name}", f"its tips cannot be read: {error}") from error

    async def _fetch(self, folder: Path, wanted: Sequence[str]) -> Updated:
        before = await self._refs(folder)
        remote = await self._remote(wanted)
        stale = [branch for branch in wanted if branch in remote and remote[branch] != before.get(branch)]
        after = dict(before)
        if stale and not before and urlsplit(self.url).scheme in ("http", "https"):
            # Only a pull of everything may begin with the bundles that a big server keeps ready.
            await self._pull(folder, [])
        # main first and alone: it holds nearly everything, and what is pulled stays when the rest fails.
        first = [branch for branch in stale if branch == self.main]
        for group in (first, [branch for branch in stale if branch != self.main]):
            if group:
                await self._pull(folder, sorted({remote[branch] for branch in group}))
                after |= {branch: remote[branch] for branch in group}
                _write_tips(folder, after)
        moved = {branch: (before.get(branch), after[branch]) for branch in stale}
        return Updated(moved, tuple(branch for branch in wanted if branch not in remote))

    async def _remote(self, wanted: Sequence[str]) -> dict[str, str]:
        """The commit of each name at the remote; a bookmark goes before a branch of the same name."""
        answer = await hg(
            None, "debugshipitnames", "--", self.url, timeout=min(ASK_SECONDS, self._timeout), check=False
        )
        self._complain(answer)
        try:
            names = msgspec.json.decode(answer.stdout, type=_Names)
        except msgspec.MsgspecError as error:
            raise Unavailable(f"clone {self.folder.name}", "the remote's names cannot be read") from error
        tips = {branch: heads[-1] for branch, heads in names.branches.items() if heads}
        return {
            branch: found for branch in wanted if (found := names.bookmarks.get(branch) or tips.get(branch))
        }

    async def _pull(self, folder: Path, revisions: Sequence[str]) -> None:
        words = [word for revision in revisions for word in ("-r", revision)]
        answer = await hg(
            folder, "pull", "--quiet", *words, "--", self.url, timeout=self._timeout, check=False
        )
        if answer.code not in (0, None) and any(word in answer.stderr for word in _BROKEN):
            raise _Broken(self._said(answer))
        self._complain(answer)

    def _said(self, answer: GitAnswer) -> str:
        return super()._said(answer).replace("git ended", "hg ended")


def _write_tips(folder: Path, tips: Mapping[str, str]) -> None:
    """Replace the file of tips at once."""
    file = folder / ".hg" / TIPS
    half = file.with_name(f"{TIPS}.{os.getpid()}")
    half.write_text(json.dumps(tips, sort_keys=True), "utf-8")
    half.replace(file)
