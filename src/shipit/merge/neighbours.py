# SPDX-License-Identifier: MPL-2.0
"""Conflicts in which no line was changed by both sides: neighbours only, with the text that keeps both."""

from __future__ import annotations

import difflib

import msgspec

from shipit.merge.conflicts import shown_path

LARGEST_DIFF = 64 << 10


class KeepBoth(msgspec.Struct, frozen=True):
    """One conflicting file with both sides' changes, the train's lines first. A proposal, never landed truth.

    diff: unified, from the train's file; is_cut: it was longer than LARGEST_DIFF.
    """

    path: str
    diff: str
    is_cut: bool = False


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
