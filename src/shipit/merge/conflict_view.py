# SPDX-License-Identifier: MPL-2.0
"""A conflict made readable: three sides, numbered, with who wrote them, bounded to what a page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from shipit.merge.hunks import Hunk, PathHunks
from shipit.merge.types import ConflictKind

MOST_FILES = 12
MOST_HUNKS = 8
MOST_LINES = 60
LONGEST_LINE = 300
LARGEST_VIEW = 200_000
"""Characters of all hunks together: what is beyond is counted, not shown."""


class Wrote(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that wrote lines, or last touched a file. author: name; bug: the first its subject names."""

    commit: str
    author: str
    at: datetime
    subject: str
    bug: int | None = None


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Lines [first, last] of a file, numbered from 1, that one commit wrote."""

    first: int
    last: int
    commit: str


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote lines of one file on one side. spans ascending. last: what last touched the file.

    reason: why nobody can be named.
    """

    spans: tuple[Span, ...] = ()
    last: str | None = None
    reason: str | None = None


class SideView(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a hunk. first: number of its first line, None where the side has no such place or file.

    more: lines beyond those shown. is_absent: the side has no such file.
    """

    first: int | None
    lines: tuple[str, ...]
    more: int = 0
    is_absent: bool = False
    blame: tuple[Span, ...] = ()


class HunkView(msgspec.Struct, frozen=True, kw_only=True):
    """One conflicting place. before: lines of the train in front of it. base: what the patch expects.

    ours: what the train has. theirs: what the patch makes of it.
    """

    before: tuple[str, ...] = ()
    base: SideView
    ours: SideView
    theirs: SideView
    after: tuple[str, ...] = ()


class FileView(msgspec.Struct, frozen=True, kw_only=True):
    """One conflicting file. sentence: what happened to it. more: hunks beyond those shown.

    ours, theirs: the last commits that touched the file on the train and below the patch. notes: what cannot
    be shown and why.
    """

    path: str
    kind: ConflictKind
    sentence: str
    hunks: tuple[HunkView, ...] = ()
    more: int = 0
    ours_last: str | None = None
    base_last: str | None = None
    notes: tuple[str, ...] = ()


class ConflictView(msgspec.Struct, frozen=True, kw_only=True):
    """What does not merge and who wrote it. patch: the patch of the series that conflicts.

    base: commit that the patch expects below it, None when unknown. commits: everything that spans name.
    more: conflicting files beyond those shown. reason: why there is nothing to show.
    """

    tip: str
    patch: str | None = None
    base: str | None = None
    files: tuple[FileView, ...] = ()
    commits: Mapping[str, Wrote] = {}
    more: int = 0
    reason: str | None = None


_KINDS = {
    ConflictKind.CONTENT: "Both sides changed the same lines.",
    ConflictKind.MODIFY_DELETE: "One side changed the file, the other removed it.",
    ConflictKind.RENAME: "The sides disagree on where the file is.",
    ConflictKind.ADD_ADD: "Both sides added a file of this name.",
    ConflictKind.MODE: "The sides disagree on what kind of file it is.",
    ConflictKind.BINARY: "Both sides changed a binary file.",
    ConflictKind.SUBMODULE: "The sides point to different commits of a submodule.",
    ConflictKind.OTHER: "The sides cannot be put together here.",
}


class Blamed(msgspec.Struct, frozen=True, kw_only=True):
    """Blame of the two sides of one file that others wrote: the train's, and what the patch expects."""

    ours: Blame = Blame()
    base: Blame = Blame()


def wanted_lines(shown: PathHunks) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The lines to blame, on the train and below the patch: (first, last) from 1, of the shown hunks."""
    ours: list[tuple[int, int]] = []
    base: list[tuple[int, int]] = []
    for hunk in shown.hunks[:MOST_HUNKS]:
        for first, text, into in ((hunk.line, hunk.ours, ours), (hunk.base_line, hunk.base, base)):
            count = min(len(_lines(text or "")), MOST_LINES)
            if first is not None and count:
                into.append((first, first + count - 1))
    return ours, base


def file_view(shown: PathHunks, blamed: Blamed = Blamed()) -> FileView:  # noqa: B008 - frozen
    """One file's hunks with the blame of both sides."""
    hunks = tuple(_hunk(hunk, blamed) for hunk in shown.hunks[:MOST_HUNKS])
    notes = [f"{shown.reason[:1].upper()}{shown.reason[1:]}."] if shown.reason else []
    notes += _endings(shown.hunks)
    notes += [f"The train: {blamed.ours.reason}."] if blamed.ours.reason else []
    notes += [f"Below the patch: {blamed.base.reason}."] if blamed.base.reason else []
    return FileView(
        path=shown.path,
        kind=shown.kind,
        sentence=_sentence(shown),
        hunks=hunks,
        more=max(0, len(shown.hunks) - MOST_HUNKS),
        ours_last=blamed.ours.last,
        base_last=blamed.base.last,
        notes=tuple(notes),
    )


def bounded(files: Sequence[FileView]) -> tuple[FileView, ...]:
    """The same with as many hunks as a page can hold, the first ones first."""
    left = LARGEST_VIEW
    found = []
    for file in files:
        kept = []
        for hunk in file.hunks:
            left -= sum(len(line) + 1 for side in (hunk.base, hunk.ours, hunk.theirs) for line in side.lines)
            if left < 0:
                break
            kept.append(hunk)
        more = file.more + len(file.hunks) - len(kept)
        found.append(msgspec.structs.replace(file, hunks=tuple(kept), more=more))
    return tuple(found)


def named_commits(files: Sequence[FileView]) -> set[str]:
    """Every commit that these views name."""
    spans = (
        span
        for file in files
        for hunk in file.hunks
        for side in (hunk.base, hunk.ours)
        for span in side.blame
    )
    lasts = (name for file in files for name in (file.ours_last, file.base_last) if name)
    return {span.commit for span in spans} | set(lasts)


def _sentence(shown: PathHunks) -> str:
    if shown.kind is ConflictKind.MODIFY_DELETE and shown.hunks:
        hunk = shown.hunks[0]
        if hunk.ours is None:
            return "The train has removed this file; the patch changes it."
        if hunk.theirs is None:
            return "The patch removes this file; the train has changed it."
    return _KINDS[shown.kind]


def _endings(hunks: Sequence[Hunk]) -> list[str]:
    """Line ends are not seen on a page, yet they may be all that differs."""
    sides = {"what the patch expects": "base", "the train": "ours", "the patch": "theirs"}
    dos = [name for name, side in sides.items() if any("\r\n" in (getattr(one, side) or "") for one in hunks)]
    if not dos or len(dos) == len(sides):
        return []
    return [f"Lines end with CR LF in {' and in '.join(dos)}, elsewhere with LF."]


def _hunk(hunk: Hunk, blamed: Blamed) -> HunkView:
    return HunkView(
        before=_bounded(hunk.before),
        base=_side(hunk.base, hunk.base_line, blamed.base),
        ours=_side(hunk.ours, hunk.line, blamed.ours),
        theirs=_side(hunk.theirs, hunk.theirs_line, None),
        after=_bounded(hunk.after),
    )


def _side(text: str | None, first: int | None, blame: Blame | None) -> SideView:
    if text is None:
        return SideView(first=None, lines=(), is_absent=True)
    lines = _lines(text)
    shown = tuple(_cut(line) for line in lines[:MOST_LINES])
    spans: tuple[Span, ...] = ()
    if blame is not None and first is not None and shown:
        last = first + len(shown) - 1
        spans = tuple(
            Span(first=max(one.first, first), last=min(one.last, last), commit=one.commit)
            for one in blame.spans
            if one.first <= last and one.last >= first
        )
    return SideView(first=first, lines=shown, more=len(lines) - len(shown), blame=spans)


def _lines(text: str) -> list[str]:
    """Lines as version control counts them: only a line feed ends one."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def _bounded(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(_cut(line) for line in lines)


def _cut(line: str) -> str:
    line = line.removesuffix("\r")
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"
