# SPDX-License-Identifier: MPL-2.0
"""How a request stands: only a proven conflict is red, every grey has its reason, nothing unseen leaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.merge.types import Conflict, ConflictKind, Outcome, PatchResult, SeriesResult
from shipit.uplift.standing import (
    KEY_OF,
    LOOKS,
    RESTRICTED,
    Actor,
    Aim,
    Asked,
    Colour,
    StandingKey,
    Tried,
    is_stale_approval,
    standing,
    tried_of,
)
from shipit.uplift.types import RequestState

NOW = datetime(2026, 9, 2, 12, tzinfo=UTC)
TIP = "a" * 40


def asked(**more: Any) -> Asked:
    facts: dict[str, Any] = {"state": RequestState.REQUESTED, "patches": 2, "series_digest": "d"}
    return Asked(**(facts | more))


def tried(outcome: Outcome, **more: Any) -> Tried:
    facts: dict[str, Any] = {"tip": TIP, "series_digest": "d", "tried_at": NOW - timedelta(minutes=5)}
    return Tried(outcome=outcome, **(facts | more))


def aim(**more: Any) -> Aim:
    facts: dict[str, Any] = {"name": "beta", "tip": TIP, "major": 147}
    return Aim(**(facts | more))


def test_each_outcome_and_each_key_has_its_look() -> None:
    assert KEY_OF.keys() == set(Outcome)
    assert LOOKS.keys() == set(StandingKey)


def test_only_conflicts_are_red_and_only_clean_is_green() -> None:
    red = {key for key, look in LOOKS.items() if look.colour is Colour.RED}
    green = {key for key, look in LOOKS.items() if look.colour is Colour.GREEN}
    assert red == {StandingKey.CONFLICT, StandingKey.NEEDS_BUG}
    assert green == {StandingKey.CLEAN}


@pytest.mark.parametrize(
    ("outcome", "key", "actor", "words"),
    [
        (Outcome.CLEAN, "clean", Actor.RELEASE_MANAGER, "It merges onto beta at aaaaaaaaaaaa."),
        (Outcome.LANDED, "landed", Actor.RELEASE_MANAGER, "It is on beta already. The flag still asks."),
        (Outcome.EMPTY, "empty", Actor.RELEASE_MANAGER,
         "It applies to beta at aaaaaaaaaaaa and changes nothing."),
        (Outcome.SKIPPED, "skipped", Actor.AUTHOR, "An earlier patch of its series did not merge."),
        (Outcome.MISSING, "cant-tell", Actor.AUTHOR,
         "There is nothing to try: the patch is not in the clone."),
        (Outcome.ERROR, "cant-tell", Actor.SHIPIT, "The trial did not finish: no reason given."),
        (Outcome.CONFLICT, "conflict", Actor.AUTHOR,
         "It conflicts with beta at aaaaaaaaaaaa in files the trial does not name."),
    ],
)  # fmt: skip
def test_each_outcome_is_worded(outcome: Outcome, key: str, actor: Actor, words: str) -> None:
    found = standing(asked(), tried(outcome), aim(), now=NOW)
    assert (found.key, found.actor, found.sentence, found.notes) == (key, actor, words, ())


def test_a_conflict_names_its_files_and_counts_them() -> None:
    one = standing(asked(), tried(Outcome.CONFLICT, files=("a/b.cpp",)), aim(), now=NOW)
    assert (one.word, one.sentence) == (
        "Conflict, 1 file",
        "It conflicts with beta at aaaaaaaaaaaa in a/b.cpp.",
    )
    three = standing(asked(), tried(Outcome.CONFLICT, files=("a", "b", "c")), aim(), now=NOW)
    assert (three.word, "a and 2 more" in three.sentence) == ("Conflict, 3 files", True)


def test_a_verified_prerequisite_is_named() -> None:
    one = standing(asked(), tried(Outcome.CONFLICT, files=("a",), needs=(1850673,)), aim(), now=NOW)
    assert (one.key, one.word, one.colour) == ("needs-bug", "Needs bug 1850673", "red")
    assert one.sentence == "It conflicts with beta in a until bug 1850673 is there."
    two = standing(asked(), tried(Outcome.CONFLICT, needs=(1, 2)), aim(), now=NOW)
    assert two.word == "Needs 2 bugs"


def test_a_request_without_a_trial_is_queued() -> None:
    found = standing(asked(), None, aim(), now=NOW)
    assert (found.key, found.sentence) == ("queued", "It waits for its first trial on beta.")


def test_a_moved_train_or_a_changed_patch_is_retesting_with_the_last_outcome() -> None:
    moved = standing(asked(), tried(Outcome.CLEAN), aim(tip="b" * 40), now=NOW)
    assert (moved.key, moved.colour) == ("retesting", "run")
    assert moved.sentence == "beta moved since the last trial; it was clean on aaaaaaaaaaaa."
    changed = standing(asked(series_digest="e"), tried(Outcome.CONFLICT), aim(), now=NOW)
    assert changed.sentence == "The patch changed since its last trial; it was in conflict on aaaaaaaaaaaa."


def test_nothing_to_try_says_why() -> None:
    found = standing(asked(patches=0, series_reason="D5 is abandoned"), None, aim(), now=NOW)
    assert (found.key, found.sentence) == ("cant-tell", "There is nothing to try yet: D5 is abandoned.")
    unmapped = asked(series_reason="hg commit 0123 is not mapped to git")
    found = standing(unmapped, tried(Outcome.MISSING), aim(), now=NOW)
    assert found.sentence == "There is nothing to try: hg commit 0123 is not mapped to git."


def test_u3_error_skipped_and_landed_are_never_red() -> None:
    for outcome in (Outcome.ERROR, Outcome.SKIPPED, Outcome.LANDED, Outcome.MISSING, Outcome.EMPTY):
        assert standing(asked(), tried(outcome), aim(), now=NOW).colour is Colour.GREY


def test_an_error_tells_when_it_is_tried_again() -> None:
    again = NOW + timedelta(minutes=10)
    found = standing(asked(), tried(Outcome.ERROR, reason="full disk", retry_at=again), aim(), now=NOW)
    assert found.sentence == "The trial did not finish: full disk; tried again 12:10 UTC."


def test_b9_an_unavailable_train_keeps_the_last_reading_and_says_since_when() -> None:
    since = NOW - timedelta(days=1)
    found = standing(
        asked(), tried(Outcome.CLEAN), aim(unavailable_since=since, unavailable_reason="HTTP 503"), now=NOW
    )
    assert found.key == "clean"
    assert found.notes == (
        "Requests for beta are unavailable since 2026-09-01 12:00 UTC (HTTP 503);"
        " this is what was last read.",
    )


def test_an_unreadable_branch_is_cannot_tell_not_zero() -> None:
    found = standing(asked(), None, aim(tip=None, tip_reason="fetch timed out"), now=NOW)
    assert (found.key, found.actor) == ("cant-tell", Actor.OPERATOR)
    assert "fetch timed out" in found.sentence
    kept = standing(asked(), tried(Outcome.CLEAN), aim(tip=None, tip_reason="fetch timed out"), now=NOW)
    assert kept.key == "clean" and "fetch timed out" in kept.notes[0]


def test_l8_an_approval_of_another_version_is_stale() -> None:
    old = asked(state=RequestState.APPROVED, target_major=146)
    assert is_stale_approval(old, aim())
    assert "Approved for 146, not for 147." in standing(old, tried(Outcome.CLEAN), aim(), now=NOW).notes
    assert not is_stale_approval(asked(state=RequestState.APPROVED, target_major=147), aim())
    assert not is_stale_approval(asked(target_major=146), aim())


def test_a_rejected_request_waits_for_nobody() -> None:
    found = standing(
        asked(state=RequestState.REJECTED, decided_by="relman@r.example", decided_at=NOW),
        tried(Outcome.CONFLICT), aim(), now=NOW,
    )  # fmt: skip
    assert found.actor is Actor.NOBODY
    assert found.notes == ("Rejected by relman@r.example 12:00 UTC.",)


def test_who_may_not_see_a_bug_learns_nothing_of_how_it_stands() -> None:
    secret = tried(Outcome.CONFLICT, files=("dom/secret.cpp",), reason="secret", needs=(1,))
    assert standing(asked(series_reason="secret"), secret, aim(), now=NOW, may_see=False) == RESTRICTED
    assert "secret" not in str(RESTRICTED)


def test_the_facts_of_a_trial_come_out_of_its_result() -> None:
    conflict = Conflict("a.cpp", ConflictKind.CONTENT)
    result = SeriesResult(
        Outcome.CONFLICT,
        None,
        (
            PatchResult("A", Outcome.CLEAN, tree="t"),
            PatchResult("B", Outcome.CONFLICT, conflicts=(conflict, conflict), reason="it does"),
            PatchResult("C", Outcome.SKIPPED, reason="after B"),
        ),
    )
    found = tried_of(result, tip=TIP, series_digest="d", tried_at=NOW)
    assert (found.files, found.reason) == (("a.cpp",), "it does")


@given(
    st.sampled_from(list(RequestState)),
    st.integers(0, 3),
    st.one_of(st.none(), st.sampled_from(list(Outcome))),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.just(TIP)),
)
def test_every_combination_has_one_key_its_colour_and_a_sentence(
    state: RequestState, patches: int, outcome: Outcome | None, moved: bool, changed: bool, tip: str | None
) -> None:
    trial = None if outcome is None else tried(
        outcome, tip="b" * 40 if moved else TIP, series_digest="e" if changed else "d"
    )  # fmt: skip
    found = standing(asked(state=state, patches=patches), trial, aim(tip=tip), now=NOW)
    assert found.colour is LOOKS[found.key].colour
    assert found.sentence.endswith(".") and found.word
    if found.colour is Colour.RED:
        assert outcome is Outcome.CONFLICT and patches and not changed
    if found.colour is Colour.GREEN:
        assert outcome is Outcome.CLEAN and patches and not changed
