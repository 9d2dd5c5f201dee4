# SPDX-License-Identifier: MPL-2.0
"""A step that watches a task group, or has a hook make one; cancelling it cancels, cancels all and seals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shipit.clients.task_groups import GroupTask, TaskGroup, TaskGroups
from shipit.errors import Missing, ShipitError, Unavailable
from shipit.events import slugs
from shipit.pipeline.schema import Problem
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow
from shipit.steps.contract import Doors

# Pulse tells first; polling only repairs what a lost message broke.
POLL_SECONDS = 60.0
# After a failure somebody may rerun tasks, of which Pulse tells too.
FAILED_POLL_SECONDS, FAILED_POLL_DAYS = 600.0, 7
APPEAR_SECONDS = 900.0
MOST_CANCELS = 10
RETRIED = frozenset({"worker-shutdown", "claim-expired", "intermittent-task"})
"""Reasons of an exception after which the queue itself makes another run while retries are left."""
UNRESOLVED = frozenset({"unscheduled", "pending", "running"})

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
_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "task_group_id": {"type": "string", "pattern": r"^[A-Za-z0-9_-]{22}$"},
        "hook": _HOOK,
        "cancel_hook": _HOOK,
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
    """As the schema says; a group to watch or a hook that makes one."""
    found = problems_of(dict(parameters), SCHEMA)
    if ("task_group_id" in parameters) == ("hook" in parameters):
        found.append(Problem("", "either task_group_id or hook"))
    return found


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """To be looked at, or to be made first."""
    since = now.isoformat()
    if "task_group_id" in parameters:
        group = parameters["task_group_id"]
        memory = {"phase": "made", "task_group_id": group, "since": since}
        return Progress(message=f"watches task group {group}", memory=memory, due_at=now)
    hook = parameters["hook"]
    message = f"about to trigger hook {hook['group']}/{hook['id']}"
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
            memory = {**row.memory, "phase": "firing", "fence": row.fence}
            return Progress(message=row.message, memory=memory, due_at=now)
        case "firing":
            return await _make(row, groups, now)
        case _ if row.wants_cancel and not row.memory.get("is_cancelled"):
            return await _cancel(row, groups, now)
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


async def _make(row: StepRow, groups: TaskGroups, now: datetime) -> Progress:
    hook = row.parameters["hook"]
    takes_id = hook.get("takes_task_id", True)
    task = slugs.task_id("step", row.uid)
    payload = {**hook.get("payload", {}), **({"taskId": task} if takes_id else {})}
    if not takes_id and row.fence > row.memory["fence"] + 1:
        return _unsure(row)
    try:
        made = await groups.make_by_hook(hook["group"], hook["id"], payload)
    except Missing as error:
        return Progress(status=Status.FAILURE, message=f"no such hook: {error.detail}", memory=row.memory)
    except Unavailable as error:
        if not takes_id:
            return _unsure(row)
        # A former try of ours made it: the hook cannot make a task of the same id twice.
        if await groups.task_state(task) is None:
            raise error
        made = task
    if made is None:
        return Progress(status=Status.FAILURE, message="the hook made no task", memory=row.memory)
    memory = {**row.memory, "phase": "made", "task_group_id": made, "task_id": made, "since": now.isoformat()}
    details = {"task_group_id": made}
    return Progress(message=f"made task group {made}", details=details, memory=memory, due_at=now)


def _unsure(row: StepRow) -> Progress:
    message = (
        "it is not known whether the hook was triggered (it takes no task id): look at its last fires, "
        "then retry the step or give it the group"
    )
    return Progress(status=Status.FAILURE, message=message, memory=row.memory)


async def _follow(row: StepRow, groups: TaskGroups, now: datetime) -> Progress:
    group_id = row.memory["task_group_id"]
    group: TaskGroup | None
    try:
        group = await groups.group(group_id)
    except Missing:
        group = None
    details = {"task_group_id": group_id}
    if group is None or not group.tasks:
        return _not_yet(row, now, details, "is not there" if group is None else "is empty")
    status, message = judge(group.tasks, row.parameters.get("required", {}))
    details = {**details, "tasks": len(group.tasks), "is_sealed": group.is_sealed}
    memory = dict(row.memory)
    due_at: datetime | None = None
    if status is Status.IN_PROGRESS:
        memory.pop("failed_at", None)
        due_at = now + timedelta(seconds=POLL_SECONDS)
    elif status is Status.FAILURE:
        first = datetime.fromisoformat(memory.setdefault("failed_at", now.isoformat()))
        if now - first < timedelta(days=FAILED_POLL_DAYS):
            due_at = now + timedelta(seconds=FAILED_POLL_SECONDS)
    output = {"task_group_id": group_id} if status is Status.SUCCESS else {}
    return Progress(
        status=status, message=message, details=details, output=output, memory=memory, due_at=due_at
    )


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


async def _cancel(row: StepRow, groups: TaskGroups, now: datetime) -> Progress:
    """Every stage is tried, whatever became of the others: an unsealed group would go on growing."""
    group = row.memory["task_group_id"]
    hook = row.parameters.get("cancel_hook")
    stages: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("cancel the task", lambda: groups.cancel_task(row.memory.get("task_id") or group))
    ]
    if hook is not None:
        fire = {**hook.get("payload", {}), "taskGroupId": group}
        stages.append(("trigger cancel-all", lambda: groups.make_by_hook(hook["group"], hook["id"], fire)))
    stages += [("seal", lambda: groups.seal(group)), ("cancel the group", lambda: groups.cancel_group(group))]
    done = list(row.memory.get("cancelled", ()))
    failed = []
    for name, call in stages:
        if name in done:
            continue
        try:
            await call()
            done.append(name)
        except ShipitError as error:
            failed.append(f"{name}: {error.detail}")
    tries = int(row.memory.get("cancel_tries", 0)) + 1
    memory = {**row.memory, "cancelled": done, "cancel_tries": tries, "is_cancelled": not failed}
    if failed and tries >= MOST_CANCELS:
        message = f"could not be cancelled, done: {', '.join(done) or 'nothing'}; {'; '.join(failed)}"
        return Progress(status=Status.FAILURE, message=message, details=row.details, memory=memory)
    message = f"being cancelled; {'; '.join(failed)}" if failed else "cancelled and sealed; its tasks end"
    pause = timedelta(seconds=min(60.0, 2.0**tries) if failed else 1.0)
    return Progress(message=message, details=row.details, memory=memory, due_at=now + pause)
