# SPDX-License-Identifier: MPL-2.0
"""Bugs and requests found by words, on every train."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.lists import ListName
from shipit.uplift.types import RequestState

_SQL = load("search")


class FoundIn(StrEnum):
    """Where a word stands. BUG: number, summary, component, keywords. FORM: also names of the patches."""

    BUG = "bug"
    PEOPLE = "people"
    FORM = "form"
    FILES = "files"


class Found(msgspec.Struct, frozen=True, array_like=True):
    """A request, or (request None) a bug on a list of a train. major, channel: of that train."""

    bug: int
    summary: str
    product: str
    component: str
    is_restricted: bool
    train: str
    request: str | None
    state: RequestState | None
    is_open: bool
    list: ListName | None
    found_in: tuple[FoundIn, ...]
    channel: str
    major: int | None


async def find(connection: Connection, text: str, *, see_restricted: bool, limit: int) -> list[Found]:
    """What holds every word of the text, or a word that begins so; open requests first, newest bug first."""
    cursor = await connection.execute(
        _SQL["search"], {"text": text, "see_restricted": see_restricted, "limit": limit}
    )
    return [msgspec.convert(row, Found) for row in await cursor.fetchall()]
