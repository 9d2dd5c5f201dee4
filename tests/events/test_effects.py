# SPDX-License-Identifier: MPL-2.0
"""Answers of sinks are settled as the recorded Taskcluster answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_taskcluster import SLUG
from shipit.events.effects import (
    LONGEST_WAIT,
    REFUSALS,
    Again,
    Answer,
    Declined,
    ErrorClass,
    Fired,
    Next,
    Quarantine,
    WithoutTaskId,
    backoff,
    is_worth_again,
    settle,
)
from shipit.events.slugs import task_id
from shipit.events.states import EFFECT_MOVES, EVENT_MOVES, EffectState, EventState, drawing

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def settled(
    answer: Answer, *, exists: bool | None = False, attempts: int = 1, since: timedelta = timedelta()
) -> Next:
    return settle(
        answer,
        exists=exists,
        task_id="ours",
        carried_id=True,
        attempts=attempts,
        first_try=NOW - since,
        now=NOW,
        deadline=DAY,
        roll=0.5,
    )


def recorded(shared: Path, number: str) -> Answer:
    """The answer of a recorded triggerHook."""
    (file,) = (f for f in (shared / "recorded" / "taskcluster").glob(f"{number}-*") if "inner" not in f.name)
    response = msgspec.json.decode(file.read_bytes())["response"]
    body = response["body"]
    return Answer(
        status=response["status"],
        detail=body.get("message", ""),
        task_id=body.get("taskId"),
        is_declined=response["status"] == 200 and not body,
    )


def test_a_first_call_is_fired(shared: Path) -> None:
    answer = recorded(shared, "315")
    assert settled(answer) == Fired(str(answer.task_id))


@pytest.mark.parametrize("number", ["323", "331", "340", "352", "431", "439", "475", "481"])
def test_a_repeated_or_conflicting_trigger_is_what_the_queue_says(shared: Path, number: str) -> None:
    assert settled(recorded(shared, number), exists=True) == Fired("ours")


def test_the_queue_that_cannot_be_asked_decides_nothing(shared: Path) -> None:
    verdict = settled(recorded(shared, "323"), exists=None)
    assert isinstance(verdict, Again)
    assert verdict.error is ErrorClass.TRANSIENT


def test_a_schema_that_forbids_the_task_id_gets_the_weaker_promise(shared: Path) -> None:
    assert settled(recorded(shared, "372")) == WithoutTaskId()


def test_L29_lacking_scopes_are_asked_again_and_then_quarantined_not_a_crash(shared: Path) -> None:
    answer = recorded(shared, "422")
    verdict = settled(answer)
    assert isinstance(verdict, Again)
    assert verdict.error is ErrorClass.FORBIDDEN
    last = settled(answer, attempts=REFUSALS)
    assert isinstance(last, Quarantine)
    assert "sufficient scopes" in last.detail


def test_a_payload_the_hook_refuses_is_permanent(shared: Path) -> None:
    assert isinstance(settled(recorded(shared, "013")), Quarantine)


def test_an_unknown_hook_is_permanent(shared: Path) -> None:
    assert isinstance(settled(recorded(shared, "019")), Quarantine)


def test_L20_a_declining_hook_is_an_answer() -> None:
    assert settled(Answer(status=200, is_declined=True)) == Declined()


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503])
def test_L12_what_passes_is_asked_again_until_the_deadline(status: int) -> None:
    assert isinstance(settled(Answer(status=status, detail="down"), exists=None), Again)
    late = settled(Answer(status=status, detail="down"), exists=None, since=DAY)
    assert isinstance(late, Quarantine)
    assert late.detail == "given up after 24 h 0 min: down"


def test_a_timeout_after_which_the_task_exists_is_a_success() -> None:
    assert settled(Answer(status=0, detail="timeout"), exists=True) == Fired("ours")


def test_a_service_that_says_when_is_not_asked_before() -> None:
    when = NOW + timedelta(minutes=20)
    verdict = settled(Answer(status=429, retry_at=when), exists=None)
    assert isinstance(verdict, Again)
    assert verdict.when == when


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_waits_grow_and_stay_bounded(attempts: int, roll: float) -> None:
    wait = backoff(attempts, roll)
    assert timedelta(seconds=1) <= wait <= LONGEST_WAIT
    assert backoff(attempts + 1, roll) >= wait


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_task_id_is_a_slugid_that_starts_with_no_dash(words: list[str]) -> None:
    slug = task_id(*words)
    assert SLUG.fullmatch(slug)
    assert not slug.startswith("-")
    assert slug == task_id(*words)


def test_task_ids_do_not_run_their_words_together() -> None:
    assert task_id("a", "bc") != task_id("ab", "c")


@pytest.mark.parametrize(
    ("state", "reason", "done", "again"),
    [
        ("exception", "worker-shutdown", 0, True),
        ("exception", "claim-expired", 2, True),
        ("exception", "claim-expired", 3, False),
        ("exception", "canceled", 0, False),
        ("exception", "deadline-exceeded", 0, False),
        ("exception", "malformed-payload", 0, False),
        ("failed", "failed", 0, False),
        ("completed", "completed", 0, False),
    ],
)
def test_only_lost_tasks_are_created_again_and_not_for_ever(
    state: str, reason: str, done: int, again: bool
) -> None:
    assert is_worth_again(state, reason, recreations=done, limit=3) is again


def test_the_tables_of_moves_name_every_state() -> None:
    assert set(EVENT_MOVES) == set(EventState)
    assert set(EFFECT_MOVES) == set(EffectState)


def test_the_drawing_in_the_docs_is_the_table() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "listener.md"
    assert drawing() in page.read_text(encoding="utf-8")
