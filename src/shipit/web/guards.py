# SPDX-License-Identifier: MPL-2.0
"""What holds for every answer: security headers, a deadline, and a count for operators."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from shipit.web.house import House
from shipit.web.problems import TooLate

# Below the 30 s after which a hosting platform gives up on a request.
LONGEST_SECONDS = 25.0
LARGEST_BODY = 16_000_000
_STREAM = "/api/live"


def policy(style_hashes: Sequence[str] = ()) -> str:
    """The Content-Security-Policy: our own files alone. style_hashes: SHA-256 of inline styles, base64."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            " ".join(("style-src 'self'", *(f"'sha256-{each}'" for each in style_hashes))),
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


HEADERS: tuple[tuple[bytes, bytes], ...] = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": policy(),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
    }.items()
)
_SECURE = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Finish:
    """Adds to each answer, also to those the framework gives by itself, what every answer has."""

    def __init__(self, *, is_https: bool) -> None:
        self._headers = (*HEADERS, _SECURE) if is_https else HEADERS

    async def __call__(self, message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        given = {name.lower() for name, _ in message["headers"]}
        more = [each for each in self._headers if each[0] not in given]
        message["headers"] = [*message["headers"], *more]
        things: House = scope["litestar_app"].state.house
        route = scope.get("path_template") or "none"
        method = str(scope.get("method"))
        # The method is whatever the caller wrote; only those we know become a label.
        known = method if method in ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH") else "other"
        things.metrics.requests.labels(known, route, str(message["status"])).inc()
        started = scope.get("state", {}).get("started")
        if started is not None:
            things.metrics.seconds.labels(known, route).observe(time.perf_counter() - started)


def deadline(app: ASGIApp) -> ASGIApp:
    """No request takes longer than the house allows, reading its body included; a live stream may."""

    async def within(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope.get("path") == _STREAM:
            await app(scope, receive, send)
            return
        scope.setdefault("state", {})["started"] = time.perf_counter()
        things: House = scope["litestar_app"].state.house
        try:
            async with asyncio.timeout(things.longest_seconds):
                await app(scope, receive, send)
        except TimeoutError as error:
            raise TooLate(f"it took longer than {things.longest_seconds:.0f} s") from error

    return within
