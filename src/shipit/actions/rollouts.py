# SPDX-License-Identifier: MPL-2.0
"""Rollouts halted by anybody concerned, going on signed; Balrog's changes signed with one's own role."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shipit.actions import steps as served
from shipit.actions.persons import Actor
from shipit.errors import InvalidInput, Missing, Refused
from shipit.pipeline.states import Status
from shipit.pipeline.types import NewStep, Note, Progress, StepRow, digest_of
from shipit.steps import balrog_signing, rollout, signoff
from shipit.storage import pipelines, steps
from shipit.storage.pool import Connection


async def halt(connection: Connection, uid: str, by: Actor, *, reason: str, now: datetime) -> StepRow:
    """Raise no more: a person's or a machine's word is enough, and nobody else need agree.

    Raises Missing, NotAllowed, Refused, InvalidInput. Halting what is halted changes nothing.
    """
    row = await _open(connection, uid, by)
    if not reason.strip():
        raise InvalidInput("reason", expected="why, in words")
    if row.memory.get("halt"):
        return row
    progress = rollout.halted(row, by=by.person, reason=reason.strip()[:500], now=now)
    await steps.write(connection, row, progress)
    await _note(connection, row, by, "halted", reason=reason)
    return await served.read(connection, "rollout", uid)


async def resume(
    connection: Connection, uid: str, by: Actor, *, policy: list[dict[str, int]] | None, now: datetime
) -> str:
    """Ask that a halted rollout goes on: the uid of the signoff whose last signature lets it.

    policy: who signs, where the rollout does not say it itself. Raises Missing, NotAllowed, Refused.
    """
    row = await _open(connection, uid, by)
    halted = row.memory.get("halt")
    if not halted:
        raise Refused("the rollout is not halted")
    asked = row.memory.get("resume")
    if asked:
        before = await steps.read(connection, "signoff", asked)
        if before is not None and before.status in (Status.IN_PROGRESS, Status.SUCCESS):
            raise Refused(f"that it goes on is already asked for: the signoff {asked!r}")
    own = row.parameters.get("signers")
    if own is not None and policy is not None:
        raise InvalidInput("policy", expected="none: the rollout says itself who signs")
    wanted = own or policy
    if not wanted:
        raise InvalidInput("policy", expected="who must sign, as the rollout does not say it")
    name = f"{uid}.resume-{digest_of([halted['at'], halted['by'], asked])[:8]}"
    parameters: dict[str, Any] = {
        "policy": wanted,
        "subject": f"let the rollout of rule {row.parameters['rule']} go on, halted by {halted['by']}: "
        f"{halted['reason']}",
        "digest": digest_of(halted),
        "requester": by.person,
        "starts": f"the next raise of rule {row.parameters['rule']}",
    }
    problems = signoff.problems(parameters)
    if problems:
        raise InvalidInput(problems[0].pointer, expected=problems[0].expected, got=problems[0].got)
    begun = signoff.begin(parameters, now)
    made = NewStep(kind="signoff", uid=name, parameters=parameters, progress=begun, created_by=by.person)
    if not await steps.put(connection, [made]):
        raise Refused(f"somebody else has put a signoff {name!r}: cancel and remove that first")
    await steps.write(connection, row, rollout.resumes(row, name, now))
    await _note(connection, row, by, "going on asked", after=name)
    return name


async def sign_in_balrog(
    connection: Connection, kind: str, uid: str, by: Actor, *, role: str, now: datetime
) -> StepRow:
    """Have a runner sign a step's scheduled change in Balrog as this person, with their own key and role.

    Raises Missing, Refused.
    """
    if kind not in ("balrog", "rollout"):
        raise Missing("only a balrog or rollout step is signed in Balrog")
    row = await served.read(connection, kind, uid, is_locked=True)
    if row.status.is_end:
        raise Refused(f"the step has ended: {row.message}")
    required: Mapping[str, int] = row.details.get("required") or {}
    if role not in required:
        known = ", ".join(sorted(required)) or "nobody now"
        raise Refused(f"{role!r} does not sign this in Balrog (needed: {known})")
    memory = balrog_signing.asked(row.memory, by.person, role)
    progress = Progress(
        status=row.status, message=row.message, details=row.details, memory=memory, due_at=now
    )
    await steps.write(connection, row, progress)
    await _note(connection, row, by, "signs in Balrog", after=role)
    return await served.read(connection, kind, uid)


async def _open(connection: Connection, uid: str, by: Actor) -> StepRow:
    row = await served.read(connection, "rollout", uid, is_locked=True)
    # The right to the phase of its pipeline, or to the step itself where it has none.
    if not await served.need_phase(connection, row, by):
        served.may_change(by, row)
    if row.status.is_end or row.wants_cancel:
        raise Refused(f"the rollout has ended: {row.message}")
    return row


async def _note(
    connection: Connection, row: StepRow, by: Actor, what: str, *, after: str = "", reason: str = ""
) -> None:
    subject = row.pipeline or f"{row.kind}/{row.uid}"
    line = Note(subject=subject, step=row.uid, actor=by.person, what=what, after=after, reason=reason[:500])
    await pipelines.note(connection, [line])
    if row.pipeline is not None:
        await pipelines.tell(connection, [row.pipeline])
