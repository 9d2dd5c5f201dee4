# SPDX-License-Identifier: MPL-2.0
"""The board's lists besides the requests, each with its count, its age, and why it could not be read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus

import msgspec

from shipit.errors import InvalidInput, Missing
from shipit.storage import lists
from shipit.storage.lists import BugFacts, HeldRow, ListedRow, TrainLists
from shipit.storage.pool import Connection
from shipit.uplift.lists import HEADINGS, HeldPlace, ListName, held_of, held_places
from shipit.uplift.report import ListsReport
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, nothing
from shipit.web.lists import versioned, without_hosts
from shipit.web.scopes import Right
from shipit.web.viewer import Audience

MOST = 5000
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class ListRow(BugFacts, frozen=True, kw_only=True):
    """A bug on a list. request: the one it is about, null where there is none. since: null where unknown."""

    bug: int
    request: str | None
    sentence: str
    since: datetime | None
    is_restricted: bool


class ListAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A list. value: how many rows; null while it never could be read. read_at: how old that is.

    restricted: how many more there are that are not shown; null where not even the number is.
    unavailable_since: since when it cannot be read; rows are then those last read.
    """

    name: ListName
    title: str
    rule: str
    source: str
    value: int | None
    restricted: int | None
    read_at: datetime | None
    unavailable_since: datetime | None
    unavailable_reason: str | None
    rows: tuple[ListRow, ...]


class ListsAnswer(msgspec.Struct, frozen=True):
    """GET /api/board/{train}/lists."""

    train: str
    lists: tuple[ListAnswer, ...]


@endpoint(
    "GET",
    "/api/board/{train:str}/lists",
    Contract(
        right=Right.READ,
        summary="What else there is to look through for a train; a list never read has no value",
        answer=ListsAnswer,
        parts=("train",),
    ),
)
async def read_lists(request: Asked) -> Answer:
    """The lists of one train."""
    train = reading.name(request.path_params["train"], "train")

    async def make(connection: Connection, audience: Audience) -> bytes:
        found = await lists.of_train(connection, train)
        if found is None:
            raise Missing(f"there is no train {train!r}")
        return msgspec.json.encode(shown(found, audience))

    return await versioned(request, ("lists", train), make)


@endpoint(
    "PUT",
    "/api/board/lists",
    Contract(
        right=Right.BOT,
        summary="Tell what the searches for the board's lists found",
        body=ListsReport,
        status=HTTPStatus.NO_CONTENT,
    ),
)
async def put_lists(request: Asked) -> Answer:
    """Store the lists."""
    report = await reading.body(request, ListsReport)
    pairs = {(each.train, each.list) for each in report.lists}
    if len(pairs) != len(report.lists):
        raise InvalidInput("lists", expected="each train and list once", got=len(report.lists))
    for each in report.lists:
        if len({one.bug for one in each.bugs}) != len(each.bugs) or len(each.bugs) > MOST:
            raise InvalidInput("bugs", expected=f"each bug once, at most {MOST}", got=len(each.bugs))
    async with house(request).database.connection() as connection:
        await lists.save(connection, report)
    return nothing()


def shown(found: TrainLists, audience: Audience) -> ListsAnswer:
    """The lists of a train as one audience sees them; pure."""
    if not audience.sees_addresses:
        found = msgspec.convert(without_hosts(msgspec.json.decode(msgspec.json.encode(found))), TrainLists)
    by_list: dict[ListName, list[ListRow]] = {}
    for row in found.bugs:
        by_list.setdefault(row.list, []).append(_listed(row))
    for held in found.held:
        for place in held_places(held.held, found.train):
            by_list.setdefault(place.list, []).append(_held(held, place))
    is_read = found.requests_read_at is not None
    answers = [
        _answer(
            one.list,
            by_list.get(one.list, ()),
            audience,
            source="bugzilla",
            read_at=one.read_at,
            since=one.unavailable_since,
            reason=one.unavailable_reason,
        )
        for one in found.searched
    ] + [
        _answer(
            name,
            by_list.get(name, ()),
            audience,
            source="requests",
            read_at=found.requests_read_at,
            since=found.requests_unavailable_since,
            reason=found.requests_unavailable_reason if is_read else "requests were never read",
        )
        for name in held_of(found.train)
    ]
    order = list(ListName)
    return ListsAnswer(found.train.name, tuple(sorted(answers, key=lambda one: order.index(one.name))))


def _answer(
    name: ListName,
    rows: Iterable[ListRow],
    audience: Audience,
    *,
    source: str,
    read_at: datetime | None,
    since: datetime | None,
    reason: str | None,
) -> ListAnswer:
    every = sorted(rows, key=lambda one: (one.severity or "~", one.since or _NEVER, one.bug))
    seen = [one for one in every if audience.sees_restricted or not one.is_restricted]
    hidden = len(every) - len(seen)
    return ListAnswer(
        name=name,
        title=HEADINGS[name].title,
        rule=HEADINGS[name].rule,
        source=source,
        value=None if read_at is None else len(seen),
        restricted=hidden if audience.counts_restricted else None,
        read_at=read_at,
        unavailable_since=since,
        unavailable_reason=reason,
        rows=tuple(seen),
    )


def _listed(row: ListedRow) -> ListRow:
    return _row(row.facts, row.bug, None, row.sentence, row.since, row.is_restricted)


def _held(row: HeldRow, place: HeldPlace) -> ListRow:
    return _row(row.facts, row.bug, row.uid, place.sentence, place.since, row.is_restricted)


def _row(
    facts: BugFacts,
    bug: int,
    request: str | None,
    sentence: str,
    since: datetime | None,
    is_restricted: bool,
) -> ListRow:
    return ListRow(
        **msgspec.structs.asdict(facts),
        bug=bug,
        request=request,
        sentence=sentence,
        since=since,
        is_restricted=is_restricted,
    )


HANDLERS = [read_lists, put_lists]
