# SPDX-License-Identifier: MPL-2.0
"""Any service that speaks the Step API: asked where allowed only, signed with Hawk, followed nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from shipit.clients.hawk import signature
from shipit.clients.http import Answer, CallCounter, Door, checked_url, url_part
from shipit.errors import InvalidInput, Missing, Refused, Unavailable
from shipit.pipeline.states import Status

_JSON = "application/json"
MOST_BYTES = 1_000_000
# The originals' services use other words for the same.
WORDS: dict[str, Status] = {
    **{status.value: status for status in Status},
    **dict.fromkeys(("pending", "starting", "running", "stopping"), Status.IN_PROGRESS),
    **dict.fromkeys(("completed", "finished"), Status.SUCCESS),
    **dict.fromkeys(("failed", "exception"), Status.FAILURE),
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a service says of a step. details: its own, free; output: what later steps may use."""

    uid: str
    status: Status
    message: str = ""
    details: dict[str, Any] = {}
    output: dict[str, Any] = {}


class StepServices:
    """Step services, each named by the URL below which its steps live.

    refusal: why a URL may not be asked; None when it may.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        refusal: Callable[[str], str | None],
        *,
        credentials: Mapping[str, str] | None = None,
        calls: CallCounter | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._refusal = refusal
        self._credentials = dict(credentials or {})
        # One try per call: the caller's row says when the next is due, and so survives us.
        # A door per service: a "too many requests" of one must not close the door to the others.
        self._door = partial(Door, session, calls=calls, timeout=timeout, attempts=1)
        self._doors: dict[str, Door] = {}

    async def put(self, api_url: str, uid: str, parameters: Mapping[str, Any]) -> Said:
        """Create a step; repeating is safe where the service keeps the Step API.

        Raises Refused when it is refused for good (409, 4xx), Unavailable when it may be asked again.
        """
        answer = await self.ask("PUT", api_url, f"/{url_part(uid)}", {"parameters": parameters})
        if answer.status in (200, 201, 202, 204):
            return _said(answer, uid)
        raise _refusal(answer, f"to create step {uid}")

    async def status(self, api_url: str, uid: str) -> Said:
        """What the service says of a step. Raises Missing when it knows none of this uid."""
        answer = await self.ask("GET", api_url, f"/{url_part(uid)}/status")
        if answer.status == 200:
            return _said(answer, uid, is_strict=True)
        raise _refusal(answer, f"to tell of step {uid}")

    async def delete(self, api_url: str, uid: str) -> Said:
        """Cancel and remove a step. Raises Missing when it is gone already."""
        answer = await self.ask("DELETE", api_url, f"/{url_part(uid)}")
        if answer.status in (200, 202, 204):
            return _said(answer, uid)
        raise _refusal(answer, f"to remove step {uid}")

    async def ask(
        self, method: str, api_url: str, path: str, body: object = None, *, query: str = ""
    ) -> Answer:
        """One call below the service's URL. Raises InvalidInput where we may not ask, Unavailable."""
        why = self._refusal(api_url)
        if why is not None:
            raise InvalidInput("api_url", expected=why)
        url = checked_url("api_url", api_url) + path + (f"?{query}" if query else "")
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"Accept": _JSON}
        if content:
            headers["Content-Type"] = _JSON
        if self._credentials:
            headers["Authorization"] = self._signature(method, url, content)
        host = urlsplit(api_url).netloc
        if host not in self._doors:
            self._doors[host] = self._door(f"step service {host}")
        door = self._doors[host]
        answer = await door.ask(method, url, headers=headers, body=content or None, limit=MOST_BYTES)
        if 300 <= answer.status < 400:
            raise Unavailable(door.service, "redirects elsewhere, not followed")
        return answer

    def _signature(self, method: str, url: str, content: bytes) -> str:
        return signature(self._credentials, method, url, content, _JSON if content else "")


def _said(answer: Answer, uid: str, *, is_strict: bool = False) -> Said:
    """The answer read. Not strict: a service that answers nothing has taken it, its status is asked later."""
    given: Any = None
    if answer.body.strip():
        given = answer.json()
    if not isinstance(given, dict):
        given = {}
    of = given.get("uid", uid)
    if is_strict and of != uid:
        raise Unavailable(answer.service, f"told of another step: {str(of)[:60]!r}")
    word = given.get("status", given.get("state"))
    status = WORDS.get(word) if isinstance(word, str) else None
    if status is None:
        if is_strict:
            raise Unavailable(answer.service, f"said no status that we know: {str(word)[:60]!r}")
        status = Status.IN_PROGRESS
    return Said(
        uid=str(given.get("uid", uid))[:300],
        status=status,
        message=str(given.get("message") or "")[:2000],
        details=_object(given.get("details")),
        output=_object(given.get("output")),
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _refusal(answer: Answer, what: str) -> Exception:
    said = ""
    if "json" in answer.content_type and isinstance(problem := answer.json(), dict):
        said = str(problem.get("detail") or problem.get("error_message") or problem.get("title") or "")[:500]
    words = f"{answer.service} refused {what} ({answer.status}){f': {said}' if said else ''}"
    if answer.status == 404:
        return Missing(words)
    if answer.status >= 500 or answer.status in (408, 425):
        return Unavailable(answer.service, f"answered {answer.status}{f': {said}' if said else ''}")
    return Refused(words)
