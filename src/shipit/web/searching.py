# SPDX-License-Identifier: MPL-2.0
"""One search over the requests and lists of every train."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shipit.storage import search
from shipit.storage.search import Found, FoundIn
from shipit.uplift.board import title
from shipit.uplift.lists import HEADINGS, ListName
from shipit.uplift.types import RequestState
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, viewer
from shipit.web.scopes import Right

MOST_HITS = 50


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words, each of which must be found, in full or as the beginning of one."""

    q: Annotated[str, Meta(min_length=1, max_length=300)]


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """A request that holds the words, or (request null) a bug on one of a train's lists.

    title: of the train. state: null without a request; is_open: whether it is on the board still. where: the
    list's title, null for a request. found_in: where the words stand.
    """

    bug: int
    summary: str
    product: str
    component: str
    is_restricted: bool
    train: str
    title: str
    request: str | None
    state: RequestState | None
    is_open: bool
    list: ListName | None
    where: str | None
    found_in: tuple[FoundIn, ...]


class SearchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /api/search. more: there are more than are told."""

    hits: tuple[SearchHit, ...]
    more: bool


@endpoint(
    "GET",
    "/api/search",
    Contract(
        right=Right.READ,
        summary="Requests and listed bugs of every train by words of bug, people, form, patches and files",
        query=SearchQuery,
        answer=SearchAnswer,
    ),
)
async def find(request: Asked) -> Answer:
    """What holds the words, as far as whoever asks may see it."""
    query = reading.query(request, SearchQuery)
    audience = viewer(request).audience
    async with house(request).database.connection() as connection:
        found = await search.find(
            connection, query.q, see_restricted=audience.sees_restricted, limit=MOST_HITS + 1
        )
    return json_answer(
        SearchAnswer(hits=tuple(_hit(each) for each in found[:MOST_HITS]), more=len(found) > MOST_HITS)
    )


HANDLERS = [find]


def _hit(found: Found) -> SearchHit:
    return SearchHit(
        bug=found.bug,
        summary=found.summary,
        product=found.product,
        component=found.component,
        is_restricted=found.is_restricted,
        train=found.train,
        title=title(found.train, found.channel, found.major),
        request=found.request,
        state=found.state,
        is_open=found.is_open,
        list=found.list,
        where=HEADINGS[found.list].title if found.list else None,
        found_in=found.found_in,
    )
