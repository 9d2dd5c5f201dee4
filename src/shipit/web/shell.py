# SPDX-License-Identifier: MPL-2.0
"""The pages' shell: sent and painted at once, with what the first view shows put behind it as data.

The shell is the same for everybody; it is compressed once, and so are the facts, per version of the data. A
browser gets both as one gzip stream whose pieces were made apart.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import re
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import msgspec
from litestar import Response
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from shipit.errors import Missing, NotAuthenticated, ShipitError, Unavailable
from shipit.storage import trains
from shipit.web import board, bodies, reading
from shipit.web.bodies import Piece
from shipit.web.guards import policy
from shipit.web.house import Answer, Asked, Contract, endpoint, house, viewer
from shipit.web.scopes import Right

HTML = "text/html; charset=utf-8"
PATHS = {
    "/": ("board", ()),
    "/requests/{uid:str}": ("request", ("uid",)),
    "/plans/{train:str}": ("plans", ("train",)),
    "/releases": ("releases", ()),
    "/releases/{uid:str}": ("release", ("uid",)),
    "/events": ("events", ()),
    "/me": ("me", ()),
}
"""Every path that opens a page: the page's folder in the frontend, and the parts of the path."""

Preload = Callable[[Asked], Awaitable[list[tuple[str, Piece]]]]


async def _board(request: Asked) -> list[tuple[str, Piece]]:
    train = request.query_params.get("train")
    async with house(request).database.connection() as connection:
        names = await trains.names(connection)
    train = train or default_train(names)
    if train is None or train not in names:
        return []
    body = await board.body_of(request, train)
    return [(f"/api/board/{train}", await asyncio.to_thread(lambda: body.piece))]


PRELOADS: dict[str, Preload] = {"/": _board}
"""Per path: the answers of the API (address, bytes) that the first view of its page is drawn from."""


def default_train(names: Sequence[str]) -> str | None:
    """The train whose board opens first: the one with most to decide."""
    return "beta" if "beta" in names else names[0] if names else None


