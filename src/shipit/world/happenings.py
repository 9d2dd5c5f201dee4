# SPDX-License-Identifier: MPL-2.0
"""What goes on around the invented product for a listener to hear: builds, reviews, pushes, in turn.

There is no broker in this world: what one would deliver is handed over in the shape of a recorded delivery.
Everything is invented; nothing of it concerns a bug of the board.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shipit.world.world import World

Delivered = dict[str, Any]
"""{exchange, routingKey, properties, payload}; a payload of text is a body as it came."""

QUEUE = "exchange/taskcluster-queue/v1/"
PRODUCT_URL = "https://git.people.example/product"
SCHEDULER = "product-level-3"
GROUP = "project-releng"
COVERAGE, ANALYSIS, NIGHTLY = "shipit-code-coverage", "shipit-static-analysis", "shipit-nightly-report"
MIRROR = "people_example/product"
"""No account of GitHub can be called so."""
LATE_HOOK = timedelta(minutes=2)
"""So long after the beginning nobody has made the hook of nightly reports: its events go to quarantine."""
_PATCH = """diff --git a/{path} b/{path}
--- a/{path}
+++ b/{path}
@@ -1,1 +1,1 @@
-step({number}, state);
+step({number}, state, now);
"""


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened: what the broker delivers of it, and what GitHub's webhook sends."""

    what: str
    delivered: tuple[Delivered, ...] = ()
    pushed: bytes | None = None


