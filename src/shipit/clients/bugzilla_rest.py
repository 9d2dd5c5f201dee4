# SPDX-License-Identifier: MPL-2.0
"""Bugzilla's REST interface: one question, its answer or what Bugzilla says is wrong, in all its shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec

from shipit.clients.http import (
    MAX_BODY,
    Answer,
    CallCounter,
    Clock,
    Door,
    KeyRefused,
    checked_secret,
    checked_url,
    utc_now,
)
from shipit.errors import ShipitError, Unavailable

SERVICE = "Bugzilla"
RATE_LIMITED = 32000
HIDDEN, UNKNOWN = 102, 101
KEY_PROBLEMS = frozenset({300, 301, 305, 306, 410})


class Said(ShipitError):
    """Bugzilla answered with an error of its own; outside this module it is another error, or a value."""

    def __init__(self, code: int | None, message: str, *, is_failure: bool) -> None:
        """is_failure: Bugzilla itself failed (HTTP 5xx), rather than refusing us."""
        super().__init__(message if code is None else f"{message} (code {code})")
        self.code = code
        self.is_failure = is_failure

    def unavailable(self) -> Unavailable:
        """The same, for those who asked for more than one bug could spoil."""
        return Unavailable(SERVICE, f"refused: {self.detail}")


def open_door(
    session: aiohttp.ClientSession, *, calls: CallCounter | None = None, timeout: float, now: Clock = utc_now
) -> Door:
    """The way to Bugzilla: after too many requests it lets nobody in for an hour, so then nothing is sent."""
    return Door(session, SERVICE, calls=calls, timeout=timeout, penalty=timedelta(hours=1), now=now)


class Rest:
    """Asks below `url`; the key travels in its header only."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        api_key: str | None,
        *,
        calls: CallCounter | None,
        timeout: float,
        now: Clock,
        door: Door | None = None,
    ) -> None:
        """door: shared by those who ask with several keys, since Bugzilla closes its doors to an address."""
        root = checked_url("bugzilla.url", url)
        self.url = root.removesuffix("/rest")
        self._root = f"{self.url}/rest"
        key = checked_secret("bugzilla.api_key", api_key)
        self._headers = {"Accept": "application/json"} | ({"X-BUGZILLA-API-KEY": key} if key else {})
        self._door = door or open_door(session, calls=calls, timeout=timeout, now=now)

    async def asked(self, path: str, params: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """What it answers; its own errors become Unavailable."""
        try:
            return await self.said(path, params)
        except Said as said:
            raise said.unavailable() from said

    async def said(
        self, path: str, params: Sequence[tuple[str, str]] = (), *, limit: int = MAX_BODY
    ) -> dict[str, Any]:
        """What it answers. Raises Said for errors of its own, whatever the HTTP status says."""
        answer = await self._door.ask(
            "GET", self._root + path, params=params, headers=self._headers, limit=limit
        )
        return self._judged(answer)

    async def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change something, once; raises as `said` does, and Passing when it may or may not have happened."""
        headers = self._headers | {"Content-Type": "application/json"}
        raw = msgspec.json.encode(body)
        return self._judged(await self._door.ask("PUT", self._root + path, headers=headers, body=raw))

    def _judged(self, answer: Answer) -> dict[str, Any]:
        if answer.status >= 500 and "json" not in answer.content_type:
            raise Said(None, f"Bugzilla answered {answer.status}", is_failure=True)
        body = answer.json()
        if not isinstance(body, dict):
            raise Unavailable(SERVICE, f"answered {answer.status} with JSON of another shape")
        if not body.get("error") and answer.status < 400:
            return body
        code, message = body.get("code"), str(body.get("message") or f"Bugzilla answered {answer.status}")
        if code == RATE_LIMITED and "rate limit" in message:
            raise self._door.close_until(None, "asked too often")
        if code in KEY_PROBLEMS:
            raise KeyRefused(SERVICE, f"does not take our API key: {message[:200]}")
        raise Said(code if isinstance(code, int) else None, message[:500], is_failure=answer.status >= 500)
