# SPDX-License-Identifier: MPL-2.0
"""Make a raw diff into two trees, base and theirs, so that it is tried as any commit is.

git applies it to an index that holds only the files it touches: no working copy, whatever the tree's size.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping

import msgspec

from shipit.merge.rawdiff import FileDiff, Hostile, RawFiles, check_path, read_diff
from shipit.merge.store import Applied, Unknown
from shipit.vcs.complaints import EMPTY, NO_DIFF, in_words
from shipit.vcs.objects import read_objects
from shipit.vcs.shadow import Shadow
from shipit.vcs.trees import Entry, Folders, NoFolder, entry_at, read_folders, write_tree

APPLY_SECONDS = 60.0
# Words of git's complaint that mean the diff itself is broken, wherever it is applied.
_CORRUPT = (
    b"corrupt patch",
    b"corrupt binary patch",
    b"No valid patches in input",
    b"garbage",
    b"unrecognized",
)

_ON_BASE = "tried on its recorded base"
_ON_PATCH_BEFORE = "tried on what the patch before it left"
_ON_VERSIONS = "its base is unknown here: tried on the file versions it names"
_ON_TIP = "its base is unknown here: applied to the tip as it stands"
_IN_TIP = "its base is unknown here: the tip holds it already"


class _Result(msgspec.Struct, frozen=True):
    tree: str | None
    complaint: str = ""
    is_corrupt: bool = False


class Applier:
    """Applies raw diffs in a shadow, and remembers what they made of which tree."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow
        self._numbers = itertools.count()
        self._known: dict[tuple[bytes, str, bool], _Result] = {}

    def forget(self) -> None:
        """The shadow was emptied."""
        self._known.clear()

    async def apply(self, diff: bytes, *, base: str | None, before: str | None, tip: str) -> Applied:
        """See `shipit.merge.store.Store.apply`. Raises CommandFailed when the clone cannot be read."""
        try:
            files = read_diff(diff)
            if not files.files:
                return Applied(reason=NO_DIFF if diff.strip() else EMPTY)
            return await self._apply(diff, files, base=base, before=before, tip=tip)
        except (Hostile, NoFolder) as error:
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
        versions = await self._versions(files)
        if versions is not None:
            folders = await read_folders(self._shadow, tip, files.paths)
            base = write_tree(self._shadow, folders, versions)
            result = await self._on(diff, files, base)
            if result.tree is not None:
                return Applied(base=base, theirs=result.tree, how=_ON_VERSIONS)
        result = await self._on(diff, files, tip)
        if result.tree is not None:
            return Applied(base=tip, theirs=result.tree, how=_ON_TIP)
        if result.is_corrupt:
            return Applied(reason=f"the diff is corrupt: {result.complaint}", is_refused=True)
        undone = await self._on(diff, files, tip, reverse=True)
        if undone.tree is not None:
            return Applied(base=undone.tree, theirs=tip, how=_IN_TIP)
        reason = "raw diff without a known base, and it does not apply to the tip as it stands"
        return Applied(reason=f"{reason}: {result.complaint}")

    async def _versions(self, files: RawFiles) -> Mapping[bytes, Entry | None] | None:
        """What the diff says was there before it, by path; None unless all of it is in the clone."""
        named = [file for file in files.files if file.old is not None]
        if not named or any(file.old_id is None for file in named):
            return None
        names = [file.old_id or "" for file in named]
        found: dict[bytes, Entry | None] = {
            file.new: None for file in files.files if file.old is None and file.new is not None
        }
        for file, read in zip(named, await read_objects(self._shadow, names), strict=True):
            if isinstance(read, Unknown) or read.kind != "blob" or file.old is None:
                return None
            found[file.old] = (_mode(file), read.id)
        return found

    async def _on(self, diff: bytes, files: RawFiles, tree: str, *, reverse: bool = False) -> _Result:
        key = (hashlib.sha256(diff).digest(), tree, reverse)
        if key not in self._known:
            self._known[key] = await self._run(diff, files, tree, reverse=reverse)
        return self._known[key]

    async def _run(self, diff: bytes, files: RawFiles, tree: str, *, reverse: bool) -> _Result:
        folders = await read_folders(self._shadow, tree, files.paths)
        there = {path: entry for path in files.paths if (entry := entry_at(folders, path)) is not None}
        index = self._shadow.path / f"index-{next(self._numbers)}"
        env = {"GIT_INDEX_FILE": str(index)}
        try:
            lines = b"".join(
                f"{mode} {name}\t".encode() + path + b"\0" for path, (mode, name) in there.items()
            )
            await self._shadow.git("update-index", "-z", "--index-info", stdin=lines, env=env)
            words = ["apply", "--cached", "--whitespace=nowarn", f"-p{files.strip}"]
            words += ["--reverse"] if reverse else []
            answer = await self._shadow.git(
                *words, "-", stdin=diff, env=env, timeout=APPLY_SECONDS, check=False
            )
            if answer.code != 0:
                is_corrupt = any(word in answer.stderr for word in _CORRUPT)
                said = answer.stderr.decode("utf-8", "replace") or f"git ended with {answer.code}"
                return _Result(None, in_words(said), is_corrupt)
            listed = await self._shadow.git("ls-files", "--stage", "-z", env=env)
        finally:
            index.unlink(missing_ok=True)
        return _Result(self._write(folders, there, _entries(listed.stdout)))

    def _write(self, folders: Folders, old: Mapping[bytes, Entry], new: Mapping[bytes, Entry]) -> str:
        changes: dict[bytes, Entry | None] = {path: None for path in old if path not in new}
        for path, entry in new.items():
            if old.get(path) != entry:
                # What git took for a path must be one that we read and allowed.
                check_path(path)
                changes[path] = entry
        return write_tree(self._shadow, folders, changes)


def _entries(listed: bytes) -> dict[bytes, Entry]:
    entries: dict[bytes, Entry] = {}
    for record in listed.split(b"\0"):
        facts, _, path = record.partition(b"\t")
        if path:
            mode, name, _ = facts.decode().split(" ")
            entries[path] = (mode, name)
    return entries


def _mode(file: FileDiff) -> str:
    return file.old_mode if file.old_mode in ("100644", "100755", "120000") else "100644"