class Happenings:
    """The product's days, told in a circle; each round is about other commits and reviews."""

    def __init__(self, world: World, *, pending: timedelta, running: timedelta) -> None:
        """pending, running: how long a triggered task waits, and how long it then runs."""
        self._world = world
        self._pending = pending
        self._ends_after = pending + running
        self._began = world.now()
        self._round = 0
        self._scene = 0
        self._revision: int | None = None
        self._seen = 0
        self._ends: dict[str, tuple[datetime, str, str | None]] = {}
        self._fates: dict[str, int] = {}
        for hook in (COVERAGE, ANALYSIS):
            world.taskcluster.add_hook(GROUP, hook)

    def next(self) -> Happened:
        """The next thing happens."""
        scenes: tuple[Callable[[], Happened], ...] = (
            self._built,
            self._reviewed,
            self._told_again,
            self._built_without_coverage,
            self._garbled,
            self._nightly,
            self._pushed,
            self._updated,
        )
        happened = scenes[self._scene]()
        self._scene += 1
        if self._scene == len(scenes):
            self._scene, self._round = 0, self._round + 1
        return happened

    def work(self) -> None:
        """Triggered tasks come along: pending, running, resolved, each at its time."""
        taskcluster, now = self._world.taskcluster, self._world.now()
        if now - self._began > LATE_HOOK:
            taskcluster.add_hook(GROUP, NIGHTLY)
        for fired in taskcluster.fired[self._seen :]:
            state, reason = self._fate(fired.hook)
            self._ends[fired.task] = (fired.at, state, reason)
        self._seen = len(taskcluster.fired)
        for task, (at, state, reason) in list(self._ends.items()):
            if taskcluster.tasks[task] not in ("pending", "running"):
                del self._ends[task]
            elif now - at >= self._ends_after:
                taskcluster.set_task(task, state, reason)
                del self._ends[task]
            elif now - at >= self._pending:
                taskcluster.set_task(task, "running")

    def _fate(self, hook: str) -> tuple[str, str | None]:
        """How a task ends: most complete; now and then one fails, or its machine is taken away."""
        count = self._fates[hook] = self._fates.get(hook, 0) + 1
        if hook == COVERAGE and count % 3 == 0:
            return "failed", None
        if hook == ANALYSIS and count % 4 == 2:
            return "exception", "worker-shutdown"
        return "completed", None

    # --- scenes ---

    def _built(self) -> Happened:
        """A push to main is built, with coverage."""
        group = self._slug("coverage")
        env = {"PRODUCT_HEAD_REPOSITORY": PRODUCT_URL, "PRODUCT_HEAD_REV": self._revision_hash()}
        for number, label in enumerate(("build-linux64/opt", "build-linux64-ccov/debug", "lint-js")):
            self._task(group, number, label, env)
        return Happened(what="main was built with coverage", delivered=(self._resolved(group),))

    def _told_again(self) -> Happened:
        """The broker tells the same group twice more, as it may."""
        told = self._resolved(self._slug("coverage"))
        return Happened(what="the same group was told again", delivered=(told, told))

    def _built_without_coverage(self) -> Happened:
        group = self._slug("plain")
        env = {"PRODUCT_HEAD_REPOSITORY": PRODUCT_URL, "PRODUCT_HEAD_REV": self._revision_hash()}
        for number, label in enumerate(("build-linux64/opt", "test-linux64/opt-mochitest-1")):
            self._task(group, number, label, env)
        return Happened(what="main was built without coverage", delivered=(self._resolved(group),))

    def _garbled(self) -> Happened:
        """Half a message; once in a round is enough to see what becomes of it."""
        if self._round % 4:
            return Happened(what="nothing")
        whole = self._resolved(self._slug("garbled"))
        return Happened(
            what="a message came in half",
            delivered=({**whole, "payload": json.dumps(whole["payload"])[:30]},),
        )

    def _nightly(self) -> Happened:
        task, group = self._slug("nightly"), self._slug("nightly group")
        status = {
            "taskId": task,
            "provisionerId": "product-3",
            "workerType": "linux",
            "schedulerId": SCHEDULER,
            "taskGroupId": group,
            "state": "completed",
            "runs": [{"runId": 0, "state": "completed", "reasonResolved": "completed"}],
        }
        tags = {"kind": "nightly", "label": "nightly-linux64", "project": "main"}
        return Happened(
            what="a nightly was built",
            delivered=(
                {
                    "exchange": QUEUE + "task-completed",
                    "routingKey": f"primary.{task}.0.product.i-1.product-3.linux.{SCHEDULER}.{group}._",
                    "properties": {"headers": {"CC": ["route.product.main.nightly"]}},
                    "payload": {"version": 1, "status": status, "runId": 0, "task": {"tags": tags}},
                },
            ),
        )

    def _pushed(self) -> Happened:
        """Somebody pushes to the repository's mirror at GitHub."""
        body = {
            "ref": "refs/heads/main",
            "after": self._revision_hash(),
            "repository": {"full_name": MIRROR},
            "sender": {"login": "mira"},
            "commits": [{"id": self._revision_hash(), "added": [], "modified": ["docs/a.md"], "removed": []}],
        }
        return Happened(what="main was pushed", pushed=json.dumps(body).encode())

    def _reviewed(self) -> Happened:
        """Somebody asks for review of something new."""
        phabricator = self._world.phabricator
        self._revision = phabricator.revise(
            f"Tidy the steps, part {self._round + 1}",
            self._patch(),
            by="ines",
            repository="firefox-main",
            status="needs-review",
        )
        return Happened(what="a review was asked for")

    def _updated(self) -> Happened:
        """The patch under review is replaced by a newer one."""
        if self._revision is not None:
            self._world.phabricator.update(self._revision, self._patch())
        return Happened(what="the patch under review was updated")

    # --- parts ---

    def _task(self, group: str, number: int, label: str, env: dict[str, str]) -> None:
        self._world.taskcluster.add_task(
            group, _slug(f"{group} {number}"), "completed", label=label, env=env, reason="completed"
        )

    def _resolved(self, group: str) -> Delivered:
        return {
            "exchange": QUEUE + "task-group-resolved",
            "routingKey": f"primary.{group}.{SCHEDULER}._",
            "properties": {"content_type": "application/json", "headers": {}},
            "payload": {"version": 1, "taskGroupId": group, "schedulerId": SCHEDULER},
        }

    def _patch(self) -> str:
        return _PATCH.format(path="docs/steps.js", number=self._round * 10 + self._scene)

    def _revision_hash(self) -> str:
        return hashlib.sha1(f"{self._began} {self._round}".encode(), usedforsecurity=False).hexdigest()

    def _slug(self, what: str) -> str:
        return _slug(f"{self._began} {self._round} {what}")


def _slug(words: str) -> str:
    """A slugid for these words."""
    octets = bytearray(hashlib.sha256(words.encode()).digest()[:16])
    octets[0] &= 0x7F
    octets[6] = octets[6] & 0x0F | 0x40
    octets[8] = octets[8] & 0x3F | 0x80
    return base64.urlsafe_b64encode(bytes(octets)).decode().rstrip("=")
