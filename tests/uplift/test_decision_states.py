# SPDX-License-Identifier: MPL-2.0
"""The state machines of decisions: enum, table, drawing, words and database say the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures_postgres import Database
from shipit.uplift import decision_states
from shipit.uplift.decision_outcomes import (
    DEADLINE,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    QUIET,
    NotNow,
    Unsure,
    next_try,
    pause,
)
from shipit.uplift.decision_states import ENDS, PART_MOVES, WRITE_MOVES, PartState, WriteState, state_of
from shipit.uplift.decision_types import Difference
from shipit.uplift.decision_words import PART_WORDS, WRITE_WORDS, differs, sentence

DOCS = Path(__file__).resolve().parents[2] / "docs" / "board.md"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_every_state_has_its_row_and_its_words() -> None:
    assert set(PART_MOVES) == set(PartState) == set(PART_WORDS)
    assert set(WRITE_MOVES) == set(WriteState) == set(WRITE_WORDS)
    reachable = {PartState.HELD}.union(*PART_MOVES.values())
    assert reachable == set(PartState)
    assert {PartState.DONE, PartState.CHANGED, PartState.UNDONE, PartState.DROPPED} == ENDS


def test_the_drawing_in_the_docs_is_the_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert decision_states.drawing() in text
    drawn = set(re.findall(r"    (\w+) --> (\w+)", decision_states.drawing()))
    tables = {**PART_MOVES, **WRITE_MOVES}
    assert drawn == {(str(one), str(other)) for one, others in tables.items() for other in others}


def test_the_database_knows_exactly_these_states(database: Database) -> None:
    query = """
        select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint
        where contype = 'c' and conrelid::regclass::text like 'decision%'
    """
    with database.connect() as connection:
        checks = {
            table: set(re.findall(r"'(\w+)'", text))
            for table, text in connection.execute(query).fetchall()
            if "state" in text
        }
    assert checks == {
        "decision_parts": {state.value for state in PartState},
        "decision_writes": {state.value for state in WriteState},
    }


@pytest.mark.parametrize("state", list(PartState))
def test_every_state_is_a_sentence(state: PartState) -> None:
    said = sentence(
        state,
        1,
        3,
        message="Bugzilla refused attachment 3: no",
        differences=(Difference("D7", "needs-review", "accepted", "hugo"),),
        due_at=NOW,
    )
    assert said.endswith(".") and ".." not in said


def test_of_several_parts_the_one_that_needs_a_person_speaks() -> None:
    assert state_of([PartState.DONE, PartState.STUCK, PartState.WRITING]) is PartState.STUCK
    assert state_of([PartState.DONE, PartState.DONE]) is PartState.DONE


def test_many_differences_are_counted() -> None:
    found = [Difference("comment", "", f"comment {n}", "mira") for n in range(5)]
    assert differs(found) == ("mira wrote comment 0. mira wrote comment 1. mira wrote comment 2. And 2 more.")


def test_pauses_grow_with_the_time_it_was_tried_and_end_after_a_day() -> None:
    assert pause(timedelta(0), roll=1.0) == FIRST_PAUSE
    assert pause(timedelta(hours=5), roll=1.0) == LONGEST_PAUSE
    assert pause(timedelta(minutes=4), roll=0.0) == timedelta(minutes=2)
    later = NOW + DEADLINE + timedelta(seconds=1)
    assert next_try(Unsure("x"), first_try=NOW, now=later, roll=0.5) is None


def test_an_unsure_outcome_waits_at_least_as_long_as_it_may_still_take_effect() -> None:
    due = next_try(Unsure("x"), first_try=NOW, now=NOW, roll=0.0)
    assert due is not None and due - NOW >= QUIET
    told = next_try(NotNow("429", NOW + timedelta(hours=1)), first_try=NOW, now=NOW, roll=0.0)
    assert told == NOW + timedelta(hours=1)
