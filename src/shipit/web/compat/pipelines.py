# SPDX-License-Identifier: MPL-2.0
"""The original pipeline, signoff and Taskcluster services' own words, below /compat, over the same rows."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from shipit.actions import pipelines as pipeline_acts
from shipit.actions import signing
from shipit.actions import steps as acts
from shipit.actions.reconciling import reconcile
from shipit.actions.showing import described_pipeline
from shipit.errors import InvalidInput, Missing, NotAllowed, Refused
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.states import Status
from shipit.pipeline.types import StepRow
from shipit.signoff.policy import policy_problems
from shipit.storage import pipelines, signatures, steps
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer
from shipit.web.pipelines import ABSENT, BOTH, UID, hosts, now, part, person, put, refusal
from shipit.web.problems import WrongShape
from shipit.web.scopes import Right

PIPELINE, SIGNOFF, TASKCLUSTER = "/compat/pipeline", "/compat/signoff", "/compat/taskcluster"
OLD_WORD = {
    Status.IN_PROGRESS: "running",
    Status.SUCCESS: "completed",
    Status.FAILURE: "failed",
    # The originals had no cancelled; this is the nearest.
    Status.CANCELLED: "exception",
}
NEW_WORD = {
    **dict.fromkeys(("pending", "starting", "running", "stopping"), Status.IN_PROGRESS),
    "completed": Status.SUCCESS,
    "failed": Status.FAILURE,
    "exception": Status.CANCELLED,
}
MOST = 1000


class StateQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of which state."""

    state: str = "running"


class PipelineBody(msgspec.Struct, frozen=True):
    """A pipeline as the original took it."""

    parameters: dict[str, Any]
    uid: str | None = None


class OldStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pipeline's state."""

    state: str
    message: str = ""
    output: dict[str, Any] = {}


class Policy(msgspec.Struct, frozen=True):
    """Who must sign. method "balrog" is not kept: it used the service's rights for everybody."""

    method: Literal["local", "balrog"]
    definition: Any


class SignoffBody(msgspec.Struct, frozen=True):
    """A signoff as the original took it."""

    policy: Policy
    parameters: dict[str, Any] = {}


class OldSignoff(msgspec.Struct, frozen=True):
    """A signoff as the original showed it."""

    uid: str
    policy: Policy
    parameters: dict[str, Any] = {}


class Signee(msgspec.Struct, frozen=True):
    """Somebody who signed."""

    email: str
    group: str


class OldSignoffStatus(msgspec.Struct, frozen=True):
    """A signoff's state, with who signed."""

    uid: str
    state: str
    message: str
    signees: tuple[Signee, ...]
    created: datetime
    completed: datetime | None


class GroupBody(msgspec.Struct, frozen=True):
    """For which group somebody signs."""

    group: str


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


def _reads(summary: str, answer: Any, **more: Any) -> Contract:
    return Contract(right=Right.READ, summary=summary, answer=answer, **more)


def _writes(summary: str, **more: Any) -> Contract:
    return Contract(right=Right.USER, summary=summary, answer=dict[str, Any], statuses=BOTH, **more)


# --- pipeline -----------------------------------------------------------------------------------------


@endpoint("GET", PIPELINE, _reads("Uids of pipelines", list[str]))
async def list_pipelines(request: Asked) -> Answer:
    """The first thousand."""
    async with house(request).database.connection() as connection:
        rows = await pipelines.page(connection, status=None, product=None, after="", limit=MOST)
    return json_answer([row.uid for row in rows])


@endpoint("PUT", f"{PIPELINE}/{{uid:str}}", _writes("Create a pipeline", body=PipelineBody, parts=UID))
async def put_pipeline(request: Asked) -> Answer:
    """Create; the original's clients expect 200 whether it is new or not."""
    body = await reading.body(request, PipelineBody)
    uid = part(request)
    if body.uid not in (None, uid):
        raise InvalidInput("uid", expected=f"{uid!r}, as in the path", got=body.uid)
    answer = await put(request, uid, body.parameters)
    return answer if (answer.status_code or 0) >= 400 else json_answer({})


@endpoint("DELETE", f"{PIPELINE}/{{uid:str}}", _writes("Cancel or remove a pipeline", parts=UID))
async def delete_pipeline(request: Asked) -> Answer:
    """Cancel what runs, remove what has ended."""
    async with house(request).database.connection() as connection:
        await pipeline_acts.delete(connection, part(request), person(request), now=now())
    return json_answer({})


