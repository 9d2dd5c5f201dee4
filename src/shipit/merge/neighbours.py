# SPDX-License-Identifier: MPL-2.0
"""Conflicts in which no line was changed by both sides: neighbours only, with the text that keeps both."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import msgspec

from shipit.merge.conflicts import shown_path
from shipit.merge.regions import Span, differing

LARGEST_DIFF = 64 << 10


class KeepBoth(msgspec.Struct, frozen=True):
    """One conflicting file with both sides' changes, the train's lines first. A proposal, never landed truth.

    diff: unified, from the train's file; is_cut: it was longer than LARGEST_DIFF.
    """

    path: str
    diff: str
    is_cut: bool = False


def keep_both(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """The text with the changes of both; None when a line was changed by both, or both say the same."""
    of_ours, of_theirs = differing(base, ours), differing(base, theirs)
    if _both_changed(of_ours, of_theirs):
        return None
    lines, mine, yours = (text.splitlines(keepends=True) for text in (base, ours, theirs))
    edits = [(span, 0, mine) for span in of_ours] + [(span, 1, yours) for span in of_theirs]
    # insertions before a line go before what replaces the line; at one place ours come first
    edits.sort(key=lambda edit: (edit[0][0], edit[0][1], edit[1]))
    result: list[bytes] = []
    at = 0
    for (start, end, new_start, new_end), _, source in edits:
        result += lines[at:start]
        if result and not result[-1].endswith(b"\n"):
            result[-1] += b"\n"
        result += source[new_start:new_end]
        at = end
    result += lines[at:]
    return b"".join(result)


def _both_changed(ours: Sequence[Span], theirs: Sequence[Span]) -> bool:
    for start, end, _, _ in ours:
        for low, high, _, _ in theirs:
            if max(start, low) < min(end, high):
                return True
            # an insertion strictly within what the other replaced
            if start == end and low < start < high:
                return True
            if low == high and start < low < end:
                return True
    return False


def proposal(path: bytes, ours: bytes, both: bytes) -> KeepBoth:
    """What keeping both would change in the train's file."""
    shown = shown_path(path)
    lines = difflib.unified_diff(
        ours.decode("utf-8", "backslashreplace").splitlines(keepends=True),
        both.decode("utf-8", "backslashreplace").splitlines(keepends=True),
        f"a/{shown}",
        f"b/{shown}",
    )
    text = "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
    return KeepBoth(shown, text[:LARGEST_DIFF], len(text) > LARGEST_DIFF)
