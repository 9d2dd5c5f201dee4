# SPDX-License-Identifier: MPL-2.0
"""Replay recorded releases: feed the engine only what the outside world did, and compare what it says.

The records tell when people ticked a task, when a task graph was added, when an issue was opened and when a
build was aborted. They do not tell when a graph ended, so its end is a step of its own that stays unknown:
when the world went on after it, that is counted as unknown, never as agreement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from shipit.pipeline.definition import read
from shipit.pipeline.states import Event, State, Status
from shipit.pipeline.transition import asked, decide
from shipit.pipeline.types import Facts, Node, Served

# What people tick -> the graph it lets go. The names are those of the records.
OPENS = {
    "shipit": ("promote", "promote_rc", "graph"),
    "ship-rc": ("ship_rc",),
    "mirrors": ("push",),
    "ship": ("ship",),
    "publish": ("ship",),
}
PHASES = ("graph", "promote_rc", "promote", "ship_rc", "push", "ship")
AFTER_SHIP = ("signoff", "postrelease")
# A tick this soon after its graph is a note about the same act.
SAME_ACT = timedelta(minutes=10)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where the world did what ours would not have done yet. why: the explanation, one of a few."""

    release: str
    build: int
    at: datetime
    step: str
    waits_for: tuple[str, ...]
    why: str


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """Where ours would have told people earlier. hours: how much; None: nobody ever did it."""

    release: str
    build: int
    step: str
    what: str
    hours: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. moments: things the world did; ready, unknown, blocked: how ours stood then."""

    releases: int
    builds: int
    moments: int
    ready: int
    unknown: int
    blocked: int
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
        moments=counts["ready"] + counts["unknown"] + counts["blocked"],
        ready=counts["ready"],
        unknown=counts["unknown"],
        blocked=counts["blocked"],
        aborts=counts["aborts"],
        aborts_agreed=counts["aborts_agreed"],
        phases_in_order=sum(build.is_in_order() for build in builds),
        phases_compared=len(builds),
        differences=tuple(each for build in builds for each in build.differences),
        hints=tuple(each for build in builds for each in build.hints),
    )


def definition_of(tasks: Iterable[str], phases: Iterable[str]) -> dict[str, Any]:
    """The pipeline of a build: its human tasks, its graphs in the order of phases, and each graph's end."""
    ticked = list(dict.fromkeys(tasks))
    present = [phase for phase in PHASES if phase in phases]
    steps: list[dict[str, Any]] = []
    before: list[str] = []
    for phase in present:
        openers = [f"task_{ticked.index(task)}" for task in ticked if phase in OPENS.get(task, ())]
        steps.append(_step(phase, [*before, *openers]))
        steps.append(_step(f"{phase}_end", [phase]))
        before = [f"{phase}_end"]
    for place, task in enumerate(ticked):
        needs = before if task in AFTER_SHIP and "ship" in present else _before(task, present)
        steps.append({**_step(f"task_{place}", needs), "description": task[:200]})
    return {"steps": steps}