@endpoint(
    "GET",
    f"{PIPELINE}/{{uid:str}}/definition",
    _reads("A pipeline as it was put", PipelineBody, statuses=ABSENT, parts=UID),
)
async def pipeline_definition(request: Asked) -> Answer:
    """The definition."""
    uid = part(request)
    async with house(request).database.connection() as connection:
        given = await pipelines.given(connection, uid)
    if given is None:
        raise Missing(f"there is no pipeline {uid!r}")
    return json_answer(PipelineBody(given, uid))


@endpoint(
    "GET",
    f"{PIPELINE}/{{uid:str}}/status",
    _reads("A pipeline's state", OldStatus, statuses=ABSENT, parts=UID),
)
async def pipeline_status(request: Asked) -> Answer:
    """The state in the original's words, with the message it promised."""
    async with house(request).database.connection() as connection:
        stored = await pipeline_acts.load(connection, part(request))
    shown = described_pipeline(stored, now())
    return json_answer(OldStatus(OLD_WORD[shown.status], shown.message, shown.output))


@endpoint("PUT", f"{PIPELINE}/ticktock", _writes("Decide what is due; the runner does so by itself"))
async def ticktock(request: Asked) -> Answer:
    """Two at once, or beside the runner, start nothing twice."""
    async with house(request).database.connection() as connection:
        await reconcile(connection, now())
    return json_answer({})


# --- signoff ------------------------------------------------------------------------------------------


@endpoint("GET", f"{SIGNOFF}/step", _reads("Signoffs of a state", list[OldSignoffStatus], query=StateQuery))
async def list_signoffs(request: Asked) -> Answer:
    """The first thousand of a state."""
    shown = []
    async with house(request).database.connection() as connection:
        rows = await _of_state(request, connection, "signoff")
        for row in rows:
            shown.append(await _signoff(connection, row))
    return json_answer(shown)


@endpoint("PUT", f"{SIGNOFF}/step/{{uid:str}}", _writes("Create a signoff", body=SignoffBody, parts=UID))
async def put_signoff(request: Asked) -> Answer:
    """Create."""
    body = await reading.body(request, SignoffBody)
    if body.policy.method != "local":
        raise InvalidInput("policy.method", expected="local; sign in Balrog itself", got=body.policy.method)
    policy = body.policy.definition
    return await _put(request, "signoff", {"policy": [policy] if isinstance(policy, dict) else policy})


@endpoint(
    "GET",
    f"{SIGNOFF}/step/{{uid:str}}",
    _reads("A signoff as it was put", OldSignoff, statuses=ABSENT, parts=UID),
)
async def read_signoff(request: Asked) -> Answer:
    """The definition."""
    row = await _row(request, "signoff")
    return json_answer(OldSignoff(row.uid, Policy("local", row.parameters["policy"])))


@endpoint(
    "GET",
    f"{SIGNOFF}/step/{{uid:str}}/status",
    _reads("A signoff's state", OldSignoffStatus, statuses=ABSENT, parts=UID),
)
async def signoff_status(request: Asked) -> Answer:
    """The state, and who signed, which the original promised."""
    async with house(request).database.connection() as connection:
        row = await acts.read(connection, "signoff", part(request))
        return json_answer(await _signoff(connection, row))


@endpoint("DELETE", f"{SIGNOFF}/step/{{uid:str}}", _writes("Cancel or remove a signoff", parts=UID))
async def delete_signoff(request: Asked) -> Answer:
    """Not when it is completed, as the original documented."""
    if (await _row(request, "signoff")).status is Status.SUCCESS:
        raise NotAllowed("a completed signoff is not deleted")
    return await _delete(request, "signoff")


@endpoint("PUT", f"{SIGNOFF}/step/{{uid:str}}/sign", _writes("Sign", body=GroupBody, parts=UID))
async def sign(request: Asked) -> Answer:
    """Sign for a group, or as the person the policy names."""
    body = await reading.body(request, GroupBody)
    who = person(request)
    group = None if body.group == who.person else body.group
    try:
        async with house(request).database.connection() as connection:
            await signing.sign(connection, part(request), who, now=now(), group=group)
    except Refused as error:
        return _conflict(error)
    return json_answer({})


@endpoint("DELETE", f"{SIGNOFF}/step/{{uid:str}}/sign", _writes("Take a signature back", parts=UID))
async def unsign(request: Asked) -> Answer:
    """Take back what one signed, as long as the policy is not met."""
    try:
        async with house(request).database.connection() as connection:
            await signing.revoke(connection, part(request), person(request), now=now())
    except Refused as error:
        return _conflict(error)
    return json_answer({})


@endpoint("PUT", f"{SIGNOFF}/validate_policy", _writes("What is wrong with a policy", body=Policy))
async def validate_policy(request: Asked) -> Answer:
    """200 for a policy that can be met, 422 for another; the original had it commented out."""
    body = await reading.body(request, Policy)
    found = policy_problems(body.definition)
    if found:
        raise WrongShape(f"definition{found[0].pointer}", expected="; ".join(map(str, found)))
    return json_answer({})


