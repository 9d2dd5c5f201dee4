# SPDX-License-Identifier: MPL-2.0
"""Keys that people gave us to write as themselves: sealed before they are stored, opened only to be used."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shipit.errors import Refused
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.storage.vault import Sealed, Unsealable, Vault

_SQL = load("decisions")
MOST_TRIES = 4
"""A minute, of everybody together: Bugzilla shuts out an address after the sixth wrong key in a minute."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """That there is a key, without it. account: as whom it writes. refused_at: since when it is not taken."""

    system: str
    account: str
    account_id: str = ""
    entered_at: datetime
    refused_at: datetime | None = None
    refused_why: str = ""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A key ready for use; neither repr nor str shows it."""

    account: str
    account_id: str
    sealed: Sealed
    key: str
    refused_why: str | None = None

    def __repr__(self) -> str:
        return f"Opened({self.account!r}, …)"

    __str__ = __repr__


async def kept(connection: Connection, person: str) -> dict[str, Kept]:
    """The keys of a person by system."""
    found = await connection.execute(_SQL["keys_of"], {"person": person})
    return {
        row[0]: Kept(
            system=row[0],
            account=row[1],
            account_id=row[2],
            entered_at=row[3],
            refused_at=row[4],
            refused_why=row[5],
        )
        for row in await found.fetchall()
    }


async def opened(connection: Connection, vault: Vault, person: str, system: str) -> Opened | None:
    """A person's key for a system; None when there is none. Raises Unsealable."""
    values = {"person": person, "system": system}
    row = await (await connection.execute(_SQL["key"], values)).fetchone()
    if row is None:
        return None
    sealed = Sealed(row[2], row[3])
    return Opened(
        account=row[0],
        account_id=row[1],
        sealed=sealed,
        key=vault.open(_owner(person, system), sealed),
        refused_why=None if row[4] is None else str(row[5]),
    )


async def put(
    connection: Connection, vault: Vault, person: str, system: str, *, key: str, account: str, account_id: str
) -> None:
    """Keep a key, instead of the one before."""
    sealed = vault.seal(_owner(person, system), key)
    values = {
        "person": person,
        "system": system,
        "account": account,
        "account_id": account_id,
        "sealed": sealed.text,
        "sealed_with": sealed.secret,
    }
    await connection.execute(_SQL["put_key"], values)


async def drop(connection: Connection, person: str, system: str) -> bool:
    """Forget a key; False when there is none."""
    values = {"person": person, "system": system}
    return (await connection.execute(_SQL["drop_key"], values)).rowcount > 0


async def refuse(connection: Connection, person: str, system: str, used: Sealed, why: str) -> None:
    """The service does not take the key; it is not tried again until another one is entered."""
    values = {"person": person, "system": system, "sealed": used.text, "why": why[:500]}
    await connection.execute(_SQL["refuse_key"], values)


async def rotate(connection: Connection, vault: Vault) -> tuple[int, int]:
    """Seal with the newest secret whatever an older one sealed: (how many, how many no secret opens)."""
    found = await connection.execute(_SQL["stale_keys"], {"newest": vault.newest})
    rows = await found.fetchall()
    lost = 0
    for person, system, text, secret in rows:
        owner = _owner(person, system)
        try:
            fresh = vault.seal(owner, vault.open(owner, Sealed(text, secret)))
        except Unsealable:
            # Its owner is asked for it again; the others are no worse for it.
            lost += 1
            continue
        values = {"person": person, "system": system, "sealed": fresh.text, "sealed_with": fresh.secret}
        await connection.execute(_SQL["reseal"], values)
    return len(rows) - lost, lost


async def note_try(connection: Connection, system: str) -> None:
    """A key is about to be tried. Raises Refused when too many were tried within a minute."""
    await connection.execute(_SQL["lock_tries"], {"name": f"key tries {system}"})
    row = await (await connection.execute(_SQL["count_tries"], {"system": system})).fetchone()
    assert row is not None
    if row[0] >= MOST_TRIES:
        raise Refused("too many keys were tried within a minute; try again in one")
    await connection.execute(_SQL["note_try"], {"system": system})


def _owner(person: str, system: str) -> str:
    return f"{system} {person}"
