# SPDX-License-Identifier: MPL-2.0
"""Make what pages asked for of a worker with the clone: views of conflicts, and what changed in patches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import structlog

from shipit.bot.doors import Doors
from shipit.bot.outlook import Outlook
from shipit.bot.patches import Diffs, to_try
from shipit.bot.planning import requests_in
from shipit.errors import ShipitError
from shipit.merge.conflict_view import ConflictView
from shipit.merge.interdiff import InterdiffView, PatchInterdiff, compare_diffs, sentence
from shipit.merge.types import SeriesResult
from shipit.uplift.evidence_parts import CONFLICT, INTERDIFF
from shipit.uplift.report import DetailReport, Known, Wish
from shipit.uplift.round_plan import series_digest
from shipit.uplift.told import conflict_key, interdiff_key
from shipit.uplift.types import PatchRef, PatchSource, Request
from shipit.uplift.wording import version_of
from shipit.vcs.explaining import conflict_view
from shipit.vcs.opening import commit_diff

KINDS = frozenset((CONFLICT, INTERDIFF))
GONE = "the request is no longer open"
# A look comes every half minute: what takes longer keeps the trials of others waiting.
MAKING_SECONDS = 120.0

log = structlog.get_logger()


async def make_details(
    doors: Doors, outlook: Outlook, known: Known, *, only: int | None = None
) -> dict[str, str | None]:
    """Make and report what the wishes of these kinds ask for; by wish, why it could not be made, or None.

    only: the one bug that this round is about.
    """
    wishes = [one for one in known.wishes if one.kind in KINDS]
    held = {one.request.uid: one.request for one in requests_in(known.bugs)}
    outcome: dict[str, str | None] = {}
    for wish in wishes:
        request = held.get(wish.subject)
        if request is None:
            outcome[wish.uid] = GONE
        elif only in (None, request.bug):
            making = _make(doors, outlook, wish, request)
            (answer,) = await asyncio.gather(making, return_exceptions=True)
            outcome[wish.uid] = answer if isinstance(answer, str | None) else _surprised(wish, answer)
    return outcome


def _surprised(wish: Wish, error: BaseException) -> str:
    """One wish that we did not expect to be so must not end every round from now on."""
    if not isinstance(error, Exception):
        raise error
    log.error("detail.surprise", wish=wish.uid, kind=wish.kind, exc_info=error)
    return f"it cannot be made ({type(error).__name__})"


async def _make(doors: Doors, outlook: Outlook, wish: Wish, request: Request) -> str | None:
    try:
        async with asyncio.timeout(MAKING_SECONDS):
            if wish.kind == CONFLICT:
                return await _conflict(doors, outlook, request)
            return await _interdiff(doors, outlook, wish, request)
    except ShipitError as error:
        return error.detail
    except TimeoutError:
        return f"it took longer than {MAKING_SECONDS:g} s"


async def _conflict(doors: Doors, outlook: Outlook, request: Request) -> str | None:
    tip = outlook.tips.get(request.train)
    if tip is None:
        return outlook.reasons.get(request.train) or f"{request.train} has no tip"
    diffs = doors.diffs
    patches = await to_try(request.series, diffs)
    if isinstance(patches, SeriesResult):
        why = next((one.reason for one in patches.patches if one.reason), "there is nothing to try")
        view = ConflictView(tip=tip, reason=f"It cannot be shown: {why}.")
    else:
        clone = doors.clones[_repository(outlook, request)]
        async with doors.trials(clone.folder) as engine:
            view = await conflict_view(engine, tip, patches)
    await _report(doors, request, CONFLICT, conflict_key(series_digest(request), tip), view, doors.now())
    return None


async def _interdiff(doors: Doors, outlook: Outlook, wish: Wish, request: Request) -> str | None:
    if not wish.series:
        return "the older version of its patches is not known"
    diffs = doors.diffs
    repository = _repository(outlook, request)
    patches = [
        await _compared(doors, diffs, repository, older, newer)
        for older, newer in paired(wish.series, request.series)
    ]
    view = InterdiffView(
        older=wish.detail,
        newer=series_digest(request),
        patches=tuple(patches),
        sentence=sentence(patches),
    )
    key = interdiff_key(wish.detail, view.newer)
    await _report(doors, request, INTERDIFF, key, view, doors.now())
    return None


def paired(
    older: Sequence[PatchRef], newer: Sequence[PatchRef]
) -> list[tuple[PatchRef | None, PatchRef | None]]:
    """Which patch of a series became which: the same name; of the others the first the first, and so on."""
    before = {one.name: one for one in older}
    names = {one.name for one in newer}
    left = [one for one in older if one.name not in names]
    pairs: list[tuple[PatchRef | None, PatchRef | None]] = []
    for one in newer:
        mine = before.get(one.name)
        if mine is None and left:
            mine = left.pop(0)
        pairs.append((mine, one))
    return pairs + [(one, None) for one in left]


async def _compared(
    doors: Doors, diffs: Diffs, repository: str, older: PatchRef | None, newer: PatchRef | None
) -> PatchInterdiff:
    one = newer or older
    assert one is not None
    if older is None or newer is None:
        return PatchInterdiff(
            name=one.name,
            older=version_of(older) if older else None,
            newer=version_of(newer) if newer else None,
        )
    versions = (version_of(older), version_of(newer))
    if (older.source, older.name, older.version) == (newer.source, newer.name, newer.version):
        return PatchInterdiff(name=one.name, older=versions[0], newer=versions[1])
    both = [await _diff(doors, diffs, repository, each) for each in (older, newer)]
    failed = next((each for each in both if isinstance(each, str)), None)
    if failed is not None:
        return PatchInterdiff(name=one.name, older=versions[0], newer=versions[1], reason=failed)
    before, after = (each for each in both if isinstance(each, bytes))
    return compare_diffs(one.name, before, after, versions=versions)


async def _diff(doors: Doors, diffs: Diffs, repository: str, patch: PatchRef) -> bytes | str:
    """A patch's diff, or the reason why it cannot be had."""
    if patch.missing is not None:
        return patch.missing
    if patch.source is PatchSource.COMMIT:
        return await commit_diff(doors.clones[repository].folder, patch.version)
    return await diffs.read(patch)


async def _report(
    doors: Doors,
    request: Request,
    kind: str,
    key: str,
    view: ConflictView | InterdiffView,
    now: datetime,
) -> None:
    content: Mapping[str, object] = msgspec.to_builtins(view)
    report = {"request": request.uid, "kind": kind, "key": key, "content": content, "made_at": now}
    await doors.backend.put_detail(msgspec.convert(report, DetailReport))


def _repository(outlook: Outlook, request: Request) -> str:
    return next(train.repository for train in outlook.trains if train.name == request.train)
