# SPDX-License-Identifier: MPL-2.0
"""What searches for prerequisites found, and how each prerequisite stands on its train now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from shipit.merge.advice import Advice, InTheWay, Prerequisite
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.needs import Need, OpenRequest, bugs_of, needs_of, stand, without
from shipit.uplift.report import SearchesReport

_SQL = load("advice")


class Advised(msgspec.Struct, frozen=True, kw_only=True):
    """What the last search of a request found, and its prerequisites as they stand now.

    tip, series_digest: the trial that it belongs to. advice: None with `reason` where nothing could be found.
    needs: the verified ones; seeming: those that do not merge themselves. is_current: of the train's tip and
    the request's patches as they are now.
    """

    request: str
    train: str
    tip: str
    series_digest: str
    advice: Advice | None
    reason: str | None
    searched_at: datetime
    took_ms: int | None
    engine: str
    needs: tuple[Need, ...]
    seeming: tuple[Need, ...]
    is_current: bool


async def save(connection: Connection, report: SearchesReport) -> int:
    """Store what was found and return how many; of gone requests and older searches nothing is kept."""
    if not report.searches:
        return 0
    rows = [
        msgspec.to_builtins(each)
        | {
            "needs": bugs_of(each.advice),
            "is_verified": each.advice is not None and each.advice.verified,
        }
        for each in report.searches
    ]
    cursor = await connection.execute(_SQL["save_advice"], {"searches": msgspec.json.encode(rows).decode()})
    return cursor.rowcount


async def of_requests(
    connection: Connection, uids: Collection[str], *, see_restricted: bool
) -> dict[str, Advised]:
    """What was found for some requests, by uid; the unsearched and the unseen are absent."""
    cursor = await connection.execute(
        _SQL["advice_of"], {"requests": list(uids), "see_restricted": see_restricted}
    )
    rows = await cursor.fetchall()
    contents = [None if row[4] is None else msgspec.convert(row[4], Advice) for row in rows]
    if not see_restricted:
        secret = await restricted_among(connection, {bug for one in contents for bug in _bugs_in(one)})
        contents = [None if one is None else without(one, secret) for one in contents]
    named = [
        one
        for content in contents
        if content is not None
        for one in (*content.prerequisites, *content.unverified)
    ]
    by_train = await open_on(
        connection,
        {row[1] for row in rows},
        bugs={one.bug for one in named if one.bug is not None},
        revisions={one.revision for one in named},
        see_restricted=see_restricted,
    )
    return {
        row[0]: _advised(row, content, by_train.get(row[1], ()))
        for row, content in zip(rows, contents, strict=True)
    }


def _bugs_in(advice: Advice | None) -> set[int]:
    """Every bug that an advice names."""
    if advice is None:
        return set()
    named: tuple[Prerequisite | InTheWay, ...] = (
        *advice.prerequisites,
        *advice.unverified,
        *advice.in_the_way,
    )
    return {one.bug for one in named if one.bug is not None}


async def restricted_among(connection: Connection, bugs: Collection[int]) -> set[int]:
    """Those of some bugs that are security bugs."""
    if not bugs:
        return set()
    cursor = await connection.execute(_SQL["restricted_among"], {"bugs": sorted(bugs)})
    return {int(row[0]) for row in await cursor.fetchall()}


async def open_on(
    connection: Connection,
    trains: Collection[str],
    *,
    bugs: Collection[int],
    revisions: Collection[str],
    see_restricted: bool,
) -> Mapping[str, Sequence[OpenRequest]]:
    """Train → its open requests that are of these bugs or hold these commits."""
    found: dict[str, list[OpenRequest]] = {}
    if not trains or not (bugs or revisions):
        return found
    wanted: dict[str, Any] = {"trains": list(trains), "bugs": list(bugs), "revisions": list(revisions)}
    cursor = await connection.execute(_SQL["open_on"], wanted | {"see_restricted": see_restricted})
    for train, uid, bug, state, series in await cursor.fetchall():
        one = msgspec.convert({"uid": uid, "bug": bug, "state": state, "series": series}, OpenRequest)
        found.setdefault(train, []).append(one)
    return found


def _advised(row: Sequence[Any], advice: Advice | None, requests: Sequence[OpenRequest]) -> Advised:
    return Advised(
        request=row[0],
        train=row[1],
        tip=row[2],
        series_digest=row[3],
        advice=advice,
        reason=row[5],
        searched_at=row[6],
        took_ms=row[7],
        engine=row[8],
        needs=needs_of(advice, requests),
        is_current=bool(row[9]),
        seeming=stand(advice.unverified if advice is not None else (), requests),
    )
