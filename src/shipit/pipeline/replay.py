# SPDX-License-Identifier: MPL-2.0
"""Replay recorded releases: feed the engine only what the outside world did, and compare what it says.

The records tell when people ticked a task, when a task graph was added, when an issue was opened and when a
build was aborted. They do not tell when a graph ended, so its end is a step of its own that stays unknown:
when the world went on after it, that is counted as unknown, never as agreement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from shipit.pipeline.replay_build import PHASES, Difference, Hint, ReplayedBuild


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. moments: things the world did; ready, held, unknown, blocked: how ours stood then.

    again: acts on what was done already, or waived. issues: opened. reopened: ticked tasks that were opened
    again, too_late: where what follows had begun.
    """

    releases: int
    builds: int
    moments: int
    ready: int
    held: int
    unknown: int
    blocked: int
    again: int
    issues: int
    reopened: int
    reopened_too_late: int
    aborts: int
    aborts_agreed: int
    phases_in_order: int
    phases_compared: int
    differences: tuple[Difference, ...]
    hints: tuple[Hint, ...]


def replay(transitions: Iterable[Mapping[str, Any]]) -> Report:
    """Replay every release that reached its archive."""
    releases: dict[str, list[Mapping[str, Any]]] = {}
    for each in transitions:
        releases.setdefault(each["release"], []).append(each)
    archived = {
        name: rows
        for name, rows in releases.items()
        if any(row["event"] == "moved-to-archive" for row in rows)
    }
    builds = [build for name, rows in archived.items() for build in _builds(name, rows)]
    counts: Counter[str] = Counter()
    for build in builds:
        counts.update(build.counts)
    return Report(
        releases=len(archived),
        builds=len(builds),
        moments=sum(counts[name] for name in ("ready", "held", "unknown", "blocked")),
        ready=counts["ready"],
        held=counts["held"],
        unknown=counts["unknown"],
        blocked=counts["blocked"],
        again=counts["again"],
        issues=counts["issues"],
        reopened=counts["reopened"],
        reopened_too_late=counts["reopened_too_late"],
        aborts=counts["aborts"],
        aborts_agreed=counts["aborts_agreed"],
        phases_in_order=sum(build.is_in_order() for build in builds),
        phases_compared=len(builds),
        differences=tuple(each for build in builds for each in build.differences),
        hints=tuple(each for build in builds for each in build.hints),
    )


def _builds(release: str, rows: list[Mapping[str, Any]]) -> list[ReplayedBuild]:
    """Every build of a release, replayed in recorded order."""
    rows = sorted(rows, key=lambda row: datetime.fromisoformat(row["date"]))
    numbers = sorted({row["buildnum"] for row in rows if row.get("buildnum") is not None})
    made = []
    for number in numbers:
        mine = [row for row in rows if row.get("buildnum") == number]
        begun = datetime.fromisoformat(mine[0]["date"])
        tasks = [task for row in mine if row["event"] == "build-added" for task in row["tasks"]]
        tasks += [row["task"] for row in mine if row["event"] in ("task-added", "task-resolved")]
        removed = {row["task"] for row in mine if row["event"] == "task-removed"}
        phases = [_phase(row) for row in mine if row["event"] == "graph-added"]
        build = ReplayedBuild(release, number, [task for task in tasks if task not in removed], phases, begun)
        for row in mine:
            _apply(build, row)
        build.ends(datetime.fromisoformat(rows[-1]["date"]))
        made.append(build)
    return made


def _apply(build: ReplayedBuild, row: Mapping[str, Any]) -> None:
    at = datetime.fromisoformat(row["date"])
    match row["event"]:
        case "graph-added":
            build.graphs.append((_phase(row), at))
            build.happens(_phase(row), at)
        case "task-resolved" if row["task"] in build.tasks:
            build.ticks.setdefault(row["task"], at)
            build.happens(f"task_{build.tasks.index(row['task'])}", at)
        case "task-reopened" if row["task"] in build.tasks:
            build.reopens(f"task_{build.tasks.index(row['task'])}", at)
        case "issue-added" if not row["resolved"]:
            build.opens(row["issue"], at)
        case "issue-resolved":
            build.resolves(row["issue"], at)
        case "build-aborted":
            build.aborts(at)


def _phase(row: Mapping[str, Any]) -> str:
    phase = row.get("phase")
    return phase if phase in PHASES else "graph"
