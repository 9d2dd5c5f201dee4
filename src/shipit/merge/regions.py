# SPDX-License-Identifier: MPL-2.0
"""Lines of files: what differs, where two changes meet, and which earlier changes wrote a place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

Range = tuple[int, int]
"""Lines [start, end) counted from 0; an empty range is the place before line `start`."""
Span = tuple[int, int, int, int]
"""One differing place: old start, old end, new start, new end, as two ranges."""

_LONGEST_EDIT = 400


class Change(msgspec.Struct, frozen=True):
    """What one commit did to one path. status: letter of git (A, C, D, M, R, T; X: came with a merge).

    position: the commit's in its index. old_path: where the content was before. old, new: beginnings of the
    ids of the content before and after. spans: the differing places; None when they are not known (binary,
    unreadable, a merge), which stands for the whole file.
    """

    position: int
    status: str
    path: bytes
    old_path: bytes
    old: bytes
    new: bytes
    spans: tuple[Span, ...] | None


@lru_cache(maxsize=64)
def differing(old: bytes, new: bytes) -> tuple[Span, ...]:
    """As `differences` of the lines of two texts; the same two are compared again and again in a search."""
    return tuple(differences(old.splitlines(keepends=True), new.splitlines(keepends=True)))


def differences(old: Sequence[bytes], new: Sequence[bytes]) -> list[Span]:
    """The differing places of two texts by lines, ascending: lines that are unique in both are kept."""
    found: list[Span] = []
    waiting = [(0, len(old), 0, len(new))]
    while waiting:
        low, high, left, right = waiting.pop()
        while low < high and left < right and old[low] == new[left]:
            low, left = low + 1, left + 1
        while low < high and left < right and old[high - 1] == new[right - 1]:
            high, right = high - 1, right - 1
        if low == high and left == right:
            continue
        if low == high or left == right:
            found.append((low, high, left, right))
        elif anchors := _anchors(old, new, low, high, left, right):
            edges = [(low, left), *((one + 1, other + 1) for one, other in anchors)]
            ends = [*anchors, (high, right)]
            waiting += [(a, c, b, d) for (a, b), (c, d) in zip(edges, ends, strict=True)]
        else:
            found += _shortest_edit(old, new, low, high, left, right)
    return _joined(sorted(found))


def _anchors(
    old: Sequence[bytes], new: Sequence[bytes], low: int, high: int, left: int, right: int
) -> list[tuple[int, int]]:
    """Lines that are unique in both stretches, as far as they are in the same order (patience)."""
    places: dict[bytes, int] = {}
    for place in range(low, high):
        places[old[place]] = -1 if old[place] in places else place
    seen: dict[bytes, int] = {}
    for place in range(left, right):
        if places.get(new[place], -1) >= 0:
            seen[new[place]] = -1 if new[place] in seen else place
    pairs = [(places[line], place) for line, place in seen.items() if place >= 0]
    pairs.sort()
    return _rising(pairs)


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of pairs (ascending by their first) that ascends by the second as well."""
    tops: list[int] = []
    before: list[int] = [-1] * len(pairs)
    for place, (_, other) in enumerate(pairs):
        low, high = 0, len(tops)
        while low < high:
            middle = (low + high) // 2
            if pairs[tops[middle]][1] < other:
                low = middle + 1
            else:
                high = middle
        before[place] = tops[low - 1] if low else -1
        if low == len(tops):
            tops.append(place)
        else:
            tops[low] = place
    chain: list[tuple[int, int]] = []
    place = tops[-1] if tops else -1
    while place >= 0:
        chain.append(pairs[place])
        place = before[place]
    return chain[::-1]


def _shortest_edit(
    old: Sequence[bytes], new: Sequence[bytes], low: int, high: int, left: int, right: int
) -> list[Span]:
    """Myers' shortest edit of a stretch; a stretch that needs too many edits is one differing place.

    Lines that the other side has not at all are in no common sequence: it is looked for without them.
    """
    both = set(old[low:high]) & set(new[left:right])
    mine = [place for place in range(low, high) if old[place] in both]
    yours = [place for place in range(left, right) if new[place] in both]
    common = _common([old[place] for place in mine], [new[place] for place in yours])
    if not common:
        return [(low, high, left, right)]
    spans = []
    for one, other in [*((mine[x], yours[y]) for x, y in common), (high, right)]:
        if low < one or left < other:
            spans.append((low, one, left, other))
        low, left = one + 1, other + 1
    return spans


