# SPDX-License-Identifier: MPL-2.0
"""Fetch what a conflict looks like: the hunks of a path from the objects of its merge."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.errors import Missing
from shipit.merge.conflicts import SUBMODULE, Side, shown_path
from shipit.merge.hunks import MOST_HUNKS, Hunk, PathHunks, Sides, cut_hunks, whole
from shipit.merge.store import Merged, Unknown
from shipit.merge.types import ConflictKind
from shipit.vcs.objects import read_objects
from shipit.vcs.shadow import Shadow

LARGEST_FILE = 8 << 20
_BY_LINES = frozenset((ConflictKind.CONTENT, ConflictKind.ADD_ADD, ConflictKind.RENAME))


async def path_hunks(shadow: Shadow, merged: Merged, path: str, *, labels: tuple[str, str]) -> PathHunks:
    """The hunks of one conflicting path. labels: ids of ours and theirs as its merge knew them.

    Raises Missing when the path does not conflict.
    """
    kinds = {conflict.path: conflict.kind for conflict in merged.conflicts}
    if path not in kinds:
        raise Missing(f"{path} does not conflict")
    kind = kinds[path]
    raw = next((name for name in merged.sides if shown_path(name) == path), None)
    if raw is None:
        return PathHunks(path, kind, reason="it is the other name of a renamed file")
    entries = merged.sides[raw]
    if any(side.mode == SUBMODULE for side in entries):
        return PathHunks(
            path, kind, (_pointers(entries),), "a submodule: the sides are commits of another clone"
        )
    marked = f"{merged.marked}:".encode() + raw
    names = [side.id for side in entries] + [marked.decode("utf-8", "surrogateescape")]
    *reads, file = await read_objects(shadow, names)
    contents: dict[int, bytes] = {}
    for side, read in zip(entries, reads, strict=True):
        if isinstance(read, Unknown):
            return PathHunks(path, kind, reason=f"one side {read.reason}")
        contents[side.stage] = read.content
    if any(len(content) > LARGEST_FILE for content in contents.values()):
        return PathHunks(path, kind, reason=f"a side has more than {LARGEST_FILE} bytes")
    if kind is ConflictKind.BINARY or any(b"\0" in content[:8000] for content in contents.values()):
        sizes = ", ".join(f"{_NAMES[stage]} {len(contents[stage])}" for stage in sorted(contents))
        return PathHunks(path, kind, reason=f"binary content (bytes: {sizes})")
    sides = Sides(contents.get(1), contents.get(2), contents.get(3))
    hunks = []
    if kind in _BY_LINES and not isinstance(file, Unknown):
        hunks = cut_hunks(file.content, sides, ours=labels[0], theirs=labels[1])
    if not hunks:
        return PathHunks(path, kind, (whole(sides),))
    reason = f"{len(hunks)} hunks, the first {MOST_HUNKS} are here" if len(hunks) > MOST_HUNKS else None
    return PathHunks(path, kind, tuple(hunks[:MOST_HUNKS]), reason)


_NAMES = {1: "base", 2: "ours", 3: "theirs"}


def _pointers(entries: Sequence[Side]) -> Hunk:
    ids = {side.stage: side.id for side in entries}
    return Hunk(ids.get(1), ids.get(2), ids.get(3))
