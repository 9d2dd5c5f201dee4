# SPDX-License-Identifier: MPL-2.0
"""The steps we serve: created, told of, cancelled, ticked off; the same for page, API and command line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from shipit.actions.persons import SIGN, Actor
from shipit.actions.pipelines import CheckUrl
from shipit.errors import InvalidInput, Missing, NotAllowed, Refused
from shipit.pipeline.definition import MOST_DEPTH, PIPELINE_UID, InvalidDefinition
from shipit.pipeline.schema import Problem, is_deeper
from shipit.pipeline.standing import what_starts, when_it_starts
from shipit.pipeline.states import Status
from shipit.pipeline.types import NewStep, Note, StepRow, digest_of
from shipit.steps import manual
from shipit.steps.kinds import KINDS
from shipit.storage import pipelines, signatures, steps
from shipit.storage.pool import Connection


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A step, or a pipeline, as the Step API shows it."""

    uid: str
    status: Status
    message: str = ""
    details: dict[str, Any] = {}
    output: dict[str, Any] = {}


async def create(
    connection: Connection,
    kind: str,
    uid: str,
    parameters: Mapping[str, Any],
    by: Actor,
    *,
    check_url: CheckUrl,
    now: datetime,
) -> tuple[StepRow, bool]:
    """Store a step of a kind and begin it; (step, whether it is new). The same again changes nothing.

    Raises Missing for no such kind, InvalidDefinition, NotAllowed, Refused for another body.
    """
    if not PIPELINE_UID.fullmatch(uid):
        raise InvalidInput("uid", expected="letters, digits, dots, _ and -, at most 160", got=uid)
    known = await steps.read(connection, kind, uid)
    if known is None:
        found = _problems(kind, parameters, check_url)
        if found:
            raise InvalidDefinition(found)
        by.need_pipeline("steps", [kind])
        begun = KINDS[kind].begin(parameters, now)
        new = NewStep(kind=kind, uid=uid, parameters=dict(parameters), progress=begun, created_by=by.person)
        is_new = bool(await steps.put(connection, [new]))
        if is_new:
            line = Note(subject=f"{kind}/{uid}", actor=by.person, what="created")
            await pipelines.note(connection, [line])
        known = await read(connection, kind, uid)
        if is_new:
            return known, True
    if known.digest != digest_of(dict(parameters)):
        raise Refused(f"there is a {kind} step {uid!r} of another definition")
    return known, False


async def read(connection: Connection, kind: str, uid: str, *, is_locked: bool = False) -> StepRow:
    """A step. Raises Missing, also for no such kind."""
    if kind not in KINDS:
        raise Missing(f"there is no kind of step {kind!r}")
    row = await (steps.lock if is_locked else steps.read)(connection, kind, uid)
    if row is None:
        raise Missing(f"there is no {kind} step {uid!r}")
    return row


async def delete(
    connection: Connection, kind: str, uid: str, by: Actor, *, now: datetime
) -> tuple[Described, str]:
    """Cancel a step that runs, remove one that has ended; (how it stands, what was done)."""
    row = await read(connection, kind, uid, is_locked=True)
    may_change(by, row)
    subject = f"{kind}/{uid}"
    if row.status.is_end:
        if row.pipeline is not None and await pipelines.digest(connection, row.pipeline) is not None:
            raise Refused(f"the step belongs to pipeline {row.pipeline!r} and stays as long as that")
        await steps.remove(connection, kind, uid)
        # Whoever signed this did not sign what is put under the same uid next.
        if kind == "signoff":
            why = "the signoff was removed"
            await signatures.revoke(connection, uid, person=None, by=by.person, why=why)
        await pipelines.note(connection, [Note(subject=subject, actor=by.person, what="removed")])
        return described(row, {}), "removed"
    await pipelines.note(connection, [Note(subject=subject, actor=by.person, what="cancel asked")])
    progress = KINDS[kind].cancel(row, now)
    if progress is None:
        await steps.ask_cancel(connection, kind, uid)
        return described(row, {}), "is being cancelled"
    await steps.write(connection, row, progress, wants_cancel=True)
    row = await read(connection, kind, uid)
    return described(row, {}), "cancelled; asked again, it is removed"


