# SPDX-License-Identifier: MPL-2.0
"""The board of a train: its requests in the order in which people act, each with its word and its reason."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from shipit.errors import Missing
from shipit.storage import board
from shipit.storage.board import RequestFacts
from shipit.storage.pool import Connection
from shipit.uplift.board_rows import RowReading, newest_trial, read_row
from shipit.web import bodies, reading
from shipit.web.board_making import answer_of
from shipit.web.board_shapes import BoardAnswer
from shipit.web.bodies import Body
from shipit.web.house import Answer, Asked, Contract, endpoint
from shipit.web.lists import kept
from shipit.web.scopes import Right
from shipit.web.viewer import Audience

_MOST_READINGS = 6000


@endpoint(
    "GET",
    "/api/board/{train:str}",
    Contract(
        right=Right.READ,
        summary="The board of a train; a count that could not be read is null, never zero",
        answer=BoardAnswer,
        parts=("train",),
    ),
)
async def read_board(request: Asked) -> Answer:
    """The board of one train."""
    train = reading.name(request.path_params["train"], "train")
    return bodies.answer(request, await body_of(request, train))


async def body_of(request: Asked, train: str, *, audience: Audience | None = None) -> Body:
    """The answer for an audience (None: whoever asks), made once for each audience and version."""
    readings = _readings(request)
    now = datetime.now(UTC)

    async def make(connection: Connection, audience: Audience) -> bytes:
        return await content(connection, audience, train, readings=readings, now=now)

    # Sentences name times of today without the day, so another day is another answer.
    return await kept(request, ("board", train, now.date()), make, audience=audience)


HANDLERS = [read_board]


async def content(
    connection: Connection, audience: Audience, train: str, *, readings: Readings, now: datetime
) -> bytes:
    """The answer as JSON. Raises Missing for a train that is not there."""
    stored = await board.read(
        connection,
        train,
        see_restricted=audience.sees_restricted,
        see_addresses=audience.sees_addresses,
    )
    if not any(each.name == train for each in stored.trains):
        raise Missing(f"there is no train {train!r}")
    mine = [each for each in stored.requests if each.train == train]
    read = await readings.of(connection, mine)
    return msgspec.json.encode(answer_of(stored, train, read, audience=audience, now=now))


class Readings:
    """What rows say of forms and patches, as long as their bug and trial stay as they are; bounded."""

    def __init__(self, most: int = _MOST_READINGS) -> None:
        self._most = most
        self._kept: OrderedDict[str, tuple[object, RowReading]] = OrderedDict()

    async def of(self, connection: Connection, rows: Sequence[RequestFacts]) -> dict[str, RowReading]:
        """uid → reading of each row; only those that changed are read from the database."""
        keys = {row.uid: _key(row) for row in rows}
        found = {
            uid: kept[1]
            for uid, key in keys.items()
            if (kept := self._kept.get(uid)) is not None and kept[0] == key
        }
        facts = {row.uid: row for row in rows}
        for uid, told, _ in await board.told(connection, [uid for uid in keys if uid not in found]):
            row = facts[uid]
            found[uid] = read_row(
                told,
                needs=row.needs,
                trial=newest_trial(row.outcome, row.tip, row.trial_digest, row.tried_at),
                decided_by=row.decided_by,
            )
            self._keep(uid, keys[uid], found[uid])
        return found

    def _keep(self, uid: str, key: object, read: RowReading) -> None:
        self._kept[uid] = (key, read)
        self._kept.move_to_end(uid)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


def _key(row: RequestFacts) -> object:
    return (row.revision, row.series_digest, row.outcome, row.tried_at, row.needs, row.decided_by)


def _readings(request: Asked) -> Readings:
    state = request.app.state
    if "board_readings" not in state:
        state["board_readings"] = Readings()
    found = state["board_readings"]
    assert isinstance(found, Readings)
    return found
