# SPDX-License-Identifier: MPL-2.0
"""The listener's own little endpoint: heartbeat, version and metrics, answered without a framework."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec

Page = Callable[[], Awaitable[tuple[int, str, bytes]]]
"""Status, content type and body."""

_WORDS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_MAX_HEAD = 8192


def as_json(status: int, value: object) -> tuple[int, str, bytes]:
    """A page of JSON."""
    return status, "application/json", msgspec.json.encode(value)


@contextlib.asynccontextmanager
async def serve(host: str, port: int, pages: Mapping[str, Page]) -> AsyncIterator[int]:
    """Answer GET for these paths; the port it listens on. The server is gone at the end."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path = head.split(b" ", 2)[:2]
                page = pages.get(path.split(b"?", 1)[0].decode("ascii", "replace"))
                if method not in (b"GET", b"HEAD"):
                    status, kind, body = as_json(405, {"detail": "only GET"})
                elif page is None:
                    status, kind, body = as_json(404, {"detail": "no such page"})
                else:
                    status, kind, body = await page()
                writer.write(_head(status, kind, len(body)) + (b"" if method == b"HEAD" else body))
                await writer.drain()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, host, port, limit=_MAX_HEAD)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def _head(status: int, kind: str, length: int) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_WORDS.get(status, '')}",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
        "Connection: close",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
