# SPDX-License-Identifier: MPL-2.0
"""Differences and entries of many trees with few processes; a tree never changes, so each is read once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from shipit.errors import CommandFailed
from shipit.merge.keys import Change, Entry, View, above
from shipit.merge.store import Unknown
from shipit.vcs.objects import read_objects
from shipit.vcs.packs import object_id
from shipit.vcs.shadow import Shadow
from shipit.vcs.trees import Folders, NoFolder, edit_tree, parse_tree

MOST_DIFFERENCES = 20_000
MOST_FOLDERS = 20_000
_ABSENT = "000000"

Trees = tuple[str, str]


class Differences:
    """What changed between trees of a clone, and what they hold: `shipit.vcs.proving.Trees` of git."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow
        self._changes: dict[Trees, tuple[Change, ...]] = {}
        self._folders: dict[str, dict[bytes, Entry]] = {}

    async def between(self, pairs: Collection[Trees]) -> dict[Trees, tuple[Change, ...]]:
        """The changes from the first to the second tree of each pair, renames as a removal and an addition.

        Raises CommandFailed when a tree cannot be read.
        """
        if len(self._changes) > MOST_DIFFERENCES:
            self._changes.clear()
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._changes and pair[0] != pair[1]]
        if new:
            lines = "".join(f"{one} {other}\n" for one, other in new).encode()
            words = (
                "diff-tree",
                "--stdin",
                "-r",
                "-z",
                "--raw",
                "--no-renames",
                "--full-index",
                "--no-abbrev",
            )
            answer = await self._shadow.git(*words, stdin=lines)
            self._changes |= _read_changes(answer.stdout, new)
        return {pair: self._changes.get(pair, ()) for pair in pairs}

    async def folders(self, wanted: Mapping[str, Collection[bytes]]) -> dict[str, Folders]:
        """Of each tree the folders on the way to its wanted paths. Raises CommandFailed.

        Paths hold no line break.
        """
        if len(self._folders) > MOST_FOLDERS:
            self._folders.clear()
        asked = [
            (tree, folder)
            for tree, paths in wanted.items()
            for folder in sorted({b"", *(folder for path in paths for folder in above(path))})
        ]
        names = [f"{tree}:{folder.decode('utf-8', 'surrogateescape')}" for tree, folder in asked]
        found: dict[str, Folders] = {tree: {} for tree in wanted}
        for (tree, folder), read in zip(asked, await read_objects(self._shadow, names), strict=True):
            if isinstance(read, Unknown):
                if read.is_broken or not folder:
                    raise CommandFailed(("git", "cat-file"), None, f"tree {tree} {read.reason}")
                continue
            if read.kind != "tree":
                continue
            if read.id not in self._folders:
                self._folders[read.id] = parse_tree(read.content, id_bytes=len(tree) // 2)
            found[tree][folder] = self._folders[read.id]
        return found

    async def views(self, wanted: Mapping[str, Collection[bytes]]) -> dict[str, View]:
        """Of each tree what is at its wanted paths. Raises CommandFailed."""
        return {
            tree: view_of(folders, wanted[tree]) for tree, folders in (await self.folders(wanted)).items()
        }

    async def edited(self, wanted: Sequence[tuple[str, Sequence[Change]]]) -> list[str | None]:
        """The name of each tree with its changes made; None where they cannot be made of it."""
        paths: dict[str, set[bytes]] = defaultdict(set)
        for tree, changes in wanted:
            paths[tree] |= {change.path for change in changes}
        folders = await self.folders(paths)
        return [self._edited(folders[tree], changes) for tree, changes in wanted]

    def _edited(self, folders: Folders, changes: Sequence[Change]) -> str | None:
        after = {change.path: change.after for change in changes}
        try:
            root = edit_tree(folders, after, hash_name=self._shadow.hash_name)[-1]
        except NoFolder:
            return None
        return object_id(*root, hash_name=self._shadow.hash_name)


def view_of(folders: Folders, paths: Collection[bytes]) -> View:
    """The entries at paths whose folders were read."""
    found: dict[bytes, Entry] = {}
    for path in paths:
        folder, _, name = path.rpartition(b"/")
        entry = folders.get(folder, {}).get(name)
        if entry is not None:
            found[path] = entry
    return found


def _read_changes(output: bytes, pairs: Collection[Trees]) -> dict[Trees, tuple[Change, ...]]:
    """Read `diff-tree --stdin -r -z --raw` of pairs of trees."""
    found: dict[Trees, tuple[Change, ...]] = {}
    at = 0
    for pair in pairs:
        head = f"{pair[0]} {pair[1]}\n".encode()
        if not output.startswith(head, at):
            raise CommandFailed(("git", "diff-tree"), 0, f"no answer for {pair[0]}..{pair[1]}")
        at += len(head)
        changes = []
        while output.startswith(b":", at):
            middle = output.index(b"\0", at)
            end = output.index(b"\0", middle + 1)
            old_mode, new_mode, old, new, _ = output[at + 1 : middle].decode("ascii").split(" ")
            before = None if old_mode == _ABSENT else (old_mode, old)
            after = None if new_mode == _ABSENT else (new_mode, new)
            changes.append(Change(output[middle + 1 : end], before, after))
            at = end + 1
        found[pair] = tuple(changes)
    return found
