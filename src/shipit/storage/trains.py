# SPDX-License-Identifier: MPL-2.0
"""Trains as the bot reported them."""

from __future__ import annotations

import msgspec

from shipit.errors import InvalidInput, Refused
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.report import TrainReport, TrainsReport

_SQL = load("trains")


async def save(connection: Connection, report: TrainsReport) -> None:
    """Store every train of the report; those it does not name have ended.

    Raises Refused for a report without trains: a provider that fails must not empty what is known.
    """
    if not report.trains:
        raise Refused("a report without any train is not taken; the last known trains stay")
    names = [each.train.name for each in report.trains]
    if len(set(names)) != len(names):
        raise InvalidInput("trains", expected="each name once", got=names)
    for position, each in enumerate(report.trains):
        await connection.execute(_SQL["upsert_train"], _row(each, position))
    await connection.execute(_SQL["end_trains"], {"names": names})


async def listed(
    connection: Connection, *, see_restricted: bool, count_restricted: bool, see_addresses: bool
) -> bytes:
    """{"trains": […]} as JSON, with honest counts of open requests by state and outcome."""
    cursor = await connection.execute(
        _SQL["list_trains"],
        {
            "see_restricted": see_restricted,
            "count_restricted": count_restricted,
            "see_addresses": see_addresses,
        },
        binary=True,
    )
    row = await cursor.fetchone()
    assert row is not None
    return bytes(row[0])


async def names(connection: Connection) -> list[str]:
    """The trains by name, in their order."""
    cursor = await connection.execute(_SQL["train_names"])
    return [str(row[0]) for row in await cursor.fetchall()]


def _row(report: TrainReport, position: int) -> dict[str, object]:
    train = report.train
    return {
        "name": train.name,
        "position": position,
        "channel": train.channel,
        "repository": train.repository,
        "branch": train.branch,
        "version": train.version,
        "major": train.major,
        "approval_flag": train.approval_flag,
        "status_flag": train.status_flag,
        "tracking_flag": train.tracking_flag,
        "stage": train.stage.value,
        "next_build": None if train.next_build is None else msgspec.json.encode(train.next_build).decode(),
        "deadlines": msgspec.json.encode(train.deadlines).decode(),
        "passed": msgspec.json.encode(train.passed).decode(),
        "owner": train.owner,
        "source": train.source,
        "read_at": train.read_at,
        "unavailable_since": train.unavailable_since,
        "absent_since": train.absent_since,
        "note": train.note,
        "tip": report.tip,
        "tip_at": report.tip_at,
        "tip_reason": report.tip_reason,
        "requests_read_at": report.requests_read_at,
        "requests_unavailable_since": report.requests_unavailable_since,
        "requests_unavailable_reason": report.requests_unavailable_reason,
    }
