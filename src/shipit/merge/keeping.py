# SPDX-License-Identifier: MPL-2.0
"""Texts made of both sides of a conflict, by lines: both changes kept, or ours where the two meet."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.merge.regions import Span, differing


def keep_both(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """The text with the changes of both; None when a line was changed by both, or both say the same."""
    of_ours, of_theirs = differing(base, ours), differing(base, theirs)
    if _both_changed(of_ours, of_theirs):
        return None
    return _joined(base, ours, theirs, of_ours, of_theirs)


def prefer_ours(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """The text with our changes, and with those of theirs that touch none of ours."""
    of_ours = differing(base, ours)
    apart = [
        (low, high, left, right)
        for low, high, left, right in differing(base, theirs)
        if not any(start <= high and low <= end for start, end, _, _ in of_ours)
    ]
    return _joined(base, ours, theirs, of_ours, apart)


def _joined(
    base: bytes, ours: bytes, theirs: bytes, of_ours: Sequence[Span], of_theirs: Sequence[Span]
) -> bytes:
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
