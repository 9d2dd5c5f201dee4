# SPDX-License-Identifier: MPL-2.0
"""The words in which events, triggers and sources are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from event_builders import coverage
from shipit.events import standing
from shipit.events.conditions import spelled
from shipit.events.effects import ErrorClass
from shipit.events.heard import Heard
from shipit.events.states import EffectState, EventState
from shipit.events.told import EffectRow, EventRow, SourceRow
from shipit.events.types import Delivery

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def effect(state: EffectState = EffectState.DONE, **more: Any) -> EffectRow:
    known: dict[str, Any] = {
        "id": 1,
        "route": "code-coverage",
        "sink": "hook:g/h",
        "dedup": "G",
        "generation": 0,
        "payload": {"REVISION": "abc"},
        "task_id": "T",
        "former_tasks": [],
        "state": state,
        "error_class": None,
        "error": None,
        "attempts": 1,
        "recreations": 0,
        "is_weak": False,
        "created_at": NOON + timedelta(milliseconds=11),
        "due_at": None,
        "fired_at": None,
        "task_state": None,
        "task_reason": None,
        "resolved_at": None,
    }
    return EffectRow(**{**known, **more})


def event(state: EventState = EventState.MATCHED, *effects: EffectRow, **more: Any) -> EventRow:
    known: dict[str, Any] = {
        "id": 88214,
        "key": "k",
        "source": "pulse",
        "exchange": "e",
        "routing_key": "r",
        "event": "task-group-resolved",
        "subject": "G",
        "state": state,
        "reason": None,
        "told": 1,
        "looks": 0,
        "heard_at": NOON,
        "received_at": NOON + timedelta(milliseconds=8),
        "judged_at": NOON + timedelta(milliseconds=11),
        "via": ["queue/u/shipit/testing/code-coverage"],
        "effects": list(effects),
    }
    return EventRow(**{**known, **more})


def source(name: str = "phabricator", **more: Any) -> SourceRow:
    known: dict[str, Any] = {
        "name": name,
        "is_connected": True,
        "since": NOON - timedelta(hours=3),
        "last_event_at": NOON - timedelta(minutes=5),
        "last_ok_at": NOON - timedelta(seconds=12),
        "error": None,
        "reconnects": 0,
        "depth": None,
    }
    return SourceRow(**{**known, **more})


@pytest.mark.parametrize(
    ("row", "word", "note"),
    [
        (source(), "In time", ""),
        (source(depth=3), "In time", "3 deliveries waiting"),
        (source(last_ok_at=NOON - timedelta(minutes=20)), "Late", "last sign of life 20 min ago"),
        (source(last_ok_at=None), "Late", "last sign of life never"),
        (source(last_event_at=NOON - timedelta(days=4)), "Quiet", "no event for 4 d"),
        (source(last_event_at=None), "Quiet", "no event yet"),
        (source(is_connected=False), "No answer", "since 09:00 UTC; nothing is lost"),
        (source("webhook:github", last_ok_at=NOON - timedelta(hours=5)), "In time", ""),
        (source(standing.FOLLOW, last_event_at=None), "In time", ""),
    ],
)
def test_a_source_says_how_it_stands(row: SourceRow, word: str, note: str) -> None:
    said = standing.of_source(row, now=NOON, silent=QUARTER)
    assert said.word == word
    assert said.note.replace("\N{NO-BREAK SPACE}", " ").startswith(note)
    assert (said.colour == "warn") is (word in ("Late", "No answer"))


@pytest.mark.parametrize(
    ("row", "word", "colour"),
    [
        (effect(EffectState.DUE, attempts=0), "Waiting", "run"),
        (effect(EffectState.DUE, due_at=NOON + timedelta(minutes=2)), "Retry in 2 min", "run"),
        (effect(EffectState.DUE, attempts=0, recreations=1, task_reason="worker-shutdown"), "Waiting", "run"),
        (effect(EffectState.FIRED, task_state="pending"), "Queued", "run"),
        (effect(EffectState.FIRED, task_state="running"), "Running", "run"),
        (effect(task_state="completed"), "Done", "ok"),
        (effect(task_state="failed"), "Failed", "bad"),
        (effect(task_state="exception", task_reason="claim-expired"), "Exception", "bad"),
        (effect(EffectState.QUARANTINED, error="403"), "Quarantine", "warn"),
        (effect(EffectState.OBSERVED), "Observed", "mute"),
        (effect(EffectState.SUPERSEDED), "Superseded", "mute"),
    ],
)
def test_a_trigger_says_how_it_stands(row: EffectRow, word: str, colour: str) -> None:
    said = standing.of_effect(row, now=NOON)
    assert (said.word.replace("\N{NO-BREAK SPACE}", " "), said.colour) == (word, colour)


@pytest.mark.parametrize("state", EffectState)
def test_every_state_of_a_trigger_has_a_word(state: EffectState) -> None:
    assert standing.of_effect(effect(state), now=NOON).word


@pytest.mark.parametrize("state", EventState)
def test_every_state_of_an_event_has_a_word(state: EventState) -> None:
    assert standing.of_event(event(state)).word


def test_an_event_whose_trigger_is_anothers_is_a_duplicate() -> None:
    said = standing.of_event(event(reason="same as event 88102"))
    assert (said.word, said.note) == ("Duplicate, dropped", "same as event 88102")


def test_a_trace_has_five_hops_each_with_the_time_since_the_one_before() -> None:
    row = effect(
        fired_at=NOON + timedelta(milliseconds=611),
        resolved_at=NOON + timedelta(minutes=14),
        task_state="completed",
    )
    made = standing.hops(event(EventState.MATCHED, row), row, now=NOON, why="a task is named ccov")
    assert [hop.name for hop in made] == ["Received", "Stored", "Routed", "Triggered", "Done"]
    assert [hop.after for hop in made[:4]] == [None, 0.008, 0.003, 0.6]
    assert "because a task is named ccov" in made[2].lines
    assert made[3].lines == ["hook g/h", "1 attempt", "T"]
    assert "REVISION abc" in made[4].lines


def test_an_event_told_again_was_routed_when_its_trigger_was_made() -> None:
    row = effect(fired_at=NOON + timedelta(seconds=1))
    again = event(EventState.MATCHED, row, judged_at=NOON + timedelta(minutes=5))
    assert [hop.after for hop in standing.hops(again, row, now=NOON)][2:4] == [0.003, 0.989]


def test_what_is_not_reached_has_no_time_and_clocks_that_disagree_make_none_negative() -> None:
    row = effect(EffectState.QUARANTINED, error="No such hook")
    late = event(EventState.MATCHED, row, heard_at=NOON + timedelta(seconds=5))
    made = standing.hops(late, row, now=NOON)
    assert [hop.name for hop in made[3:]] == ["Not triggered", "Quarantine"]
    assert [hop.after for hop in made] == [None, 0.0, 0.003, None, None]


def test_an_ignored_event_ends_where_it_was_routed() -> None:
    made = standing.hops(event(EventState.IGNORED, reason="no ccov task"), None, now=NOON)
    assert [hop.name for hop in made] == ["Received", "Stored", "Routed"]
    assert made[2].lines == ["Ignored", "no ccov task"]


@pytest.mark.parametrize(
    ("row", "again", "can_work"),
    [
        (event(EventState.QUARANTINED), EventState.QUARANTINED, False),
        (event(EventState.QUARANTINED), EventState.IGNORED, True),
        (event(EventState.QUARANTINED), None, True),
        (
            event(EventState.MATCHED, effect(EffectState.QUARANTINED, error_class=ErrorClass.FORBIDDEN)),
            None,
            True,
        ),
        (
            event(EventState.MATCHED, effect(EffectState.QUARANTINED, error_class=ErrorClass.PERMANENT)),
            None,
            True,
        ),
        (event(EventState.MATCHED, effect()), None, False),
    ],
)
def test_a_replay_that_must_fail_says_so(row: EventRow, again: EventState | None, can_work: bool) -> None:
    heard = None
    if again is not None:
        delivery = Delivery(source="pulse", exchange="e", body=b"")
        heard = Heard(delivery=delivery, key="k", state=again, reason="the payload lacks id")
    said = standing.outlook(row, heard)
    assert said.can_work is can_work
    assert said.sentence
    if again is EventState.QUARANTINED:
        assert "the payload lacks id" in said.sentence


def test_a_route_spells_its_conditions() -> None:
    said = spelled(coverage(match={"where": [{"path": "payload.version", "equals": 1}]}).match)
    assert "a task is named build-linux64-ccov* or build-win64-ccov*" in said
    assert "the repository is https://hg.mozilla.org/mozilla-central" in said
    assert said.endswith("payload.version is 1")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0004, "0 ms"), (0.612, "612 ms"), (9, "9 s"), (190, "3 min 10 s"), (3600, "1 h"), (90000, "1 d 1 h")],
)
def test_a_span_has_at_most_two_units(seconds: float, said: str) -> None:
    assert standing.span(timedelta(seconds=seconds)).replace("\N{NO-BREAK SPACE}", " ") == said


def test_a_source_has_a_name_for_people() -> None:
    assert standing.label("pulse:code-coverage") == "Pulse: code-coverage"
    assert standing.label("phabricator:sweep") == "Phabricator sweep"
    assert standing.label("else") == "else"
    assert msgspec.json.encode(standing.of_source(source(), now=NOON, silent=QUARTER))
