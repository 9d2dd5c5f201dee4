# SPDX-License-Identifier: MPL-2.0
"""Known against seen: a failing Bugzilla empties nothing, and only what changed is done again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uplift_builders import BUG, START, bug, revision, revisions, trains

from shipit.merge.types import Outcome, SeriesResult
from shipit.uplift.compare import (
    Change,
    Step,
    Task,
    bug_digest,
    compare,
    newly_fails,
    plan,
    series_digest,
    why_try,
)
from shipit.uplift.report import HIDDEN, KnownBug, KnownRequest, KnownTrial
from shipit.uplift.requests import requests_of
from shipit.uplift.types import Request, RequestState

NOW = START + timedelta(days=1)
TRAINS = trains("beta", "release")


def read(story: str, **diffs: int) -> tuple[Request, ...]:
    """The requests of a story in which D1, D2 and D3 are a stack."""
    known = revisions(
        *(
            revision(number, on=(number - 1,) if number > 1 else (), diff=diffs.get(f"D{number}", number))
            for number in (1, 2, 3)
        )
    )
    return requests_of(bug(story), TRAINS, revisions=known)


def changes(*those: Any, **more: Any) -> list[tuple[str, str]]:
    return [(one.request.train, str(one.change)) for one in compare(*those, **more)]


ASKED = (
    "attach D1\nattach D2\ndev sets D1 beta?\ndev sets D2 beta?\ndev sets D1 release?\ndev sets D2 release?"
)


def held(request: Request, outcome: Outcome | None = None, **more: Any) -> KnownRequest:
    trial = None
    if outcome is not None:
        facts: dict[str, Any] = {
            "tip": "tip",
            "series_digest": series_digest(request),
            "key": None,
            "outcome": outcome,
            "tried_at": NOW - timedelta(hours=1),
            "result": SeriesResult(outcome, None, ()),
        }
        trial = KnownTrial(**(facts | more))
    return KnownRequest(request=request, target_major=147, series_digest=series_digest(request), trial=trial)


def held_bug(*requests: KnownRequest, **more: Any) -> KnownBug:
    facts: dict[str, Any] = {
        "bug": BUG,
        "changed": START,
        "read_at": START + timedelta(hours=1),
        "digest": "x",
        "is_restricted": False,
        "analysis_error": None,
        "requests": requests,
    }
    return KnownBug(**(facts | more))


# --- requests -----------------------------------------------------------------------------------------


def test_what_did_not_change_is_unchanged() -> None:
    assert changes(read(ASKED), read(ASKED)) == [("beta", "unchanged"), ("release", "unchanged")]


def test_what_was_never_seen_is_new() -> None:
    assert changes((), read(ASKED)) == [("beta", "new"), ("release", "new")]


def test_a_decision_is_a_change_of_the_same_request() -> None:
    found = compare(read(ASKED), read(ASKED + "\nrelman sets D1 beta+\nrelman sets D2 beta+"))
    assert (found[0].change, found[0].reason) == (Change.CHANGED, "requested → approved")


def test_a_new_diff_is_a_change_of_the_same_request() -> None:
    found = compare(read(ASKED), read(ASKED, D2=77))
    assert [(one.change, one.reason) for one in found] == [(Change.CHANGED, "the patches changed")] * 2


def test_b9_an_unavailable_train_keeps_every_request_untouched() -> None:
    """The original read an HTTP error as "no bugs" and deleted them all."""
    known = read(ASKED)
    found = compare(known, (), unavailable={"beta", "release"})
    assert [one.change for one in found] == [Change.KEPT, Change.KEPT]
    assert [one.request for one in found] == list(known)
    one_down = compare(known, read("attach D1"), unavailable={"beta"})
    assert [(one.request.train, one.change, one.request.state) for one in one_down] == [
        ("beta", Change.KEPT, "requested"), ("release", Change.CLEARED, "cleared"),
    ]  # fmt: skip


def test_nothing_read_of_an_unavailable_train_is_taken_as_news() -> None:
    assert compare((), read(ASKED), unavailable={"beta", "release"}) == ()


def test_a_flag_that_is_gone_makes_the_request_cleared_not_vanished() -> None:
    (one, _) = compare(read(ASKED), read("attach D1"))
    assert (one.change, one.request.state) == (Change.CLEARED, RequestState.CLEARED)
    again = compare([one.request], ())
    assert [found.change for found in again] == [Change.UNCHANGED], "cleared once is cleared"


def test_when_other_patches_carry_the_flag_old_and_new_name_each_other() -> None:
    fewer = read("attach D1\ndev sets D1 beta?")
    more = read("attach D1\nattach D2\ndev sets D1 beta?\ndev sets D2 beta?")
    new, old = compare(fewer, more)
    assert (new.change, new.reason) == (
        Change.NEW, f"continues {fewer[0].uid}: other patches carry the flag now",
    )  # fmt: skip
    assert (old.change, old.reason) == (Change.CLEARED, f"continues as {more[0].uid}")


@given(st.sets(st.sampled_from(["beta", "release"])), st.sampled_from([ASKED, "attach D1", ""]))
def test_no_known_request_is_ever_lost(down: set[str], now: str) -> None:
    known = read(ASKED)
    found = compare(known, read(now), unavailable=down)
    assert {one.uid for one in known} <= {one.request.uid for one in found}
    for one in found:
        if one.request.train in down:
            assert one.request in known


# --- digests ------------------------------------------------------------------------------------------


def test_b3_new_version_added_patch_and_changed_order_are_other_series() -> None:
    (one, _) = read(ASKED)
    (newer, _) = read(ASKED, D2=77)
    (longer, _) = read(ASKED + "\nattach D3\ndev sets D3 beta?\ndev sets D3 release?")
    turned = msgspec.structs.replace(one, series=tuple(reversed(one.series)))
    assert len({series_digest(each) for each in (one, newer, longer, turned)}) == 4
    assert series_digest(msgspec.structs.replace(one, state=RequestState.APPROVED)) == series_digest(one)


def test_a_digest_depends_on_what_was_read_not_on_when() -> None:
    one = bug(ASKED)
    later = msgspec.structs.replace(one, read_at=NOW)
    assert bug_digest(one) == bug_digest(later)
    assert bug_digest(one) != bug_digest(bug(ASKED + "\ndev says hello"))
    assert bug_digest(one, {1: revision(1)}) != bug_digest(one, {1: revision(1, diff=2)})
    assert bug_digest(one, {"a": 1, "b": 2}) == bug_digest(one, {"b": 2, "a": 1})


# --- the plan of a round ------------------------------------------------------------------------------


def test_an_unchanged_world_is_an_empty_plan() -> None:
    requests = [held(one, Outcome.CLEAN) for one in read(ASKED)]
    tips = {"beta": "tip", "release": "tip"}
    assert plan([held_bug(*requests)], {BUG: START}, tips=tips, now=NOW) == ()


def test_new_changed_and_failed_bugs_are_read() -> None:
    known = [held_bug(bug=1), held_bug(bug=2), held_bug(bug=3, analysis_error="no answer"), held_bug(bug=4)]
    steps = plan(known, {1: START, 2: NOW, 3: START, 9: NOW}, tips={}, now=NOW)
    assert {one.task for one in steps} == {Task.READ}
    assert [(one.bug, one.reason) for one in steps] == [
        (2, "changed in Bugzilla"), (3, "its analysis failed: no answer"), (9, "new"),
    ]  # fmt: skip


def test_a_bug_that_changed_in_the_second_it_was_read_is_read_again() -> None:
    known = held_bug(read_at=START + timedelta(milliseconds=300))
    assert [one.reason for one in plan([known], {BUG: START}, tips={}, now=NOW)] == ["changed in Bugzilla"]


def test_what_failed_or_lacked_is_read_again_after_a_while_not_each_round() -> None:
    lacking = msgspec.structs.replace(read(ASKED)[0], series_reason="D2 has no diff yet")
    for known in (held_bug(analysis_error="no answer"), held_bug(held(lacking))):
        soon, later = known.read_at + timedelta(minutes=30), known.read_at + timedelta(minutes=61)
        assert plan([known], {BUG: START}, tips={}, now=soon) == ()
        assert [one.task for one in plan([known], {BUG: START}, tips={}, now=later)] == [Task.READ]


def test_a_bug_that_bugzilla_hides_is_kept_with_the_reason_and_not_tried() -> None:
    requests = [held(one, Outcome.CLEAN) for one in read(ASKED)]
    late = NOW + timedelta(days=1)
    for digest in ("x", HIDDEN):
        mine = held_bug(*requests, analysis_error="it failed", digest=digest)
        assert plan([mine], {}, tips={"beta": "moved"}, now=late, unknown={BUG}) == (
            Step(
                task=Task.KEEP,
                bug=BUG,
                reason="Bugzilla does not show it to us now: it is restricted there, or gone",
            ),
        )


def test_a_hidden_bug_is_read_when_it_is_shown_again_even_unchanged_and_left_alone_until_then() -> None:
    mine = held_bug(*(held(one, Outcome.CLEAN) for one in read(ASKED)), digest=HIDDEN)
    assert plan([mine], {}, tips={"beta": "moved"}, now=NOW) == ()
    (step,) = plan([mine], {BUG: START}, tips={"beta": "moved"}, now=NOW)
    assert (step.task, step.reason) == (Task.READ, "Bugzilla shows it to us again")


def test_a_train_that_moved_is_tried_again_alone() -> None:
    requests = [held(one, Outcome.CLEAN) for one in read(ASKED)]
    steps = plan([held_bug(*requests)], {}, tips={"beta": "tip", "release": "moved"}, now=NOW)
    assert [(one.task, one.train, one.reason) for one in steps] == [(Task.TRY, "release", "the train moved")]


@pytest.mark.parametrize(
    ("outcome", "more", "tip", "reason"),
    [
        (None, {}, "tip", "never tried"),
        (None, {}, None, None),
        (Outcome.CLEAN, {}, "tip", None),
        (Outcome.CLEAN, {"series_digest": "other"}, "tip", "the patches changed"),
        (Outcome.CONFLICT, {}, "moved", "the train moved"),
        (Outcome.ERROR, {}, "tip", "the last trial could not tell"),
        (Outcome.MISSING, {}, "tip", "the last trial could not tell"),
        (Outcome.ERROR, {"tried_at": NOW - timedelta(minutes=1)}, "tip", None),
        (Outcome.ERROR, {"tried_at": NOW - timedelta(minutes=1)}, "moved", "the train moved"),
        (Outcome.MISSING, {"tried_at": NOW - timedelta(minutes=1)}, "moved", "the train moved"),
    ],
)
def test_b3_a_trial_is_made_again_exactly_when_something_it_depends_on_changed(
    outcome: Outcome | None, more: dict[str, Any], tip: str | None, reason: str | None
) -> None:
    assert why_try(held(read(ASKED)[0], outcome, **more), tip, now=NOW) == reason


def test_what_nobody_asks_for_or_has_no_patch_is_not_tried() -> None:
    one = read(ASKED)[0]
    assert why_try(held(msgspec.structs.replace(one, state=RequestState.CLEARED)), "tip", now=NOW) is None
    assert why_try(held(msgspec.structs.replace(one, series=())), "tip", now=NOW) is None
    for decided in (RequestState.APPROVED, RequestState.REJECTED):
        assert why_try(held(msgspec.structs.replace(one, state=decided)), "tip", now=NOW) == "never tried"


def test_a_conflict_is_news_once() -> None:
    one = read(ASKED)[0]
    digest = series_digest(one)
    was = held(one, Outcome.CONFLICT).trial
    assert newly_fails(None, Outcome.CONFLICT, digest)
    assert newly_fails(held(one, Outcome.CLEAN).trial, Outcome.CONFLICT, digest)
    assert not newly_fails(was, Outcome.CONFLICT, digest)
    assert newly_fails(was, Outcome.CONFLICT, "another patch")
    assert not newly_fails(None, Outcome.ERROR, digest)
