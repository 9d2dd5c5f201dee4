# SPDX-License-Identifier: MPL-2.0
"""Cut the conflicting places out of a merged file, with what each of the three sides has there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from shipit.merge.types import ConflictKind

LARGEST_TEXT = 64 << 10
CONTEXT = 3
MOST_HUNKS = 200

_OURS, _BASE, _MIDDLE, _THEIRS = b"<<<<<<< ", b"||||||| ", b"=======", b">>>>>>> "


class Hunk(msgspec.Struct, frozen=True):
    """One conflicting place. Sides: text (UTF-8, other bytes escaped), None where a side has no such file.

    line: where it begins in the tip's file, from 1; None when it has none. is_cut: a side was longer than
    LARGEST_TEXT and is shown up to there. base_line, theirs_line: the same of the other sides. before, after:
    the lines of the tip's file around it.
    """

    base: str | None
    ours: str | None
    theirs: str | None
    line: int | None = None
    is_cut: bool = False
    base_line: int | None = None
    theirs_line: int | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


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
    at = tuple(None if side is None else 1 for side in (sides.base, sides.ours, sides.theirs))
    return _hunk((sides.base, sides.ours, sides.theirs), at)


def cut_hunks(marked: bytes, sides: Sides, *, ours: str, theirs: str) -> list[Hunk]:
    """The conflicting places of a file with diff3 markers.

    ours, theirs: the labels of the outer markers, which the content cannot know (ids of the merge's sides).
    """
    hunks: list[Hunk] = []
    lines = marked.splitlines(keepends=True)
    opening, closing = _OURS + ours.encode(), _THEIRS + theirs.encode()
    files = (sides.base or b"", sides.ours or b"", sides.theirs or b"")
    start: int | None = None
    end = 0
    seen = [0, 0, 0]
    for number, line in enumerate(lines):
        if start is None and line.startswith(opening):
            start = number
        elif start is not None and line.startswith(closing):
            texts = _split(lines[start + 1 : number], sides)
            before = lines[max(end, start - CONTEXT) : start]
            after = list(
                itertools.takewhile(
                    lambda one: not one.startswith(opening), lines[number + 1 : number + 1 + CONTEXT]
                )
            )
            seen = [_place(*each) for each in zip(files, texts, [before] * 3, seen, strict=True)]
            at = [file.count(b"\n", 0, place) + 1 for file, place in zip(files, seen, strict=True)]
            hunks.append(_hunk(texts, at, around=(before, after)))
            start, end = None, number + 1
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


def _place(file: bytes, text: bytes, before: Sequence[bytes], since: int) -> int:
    """Where a hunk begins in a side's file, from `since` on: with the most of the lines in front of it."""
    for count in range(len(before), -1, -1):
        front = b"".join(before[len(before) - count :])
        if (front or text) and (found := file.find(front + text, since)) >= 0:
            return found + len(front)
    return since


def _hunk(
    texts: tuple[bytes | None, bytes | None, bytes | None],
    at: Sequence[int | None],
    *,
    around: tuple[Sequence[bytes], Sequence[bytes]] = ((), ()),
) -> Hunk:
    """texts and at (lines from 1): base, ours, theirs."""
    base, ours, theirs = texts
    before, after = (tuple((_text(line.rstrip(b"\r\n")) or "") for line in lines) for lines in around)
    return Hunk(
        base=_text(base),
        ours=_text(ours),
        theirs=_text(theirs),
        line=at[1],
        is_cut=any(len(side) > LARGEST_TEXT for side in texts if side is not None),
        base_line=at[0],
        theirs_line=at[2],
        before=before,
        after=after,
    )


def _text(side: bytes | None) -> str | None:
    return None if side is None else side[:LARGEST_TEXT].decode("utf-8", "backslashreplace")