_SHELL_WAITS_SECONDS = 0.03
_FACTS = b"<!--facts-->"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A built file; its name changes with its content."""

    content: bytes
    compressed: bytes
    media: str


@dataclass(frozen=True)
class Shell:
    """What is painted at once. before: all that stands in front of the facts. policy: allows its styles."""

    before: Piece
    policy: str


@dataclass(frozen=True)
class Built:
    """What the build made. shells: by path. after: what follows the facts, on every page."""

    shells: dict[str, Shell]
    after: Piece
    assets: dict[str, Asset]


@cache
def built() -> Built | None:
    """The built pages; None where this installation was made without them."""
    folder = resources.files(__package__).joinpath("dist")
    if not folder.joinpath("index.html").is_file():
        return None
    html = folder.joinpath("index.html").read_bytes()
    manifest = msgspec.json.decode(folder.joinpath("manifest.json").read_bytes())
    assets = {each.name: _asset(each) for each in folder.joinpath("assets").iterdir()}
    before, _, after = html.partition(_FACTS)
    return Built(
        shells={path: _shell_of(before, _needs(manifest, page), assets) for path, (page, _) in PATHS.items()},
        after=Piece.of(after),
        assets=assets,
    )


def _shell_of(before: bytes, needs: _Needs, assets: dict[str, Asset]) -> Shell:
    """The shell with what its page needs beside it.

    Scripts are fetched, not compiled: that waits until the shell is painted (frontend/src/main.ts). The
    page's styles stand in the answer, since a link would hold up the facts behind it; the links only say that
    the styles are there.
    """
    head, mark, body = before.partition(b"</head>")
    links = [f'<link rel="preload" as="script" crossorigin href="/{each}">' for each in needs.scripts]
    links += [f'<link rel="stylesheet" disabled href="/{each}">' for each in needs.styles]
    own = b"".join(assets[each.rpartition("/")[2]].content for each in needs.styles)
    style = b"<style>%b</style>" % own if own else b""
    html = b"".join((head, "".join(links).encode(), style, mark, body))
    styles = re.findall(rb"<style>(.*?)</style>", html, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(each).digest()).decode() for each in styles]
    return Shell(Piece.of(html), policy(hashes))


@dataclass(frozen=True)
class _Needs:
    """The files a page is made of, beside those the shell names itself."""

    scripts: tuple[str, ...]
    styles: tuple[str, ...]


def _needs(manifest: dict[str, dict[str, Any]], page: str) -> _Needs:
    scripts: dict[str, None] = {}
    styles: dict[str, None] = {}
    entry = next(chunk for chunk in manifest.values() if chunk.get("isEntry"))

    def walk(name: str) -> None:
        chunk = manifest[name]
        for key in chunk.get("imports", ()):
            walk(key)
        # the shell names what its own script begins with
        if chunk is not entry and name not in entry.get("imports", ()):
            scripts.setdefault(chunk["file"])
            for each in chunk.get("css", ()):
                styles.setdefault(each)

    for name in ("src/start.ts", f"src/pages/{page}/Page.svelte"):
        if name in manifest:
            walk(name)
    return _Needs(tuple(scripts), tuple(styles))


def _asset(file: Traversable) -> Asset:
    content = file.read_bytes()
    suffix = "." + file.name.rpartition(".")[2]
    return Asset(content, gzip.compress(content, 9, mtime=0), _TYPES.get(suffix, "application/octet-stream"))


def _page(path: str) -> HTTPRouteHandler:
    name, parts = PATHS[path]

    @endpoint(
        "GET",
        path,
        Contract(right=Right.PUBLIC, summary=f"The page: {name}", answer=str, media="text/html", parts=parts),
    )
    async def page(request: Asked) -> Answer:
        """The shell, then the facts."""
        for part in parts:
            reading.name(request.path_params[part], part)
        return await _shell(request, path)

    return page


@endpoint(
    "GET",
    "/assets/{name:str}",
    Contract(
        right=Right.PUBLIC,
        summary="A script or style of the pages",
        answer=bytes,
        media="text/javascript",
        parts=("name",),
    ),
)
async def asset(request: Asked) -> Answer:
    """A built file, to be kept for ever."""
    name = reading.name(request.path_params["name"], "name")
    pages = built()
    found = pages.assets.get(name) if pages is not None else None
    if found is None:
        raise Missing("there is no such asset")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if bodies.takes_gzip(request):
        headers["Content-Encoding"] = "gzip"
        return Response(found.compressed, media_type=found.media, headers=headers)
    return Response(found.content, media_type=found.media, headers=headers)


HANDLERS = [asset, *(_page(path) for path in PATHS)]


async def _shell(request: Asked, path: str) -> Answer:
    pages = built()
    if pages is None:
        raise Unavailable("pages", "this installation was made without its pages; `make` builds them")
    may_read = await _may_read(request)
    headers = {
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Encoding, Authorization, Cookie",
        "Content-Security-Policy": pages.shells[path].policy,
    }
    if request.method == HttpMethod.HEAD:
        return Response(b"", media_type=HTML, headers=headers)
    pieces = _pieces(request, path, pages, may_read)
    if not bodies.takes_gzip(request):
        return Stream(_plain(pieces), media_type=HTML, headers=headers)
    return Stream(_gzipped(pieces), media_type=HTML, headers={**headers, "Content-Encoding": "gzip"})


async def _may_read(request: Asked) -> bool:
    """Whether the first view may be put into the page; who is nobody and could log in is sent to do so."""
    things = house(request)
    who = await things.gate.viewer(request)
    request.state.viewer = who
    may = who.has(Right.READ) or things.settings.backend.public_read
    if not may and who.is_anonymous and things.sessions is not None:
        raise NotAuthenticated("this needs a login")
    return may


async def _pieces(request: Asked, path: str, pages: Built, may_read: bool) -> AsyncIterator[Piece]:
    things = house(request)
    # Before anything is read: what changes from here on is told to the page, or it is told to read afresh.
    newest = things.hub.position(viewer(request).audience)
    answers = asyncio.create_task(_answers(request, path, may_read))
    try:
        # With the shell the browser asks for scripts: facts that are nearly there would wait behind them.
        await asyncio.wait({answers}, timeout=_SHELL_WAITS_SECONDS)
        yield pages.shells[path].before
        head = {"is_demo": things.is_demo, "bugzilla": things.settings.bugzilla.url, "live": newest}
        begun = b'<script type="application/json" id="facts">' + bodies.inline(msgspec.json.encode(head))[:-1]
        yield Piece.of(begun + b',"answers":{', keep=False)
        for number, (address, piece) in enumerate(await answers):
            comma = b"," if number else b""
            yield Piece.of(comma + bodies.inline(msgspec.json.encode(address)) + b":", keep=False)
            yield piece
        yield Piece.of(b"}}</script>", keep=False)
        yield pages.after
    finally:
        answers.cancel()


async def _answers(request: Asked, path: str, may_read: bool) -> list[tuple[str, Piece]]:
    preload = PRELOADS.get(path) if may_read else None
    # The page asks again by itself, and then says what is wrong; half a page helps nobody.
    with contextlib.suppress(ShipitError):
        return await preload(request) if preload is not None else []
    return []


async def _plain(pieces: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield piece.content


async def _gzipped(pieces: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
    check, size = 0, 0
    start = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    async for piece in pieces:
        check = zlib.crc32(piece.content, check)
        size += len(piece.content)
        yield start + piece.deflated
        start = b""
    # An empty last block, then what the whole was.
    yield b"\x03\x00" + struct.pack("<II", check, size & 0xFFFFFFFF)
