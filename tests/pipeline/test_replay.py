# SPDX-License-Identifier: MPL-2.0
"""Recorded releases replayed: what the world did, in its order, and what ours said at each moment."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

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
    assert (report.moments, report.ready, report.unknown) == (7, 4, 3)


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


def test_an_abort_cancels_and_starts_nothing_more() -> None:
    report = replay(story(tick("shipit", 1), added("promote", 2), row("build-aborted", 5, buildnum=1)))
    assert (report.aborts, report.aborts_agreed, report.hints) == (1, 1, ())


def test_the_recorded_releases(shared: Path) -> None:
    lines = (shared / "data" / "releasewarrior" / "transitions.jsonl").read_text("utf-8").splitlines()
    report = replay(json.loads(line) for line in lines)
    assert (report.releases, report.builds, report.moments) == (163, 229, 934)
    assert (report.ready, report.unknown, report.blocked) == (566, 150, 218)
    assert (report.phases_in_order, report.aborts, report.aborts_agreed) == (228, 67, 67)
    assert Counter(each.why for each in report.differences) == {
        "one act, noted in another order": 179,
        "its task was ticked long after": 24,
        "ticked before the graph it follows was added": 13,
        "its task was never ticked": 2,
    }
