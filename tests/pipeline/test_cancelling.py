# SPDX-License-Identifier: MPL-2.0
"""Cancelled steps: by whom and why, and services that do not answer when they are told."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from pipeline_builders import NOON, fresh, graph, says, states, turn
from shipit.pipeline.feeding import resolved
from shipit.pipeline.standing import standing
from shipit.pipeline.states import Event, State, Status
from shipit.pipeline.transition import CANCEL_SECONDS, asked
from shipit.pipeline.types import Facts, Node, Served, digest_of


def sentence(facts: Facts, uid: str) -> str:
    step = next(each for each in facts.definition.steps if each.uid == uid)
    return standing(facts, step, NOON).sentence


def changed(facts: Facts, node: Node) -> Facts:
    return replace(facts, nodes=facts.nodes | {node.uid: node})


def test_why_somebody_cancelled_a_step_is_what_is_told_of_it() -> None:
    facts, _ = turn(fresh(graph("a -> b")))
    facts = changed(facts, asked(facts, "a", Event.CANCEL_ASKED, by="ann", reason="wrong revision"))
    assert sentence(facts, "a") == "being cancelled: asked by ann (wrong revision)"
    facts, _ = turn(says(facts, "a", "cancelled", message="cancelled"))
    assert sentence(facts, "a") == "cancelled by ann: wrong revision"


def test_a_step_that_never_ran_is_cancelled_with_its_pipeline_and_by_nobody_else() -> None:
    facts, _ = turn(fresh(graph("a -> b")))
    facts = changed(facts, replace(facts.nodes["a"], by="ann", note="released"))
    facts, plan = turn(replace(facts, wants_cancel=True))
    assert plan.cancels == ("p.a.1",)
    assert sentence(facts, "a") == "being cancelled: asked by the pipeline"
    facts, _ = turn(says(facts, "a", "cancelled", message="cancelled"))
    assert [sentence(facts, uid) for uid in "ab"] == ["cancelled with the pipeline"] * 2


def test_what_took_too_long_fails_also_when_its_service_cannot_be_told_to_cancel_it() -> None:
    facts, _ = turn(fresh(graph("a", a={"timeout_seconds": 5, "attempts": 2})))
    facts, _ = turn(facts, NOON + timedelta(seconds=5))
    assert facts.nodes["a"].state is State.CANCELLING
    unheard = Served(status=Status.IN_PROGRESS, message="the service cannot be reached")
    facts = changed(facts, replace(facts.nodes["a"], served=unheard))
    told = "being cancelled: it took too long; last heard of it: the service cannot be reached"
    until = NOON + timedelta(seconds=5 + CANCEL_SECONDS)
    stands = standing(facts, facts.definition.steps[0], NOON)
    assert (stands.sentence, stands.by) == (told, until)
    facts, plan = turn(facts, until - timedelta(seconds=1))
    assert (plan.changed, plan.wake_at) == ((), until)
    facts, plan = turn(facts, until)
    # Not tried again by itself: it may run still.
    assert (states(facts), plan.status, plan.starts) == ("a=timed_out", Status.FAILURE, ())
    assert sentence(facts, "a").startswith("took longer than 5 s, 1 try: its service has not confirmed")
    facts, plan = turn(says(facts, "a", "success"), until + timedelta(seconds=9))
    assert plan.changed == (), "what it says later changes nothing"
    facts, plan = turn(changed(facts, asked(facts, "a", Event.RETRY_ASKED, by="ann", reason="")), until)
    assert [start.key for start in plan.starts] == ["p.a.2"]


def test_a_person_waives_what_cannot_be_cancelled() -> None:
    facts, _ = turn(fresh(graph("a -> b")))
    facts, _ = turn(replace(facts, wants_cancel=True))
    assert facts.nodes["a"].state is State.CANCELLING
    facts = changed(facts, asked(facts, "a", Event.SKIP_ASKED, by="ann", reason="its host is gone"))
    facts, plan = turn(facts)
    assert (states(facts), plan.status) == ("a=skipped b=cancelled", Status.CANCELLED)
    assert sentence(facts, "a") == "skipped by ann: its host is gone"


def test_what_went_wrong_before_is_not_told_of_what_is_done() -> None:
    facts, _ = turn(fresh(graph("a b")))
    facts, _ = turn(says(facts, "a", "failure", message="out of disk"))
    facts, _ = turn(says(facts, "a", "in_progress"))
    assert sentence(facts, "a") == "runs"
    facts = changed(facts, asked(facts, "b", Event.CANCEL_ASKED, by="ann", reason="wrong revision"))
    facts, _ = turn(says(says(facts, "a", "success"), "b", "success"))
    assert [sentence(facts, uid) for uid in "ab"] == ["done", "done"]


def test_what_was_not_put_out_is_left_out_where_that_is_allowed_and_named_where_not() -> None:
    def fed(more: dict[str, bool]) -> Facts:
        wanted = {"$output": "a.x", **more}
        parameters = {"one": wanted, "list": [1, wanted, wanted, {"$output": "b.x"}]}
        facts, _ = turn(fresh(graph("a b -> c", c={"parameters": parameters})))
        facts = changed(facts, replace(facts.nodes["a"], state=State.SKIPPED, by="ann", note="by hand"))
        return turn(says(facts, "b", "success", x=2))[0]

    facts = fed({"$optional": True})
    assert resolved(facts, facts.definition.steps[2]) == {"list": [1, 2]}
    facts = fed({})
    assert sentence(facts, "c") == "could not start: it needs a.x, which is not there"


def test_a_step_says_by_when_it_goes_on_by_itself() -> None:
    facts, _ = turn(fresh(graph("a", a={"timeout_seconds": 60})))
    for seconds, by in ((30, 30), (90, 60)):
        says_so = {"by": (NOON + timedelta(seconds=seconds)).isoformat()}
        served = Served(status=Status.IN_PROGRESS, details=says_so)
        known = changed(facts, replace(facts.nodes["a"], served=served))
        assert standing(known, known.definition.steps[0], NOON).by == NOON + timedelta(seconds=by)


def test_a_skip_taken_back_is_a_try_like_any_other() -> None:
    facts, _ = turn(fresh(graph("a", a={"kind": "manual"})))
    facts = changed(facts, asked(facts, "a", Event.SKIP_ASKED, by="ann", reason="not now"))
    facts = changed(facts, asked(facts, "a", Event.UNSKIP_ASKED, by="ann", reason="after all"))
    facts, _ = turn(facts)
    assert sentence(facts, "a") == "runs, try 2 of 2"


def test_numbers_of_the_same_value_are_the_same_definition() -> None:
    assert digest_of({"x": [1, 2.0, 1e3]}) == digest_of({"x": [1.0, 2, 1000]})
    assert digest_of({"x": 1}) != digest_of({"x": True}) != digest_of({"x": "1"})
    assert digest_of({"x": 0.5}) != digest_of({"x": 0})
