# SPDX-License-Identifier: MPL-2.0
"""Balrog, the update server: its scheduled changes, read only. Who signs there does so as themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from shipit.clients.http import CallCounter, Door, checked_url
from shipit.errors import Missing, Unavailable

SERVICE = "Balrog"


class ScheduledChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is made when its time has come and every role has signed. signoffs: user -> role."""

    sc_id: int
    is_complete: bool
    when: datetime | None
    signoffs: dict[str, str]
    required: dict[str, int]

    def missing(self) -> dict[str, int]:
        """How many signatures each role lacks."""
        given = list(self.signoffs.values())
        lacking = {role: count - given.count(role) for role, count in self.required.items()}
        return {role: count for role, count in lacking.items() if count > 0}


class Balrog:
    """The admin API at `url`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        calls: CallCounter | None = None,
        timeout: float = 20.0,
    ) -> None:
        self.url = checked_url("steps.balrog_url", url)
        self._door = Door(session, SERVICE, calls=calls, timeout=timeout)

    async def scheduled_change(self, kind: str, sc_id: int) -> ScheduledChange:
        """One scheduled change by its number. Raises Missing when there is none, Unavailable."""
        answer = await self._door.ask("GET", f"{self.url}/scheduled_changes/{quote(kind)}/{sc_id}")
        if answer.status == 404:
            raise Missing(f"Balrog has no scheduled change {sc_id} of {kind}")
        if answer.status != 200:
            raise Unavailable(SERVICE, f"answered {answer.status}")
        found = answer.json()
        if isinstance(found, dict) and isinstance(found.get("scheduled_change"), dict):
            found = found["scheduled_change"]
        return _read(found, sc_id)


def _read(given: Any, sc_id: int) -> ScheduledChange:
    try:
        when = given.get("when")
        return ScheduledChange(
            sc_id=int(given.get("sc_id", sc_id)),
            is_complete=bool(given["complete"]),
            when=None if when is None else datetime.fromtimestamp(int(when) / 1000, UTC),
            signoffs=_texts(given.get("signoffs")),
            required={
                str(role): int(count) for role, count in (given.get("required_signoffs") or {}).items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Unavailable(SERVICE, "showed a scheduled change in another shape") from error


def _texts(given: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(user): str(role) for user, role in (given or {}).items()}
