# SPDX-License-Identifier: MPL-2.0
"""One build of a recorded release: the engine is fed what the world did, and asked how it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from shipit.errors import Refused
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


class ReplayedBuild:
    """One build's pipeline, as the world goes on. counts: how ours stood at each thing the world did."""

    def __init__(self, release: str, number: int, tasks: list[str], phases: list[str], at: datetime) -> None:
        self.release, self.number = release, number
        self.tasks, self.phases = list(dict.fromkeys(tasks)), phases
        self.counts: Counter[str] = Counter()
        self.differences: list[Difference] = []
        self.hints: list[Hint] = []
        self.graphs: list[tuple[str, datetime]] = []
        self.ticks: dict[str, datetime] = {}
        self.issues: dict[str, datetime] = {}
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
            # Another graph of the same phase, or the tick of what was waived when the world went on.
            self.counts["again"] += 1
            return
        if node.state is State.READY:
            self.counts["held"] += 1
            self._goes_on_with_issues(uid, at)
            self._set(uid, Served(status=Status.SUCCESS), at)
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
            waits_for = tuple(self.name(name) for name in real)
            self._differ(uid, at, waits_for, "ticked before the graph it follows was added")
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

    def opens(self, issue: str, at: datetime) -> None:
        """Somebody wrote an issue down: replayed as a hold of the build, so that nothing new starts."""
        self.counts["issues"] += 1
        self.issues[issue] = at
        self.facts = replace(self.facts, hold=issue or "an issue", hold_by="the world")
        self._decide(at)

    def resolves(self, issue: str, at: datetime) -> None:
        """An issue is resolved; with the last one that holds it, the build goes on."""
        if self.issues.pop(issue, None) is not None and not self.issues:
            self._let_go(at)

    def reopens(self, uid: str, at: datetime) -> None:
        """A task was ticked by mistake: ours runs it again, unless what follows it has begun."""
        self.ticks.pop(self.name(uid), None)
        try:
            after = asked(self.facts, uid, Event.RERUN_ASKED, by="the world", reason="reopened")
        except Refused:
            self.counts["reopened_too_late"] += 1
            return
        self.counts["reopened"] += 1
        self.facts = replace(self.facts, nodes=self.facts.nodes | {uid: after})
        self._decide(at)

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

    def _goes_on_with_issues(self, uid: str, at: datetime) -> None:
        """The world went on although issues were open; ours says so first, and a person lets it go on."""
        since = min(self.issues.values(), default=at)
        hours = round((at - since).total_seconds() / 3600, 2)
        first = min(self.issues, key=self.issues.__getitem__)
        more = f" and {len(self.issues) - 1} more were" if len(self.issues) > 1 else " was"
        why = "went on with an issue open"
        self._differ(uid, at, tuple(sorted(self.issues)), why)
        what = f"went on while the issue {first[:80]!r}{more} open: ours asks before whether it may"
        self._hint(self.name(uid), what, hours)
        self.issues.clear()
        self._let_go(at)

    def _let_go(self, at: datetime) -> None:
        self.facts = replace(self.facts, hold="", hold_by="")
        self._decide(at)

    def _differ(self, uid: str, at: datetime, waits: tuple[str, ...], why: str) -> None:
        difference = Difference(
            release=self.release, build=self.number, at=at, step=self.name(uid), waits_for=waits, why=why
        )
        self.differences.append(difference)

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


def _before(task: str, present: list[str]) -> list[str]:
    """What must have ended before people may tick this: the phase before the one it opens."""
    opened = [phase for phase in present if phase in OPENS.get(task, ())]
    if not opened:
        return []
    place = present.index(opened[0])
    return [f"{present[place - 1]}_end"] if place else []


def _step(uid: str, requires: list[str]) -> dict[str, Any]:
    return {"uid": uid, "kind": "recorded", "requires": requires}
