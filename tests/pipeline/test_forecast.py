# SPDX-License-Identifier: MPL-2.0
"""Forecasts: the longest way through what is left, honest about what is not known."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from pipeline_builders import NOON, fresh, graph, says, turn
from shipit.pipeline.forecast import forecast, quantile
from shipit.pipeline.states import Status
from shipit.pipeline.types import Facts, Served, Stop

HOUR = 3600.0
TOOK = {"a": [HOUR] * 5, "b": [HOUR, 2 * HOUR, 3 * HOUR, 2 * HOUR], "c": [600.0] * 9}


def diamond() -> Facts:
    facts, _ = turn(fresh(graph("a -> b; a -> c; b c -> d")))
    return facts


def test_the_longest_way_decides_and_the_rarest_step_says_on_how_much_it_rests() -> None:
    found = forecast(diamond(), {**TOOK, "d": [60.0] * 3}, NOON)
    assert found.likely == NOON + timedelta(hours=3, minutes=1)
    assert (found.early, found.late) == (
        NOON + timedelta(hours=2, minutes=1),
        NOON + timedelta(hours=4, minutes=1),
    )
    assert (found.based_on, found.unknown, found.supposes) == (3, (), ())


def test_without_history_of_every_step_that_is_left_there_is_no_time() -> None:
    found = forecast(diamond(), TOOK, NOON)
    assert (found.likely, found.unknown) == (None, ("d",))


def test_what_runs_late_ends_now_at_the_earliest() -> None:
    found = forecast(diamond(), {**TOOK, "d": [60.0] * 3}, NOON + timedelta(hours=5))
    assert found.likely == NOON + timedelta(hours=7, minutes=1)


def test_a_failed_step_is_taken_for_tried_again_and_said_to_be() -> None:
    facts, _ = turn(says(diamond(), "a", "failure"))
    found = forecast(facts, {**TOOK, "d": [60.0] * 3}, NOON)
    assert found.supposes == ("a",)
    assert found.likely == NOON + timedelta(hours=3, minutes=1)


def test_what_waits_says_when_it_likely_begins_as_far_as_that_is_known() -> None:
    both = {"b": NOON + timedelta(hours=1), "c": NOON + timedelta(hours=1)}
    assert forecast(diamond(), TOOK, NOON).begins == {**both, "d": NOON + timedelta(hours=3)}
    assert forecast(diamond(), {"a": TOOK["a"]}, NOON).begins == both


def test_what_is_held_is_taken_for_going_on_and_said_to_be() -> None:
    took = {**TOOK, "d": [60.0] * 3}
    facts = replace(diamond(), hold="a bad bug", hold_by="kim")
    assert (forecast(diamond(), took, NOON).is_held, forecast(facts, took, NOON).is_held) == (False, True)
    stop = Stop(uid="s", product="", phase="", reason="x", author="kim", since=NOON)
    assert forecast(replace(diamond(), stops=(stop,)), took, NOON).is_held


def test_a_rollout_takes_at_least_its_own_pauses_and_halted_it_is_held() -> None:
    (made,) = graph("r ->").steps
    rollout = {"rule": 1, "percents": [10, 50, 100], "pause_seconds": 6 * HOUR}
    definition = replace(graph("r ->"), steps=(replace(made, kind="rollout", parameters=rollout),))
    facts, _ = turn(fresh(definition))
    took = {"r": [60.0] * 3}
    assert forecast(facts, took, NOON).likely == NOON + timedelta(hours=12)
    reached = [{"percent": 10, "at": NOON.isoformat()}, {"percent": 50, "at": NOON.isoformat()}]
    served = Served(status=Status.IN_PROGRESS, details={"reached": reached, "halted": {"by": "kim"}})
    facts = replace(facts, nodes={"r": replace(facts.nodes["r"], served=served)})
    found = forecast(facts, took, NOON)
    assert (found.likely, found.is_held) == (NOON + timedelta(hours=6), True)


def test_what_is_done_has_no_forecast() -> None:
    facts, _ = turn(fresh(graph("a ->")))
    facts, _ = turn(says(facts, "a", "success"))
    assert replace(forecast(facts, TOOK, NOON)).likely is None


def test_quantiles() -> None:
    assert [quantile([3, 1, 2], part) for part in (0.1, 0.5, 0.9)] == [1, 2, 3]
