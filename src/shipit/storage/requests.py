# SPDX-License-Identifier: MPL-2.0
"""Uplift requests: what a report changes about them, and what people read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from shipit.merge.types import Outcome
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.report import BugReport, RequestReport
from shipit.uplift.types import RequestState

_SQL = load("requests")


class Shown(StrEnum):
    """Which requests a list holds: by state (open ones only), all open, all closed, or all."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a request, as far as a report may change it."""

    bug: int
    uid: str
    train: str
    state: str
    target_major: int | None
    series_digest: str | None
    is_closed: bool
    history: list[dict[str, Any]]


async def listed(
    connection: Connection,
    *,
    see_restricted: bool,
    see_addresses: bool,
    train: str | None = None,
    bug: int | None = None,
    state: Shown = Shown.OPEN,
    outcome: Outcome | None = None,
    is_untried: bool = False,
    after: str | None = None,
    limit: int = 500,
) -> bytes:
    """{"requests": […], "next": uid or null} as JSON: slim rows by train, then newest bug; one query.

    is_untried: only requests without a trial. after: `next` of the page before.
    """
    cursor = await connection.execute(
        _SQL["list_requests"],
        {
            "see_restricted": see_restricted,
            "see_addresses": see_addresses,
            "train": train,
            "bug": bug,
            "state": state.value,
            "outcome": "untried" if is_untried else outcome.value if outcome else None,
            "after": after,
            "limit": limit,
        },
        binary=True,
    )
    row = await cursor.fetchone()
    assert row is not None
    return bytes(row[0])


async def one(connection: Connection, uid: str, *, see_restricted: bool) -> tuple[bytes, int] | None:
    """A request whole as JSON, and its bug's revision; None when there is none that may be seen."""
    cursor = await connection.execute(
        _SQL["read_request"], {"uid": uid, "see_restricted": see_restricted}, binary=True
    )
    row = await cursor.fetchone()
    return None if row is None else (bytes(row[0]), int(row[1]))


async def close_all(connection: Connection, bug: int, *, now: datetime, reason: str) -> None:
    """Close every open request of a bug."""
    await connection.execute(_SQL["close_all"], {"bug": bug, "now": now, "reason": reason})


async def bug_of(connection: Connection, uid: str, *, see_restricted: bool) -> tuple[int, int] | None:
    """The bug of a request, and its revision; None when there is none that may be seen."""
    cursor = await connection.execute(_SQL["bug_of"], {"uid": uid, "see_restricted": see_restricted})
    row = await cursor.fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


def is_unchanged(report: BugReport, before: Mapping[str, Stored]) -> bool:
    """Whether storing the report's requests would change nothing."""
    seen = {each.request.uid: each for each in report.requests}
    if any(
        not old.is_closed and old.uid not in seen and old.train not in report.requests_kept
        for old in before.values()
    ):
        return False
    return all(
        (old := before.get(uid)) is not None and not entries(old, each, report.read_at)
        for uid, each in seen.items()
    )


def entries(old: Stored | None, new: RequestReport, at: datetime) -> list[dict[str, Any]]:
    """What a report adds to a request's history: objects {at, what, from, to, reason}; pure."""
    when = at.isoformat()
    request = new.request
    if old is None:
        return [{"at": when, "what": "seen", "from": None, "to": request.state.value, "reason": None}]
    found = [_retarget(each) for each in new.retargets]
    known = [
        {key: entry.get(key) for key in ("what", "from", "to", "major", "reason")} for entry in old.history
    ]
    more = [
        entry
        for entry in found
        if {key: entry[key] for key in ("what", "from", "to", "major", "reason")} not in known
    ]
    is_closed = request.state is RequestState.CLEARED
    changes = [
        ("state", old.state, request.state.value),
        ("series", old.series_digest, new.series_digest),
        ("target", old.target_major, new.target_major),
    ]
    if not more:
        changes.append(("train", old.train, request.train))
    if old.is_closed and not is_closed:
        changes.append(("reopened", "closed", "open"))
    return more + [
        {"at": when, "what": what, "from": before, "to": after, "reason": None}
        for what, before, after in changes
        if before != after
    ]


def _retarget(each: Any) -> dict[str, Any]:
    return {
        "at": each.at.isoformat(),
        "what": "retarget",
        "from": each.from_train,
        "to": each.to_train,
        "major": each.major,
        "reason": each.reason,
    }
