# SPDX-License-Identifier: MPL-2.0
"""Sign, take a signature back, change what is signed, let another sign: each under the signoff's row lock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from shipit.actions import steps as served
from shipit.actions.persons import SIGN, Actor
from shipit.errors import InvalidInput, Missing, NotAllowed, Refused
from shipit.pipeline.types import Note, Signature, StepRow
from shipit.signoff import policy as policies
from shipit.signoff.policy import Signer
from shipit.steps import signoff
from shipit.storage import pipelines, signatures, steps
from shipit.storage.pool import Connection

LONGEST_DELEGATION = timedelta(days=31)


async def sign(
    connection: Connection,
    uid: str,
    by: Actor,
    *,
    now: datetime,
    comment: str = "",
    digest: str | None = None,
    group: str | None = None,
    only_people: bool = False,
) -> StepRow:
    """Sign a signoff. digest: of the content as the signer saw it. group: sign for this one only.

    only_people: whether a client of nobody is refused.

    The row lock lets one signer in at a time, so of two last signers one completes and one is refused.
    Raises Missing, NotAllowed, Refused, naming the rule.
    """
    row = await _open(connection, uid)
    current = row.memory.get("digest", "")
    if digest is not None and digest != current:
        raise Refused(
            f"the content has changed: it is {current!r} now, not {digest!r}; look again, then sign"
        )
    if only_people and not by.is_person:
        raise NotAllowed(f"{by.client} is a client of no known person, and only people sign here")
    policy = policies.read(row.parameters["policy"])
    if by.person in signoff.excluded_of(row.parameters, row.created_by):
        raise NotAllowed(f"{by.person} may not sign this: whoever asks for it does not sign it")
    names = {name for wanted in policy for name in wanted}
    groups, delegated = await groups_of(connection, by, names)
    if group is not None:
        if group not in groups and group != by.person:
            raise NotAllowed(f"{by.person} does not sign for {group}: this needs the scope {SIGN}/{group}")
        groups, delegated = groups & {group}, delegated & {group}
    signer = Signer(by.person, groups)
    if not policies.eligible(policy, signer):
        wanted = " or ".join(sorted(names))
        raise NotAllowed(f"{by.person} is in no group that signs this (needed: {wanted})")
    counted = signoff.valid(await signatures.of_step(connection, uid), current, now)
    if any(each.person == by.person for each in counted):
        raise Refused(f"{by.person} has signed already; a person signs once")
    if not policies.helps(policy, signoff.signers(counted), signer):
        raise Refused("nobody of your groups is needed any more")
    # One that expired, or was for other content, stands in the way of the new one.
    await signatures.revoke(connection, uid, person=by.person, by=by.person, why="signed again")
    expires = row.parameters.get("expires_seconds")
    made = Signature(
        id=0,
        person=by.person,
        client=by.client,
        groups=tuple(sorted(groups)),
        delegated=tuple(sorted(delegated)),
        comment=comment[:4000],
        digest=current,
        signed_at=now,
        expires_at=None if expires is None else now + timedelta(seconds=float(expires)),
    )
    await signatures.add(connection, uid, made)
    return await _stands(connection, row, by, "signed", comment, now)


async def groups_of(
    connection: Connection, by: Actor, names: Collection[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Those of the named groups that they sign for, and those of them by delegation only."""
    own = by.groups(names)
    given = await signatures.delegations(connection, by.person)
    delegated = frozenset(each.group for each in given if each.group in names) - own
    return own | delegated, delegated


async def revoke(connection: Connection, uid: str, by: Actor, *, now: datetime, why: str = "") -> StepRow:
    """Take one's own signature back, as long as it has not taken effect."""
    row = await _open(connection, uid)
    if not await signatures.revoke(connection, uid, person=by.person, by=by.person, why=why[:4000]):
        raise Refused(f"{by.person} has not signed this")
    return await _stands(connection, row, by, "took the signature back", why, now)


async def change_content(
    connection: Connection, uid: str, by: Actor, *, digest: str, now: datetime
) -> StepRow:
    """What is signed has another digest now: every signature is void. The same digest changes nothing."""
    row = await _open(connection, uid)
    served.may_change(by, row)
    before = row.memory.get("digest", "")
    if digest == before:
        return row
    await signatures.revoke(connection, uid, person=None, by=by.person, why="the content changed")
    row = _with_digest(row, digest)
    return await _stands(connection, row, by, "content changed", f"{before} became {digest}", now)


async def delegate(
    connection: Connection, by: Actor, *, to: str, group: str, reason: str, until: datetime, now: datetime
) -> int:
    """Let another person sign for one's group for a while; it is on record whenever they do."""
    if not by.groups([group]):
        raise NotAllowed(f"only a member delegates: this needs the scope {SIGN}/{group}")
    if not reason.strip():
        raise InvalidInput("reason", expected="why, in words")
    if not now < until <= now + LONGEST_DELEGATION:
        raise InvalidInput("until", expected="a time within the next 31 days", got=until.isoformat())
    if to == by.person:
        raise InvalidInput("to", expected="another person", got=to)
    number = await signatures.delegate(
        connection, giver=by.person, taker=to, group=group, reason=reason.strip(), until=until
    )
    line = Note(subject=f"group/{group}", actor=by.person, what="delegated", after=to, reason=reason)
    await pipelines.note(connection, [line])
    return number


async def end_delegation(connection: Connection, by: Actor, number: int) -> None:
    """Take back a delegation that one gave; signatures by it that took no effect yet count no more."""
    ended = await signatures.end_delegation(connection, number, giver=by.person)
    if ended is None:
        raise Missing(f"there is no delegation {number} of {by.person} that holds")
    group, taker = ended
    line = Note(subject=f"group/{group}", actor=by.person, what="delegation ended", before=taker)
    await pipelines.note(connection, [line])


async def _open(connection: Connection, uid: str) -> StepRow:
    row = await steps.lock(connection, "signoff", uid)
    if row is None:
        raise Missing(f"there is no signoff step {uid!r}")
    if row.status.is_end or row.wants_cancel:
        raise Refused(f"the signoff has ended: {row.message}")
    return row


async def _stands(
    connection: Connection, row: StepRow, by: Actor, what: str, reason: str, now: datetime
) -> StepRow:
    """Write how it stands now. When everybody has signed, a runner lets it take effect."""
    given = await signatures.of_step(connection, row.uid)
    memory: Mapping[str, Any] = row.memory
    await steps.write(connection, row, signoff.standing(row.parameters, memory, given, now))
    subject = row.pipeline or f"signoff/{row.uid}"
    line = Note(subject=subject, step=row.uid, actor=by.person, what=what, reason=reason[:500])
    await pipelines.note(connection, [line])
    # One of no pipeline lets a stop end or a rollout go on: the page of any may show it.
    await pipelines.tell(connection, [row.pipeline] if row.pipeline is not None else [])
    return await served.read(connection, "signoff", row.uid)


def _with_digest(row: StepRow, digest: str) -> StepRow:
    values = {name: getattr(row, name) for name in row.__struct_fields__}
    return StepRow(**{**values, "memory": {"digest": digest}})
