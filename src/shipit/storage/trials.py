# SPDX-License-Identifier: MPL-2.0
"""Merge trials as the bot reported them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shipit.merge.types import PatchResult
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.report import Trial, TrialsReport

_SQL = load("trials")


async def save(connection: Connection, report: TrialsReport) -> int:
    """Add the trials and return how many; those we have, or have no request for, add nothing."""
    return await add(connection, report.trials)


async def add(connection: Connection, trials: Iterable[Trial]) -> int:
    """As `save`, of any trials."""
    given = list(trials)
    if not given:
        return 0
    cursor = await connection.execute(_SQL["add_trials"], {"trials": msgspec.json.encode(given).decode()})
    return cursor.rowcount


async def newest_on(connection: Connection, request: str, tip: str) -> tuple[PatchResult, ...]:
    """The results per patch of the newest trial of a request on one tip; empty when there is none."""
    cursor = await connection.execute(_SQL["newest_on"], {"request": request, "tip": tip})
    row = await cursor.fetchone()
    patches: list[Any] = row[0] if row else []
    return tuple(msgspec.convert(patch, PatchResult) for patch in patches)
