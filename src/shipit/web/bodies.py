# SPDX-License-Identifier: MPL-2.0
"""Bytes made once: kept per version of the data and audience, with compressed twin and entity tag."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from litestar import Request, Response

_SMALLEST_COMPRESSED = 1024
_LEVEL = 6
_JSON = "application/json"


@dataclass(frozen=True)
class Piece:
    """Part of a gzip stream. deflated: ends on a byte and refers to nothing before it."""

    content: bytes
    deflated: bytes

    @classmethod
    def of(cls, content: bytes, *, keep: bool = True) -> Piece:
        """Compressed well where it is kept, and fast where it is made for one answer."""
        deflate = zlib.compressobj(_LEVEL if keep else 1, zlib.DEFLATED, -zlib.MAX_WBITS)
        return cls(content, deflate.compress(content) + deflate.flush(zlib.Z_FULL_FLUSH))


@dataclass(frozen=True)
class Body:
    """version: of the data it was made from. tag: of its content, so that the unseen shows in no tag."""

    version: int
    content: bytes
    compressed: bytes | None
    tag: str
    media: str

    @property
    def size(self) -> int:
        """Bytes it occupies."""
        return len(self.content) + len(self.compressed or b"")

    @cached_property
    def piece(self) -> Piece:
        """As it stands in a page, made when it is first wanted."""
        return Piece.of(inline(self.content))


class Bodies:
    """The newest bodies, at most `most` bytes of them; the longest unused goes first."""

    def __init__(self, most: int = 48_000_000) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[Hashable, Body] = OrderedDict()
        self._making: dict[Hashable, asyncio.Lock] = {}

    async def get(self, key: Hashable, version: int, make: Callable[[], Awaitable[bytes]]) -> Body:
        """The body for `key` at this version; many who ask at once wait for one maker."""
        found = self._find(key, version)
        if found is not None:
            return found
        lock = self._making.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                found = self._find(key, version)
                if found is None:
                    found = await _made(version, await make())
                    self._keep(key, found)
                return found
        finally:
            if not lock.locked():
                self._making.pop(key, None)

    def _find(self, key: Hashable, version: int) -> Body | None:
        found = self._kept.get(key)
        if found is None or found.version != version:
            return None
        self._kept.move_to_end(key)
        return found

    def _keep(self, key: Hashable, body: Body) -> None:
        old = self._kept.pop(key, None)
        self._size += body.size - (old.size if old else 0)
        self._kept[key] = body
        while self._size > self._most and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._size -= gone.size


def inline(content: bytes) -> bytes:
    """JSON that may stand inside a script element: no "<" ends it, or begins a comment."""
    return content.replace(b"<", b"\\u003c")


def answer(request: Request[Any, Any, Any], body: Body, *, revision: int | None = None) -> Response[Any]:
    """The body, compressed where that is understood; 304 without it when the caller has it already.

    revision: begins the entity tag, so that a writer can say which one they saw (If-Match).
    """
    tag = f'W/"{body.tag}"' if revision is None else f'W/"{revision}-{body.tag}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Encoding, Authorization, Cookie",
    }
    if _matches(request.headers.get("if-none-match"), tag):
        return Response(b"", media_type=body.media, status_code=304, headers=headers)
    if body.compressed is not None and takes_gzip(request):
        headers["Content-Encoding"] = "gzip"
        return Response(body.compressed, media_type=body.media, headers=headers)
    return Response(body.content, media_type=body.media, headers=headers)


def single(content: bytes, media: str = _JSON) -> Body:
    """A body made for one request, kept nowhere."""
    return Body(0, content, None, _tag(content), media)


async def _made(version: int, content: bytes) -> Body:
    compressed = None
    if len(content) >= _SMALLEST_COMPRESSED:
        compressed = await asyncio.to_thread(gzip.compress, content, _LEVEL, mtime=0)
    return Body(version, content, compressed, _tag(content), _JSON)


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _matches(given: str | None, tag: str) -> bool:
    if given is None:
        return False
    weak = tag.removeprefix("W/")
    return given.strip() == "*" or any(each.strip().removeprefix("W/") == weak for each in given.split(","))


def takes_gzip(request: Request[Any, Any, Any]) -> bool:
    """Whether the caller reads gzip."""
    return _takes_gzip(request.headers.get("accept-encoding", ""))


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
