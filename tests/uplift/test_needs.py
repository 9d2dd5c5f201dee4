# SPDX-License-Identifier: MPL-2.0
"""How a prerequisite stands on a train, what whoever approves is warned of, and the next step in words."""

from __future__ import annotations

from typing import Any

import pytest

from shipit.merge.advice import Advice, InTheWay, Prerequisite
from shipit.merge.types import Outcome
from shipit.uplift.needs import (
    OpenRequest,
    State,
    approval_warnings,
    bugs_of,
    needs_of,
    next_step,
    search_key,
    state_of,
    without,
)
from shipit.uplift.types import PatchRef, PatchSource, RequestState

A, B = "a" * 40, "b" * 40


def needed(revision: str = A, bug: int | None = 1, **more: Any) -> Prerequisite:
    return Prerequisite(revision, bug, f"Bug {bug}", **{"lines": 2, "files": 1, **more})


def advice(*prerequisites: Prerequisite, **more: Any) -> Advice:
    facts = {"outcome": Outcome.CONFLICT, "verified": bool(prerequisites), "reason": "why", "merges": 1}
    return Advice(prerequisites=prerequisites, **{**facts, **more})


def asked(bug: int, state: RequestState, *revisions: str) -> OpenRequest:
    series = tuple(PatchRef(source=PatchSource.COMMIT, name=one[:12], version=one) for one in revisions)
    return OpenRequest(uid=f"{bug}-beta", bug=bug, state=state, series=series)


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([], State.UNASKED),
        ([asked(2, RequestState.REQUESTED, B)], State.UNASKED),
        ([asked(1, RequestState.REQUESTED, B)], State.PENDING),
        ([asked(1, RequestState.REJECTED, B)], State.UNASKED),
        ([asked(1, RequestState.REQUESTED, A)], State.REQUESTED),
        ([asked(1, RequestState.REJECTED, A)], State.REJECTED),
        # two requests hold it: the approval counts, whichever comes first
        ([asked(1, RequestState.APPROVED, A), asked(3, RequestState.REQUESTED, A)], State.APPROVED),
        ([asked(3, RequestState.REQUESTED, A), asked(1, RequestState.APPROVED, A)], State.APPROVED),
    ],
)
def test_a_commit_stands_as_the_request_that_holds_it(requests: list[OpenRequest], expected: State) -> None:
    assert state_of(A, 1, requests)[0] is expected


def test_an_approval_is_warned_of_what_is_approved_neither_before_nor_with_it() -> None:
    needs = needs_of(advice(needed(A, 1), needed(B, 2)), [asked(2, RequestState.REQUESTED, B)])
    first, second = approval_warnings("beta", needs)
    assert first == "It merges cleanly only with bug 1 landed first, which is not asked for on beta."
    assert "bug 2 landed first, which is requested and not decided" in second
    assert approval_warnings("beta", needs, also=["2-beta"]) == (first,)
    assert approval_warnings("beta", needs_of(advice(needed()), [asked(1, RequestState.APPROVED, A)])) == ()


def test_unverified_commits_are_no_needs() -> None:
    doubtful = advice(unverified=(needed(),))
    assert (needs_of(doubtful, []), bugs_of(doubtful), bugs_of(None)) == ((), (), ())


def test_the_next_step_follows_how_everything_stands() -> None:
    one, two = needed(A, 1), needed(B, None)
    way = InTheWay(B, 7, "Own", "a.c", "Ben <ben@example.org>", "owns the lines")
    said = [
        next_step("beta", given, needs_of(given, requests))
        for given, requests in (
            (advice(one), [asked(1, RequestState.APPROVED, A)]),
            (advice(one), [asked(1, RequestState.REQUESTED, A)]),
            (advice(one, two), [asked(1, RequestState.REJECTED, A)]),
            (advice(*[needed(f"{number:040x}", number) for number in range(6)]), []),
            (advice(neighbours_only=True), []),
            (advice(unverified=(one,), in_the_way=(way,)), []),
            (advice(in_the_way=(way,)), []),
            (advice(), []),
        )
    ]
    assert said == [
        "Land bug 1 first: it merges cleanly with it.",
        "Decide bug 1: it merges cleanly with bug 1 landed first.",
        "Ask for commit bbbbbbbbbbbb on beta as well (4 lines, 2 further files) or for a rebased patch, and"
        " ask the author for a patch without bug 1, which was rejected: it merges cleanly with bug 1, commit"
        " bbbbbbbbbbbb landed first.",
        "It builds on a series of 6 commits: uplift is probably not wise.",
        "Ask the author for a rebased patch: no line was changed by both sides; the proposal keeps both.",
        "Ask the author for a rebased patch: it seems to build on bug 1, not all of which merge.",
        "Ask the author for a patch rebased on beta: bbbbbbbbbbbb (Own) by Ben wrote the place.",
        "Ask the author for a patch rebased on beta: why.",
    ]
    assert not any("works with" in words for words in said)


def test_a_search_is_the_same_only_for_the_same_tip_and_patches() -> None:
    assert len({search_key("t", "s"), search_key("t", "s"), search_key("u", "s"), search_key("t", "r")}) == 3


def test_a_mail_and_a_decision_call_a_restricted_prerequisite_a_security_bug() -> None:
    secret = Prerequisite("b" * 40, 55, "Bug 55 - overflow", 3, 0, author="Eve <eve@example.com>")
    plain = Prerequisite("c" * 40, 56, "Bug 56 - words", 3, 0, author="Ann <ann@example.com>")
    way = InTheWay("d" * 40, 55, "Bug 55 - on the train", "a.c", "Eve <eve@example.com>", "owns the lines")
    told = Advice(
        outcome=Outcome.CONFLICT,
        prerequisites=(secret, plain),
        verified=True,
        reason="merges cleanly with 2 commits (bug 55, bug 56) tried first",
        merges=1,
        in_the_way=(way,),
        preferring=("b" * 40,),
    )
    shown = without(told, {55, 99})
    needs = needs_of(shown, [])
    words = [str(shown), next_step("beta", shown, needs), *approval_warnings("beta", needs)]
    assert not [word for word in ("55", "overflow", "Eve", "b" * 12, "d" * 12) if word in "".join(words)]
    assert "bug 56" in words[-1] and "a security bug landed first, which you may not see" in words[-2]
    assert shown.prerequisites[1] == plain and without(told, {99}) is told
