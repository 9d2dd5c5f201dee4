# SPDX-License-Identifier: MPL-2.0
"""Say in our few words why a path does not merge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from shipit.merge.types import Conflict, ConflictKind

SUBMODULE = "160000"


class Side(msgspec.Struct, frozen=True):
    """One side of an unmerged path. stage: 1 base, 2 ours (the tip's), 3 theirs (the patch's)."""

    stage: int
    mode: str
    id: str


class Message(msgspec.Struct, frozen=True):
    """What a merge says about some paths. kind: "CONFLICT (contents)", "Auto-merging"…"""

    paths: tuple[bytes, ...]
    kind: str
    text: str = ""


# What versions of git call a file that was added in a folder which the other side moved.
_MOVED_FOLDER = ("file location", "directory rename")
# The first that a message contains decides; the words are those of git's merge.
_WORDS = (
    ("submodule", ConflictKind.SUBMODULE),
    ("binary", ConflictKind.BINARY),
    ("rename", ConflictKind.RENAME),
    ("file location", ConflictKind.RENAME),
    ("distinct modes", ConflictKind.MODE),
    ("distinct types", ConflictKind.MODE),
    ("modify/delete", ConflictKind.MODIFY_DELETE),
    ("file/directory", ConflictKind.OTHER),
)

_APART = ("CONFLICT (distinct", "CONFLICT (file/directory")
# After the path the commit (or tree) of its side, and a number where even that name is taken.
_INVENTED = re.compile(rb"~(?:[0-9a-f]{64}|[0-9a-f]{40})(?:_\d+)?$")


def shown_path(path: bytes) -> str:
    """A path for people and JSON: UTF-8, other bytes as backslash escapes."""
    return path.decode("utf-8", "backslashreplace")


def by_real_path(
    sides: Mapping[bytes, Sequence[Side]], messages: Sequence[Message]
) -> tuple[dict[bytes, list[Side]], tuple[Message, ...]]:
    """The same with the path of the trees where git had to make one up to record both sides apart.

    Where a file stands against a folder, or a link against a file, git calls one "path~<commit>".
    """
    invented: dict[bytes, bytes] = {}
    for message in messages:
        # Other conflicts, say of renames, may name a file that is really called so.
        if message.kind.startswith(_APART):
            for path in message.paths:
                real = _INVENTED.sub(b"", path)
                if real != path and real in message.paths:
                    invented[path] = real
    if not invented:
        return {path: list(entries) for path, entries in sides.items()}, tuple(messages)
    found: dict[bytes, dict[int, Side]] = {}
    for path, entries in sides.items():
        stages = found.setdefault(invented.get(path, path), {})
        for side in entries:
            stages.setdefault(side.stage, side)
    return (
        {path: [stages[stage] for stage in sorted(stages)] for path, stages in found.items()},
        tuple(
            msgspec.structs.replace(
                message, paths=tuple(dict.fromkeys(invented.get(path, path) for path in message.paths))
            )
            for message in messages
        ),
    )


def conflicts(sides: Mapping[bytes, Sequence[Side]], messages: Iterable[Message]) -> tuple[Conflict, ...]:
    """One conflict for each path that is unmerged or takes part in a conflict, ascending by path.

    sides: by path, what could not be merged. messages: everything the merge said (a rename that conflicts
    names its other path here only).
    """
    said: dict[bytes, list[Message]] = {}
    for message in messages:
        if not message.kind.startswith("CONFLICT"):
            continue
        for path in message.paths:
            # There git also names where the file would have been.
            if path in sides or not any(word in message.kind for word in _MOVED_FOLDER):
                said.setdefault(path, []).append(message)
    return tuple(
        Conflict(path=shown_path(path), kind=_kind(sides.get(path, ()), said.get(path, ())))
        for path in sorted({*sides, *said})
    )


def _kind(sides: Sequence[Side], messages: Sequence[Message]) -> ConflictKind:
    if any(side.mode == SUBMODULE for side in sides):
        return ConflictKind.SUBMODULE
    heads = [message.kind.lower() for message in messages]
    for word, kind in _WORDS:
        if any(word in head for head in heads):
            return kind
    if any("contents" in head for head in heads):
        return _content_kind(sides)
    return _kind_by_sides(sides)


def _content_kind(sides: Sequence[Side]) -> ConflictKind:
    stages = {side.stage for side in sides}
    return ConflictKind.ADD_ADD if stages == {2, 3} else ConflictKind.CONTENT


def _kind_by_sides(sides: Sequence[Side]) -> ConflictKind:
    """For a path that no message names (git names renamed paths by one of their names)."""
    stages = {side.stage for side in sides}
    if stages == {2, 3}:
        return ConflictKind.ADD_ADD
    if stages in ({1, 2}, {1, 3}):
        return ConflictKind.MODIFY_DELETE
    if stages == {1, 2, 3}:
        same = len({side.id for side in sides}) < 3 and len({side.mode for side in sides}) > 1
        return ConflictKind.MODE if same else ConflictKind.CONTENT
    return ConflictKind.RENAME if len(stages) == 1 else ConflictKind.OTHER
