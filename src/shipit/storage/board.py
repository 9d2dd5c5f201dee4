# SPDX-License-Identifier: MPL-2.0
"""What a train's board is made of."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec

from shipit.merge.types import Outcome
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.trains.types import Moment, Stage
from shipit.uplift.decision_types import Stamp
from shipit.uplift.told import Told
from shipit.uplift.types import RequestState
from shipit.uplift.verdicts import Until, Verdict

_SQL = load("board")

MOST_ROWS = 2000


class TrainFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A train as stored. shown, hidden: its open requests that may be seen, and that may not."""

    name: str
    channel: str
    version: str | None
    major: int | None
    repository: str
    branch: str
    stage: Stage
    next_build: Moment | None
    deadlines: tuple[Moment, ...]
    passed: tuple[Moment, ...]
    owner: str | None
    source: str
    read_at: datetime | None
    unavailable_since: datetime | None
    note: str | None
    tip: str | None
    tip_at: datetime | None
    tip_reason: str | None
    requests_read_at: datetime | None
    requests_unavailable_since: datetime | None
    requests_unavailable_reason: str | None
    shown: int
    hidden: int


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The newest decision about a request that was not taken back. state: of its writes to this bug."""

    verdict: Verdict
    person: str
    state: str
    at: datetime
    stamp: Stamp
    until: Until | None = None


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An open request with its newest trial. revision: of its bug. flags: the bug's own, name to status."""

    uid: str
    bug: int
    train: str
    state: RequestState
    target_major: int | None
    is_restricted: bool
    summary: str
    product: str
    component: str
    severity: str
    priority: str
    keywords: tuple[str, ...]
    tracking: str | None
    flags: dict[str, str]
    requested_by: str | None
    requested_at: datetime | None
    decided_by: str | None
    decided_at: datetime | None
    patches: int
    series_digest: str | None
    series_reason: str | None
    revision: int
    outcome: Outcome | None
    tip: str | None
    trial_digest: str | None
    tried_at: datetime | None
    reason: str | None
    files: tuple[str, ...]
    needs: tuple[int, ...]
    given: Given | None


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. requests: of the train (at most MOST_ROWS and one), and of the same bugs on others."""

    trains: tuple[TrainFacts, ...]
    requests: tuple[RequestFacts, ...]
    last_look: datetime | None


async def read(connection: Connection, train: str, *, see_restricted: bool, see_addresses: bool) -> Stored:
    """What the board of a train is made of, in one query."""
    cursor = await connection.execute(
        _SQL["board"],
        {
            "train": train,
            "see_restricted": see_restricted,
            "see_addresses": see_addresses,
            "limit": MOST_ROWS,
        },
        binary=True,
    )
    row = await cursor.fetchone()
    assert row is not None
    return msgspec.json.decode(bytes(row[0]), type=Stored)


async def told(connection: Connection, uids: Collection[str]) -> list[tuple[str, Told, int]]:
    """(uid, what its row is read out of, the bug's revision); whoever asks may see these requests."""
    if not uids:
        return []
    cursor = await connection.execute(_SQL["told"], {"uids": list(uids)}, binary=True)
    decode = msgspec.json.Decoder(Told).decode
    return [(row[0], decode(bytes(row[1])), int(row[2])) for row in await cursor.fetchall()]
