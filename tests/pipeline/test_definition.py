# SPDX-License-Identifier: MPL-2.0
"""Definitions: every problem at once, each where it is."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_builders import check_kind, graph
from shipit.pipeline.definition import InvalidDefinition, read
from shipit.pipeline.links import Order
from shipit.pipeline.schema import problems, problems_of_schema


def pointers(given: Any) -> list[str]:
    with pytest.raises(InvalidDefinition) as caught:
        read(given, check_kind)
    return [each.pointer for each in caught.value.problems]


def test_all_problems_are_told_at_once_with_their_places() -> None:
    found = pointers(
        {
            "steps": [
                {"uid": "a", "kind": "work", "requires": ["b", "nowhere"], "parameters": {"seconds": "x"}},
                {"uid": "b", "kind": "work"},
                {"uid": "a", "kind": "nonsense"},
                {"uid": "c"},
                {"uid": "d", "api_url": "ftp://x", "attempts": 0, "colour": "red"},
            ],
            "surprise": 1,
        }
    )
    assert set(found) == {
        "/steps/0/requires/1",
        "/steps/0/parameters/seconds",
        "/steps/2/uid",
        "/steps/2/kind",
        "/steps/3",
        "/steps/4/api_url",
        "/steps/4/attempts",
        "/steps/4/colour",
        "/surprise",
    }


@pytest.mark.parametrize("given", [None, [], "x", {}, {"steps": []}, {"steps": 3}, {"steps": [7, None]}])
def test_what_is_no_definition_at_all_is_refused(given: Any) -> None:
    assert pointers(given)


def test_p8_a_dangling_requirement_is_refused_at_creation() -> None:
    assert pointers({"steps": [{"uid": "a", "kind": "work", "requires": ["b"]}]}) == ["/steps/0/requires/0"]


def test_p8_a_cycle_is_refused_and_every_step_on_it_is_named() -> None:
    steps = [
        {"uid": "a", "kind": "work", "requires": ["c"]},
        {"uid": "b", "kind": "work", "requires": ["a"]},
        {"uid": "c", "kind": "work", "requires": ["b"]},
        {"uid": "free", "kind": "work", "requires": ["c"]},
        {"uid": "self", "kind": "work", "requires": ["self"]},
    ]
    found = pointers({"steps": steps})
    assert found == [f"/steps/{place}/requires" for place in (0, 1, 2, 4)]


def test_p8_a_uid_given_twice_is_refused() -> None:
    assert pointers({"steps": [{"uid": "a", "kind": "work"}, {"uid": "a", "kind": "work"}]}) == [
        "/steps/1/uid"
    ]


def test_p9_parameters_are_checked_by_the_schema_of_their_kind() -> None:
    assert pointers({"steps": [{"uid": "a", "kind": "work", "parameters": {"seconds": "long"}}]}) == [
        "/steps/0/parameters/seconds"
    ]


def test_an_output_may_stand_for_a_parameter_only_of_a_step_that_comes_before() -> None:
    graph("a -> b", b={"parameters": {"seconds": {"$output": "a.seconds"}}})
    late = {
        "steps": [
            {"uid": "a", "kind": "work", "parameters": {"x": {"$output": "b.y"}}},
            {"uid": "b", "kind": "work"},
        ]
    }
    assert pointers(late) == ["/steps/0/parameters/x"]


@given(st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=8))
def test_a_graph_is_accepted_exactly_when_it_can_be_sorted(links: list[list[int]]) -> None:
    links = [sorted({link for link in each if link < len(links)}) for each in links]
    steps = [
        {"uid": f"s{n}", "kind": "work", "requires": [f"s{m}" for m in each]} for n, each in enumerate(links)
    ]
    named = {f"s{n}": tuple(f"s{m}" for m in each) for n, each in enumerate(links)}
    order = Order(named)
    circular = {name for name in named if order.is_before(name, name)}
    if circular:
        found = pointers({"steps": steps})
        assert {f"s{pointer.split('/')[2]}" for pointer in found} == circular
        return
    done: set[str] = set()
    for step in read({"steps": steps}, check_kind).steps:
        assert done.issuperset(step.requires)
        done.add(step.uid)


def test_a_schema_with_a_word_we_do_not_check_is_refused() -> None:
    assert [each.pointer for each in problems_of_schema({"type": "objekt", "oneOf": []})] == [
        "/oneOf",
        "/type",
    ]
    assert problems(True, {"type": "integer"}), "true is no number"


def test_pointers_are_escaped() -> None:
    found = problems(
        {"a/b": {"c~d": 1}}, {"properties": {"a/b": {"properties": {"c~d": {"type": "string"}}}}}
    )
    assert found[0].pointer == "/a~1b/c~0d"


@pytest.mark.parametrize(
    ("steps", "pointer"),
    [
        ([{"uid": [], "kind": "work"}], "/steps/0/uid"),
        ([{"uid": {}, "kind": "work", "requires": [{}]}], "/steps/0/uid"),
        ([{"uid": "a", "kind": "work", "phase": []}], "/steps/0/phase"),
        ([{"uid": "a\n", "kind": "work"}], "/steps/0/uid"),
        ([{"uid": "a", "kind": "work", "phase": "ship\n"}], "/steps/0/phase"),
        ([{"uid": "a", "kind": "work", "not_before": "9999-12-31T23:59:59-23:59"}], "/steps/0/not_before"),
        ([{"uid": "a", "kind": "work", "not_before": "2026-W01-1T00:00:00+00:00"}], "/steps/0/not_before"),
    ],
)
def test_odd_names_phases_and_times_are_named_not_stumbled_over(steps: Any, pointer: str) -> None:
    assert pointer in pointers({"steps": steps, "rollbacks": {"ship": {"steps": [{}]}}})


def test_what_is_nested_too_deep_is_refused_before_anything_walks_it() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    assert pointers({"steps": [{"uid": "a", "kind": "work", "parameters": {"x": deep}}]}) == [""]


def test_a_dense_graph_is_judged_in_a_moment() -> None:
    names = [f"s{place}" for place in range(500)]
    begun = time.process_time()
    order = Order({name: [other for other in names if other != name] for name in names})
    assert all(order.is_before(name, name) and order.is_before(names[0], name) for name in names)
    # Looked through for each of them anew, so many steps took half a minute.
    assert time.process_time() - begun < 5


def test_a_pipeline_within_refers_to_its_own_steps_first() -> None:
    def within(output: str) -> dict[str, Any]:
        feeds = {"uid": "b", "kind": "work", "requires": ["a"], "parameters": {"x": {"$output": output}}}
        return {"steps": [{"uid": "a", "kind": "work"}, feeds]}

    def check(kind: str, parameters: Any) -> Any:
        if kind != "pipeline":
            return check_kind(kind, parameters)
        try:
            read(parameters, check)
        except InvalidDefinition as error:
            return list(error.problems)
        return []

    def around(output: str) -> dict[str, Any]:
        inner = {"uid": "p", "kind": "pipeline", "requires": ["first"], "parameters": within(output)}
        return {"steps": [{"uid": "first", "kind": "work"}, {"uid": "a", "kind": "work"}, inner]}

    assert read(around("a.x"), check) and read(around("first.x"), check)
    for output in ("b.x", "nobody.x", "p.x"):
        with pytest.raises(InvalidDefinition) as caught:
            read(around(output), check)
        found = [each.pointer for each in caught.value.problems]
        assert found == ["/steps/2/parameters/steps/1/parameters/x"]
