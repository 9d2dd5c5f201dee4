# SPDX-License-Identifier: MPL-2.0
"""Maintenance of the clones, once a day and off the hot path: after a round, beside the next looks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shipit.bot.doors import Doors
from shipit.errors import ShipitError

EVERY = timedelta(days=1)


async def tidy(doors: Doors, repositories: Iterable[str]) -> list[str]:
    """Maintain each clone whose last maintenance is a day ago; what went wrong, in words.

    When it was done stands beside the clones, so that a bot that is started anew does not begin again.
    """
    troubles = []
    for name in repositories:
        told = doors.cache / f"{name}-maintained"
        now = doors.now()
        if not is_due(told, now):
            continue
        # Whatever comes of it, the next time is tomorrow: a clone that fails must not cost every round.
        told.touch()
        os.utime(told, (now.timestamp(), now.timestamp()))
        try:
            await doors.clones[name].maintain()
        except ShipitError as error:
            troubles.append(f"the clone of {name} could not be tidied up: {error.detail}")
    return troubles


def is_due(told: Path, now: datetime) -> bool:
    """Whether the last maintenance is as long ago as it may be."""
    try:
        last = datetime.fromtimestamp(told.stat().st_mtime, UTC)
    except FileNotFoundError:
        return True
    return now - last >= EVERY
