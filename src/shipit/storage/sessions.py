# SPDX-License-Identifier: MPL-2.0
"""Sessions of people who logged in: found by the hash of the secret that only their cookie holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("sessions")
CLAIM_SECONDS = 15.0


class Session(msgspec.Struct, frozen=True):
    """A session. client_id: the Taskcluster client made by the login; person: whose it is.

    checked_at: when Taskcluster last said which scopes there are; expires_at: never later than the client's.
    """

    client_id: str
    person: str
    scopes: tuple[str, ...]
    started_at: datetime
    seen_at: datetime
    checked_at: datetime
    expires_at: datetime


async def begin(connection: Connection, secret_hash: bytes, session: Session) -> None:
    """Store a new session; those that have ended go."""
    await connection.execute(_SQL["forget_ended"], {"now": session.started_at})
    await connection.execute(
        _SQL["begin"],
        {
            "secret_hash": secret_hash,
            "client_id": session.client_id,
            "person": session.person,
            "scopes": list(session.scopes),
            "now": session.started_at,
            "expires_at": session.expires_at,
        },
    )


async def read(connection: Connection, secret_hash: bytes) -> Session | None:
    """The session of this secret, ended or not; None when there is none."""
    cursor = await connection.execute(_SQL["read"], {"secret_hash": secret_hash})
    return _session(await cursor.fetchone())


async def seen(connection: Connection, secret_hash: bytes, *, now: datetime) -> None:
    """Somebody used it."""
    await connection.execute(_SQL["seen"], {"secret_hash": secret_hash, "now": now})


async def claim_check(connection: Connection, secret_hash: bytes, *, now: datetime) -> bool:
    """Whether the caller is the one to ask Taskcluster about it now."""
    values = {"secret_hash": secret_hash, "now": now, "seconds": CLAIM_SECONDS}
    cursor = await connection.execute(_SQL["claim_check"], values)
    return await cursor.fetchone() is not None


async def checked(
    connection: Connection,
    secret_hash: bytes,
    *,
    scopes: tuple[str, ...],
    expires_at: datetime,
    now: datetime,
) -> Session | None:
    """Taskcluster said which scopes there are; None when the session was ended meanwhile."""
    values = {"secret_hash": secret_hash, "scopes": list(scopes), "expires_at": expires_at, "now": now}
    cursor = await connection.execute(_SQL["checked"], values)
    return _session(await cursor.fetchone())


async def end(connection: Connection, secret_hash: bytes) -> None:
    """There is no such session any more; ending twice is harmless."""
    await connection.execute(_SQL["finish"], {"secret_hash": secret_hash})


def _session(row: tuple[Any, ...] | None) -> Session | None:
    if row is None:
        return None
    client_id, person, scopes, *moments = row
    return Session(client_id, person, tuple(scopes), *moments)
