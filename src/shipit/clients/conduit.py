# SPDX-License-Identifier: MPL-2.0
"""Conduit, Phabricator's API: one method called, its result or what Phabricator says is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aiohttp

from shipit.clients.http import (
    MAX_BODY,
    CallCounter,
    Clock,
    Door,
    KeyRefused,
    checked_secret,
    checked_url,
    utc_now,
)
from shipit.errors import ShipitError, Unavailable

SERVICE = "Phabricator"
AUTH_ERRORS = frozenset({"ERR-INVALID-AUTH", "ERR-INVALID-SESSION", "ERR-INVALID-TOKEN"})


class Said(ShipitError):
    """Conduit answered with an error_code; outside the clients it is another error, or a value."""

    def __init__(self, code: str, info: str) -> None:
        super().__init__(f"{info} ({code})")
        self.code = code

    def unavailable(self) -> Unavailable:
        """The same, for those to whom no refusal is an answer."""
        return Unavailable(SERVICE, f"refused: {self.detail}")


def open_door(
    session: aiohttp.ClientSession, *, calls: CallCounter | None = None, timeout: float, now: Clock = utc_now
) -> Door:
    """The way to Phabricator: after too many requests nothing is sent for a minute."""
    return Door(session, SERVICE, calls=calls, timeout=timeout, penalty=timedelta(minutes=1), now=now)


class Conduit:
    """A Phabricator or Phorge at `url`. The token goes into request bodies only."""

    def __init__(self, door: Door, url: str, token: str | None) -> None:
        self._url = checked_url("phabricator.url", url).removesuffix("/api")
        self._token = checked_secret("phabricator.token", token)
        self._door = door

    async def asked(self, method: str, params: Mapping[str, Any]) -> Any:
        """The result of a method; its own errors become Unavailable."""
        try:
            return await self.said(method, params)
        except Said as said:
            raise said.unavailable() from said

    async def said(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        limit: int = MAX_BODY,
        is_idempotent: bool = True,
    ) -> Any:
        """The result of a method. Raises Said for an error_code, KeyRefused for our token, Unavailable."""
        asked = dict(params)
        if self._token:
            asked["__conduit__"] = {"token": self._token}
        form = {"params": json.dumps(asked), "output": "json"}
        answer = await self._door.ask(
            "POST", f"{self._url}/api/{method}", form=form, limit=limit, is_idempotent=is_idempotent
        )
        if answer.status != 200:
            raise Unavailable(SERVICE, f"answered {method} with {answer.status}")
        body = answer.json()
        if not isinstance(body, dict) or "result" not in body:
            raise Unavailable(SERVICE, f"answered {method} with something else than Conduit's JSON")
        if not body.get("error_code"):
            return body["result"]
        raise self._error(str(body["error_code"]), str(body.get("error_info") or ""))

    def _error(self, code: str, info: str) -> ShipitError:
        # Conduit quotes the token it does not like: those words never leave here.
        if code in AUTH_ERRORS:
            return KeyRefused(SERVICE, f"does not take our token ({code})")
        return Said(code, (info.replace(self._token, "…") if self._token else info)[:500])
