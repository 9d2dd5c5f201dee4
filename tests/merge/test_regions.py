# SPDX-License-Identifier: MPL-2.0
"""What differs between two texts: always a way from one to the other, and never longer than needed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from shipit.merge.keeping import keep_both, prefer_ours
from shipit.merge.regions import Span, _common, differences


def applied(old: Sequence[bytes], new: Sequence[bytes], spans: Sequence[Span]) -> list[bytes]:
    """The old lines with the differing places of the new ones."""
    result: list[bytes] = []
    at = 0
    for start, end, left, right in spans:
        result += [*old[at:start], *new[left:right]]
        at = end
    return [*result, *old[at:]]


def longest(old: Sequence[bytes], new: Sequence[bytes]) -> int:
    """Length of a longest common sequence."""
    row = [0] * (len(new) + 1)
    for line in old:
        before, row = row, [0]
        for place, other in enumerate(new):
            row.append(before[place] + 1 if line == other else max(before[place + 1], row[-1]))
    return row[-1]


@pytest.mark.parametrize("words", [2, 4, 30], ids=["many equal lines", "some", "few"])
def test_differences_lead_from_one_text_to_the_other_by_few_edits(words: int) -> None:
    chance = random.Random(words)
    for _ in range(150):
        old = [b"%d" % chance.randrange(words) for _ in range(chance.randrange(25))]
        new = list(old)
        for _ in range(chance.randrange(7)):
            place = chance.randint(0, len(new))
            new[place : place + chance.randrange(2)] = [b"%d" % chance.randrange(words)] * chance.randrange(2)
        spans = differences(old, new)
        assert applied(old, new, spans) == new
        assert all(one[1] < other[0] or one[3] < other[2] for one, other in pairwise(spans))
        pairs = _common(old, new)
        assert all(old[one] == new[other] for one, other in pairs) and pairs == sorted(set(pairs))
        assert len(pairs) == longest(old, new)


def test_a_replaced_stretch_without_a_common_line_is_one_place() -> None:
    old, new = [b"a%d" % number for number in range(900)], [b"b%d" % number for number in range(800)]
    assert differences([b"x", *old, b"y"], [b"x", *new, b"y"]) == [(1, 901, 1, 801)]


def test_ours_win_where_both_changed_and_theirs_are_taken_elsewhere() -> None:
    base = b"1\n2\n3\n4\n5\n6\n7\n"
    ours, theirs = base.replace(b"2", b"ours"), base.replace(b"2", b"theirs").replace(b"6", b"six")
    assert keep_both(base, ours, theirs) is None
    assert prefer_ours(base, ours, theirs) == b"1\nours\n3\n4\n5\nsix\n7\n"
