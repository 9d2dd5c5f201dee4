# SPDX-License-Identifier: MPL-2.0
"""What somebody may do to a release: act on its phases, sign, tick off; and why not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shipit.actions.persons import ADMIN, PIPELINE, SIGN, Actor
from shipit.actions.signing import groups_of
from shipit.pipeline.states import State
from shipit.pipeline.types import Signature, StepRow, Stop
from shipit.signoff import policy as policies
from shipit.signoff.policy import Signer
from shipit.steps import signoff
from shipit.storage import signatures, steps
from shipit.storage.pipelines import Stored
from shipit.storage.pool import Connection


class You(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever asks may do here. phases: they may act on.

    signs: by step, why they may not sign, "" when they may; a signoff that lets a stop end or
    a rollout go on, by its own uid. has_signed: those whose signature of theirs stands. ticks: by manual
    step, why they may not tick it off.
    """

    person: str
    phases: tuple[str, ...]
    signs: dict[str, str]
    has_signed: tuple[str, ...]
    ticks: dict[str, str]


async def you(connection: Connection, stored: Stored, stops: Sequence[Stop], by: Actor, now: datetime) -> You:
    """What they may do to this pipeline as it is. stops: those that its page shows."""
    definition = stored.facts.definition
    signs: dict[str, str] = {}
    signed: list[str] = []
    for name, uid in _open_signoffs(stored, stops).items():
        row = await steps.read(connection, "signoff", uid)
        if row is None or row.status.is_end:
            continue
        given = await signatures.of_step(connection, uid)
        counted = signoff.valid(given, row.memory.get("digest", ""), now)
        if any(each.person == by.person for each in counted):
            signed.append(name)
        names = {group for wanted in policies.read(row.parameters["policy"]) for group in wanted}
        groups, _ = await groups_of(connection, by, names)
        signs[name] = _why_not_sign(row, counted, Signer(by.person, groups))
    return You(
        person=by.person,
        phases=tuple(
            phase
            for phase in dict.fromkeys(step.phase for step in definition.steps)
            if may_act(by, definition.product, phase)
        ),
        signs=signs,
        has_signed=tuple(signed),
        ticks={
            step.uid: _why_not_tick(by, str(step.parameters.get("group", "")), definition.product, step.phase)
            for step in definition.steps
            if step.kind == "manual" and stored.facts.nodes[step.uid].state is State.IN_PROGRESS
        },
    )


def may_act(by: Actor, product: str, phase: str) -> bool:
    """Whether they hold the scope of a phase."""
    return by.has(f"{PIPELINE}/{product or 'none'}/{phase or 'none'}") or by.has(ADMIN)


def _open_signoffs(stored: Stored, stops: Sequence[Stop]) -> dict[str, str]:
    """Name on the page -> uid, of every signoff that waits there."""
    facts = stored.facts
    found: dict[str, str] = {}
    for step in facts.definition.steps:
        node = facts.nodes[step.uid]
        if node.state is not State.IN_PROGRESS:
            continue
        if step.kind == "signoff":
            found[step.uid] = facts.key(step.uid, node.attempt)
        resume = node.served.details.get("resume") if node.served is not None else None
        if step.kind == "rollout" and isinstance(resume, str):
            found[resume] = resume
    return found | {stop.restart: stop.restart for stop in stops if stop.restart}


def _why_not_tick(by: Actor, group: str, product: str, phase: str) -> str:
    if not by.person:
        return "log in to tick it off"
    if group and not by.groups([group]):
        return f"to tick it off you need {SIGN}/{group}"
    if not group and not may_act(by, product, phase):
        return f"to tick it off you need {PIPELINE}/{product or 'none'}/{phase or 'none'}"
    return ""


def _why_not_sign(row: StepRow, counted: Sequence[Signature], signer: Signer) -> str:
    """Why they may not sign, naming the rule; empty when they may."""
    if not signer.person:
        return "log in to sign"
    policy = policies.read(row.parameters["policy"])
    if signer.person in signoff.excluded_of(row.parameters, row.created_by):
        return "whoever asks for it does not sign it"
    if any(each.person == signer.person for each in counted):
        return "you have signed; a person signs once"
    if not policies.eligible(policy, signer):
        names = {name for wanted in policy for name in wanted}
        return f"you are in no group that signs this (needed: {' or '.join(sorted(names))})"
    if not policies.helps(policy, signoff.signers(counted), signer):
        return "nobody of your groups is needed any more"
    return ""
