# SPDX-License-Identifier: MPL-2.0
"""Rounds of the bot: when they began and ended, and what came of them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shipit.storage import leases
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.report import RoundReport

_SQL = load("work")


async def save(connection: Connection, report: RoundReport) -> None:
    """Store a round's beginning or end, and with the end give its lease back; an end is not taken back."""
    await connection.execute(
        _SQL["save_round"],
        {
            "uid": report.uid,
            "kind": report.kind,
            "holder": report.holder,
            "started": report.started,
            "finished": report.finished,
            "counts": msgspec.json.encode(report.counts).decode(),
            "errors": msgspec.json.encode(report.errors).decode(),
        },
    )
    if report.finished is not None and report.lease is not None:
        await leases.drop(connection, report.lease, report.holder)


async def listed(connection: Connection, *, limit: int = 50) -> bytes:
    """The newest rounds (RoundReport) as a JSON array."""
    cursor = await connection.execute(_SQL["list_rounds"], {"limit": limit}, binary=True)
    row = await cursor.fetchone()
    assert row is not None
    return bytes(row[0])


async def last_ends(connection: Connection, *, limit: int) -> tuple[datetime, ...]:
    """When the newest rounds ended that could read a train's requests, newest first."""
    cursor = await connection.execute(_SQL["last_ends"], {"limit": limit})
    return tuple(row[0] for row in await cursor.fetchall())


async def last_finished(connection: Connection) -> datetime | None:
    """When a round last ended that could read a train's requests; None when none ever did."""
    cursor = await connection.execute(_SQL["last_finished"])
    row = await cursor.fetchone()
    return row[0] if row else None
