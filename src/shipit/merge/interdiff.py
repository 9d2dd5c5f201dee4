# SPDX-License-Identifier: MPL-2.0
"""What differs between two versions of a patch: their diffs compared file by file, whatever each is based on.

Line numbers and context that only moved do not count, so that a rebase alone shows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from shipit.merge.regions import differences

MOST_FILES = 60
MOST_LINES = 200
LONGEST_LINE = 300
LARGEST_VIEW = 200_000
"""Characters of one patch's lines: of files beyond, only the state is told."""
LARGEST_DIFF = 4 << 20
CONTEXT = 3


class Mark(StrEnum):
    """How a line of the two diffs compares: in both, only in the newer, only in the older, or left out."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    GAP = "gap"


class FileState(StrEnum):
    """What became of a file's part of the patch."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


class Line(msgspec.Struct, frozen=True):
    """One line of a patch (its own "+", "-" or " " first) and how it compares."""

    mark: Mark
    text: str


class FileInterdiff(msgspec.Struct, frozen=True, kw_only=True):
    """One file. lines: only where something differs, with a few around; more: those left out at the end.

    note: what lines cannot say (a binary file, a mode).
    """

    path: str
    state: FileState
    lines: tuple[Line, ...] = ()
    more: int = 0
    note: str | None = None


class PatchInterdiff(msgspec.Struct, frozen=True, kw_only=True):
    """One patch of a series: older and newer version (None where it was added or taken out).

    same: files that did not change. more: changed files beyond those shown. reason: why it was not compared.
    """

    name: str
    older: str | None = None
    newer: str | None = None
    files: tuple[FileInterdiff, ...] = ()
    same: int = 0
    more: int = 0
    reason: str | None = None

    @property
    def is_same(self) -> bool:
        """Whether both versions change the same lines in the same way."""
        return self.reason is None and not self.files and None not in (self.older, self.newer)


class InterdiffView(msgspec.Struct, frozen=True, kw_only=True):
    """Two versions of a series compared. older, newer: series digests. sentence: what changed, in words."""

    older: str
    newer: str
    patches: tuple[PatchInterdiff, ...] = ()
    sentence: str


def compare_diffs(name: str, older: bytes, newer: bytes, *, versions: tuple[str, str]) -> PatchInterdiff:
    """Two versions of one patch."""
    if max(len(older), len(newer)) > LARGEST_DIFF:
        reason = f"a version has more than {LARGEST_DIFF >> 20} MB"
        return PatchInterdiff(name=name, older=versions[0], newer=versions[1], reason=reason)
    before, after = _files(older), _files(newer)
    files, same = [], 0
    for path in dict.fromkeys([*before, *after]):
        one = _file(path, before.get(path), after.get(path))
        if one.state is FileState.SAME:
            same += 1
        else:
            files.append(one)
    return PatchInterdiff(
        name=name,
        older=versions[0],
        newer=versions[1],
        files=_bounded(files[:MOST_FILES]),
        same=same,
        more=max(0, len(files) - MOST_FILES),
    )


def _bounded(files: Sequence[FileInterdiff]) -> tuple[FileInterdiff, ...]:
    left = LARGEST_VIEW
    found = []
    for file in files:
        left -= sum(len(line.text) + 1 for line in file.lines)
        if left < 0:
            file = msgspec.structs.replace(file, lines=(), more=file.more + len(file.lines))
        found.append(file)
    return tuple(found)


def sentence(patches: Sequence[PatchInterdiff]) -> str:
    """What changed between two versions of a series."""
    said = []
    for one in patches:
        if one.reason is not None:
            said.append(f"{one.name} could not be compared: {one.reason}.")
        elif one.older is None:
            said.append(f"{one.name} is new in the series.")
        elif one.newer is None:
            said.append(f"{one.name} is no longer in the series.")
        elif one.is_same:
            said.append(f"{one.name} changes the same lines as before.")
        else:
            count = len(one.files) + one.more
            said.append(f"{one.name} changed in {count} file{'' if count == 1 else 's'}.")
    return " ".join(said) or "Neither version has a patch."


class _Part(msgspec.Struct):
    """One file's part of a diff: the lines of its hunks, and whatever else it says."""

    lines: list[bytes] = msgspec.field(default_factory=list)
    heads: list[bytes] = msgspec.field(default_factory=list)
    is_binary: bool = False


