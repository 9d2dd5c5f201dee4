# SPDX-License-Identifier: MPL-2.0
"""One of a train's lists as CSV, JSON, RSS or Atom."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shipit.errors import InvalidInput, Missing
from shipit.storage import lists
from shipit.uplift.lists import ListName
from shipit.web import bodies, reading
from shipit.web.board_entries import LIST_COLUMNS, list_entry
from shipit.web.board_lists import ListAnswer, shown
from shipit.web.board_writing import View
from shipit.web.house import Answer, Asked, Contract, endpoint, house, viewer
from shipit.web.scopes import Right
from shipit.web.view_files import csv_answer, feeds
from shipit.web.viewer import Audience

_PARTS = ("train", "list")


class ListFile(msgspec.Struct, frozen=True, kw_only=True):
    """A list as JSON."""

    train: str
    as_of: datetime | None
    list: ListAnswer


@endpoint(
    "GET",
    "/api/board/{train:str}/lists/{list:str}/csv",
    Contract(right=Right.READ, summary="A list as CSV", answer=str, media="text/csv", parts=_PARTS),
)
async def read_csv(request: Asked) -> Answer:
    """The bugs as a table for a spreadsheet."""
    train, found = await _list(request)
    return csv_answer(request, _view(request, train, found), f"{found.name}-{train}")


@endpoint(
    "GET",
    "/api/board/{train:str}/lists/{list:str}/json",
    Contract(right=Right.READ, summary="A list as JSON", answer=ListFile, parts=_PARTS),
)
async def read_json(request: Asked) -> Answer:
    """The bugs as they are on the list."""
    train, found = await _list(request)
    content = ListFile(train=train, as_of=found.read_at, list=found)
    return bodies.answer(request, bodies.single(msgspec.json.encode(content)))


async def _as_seen(request: Asked, audience: Audience) -> View:
    train, found = await _list(request, audience=audience)
    return _view(request, train, found)


HANDLERS = [
    read_csv,
    read_json,
    *feeds("/api/board/{train:str}/lists/{list:str}", "A list", _as_seen, parts=_PARTS),
]


async def _list(request: Asked, *, audience: Audience | None = None) -> tuple[str, ListAnswer]:
    """The train's name and the list for an audience (None: whoever asks)."""
    train = reading.name(request.path_params["train"], "train")
    name = reading.name(request.path_params["list"], "list")
    for word in request.query_params:
        raise InvalidInput(f"query.{word[:60]}", expected="no words: a list is told as a whole")
    if name not in list(ListName):
        raise Missing(f"there is no list {name!r}; there are {', '.join(ListName)}")
    async with house(request).database.connection() as connection:
        stored = await lists.of_train(connection, train)
    if stored is None:
        raise Missing(f"there is no train {train!r}")
    answer = shown(stored, audience or viewer(request).audience)
    found = next((each for each in answer.lists if each.name == name), None)
    if found is None:
        raise Missing(f"train {train!r} has no list {name!r}")
    return train, found


def _view(request: Asked, train: str, found: ListAnswer) -> View:
    url = (house(request).settings.backend.url or "").rstrip("/")
    return View(
        title=f"Ship It: {found.title}, {train}",
        about=found.rule,
        address=f"{url}/?train={train}&list={found.name}",
        as_of=found.read_at,
        columns=LIST_COLUMNS,
        entries=[list_entry(row, train=train, title=found.title, url=url) for row in found.rows],
    )
