# SPDX-License-Identifier: MPL-2.0
"""A person's own keys: entered once, checked with the service they are for, kept encrypted, never shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from shipit.actions.deciding import SHADOW
from shipit.actions.persons import Actor
from shipit.errors import InvalidInput, Missing, Refused
from shipit.storage import decisions, keys
from shipit.storage.decisions import Line
from shipit.storage.keys import Kept
from shipit.storage.pool import Database
from shipit.storage.vault import Vault

SYSTEMS = ("bugzilla", "phabricator", "balrog")
SHORTEST = 8
# Balrog's are tokens with everything about their owner in them.
LONGEST = {"bugzilla": 300, "phabricator": 300, "balrog": 8000}


class Account(msgspec.Struct, frozen=True):
    """Whose key it is. id: what the service calls the account besides its name."""

    name: str
    id: str = ""


Whose = Callable[[str, str], Awaitable[Account]]
"""Ask a service (system, key) whose key that is; raises Refused when it does not take it, Unavailable."""


async def listed(database: Database, by: Actor) -> list[Kept]:
    """The keys they have here, without the keys."""
    async with database.connection() as connection:
        return list((await keys.kept(connection, by.person)).values())


async def enter(
    database: Database, vault: Vault | None, whose: Whose | None, by: Actor, system: str, key: str
) -> Kept:
    """Keep a key, after the service said whose it is. Raises InvalidInput, Refused, Unavailable, Missing."""
    _check_system(system)
    key = key.strip()
    if not SHORTEST <= len(key) <= LONGEST[system] or not key.isascii() or not key.isprintable():
        # The value itself is never echoed.
        raise InvalidInput("key", expected=f"{SHORTEST} to {LONGEST[system]} printable characters")
    if vault is None or whose is None:
        raise Refused(SHADOW)
    async with database.connection() as connection:
        await keys.note_try(connection, system)
    account = await whose(system, key)
    async with database.connection() as connection:
        await keys.put(
            connection, vault, by.person, system, key=key, account=account.name, account_id=account.id
        )
        line = Line(actor=by.person, what="key entered", object=system, after=account.name)
        await decisions.note(connection, line)
        return (await keys.kept(connection, by.person))[system]


async def forget(database: Database, by: Actor, system: str) -> None:
    """Forget a key; what it was used for stays written. Raises Missing."""
    _check_system(system)
    async with database.connection() as connection:
        if not await keys.drop(connection, by.person, system):
            raise Missing(f"there is no {system} key of yours")
        await decisions.note(connection, Line(actor=by.person, what="key forgotten", object=system))


def _check_system(system: str) -> None:
    if system not in SYSTEMS:
        raise Missing(f"there is no system {system[:40]!r}; keys are kept for {' and '.join(SYSTEMS)}")
