# SPDX-License-Identifier: MPL-2.0
"""Task groups as the queue lists them: pages joined, a task counted once, odd tasks tolerated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shipit.events.deliveries import part
from shipit.events.types import GroupTask


def tasks_of(pages: Iterable[dict[str, Any]]) -> tuple[GroupTask, ...]:
    """The tasks of listTaskGroup's pages in their order, each once, though pages may overlap or be empty.

    A task without environment (or of a worker that has none) has env {}.
    """
    found: dict[str, GroupTask] = {}
    for page in pages:
        rows = page.get("tasks")
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and (task := _task(row)) is not None:
                found.setdefault(task.task_id, task)
    return tuple(found.values())


def _task(row: dict[str, Any]) -> GroupTask | None:
    status, task = part(row, "status"), part(row, "task")
    task_id = status.get("taskId")
    if not isinstance(task_id, str):
        return None
    name, state = part(task, "metadata").get("name"), status.get("state")
    env = part(part(task, "payload"), "env")
    return GroupTask(
        task_id=task_id,
        name=name if isinstance(name, str) else "",
        state=state if isinstance(state, str) else "",
        env={key: value for key, value in env.items() if isinstance(value, str)},
    )
