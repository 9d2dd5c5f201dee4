# SPDX-License-Identifier: MPL-2.0
"""Templates: what they make is a definition that runs, with the phases in their order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline_builders import fresh, turn
from shipit.actions.pipelines import checked
from shipit.errors import Missing
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.feeding import resolved
from shipit.pipeline.links import Order
from shipit.pipeline.states import State
from shipit.pipeline.templates import RELEASES, make, merges

VALUES: dict[str, Any] = {
    "product": "firefox",
    "version": "147.0",
    "build": 2,
    "revision": "abc123",
    "train": "release",
    "hook": {"group": "project-releng", "id": "phase"},
    "signers": [{"releng": 1, "relman": 1}],
    "qa": "qa",
    "phase_hours": 8,
    "rollout": {
        "rule": "firefox-release",
        "percents": [10, 100],
        "pause_seconds": 86400,
        "product": "Firefox",
        "channel": "release",
    },
}

REQUIRED = ("product", "version", "build", "revision", "hook", "signers")


def links(definition: Any) -> dict[str, tuple[str, ...]]:
    return {step.uid: step.requires for step in definition.steps}


@pytest.mark.parametrize("name", RELEASES)
def test_every_release_template_makes_a_valid_pipeline_with_phases_in_order(name: str) -> None:
    definition = checked(make(name, VALUES), lambda url: None)
    order, phases = Order(links(definition)), [phase.name for phase in RELEASES[name][1]]
    for earlier, later in itertools.pairwise(phases):
        assert order.is_before(earlier, later)
    assert order.is_before("sign_ship", "ship")
    assert order.is_before("uplifts", phases[0])
    assert order.is_before("ship", "rollout")
    assert all(step.rollback for step in definition.steps if step.kind in ("taskcluster", "rollout"))
    assert set(definition.rollbacks) == set(phases)
    assert definition.rollbacks["ship"].steps[0].kind == "shutoff"


def test_a_phase_that_is_skipped_neither_waives_its_signoff_nor_stops_what_follows() -> None:
    definition = checked(make("release", {name: VALUES[name] for name in REQUIRED}), lambda url: None)
    facts = fresh(definition)

    def set_to(uid: str, state: State, **output: Any) -> None:
        nonlocal facts
        node = replace(facts.nodes[uid], state=state, output=output)
        facts, _ = turn(replace(facts, nodes=facts.nodes | {uid: node}))

    set_to("promote", State.SKIPPED)
    sign = resolved(facts, next(step for step in definition.steps if step.uid == "sign_push"))
    assert facts.nodes["sign_push"].state is State.IN_PROGRESS and "digest" not in sign
    set_to("sign_push", State.SUCCESS)
    push = resolved(facts, next(step for step in definition.steps if step.uid == "push"))
    assert push["hook"]["payload"]["previous_graph_ids"] == []
    set_to("push", State.SUCCESS, task_group_id="g2", digest="d2")
    set_to("sign_ship", State.SUCCESS)
    ship = resolved(facts, next(step for step in definition.steps if step.uid == "ship"))
    assert ship["hook"]["payload"]["previous_graph_ids"] == ["g2"], "each phase goes on with those before it"


def test_a_merge_day_comes_from_the_calendar_and_knows_no_esr_by_itself() -> None:
    found = merges({"main": 148, "beta": 147}, [140, 153], new_esr=166)
    names = [each["behavior"] for each in found]
    assert names == [
        "beta-to-release",
        "release-to-esr166",
        "main-to-beta",
        "bump-main",
        "bump-esr140",
        "bump-esr153",
    ]
    values = {
        "product": "firefox",
        "version": "149",
        "hook": VALUES["hook"],
        "signers": VALUES["signers"],
        "merges": found,
    }
    definition = checked(make("merge-day", values), lambda url: None)
    assert all(Order(links(definition)).is_before("sign", name) for name in names)
    assert [each["behavior"] for each in merges({"main": 1}, [])] == ["bump-main"]


def test_wrong_values_are_named_all_at_once() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        make("beta", {"product": "", "build": 0, "version": "1", "surprise": 1})
    assert {each.pointer for each in caught.value.problems} >= {
        "/product",
        "/build",
        "/surprise",
        "/revision",
        "/hook",
    }
    with pytest.raises(Missing):
        make("nightmare", {})
