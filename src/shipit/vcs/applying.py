# SPDX-License-Identifier: MPL-2.0
"""Make a raw diff into two trees, base and theirs, so that it is tried as any commit is.

git applies it to an index that holds only the files it touches: no working copy, whatever the tree's size.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping

from shipit.merge.rawdiff import FileDiff, RawFiles, check_path
from shipit.merge.store import Unknown
from shipit.vcs.complaints import in_words
from shipit.vcs.diff_applier import DiffApplier, Result
from shipit.vcs.objects import read_objects
from shipit.vcs.shadow import Shadow
from shipit.vcs.trees import Entry, Folders, entry_at, read_folders, write_tree

APPLY_SECONDS = 60.0
# Words of git's complaint that mean the diff itself is broken, wherever it is applied.
_CORRUPT = (
    b"corrupt patch",
    b"corrupt binary patch",
    b"No valid patches in input",
    b"garbage",
    b"unrecognized",
)


class Applier(DiffApplier):
    """Applies raw diffs in a shadow, and remembers what they made of which tree."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow
        self._numbers = itertools.count()
        self._known: dict[tuple[bytes, str, bool], Result] = {}

    def forget(self) -> None:
        """The shadow was emptied."""
        self._known.clear()

    def check(self, path: bytes) -> None:
        """Raise Hostile for a path that must not be written."""
        check_path(path)

    async def on(self, diff: bytes, files: RawFiles, tree: str) -> Result:
        """The diff applied to a tree."""
        return await self._once(diff, files, tree, reverse=False)

    async def undone(self, diff: bytes, files: RawFiles, tree: str) -> Result:
        """The diff taken back from a tree."""
        return await self._once(diff, files, tree, reverse=True)

    async def versions(self, files: RawFiles, tip: str) -> str | None:
        """The tip with what the diff says was there before it; None unless all of it is in the clone."""
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
        return write_tree(self._shadow, await read_folders(self._shadow, tip, files.paths), found)

    async def _once(self, diff: bytes, files: RawFiles, tree: str, *, reverse: bool) -> Result:
        key = (hashlib.sha256(diff).digest(), tree, reverse)
        if key not in self._known:
            self._known[key] = await self._run(diff, files, tree, reverse=reverse)
        return self._known[key]

    async def _run(self, diff: bytes, files: RawFiles, tree: str, *, reverse: bool) -> Result:
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
                return Result(None, in_words(said), is_corrupt)
            listed = await self._shadow.git("ls-files", "--stage", "-z", env=env)
        finally:
            index.unlink(missing_ok=True)
        return Result(self._write(folders, there, _entries(listed.stdout)))

    def _write(self, folders: Folders, old: Mapping[bytes, Entry], new: Mapping[bytes, Entry]) -> str:
        changes: dict[bytes, Entry | None] = {path: None for path in old if path not in new}
        for path, entry in new.items():
            if old.get(path) != entry:
                # What git took for a path must be one that we read and allowed.
                self.check(path)
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
