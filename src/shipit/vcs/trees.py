# SPDX-License-Identifier: MPL-2.0
"""Read some entries of a tree, and make a tree with others, at a cost that does not grow with the tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from shipit.errors import CommandFailed
from shipit.merge.store import Unknown
from shipit.vcs.objects import read_objects
from shipit.vcs.packs import Object, object_id, write_pack
from shipit.vcs.shadow import Shadow

FOLDER = "40000"
Entry = tuple[str, str]
"""Mode as git's trees spell it ("100644", "40000") and id."""
Folders = dict[bytes, dict[bytes, Entry]]
"""Entries by name, by folder path; the root is b""."""


class NoFolder(Exception):
    """A path leads through, or replaces, something that is not what it takes it for."""


async def read_folders(shadow: Shadow, tree: str, paths: Collection[bytes]) -> Folders:
    """Every folder of `tree` on the way to `paths`; folders that are not there are left out.

    Paths hold no line break. Raises CommandFailed on an unreadable tree.
    """
    wanted = folder_names(tree, paths)
    folders: Folders = {}
    for folder, read in zip(wanted, await read_objects(shadow, list(wanted.values())), strict=True):
        if isinstance(read, Unknown):
            if read.is_broken or not folder:
                raise CommandFailed(("git", "cat-file"), None, f"tree {tree} {read.reason}")
            continue
        if read.kind == "tree":
            folders[folder] = parse_tree(read.content, id_bytes=len(tree) // 2)
    return folders


def folder_names(tree: str, paths: Collection[bytes]) -> dict[bytes, str]:
    """Every folder on the way to some paths, and what git calls it in a tree."""
    wanted = sorted({b"", *(above for path in paths for above in _above(path))})
    return {
        folder: f"{tree}:{folder.decode('utf-8', 'surrogateescape')}" if folder else tree for folder in wanted
    }


def entry_at(folders: Folders, path: bytes) -> Entry | None:
    """What is at a path whose folders were read; None when nothing, or a folder, is there."""
    folder, _, name = path.rpartition(b"/")
    entry = folders.get(folder, {}).get(name)
    return None if entry is None or entry[0] == FOLDER else entry


def write_tree(shadow: Shadow, folders: Folders, changes: Mapping[bytes, Entry | None]) -> str:
    """The id of the tree that `folders` begin, with `changes` made (None removes a path). Raises NoFolder.

    Every folder on the way to a changed path must have been read.
    """
    objects = edit_tree(folders, changes, hash_name=shadow.hash_name)
    write_pack(shadow.objects / "pack", objects, hash_name=shadow.hash_name)
    return object_id(*objects[-1], hash_name=shadow.hash_name)


def edit_tree(folders: Folders, changes: Mapping[bytes, Entry | None], *, hash_name: str) -> list[Object]:
    """The new trees that `write_tree` writes, the root last. Raises NoFolder."""
    edited: Folders = {folder: dict(entries) for folder, entries in folders.items()}
    _remove(edited, [path for path, entry in changes.items() if entry is None])
    for path, entry in changes.items():
        if entry is None:
            continue
        folder, _, name = path.rpartition(b"/")
        entries = edited.setdefault(folder, {})
        if entries.get(name, ("",))[0] == FOLDER:
            raise NoFolder(f"{_shown(path)} is a folder there")
        entries[name] = entry
    objects: list[Object] = []
    by_depth: dict[int, list[bytes]] = defaultdict(list)
    for folder in {above for path in changes for above in _above(path)}:
        by_depth[folder.count(b"/")].append(folder)
    for depth in sorted(by_depth, reverse=True):
        for folder in by_depth[depth]:
            _hang_in(edited, folder, objects, hash_name)
    objects.append(("tree", format_tree(edited.get(b"", {}))))
    return objects


def _remove(edited: Folders, paths: Collection[bytes]) -> None:
    """Take paths out, and with the last one of a folder the folder: a file may come in its place."""
    for path in paths:
        place, is_folder = path, False
        while place:
            folder, _, name = place.rpartition(b"/")
            entries = edited.get(folder, {})
            if name not in entries or (entries[name][0] == FOLDER) is not is_folder:
                break
            del entries[name]
            if entries:
                break
            place, is_folder = folder, True


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _hang_in(edited: Folders, folder: bytes, objects: list[Object], hash_name: str) -> None:
    parent, _, name = folder.rpartition(b"/")
    above = edited.setdefault(parent, {})
    entries = edited.get(folder, {})
    there = above.get(name)
    if not entries:
        if there is not None and there[0] == FOLDER:
            del above[name]
        return
    if there is not None and there[0] != FOLDER:
        raise NoFolder(f"{_shown(folder)} is not a folder there")
    content = format_tree(entries)
    objects.append(("tree", content))
    above[name] = (FOLDER, object_id("tree", content, hash_name=hash_name))


def _above(path: bytes) -> list[bytes]:
    """The folders that hold a path, without the root."""
    parts = path.split(b"/")[:-1]
    return [b"/".join(parts[: depth + 1]) for depth in range(len(parts))]


def parse_tree(content: bytes, *, id_bytes: int = 20) -> dict[bytes, Entry]:
    """Entries of a raw tree object by name."""
    entries: dict[bytes, Entry] = {}
    at = 0
    while at < len(content):
        space, end = content.index(b" ", at), content.index(b"\0", at)
        name = content[end + 1 : end + 1 + id_bytes]
        entries[content[space + 1 : end]] = (content[at:space].decode(), name.hex())
        at = end + 1 + id_bytes
    return entries


def format_tree(entries: Mapping[bytes, Entry]) -> bytes:
    """A raw tree object; git sorts folders as if their names ended with a slash."""

    def place(item: tuple[bytes, Entry]) -> bytes:
        return item[0] + b"/" if item[1][0] == FOLDER else item[0]

    return b"".join(
        mode.encode() + b" " + name + b"\0" + bytes.fromhex(id_)
        for name, (mode, id_) in sorted(entries.items(), key=place)
    )
