# SPDX-License-Identifier: MPL-2.0
"""Try series on their trains' tips, many at once per repository."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from shipit.bot.doors import Doors
from shipit.bot.outlook import Outlook
from shipit.bot.patches import nothing_to_try, to_try
from shipit.errors import ShipitError
from shipit.merge.series import Request as Attempt
from shipit.merge.types import Outcome, Patch, PatchResult, SeriesResult
from shipit.uplift.report import Trial
from shipit.uplift.round_plan import series_digest
from shipit.uplift.types import Request

# Phabricator gives one diff for each call.
FETCHES_AT_ONCE = 4


async def try_all(doors: Doors, outlook: Outlook, requests: Sequence[Request]) -> dict[str, Trial]:
    """The trial of each request (by uid) on its train's tip; trains without a tip are left out."""
    diffs = doors.diffs
    repository = {train.name: train.repository for train in outlook.trains}
    found: dict[str, Trial] = {}
    attempts: dict[str, list[tuple[Request, Attempt]]] = {}
    waiting = [(one, tip) for one in requests if (tip := outlook.tips.get(one.train)) is not None]
    fetching = asyncio.Semaphore(FETCHES_AT_ONCE)

    async def had(request: Request) -> tuple[Patch, ...] | SeriesResult:
        if not request.series:
            return nothing_to_try(request.series_reason)
        async with fetching:
            return await to_try(request.series, diffs)

    series = await asyncio.gather(*(had(request) for request, _ in waiting))
    for (request, tip), patches in zip(waiting, series, strict=True):
        if isinstance(patches, SeriesResult):
            found[request.uid] = _trial(request, tip, patches, doors.now(), 0.0, "none")
        else:
            place = attempts.setdefault(repository[request.train], [])
            place.append((request, Attempt(onto=tip, series=patches)))
    for name, rows in attempts.items():
        found |= await _try_in(doors, name, rows)
    return found


async def _try_in(doors: Doors, repository: str, rows: Sequence[tuple[Request, Attempt]]) -> dict[str, Trial]:
    """Trials on one clone; a clone that cannot be opened makes each an error with the reason."""
    clone = doors.clones[repository]
    try:
        async with doors.trials(clone.folder) as engine:
            attempts = [attempt for _, attempt in rows]
            timed = await engine.run_timed(attempts)
            keys = await engine.keys(attempts)
            name = engine.name
    except ShipitError as error:
        return {
            request.uid: _trial(
                request, attempt.onto, _failed(request, error.detail), doors.now(), 0.0, "none"
            )
            for request, attempt in rows
        }
    now = doors.now()
    return {
        request.uid: _trial(request, attempt.onto, one.result, now, one.seconds * 1000, name, key)
        for (request, attempt), one, key in zip(rows, timed, keys, strict=True)
    }


def _trial(
    request: Request,
    tip: str,
    result: SeriesResult,
    now: datetime,
    took_ms: float,
    engine: str,
    key: str | None = None,
) -> Trial:
    return Trial(
        request=request.uid,
        train=request.train,
        tip=tip,
        series_digest=series_digest(request),
        key=key,
        result=result,
        tried_at=now,
        took_ms=took_ms,
        engine=engine,
    )


def _failed(request: Request, reason: str) -> SeriesResult:
    patches = tuple(PatchResult(patch.name, Outcome.ERROR, reason=reason) for patch in request.series)
    return SeriesResult(Outcome.ERROR, None, patches)
