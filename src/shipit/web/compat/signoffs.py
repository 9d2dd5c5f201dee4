# SPDX-License-Identifier: MPL-2.0
"""The original signoff service's own words, below /compat/signoff, over the same rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from shipit.actions import signing
from shipit.actions import steps as acts
from shipit.errors import InvalidInput, NotAllowed, Refused
from shipit.pipeline.states import Status
from shipit.pipeline.types import StepRow
from shipit.signoff.policy import policy_problems
from shipit.storage import signatures
from shipit.web import reading
from shipit.web.compat.old_steps import (
    OLD_WORD,
    StateQuery,
    conflict,
    delete_step,
    of_state,
    put_step,
    reads,
    row_of,
    writes,
)
from shipit.web.house import Answer, Asked, endpoint, house, json_answer
from shipit.web.pipelines import ABSENT, UID, now, part, person
from shipit.web.problems import WrongShape

SIGNOFF = "/compat/signoff"


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


@endpoint("GET", f"{SIGNOFF}/step", reads("Signoffs of a state", list[OldSignoffStatus], query=StateQuery))
async def list_signoffs(request: Asked) -> Answer:
    """The first thousand of a state."""
    shown = []
    async with house(request).database.connection() as connection:
        rows = await of_state(request, connection, "signoff")
        for row in rows:
            shown.append(await _signoff(connection, row))
    return json_answer(shown)


@endpoint("PUT", f"{SIGNOFF}/step/{{uid:str}}", writes("Create a signoff", body=SignoffBody, parts=UID))
async def put_signoff(request: Asked) -> Answer:
    """Create."""
    body = await reading.body(request, SignoffBody)
    if body.policy.method != "local":
        raise InvalidInput("policy.method", expected="local; sign in Balrog itself", got=body.policy.method)
    policy = body.policy.definition
    return await put_step(request, "signoff", {"policy": [policy] if isinstance(policy, dict) else policy})


@endpoint(
    "GET",
    f"{SIGNOFF}/step/{{uid:str}}",
    reads("A signoff as it was put", OldSignoff, statuses=ABSENT, parts=UID),
)
async def read_signoff(request: Asked) -> Answer:
    """The definition."""
    row = await row_of(request, "signoff")
    return json_answer(OldSignoff(row.uid, Policy("local", row.parameters["policy"])))


@endpoint(
    "GET",
    f"{SIGNOFF}/step/{{uid:str}}/status",
    reads("A signoff's state", OldSignoffStatus, statuses=ABSENT, parts=UID),
)
async def signoff_status(request: Asked) -> Answer:
    """The state, and who signed, which the original promised."""
    async with house(request).database.connection() as connection:
        row = await acts.read(connection, "signoff", part(request))
        return json_answer(await _signoff(connection, row))


@endpoint("DELETE", f"{SIGNOFF}/step/{{uid:str}}", writes("Cancel or remove a signoff", parts=UID))
async def delete_signoff(request: Asked) -> Answer:
    """Not when it is completed, as the original documented."""
    if (await row_of(request, "signoff")).status is Status.SUCCESS:
        raise NotAllowed("a completed signoff is not deleted")
    return await delete_step(request, "signoff")


@endpoint("PUT", f"{SIGNOFF}/step/{{uid:str}}/sign", writes("Sign", body=GroupBody, parts=UID))
async def sign(request: Asked) -> Answer:
    """Sign for a group, or as the person the policy names."""
    body = await reading.body(request, GroupBody)
    who = person(request)
    group = None if body.group == who.person else body.group
    try:
        async with house(request).database.connection() as connection:
            only = house(request).settings.login.only_people_sign
            await signing.sign(connection, part(request), who, now=now(), group=group, only_people=only)
    except Refused as error:
        return conflict(error)
    return json_answer({})


@endpoint("DELETE", f"{SIGNOFF}/step/{{uid:str}}/sign", writes("Take a signature back", parts=UID))
async def unsign(request: Asked) -> Answer:
    """Take back what one signed, as long as the policy is not met."""
    try:
        async with house(request).database.connection() as connection:
            await signing.revoke(connection, part(request), person(request), now=now())
    except Refused as error:
        return conflict(error)
    return json_answer({})


@endpoint("PUT", f"{SIGNOFF}/validate_policy", writes("What is wrong with a policy", body=Policy))
async def validate_policy(request: Asked) -> Answer:
    """200 for a policy that can be met, 422 for another; the original had it commented out."""
    body = await reading.body(request, Policy)
    found = policy_problems(body.definition)
    if found:
        raise WrongShape(f"definition{found[0].pointer}", expected="; ".join(map(str, found)))
    return json_answer({})


HANDLERS = [
    list_signoffs,
    put_signoff,
    read_signoff,
    signoff_status,
    delete_signoff,
    sign,
    unsign,
    validate_policy,
]


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
