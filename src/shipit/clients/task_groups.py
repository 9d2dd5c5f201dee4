# SPDX-License-Identifier: MPL-2.0
"""Task groups in Taskcluster: listed whole, cancelled, sealed; hooks and actions that make them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import aiohttp
import msgspec

from shipit.clients.http import Door, moment
from shipit.clients.taskcluster import SERVICE, Credentials, Taskcluster
from shipit.errors import Missing, Unavailable

PAGE = 1000
MOST_PAGES = 200
ACTIONS = "public/actions.json"
MOST_BYTES = 8_000_000


class GroupTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of a group. kind, label: as the decision task tagged it."""

    task_id: str
    state: str
    label: str = ""
    kind: str = ""
    retries_left: int = 0
    reason: str | None = None
    runs: int = 0


class TaskGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A task group, all of its tasks."""

    group_id: str
    scheduler_id: str
    is_sealed: bool
    tasks: tuple[GroupTask, ...]


class Made(msgspec.Struct, frozen=True):
    """A task that a hook made, and the group it is in."""

    task_id: str
    group_id: str


class TaskGroups(Taskcluster):
    """The queue's task groups and the hooks' triggers."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        root_url: str,
        credentials: Credentials | None = None,
        **more: Any,
    ) -> None:
        super().__init__(session, root_url, credentials, **more)
        # Artifacts lie elsewhere, and who keeps them gets none of our credentials.
        self._artifacts = Door(session, "Taskcluster's artifacts", calls=self.calls, timeout=self._timeout)

    async def group(self, group_id: str) -> TaskGroup:
        """A task group with every task, page after page. Raises Missing when there is none (yet)."""
        tasks: list[GroupTask] = []
        query: dict[str, Any] = {"limit": PAGE}
        for _ in range(MOST_PAGES):
            answer = await self._call(partial(self._queue.listTaskGroup, group_id, query=dict(query)))
            tasks += [_task(each) for each in answer.get("tasks", ())]
            token = answer.get("continuationToken")
            if not token:
                return TaskGroup(
                    group_id=group_id,
                    scheduler_id=str(answer.get("schedulerId", "-")),
                    is_sealed=bool(answer.get("sealed")),
                    tasks=tuple(tasks),
                )
            query["continuationToken"] = token
        raise Unavailable(SERVICE, f"the task group {group_id} has no end")

    async def cancel_task(self, task_id: str) -> None:
        """Cancel a task; one that is resolved already stays as it is, one that is not there is none."""
        try:
            await self._call(lambda: self._queue.cancelTask(task_id))
        except Missing:
            return
        except Unavailable as refused:
            if "(409)" not in str(refused):
                raise

    async def seal(self, group_id: str) -> None:
        """No task may be added to the group any more; sealing twice is harmless."""
        try:
            await self._call(lambda: self._queue.sealTaskGroup(group_id))
        except Missing:
            return

    async def cancel_group(self, group_id: str) -> None:
        """Cancel everything unresolved in a sealed group."""
        try:
            await self._call(lambda: self._queue.cancelTaskGroup(group_id))
        except Missing:
            return

    async def make_by_hook(self, group: str, hook: str, payload: Mapping[str, Any]) -> Made | None:
        """The task a hook made; None when it made none. Called once, never again by itself."""
        answer = await self._call(
            lambda: self._hooks.triggerHook(group, hook, dict(payload)), is_idempotent=False
        )
        status = answer.get("status")
        status = status if isinstance(status, dict) else {}
        task = answer.get("taskId") or status.get("taskId")
        return None if task is None else Made(str(task), str(status.get("taskGroupId") or task))

    async def group_of(self, task_id: str) -> str | None:
        """The group a task is in; None when there is no such task."""
        try:
            answer = await self._call(lambda: self._queue.status(task_id))
        except Missing:
            return None
        status = answer.get("status")
        return str(status.get("taskGroupId") or task_id) if isinstance(status, dict) else None

    async def task(self, task_id: str) -> GroupTask | None:
        """A task as it stands; None when there is none."""
        try:
            return _task(await self._call(lambda: self._queue.status(task_id)))
        except Missing:
            return None

    async def definition(self, task_id: str) -> dict[str, Any]:
        """A task as it was defined. Raises Missing."""
        found = await self._call(lambda: self._queue.task(task_id))
        return dict(found)

    async def actions(self, task_id: str) -> Any:
        """What a decision task's `actions.json` says. Raises Missing when it has none (yet)."""
        content = await self._call(lambda: self._queue.latestArtifact(task_id, ACTIONS))
        url = content.get("url")
        if not isinstance(url, str):
            kind = str(content.get("storageType"))[:40]
            raise Unavailable(SERVICE, f"keeps the actions of {task_id} where we cannot read them ({kind})")
        answer = await self._artifacts.ask("GET", url, limit=MOST_BYTES)
        if answer.status in (403, 404):
            raise Missing(f"task {task_id} has no {ACTIONS}")
        if answer.status != 200:
            raise Unavailable(SERVICE, f"answered {answer.status} for the actions of {task_id}")
        return answer.json()

    async def fires(self, group: str, hook: str, since: datetime) -> list[str]:
        """The tasks that a hook made since then."""
        try:
            answer = await self._call(lambda: self._hooks.listLastFires(group, hook))
        except Missing:
            return []
        rows = answer.get("lastFires")
        found = []
        for row in rows if isinstance(rows, list) else ():
            try:
                if row["result"] == "success" and moment(row["taskCreateTime"]) >= since:
                    found.append(str(row["taskId"]))
            except (KeyError, TypeError, ValueError):
                continue
        return found

    async def scopes_of(self, client_id: str, person: str) -> tuple[str, ...] | None:
        """The expanded scopes that a person's client has now; None when it is gone or disabled.

        person: who is behind the client; where that is another than the client itself and the client is gone,
        the role of the login identity is asked, which often says nothing.
        """
        try:
            answer = await self._call(lambda: self._auth.client(client_id))
        except Missing:
            return None if person == client_id else await self._scopes_of_identity(person)
        if answer.get("disabled"):
            return None
        return tuple(str(scope) for scope in answer.get("expandedScopes", ()))

    async def _scopes_of_identity(self, person: str) -> tuple[str, ...] | None:
        asked = {"scopes": [f"assume:login-identity:{person}"]}
        expanded = await self._call(lambda: self._auth.expandScopes(asked))
        found = tuple(str(scope) for scope in expanded.get("scopes", ()))
        return found if set(found) - set(asked["scopes"]) else None


def _task(given: Mapping[str, Any]) -> GroupTask:
    try:
        status, task = given["status"], given.get("task", {})
        runs = status.get("runs") or [{}]
        tags = task.get("tags") or {}
        metadata = task.get("metadata") or {}
        return GroupTask(
            task_id=str(status["taskId"]),
            state=str(status["state"]),
            label=str(tags.get("label") or metadata.get("name") or ""),
            kind=str(tags.get("kind") or ""),
            retries_left=int(status.get("retriesLeft") or 0),
            reason=runs[-1].get("reasonResolved"),
            runs=len(runs),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable(SERVICE, "listed a task in another shape") from error
