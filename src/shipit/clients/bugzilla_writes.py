# SPDX-License-Identifier: MPL-2.0
"""Write to Bugzilla as a person: one call each, never sent twice, and what came of it as a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp
import msgspec

from shipit.clients.bugzilla import Bugzilla, Unreadable
from shipit.clients.bugzilla_rest import Rest, Said, open_door
from shipit.clients.http import CallCounter, Clock, KeyRefused, Passing, Unsent, utc_now
from shipit.errors import Unavailable
from shipit.uplift.decision_outcomes import Denied, NotNow, Outcome, Unsure, Written
from shipit.uplift.decision_types import Kind, Write
from shipit.uplift.types import Bug


class BugzillaWrites:
    """A Bugzilla that people write to through us, each with their own key; one door for all of them."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        timeout: float = 30.0,
        calls: CallCounter | None = None,
        now: Clock = utc_now,
    ) -> None:
        self._session, self._url, self._timeout, self._now = session, url, timeout, now
        self._door = open_door(session, calls=calls, timeout=timeout, now=now)

    async def account(self, key: str) -> str:
        """The login that a key stands for. Raises KeyRefused, Unavailable."""
        return await self._reader(key).whoami()

    async def bugs(
        self, ids: Iterable[int], key: str | None, *, fields: Sequence[str] = ()
    ) -> dict[int, Bug | Unreadable]:
        """Bugs as the key's owner, or anybody, sees them now. Raises KeyRefused, Unavailable."""
        return await self._reader(key).bugs(ids, fields=fields)

    async def write(self, one: Write, key: str) -> Outcome:
        """Carry out one write of an attachment or a bug."""
        path = f"/bug/attachment/{one.id}" if one.kind is Kind.ATTACHMENT else f"/bug/{one.id}"
        try:
            return Written(_said(await self._rest(key).put(path, one.body)))
        except KeyRefused as error:
            return Denied(error.detail, is_key=True)
        except Said as said:
            return Unsure(said.detail) if said.is_failure else Denied(said.detail)
        except Unavailable as error:
            return unanswered(error)

    def _rest(self, key: str) -> Rest:
        return Rest(
            self._session, self._url, key, calls=None, timeout=self._timeout, now=self._now, door=self._door
        )

    def _reader(self, key: str | None) -> Bugzilla:
        return Bugzilla(self._session, self._url, key, timeout=self._timeout, now=self._now, door=self._door)


def unanswered(error: Unavailable) -> Outcome:
    """What follows when there is no proper answer: only who never got the call has surely done nothing."""
    if isinstance(error, Passing) and not isinstance(error, Unsent):
        return Unsure(error.detail)
    if isinstance(error, Unsent) or error.retry_at is not None:
        return NotNow(error.detail, error.retry_at)
    return Unsure(error.detail)


def _said(answer: dict[str, Any]) -> str:
    """What Bugzilla says that it changed."""
    rows = [*answer.get("attachments", ()), *answer.get("bugs", ())]
    changes = [row.get("changes") for row in rows if isinstance(row, dict)]
    return msgspec.json.encode(changes).decode()[:2000]