def _common(old: Sequence[bytes], new: Sequence[bytes]) -> list[tuple[int, int]]:
    """Places of a longest common sequence of lines, ascending; nothing when too many edits are needed."""
    height, width = len(old), len(new)
    most = min(height + width, _LONGEST_EDIT)
    # reach[middle + d]: how far down diagonal d comes; with a place to spare on both sides
    middle = most + 1
    reach = [0] * (2 * most + 3)
    trace: list[list[int]] = []
    for edits in range(most + 1):
        trace.append(reach[middle - edits - 1 : middle + edits + 2])
        for diagonal in range(-edits, edits + 1, 2):
            at = middle + diagonal
            if diagonal == -edits or (diagonal != edits and reach[at - 1] < reach[at + 1]):
                x = reach[at + 1]
            else:
                x = reach[at - 1] + 1
            y = x - diagonal
            while x < height and y < width and old[x] == new[y]:
                x, y = x + 1, y + 1
            reach[at] = x
            if x >= height and y >= width:
                return _followed_back(trace, height, width)
    return []


def _followed_back(trace: Sequence[Sequence[int]], x: int, y: int) -> list[tuple[int, int]]:
    """The pairs on the way that a search took; trace: its reaches before each edit."""
    pairs: list[tuple[int, int]] = []
    for edits in range(len(trace) - 1, -1, -1):
        reach, at = trace[edits], x - y + edits + 1
        down = at == 1 or (at != 2 * edits + 1 and reach[at - 1] < reach[at + 1])
        start = (reach[at + 1] if down else reach[at - 1] + 1) if edits else 0
        pairs += [(x - step, y - step) for step in range(1, x - start + 1)]
        y -= x - start
        x = start
        x, y = (x, y - 1) if down else (x - 1, y)
    return pairs[::-1]


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Places that follow each other without a common line between them are one."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1][1] == span[0] and joined[-1][3] == span[2]:
            joined[-1] = (joined[-1][0], span[1], joined[-1][2], span[3])
        else:
            joined.append(span)
    return joined


def meeting(ours: Sequence[Span], theirs: Sequence[Span], *, distance: int = 0) -> list[Range]:
    """Ranges of the base where our changes meet theirs: their lines and one around them, cut to ours.

    Both are differences from the same base. Changes meet when they overlap or touch, `distance` lines apart
    at most. What of ours meets theirs only by touching counts whole.
    """
    ranges = []
    for start, end, _, _ in ours:
        for low, high, _, _ in theirs:
            if start > high + distance or low > end + distance:
                continue
            cut = (max(start, low - 1), min(end, high + 1))
            ranges.append(cut if cut[0] < cut[1] else (start, end))
    return _without_doubles(ranges)


def _without_doubles(ranges: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for start, end in sorted(set(ranges)):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def touches(one: Range, start: int, end: int) -> bool:
    """Whether a range has lines in common with [start, end); an empty one of the two need only touch."""
    if one[0] == one[1] or start == end:
        return one[0] <= end and start <= one[1]
    return one[0] < end and start < one[1]


def before(ranges: Sequence[Range], spans: Sequence[Span], *, keeps: bool) -> tuple[list[Range], bool]:
    """Take ranges of a new text back to the old one, and say whether a difference touched any.

    keeps: what the differences wrote is carried to what they replaced; otherwise it is dropped.
    """
    result: list[Range] = []
    is_touched = False
    for one in ranges:
        pieces = [one]
        for _, _, start, end in spans:
            if touches(one, start, end):
                is_touched = True
                if not keeps:
                    pieces = [part for piece in pieces for part in _outside(piece, start, end)]
        move = _carried if keeps else _shifted
        result += [move(piece, spans) for piece in pieces]
    return _without_doubles(result), is_touched


def _outside(piece: Range, start: int, end: int) -> list[Range]:
    if piece[0] == piece[1]:
        return []
    parts = [(piece[0], min(piece[1], start)), (max(piece[0], end), piece[1])]
    return [part for part in parts if part[0] < part[1]]


def _shifted(piece: Range, spans: Sequence[Span]) -> Range:
    moved = sum((end - start) - (new_end - new) for start, end, new, new_end in spans if new_end <= piece[0])
    return (piece[0] + moved, piece[1] + moved)


def _carried(piece: Range, spans: Sequence[Span]) -> Range:
    """The old range of a new one: what was rewritten within it counts whole."""
    touched = [span for span in spans if touches(piece, span[2], span[3])]
    if not touched:
        return _shifted(piece, spans)
    first, last = touched[0], touched[-1]
    return (first[0] - max(0, first[2] - piece[0]), last[1] + max(0, piece[1] - last[3]))
