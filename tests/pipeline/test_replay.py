# SPDX-License-Identifier: MPL-2.0
"""Recorded releases replayed: what the world did, in its order, and what ours said at each moment."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shipit.pipeline.hindsight import calibration
from shipit.pipeline.replay import replay


def row(event: str, minute: int, **more: Any) -> dict[str, Any]:
    return {"release": "r", "event": event, "date": f"2018-01-01T10:{minute:02}:00+00:00", **more}


def story(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    tasks = ["shipit", "mirrors", "ship", "signoff"]
    return [row("build-added", 0, buildnum=1, tasks=tasks), *rows, row("moved-to-archive", 59)]


def tick(task: str, minute: int) -> dict[str, Any]:
    return row("task-resolved", minute, buildnum=1, task=task)


def added(phase: str, minute: int) -> dict[str, Any]:
    return row("graph-added", minute, buildnum=1, phase=phase)


def test_a_release_in_order_has_no_difference_and_its_ends_stay_unknown() -> None:
    report = replay(
        story(tick("shipit", 1), added("promote", 2), tick("mirrors", 20), added("push", 21),
              tick("ship", 40), added("ship", 41), tick("signoff", 50))
    )  # fmt: skip
    assert (report.differences, report.hints, report.blocked) == ((), (), 0)
    # mirrors, ship and signoff each came after a graph whose end nobody recorded.
    assert (report.moments, report.ready, report.unknown, report.again) == (7, 4, 3, 0)


def test_a_phase_that_went_on_before_its_task_is_a_difference_with_its_reason() -> None:
    report = replay(
        story(tick("shipit", 1), added("promote", 2), added("push", 10), tick("mirrors", 12),
              added("ship", 20), tick("ship", 58))
    )  # fmt: skip
    assert [(each.step, each.waits_for, each.why) for each in report.differences] == [
        ("push", ("mirrors",), "one act, noted in another order"),
        ("ship", ("ship",), "its task was ticked long after"),
    ]
    assert [(each.step, each.hours) for each in report.hints] == [("ship", 0.63), ("signoff", None)]


def issue(event: str, minute: int, name: str = "mirrors are slow", **more: Any) -> dict[str, Any]:
    return row(event, minute, buildnum=1, issue=name, **more)


def test_an_open_issue_holds_what_would_begin_and_the_world_going_on_is_told() -> None:
    report = replay(
        story(tick("shipit", 1), added("promote", 2), issue("issue-added", 5, resolved=False),
              tick("mirrors", 20), added("push", 30), tick("ship", 40), added("ship", 41),
              tick("signoff", 50))
    )  # fmt: skip
    assert (report.issues, report.held, report.ready, report.unknown) == (1, 1, 3, 3)
    (found,) = report.differences
    told = ("push", ("mirrors are slow",), "went on with an issue open")
    assert (found.step, found.waits_for, found.why) == told
    assert [(each.step, each.hours) for each in report.hints] == [("push", 0.42)]
    assert "'mirrors are slow' was open" in report.hints[0].what


def test_an_issue_that_was_resolved_in_time_or_from_the_start_holds_nothing() -> None:
    for rows in (
        [issue("issue-added", 5, resolved=False), issue("issue-resolved", 25)],
        [issue("issue-added", 5, resolved=True)],
    ):
        report = replay(
            story(tick("shipit", 1), added("promote", 2), *rows, tick("mirrors", 20), added("push", 30))
        )
        assert (report.held, report.differences) == (0, ())


def test_a_task_opened_again_is_ticked_twice_unless_what_follows_has_begun() -> None:
    again = row("task-reopened", 7, buildnum=1, task="signoff")
    report = replay(
        story(tick("shipit", 1), added("promote", 5), tick("signoff", 6), again, tick("signoff", 8))
    )
    assert (report.reopened, report.ready, report.again) == (1, 4, 0)
    late = row("task-reopened", 6, buildnum=1, task="shipit")
    report = replay(story(tick("shipit", 1), added("promote", 5), late, tick("shipit", 7)))
    assert (report.reopened_too_late, report.ready, report.again) == (1, 2, 1)


def test_an_abort_cancels_and_starts_nothing_more() -> None:
    report = replay(story(tick("shipit", 1), added("promote", 2), row("build-aborted", 5, buildnum=1)))
    assert (report.aborts, report.aborts_agreed, report.hints) == (1, 1, ())


def test_the_recorded_releases(shared: Path) -> None:
    lines = (shared / "data" / "releasewarrior" / "transitions.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    report = replay(rows)
    assert (report.releases, report.builds, report.moments) == (163, 229, 936)
    assert (report.ready, report.held, report.unknown, report.blocked) == (561, 7, 150, 218)
    ours = {name for name in {each["release"] for each in rows if each["event"] == "moved-to-archive"}}
    done = [
        each for each in rows if each["event"] in ("graph-added", "task-resolved") and each["release"] in ours
    ]
    assert report.moments + report.again == len(done), "nothing that was done is left out"
    assert (report.issues, report.reopened, report.reopened_too_late) == (225, 2, 0)
    assert (report.phases_in_order, report.aborts, report.aborts_agreed) == (228, 67, 67)
    assert Counter(each.why for each in report.differences) == {
        "one act, noted in another order": 179,
        "its task was ticked long after": 24,
        "ticked before the graph it follows was added": 13,
        "went on with an issue open": 7,
        "its task was never ticked": 2,
    }
    hints = [each for each in report.hints if "issue" in each.what]
    assert max(each.hours or 0 for each in hints) == 54.24


# --- was the forecast right ----------------------------------------------------------------------------


def run(number: int, *hours: float) -> list[dict[str, Any]]:
    """A release that began on a day of its own; hours: of each phase's graph, and of the archive."""
    begin = datetime(2018, 1, 1, tzinfo=UTC) + timedelta(days=10 * number)
    times = [(begin + timedelta(hours=each)).isoformat() for each in hours]
    graphs = [
        {
            "release": f"r{number}",
            "product": "p",
            "event": "graph-added",
            "buildnum": 1,
            "phase": phase,
            "date": at,
        }
        for phase, at in zip(("promote", "push", "ship"), times, strict=False)
    ]
    return [
        *graphs,
        {"release": f"r{number}", "product": "p", "event": "moved-to-archive", "date": times[-1]},
    ]


