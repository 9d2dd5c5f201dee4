# SPDX-License-Identifier: MPL-2.0
"""A step that watches a task group, or has a hook or an action make one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shipit.clients.task_groups import GroupTask, TaskGroup, TaskGroups
from shipit.errors import Missing
from shipit.pipeline.schema import Problem
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow, digest_of
from shipit.steps import taskcluster_cancel, taskcluster_making
from shipit.steps.contract import Doors

# Pulse tells first; polling only repairs what a lost message broke.
POLL_SECONDS = 60.0
# After a failure somebody may rerun tasks, of which Pulse tells too.
FAILED_POLL_SECONDS, FAILED_POLL_DAYS = 600.0, 7
APPEAR_SECONDS = 900.0
RETRIED = frozenset({"worker-shutdown", "claim-expired", "intermittent-task"})
"""Reasons of an exception after which the queue itself makes another run while retries are left."""
UNRESOLVED = frozenset({"unscheduled", "pending", "running"})
ENDED_BADLY = frozenset({"failed", "exception"})

_HOOK = {
    "type": "object",
    "required": ["group", "id"],
    "additionalProperties": False,
    "properties": {
        "group": {"type": "string", "minLength": 1, "maxLength": 1000},
        "id": {"type": "string", "minLength": 1, "maxLength": 1000},
        "payload": {"type": "object"},
        "takes_task_id": {"type": "boolean", "description": "its template uses payload.taskId"},
    },
}
_TASK_ID = {"type": "string", "pattern": r"^[A-Za-z0-9_-]{22}$"}
_ACTION = {
    "type": "object",
    "required": ["decision_task", "name"],
    "additionalProperties": False,
    "properties": {
        "decision_task": {**_TASK_ID, "description": "its actions.json is read when the step starts"},
        "name": {"type": "string", "minLength": 1, "maxLength": 255},
        "input": {"type": "object"},
        "group": {"enum": ["own", "decision"], "description": "which its tasks join; own: named by its task"},
    },
}
_CANCEL_ACTION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "decision_task": {**_TASK_ID, "description": "whose action; none: of the task that was made"},
        "name": {"type": "string", "minLength": 1, "maxLength": 255, "description": "none: cancel-all"},
    },
}
_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "task_group_id": _TASK_ID,
        "hook": _HOOK,
        "action": _ACTION,
        "cancel_hook": _HOOK,
        "cancel_action": _CANCEL_ACTION,
        "required": {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {"labels": _NAMES, "kinds": _NAMES},
            "description": "only these tasks must succeed",
        },
        "appear_seconds": {"type": "number", "minimum": 0, "maximum": 86400},
    },
}


def problems(parameters: Mapping[str, Any]) -> list[Problem]:
    """As the schema says; a group to watch, or a hook or an action that makes one."""
    found = problems_of(dict(parameters), SCHEMA)
    if sum(name in parameters for name in ("task_group_id", "hook", "action")) != 1:
        found.append(Problem("", "either task_group_id, hook or action"))
    if "cancel_hook" in parameters and "cancel_action" in parameters:
        found.append(Problem("", "at most one of cancel_hook and cancel_action"))
    return found


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """To be looked at, or to be made first."""
    since = now.isoformat()
    if "task_group_id" in parameters:
        group = parameters["task_group_id"]
        memory = {"phase": "made", "task_group_id": group, "since": since}
        return Progress(message=f"watches task group {group}", memory=memory, due_at=now)
    message = f"about to trigger {taskcluster_making.words(parameters)}"
    return Progress(message=message, memory={"phase": "new", "since": since}, due_at=now)


def cancel(row: StepRow, now: datetime) -> Progress | None:
    """Only Taskcluster can, unless nothing was made yet."""
    if row.memory["phase"] == "new":
        return Progress(
            status=Status.CANCELLED, message="cancelled before anything was made", memory=row.memory
        )
    return None


async def look(row: StepRow, doors: Doors, now: datetime) -> Progress:
    """Make the group, cancel it, or see how its tasks stand."""
    groups = doors.task_groups
    if groups is None:
        return Progress(status=Status.FAILURE, message="no Taskcluster is configured here", memory=row.memory)
    match row.memory["phase"]:
        case "new":
            # A row first: whoever finds us in this phase knows that the call may have gone out.
            memory = {**row.memory, "phase": "firing", "fence": row.fence, "firing_since": now.isoformat()}
            return Progress(message=row.message, memory=memory, due_at=now)
        case "firing":
            return await taskcluster_making.make(row, groups, doors, now)
        case _ if row.wants_cancel and not row.memory.get("is_cancelled"):
            return await taskcluster_cancel.cancel(row, groups, now)
    return await _follow(row, groups, now)


def judge(tasks: Sequence[GroupTask], required: Mapping[str, Sequence[str]]) -> tuple[Status, str]:
    """How a group stands, and in words. Ends only when every task is resolved and none will be retried."""
    counts = Counter("retried" if _is_retried(task) else task.state for task in tasks)
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    needed = [task for task in tasks if _is_required(task, required)]
    bad = [task for task in needed if task.state in ("failed", "exception") and not _is_retried(task)]
    named = ", ".join(task.label or task.task_id for task in bad[:5]) + (" …" if len(bad) > 5 else "")
    if any(task.state in UNRESOLVED or _is_retried(task) for task in tasks):
        return Status.IN_PROGRESS, f"{told}{f'; so far failed: {named}' if bad else ''}"
    if not needed:
        return Status.FAILURE, f"none of the required tasks is in the group ({told})"
    if not bad:
        return Status.SUCCESS, told
    ended = [task for task in needed if task.state != "completed"]
    if all(task.state == "exception" and task.reason == "canceled" for task in ended):
        return Status.CANCELLED, told
    return Status.FAILURE, f"{told}: {named}"


def _is_retried(task: GroupTask) -> bool:
    return task.state == "exception" and task.reason in RETRIED and task.retries_left > 0


def _is_required(task: GroupTask, required: Mapping[str, Sequence[str]]) -> bool:
    if not required:
        return True
    return task.label in required.get("labels", ()) or task.kind in required.get("kinds", ())


async def _follow(row: StepRow, groups: TaskGroups, now: datetime) -> Progress:
    group_id = row.memory["task_group_id"]
    group: TaskGroup | None
    try:
        group = await groups.group(group_id)
    except Missing:
        group = None
    details = {"task_group_id": group_id}
    if group is None or not group.tasks:
        maker = await _maker(row, groups, ())
        if maker is not None and maker.state in ENDED_BADLY:
            status, message = _ended_maker(maker)
            return Progress(status=status, message=message, details=details, memory=row.memory)
        return _not_yet(row, now, details, "is not there" if group is None else "is empty")
    status, message = judge(group.tasks, row.parameters.get("required", {}))
    maker = await _maker(row, groups, group.tasks)
    if maker is not None and maker.state in ENDED_BADLY and not _is_retried(maker):
        ended, why = _ended_maker(maker)
        status, message = (status if status is Status.FAILURE else ended), f"{message}; {why}"
    elif maker is not None and maker.state != "completed":
        status, message = Status.IN_PROGRESS, f"{message}; {maker.task_id} still makes tasks"
    resolved = sum(task.state not in UNRESOLVED and not _is_retried(task) for task in group.tasks)
    details = {**details, "tasks": len(group.tasks), "ended": resolved, "is_sealed": group.is_sealed}
    memory = dict(row.memory)
    due_at: datetime | None = None
    if status is Status.IN_PROGRESS:
        memory.pop("failed_at", None)
        due_at = now + timedelta(seconds=POLL_SECONDS)
    elif status is Status.FAILURE:
        first = datetime.fromisoformat(memory.setdefault("failed_at", now.isoformat()))
        if now - first < timedelta(days=FAILED_POLL_DAYS):
            due_at = now + timedelta(seconds=FAILED_POLL_SECONDS)
    output = {}
    if status is Status.SUCCESS:
        # Another rerun of any task gives another digest: whoever signed the old result signed that.
        ran = sorted((task.task_id, task.runs) for task in group.tasks)
        output = {"task_group_id": group_id, "digest": digest_of([group_id, ran])}
    return Progress(
        status=status, message=message, details=details, output=output, memory=memory, due_at=due_at
    )


async def _maker(row: StepRow, groups: TaskGroups, tasks: Sequence[GroupTask]) -> GroupTask | None:
    """The task that makes the group's tasks, where it is not one of them itself: an action's."""
    task = row.memory.get("task_id")
    if "action" not in row.parameters or task is None or any(each.task_id == task for each in tasks):
        return None
    return await groups.task(task)


def _ended_maker(maker: GroupTask) -> tuple[Status, str]:
    status = Status.CANCELLED if maker.reason == "canceled" else Status.FAILURE
    return status, f"the action's task {maker.task_id} ended with {maker.reason or maker.state}"


def _not_yet(row: StepRow, now: datetime, details: dict[str, Any], what: str) -> Progress:
    since = datetime.fromisoformat(row.memory["since"])
    limit = float(row.parameters.get("appear_seconds", APPEAR_SECONDS))
    group = row.memory["task_group_id"]
    if row.memory.get("is_cancelled"):
        return Progress(status=Status.CANCELLED, message="cancelled", details=details, memory=row.memory)
    if now - since >= timedelta(seconds=limit):
        message = f"task group {group} {what} after {limit:g} s"
        return Progress(status=Status.FAILURE, message=message, details=details, memory=row.memory)
    pause = timedelta(seconds=min(POLL_SECONDS, max(1.0, limit / 20)))
    message = f"task group {group} {what} yet"
    return Progress(message=message, details=details, memory=row.memory, due_at=now + pause)
