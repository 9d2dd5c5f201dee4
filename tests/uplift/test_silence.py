# SPDX-License-Identifier: MPL-2.0
"""When the alarm about a silent bot is raised, and when it is called off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shipit.uplift.silence import Notice, Word, notices

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
STALE = timedelta(minutes=75)


def told(*ended: float, watching: float = 10_000, later: float = 0) -> tuple[Notice, ...]:
    """Notices when rounds ended so many minutes ago (newest first) and we watch for so many minutes."""
    return notices(
        tuple(NOW - timedelta(minutes=ago) for ago in ended),
        since=NOW - timedelta(minutes=watching),
        now=NOW + timedelta(minutes=later),
        stale=STALE,
        instance="production",
        url="https://shipit.example",
    )


def test_fresh_rounds_say_nothing() -> None:
    assert told(10, 40) == ()
    assert told(75) == ()


def test_silence_is_one_alarm_however_often_it_is_asked() -> None:
    (first,) = told(76, 106)
    (later,) = told(76, 106, later=600)
    assert first.word is Word.SILENT
    assert first.key == later.key
    assert "production" in first.subject
    assert "2026-03-03 10:44 UTC (1.3 hours)" in first.text
    assert told(200)[0].key != first.key, "another silence"


def test_bot_that_never_ran_is_silent_once_it_had_time() -> None:
    assert told(watching=75) == ()
    (alarm,) = told(watching=76)
    assert alarm.word is Word.SILENT


def test_return_is_told_to_who_heard_of_the_silence() -> None:
    (back,) = told(5, 200)
    assert back.word is Word.BACK
    (silent,) = told(200)
    assert back.after == silent.key
    assert "the first since 2026-03-03 08:40 UTC" in back.text


@given(st.lists(st.integers(0, 2000), max_size=6).map(sorted))
def test_alarm_is_raised_exactly_when_the_newest_end_is_stale(ended: list[int]) -> None:
    found = told(*ended)
    newest = ended[0] if ended else 10_000
    assert (bool(found) and found[0].word is Word.SILENT) == (newest > 75)
    assert len(found) <= 1
