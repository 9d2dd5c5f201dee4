# SPDX-License-Identifier: MPL-2.0
"""Any view of the board as CSV, JSON, RSS or Atom: the rows of the board's own answer, chosen by its address.

CSV and JSON hold what whoever asks may see, the feeds what everybody may see.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shipit.uplift import board_filter
from shipit.uplift.board_filter import Row, Wanted
from shipit.web import bodies, reading
from shipit.web.board import body_of
from shipit.web.board_entries import REQUEST_COLUMNS, request_entry
from shipit.web.board_shapes import BoardAnswer, BoardRow, BoardTrain
from shipit.web.board_writing import View
from shipit.web.house import Answer, Asked, Contract, endpoint, house
from shipit.web.scopes import Right
from shipit.web.view_files import csv_answer, feeds
from shipit.web.viewer import Audience

# Words of the board's address that choose no rows.
PAGE_WORDS = frozenset({"view", "train"})
_decode = msgspec.json.Decoder(BoardAnswer).decode


class BoardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The words of the board's address; several values of one are separated by commas."""

    q: str | None = None
    group: str | None = None
    status: str | None = None
    state: str | None = None
    product: str | None = None
    component: str | None = None
    tag: str | None = None
    risk: str | None = None
    who: str | None = None
    security: str | None = None
    disagrees: str | None = None
    sort: str | None = None


class BoardFile(msgspec.Struct, frozen=True, kw_only=True):
    """A view as JSON. rows: those that are wanted, in the wanted order."""

    train: BoardTrain
    as_of: datetime | None
    more: bool
    rows: tuple[BoardRow, ...]


@endpoint(
    "GET",
    "/api/board/{train:str}/csv",
    Contract(
        right=Right.READ,
        summary="A view of the board as CSV",
        query=BoardQuery,
        answer=str,
        media="text/csv",
        parts=("train",),
    ),
)
async def read_csv(request: Asked) -> Answer:
    """The rows as a table for a spreadsheet."""
    board, rows = await _wanted(request)
    return csv_answer(request, _view(request, board, rows), f"uplift-{board.train.name}")


@endpoint(
    "GET",
    "/api/board/{train:str}/json",
    Contract(
        right=Right.READ,
        summary="A view of the board as JSON",
        query=BoardQuery,
        answer=BoardFile,
        parts=("train",),
    ),
)
async def read_json(request: Asked) -> Answer:
    """The rows as they are on the board."""
    board, rows = await _wanted(request)
    content = BoardFile(train=board.train, as_of=board.as_of, more=board.more, rows=tuple(rows))
    return bodies.answer(request, bodies.single(msgspec.json.encode(content)))


async def _as_seen(request: Asked, audience: Audience) -> View:
    board, rows = await _wanted(request, audience=audience)
    return _view(request, board, rows)


HANDLERS = [
    read_csv,
    read_json,
    *feeds("/api/board/{train:str}", "A view of the board", _as_seen, parts=("train",), query=BoardQuery),
]


async def _wanted(request: Asked, *, audience: Audience | None = None) -> tuple[BoardAnswer, list[BoardRow]]:
    train = reading.name(request.path_params["train"], "train")
    wanted = board_filter.read(request.query_params.multi_items(), others=PAGE_WORDS)
    board = _decode((await body_of(request, train, audience=audience)).content)
    return board, rows_of(board, wanted)


def _view(request: Asked, board: BoardAnswer, rows: Sequence[BoardRow]) -> View:
    url = (house(request).settings.backend.url or "").rstrip("/")
    train, query = board.train.name, request.url.query
    groups = {each.key: each.title for each in board.groups}
    return View(
        title=f"Ship It: {board.train.title}",
        about="Uplift requests and where they stand.",
        address=f"{url}/?train={train}" + (f"&{query}" if query else ""),
        as_of=board.as_of,
        columns=REQUEST_COLUMNS,
        entries=[request_entry(row, train=train, groups=groups, url=url) for row in rows],
    )


def rows_of(board: BoardAnswer, wanted: Wanted) -> list[BoardRow]:
    """The rows of a board that are wanted, in the wanted order. Pure."""
    by_uid = {row.uid: row for row in board.rows}
    return [by_uid[each.uid] for each in board_filter.chosen([_facts(row) for row in board.rows], wanted)]


def _facts(row: BoardRow) -> Row:
    return Row(
        uid=row.uid,
        bug=row.bug,
        group=row.group,
        status=row.here.key,
        state=row.state,
        rank=row.rank,
        summary=row.summary,
        product=row.product,
        component=row.component,
        tags=row.tags,
        who=row.who.name if row.who else "",
        risk=row.risk,
        lines=row.size.added + row.size.deleted if row.size else None,
        is_restricted=row.is_restricted,
        disagrees=bool(row.disagrees),
        requested_at=row.requested_at,
    )