def _files(diff: bytes) -> dict[str, _Part]:
    """The parts of a unified diff by the path that they leave behind (or remove)."""
    parts: dict[str, _Part] = {}
    part: _Part | None = None
    old_name = b""
    old_left = new_left = 0
    for line in diff.split(b"\n"):
        if (old_left > 0 or new_left > 0) and part is not None:
            mark = line[:1]
            part.lines.append(line)
            old_left -= mark in (b" ", b"-", b"")
            new_left -= mark in (b" ", b"+", b"")
            continue
        if line.startswith(b"diff --git "):
            part = parts.setdefault(_named(line[11:].rpartition(b" b/")[2]), _Part())
        elif line.startswith(b"--- "):
            old_name = line[4:]
        elif line.startswith(b"+++ ") and old_name:
            name = line[4:] if not line.startswith(b"+++ /dev/null") else old_name
            part = parts.setdefault(
                _named(name.split(b"\t")[0].removeprefix(b"b/").removeprefix(b"a/")), _Part()
            )
            old_name = b""
        elif part is not None and line.startswith(b"@@ -"):
            old_left, new_left = _counts(line)
            if part.lines:
                part.lines.append(b"@@")
        elif part is not None and line.startswith((b"GIT binary patch", b"Binary file")):
            part.is_binary = True
            part.heads.append(line)
        elif part is not None and (part.is_binary or line.startswith(_HEADS)):
            part.heads.append(line)
    return parts


_HEADS = (b"new file mode", b"deleted file mode", b"old mode", b"new mode", b"rename ", b"copy ")


def _counts(head: bytes) -> tuple[int, int]:
    """How many old and new lines a hunk has; none for a header that cannot be read."""
    words = head.split(b" ")
    counts = [word[1:].partition(b",")[2] or b"1" for word in words[1:3]]
    if len(counts) < 2 or not all(one.isdigit() and len(one) < 10 for one in counts):
        return 0, 0
    return int(counts[0]), int(counts[1])


def _named(path: bytes) -> str:
    return path.strip(b'"\r').decode("utf-8", "backslashreplace")


def _file(path: str, older: _Part | None, newer: _Part | None) -> FileInterdiff:
    if older is None or newer is None:
        part, state = (newer, FileState.ADDED) if older is None else (older, FileState.REMOVED)
        assert part is not None
        mark = Mark.ADDED if older is None else Mark.REMOVED
        lines = [(mark, line) for line in part.lines]
        return _shown(path, state, lines, _note(part.heads, part.is_binary))
    lines = _compared(older.lines, newer.lines)
    heads = older.heads != newer.heads
    is_same = not heads and all(mark is Mark.SAME or not _says(line) for mark, line in lines)
    if is_same:
        return FileInterdiff(path=path, state=FileState.SAME)
    note = _note(newer.heads, older.is_binary or newer.is_binary) if heads else None
    return _shown(path, FileState.CHANGED, lines, note)


def _says(line: bytes) -> bool:
    """Whether a line of a diff changes something: context and hunk breaks move with the base."""
    return line[:1] in (b"+", b"-")


def _compared(older: Sequence[bytes], newer: Sequence[bytes]) -> list[tuple[Mark, bytes]]:
    found: list[tuple[Mark, bytes]] = []
    at = 0
    for low, high, left, right in differences(older, newer):
        found += [(Mark.SAME, line) for line in older[at:low]]
        found += [(Mark.REMOVED, line) for line in older[low:high]]
        found += [(Mark.ADDED, line) for line in newer[left:right]]
        at = high
    return found + [(Mark.SAME, line) for line in older[at:]]


def _shown(
    path: str, state: FileState, lines: Sequence[tuple[Mark, bytes]], note: str | None
) -> FileInterdiff:
    """The places that differ with a few lines around, up to MOST_LINES."""
    differing = [
        place
        for place, (mark, line) in enumerate(lines)
        if mark is not Mark.SAME and (_says(line) or state is not FileState.CHANGED)
    ]
    wanted = sorted({near for place in differing for near in range(place - CONTEXT, place + CONTEXT + 1)})
    wanted = [place for place in wanted if 0 <= place < len(lines)]
    shown: list[Line] = []
    last = -1
    for place in wanted[:MOST_LINES]:
        if place != last + 1 and shown:
            shown.append(Line(Mark.GAP, ""))
        mark, line = lines[place]
        said = line.decode("utf-8", "backslashreplace").removesuffix("\r")
        shown.append(Line(mark, said if len(said) <= LONGEST_LINE else f"{said[:LONGEST_LINE]}…"))
        last = place
    return FileInterdiff(
        path=path, state=state, lines=tuple(shown), more=max(0, len(wanted) - MOST_LINES), note=note
    )


def _note(heads: Sequence[bytes], is_binary: bool) -> str | None:
    if is_binary:
        return "Its binary content differs."
    said = [line.decode("utf-8", "backslashreplace")[:LONGEST_LINE] for line in heads[:4]]
    return "; ".join(said) or None
