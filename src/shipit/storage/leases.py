# SPDX-License-Identifier: MPL-2.0
"""Leases: who may do what only one may do at a time."""

from __future__ import annotations

from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.report import Lease, LeaseRequest

_SQL = load("work")


async def take(connection: Connection, name: str, wanted: LeaseRequest) -> Lease:
    """Take or renew a lease; that somebody else holds it is a value: `is_ours` is False."""
    cursor = await connection.execute(
        _SQL["take_lease"], {"name": name, "holder": wanted.holder, "seconds": wanted.seconds}
    )
    row = await cursor.fetchone()
    is_ours = row is not None
    if row is None:
        cursor = await connection.execute(_SQL["read_lease"], {"name": name})
        row = await cursor.fetchone()
        assert row is not None
    return Lease(name=row[0], holder=row[1], fence=row[2], expires=row[3], is_ours=is_ours)


async def drop(connection: Connection, name: str, holder: str) -> None:
    """Give a lease back; nothing happens when it is not the holder's."""
    await connection.execute(_SQL["drop_lease"], {"name": name, "holder": holder})
