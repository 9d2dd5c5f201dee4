# SPDX-License-Identifier: MPL-2.0
"""Cut the conflicting places out of a merged file, with what each of the three sides has there."""

from __future__ import annotations

import msgspec

from shipit.merge.types import ConflictKind

LARGEST_TEXT = 64 << 10
MOST_HUNKS = 200

_OURS, _BASE, _MIDDLE, _THEIRS = b"<<<<<<< ", b"||||||| ", b"=======", b">>>>>>> "


class Hunk(msgspec.Struct, frozen=True):
    """One conflicting place. Sides: text (UTF-8, other bytes escaped), None where a side has no such file.

    line: where it begins in the tip's file, from 1; None when it has none. is_cut: a side was longer than
    LARGEST_TEXT and is shown up to there.
    """

    base: str | None
    ours: str | None
    theirs: str | None
    line: int | None = None
    is_cut: bool = False


class PathHunks(msgspec.Struct, frozen=True):
    """The hunks of a conflicting path. reason: why there is no (more) text to show."""

    path: str
    kind: ConflictKind
    hunks: tuple[Hunk, ...] = ()
    reason: str | None = None


class Sides(msgspec.Struct, frozen=True):
    """The three whole files; None where a side has none."""

    base: bytes | None
    ours: bytes | None
    theirs: bytes | None


def whole(sides: Sides) -> Hunk:
    """The three files as one hunk: for a path that is not merged line by line."""
    return _hunk(sides.base, sides.ours, sides.theirs, 1 if sides.ours is not None else None)


def cut_hunks(marked: bytes, sides: Sides, *, ours: str, theirs: str) -> list[Hunk]:
    """The conflicting places of a file with diff3 markers.

    ours, theirs: the labels of the outer markers, which the content cannot know (ids of the merge's sides).
    """
    hunks: list[Hunk] = []
    lines = marked.splitlines(keepends=True)
    opening, closing = _OURS + ours.encode(), _THEIRS + theirs.encode()
    start: int | None = None
    seen = 0
    for number, line in enumerate(lines):
        if start is None and line.startswith(opening):
            start = number
        elif start is not None and line.startswith(closing):
            base_text, our_text, their_text = _split(lines[start + 1 : number], sides)
            seen = _place(sides.ours or b"", our_text, b"".join(lines[max(0, start - 1) : start]), seen)
            hunks.append(
                _hunk(base_text, our_text, their_text, (sides.ours or b"").count(b"\n", 0, seen) + 1)
            )
            start = None
    return hunks


def _split(lines: list[bytes], sides: Sides) -> tuple[bytes, bytes, bytes]:
    """Base, ours and theirs; where content looks like a marker, the split that fits the three files."""
    bases = [place for place, line in enumerate(lines) if line.startswith(_BASE)]
    middles = [place for place, line in enumerate(lines) if line.rstrip(b"\r\n") == _MIDDLE]
    splits = [(one, other) for one in bases[:50] for other in middles[:50] if one < other]
    texts = [
        (b"".join(lines[one + 1 : other]), b"".join(lines[:one]), b"".join(lines[other + 1 :]))
        for one, other in splits
    ]
    for base, ours, theirs in texts:
        if base in (sides.base or b"") and ours in (sides.ours or b"") and theirs in (sides.theirs or b""):
            return base, ours, theirs
    return texts[0] if texts else (b"", b"".join(lines), b"")


def _place(file: bytes, text: bytes, before: bytes, since: int) -> int:
    """Where a hunk begins in the tip's file, looked for from `since` on."""
    if text and (found := file.find(text, since)) >= 0:
        return found
    if before and (found := file.find(before, since)) >= 0:
        return found + len(before)
    return since


def _hunk(base: bytes | None, ours: bytes | None, theirs: bytes | None, line: int | None) -> Hunk:
    is_cut = any(len(side) > LARGEST_TEXT for side in (base, ours, theirs) if side is not None)
    return Hunk(_text(base), _text(ours), _text(theirs), line, is_cut)


def _text(side: bytes | None) -> str | None:
    return None if side is None else side[:LARGEST_TEXT].decode("utf-8", "backslashreplace")
