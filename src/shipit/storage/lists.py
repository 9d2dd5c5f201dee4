# SPDX-License-Identifier: MPL-2.0
"""The board's lists besides the requests: what a search found, and what each is made of."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.trains.types import Train
from shipit.uplift.lists import Held, ListName
from shipit.uplift.report import ListsReport

_SQL = load("lists")


class BugFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a row of a list shows of a bug."""

    summary: str
    product: str
    component: str
    severity: str
    priority: str
    keywords: tuple[str, ...]
    assignee: str | None
    changed: datetime | None
    url: str | None


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """How the search for a list went. read_at: when it last could be read."""

    list: ListName
    read_at: datetime | None
    unavailable_since: datetime | None
    unavailable_reason: str | None


class ListedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A bug on a searched list."""

    list: ListName
    bug: int
    since: datetime
    sentence: str
    is_restricted: bool
    facts: BugFacts


class HeldRow(msgspec.Struct, frozen=True, kw_only=True):
    """An open request of the train."""

    uid: str
    bug: int
    is_restricted: bool
    facts: BugFacts
    held: Held


class TrainLists(msgspec.Struct, frozen=True, kw_only=True):
    """What the lists of one train are made of, restricted bugs included: who sees what is decided later."""

    train: Train
    requests_read_at: datetime | None
    requests_unavailable_since: datetime | None
    requests_unavailable_reason: str | None
    searched: tuple[Searched, ...]
    bugs: tuple[ListedRow, ...]
    held: tuple[HeldRow, ...]


async def save(connection: Connection, report: ListsReport) -> None:
    """Store a report; what an older one says of a list changes nothing."""
    await connection.execute(_SQL["save_lists"], {"lists": msgspec.json.encode(report.lists).decode()})


async def of_train(connection: Connection, train: str) -> TrainLists | None:
    """What the lists of a train are made of; None for an unknown train."""
    cursor = await connection.execute(_SQL["read_lists"], {"train": train}, binary=True)
    row = await cursor.fetchone()
    return None if row is None else msgspec.json.decode(bytes(row[0]), type=TrainLists)
