# SPDX-License-Identifier: MPL-2.0
"""Cancel a task group: its task, cancel-all by hook or action, seal, the group. All of it, always."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from shipit.clients.task_groups import TaskGroups
from shipit.errors import InvalidInput, Missing, ShipitError
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, StepRow
from shipit.steps.taskcluster_making import fire_of

MOST_CANCELS = 10
CANCEL_ALL = "cancel-all"
Stage = tuple[str, Callable[[], Awaitable[object]]]


async def cancel(row: StepRow, groups: TaskGroups, now: datetime) -> Progress:
    """Every stage is tried, whatever became of the others: an unsealed group would go on growing."""
    done = list(row.memory.get("cancelled", ()))
    failed = []
    for name, call in _stages(row, groups):
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


def _stages(row: StepRow, groups: TaskGroups) -> list[Stage]:
    group = row.memory["task_group_id"]
    task = row.memory.get("task_id") or group
    stages: list[Stage] = [("cancel the task", lambda: groups.cancel_task(task))]
    if "cancel_hook" in row.parameters:
        hook = row.parameters["cancel_hook"]
        fire = {**hook.get("payload", {}), "taskGroupId": group}
        stages.append(("trigger cancel-all", lambda: groups.make_by_hook(hook["group"], hook["id"], fire)))
    elif "cancel_action" in row.parameters:
        stages.append(("trigger cancel-all", lambda: _cancel_all(row, groups, task)))
    stages += [("seal", lambda: groups.seal(group)), ("cancel the group", lambda: groups.cancel_group(group))]
    return stages


async def _cancel_all(row: StepRow, groups: TaskGroups, task: str) -> None:
    """Cancel-all is harmless when it comes twice: what is cancelled stays so."""
    wanted = row.parameters["cancel_action"]
    name = wanted.get("name", CANCEL_ALL)
    decision = wanted.get("decision_task", task)
    try:
        fire, _ = await fire_of({"action": {"decision_task": decision, "name": name}}, groups)
    except Missing:
        # It came to no decision, so it has made no tasks that only cancel-all would reach.
        return
    except InvalidInput as error:
        raise ShipitError(error.detail) from error
    await groups.make_by_hook(fire.hook_group, fire.hook_id, fire.payload)
