# SPDX-License-Identifier: MPL-2.0
"""What the task groups of the demo's releases do: most end soon, one fails, one takes its time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from shipit.world.balrog import FakeBalrog
from shipit.world.task_groups import FakeTaskGroups

HOOK = ("project-releng", "release-phase")
TICK_SECONDS = 0.25
AGENT_SECONDS = 2.0


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """How the group of one piece of work goes. percent: how far it is when first seen. fails: in so many of
    its first tries. rest: seconds from one more percent to the next."""

    tasks: int
    percent: int = 100
    fails: int = 0
    rest: float = 0.0


WORK: Mapping[str, Work] = {
    "build": Work(tasks=214),
    "repack": Work(tasks=97),
    "partials": Work(tasks=41, fails=1),
    "bouncer": Work(tasks=3, fails=3),
    "stage": Work(tasks=12),
    "update-verify": Work(tasks=50, percent=64, rest=8.0),
    "push": Work(tasks=24, percent=50, rest=0.5),
    "store": Work(tasks=4),
    "publish": Work(tasks=6, percent=50, rest=0.5),
    "ship": Work(tasks=2, percent=50, rest=0.5),
}


class Phases:
    """Plays the groups that the hook makes. The payload's `work` says which it is."""

    def __init__(self, taskcluster: FakeTaskGroups) -> None:
        self._taskcluster = taskcluster
        taskcluster.add_hook(*HOOK)
        self._seen = 0
        self._tries: Counter[str] = Counter()
        self._slow: dict[str, tuple[Work, float]] = {}

    def tick(self, seconds: float) -> list[str]:
        """Let so many seconds pass; the groups of which Pulse would tell."""
        fired = self._taskcluster.fired
        told = []
        for each in fired[self._seen :]:
            if (each.group, each.hook) == HOOK:
                self._begin(each.task, str(each.payload.get("work", "")))
                told.append(each.task)
        self._seen = len(fired)
        for group, (work, before) in list(self._slow.items()):
            percent = min(100.0, before + (seconds / work.rest if work.rest else 100.0))
            self._slow[group] = (work, percent)
            self._resolve(group, percent)
            if int(percent) > int(before):
                told.append(group)
            if percent >= 100:
                del self._slow[group]
        return told

    def _begin(self, group: str, name: str) -> None:
        work = WORK.get(name, Work(tasks=1))
        self._tries[name] += 1
        fails = self._tries[name] <= work.fails
        for number in range(work.tasks):
            state = "failed" if fails and number == 0 else "running" if work.percent < 100 else "completed"
            label = f"{name or 'work'}-{number + 1}"
            task = group if number == 0 else f"{group[:18]}{number:04}"
            self._taskcluster.add_task(group, task, state, label=label, kind=name)
        if work.percent < 100 and not fails:
            self._slow[group] = (work, float(work.percent))
            self._resolve(group, work.percent)

    def _resolve(self, group: str, percent: float) -> None:
        tasks = self._taskcluster.groups[group]
        for each in tasks[: int(len(tasks) * percent / 100)]:
            if each["status"]["state"] == "running":
                self._taskcluster.resolve(group, each["status"]["taskId"], "completed")


async def play(
    taskcluster: FakeTaskGroups,
    balrog: FakeBalrog,
    stop: asyncio.Event,
    told: Callable[[list[str]], Awaitable[None]],
) -> None:
    """Play until told to stop: groups, and Balrog's agent. told: hears of groups, as Pulse's listeners do."""
    phases = Phases(taskcluster)
    since_agent = 0.0
    while not stop.is_set():
        groups = phases.tick(TICK_SECONDS)
        since_agent += TICK_SECONDS
        if since_agent >= AGENT_SECONDS:
            balrog.enact()
            since_agent = 0.0
        await asyncio.sleep(TICK_SECONDS)
        # A moment later, when whoever made a group has written down that it is theirs.
        if groups:
            await told(groups)