async def finish(
    connection: Connection,
    uid: str,
    by: Actor,
    *,
    is_done: bool,
    comment: str,
    output: dict[str, Any],
    now: datetime,
) -> StepRow:
    """Tick off a manual step, or say that it could not be done. Raises Missing, NotAllowed, Refused."""
    row = await read(connection, "manual", uid, is_locked=True)
    group = row.parameters.get("group", "")
    if group and not by.groups([group]):
        raise NotAllowed(f"this needs the scope {SIGN}/{group}")
    if not group:
        await need_phase(connection, row, by)
    if row.status.is_end:
        raise Refused(f"the step has ended: {row.message}")
    if not is_done and not comment.strip():
        raise InvalidInput("comment", expected="why it could not be done")
    if is_deeper(output, MOST_DEPTH):
        raise InvalidInput("output", expected=f"JSON that is nested at most {MOST_DEPTH} deep")
    progress = manual.finished(row, by=by.person, is_done=is_done, comment=comment, output=output)
    await steps.write(connection, row, progress)
    what = "done" if is_done else "could not be done"
    line = Note(subject=row.pipeline or f"manual/{uid}", step=uid, actor=by.person, what=what, reason=comment)
    await pipelines.note(connection, [line])
    return await read(connection, "manual", uid)


async def need_phase(connection: Connection, row: StepRow, by: Actor) -> bool:
    """Raise NotAllowed unless they may act on the step's phase; False: it is of no pipeline, and has none."""
    found = await pipelines.load_many(connection, [row.pipeline] if row.pipeline else [], is_locked=False)
    if not found:
        return False
    facts = found[0].facts
    step = facts.step_of(row.uid)
    by.need_pipeline(facts.definition.product, ["" if step is None else step.phase])
    return True


async def starts(connection: Connection, row: StepRow, now: datetime) -> dict[str, str]:
    """The steps of its pipeline that a signoff's end starts -> when, where that is not at once."""
    if row.pipeline is None or row.kind != "signoff" or row.status.is_end:
        return {}
    found = await pipelines.load_many(connection, [row.pipeline], is_locked=False)
    step = found[0].facts.step_of(row.uid) if found else None
    if step is None:
        return {}
    facts = found[0].facts
    return {uid: when_it_starts(facts, uid, now) for uid in what_starts(facts, step.uid)}


def described(row: StepRow, starting: Mapping[str, str]) -> Described:
    """A step as the Step API shows it; a signoff says what its last signature starts."""
    message, details = row.message, {**row.details, "kind": row.kind}
    if row.pipeline is not None:
        details["pipeline"] = row.pipeline
    if row.kind == "signoff" and not row.status.is_end:
        words = [f"{uid} {when}".strip() for uid, when in starting.items()]
        told = row.parameters.get("starts") or ", ".join(words)
        details["starts"] = list(starting)
        message += f"; the last signature starts {told}" if told else "; the last signature starts nothing"
    return Described(uid=row.uid, status=row.status, message=message, details=details, output=row.output)


async def show(connection: Connection, row: StepRow, now: datetime) -> Described:
    """A step as the Step API shows it, with what its end starts."""
    return described(row, await starts(connection, row, now))


def may_change(by: Actor, row: StepRow) -> None:
    """Raise NotAllowed unless they made the step, or may change any step of its kind."""
    if by.person != row.created_by:
        by.need_pipeline("steps", [row.kind])


def _problems(kind: str, parameters: Mapping[str, Any], check_url: CheckUrl) -> list[Problem]:
    if kind not in KINDS:
        raise Missing(f"there is no kind of step {kind!r}")
    if is_deeper(parameters, MOST_DEPTH):
        return [Problem("/parameters", f"JSON that is nested at most {MOST_DEPTH} deep")]
    found = [
        Problem("/parameters" + each.pointer, each.expected, each.got)
        for each in KINDS[kind].problems(parameters)
    ]
    url = parameters.get("api_url")
    if kind == "remote" and isinstance(url, str) and (why := check_url(url)):
        found.append(Problem("/parameters/api_url", why, url[:80]))
    return found
