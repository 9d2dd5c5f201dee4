# SPDX-License-Identifier: MPL-2.0
"""Stops and build numbers: anybody concerned stops alone; going on again is signed."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from shipit.actions.persons import ADMIN, PIPELINE, Actor
from shipit.errors import InvalidInput, Missing, NotAllowed, Refused
from shipit.pipeline.types import NewStep, Note, Stop, digest_of
from shipit.steps.kinds import KINDS
from shipit.storage import pipelines, steps
from shipit.storage.pool import Connection


async def stop(
    connection: Connection, by: Actor, *, product: str, phase: str, reason: str, now: datetime
) -> Stop:
    """Stop a product's phase, or everything. Nobody else need agree."""
    if not reason.strip():
        raise InvalidInput("reason", expected="why, in words")
    may_stop(by, product, phase)
    made = Stop(
        uid=f"stop-{secrets.token_hex(6)}",
        product=product,
        phase=phase,
        reason=reason.strip(),
        author=by.person,
        since=now,
    )
    await pipelines.put_stop(connection, made)
    await pipelines.note(
        connection,
        [Note(subject=made.uid, actor=by.person, what="stopped", after=f"{product}/{phase}", reason=reason)],
    )
    return made


async def restart(connection: Connection, uid: str, by: Actor, *, policy: Any, now: datetime) -> str:
    """Ask that a stop ends: the uid of the signoff whose last signature ends it. Raises Missing, Refused."""
    standing = {each.uid: each for each in await pipelines.stops(connection)}
    if uid not in standing:
        raise Missing(f"there is no stop {uid!r} that stands")
    found = standing[uid]
    may_stop(by, found.product, found.phase)
    signoff = f"{uid}.restart"
    if await steps.read(connection, "signoff", signoff) is not None:
        # One that was cancelled keeps its name.
        signoff += f"-{secrets.token_hex(4)}"
    where = "/".join(part for part in (found.product, found.phase) if part) or "everything"
    parameters = {
        "policy": policy,
        "subject": f"let {where} go on, stopped by {found.author}: {found.reason}",
        "digest": digest_of([found.uid, found.reason]),
        "requester": by.person,
        "starts": f"everything of {where} that waits",
    }
    if not await pipelines.set_restart(connection, uid, signoff):
        raise Refused(f"that {uid!r} ends is already asked for: the signoff {found.restart!r}")
    problems = KINDS["signoff"].problems(parameters)
    if problems:
        raise InvalidInput(problems[0].pointer, expected=problems[0].expected, got=problems[0].got)
    begun = KINDS["signoff"].begin(parameters, now)
    step = NewStep(kind="signoff", uid=signoff, parameters=parameters, progress=begun, created_by=by.person)
    if not await steps.put(connection, [step]):
        raise Refused(f"somebody else has put a signoff {signoff!r}: cancel and remove that first")
    await pipelines.note(
        connection, [Note(subject=uid, actor=by.person, what="restart asked", after=signoff)]
    )
    return signoff


async def next_build(connection: Connection, by: Actor, *, product: str, version: str) -> int:
    """A build number nobody had."""
    by.need_pipeline(product, ["promote"])
    number = await pipelines.next_build(connection, product, version)
    name = f"{product}-{version}"
    await pipelines.note(
        connection, [Note(subject=name, actor=by.person, what="build number", after=str(number))]
    )
    return number


def may_stop(by: Actor, product: str, phase: str) -> None:
    """Raise NotAllowed unless they may act on some phase that is stopped. Stopping is meant to be easy."""
    prefix = f"{PIPELINE}/" + (f"{product}/{phase}" if product else "")
    may = any(scope.startswith(prefix) for scope in by.scopes) or by.has(prefix) or by.has(ADMIN)
    if not may:
        raise NotAllowed(f"this needs a scope that begins with {prefix}")
