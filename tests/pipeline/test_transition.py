# SPDX-License-Identifier: MPL-2.0
"""The transition function: rules by example, and what holds for every graph and every story."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline_builders import NOON, applied, fresh, graph, says, states, turn
from shipit.errors import Refused
from shipit.pipeline.standing import Reason, standing, standings, summary, what_it_waits_for, what_starts
from shipit.pipeline.states import ALIVE, ENDS, TABLE, Event, State, Status, after, drawing
from shipit.pipeline.transition import asked, decide, is_satisfied
from shipit.pipeline.types import Facts, Node, Served, Stop

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "pipeline.md"
LATER = NOON + timedelta(hours=2)


def reason(facts: Facts, uid: str) -> Reason:
    step = next(step for step in facts.definition.steps if step.uid == uid)
    return standing(facts, step, NOON).reason


def test_the_drawing_in_the_docs_is_the_table() -> None:
    assert drawing() in DOCS.read_text("utf-8")


def test_every_state_is_reached_and_every_event_moves_something() -> None:
    assert set(TABLE.values()) | {State.BLOCKED} == set(State)
    assert {event for _, event in TABLE} == set(Event)
    assert all(here is not there for (here, _), there in TABLE.items())


def test_a_step_starts_when_all_it_requires_is_done_and_only_then() -> None:
    facts, plan = turn(fresh(graph("a -> c; b -> c")))
    assert [start.key for start in plan.starts] == ["p.a.1", "p.b.1"]
    facts, plan = turn(says(facts, "a", "success"))
    assert (states(facts), plan.starts) == ("a=success b=in_progress c=blocked", ())
    facts, plan = turn(says(facts, "b", "success"))
    assert [start.key for start in plan.starts] == ["p.c.1"]
    facts, plan = turn(says(facts, "c", "success"))
    assert plan.status is Status.SUCCESS


def test_p3_deciding_twice_starts_nothing_twice() -> None:
    facts, _ = turn(fresh(graph("a -> b")))
    assert decide(facts, NOON).starts == decide(facts, LATER).starts == ()


def test_p6_a_failed_step_never_makes_a_pipeline_finished() -> None:
    facts, _ = turn(fresh(graph("a -> b")))
    facts, plan = turn(says(facts, "a", "failure", "it broke"))
    assert plan.status is Status.FAILURE
    assert reason(facts, "b") is Reason.REQUIREMENT_FAILED
    assert "it broke" in summary(facts, NOON)


def test_a_failure_beside_running_steps_waits_for_them() -> None:
    facts, _ = turn(fresh(graph("a b -> c")))
    _, plan = turn(says(facts, "a", "failure"))
    assert plan.status is Status.IN_PROGRESS


def test_a_step_is_retried_with_growing_pauses_under_a_new_key() -> None:
    facts, _ = turn(fresh(graph("a ->", a={"attempts": 3, "backoff_seconds": 10})))
    facts, plan = turn(says(facts, "a", "failure"))
    assert facts.nodes["a"].state is State.RETRYING
    assert NOON + timedelta(seconds=10) <= plan.wake_at <= NOON + timedelta(seconds=11)
    first = plan.wake_at
    facts, plan = turn(facts, first)
    assert [start.key for start in plan.starts] == ["p.a.2"]
    facts, plan = turn(says(facts, "a", "failure"), first)
    assert timedelta(seconds=20) <= plan.wake_at - first <= timedelta(seconds=22)
    facts, plan = turn(facts, plan.wake_at)
    facts, plan = turn(says(facts, "a", "failure"), LATER)
    assert (facts.nodes["a"].state, plan.status) == (State.FAILURE, Status.FAILURE)


def test_a_step_that_takes_too_long_is_cancelled_then_timed_out() -> None:
    facts, plan = turn(fresh(graph("a ->", a={"timeout_seconds": 60})))
    assert plan.wake_at == NOON + timedelta(seconds=60)
    facts, plan = turn(facts, plan.wake_at)
    assert (plan.cancels, facts.nodes["a"].state) == (("p.a.1",), State.CANCELLING)
    assert decide(facts, LATER).cancels == ()
    facts, plan = turn(says(facts, "a", "cancelled"), LATER)
    assert (facts.nodes["a"].state, plan.status) == (State.TIMED_OUT, Status.FAILURE)
    assert turn(says(facts, "a", "in_progress"))[0].nodes["a"].state is State.TIMED_OUT


def test_cancelling_reaches_what_runs_and_what_waits() -> None:
    facts, _ = turn(fresh(graph("a -> b -> c; x ->")))
    facts, plan = turn(replace(says(facts, "x", "success"), wants_cancel=True))
    assert states(facts) == "a=cancelling x=success b=cancelled c=cancelled"
    assert (plan.cancels, plan.status) == (("p.a.1",), Status.IN_PROGRESS)
    facts, plan = turn(says(facts, "a", "cancelled"))
    assert plan.status is Status.CANCELLED


def test_one_cancelled_step_leaves_the_rest_going_and_the_pipeline_to_be_taken_up_again() -> None:
    facts, _ = turn(fresh(graph("a -> b; x ->")))
    facts, plan = turn(says(facts, "a", "cancelled"))
    assert (states(facts), plan.status) == ("a=cancelled x=in_progress b=blocked", Status.IN_PROGRESS)
    facts, plan = turn(says(facts, "x", "success"))
    assert (states(facts), plan.status) == ("a=cancelled x=success b=blocked", Status.CANCELLED)
    assert summary(facts, NOON) == "1 of 3 steps done; a was cancelled; retry or skip it"
    node = asked(facts, "a", Event.RETRY_ASKED, by="ann", reason="")
    again, plan = turn(replace(facts, nodes={**facts.nodes, "a": node}))
    assert (states(again), plan.status) == ("a=in_progress x=success b=blocked", Status.IN_PROGRESS)
    # A failure beside it is what somebody must mend.
    facts, _ = turn(fresh(graph("a -> b; x ->")))
    facts, plan = turn(says(says(facts, "a", "cancelled"), "x", "failure"))
    assert plan.status is Status.FAILURE


def test_what_was_faster_than_the_cancel_has_happened() -> None:
    facts, _ = turn(fresh(graph("a ->")))
    facts, _ = turn(replace(facts, wants_cancel=True))
    facts, plan = turn(says(facts, "a", "success"))
    assert (facts.nodes["a"].state, plan.status) == (State.SUCCESS, Status.SUCCESS)


def test_a_pipeline_goes_on_without_a_step_that_may_fail() -> None:
    facts, _ = turn(fresh(graph("a -> b", a={"continue_on_failure": True})))
    facts, plan = turn(says(facts, "a", "failure"))
    assert [start.uid for start in plan.starts] == ["b"]
    assert turn(says(facts, "b", "success"))[1].status is Status.SUCCESS


def test_outputs_feed_later_inputs() -> None:
    given = {"parameters": {"digest": {"$output": "a.build.digest"}, "all": [{"$output": "a"}]}}
    facts, _ = turn(fresh(graph("a -> b", b=given)))
    _, plan = turn(says(facts, "a", "success", build={"digest": "d1"}))
    assert plan.starts[0].parameters == {"digest": "d1", "all": [{"build": {"digest": "d1"}}]}


def test_an_output_that_is_not_there_fails_the_step_and_says_which() -> None:
    facts, _ = turn(fresh(graph("a -> b", b={"parameters": {"digest": {"$output": "a.digest"}}})))
    facts, plan = turn(says(facts, "a", "success"))
    assert (plan.starts, facts.nodes["b"].state) == ((), State.FAILURE)
    assert "a.digest" in facts.nodes["b"].note


def test_a_rerun_at_the_service_brings_a_failed_step_back() -> None:
    facts, _ = turn(fresh(graph("a -> b")))
    facts, _ = turn(says(facts, "a", "failure"))
    facts, plan = turn(says(facts, "a", "in_progress"))
    assert (facts.nodes["a"].state, facts.nodes["a"].finished_at) == (State.IN_PROGRESS, None)
    assert (plan.starts, plan.status) == ((), Status.IN_PROGRESS)
    assert turn(says(facts, "a", "success"))[1].starts[0].uid == "b"


RERUN = "build -> sign; sign -> qa; qa -> push"
REPEATED = {"sign": {"kind": "signoff"}, "qa": {"kind": "manual"}}


def signed() -> Facts:
    """Built and signed; QA is at it."""
    facts, _ = turn(fresh(graph(RERUN, **REPEATED)))
    facts, _ = turn(says(facts, "build", "success"))
    facts, _ = turn(says(facts, "sign", "success"))
    assert states(facts) == "build=success sign=success qa=in_progress push=blocked"
    return facts


def test_a_rerun_of_what_succeeded_takes_back_what_people_said_of_it() -> None:
    facts, plan = turn(says(signed(), "build", "in_progress"))
    assert states(facts) == "build=in_progress sign=blocked qa=blocked push=blocked"
    assert (plan.cancels, plan.status) == (("p.qa.1",), Status.IN_PROGRESS)
    facts, plan = turn(says(facts, "build", "success"))
    assert [(start.key, start.former) for start in plan.starts] == [("p.sign.2", "p.sign.1")]
    assert facts.nodes["sign"].cause == ""


def test_a_person_reruns_what_succeeded_as_long_as_nothing_after_it_took_effect() -> None:
    facts = signed()
    asked_for = asked(facts, "build", Event.RERUN_ASKED, by="rel", reason="wrong locale")
    facts, plan = turn(replace(facts, nodes=facts.nodes | {"build": asked_for}))
    assert states(facts) == "build=in_progress sign=blocked qa=blocked push=blocked"
    assert [start.key for start in plan.starts] == ["p.build.2"]
    pushed, _ = turn(says(signed(), "qa", "success"))
    with pytest.raises(Refused, match="have taken effect: push"):
        asked(pushed, "build", Event.RERUN_ASKED, by="rel", reason="too late")
    again, plan = turn(says(pushed, "build", "in_progress"))
    assert (states(again), plan.changed) == (states(pushed), ())


def test_what_waits_for_others_is_moved_by_whoever_moves_those() -> None:
    facts, _ = turn(fresh(graph("a -> b; b c -> d; d -> e")))
    waits = Served(status=Status.IN_PROGRESS, details={"who": "relman"})
    facts = replace(facts, nodes=facts.nodes | {"c": replace(facts.nodes["c"], served=waits)})
    who = {uid: each.who for uid, each in standings(facts, NOON).items()}
    assert who == {"a": "", "b": "", "c": "relman", "d": "relman (c)", "e": "relman (c)"}
    facts, _ = turn(says(facts, "a", "failure"))
    owner = "holders of project:shipit:pipeline/firefox/none"
    assert standings(facts, NOON)["e"].who == f"{owner} (a); relman (c)"


def test_what_a_pipeline_waits_for_begins_with_what_failed() -> None:
    facts, _ = turn(fresh(graph("a ->; b ->; c ->; d -> e")))
    facts, _ = turn(says(facts, "d", "failure", "it broke"))
    told = what_it_waits_for(facts, NOON)
    assert told == "d: failed after 1 try: it broke; a: runs; b: runs (and 1 more)"
    assert summary(facts, NOON) == f"0 of 5 steps done; {told}"


def test_a_stop_holds_its_product_and_phase_and_names_its_author() -> None:
    stop = Stop(
        uid="s", product="firefox", phase="ship", reason="the update server is ill", author="rel", since=NOON
    )
    facts = fresh(graph("a -> b", a={"phase": "ship"}), stops=(stop,))
    facts, plan = turn(facts)
    assert (plan.starts, reason(facts, "a")) == ((), Reason.STOPPED)
    told = standing(facts, facts.definition.steps[0], NOON)
    assert "the update server is ill" in told.sentence
    assert told.who == "rel, or holders of project:shipit:pipeline/firefox/ship"
    asked_for = replace(facts, stops=(replace(stop, restart="s.restart"),))
    told = standing(asked_for, facts.definition.steps[0], NOON)
    assert told.sentence.endswith("that it goes on is to be signed: s.restart")
    assert told.who == "whoever signs s.restart"
    other = replace(stop, phase="push")
    assert decide(replace(facts, stops=(other,)), NOON).starts
    assert decide(replace(facts, stops=(replace(stop, product="other"),)), NOON).starts
    assert not decide(replace(facts, stops=(replace(stop, product="", phase=""),)), NOON).starts


def test_a_stop_holds_retries_too_and_running_steps_go_on() -> None:
    facts, _ = turn(fresh(graph("a b ->", a={"attempts": 2, "backoff_seconds": 0})))
    stop = Stop(uid="s", reason="r", author="x", since=NOON)
    facts, plan = turn(replace(says(facts, "a", "failure"), stops=(stop,)))
    facts, plan = turn(facts, LATER)
    assert (states(facts), plan.starts) == ("a=retrying b=in_progress", ())


def test_hold_release_and_schedule() -> None:
    facts, plan = turn(fresh(graph("a ->", a={"needs_release": True})))
    assert (plan.starts, reason(facts, "a")) == ((), Reason.NEEDS_RELEASE)
    released = replace(facts, nodes={"a": replace(facts.nodes["a"], is_released=True)})
    assert decide(released, NOON).starts
    facts, plan = turn(fresh(graph("a ->", a={"not_before": "2026-11-20T13:00:00+00:00"})))
    assert (plan.starts, plan.wake_at) == ((), NOON + timedelta(hours=1))
    assert decide(facts, plan.wake_at).starts
    facts, plan = turn(fresh(graph("a ->"), hold="merge day", hold_by="rel"))
    assert (plan.starts, reason(facts, "a")) == ((), Reason.PIPELINE_HELD)


def test_a_person_retries_skips_and_takes_a_skip_back() -> None:
    facts, _ = turn(fresh(graph("a -> b")))
    facts, _ = turn(says(facts, "a", "failure"))
    retried = replace(
        facts, nodes=facts.nodes | {"a": asked(facts, "a", Event.RETRY_ASKED, by="r", reason="x")}
    )
    assert [start.key for start in decide(retried, NOON).starts] == ["p.a.2"]
    skipped = replace(
        facts, nodes=facts.nodes | {"a": asked(facts, "a", Event.SKIP_ASKED, by="rel", reason="waived")}
    )
    assert "waived" in standing(skipped, skipped.definition.steps[0], NOON).sentence
    begun, plan = turn(skipped)
    assert plan.starts[0].uid == "b"
    with pytest.raises(Refused, match="have begun: b"):
        asked(begun, "a", Event.UNSKIP_ASKED, by="r", reason="")
    with pytest.raises(Refused, match="in_progress"):
        asked(begun, "b", Event.RETRY_ASKED, by="r", reason="")
    with pytest.raises(Refused, match="cancelled"):
        asked(replace(facts, wants_cancel=True), "a", Event.RETRY_ASKED, by="r", reason="")


def test_what_the_last_signature_starts_is_said_exactly() -> None:
    facts, _ = turn(fresh(graph("sign -> push; sign other -> ship; ship -> end")))
    assert what_starts(facts, "sign") == ("push",)
    facts, _ = turn(says(facts, "other", "success"))
    assert what_starts(facts, "sign") == ("push", "ship")


SERVICE = st.sampled_from(["in_progress", "success", "failure", "cancelled"])


@st.composite
def stories(draw: st.DrawFn) -> tuple[Facts, list[tuple[str, str]]]:
    """A random graph with random options, and what its services say in which order."""
    count = draw(st.integers(1, 6))
    text = "; ".join(
        f"{' '.join(f's{m}' for m in sorted(draw(st.sets(st.integers(0, n - 1), max_size=3))))} -> s{n}"
        if n
        else "s0 ->"
        for n in range(count)
    )
    options = {
        f"s{n}": {
            "attempts": draw(st.integers(1, 3)),
            "backoff_seconds": draw(st.sampled_from([0, 5])),
            "continue_on_failure": draw(st.booleans()),
            "timeout_seconds": draw(st.sampled_from([None, 60])),
            "kind": draw(st.sampled_from(["work", "work", "signoff"])),
        }
        for n in range(count)
    }
    said = draw(
        st.lists(
            st.tuples(st.sampled_from(list(options)) | st.just("cancel") | st.just("time"), SERVICE),
            max_size=30,
        )
    )
    return fresh(graph(text, **options)), said


@settings(max_examples=150, deadline=None)
@given(stories())
def test_whatever_happens_the_invariants_hold(story: tuple[Facts, list[tuple[str, str]]]) -> None:
    facts, said = story
    now, started, steps = NOON, set(), {step.uid: step for step in facts.definition.steps}
    for who, what in [("time", ""), *said, ("time", "")]:
        if who == "cancel":
            facts = replace(facts, wants_cancel=True)
        elif who == "time":
            now += timedelta(seconds=31)
        elif facts.nodes[who].attempt and facts.nodes[who].state not in (State.READY, State.BLOCKED):
            facts = says(facts, who, what)
        before = facts
        plan = decide(facts, now)
        facts = applied(facts, plan)
        for start in plan.starts:
            assert start.key not in started, "a key is started once"
            started.add(start.key)
            assert all(is_satisfied(steps[uid], facts.nodes[uid]) for uid in steps[start.uid].requires)
            assert not facts.wants_cancel
            assert facts.nodes[start.uid].attempt <= facts.nodes[start.uid].allowed
        for node in plan.changed:
            assert _reachable(before.nodes[node.uid].state, node.state)
        again = decide(facts, now)
        assert (again.changed, again.starts, again.cancels) == ((), (), ()), "a decided pipeline stands"
        live = any(node.state in ALIVE for node in facts.nodes.values())
        assert not (live and plan.status.is_end), "no end while something runs"
        stuck = plan.status is Status.IN_PROGRESS and not live and plan.wake_at is None
        assert not stuck, "what goes on is running or has a time to wake"
        for step in facts.definition.steps:
            assert standing(facts, step, now).sentence


def _reachable(here: State, there: State) -> bool:
    seen, todo = {here}, [here]
    while todo:
        state = todo.pop()
        for event in Event:
            moved = after(state, event)
            if moved is not None and moved not in seen:
                seen.add(moved)
                todo.append(moved)
    return there in seen


def test_ends_are_the_states_nothing_leaves_by_itself() -> None:
    asked_for = {Event.SKIP_ASKED, Event.RETRY_ASKED, Event.UNSKIP_ASKED, Event.RERUN_ASKED}
    own = asked_for | {Event.RUNS_AGAIN, Event.REQUIREMENT_REDONE}
    assert {state for state in State if all(event in own for here, event in TABLE if here is state)} == ENDS
    assert Node(uid="a").state is State.BLOCKED