# --- taskcluster --------------------------------------------------------------------------------------


@endpoint("GET", f"{TASKCLUSTER}/steps", _reads("Uids of a state", list[str], query=StateQuery))
async def list_groups(request: Asked) -> Answer:
    """The first thousand of a state."""
    async with house(request).database.connection() as connection:
        return json_answer([row.uid for row in await _of_state(request, connection, "taskcluster")])


@endpoint(
    "PUT", f"{TASKCLUSTER}/steps/{{uid:str}}", _writes("Watch a task group", body=TaskGroupBody, parts=UID)
)
async def put_group(request: Asked) -> Answer:
    """Watch a group; several steps may watch the same one."""
    body = await reading.body(request, TaskGroupBody)
    return await _put(request, "taskcluster", {"task_group_id": body.taskGroupId})


@endpoint(
    "GET",
    f"{TASKCLUSTER}/steps/{{uid:str}}",
    _reads("A step as it was put", OldTaskGroup, statuses=ABSENT, parts=UID),
)
async def read_group(request: Asked) -> Answer:
    """The definition."""
    row = await _row(request, "taskcluster")
    return json_answer(OldTaskGroup(row.uid, _group(row), schedulerAPI=False))


@endpoint(
    "GET",
    f"{TASKCLUSTER}/steps/{{uid:str}}/status",
    _reads("A step's state", OldTaskGroupStatus, statuses=ABSENT, parts=UID),
)
async def group_status(request: Asked) -> Answer:
    """The state as the runner last saw it: reading writes nothing."""
    row = await _row(request, "taskcluster")
    finished = row.updated_at if row.status.is_end else None
    shown = OldTaskGroupStatus(row.uid, _group(row), OLD_WORD[row.status], finished, row.created_at)
    return json_answer(shown)


@endpoint("DELETE", f"{TASKCLUSTER}/steps/{{uid:str}}", _writes("Cancel or remove a step", parts=UID))
async def delete_group(request: Asked) -> Answer:
    """Cancels the tasks, which the original did not."""
    return await _delete(request, "taskcluster")


HANDLERS = [
    list_pipelines,
    put_pipeline,
    delete_pipeline,
    pipeline_definition,
    pipeline_status,
    ticktock,
    list_signoffs,
    put_signoff,
    read_signoff,
    signoff_status,
    delete_signoff,
    sign,
    unsign,
    validate_policy,
    list_groups,
    put_group,
    read_group,
    group_status,
    delete_group,
]


async def _put(request: Asked, kind: str, parameters: dict[str, Any]) -> Answer:
    refuse = hosts(request).refusal
    try:
        async with house(request).database.connection() as connection:
            await acts.create(
                connection, kind, part(request), parameters, person(request), check_url=refuse, now=now()
            )
    except InvalidDefinition as error:
        return refusal(error)
    except Refused as error:
        return _conflict(error)
    return json_answer({})


async def _delete(request: Asked, kind: str) -> Answer:
    async with house(request).database.connection() as connection:
        await acts.delete(connection, kind, part(request), person(request), now=now())
    return json_answer({})


async def _row(request: Asked, kind: str) -> StepRow:
    async with house(request).database.connection() as connection:
        return await acts.read(connection, kind, part(request))


async def _of_state(request: Asked, connection: Any, kind: str) -> list[StepRow]:
    state = reading.query(request, StateQuery).state
    if state not in NEW_WORD:
        raise InvalidInput("state", expected=f"one of {', '.join(NEW_WORD)}", got=state)
    rows = await steps.page(connection, kind, status=NEW_WORD[state], after="", limit=MOST)
    found = [await steps.read(connection, kind, row.uid) for row in rows]
    return [row for row in found if row is not None]


async def _signoff(connection: Any, row: StepRow) -> OldSignoffStatus:
    given = await signatures.of_step(connection, row.uid)
    signees = tuple(
        Signee(each.person, each.groups[0] if each.groups else each.person)
        for each in given
        if each.revoked_at is None
    )
    return OldSignoffStatus(
        uid=row.uid,
        state=OLD_WORD[row.status],
        message=row.message,
        signees=signees,
        created=row.created_at,
        completed=row.updated_at if row.status is Status.SUCCESS else None,
    )


def _group(row: StepRow) -> str:
    return str(row.memory.get("task_group_id") or row.parameters.get("task_group_id") or "")


def _conflict(error: Refused) -> Answer:
    shown = {"error_title": "Conflict", "error_message": error.detail}
    return json_answer(shown, HTTPStatus.CONFLICT)