def test_forecasts_know_only_what_was_over_then_and_three_of_it() -> None:
    same = [each for number in range(4) for each in run(number, 0, 2, 5, 6)]
    found = calibration(same)
    assert (found.releases, found.forecasts, found.unknown) == (4, 6, 18)
    assert (found.inside, found.by_middle) == (6, 6)
    late = calibration([*same, *run(4, 0, 2, 5, 50)])
    # Four before it now; while the last phase runs beyond all of them, its end is taken for now.
    assert (late.forecasts - found.forecasts, late.inside - found.inside) == (6, 0)


def test_what_was_given_up_or_out_of_order_is_no_witness() -> None:
    aborted = {"release": "r0", "product": "p", "event": "build-aborted", "buildnum": 1, "date": "2018-01-01"}
    assert calibration([*run(0, 0, 2, 5, 6), {**aborted, "date": "2018-01-01T09:00:00+00:00"}]).releases == 0
    assert calibration(run(0, 0, 5, 2, 6)).releases == 0
    assert calibration(run(0, 0, 1, 2, 6)[:-1]).releases == 0


def test_the_forecasts_of_the_recorded_releases(shared: Path) -> None:
    lines = (shared / "data" / "releasewarrior" / "transitions.jsonl").read_text("utf-8").splitlines()
    found = calibration([json.loads(line) for line in lines])
    assert (found.releases, found.forecasts, found.unknown) == (83, 444, 54)
    assert (found.inside, found.by_middle) == (342, 233)
