# SPDX-License-Identifier: MPL-2.0
"""Bugs: taking the bot's reports, each by itself, and reading them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from shipit.errors import InvalidInput
from shipit.storage import people, requests, trials
from shipit.storage.pool import Connection, translated
from shipit.storage.requests import Stored
from shipit.storage.statements import load
from shipit.uplift.needinfos import Needinfo
from shipit.uplift.report import HIDDEN, BugReport, BugsReport, BugsTaken, BugTaken, Contributor

_SQL = load("bugs")
GONE = "no longer requested in Bugzilla"
HIDDEN_REASON = "Bugzilla no longer shows this bug to the bot: it is restricted there, or gone"


class _Old(msgspec.Struct, frozen=True):
    """What is stored of a bug."""

    digest: str | None
    read_at: datetime | None
    is_gone: bool


class _Refusal(Exception):
    """One bug of a report cannot be taken; the others can."""


async def take(connection: Connection, report: BugsReport) -> BugsTaken:
    """Store a report within the caller's transaction; a bug that cannot be taken leaves the others alone.

    Taking the same report twice changes nothing the second time. An older reading than the stored is refused.
    """
    if report.hidden:
        hidden = {"bugs": list(report.hidden), "digest": HIDDEN, "reason": HIDDEN_REASON}
        await connection.execute(_SQL["hide_bugs"], hidden)
    numbers = [each.bug for each in report.bugs]
    uids = [each.request.uid for bug in report.bugs for each in bug.requests]
    old, before, known = await _stored(connection, numbers, uids)
    owners = {uid: bug for bug, by_uid in before.items() for uid in by_uid}
    taken: dict[int, BugTaken] = {}
    for each in sorted(report.bugs, key=lambda bug: bug.bug):
        if each.bug in taken:
            continue
        try:
            _check(each, old.get(each.bug), owners, known, is_twice=numbers.count(each.bug) > 1)
            mine = before.get(each.bug, {})
            taken[each.bug] = await _take_one(connection, each, old.get(each.bug), mine)
        except (_Refusal, InvalidInput) as error:
            taken[each.bug] = BugTaken(bug=each.bug, result="refused", reason=str(error))
    return BugsTaken(bugs=tuple(taken[number] for number in numbers))


async def detail(connection: Connection, bug: int, *, see_restricted: bool) -> tuple[bytes, int] | None:
    """A bug whole as JSON, and its revision; None when there is none that may be seen."""
    cursor = await connection.execute(
        _SQL["read_bug"], {"bug": bug, "see_restricted": see_restricted}, binary=True
    )
    row = await cursor.fetchone()
    return None if row is None else (bytes(row[0]), int(row[1]))


async def revision(connection: Connection, bug: int, *, see_restricted: bool) -> int | None:
    """The revision of a bug; None when there is none that may be seen."""
    cursor = await connection.execute(_SQL["revision_of"], {"bug": bug, "see_restricted": see_restricted})
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def known(connection: Connection) -> bytes:
    """What the backend knows (shipit.uplift.report.Known) as JSON."""
    cursor = await connection.execute(_SQL["known"], binary=True)
    row = await cursor.fetchone()
    assert row is not None
    return bytes(row[0])


async def drop(connection: Connection, bug: int, *, now: datetime, reason: str) -> bool:
    """Close every request of a bug that is no longer of interest; False when there is no such bug."""
    cursor = await connection.execute(_SQL["drop_bug"], {"bug": bug, "now": now})
    if cursor.rowcount == 0:
        return False
    await requests.close_all(connection, bug, now=now, reason=reason)
    return True


async def _stored(
    connection: Connection, numbers: list[int], uids: list[str]
) -> tuple[dict[int, _Old], dict[int, dict[str, Stored]], frozenset[str]]:
    """The bugs, locked; then the requests by bug and uid, and the names of the trains."""
    async with connection.pipeline():
        locked = await connection.execute(_SQL["lock_bugs"], {"bugs": numbers})
        # A statement of its own: what is read must be as it is once the lock is ours.
        around = await connection.execute(_SQL["stored_around"], {"bugs": numbers, "uids": uids})
    old = {row[0]: _Old(row[1], row[2], row[4]) for row in await locked.fetchall()}
    row = await around.fetchone()
    assert row is not None
    before: dict[int, dict[str, Stored]] = {}
    for each in msgspec.convert(row[0], list[Stored]):
        before.setdefault(each.bug, {})[each.uid] = each
    return old, before, frozenset(row[1])


def _check(
    report: BugReport, old: _Old | None, owners: Mapping[str, int], known: frozenset[str], *, is_twice: bool
) -> None:
    if is_twice:
        raise _Refusal("the report has this bug twice")
    if report.bug <= 0:
        raise _Refusal("a bug's number is positive")
    if old is not None and old.read_at is not None and report.read_at < old.read_at:
        raise _Refusal(f"this was read before what is stored (read at {old.read_at.isoformat()})")
    uids = [each.request.uid for each in report.requests]
    if len(set(uids)) != len(uids):
        raise _Refusal("the report has a request of this bug twice")
    for each in report.requests:
        request = each.request
        if request.bug != report.bug or owners.get(request.uid, report.bug) != report.bug:
            raise _Refusal(f"the request {request.uid} is of another bug")
        if request.train not in known:
            raise _Refusal(f"there is no train {request.train!r}")
        if each.trial is not None and (each.trial.request, each.trial.train) != (request.uid, request.train):
            raise _Refusal(f"the trial of {request.uid} is of another request or train")


async def _take_one(
    connection: Connection, report: BugReport, old: _Old | None, mine: Mapping[str, Stored]
) -> BugTaken:
    """One bug in its own savepoint."""
    is_same = old is not None and not old.is_gone and old.digest == report.digest
    if is_same and requests.is_unchanged(report, mine):
        made = [each.trial for each in report.requests if each.trial is not None]
        if made:
            with translated():
                async with connection.transaction():
                    await trials.add(connection, made)
        return BugTaken(bug=report.bug, result="unchanged")
    with translated():
        async with connection.transaction():
            await connection.execute(_SQL["take_bug"], _row(report, mine))
    return BugTaken(bug=report.bug, result="created" if old is None else "updated")


class _Facts(msgspec.Struct, frozen=True):
    """What of a report is kept as one JSON object."""

    url: str
    needinfos: tuple[Needinfo, ...]
    contributors: tuple[Contributor, ...]
    landings: tuple[dict[str, object], ...]
    relations: dict[str, tuple[int, ...]]
    analysis: dict[str, object] | None


def _row(report: BugReport, mine: Mapping[str, Stored]) -> dict[str, object]:
    facts = _Facts(
        report.url,
        report.needinfos,
        report.contributors,
        report.landings,
        report.relations,
        report.analysis,
    )
    more = {
        each.request.uid: requests.entries(mine.get(each.request.uid), each, report.read_at)
        for each in report.requests
    }
    return {
        "bug": report.bug,
        "summary": report.summary,
        "product": report.product,
        "component": report.component,
        "status": report.status,
        "resolution": report.resolution,
        "severity": report.severity,
        "priority": report.priority,
        "keywords": list(report.keywords),
        "groups": list(report.groups),
        # A bug in any group is restricted, whatever the reporter thinks.
        "is_restricted": report.is_restricted or bool(report.groups),
        "fields": msgspec.json.encode(report.fields).decode(),
        "flags": msgspec.json.encode(report.flags).decode(),
        "changed": report.changed,
        "read_at": report.read_at,
        "digest": report.digest,
        "facts": msgspec.json.encode(facts).decode(),
        "analysis_error": report.analysis_error,
        "source": report.source,
        "requests": msgspec.json.encode(report.requests).decode(),
        "more": msgspec.json.encode(more).decode(),
        "seen": list(more),
        "kept": list(report.requests_kept),
        "reason": GONE,
        "people": msgspec.json.encode(people.ordered(report.contributors)).decode(),
    }
