# SPDX-License-Identifier: MPL-2.0
"""Accept or reject revisions as a person: one call each, and what came of it as a value."""

from __future__ import annotations

from collections.abc import Iterable

import aiohttp
import msgspec

from shipit.clients.bugzilla_writes import unanswered
from shipit.clients.conduit import Said, open_door
from shipit.clients.http import CallCounter, Clock, KeyRefused, utc_now
from shipit.clients.phabricator import Phabricator
from shipit.errors import Unavailable
from shipit.uplift.decision_checks import Deeds
from shipit.uplift.decision_outcomes import Denied, NotNow, Outcome, Written
from shipit.uplift.decision_types import Write
from shipit.uplift.types import Revision


class PhabricatorWrites:
    """A Phabricator that people decide on through us, each with their own token; one door for all."""

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

    async def account(self, token: str) -> tuple[str, str]:
        """(user name, PHID) that a token stands for. Raises KeyRefused, Unavailable."""
        return await self._as(token).myself()

    async def revisions(self, ids: Iterable[int], token: str) -> dict[int, Revision]:
        """Revisions as the token's owner sees them now. Raises KeyRefused, Unavailable."""
        return (await self._as(token).revisions(ids, with_parents=False)).found

    async def deeds(self, revision: int, token: str, *, phid: str) -> Deeds:
        """What was done to a revision lately, by the account of that PHID and at all."""
        rows = await self._as(token).transactions(revision)
        return Deeds(
            newest=max((number for number, _, _ in rows), default=0),
            mine=tuple((number, kind) for number, kind, author in rows if author == phid),
        )

    async def write(self, one: Write, token: str) -> Outcome:
        """Carry out one write of a revision: all its transactions or none."""
        try:
            answer = await self._as(token).edit(one.id, one.body["transactions"])
        except KeyRefused as error:
            return Denied(error.detail, is_key=True)
        except Said as said:
            if "read-only" in said.detail.lower():
                return NotNow(said.detail)
            return Denied(said.detail)
        except Unavailable as error:
            return unanswered(error)
        return Written(msgspec.json.encode(answer).decode()[:2000])

    def _as(self, token: str) -> Phabricator:
        return Phabricator(
            self._session, self._url, token, timeout=self._timeout, now=self._now, door=self._door
        )
