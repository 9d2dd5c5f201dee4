# SPDX-License-Identifier: MPL-2.0
"""Signing over HTTP: signatures, changed content, policies, delegations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shipit.actions import signing
from shipit.actions import steps as acts
from shipit.actions.steps import Described
from shipit.errors import InvalidInput
from shipit.pipeline.schema import Problem
from shipit.signoff.policy import policy_problems
from shipit.storage import signatures
from shipit.storage.signatures import Delegation
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer
from shipit.web.pipelines import ABSENT, BOTH, Text, now, part, person
from shipit.web.scopes import Right
from shipit.web.steps import PARTS, STEP, only


class SignBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signature. digest: of the content as it was seen. group: sign for this one only."""

    comment: Text = ""
    digest: Annotated[str, Meta(max_length=300)] | None = None
    group: Annotated[str, Meta(max_length=300)] | None = None


class ContentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The digest of what is signed now."""

    digest: Annotated[str, Meta(max_length=300)]


class PolicyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy, and who is in which group as far as that is known."""

    policy: Any
    members: dict[str, list[str]] = {}


class Judged(msgspec.Struct, frozen=True):
    """Whether a policy is one that can be met, and what is wrong with it."""

    is_valid: bool
    problems: tuple[Problem, ...]


class DelegationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may sign for whose group, why, until when."""

    to: Annotated[str, Meta(min_length=1, max_length=300)]
    group: Annotated[str, Meta(min_length=1, max_length=300)]
    reason: Text
    until: datetime


class Delegated(msgspec.Struct, frozen=True):
    """A delegation on record, by its number."""

    id: int


@endpoint(
    "PUT",
    f"{STEP}/sign",
    Contract(right=Right.USER, summary="Sign", body=SignBody, answer=Described, statuses=BOTH, parts=PARTS),
)
async def sign(request: Asked) -> Answer:
    """Sign a signoff."""
    only(request, "signoff")
    body = await reading.body(request, SignBody)
    async with house(request).database.connection() as connection:
        row = await signing.sign(
            connection,
            part(request),
            person(request),
            now=now(),
            comment=body.comment,
            digest=body.digest,
            group=body.group,
            only_people=house(request).settings.login.only_people_sign,
        )
        return json_answer(await acts.show(connection, row, now()))


@endpoint(
    "DELETE",
    f"{STEP}/sign",
    Contract(
        right=Right.USER, summary="Take one's signature back", answer=Described, statuses=BOTH, parts=PARTS
    ),
)
async def unsign(request: Asked) -> Answer:
    """Take a signature back."""
    only(request, "signoff")
    async with house(request).database.connection() as connection:
        row = await signing.revoke(connection, part(request), person(request), now=now())
        return json_answer(await acts.show(connection, row, now()))


@endpoint(
    "PUT",
    f"{STEP}/content",
    Contract(
        right=Right.USER,
        summary="What is signed has another digest: signatures are void",
        body=ContentBody,
        answer=Described,
        statuses=BOTH,
        parts=PARTS,
    ),
)
async def change_content(request: Asked) -> Answer:
    """Void the signatures when the content changed."""
    only(request, "signoff")
    body = await reading.body(request, ContentBody)
    async with house(request).database.connection() as connection:
        row = await signing.change_content(
            connection, part(request), person(request), digest=body.digest, now=now()
        )
        return json_answer(await acts.show(connection, row, now()))


@endpoint(
    "POST",
    "/api/policies",
    Contract(right=Right.READ, summary="What is wrong with a policy", body=PolicyBody, answer=Judged),
)
async def judge_policy(request: Asked) -> Answer:
    """Whether anybody can meet it."""
    body = await reading.body(request, PolicyBody)
    found = tuple(policy_problems(body.policy, body.members))
    return json_answer(Judged(not found, found))


@endpoint(
    "POST",
    "/api/delegations",
    Contract(
        right=Right.USER,
        summary="Let another person sign for one's group",
        body=DelegationBody,
        answer=Delegated,
    ),
)
async def delegate(request: Asked) -> Answer:
    """Put a delegation on record."""
    body = await reading.body(request, DelegationBody)
    if body.until.tzinfo is None:
        raise InvalidInput("until", expected="a time with its offset", got=body.until.isoformat())
    async with house(request).database.connection() as connection:
        number = await signing.delegate(
            connection,
            person(request),
            to=body.to,
            group=body.group,
            reason=body.reason,
            until=body.until,
            now=now(),
        )
    return json_answer(Delegated(number))


@endpoint(
    "GET",
    "/api/delegations",
    Contract(
        right=Right.USER, summary="What one delegates, and what is delegated to one", answer=list[Delegation]
    ),
)
async def list_delegations(request: Asked) -> Answer:
    """Those that hold."""
    who = person(request).person
    async with house(request).database.connection() as connection:
        return json_answer(await signatures.delegations(connection, who, giver=who))


@endpoint(
    "DELETE",
    "/api/delegations/{number:str}",
    Contract(
        right=Right.USER,
        summary="End a delegation that one gave",
        answer=Delegated,
        statuses=ABSENT,
        parts=("number",),
    ),
)
async def end_delegation(request: Asked) -> Answer:
    """Nobody signs by it any more."""
    number = reading.number(request.path_params["number"], "number")
    async with house(request).database.connection() as connection:
        await signing.end_delegation(connection, person(request), number)
    return json_answer(Delegated(number))


HANDLERS = [sign, unsign, change_content, judge_policy, delegate, list_delegations, end_delegation]
