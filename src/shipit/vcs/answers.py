# SPDX-License-Identifier: MPL-2.0
"""Read to the word what git's merge process says of each merge."""

from __future__ import annotations

from shipit.merge.conflicts import Message, Side, by_real_path, conflicts
from shipit.merge.store import Merged

_CLEAN, _CONFLICT = b"1", b"0"
# git 2.39 prints this advice about submodules between the last message and the record's end.
_ADVICE = b"Recursive merging with submodules"


class Unreadable(Exception):
    """The answer of a merge ends or bends where it should not."""


def read_answers(output: bytes, *, seconds: float = 0.0, whole: bool = True) -> list[Merged]:
    """Read what `merge-tree --write-tree -z --stdin` said. whole: False when it died and may end anywhere.

    seconds: what each answer is said to have taken.
    """
    merged, used = read_some(output, seconds=seconds)
    # A merge's record ends with NUL: what is left of a whole output was cut off.
    if whole and used != len(output):
        raise Unreadable("ends early")
    return merged


def read_some(output: bytes, *, seconds: float = 0.0) -> tuple[list[Merged], int]:
    """The whole answers at the beginning of an output that may go on, and how many bytes they are."""
    tokens = output.split(b"\0")
    # What follows the last NUL is empty when the output is whole, and half a word otherwise: never read it.
    end = len(tokens) - 1
    merged: list[Merged] = []
    at = used = 0
    while at < end:
        try:
            answer, after = _read_one(tokens, at, end, seconds)
        except IndexError:
            break
        except ValueError as error:
            raise Unreadable(str(error)[:200]) from error
        merged.append(answer)
        used += sum(map(len, tokens[at:after])) + after - at
        at = after
    return merged, used


def _read_one(tokens: list[bytes], at: int, end: int, seconds: float) -> tuple[Merged, int]:
    def word(place: int) -> bytes:
        if place >= end:
            raise IndexError
        return tokens[place]

    status, tree = word(at), word(at + 1).decode("ascii", "replace")
    at += 2
    if status == _CLEAN:
        if word(at):
            raise Unreadable(f"words after a clean merge: {word(at)[:40]!r}")
        return Merged(tree=tree, seconds=seconds), at + 1
    if status != _CONFLICT:
        raise Unreadable(f"status {status[:40]!r}")
    sides: dict[bytes, list[Side]] = {}
    while entry := word(at):
        facts, _, path = entry.partition(b"\t")
        mode, name, stage = facts.decode("ascii", "replace").split(" ")
        sides.setdefault(path, []).append(Side(int(stage), mode, name))
        at += 1
    messages: list[Message] = []
    at += 1
    while count := word(at):
        if count.startswith(_ADVICE):
            break
        paths = int(count)
        kind = word(at + 1 + paths).decode("utf-8", "replace")
        text = word(at + 2 + paths).decode("utf-8", "replace")
        messages.append(Message(tuple(tokens[at + 1 : at + 1 + paths]), kind, text))
        at += 3 + paths
    real, said = by_real_path(sides, messages)
    merged = Merged(
        conflicts=conflicts(real, said),
        marked=tree,
        sides=real,
        messages=said,
        seconds=seconds,
    )
    return merged, at + 1
