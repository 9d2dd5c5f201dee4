# SPDX-License-Identifier: MPL-2.0
"""Signatures and delegations: added, revoked, never changed otherwise."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shipit.pipeline.types import Signature
from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("steps")


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody signs for another's group."""

    id: int
    giver: str
    taker: str
    group: str
    reason: str
    until: datetime


async def add(connection: Connection, step: str, signature: Signature) -> bool:
    """Store a signature; False when one of the same person stands already."""
    values = {
        "step": step,
        "person": signature.person,
        "client": signature.client,
        "groups": list(signature.groups),
        "delegated": list(signature.delegated),
        "comment": signature.comment,
        "digest": signature.digest,
        "expires_at": signature.expires_at,
    }
    return await (await connection.execute(_SQL["sign"], values)).fetchone() is not None


async def scopes_of_session(connection: Connection, person: str) -> tuple[str, ...]:
    """What a person who is logged in may do, as it was last checked; nothing when they are not."""
    row = await (await connection.execute(_SQL["scopes_of_session"], {"person": person})).fetchone()
    return () if row is None else tuple(row[0])


async def carry(connection: Connection, old: str, new: str) -> None:
    """Let the signatures of a signoff that was given up hold for its successor of the same content."""
    await connection.execute(_SQL["carry"], {"old": old, "new": new})


async def of_step(connection: Connection, step: str) -> list[Signature]:
    """Every signature of a signoff, revoked ones too, oldest first."""
    cursor = await connection.execute(_SQL["signatures"], {"step": step})
    names = Signature.__struct_fields__
    found = []
    for row in await cursor.fetchall():
        values: dict[str, Any] = dict(zip(names, row, strict=True))
        values["groups"], values["delegated"] = tuple(values["groups"]), tuple(values["delegated"])
        found.append(Signature(**values))
    return found


async def revoke(connection: Connection, step: str, *, person: str | None, by: str, why: str) -> list[str]:
    """Take back a person's signature, or (None) all of them; whose were taken back."""
    values = {"step": step, "person": person, "by": by, "why": why}
    cursor = await connection.execute(_SQL["revoke"], values)
    return [str(row[0]) for row in await cursor.fetchall()]


async def delegate(
    connection: Connection, *, giver: str, taker: str, group: str, reason: str, until: datetime
) -> int:
    """Let another person sign for a group; the number of the delegation."""
    values = {"giver": giver, "taker": taker, "group": group, "reason": reason, "until": until}
    row = await (await connection.execute(_SQL["delegate"], values)).fetchone()
    assert row is not None
    return int(row[0])


async def delegations(connection: Connection, taker: str, *, giver: str = "") -> list[Delegation]:
    """What is delegated to a person, or by a giver, and holds now."""
    cursor = await connection.execute(_SQL["delegations"], {"taker": taker, "giver": giver})
    names = Delegation.__struct_fields__
    return [Delegation(**dict(zip(names, row, strict=True))) for row in await cursor.fetchall()]


async def end_delegation(connection: Connection, number: int, *, giver: str) -> tuple[str, str] | None:
    """End a delegation; its group and taker, None when there is none of this giver that holds."""
    row = await (await connection.execute(_SQL["end_delegation"], {"id": number, "giver": giver})).fetchone()
    return None if row is None else (str(row[0]), str(row[1]))
