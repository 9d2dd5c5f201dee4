# SPDX-License-Identifier: MPL-2.0
"""Pipelines: created, decided, cancelled, mended by people. All of it rows; nobody outside is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from shipit.actions.persons import Actor
from shipit.actions.reconciling import cancel_step, check_kind, reconcile, step_of
from shipit.errors import InvalidInput, Missing, Refused
from shipit.pipeline.definition import (
    LONGEST_KEY,
    MOST_ATTEMPTS,
    PIPELINE_UID,
    InvalidDefinition,
    Listed,
    lists,
    read,
)
from shipit.pipeline.schema import Problem, pointer
from shipit.pipeline.states import Event, State, Status
from shipit.pipeline.transition import asked
from shipit.pipeline.types import Definition, Node, Note, digest_of
from shipit.storage import pipelines
from shipit.storage.pipelines import Stored
from shipit.storage.pool import Connection

CheckUrl = Callable[[str], str | None]
"""Why a step service's URL may not be used; None when it may."""


def checked(given: Mapping[str, Any], check_url: CheckUrl, *, uid: str = "") -> Definition:
    """The definition of a pipeline as it may be run here. Raises InvalidDefinition with every problem."""
    found: list[Problem] = []
    definition = None
    try:
        definition = read(dict(given), check_kind)
    except InvalidDefinition as error:
        found += error.problems
        if found[0].pointer == "":
            # Not even the shape of a definition.
            raise
    for each in lists(given, uid):
        found += [*_urls(each, check_url), *_keys(each)]
    for phase in definition.rollbacks if definition is not None and uid else ():
        if not PIPELINE_UID.fullmatch(rollback_uid(uid, phase)):
            found.append(Problem(pointer("", "rollbacks", phase), "with the pipeline's uid a shorter name"))
    if found or definition is None:
        raise InvalidDefinition(found)
    return definition


def _urls(listed: Listed, check_url: CheckUrl) -> Iterator[Problem]:
    """Services that may not be asked, however deep they are named."""
    for place, step in enumerate(listed.steps):
        fields = ["api_url"] if step.get("kind") != "remote" else ["parameters", "api_url"]
        url: object = step
        for field in fields:
            url = url.get(field) if isinstance(url, dict) else None
        if isinstance(url, str) and (why := check_url(url)):
            yield Problem(pointer(listed.pointer, place, *fields), why, url[:80])


def _keys(listed: Listed) -> Iterator[Problem]:
    """Steps whose uids at their services would be too long."""
    for place, step in enumerate(listed.steps):
        key = f"{listed.key}.{step.get('uid')}.{MOST_ATTEMPTS}"
        if len(key) > LONGEST_KEY:
            expected = f"shorter names: with those of its pipelines at most {LONGEST_KEY} characters"
            yield Problem(pointer(listed.pointer, place, "uid"), expected, str(len(key)))


async def create(
    connection: Connection,
    uid: str,
    given: Mapping[str, Any],
    by: Actor,
    *,
    check_url: CheckUrl,
    now: datetime,
    takes_back: str = "",
) -> tuple[Stored, bool]:
    """Store a pipeline and start what may start; (pipeline, whether it is new).

    takes_back: the pipeline of which it takes a phase back.
    The same again changes nothing. Raises InvalidDefinition, NotAllowed, Refused for another body.
    """
    if not PIPELINE_UID.fullmatch(uid):
        raise InvalidInput("uid", expected="letters, digits, dots, _ and -, at most 160", got=uid)
    known = await pipelines.digest(connection, uid)
    if known is None:
        definition = checked(given, check_url, uid=uid)
        for each in lists(given):
            if not each.is_plan:
                by.need_pipeline(each.product, (step.get("phase") or each.phase for step in each.steps))
        definition = replace(definition, takes_back=takes_back)
        if await pipelines.put(connection, uid, dict(given), definition, created_by=by.person):
            await pipelines.note(connection, [Note(subject=uid, actor=by.person, what="created")])
            await reconcile(connection, now, uids=[uid])
            return await load(connection, uid), True
        known = await pipelines.digest(connection, uid)
    if known != digest_of(dict(given)):
        raise Refused(f"there is a pipeline {uid!r} of another definition")
    return await load(connection, uid), False


async def put_as(connection: Connection, uid: str) -> dict[str, Any]:
    """A pipeline as it was put. Raises Missing."""
    given = await pipelines.given(connection, uid)
    if given is None:
        raise Missing(f"there is no pipeline {uid!r}")
    return given


async def load(connection: Connection, uid: str, *, is_locked: bool = False) -> Stored:
    """A pipeline. Raises Missing."""
    found = await pipelines.load_many(connection, [uid], is_locked=is_locked)
    if not found:
        raise Missing(f"there is no pipeline {uid!r}")
    return found[0]


async def cancel(connection: Connection, uid: str, by: Actor, *, now: datetime, reason: str = "") -> Stored:
    """Cancel a pipeline and what runs of it. Raises Missing, NotAllowed."""
    stored = await load(connection, uid, is_locked=True)
    need(by, stored)
    if stored.status is Status.IN_PROGRESS or not stored.facts.wants_cancel:
        await pipelines.set_cancel(connection, uid)
        await pipelines.note(
            connection, [Note(subject=uid, actor=by.person, what="cancel asked", reason=reason)]
        )
        await reconcile(connection, now, uids=[uid])
    return await load(connection, uid)


