# SPDX-License-Identifier: MPL-2.0
"""The original Taskcluster service's own words, below /compat/taskcluster, over the same rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shipit.pipeline.types import StepRow
from shipit.web import reading
from shipit.web.compat.old_steps import (
    OLD_WORD,
    StateQuery,
    delete_step,
    of_state,
    put_step,
    reads,
    row_of,
    writes,
)
from shipit.web.house import Answer, Asked, endpoint, house, json_answer
from shipit.web.pipelines import ABSENT, UID

TASKCLUSTER = "/compat/taskcluster"


class TaskGroupBody(msgspec.Struct, frozen=True):
    """Which task group is watched; schedulerAPI: of a service that is gone, kept as it was sent."""

    taskGroupId: str
    schedulerAPI: bool = False


class OldTaskGroup(msgspec.Struct, frozen=True):
    """A watched task group as the original showed it."""

    uid: str
    taskGroupId: str
    schedulerAPI: bool
    parameters: dict[str, Any] = {}


class OldTaskGroupStatus(msgspec.Struct, frozen=True):
    """A watched task group's state."""

    uid: str
    task_group_id: str
    state: str
    finished: datetime | None
    created: datetime


@endpoint("GET", f"{TASKCLUSTER}/steps", reads("Uids of a state", list[str], query=StateQuery))
async def list_groups(request: Asked) -> Answer:
    """The first thousand of a state."""
    async with house(request).database.connection() as connection:
        return json_answer([row.uid for row in await of_state(request, connection, "taskcluster")])


@endpoint(
    "PUT", f"{TASKCLUSTER}/steps/{{uid:str}}", writes("Watch a task group", body=TaskGroupBody, parts=UID)
)
async def put_group(request: Asked) -> Answer:
    """Watch a group; several steps may watch the same one."""
    body = await reading.body(request, TaskGroupBody)
    return await put_step(request, "taskcluster", {"task_group_id": body.taskGroupId})


@endpoint(
    "GET",
    f"{TASKCLUSTER}/steps/{{uid:str}}",
    reads("A step as it was put", OldTaskGroup, statuses=ABSENT, parts=UID),
)
async def read_group(request: Asked) -> Answer:
    """The definition."""
    row = await row_of(request, "taskcluster")
    return json_answer(OldTaskGroup(row.uid, _group(row), schedulerAPI=False))


@endpoint(
    "GET",
    f"{TASKCLUSTER}/steps/{{uid:str}}/status",
    reads("A step's state", OldTaskGroupStatus, statuses=ABSENT, parts=UID),
)
async def group_status(request: Asked) -> Answer:
    """The state as the runner last saw it: reading writes nothing."""
    row = await row_of(request, "taskcluster")
    finished = row.updated_at if row.status.is_end else None
    shown = OldTaskGroupStatus(row.uid, _group(row), OLD_WORD[row.status], finished, row.created_at)
    return json_answer(shown)


@endpoint("DELETE", f"{TASKCLUSTER}/steps/{{uid:str}}", writes("Cancel or remove a step", parts=UID))
async def delete_group(request: Asked) -> Answer:
    """Cancels the tasks, which the original did not."""
    return await delete_step(request, "taskcluster")


HANDLERS = [list_groups, put_group, read_group, group_status, delete_group]


def _group(row: StepRow) -> str:
    return str(row.memory.get("task_group_id") or row.parameters.get("task_group_id") or "")
