# SPDX-License-Identifier: MPL-2.0
"""Have a hook, or an action of a decision task, make a task group exactly once.

A hook that takes a task id cannot make two tasks. Of any other, also of actions, the hook's last fires tell
after a lost answer whether the call came through; what cannot be told apart is left to a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shipit.clients.task_actions import Fire, action, is_of, rendered
from shipit.clients.task_groups import Made, TaskGroups
from shipit.errors import InvalidInput, Missing, Unavailable
from shipit.events import slugs
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow
from shipit.steps.contract import Doors
from shipit.storage import steps

# A call may take effect after its answer was given up; only later do the last fires tell the truth.
SETTLE = timedelta(seconds=30)
SKEW = timedelta(seconds=60)
ACTIONS_SECONDS, ACTIONS_POLL = 900.0, 10.0


def words(parameters: Mapping[str, Any]) -> str:
    """What will be triggered, for people."""
    if "action" in parameters:
        return f"action {parameters['action']['name']} of {parameters['action']['decision_task']}"
    return f"hook {parameters['hook']['group']}/{parameters['hook']['id']}"


async def make(row: StepRow, groups: TaskGroups, doors: Doors, now: datetime) -> Progress:
    """Trigger what makes the group, unless a former try did."""
    hook = row.parameters.get("hook")
    if hook is not None and hook.get("takes_task_id", True):
        return await _with_task_id(row, hook, groups, now)
    return await _without_task_id(row, groups, doors, now)


async def fire_of(parameters: Mapping[str, Any], groups: TaskGroups) -> tuple[Fire, str]:
    """What to trigger for an action, and the decision task's group. Raises Missing, InvalidInput."""
    wanted = parameters["action"]
    task = wanted["decision_task"]
    found = action(await groups.actions(task), wanted["name"])
    group = await groups.group_of(task)
    if group is None:
        raise Missing(f"there is no task {task}")
    # A template may be costly to render, and others have steps too.
    fire = await asyncio.to_thread(rendered, found, group=group, given=wanted.get("input", {}))
    return fire, group


async def _with_task_id(row: StepRow, hook: Mapping[str, Any], groups: TaskGroups, now: datetime) -> Progress:
    task = slugs.task_id("step", row.uid)
    payload = {**hook.get("payload", {}), "taskId": task}
    try:
        made = await groups.make_by_hook(hook["group"], hook["id"], payload)
    except Missing as error:
        return _failed(row, f"no such hook: {error.detail}")
    except Unavailable as error:
        # A former try of ours made it: the hook cannot make a task of the same id twice.
        group = await groups.group_of(task)
        if group is None:
            raise error
        made = Made(task, group)
    return _made(row, made, now)


async def _without_task_id(row: StepRow, groups: TaskGroups, doors: Doors, now: datetime) -> Progress:
    try:
        fire, about = await _fire(row.parameters, groups)
    except InvalidInput as error:
        return _failed(row, error.detail)
    except Missing as error:
        return _no_actions(row, error, now)
    if row.fence > row.memory["fence"] + 1:
        # Somebody looked before us in this phase, and may have made the call.
        if (wait := _settles_at(row)) > now:
            return Progress(message=row.message, memory=row.memory, due_at=wait)
        known = await _former(row, fire, about, groups, doors)
        if isinstance(known, str):
            return _failed(row, known)
        if known is not None:
            return _made(row, known, now, about)
    try:
        made = await groups.make_by_hook(fire.hook_group, fire.hook_id, fire.payload)
    except Missing as error:
        return _failed(row, f"no such hook: {error.detail}")
    except Unavailable as error:
        memory = {**row.memory, "asked_at": now.isoformat()}
        return Progress(message=f"{error.detail}; looks whether it came through", memory=memory, due_at=now)
    return _made(row, made, now, about)


async def _fire(parameters: Mapping[str, Any], groups: TaskGroups) -> tuple[Fire, str]:
    if "action" in parameters:
        return await fire_of(parameters, groups)
    hook = parameters["hook"]
    return Fire(hook_group=hook["group"], hook_id=hook["id"], payload=hook.get("payload", {})), ""


async def _former(
    row: StepRow, fire: Fire, about: str, groups: TaskGroups, doors: Doors
) -> Made | str | None:
    """The task a former try of ours made; None when it made none; in words, when that cannot be told."""
    since = datetime.fromisoformat(row.memory["firing_since"]) - SKEW
    tasks = await groups.fires(fire.hook_group, fire.hook_id, since)
    async with doors.database.connection() as connection:
        tasks = [task for task in tasks if not await steps.is_known_task(connection, task)]
    wanted = row.parameters.get("action")
    if wanted is not None:
        given = wanted.get("input", {})
        tasks = [
            task
            for task in tasks
            if is_of(await groups.definition(task), name=wanted["name"], group=about, given=given)
        ]
        if len(tasks) == 1:
            return Made(tasks[0], await groups.group_of(tasks[0]) or tasks[0])
    if not tasks:
        return None
    return (
        f"it is not known whether the hook was triggered (it fired {len(tasks)} times since, and takes no "
        f"task id): look at its last fires ({', '.join(tasks[:5])}), then retry the step or give it the group"
    )


def _settles_at(row: StepRow) -> datetime:
    """When a call that may have gone out has certainly taken effect, or not."""
    asked = row.memory.get("asked_at") or row.memory["firing_since"]
    return datetime.fromisoformat(asked) + SETTLE


def _no_actions(row: StepRow, error: Missing, now: datetime) -> Progress:
    since = datetime.fromisoformat(row.memory["since"])
    if now - since >= timedelta(seconds=float(row.parameters.get("appear_seconds", ACTIONS_SECONDS))):
        return _failed(row, error.detail)
    # Nothing went out: the next look need not ask whether it did.
    memory = {**row.memory, "phase": "new"}
    message = f"waits for its decision task: {error.detail}"
    return Progress(message=message, memory=memory, due_at=now + timedelta(seconds=ACTIONS_POLL))


def _made(row: StepRow, made: Made | None, now: datetime, about: str = "") -> Progress:
    if made is None:
        return _failed(row, "the hook made no task")
    # An action's task is in its decision task's group; the tasks it makes are mostly in one named by itself.
    wanted = row.parameters.get("action")
    group = made.group_id
    if wanted is not None:
        group = about if wanted.get("group") == "decision" else made.task_id
    memory = {
        **row.memory,
        "phase": "made",
        "task_group_id": group,
        "task_id": made.task_id,
        "since": now.isoformat(),
    }
    details = {"task_group_id": group, "task_id": made.task_id}
    return Progress(message=f"made task group {group}", details=details, memory=memory, due_at=now)


def _failed(row: StepRow, message: str) -> Progress:
    return Progress(status=Status.FAILURE, message=message, memory=row.memory)
