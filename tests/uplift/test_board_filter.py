# SPDX-License-Identifier: MPL-2.0
"""What an address of the board asks for: the rows it names, in its order, and never more than it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import InvalidInput
from shipit.uplift.board import Group
from shipit.uplift.board_filter import Row, Sort, chosen, read
from shipit.uplift.standing import StandingKey
from shipit.uplift.types import RequestState

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def row(uid: str, **more: Any) -> Row:
    facts: dict[str, Any] = {
        "uid": uid,
        "bug": 100,
        "group": Group.DECIDE,
        "status": StandingKey.CLEAN,
        "state": RequestState.REQUESTED,
        "rank": 1,
        "summary": "Crash in the layout of tables",
        "product": "Core",
        "component": "Layout: Tables",
        "tags": ("topcrash",),
        "who": "Rosa Mann",
        "risk": "low",
        "lines": 10,
        "is_restricted": False,
        "disagrees": False,
        "requested_at": NOON,
    }
    return Row(**{**facts, **more})


ROWS = [
    row("a", bug=3, rank=0, risk="high", lines=300, requested_at=NOON - timedelta(days=1)),
    row("b", bug=1, risk=None, lines=None, product="Fenix", component="A, B", who="Dev"),
    row("c", bug=2, group=Group.BLOCKED, status=StandingKey.CONFLICT, tags=(), disagrees=True),
    row("d", bug=4, state=RequestState.APPROVED, is_restricted=True, summary="ÄRGER mit Umlauten"),
    row("e", bug=5, requested_at=None),
]


def found(*query: tuple[str, str]) -> str:
    return "".join(each.uid for each in chosen(ROWS, read(query)))


@pytest.mark.parametrize(
    ("query", "uids"),
    [
        ([], "abdec"),
        ([("group", "decide")], "abde"),
        ([("group", "blocked,decide")], "abdec"),
        ([("status", "conflict")], "c"),
        ([("state", "approved")], "d"),
        ([("product", "Fenix")], "b"),
        ([("component", "A, B")], "b"),
        ([("component", "A")], ""),
        ([("component", "A, B"), ("component", "Layout: Tables")], "abdec"),
        ([("tag", "topcrash")], "abde"),
        ([("risk", "none")], "b"),
        ([("risk", "high,none")], "ab"),
        ([("who", "Dev")], "b"),
        ([("security", "yes")], "d"),
        ([("disagrees", "yes")], "c"),
        ([("q", "layout OF")], "abec"),
        ([("q", "ärger")], "d"),
        ([("q", "crash nothing")], ""),
        ([("q", "4")], "d"),
        ([("q", ""), ("product", "")], "abdec"),
        ([("product", "Fenix"), ("risk", "low")], ""),
        ([("sort", "bug")], "badec"),
        ([("sort", "-bug")], "edabc"),
        ([("sort", "age")], "abdec"),
        ([("sort", "risk")], "adebc"),
        ([("sort", "size")], "bdeac"),
        ([("sort", "-size")], "adebc"),
    ],
)
def test_an_address_asks_for_these_rows_in_this_order(query: list[tuple[str, str]], uids: str) -> None:
    assert found(*query) == uids


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ([("produkt", "Core")], "query.produkt"),
        ([("group", "dicide")], "query.group"),
        ([("group", "decide,dicide")], "query.group"),
        ([("security", "maybe")], "query.security"),
        ([("sort", "beauty")], "query.sort"),
        ([("q", "x" * 301)], "query.q"),
        ([("who", ",".join(str(n) for n in range(60)))], "query.who"),
    ],
)
def test_what_no_filter_understands_is_refused_by_name(query: list[tuple[str, str]], names: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(query)
    assert refused.value.field == names


def test_words_that_choose_no_rows_are_left_alone() -> None:
    assert read([("train", "beta"), ("sort", "age")], others=frozenset({"train"})).sort is Sort.AGE


QUERIES = st.lists(
    st.one_of(
        st.tuples(st.just("group"), st.sampled_from(Group).map(str)),
        st.tuples(st.just("risk"), st.sampled_from(["high", "low", "none"])),
        st.tuples(st.just("sort"), st.sampled_from(["before", "-age", "size", "-bug", "risk"])),
        st.tuples(st.just("q"), st.sampled_from(["", "crash", "1"])),
    ),
    max_size=4,
)


@given(QUERIES, st.permutations(ROWS))
def test_the_order_in_which_rows_come_never_matters(query: list[tuple[str, str]], rows: list[Row]) -> None:
    assert chosen(rows, read(query)) == chosen(ROWS, read(query))