async def delete(connection: Connection, uid: str, by: Actor, *, now: datetime) -> tuple[Stored, str]:
    """Cancel a pipeline that runs, remove one that has ended; (as it was left, what was done)."""
    stored = await load(connection, uid, is_locked=True)
    need(by, stored)
    if stored.status is Status.IN_PROGRESS:
        stored = await cancel(connection, uid, by, now=now)
        what = "cancelled; asked again, it is removed" if stored.status.is_end else "is being cancelled"
        return stored, what
    if stored.parent is not None and await pipelines.digest(connection, stored.parent) is not None:
        raise Refused(f"it is a step of pipeline {stored.parent!r} and stays as long as that")
    await pipelines.remove(connection, uid)
    await pipelines.note(connection, [Note(subject=uid, actor=by.person, what="removed")])
    return stored, "removed"


async def change_step(
    connection: Connection,
    uid: str,
    step: str,
    event: Event,
    by: Actor,
    *,
    reason: str,
    now: datetime,
) -> Stored:
    """Retry, rerun, skip, take a skip back or cancel one step.

    Raises Missing, NotAllowed, Refused, InvalidInput.
    """
    stored = await load(connection, uid, is_locked=True)
    known = step_of(stored, step)
    by.need_pipeline(stored.facts.definition.product, [known.phase])
    if event is not Event.RETRY_ASKED and not reason.strip():
        raise InvalidInput("reason", expected="why, in words")
    before = stored.facts.nodes[step]
    after = asked(stored.facts, step, event, by=by.person, reason=reason.strip())
    await _save(connection, stored, before, after, event.value, by, reason)
    if event in (Event.CANCEL_ASKED, Event.SKIP_ASKED) and before.state is State.IN_PROGRESS:
        await cancel_step(connection, stored, after, now)
    await reconcile(connection, now, uids=[uid])
    return await load(connection, uid)


async def release(connection: Connection, uid: str, step: str, by: Actor, *, now: datetime) -> Stored:
    """Let a step go that a person must release."""
    stored = await load(connection, uid, is_locked=True)
    known = step_of(stored, step)
    by.need_pipeline(stored.facts.definition.product, [known.phase])
    if not known.needs_release:
        raise Refused(f"step {step!r} needs no release")
    before = stored.facts.nodes[step]
    if before.state not in (State.BLOCKED, State.READY, State.RETRYING):
        raise Refused(f"step {step!r} is {before.state.value}: it waits for no release")
    await _save(
        connection, stored, before, replace(before, is_released=True, by=by.person), "released", by, ""
    )
    await reconcile(connection, now, uids=[uid])
    return await load(connection, uid)


async def hold(connection: Connection, uid: str, by: Actor, *, reason: str, now: datetime) -> Stored:
    """Hold a pipeline: nothing more starts; an empty reason lets it go on."""
    stored = await load(connection, uid, is_locked=True)
    need(by, stored)
    await pipelines.set_hold(connection, uid, reason=reason.strip(), by=by.person if reason.strip() else "")
    what = "held" if reason.strip() else "goes on"
    await pipelines.note(connection, [Note(subject=uid, actor=by.person, what=what, reason=reason)])
    await pipelines.wake_within(connection, uid)
    await reconcile(connection, now, uids=[uid])
    return await load(connection, uid)


async def rollback(
    connection: Connection,
    uid: str,
    phase: str,
    by: Actor,
    *,
    reason: str,
    check_url: CheckUrl,
    now: datetime,
) -> Stored:
    """Take a phase back: hold the pipeline, and start its plan as a pipeline of its own.

    Asked again, the same plan goes on. Raises Missing, NotAllowed, InvalidInput.
    """
    stored = await load(connection, uid, is_locked=True)
    definition = stored.facts.definition
    by.need_pipeline(definition.product, [phase])
    if not reason.strip():
        raise InvalidInput("reason", expected="why, in words")
    given = await pipelines.given(connection, uid) or {}
    plan = given.get("rollbacks", {}).get(phase)
    if plan is None:
        known = ", ".join(sorted(definition.rollbacks)) or "none"
        raise Missing(f"there is no plan to roll back {phase!r} (there are plans for {known})")
    name = rollback_uid(uid, phase)
    if await pipelines.digest(connection, name) is None:
        await pipelines.set_hold(connection, uid, reason=f"rolled back: {reason.strip()}", by=by.person)
        line = Note(subject=uid, actor=by.person, what=f"rolled back {phase}", after=name, reason=reason)
        await pipelines.note(connection, [line])
        await pipelines.tell(connection, [uid])
    made = {
        "product": definition.product,
        "version": definition.version,
        "description": f"takes back {phase} of {uid}: {plan.get('description', '')}".strip(": "),
        "steps": [{"phase": phase, **step} for step in plan["steps"]],
    }
    started, _ = await create(connection, name, made, by, check_url=check_url, now=now, takes_back=uid)
    return started


def rollback_uid(uid: str, phase: str) -> str:
    """The pipeline that takes a phase back."""
    return f"{uid}.rollback-{phase}"


def need(by: Actor, stored: Stored) -> None:
    """Raise NotAllowed unless they may act on every phase of this pipeline."""
    definition = stored.facts.definition
    by.need_pipeline(definition.product, (step.phase for step in definition.steps))


async def _save(
    connection: Connection, stored: Stored, before: Node, after: Node, what: str, by: Actor, reason: str
) -> None:
    await pipelines.write(connection, [(stored.facts.uid, after)], [], [])
    line = Note(
        subject=stored.facts.uid,
        step=before.uid,
        actor=by.person,
        what=what,
        before=before.state.value,
        after=after.state.value,
        reason=reason,
    )
    await pipelines.note(connection, [line])
    await pipelines.tell(connection, [stored.facts.uid])
