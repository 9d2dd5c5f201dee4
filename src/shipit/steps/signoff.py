# SPDX-License-Identifier: MPL-2.0
"""A step that waits for signatures; groups are checked when signing and when the last one takes effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from shipit.pipeline.schema import Problem
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Progress, Signature, StepRow
from shipit.signoff import policy as policies
from shipit.signoff.policy import Signer
from shipit.steps.contract import Doors
from shipit.storage import signatures

SIGN_SCOPE = "project:shipit:sign/"
_PERSON = {"type": "string", "minLength": 1, "maxLength": 300}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["policy"],
    "additionalProperties": False,
    "properties": {
        "policy": policies.SCHEMA,
        "subject": {"type": "string", "maxLength": 4000, "description": "what is signed, in words"},
        "digest": {"type": "string", "maxLength": 300, "description": "of the content that is signed"},
        "requester": _PERSON,
        "exclude_requester": {"type": "boolean"},
        "exclude": {"type": "array", "items": _PERSON},
        "expires_seconds": {"type": "number", "minimum": 1, "description": "how long a signature holds"},
        "arming_seconds": {"type": "number", "minimum": 0, "description": "from the last one to its effect"},
        "starts": {"type": "string", "maxLength": 4000, "description": "what the last one starts, in words"},
    },
}


def problems(parameters: Mapping[str, Any]) -> list[Problem]:
    """As the schema says; the policy one that somebody can meet."""
    found = problems_of(dict(parameters), SCHEMA)
    if not found:
        excluded = excluded_of(parameters)
        found += [
            Problem("/policy" + each.pointer, each.expected, each.got)
            for each in policies.policy_problems(parameters["policy"], {}, excluded=excluded)
        ]
    return found


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """Nobody has signed."""
    return standing(parameters, {"digest": parameters.get("digest", "")}, [], now)


def cancel(row: StepRow, now: datetime) -> Progress | None:
    """Nobody need sign any more."""
    return Progress(status=Status.CANCELLED, message="cancelled", details=row.details, memory=row.memory)


def excluded_of(parameters: Mapping[str, Any], made_by: str = "") -> frozenset[str]:
    """Who may not sign. made_by: whoever put the step, or the pipeline it is of, asks for it too."""
    excluded = set(parameters.get("exclude", ()))
    if parameters.get("exclude_requester"):
        excluded |= {parameters.get("requester", ""), made_by} - {""}
    return frozenset(excluded)


def valid(given: Sequence[Signature], digest: str, now: datetime) -> list[Signature]:
    """The signatures that count: neither revoked nor expired, and of the content as it is."""
    return [
        each
        for each in given
        if each.revoked_at is None
        and (each.expires_at is None or each.expires_at > now)
        and each.digest == digest
    ]


def signers(given: Sequence[Signature]) -> list[Signer]:
    """The persons behind signatures."""
    return [Signer(each.person, frozenset(each.groups)) for each in given]


def standing(
    parameters: Mapping[str, Any], memory: Mapping[str, Any], given: Sequence[Signature], now: datetime
) -> Progress:
    """How a signoff stands with these signatures; never done: that takes a look."""
    policy = policies.read(parameters["policy"])
    counted = valid(given, memory.get("digest", ""), now)
    verdict = policies.judge(policy, signers(counted))
    details = {
        "policy": list(policy),
        "subject": parameters.get("subject", ""),
        "digest": memory.get("digest", ""),
        "missing": [list(slots) for slots in verdict.missing],
        "who": "" if verdict.is_met else _who(verdict.missing),
        "signatures": [_shown(each, counted) for each in given],
    }
    expiries = [each.expires_at for each in counted if each.expires_at is not None]
    if not verdict.is_met:
        message = policies.sentence(policy, signers(counted))
        kept = {"digest": memory.get("digest", "")}
        return Progress(message=message, details=details, memory=kept, due_at=min(expiries, default=None))
    met_at = memory.get("met_at") or now.isoformat()
    armed_at = datetime.fromisoformat(met_at) + timedelta(seconds=float(parameters.get("arming_seconds", 0)))
    return Progress(
        message=f"everybody needed has signed; takes effect at {armed_at:%Y-%m-%d %H:%M:%S %Z}",
        details={**details, "armed_at": armed_at.isoformat(), "by": armed_at.isoformat()},
        memory={"digest": memory.get("digest", ""), "met_at": met_at},
        due_at=min([armed_at, *expiries]) if armed_at > now else now,
    )


async def look(row: StepRow, doors: Doors, now: datetime) -> Progress:
    """Expire signatures; when armed, check the groups once more, then done or back to waiting."""
    async with doors.database.connection() as connection:
        given = await signatures.of_step(connection, row.uid)
    progress = standing(row.parameters, row.memory, given, now)
    armed_at = progress.details.get("armed_at")
    if armed_at is None or datetime.fromisoformat(armed_at) > now:
        return progress
    counted = valid(given, row.memory.get("digest", ""), now)
    checked = [await _checked(each, row, doors) for each in counted]
    policy = policies.read(row.parameters["policy"])
    if policies.judge(policy, signers(checked)).is_met:
        people = ", ".join(each.person for each in counted)
        output = {"signed_by": [each.person for each in counted], "digest": row.memory.get("digest", "")}
        known = "" if doors.task_groups is not None else " (groups as they were when signed)"
        return Progress(
            status=Status.SUCCESS,
            message=f"signed by {people}{known}",
            details=progress.details,
            output=output,
            memory=row.memory,
        )
    lost = [old for old, new in zip(counted, checked, strict=True) if old.groups != new.groups]
    async with doors.database.connection() as connection:
        for each in lost:
            why = "no longer in the group it was given for, or logged in no more: sign again"
            await signatures.revoke(connection, row.uid, person=each.person, by="groups", why=why)
        given = await signatures.of_step(connection, row.uid)
    memory = {"digest": row.memory.get("digest", "")}
    return standing(row.parameters, memory, given, now)


async def _checked(signature: Signature, row: StepRow, doors: Doors) -> Signature:
    """The signature with the groups its person is in now; raises Unavailable when that cannot be asked."""
    async with doors.database.connection() as connection:
        given = await signatures.delegations(connection, signature.person)
    delegated = {each.group for each in given}
    groups = tuple(
        group for group in signature.groups if group not in signature.delegated or group in delegated
    )
    if doors.task_groups is None:
        return replace(signature, groups=groups)
    held = await doors.task_groups.scopes_of(signature.client, signature.person)
    if held is None:
        # The client of a login ends with it; whoever logged in again is asked for by that.
        async with doors.database.connection() as connection:
            held = await signatures.scopes_of_session(connection, signature.person)
    kept = (group for group in groups if group in signature.delegated or _in_group(held or (), group))
    return replace(signature, groups=tuple(kept))


def _in_group(held: Sequence[str], group: str) -> bool:
    scope = SIGN_SCOPE + group
    return any(have == scope or (have.endswith("*") and scope.startswith(have[:-1])) for have in held)


def _who(missing: Sequence[Sequence[str]]) -> str:
    return ", or ".join(dict.fromkeys(" and ".join(dict.fromkeys(slots)) for slots in missing))


def _shown(signature: Signature, counted: Sequence[Signature]) -> dict[str, Any]:
    is_revoked = signature.revoked_at is not None
    return {
        "person": signature.person,
        "groups": list(signature.groups),
        "delegated": list(signature.delegated),
        "comment": signature.comment,
        "signed_at": signature.signed_at.isoformat(),
        "counts": signature in counted,
        **({"revoked_by": signature.revoked_by, "why": signature.revoked_why} if is_revoked else {}),
    }
