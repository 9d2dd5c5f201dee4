# SPDX-License-Identifier: MPL-2.0
"""Topics match as RabbitMQ's do, and not as file names do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.events.topics import has_match, is_match

TABLE = [
    ("*.*.gecko-level-3._", "primary.T.gecko-level-3._", True),
    ("primary.*.gecko-level-3.#", "primary.T.gecko-level-3", True),
    ("#.gecko-level-3.#", "gecko-level-3", True),
    ("#.gecko-level-3.#", "primary.T.gecko-level-3._", True),
    ("*.*.gecko-level-3._", "primary.T.gecko-level-3.later.words", False),
    ("*.*.gecko-level-3.#", "primary.T.gecko-level-3.later.words", True),
    ("*", "a.b", False),
    ("a.#", "a", True),
    ("#.b.#", "b", True),
    ("#", "", True),
    ("*", "", False),
    ("", "", True),
    ("a.*.c", "a..c", True),
    ("a.?.c", "a.b.c", False),
    ("a.[b].c", "a.b.c", False),
    ("a.[b].c", "a.[b].c", True),
    ("#.#.#", "a", True),
    ("*.#", "", False),
]


@pytest.mark.parametrize(("pattern", "key", "matches"), TABLE)
def test_the_brokers_table_holds(pattern: str, key: str, matches: bool) -> None:
    assert is_match(pattern, key) is matches


def test_a_message_may_match_by_a_key_of_its_cc_header() -> None:
    assert has_match(["route.index.#"], ["primary.x", "route.index.project.releng"])
    assert not has_match(["route.index.#"], ["primary.x"])


WORD = st.sampled_from(["a", "b", "ab", ""])


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "*", "#"]), min_size=1, max_size=6),
    st.lists(WORD, min_size=1, max_size=6).filter(lambda words: words != [""]),
)
def test_any_topic_matches_as_the_expression_it_stands_for(pattern: list[str], words: list[str]) -> None:
    # each word is written with a leading dot, so that "no word" needs no special case
    spelled = "".join(r"(\.[^.]*)*" if p == "#" else r"\.[^.]*" if p == "*" else r"\." + p for p in pattern)
    expected = re.fullmatch(spelled, "".join("." + word for word in words)) is not None
    assert is_match(".".join(pattern), ".".join(words)) is expected


def test_a_hostile_key_takes_no_time() -> None:
    assert not is_match(".".join(["#", "a"] * 20 + ["z"]), ".".join(["a"] * 2000))