class _Build:
    """One build's pipeline, as the world goes on."""

    def __init__(self, release: str, number: int, tasks: list[str], phases: list[str], at: datetime) -> None:
        self.release, self.number = release, number
        self.tasks, self.phases = list(dict.fromkeys(tasks)), phases
        self.counts: Counter[str] = Counter()
        self.differences: list[Difference] = []
        self.hints: list[Hint] = []
        self.graphs: list[tuple[str, datetime]] = []
        self.ticks: dict[str, datetime] = {}
        self._early: dict[str, datetime] = {}
        definition = read(definition_of(tasks, phases), lambda kind, parameters: [])
        nodes = {step.uid: Node(uid=step.uid) for step in definition.steps}
        self.facts = Facts(uid=f"{release}-{number}", definition=definition, nodes=nodes)
        self._decide(at)

    def happens(self, uid: str, at: datetime) -> None:
        """The world did this step; how did ours stand?"""
        self._decide(at)
        node = self.facts.nodes[uid]
        if node.state in (State.SUCCESS, State.SKIPPED):
            return
        if node.state is not State.BLOCKED:
            self.counts["ready"] += 1
            self._set(uid, Served(status=Status.SUCCESS), at)
            return
        waits = self._waits(uid)
        real = [name for name in waits if not name.endswith("_end")]
        self.counts["blocked" if real else "unknown"] += 1
        if real:
            self._early[uid] = at
            why = "ticked before the graph it follows was added"
            self.differences.append(
                Difference(
                    release=self.release,
                    build=self.number,
                    at=at,
                    step=self.name(uid),
                    waits_for=tuple(self.name(name) for name in real),
                    why=why,
                )
            )
        # The world went on, so the engine is told to, on record, as a person would waive it.
        for name in [*waits, uid]:
            if self.facts.nodes[name].state not in (State.SUCCESS, State.SKIPPED):
                self._waive(name, at)

    def aborts(self, at: datetime) -> None:
        """The world gave the build up."""
        self.counts["aborts"] += 1
        self.facts = replace(self.facts, wants_cancel=True)
        for uid, node in self.facts.nodes.items():
            if node.state is State.IN_PROGRESS:
                self._set(uid, Served(status=Status.CANCELLED), at)
        plan = decide(self.facts, at)
        self.counts["aborts_agreed"] += plan.status is Status.CANCELLED and not plan.starts
        self.facts = replace(self.facts, nodes=self.facts.nodes | {each.uid: each for each in plan.changed})

    def is_in_order(self) -> bool:
        """Whether the first graph of each phase came in the order of phases."""
        first = list(dict.fromkeys(phase for phase, _ in self.graphs))
        return first == sorted(first, key=PHASES.index)

    def name(self, uid: str) -> str:
        """A step as people call it."""
        return self.tasks[int(uid[5:])] if uid.startswith("task_") else uid

    def ends(self, at: datetime) -> None:
        """The release is archived: what was open, what was told late."""
        for uid, begun in self._early.items():
            if uid in PHASES:
                self._explain(uid, begun)
        if self.facts.wants_cancel:
            return
        for task in self.tasks:
            if task not in self.ticks:
                self._hint(task, "never ticked, archived all the same: ours shows it as open", None)

    def _explain(self, uid: str, begun: datetime) -> None:
        """Why a graph was added while the task that lets it go was open."""
        tasks = [task for task in self.tasks if uid in OPENS.get(task, ())]
        ticks = [self.ticks[task] for task in tasks if task in self.ticks]
        lag = max(ticks) - begun if len(ticks) == len(tasks) and ticks else None
        if lag is None:
            why = "its task was never ticked"
        elif lag <= SAME_ACT:
            why = "one act, noted in another order"
        else:
            why = "its task was ticked long after"
        self.differences = [replace(each, why=why) if each.step == uid else each for each in self.differences]
        if lag is None or lag > SAME_ACT:
            hours = None if lag is None else round(lag.total_seconds() / 3600, 2)
            what = f"{uid} went on while its task was open: ours asks for it before"
            self._hint(", ".join(tasks), what, hours)

    def _hint(self, step: str, what: str, hours: float | None) -> None:
        self.hints.append(Hint(release=self.release, build=self.number, step=step, what=what, hours=hours))

    def _waits(self, uid: str) -> list[str]:
        """Every step before this one that is not done, earliest first."""
        steps = {step.uid: step for step in self.facts.definition.steps}
        found: list[str] = []
        todo = [uid]
        while todo:
            for name in steps[todo.pop()].requires:
                if self.facts.nodes[name].state not in (State.SUCCESS, State.SKIPPED) and name not in found:
                    found.append(name)
                    todo.append(name)
        return found[::-1]

    def _waive(self, uid: str, at: datetime) -> None:
        node = self.facts.nodes[uid]
        if node.state in (State.IN_PROGRESS, State.CANCELLING):
            self._set(uid, Served(status=Status.SUCCESS), at)
            return
        after = asked(self.facts, uid, Event.SKIP_ASKED, by="the world", reason="it went on")
        self.facts = replace(self.facts, nodes=self.facts.nodes | {uid: after})
        self._decide(at)

    def _set(self, uid: str, served: Served, at: datetime) -> None:
        node = replace(self.facts.nodes[uid], served=served)
        self.facts = replace(self.facts, nodes=self.facts.nodes | {uid: node})
        self._decide(at)

    def _decide(self, at: datetime) -> None:
        plan = decide(self.facts, at)
        self.facts = replace(self.facts, nodes=self.facts.nodes | {each.uid: each for each in plan.changed})


def _builds(release: str, rows: list[Mapping[str, Any]]) -> list[_Build]:
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
        build = _Build(release, number, [task for task in tasks if task not in removed], phases, begun)
        for row in mine:
            _apply(build, row)
        build.ends(datetime.fromisoformat(rows[-1]["date"]))
        made.append(build)
    return made


def _apply(build: _Build, row: Mapping[str, Any]) -> None:
    at = datetime.fromisoformat(row["date"])
    match row["event"]:
        case "graph-added":
            build.graphs.append((_phase(row), at))
            build.happens(_phase(row), at)
        case "task-resolved" if row["task"] in build.tasks:
            build.ticks.setdefault(row["task"], at)
            build.happens(f"task_{build.tasks.index(row['task'])}", at)
        case "build-aborted":
            build.aborts(at)


def _phase(row: Mapping[str, Any]) -> str:
    phase = row.get("phase")
    return phase if phase in PHASES else "graph"


def _before(task: str, present: list[str]) -> list[str]:
    """What must have ended before people may tick this: the phase before the one it opens."""
    opened = [phase for phase in present if phase in OPENS.get(task, ())]
    if not opened:
        return []
    place = present.index(opened[0])
    return [f"{present[place - 1]}_end"] if place else []


def _step(uid: str, requires: list[str]) -> dict[str, Any]:
    return {"uid": uid, "kind": "recorded", "requires": requires}
