# SPDX-License-Identifier: MPL-2.0
"""Releases as if they had happened: for the demo, whose data is invented, and for measuring only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from shipit.pipeline.types import Definition
from shipit.storage import pipelines
from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("invented")
Times = Mapping[str, tuple[datetime, datetime | None]]
"""Step (or step.attempt) -> when it began, and when it ended."""


async def past(
    connection: Connection,
    uid: str,
    given: dict[str, Any],
    definition: Definition,
    times: Times,
    *,
    by: str,
) -> None:
    """Store a pipeline all of whose steps are done, at these times."""
    await pipelines.put(connection, uid, given, definition, created_by=by)
    ends = [end for _, end in times.values() if end is not None]
    values = {"pipeline": uid, "times": _flat(times), "are_done": True}
    await connection.execute(_SQL["times"], values)
    begun = min(begin for begin, _ in times.values())
    await connection.execute(_SQL["done"], {"pipeline": uid, "at": begun, "ended": max(ends)})
    await connection.execute(_SQL["unwake"], {"pipeline": uid})


async def move(connection: Connection, uid: str, steps: Times, tries: Times) -> None:
    """Let what happened to a pipeline have happened at other times. steps: by uid; tries: by uid.attempt."""
    values = {"pipeline": uid, "times": _flat(steps), "are_done": False}
    await connection.execute(_SQL["times"], values)
    await connection.execute(_SQL["tries"], {"pipeline": uid, "times": _flat(tries)})
    begun = min(begin for begin, _ in steps.values())
    await connection.execute(_SQL["begun"], {"pipeline": uid, "at": begun})


def _flat(times: Times) -> Jsonb:
    rows = [
        {"uid": uid, "started_at": begin.isoformat(), "finished_at": end.isoformat() if end else None}
        for uid, (begin, end) in times.items()
    ]
    return Jsonb(rows)
