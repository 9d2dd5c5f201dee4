# SPDX-License-Identifier: MPL-2.0
"""A view as a file: a table for a spreadsheet, and the routes of its feeds.

A feed is read by programs that cannot log in and that keep what they read, so it holds what everybody may see
and nothing else, whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from litestar.handlers import HTTPRouteHandler

from shipit.web import bodies
from shipit.web.board_writing import View, atom, csv, rss
from shipit.web.house import Answer, Asked, Contract, endpoint
from shipit.web.scopes import Right
from shipit.web.viewer import Audience

Viewed = Callable[[Asked, Audience], Awaitable[View]]
"""The view that a request asks for, as an audience sees it."""


class _Feed(NamedTuple):
    word: str
    name: str
    media: str
    write: Callable[[View], str]


_FEEDS = (
    _Feed("rss", "RSS 2.0", "application/rss+xml", rss),
    _Feed("atom", "Atom", "application/atom+xml", atom),
)


def csv_answer(request: Asked, view: View, name: str) -> Answer:
    """A view as a file for a spreadsheet. name: of the file; of it only what is safe in a header is kept."""
    answer = bodies.answer(request, bodies.single(csv(view).encode(), "text/csv"))
    plain = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter == "-"))
    day = f"-{view.as_of:%Y-%m-%d}" if view.as_of else ""
    answer.headers["Content-Disposition"] = f'attachment; filename="{plain}{day}.csv"'
    return answer


def feeds(
    path: str, what: str, view: Viewed, *, parts: tuple[str, ...], query: type[msgspec.Struct] | None = None
) -> list[HTTPRouteHandler]:
    """The routes of a view's feeds, below its path. what: the view, in a summary; parts: of the path."""
    return [_feed(feed, f"{path}/{feed.word}", what, view, parts, query) for feed in _FEEDS]


def _feed(
    feed: _Feed,
    path: str,
    what: str,
    view: Viewed,
    parts: tuple[str, ...],
    query: type[msgspec.Struct] | None,
) -> HTTPRouteHandler:
    contract = Contract(
        right=Right.READ,
        summary=f"{what} as {feed.name}, of what everybody may see",
        query=query,
        answer=str,
        media=feed.media,
        parts=parts,
    )

    @endpoint("GET", path, contract)
    async def read_feed(request: Asked) -> Answer:
        """The rows as news."""
        content = feed.write(await view(request, Audience.PUBLIC))
        return bodies.answer(request, bodies.single(content.encode(), f"{feed.media}; charset=utf-8"))

    return read_feed
