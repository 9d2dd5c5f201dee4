# SPDX-License-Identifier: MPL-2.0
"""The plan of a round: only what changed is done again, and a conflict is news once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from uplift_builders import BUG, START, bug, revision, revisions, trains

from shipit.merge.types import Outcome, SeriesResult
from shipit.uplift.report import HIDDEN, KnownBug, KnownRequest, KnownTrial
from shipit.uplift.requests import requests_of
from shipit.uplift.round_plan import (
    Step,
    Task,
    newly_fails,
    plan,
    series_digest,
    why_try,
)
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


def test_b3_new_version_added_patch_and_changed_order_are_other_series() -> None:
    (one, _) = read(ASKED)
    (newer, _) = read(ASKED, D2=77)
    (longer, _) = read(ASKED + "\nattach D3\ndev sets D3 beta?\ndev sets D3 release?")
    turned = msgspec.structs.replace(one, series=tuple(reversed(one.series)))
    assert len({series_digest(each) for each in (one, newer, longer, turned)}) == 4
    assert series_digest(msgspec.structs.replace(one, state=RequestState.APPROVED)) == series_digest(one)


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
