# SPDX-License-Identifier: MPL-2.0
"""Which group of the board a request stands in, and what is said in few words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shipit.merge.types import Outcome
from shipit.uplift import board
from shipit.uplift.board import Group
from shipit.uplift.standing import Aim, Asked, Tried, standing
from shipit.uplift.types import RequestState

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
AIM = Aim(name="beta", tip="a" * 40, major=149)
R = RequestState.REQUESTED


def asked(state: RequestState = R, **more: object) -> Asked:
    return Asked(**{"state": state, "patches": 1, "series_digest": "s1", "target_major": 149, **more})  # type: ignore[arg-type]


def tried(outcome: Outcome, **more: object) -> Tried:
    given = {"outcome": outcome, "tip": "a" * 40, "series_digest": "s1", "tried_at": NOW, **more}
    return Tried(**given)  # type: ignore[arg-type]


def group(of: Asked, trial: Tried | None, aim: Aim = AIM, **more: bool) -> Group:
    return board.group_of(of, standing(of, trial, aim, now=NOW), trial, aim, **more)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.CLEAN, Group.DECIDE),
        (Outcome.EMPTY, Group.DECIDE),
        (Outcome.LANDED, Group.DECIDE),
        (Outcome.CONFLICT, Group.BLOCKED),
        (Outcome.SKIPPED, Group.BLOCKED),
        (Outcome.MISSING, Group.BLOCKED),
        (Outcome.ERROR, Group.TRYING),
    ],
)
def test_a_request_stands_with_whoever_acts_and_stays_there_when_the_train_moves(
    outcome: Outcome, expected: Group
) -> None:
    assert group(asked(), tried(outcome)) is expected
    moved = Aim(name="beta", tip="b" * 40, major=149)
    assert group(asked(), tried(outcome), moved) is expected
    assert group(asked(series_digest="s2"), tried(outcome)) is expected


def test_what_is_owed_deferred_decided_or_stale_goes_before_the_trial() -> None:
    clean = tried(Outcome.CLEAN)
    assert group(asked(), None) is Group.TRYING
    assert group(asked(), None, Aim(name="beta", tip=None, tip_reason="gone")) is Group.OPERATOR
    assert group(asked(patches=0), None) is Group.BLOCKED
    assert group(asked(), clean, is_owed=True) is Group.ANSWER
    assert group(asked(), clean, is_owed=True, is_deferred=True) is Group.DEFERRED
    assert group(asked(RequestState.APPROVED), clean) is Group.APPROVED
    assert group(asked(RequestState.APPROVED), tried(Outcome.LANDED)) is Group.DONE
    assert group(asked(RequestState.APPROVED, target_major=148), clean) is Group.DECIDE
    assert group(asked(RequestState.REJECTED), clean) is Group.DONE


def test_every_group_has_words_in_order_and_names_the_build() -> None:
    assert [heading.key for heading in board.headings("149.0b4")] == list(Group)
    assert any("149.0b4" in heading.why for heading in board.headings("149.0b4"))
    assert not any("None" in heading.why for heading in board.headings(None))


def test_details_say_what_the_word_does_not() -> None:
    def said(trial: Tried | None, of: Asked | None = None, aim: Aim = AIM) -> str:
        of = of or asked()
        return board.detail(standing(of, trial, aim, now=NOW), of, trial, aim)

    assert said(tried(Outcome.CLEAN)) == ""
    assert said(tried(Outcome.CONFLICT, files=("docs/a/changelog.md",))) == "changelog.md"
    assert said(tried(Outcome.CONFLICT, files=("a", "b"))) == ""
    assert said(tried(Outcome.LANDED)) == "flag still ?"
    assert said(tried(Outcome.ERROR)) == "trial stopped"
    assert said(None, asked(patches=0)) == "no patch to test"
    assert said(tried(Outcome.CLEAN, tip="b" * 40)) == "was clean, beta moved"
    assert said(tried(Outcome.CLEAN), asked(series_digest="s2")) == "was clean, the patch changed"


def test_marks_of_a_bug_and_its_urgency() -> None:
    words = ("topcrash", "crash", "sec-high", "stalled")
    marks = board.tags(words, severity="S1", tracking="+", flags={"qe-verify": "?"})
    assert marks == ("topcrash", "sec-high", "S1", "tracking +", "qe-verify ?")
    assert board.tags((), severity="S3", tracking="---", flags={"qe-verify": "-"}) == ()
    ranks = [
        board.urgency(("sec-high",), severity="S3", tracking=None),
        board.urgency(("regression",), severity="S3", tracking=None),
        board.urgency((), severity="S2", tracking="---"),
        board.urgency((), severity="S3", tracking="+"),
        board.urgency((), severity="S4", tracking=None),
    ]
    assert ranks == [0, 1, 1, 1, 2]


def test_trains_and_moments_as_people_call_them() -> None:
    assert board.title("beta", "beta", 149) == "Beta 149"
    assert board.title("esr140", "esr", 140) == "ESR 140"
    assert board.title("nightly", "nightly", None) == "Nightly"
    assert [board.moment_label(name) for name in ("beta_4", "merge_day", "rc_gtb", "soft_freeze")] == [
        "b4", "merge", "RC", "soft freeze",
    ]  # fmt: skip
    assert [board.is_milestone(name) for name in ("beta_4", "release")] == [False, True]
