# SPDX-License-Identifier: MPL-2.0
"""Task groups in Taskcluster: listed whole, cancelled, sealed; hooks that make them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from shipit.clients.taskcluster import SERVICE, Taskcluster
from shipit.errors import Missing, Unavailable

PAGE = 1000
MOST_PAGES = 200


class GroupTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of a group. kind, label: as the decision task tagged it."""

    task_id: str
    state: str
    label: str = ""
    kind: str = ""
    retries_left: int = 0
    reason: str | None = None


class TaskGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A task group, all of its tasks."""

    group_id: str
    scheduler_id: str
    is_sealed: bool
    tasks: tuple[GroupTask, ...]


class TaskGroups(Taskcluster):
    """The queue's task groups and the hooks' triggers."""

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

    async def make_by_hook(self, group: str, hook: str, payload: Mapping[str, Any]) -> str | None:
        """The id of the task a hook made; None when it made none. Called once, never again by itself."""
        return await self.trigger_hook(group, hook, payload)

    async def scopes_of(self, client_id: str, person: str) -> tuple[str, ...] | None:
        """The expanded scopes that a person's client has now; None when it is gone or disabled.

        person: who is behind the client; where that is another than the client itself, it is a login
        identity, whose role says what they may.
        """
        if person != client_id:
            asked = {"scopes": [f"assume:login-identity:{person}"]}
            expanded = await self._call(lambda: self._auth.expandScopes(asked))
            return tuple(str(scope) for scope in expanded.get("scopes", ()))
        try:
            answer = await self._call(lambda: self._auth.client(client_id))
        except Missing:
            return None
        if answer.get("disabled"):
            return None
        return tuple(str(scope) for scope in answer.get("expandedScopes", ()))


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
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable(SERVICE, "listed a task in another shape") from error
