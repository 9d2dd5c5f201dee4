# SPDX-License-Identifier: MPL-2.0
"""What the original uplift API asks of the data: each answer one query over the rows that everybody uses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shipit.merge.types import PatchResult
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.types import Flag, Form, PatchRef, RequestState

_SQL = load("compat")


class Analysis(msgspec.Struct, frozen=True):
    """A train, as the original's "analysis". number: its id there. count: bugs with an open request on it."""

    number: int
    name: str
    major: int | None
    channel: str
    branch: str
    approval_flag: str | None
    count: int


class Noted(msgspec.Struct, frozen=True):
    """What is noted about a person now."""

    id: int
    name: str
    avatar: str | None
    karma: int
    comment_public: str
    comment_private: str


class OpenRequest(msgspec.Struct, frozen=True):
    """An open request with the results per patch of its newest trial. flag: the train's approval flag."""

    uid: str
    train: str
    branch: str
    flag: str | None
    state: RequestState
    attachments: list[int]
    series: list[PatchRef]
    form: Form | None
    newest: list[PatchResult] | None


class WholeBug(msgspec.Struct, frozen=True):
    """A bug with what the original's answer is made of. people: by address."""

    id: int
    summary: str
    product: str
    component: str
    status: str
    keywords: list[str]
    fields: dict[str, str]
    flags: list[Flag]
    facts: dict[str, Any]
    revision: int
    people: dict[str, Noted]
    requests: list[OpenRequest]


class BranchTrial(msgspec.Struct, frozen=True):
    """A trial on the train of one branch."""

    branch: str
    tip: str
    engine: str
    tried_at: datetime
    patches: list[PatchResult]


async def analyses(connection: Connection, *, see_restricted: bool) -> list[Analysis]:
    """Every train that goes on."""
    cursor = await connection.execute(_SQL["analyses"], {"see_restricted": see_restricted})
    return [Analysis(*row) for row in await cursor.fetchall()]


async def bugs(
    connection: Connection, *, see_restricted: bool, train: str | None = None, bug: int | None = None
) -> list[WholeBug]:
    """Bugs with an open request on a train, or one bug by number."""
    cursor = await connection.execute(
        _SQL["bugs"], {"see_restricted": see_restricted, "train": train, "bug": bug}
    )
    return [msgspec.convert(row[0], WholeBug) for row in await cursor.fetchall()]


async def set_version(connection: Connection, number: int, version: int) -> bool:
    """Store a train's major version; False when there is no such train."""
    cursor = await connection.execute(_SQL["set_version"], {"number": number, "version": version})
    return cursor.rowcount > 0


async def open_requests(
    connection: Connection, bug: int, *, see_restricted: bool
) -> list[tuple[str, str, str, str]]:
    """(uid, train, digest of the series, branch) of each open request of a bug."""
    cursor = await connection.execute(_SQL["open_requests"], {"bug": bug, "see_restricted": see_restricted})
    return [(row[0], row[1], row[2] or "", row[3]) for row in await cursor.fetchall()]


async def trials(connection: Connection, bug: int) -> list[BranchTrial]:
    """Every trial of a bug, oldest first."""
    cursor = await connection.execute(_SQL["trials"], {"bug": bug})
    return [
        BranchTrial(row[0], row[1], row[2], row[3], msgspec.convert(row[4], list[PatchResult]))
        for row in await cursor.fetchall()
    ]
