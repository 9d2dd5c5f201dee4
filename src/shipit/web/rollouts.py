# SPDX-License-Identifier: MPL-2.0
"""Rollouts over HTTP: halted at once, going on signed; Balrog's changes signed with one's own role."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shipit.actions import rollouts
from shipit.actions import steps as acts
from shipit.actions.steps import Described
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer
from shipit.web.pipelines import BOTH, Because, now, part, person
from shipit.web.scopes import Right
from shipit.web.steps import PARTS, STEP, only
from shipit.web.stops import Restart


class ResumeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who must sign that it goes on, where the rollout does not say it itself."""

    policy: list[dict[str, int]] | None = None


class RoleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The role one signs with in Balrog."""

    role: Annotated[str, Meta(min_length=1, max_length=64)]


@endpoint(
    "PUT",
    f"{STEP}/halt",
    Contract(
        right=Right.USER,
        summary="Halt a rollout: nothing is raised any more",
        body=Because,
        answer=Described,
        statuses=BOTH,
        parts=PARTS,
    ),
)
async def halt(request: Asked) -> Answer:
    """A person halts, or a machine that saw a signal."""
    only(request, "rollout")
    because = await reading.body(request, Because)
    async with house(request).database.connection() as connection:
        row = await rollouts.halt(
            connection, part(request), person(request), reason=because.reason, now=now()
        )
        return json_answer(await acts.show(connection, row, now()))


@endpoint(
    "PUT",
    f"{STEP}/resume",
    Contract(
        right=Right.USER,
        summary="Ask that a rollout goes on: the last signature on the signoff lets it",
        body=ResumeBody,
        answer=Restart,
        statuses=BOTH,
        parts=PARTS,
    ),
)
async def resume(request: Asked) -> Answer:
    """Ask for signatures."""
    only(request, "rollout")
    body = await reading.body(request, ResumeBody)
    async with house(request).database.connection() as connection:
        name = await rollouts.resume(
            connection, part(request), person(request), policy=body.policy, now=now()
        )
    return json_answer(Restart(name))


@endpoint(
    "PUT",
    f"{STEP}/balrog",
    Contract(
        right=Right.USER,
        summary="Sign the step's scheduled change in Balrog, as oneself, with one's own role",
        body=RoleBody,
        answer=Described,
        statuses=BOTH,
        parts=PARTS,
    ),
)
async def sign_in_balrog(request: Asked) -> Answer:
    """A runner signs with the key that this person gave for Balrog."""
    body = await reading.body(request, RoleBody)
    async with house(request).database.connection() as connection:
        row = await rollouts.sign_in_balrog(
            connection, part(request, "kind"), part(request), person(request), role=body.role, now=now()
        )
        return json_answer(await acts.show(connection, row, now()))


HANDLERS = [halt, resume, sign_in_balrog]
