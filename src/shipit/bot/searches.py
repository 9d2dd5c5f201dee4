# SPDX-License-Identifier: MPL-2.0
"""Search what conflicting series miss: after the trials were told, within a bound, and each conflict once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence

import msgspec
import structlog

from shipit.bot.doors import Doors
from shipit.bot.outlook import Outlook
from shipit.bot.patches import to_try
from shipit.errors import CommandFailed, InvalidInput
from shipit.merge.advice import advise
from shipit.merge.history import Entry
from shipit.merge.types import Outcome, SeriesResult
from shipit.uplift.needs import bugs_of, needs_of, next_step, open_requests, search_key, without
from shipit.uplift.report import Known, KnownRequest, Searched, SearchesReport
from shipit.vcs.drafts import Drafts
from shipit.vcs.ground import GitGround

NOT_HERE = "what it misses is looked for in git repositories only, and this one is Mercurial's"
# A search of hundreds of real conflicts took 0.3 s at most; whatever takes so long will not end soon.
SEARCH_SECONDS = 10.0
TOLD_TOGETHER = 20

log = structlog.get_logger()


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A conflicting request to be searched, on the tip of its newest trial."""

    known: KnownRequest
    tip: str

    @property
    def uid(self) -> str:
        """Of its request."""
        return self.known.request.uid

    def found(self, doors: Doors, **more: object) -> Searched:
        """What a search of it found."""
        facts: dict[str, object] = {
            "request": self.uid,
            "train": self.known.request.train,
            "tip": self.tip,
            "series_digest": self.known.series_digest,
            "key": search_key(self.tip, self.known.series_digest),
            "searched_at": doors.now(),
            **more,
        }
        return Searched(**facts)  # type: ignore[arg-type]


def unsearched(known: Known, outlook: Outlook, *, first: Collection[str] = ()) -> dict[str, list[Conflict]]:
    """Repository → conflicts on the trains' tips that nobody searched yet; those named `first` come first."""
    repository = {train.name: train.repository for train in outlook.trains}
    found: dict[str, list[Conflict]] = {}
    for bug in known.bugs:
        for one in bug.requests:
            trial, tip = one.trial, outlook.tips.get(one.request.train)
            if trial is None or tip is None or trial.outcome is not Outcome.CONFLICT:
                continue
            if (trial.tip, trial.series_digest) != (tip, one.series_digest):
                continue
            if one.searched != search_key(tip, one.series_digest):
                found.setdefault(repository[one.request.train], []).append(Conflict(known=one, tip=tip))
    return {name: sorted(rows, key=lambda row: row.uid not in first) for name, rows in found.items()}


async def search_in(
    doors: Doors, ground: GitGround, main: Entry, conflicts: Sequence[Conflict], *, until: float
) -> list[Searched]:
    """Search and tell the backend, until the loop's clock says so; what is left is for the next time."""
    found: list[Searched] = []
    told = 0
    for conflict in conflicts:
        if asyncio.get_running_loop().time() >= until:
            break
        one = await _search(doors, ground, main, conflict)
        if one is not None:
            found.append(one)
        if len(found) - told >= TOLD_TOGETHER:
            await doors.backend.put_advice(SearchesReport(searches=tuple(found[told:])))
            told = len(found)
    if found[told:]:
        await doors.backend.put_advice(SearchesReport(searches=tuple(found[told:])))
    return found


async def tell_none(doors: Doors, conflicts: Sequence[Conflict], reason: str) -> list[Searched]:
    """Tell the backend that nothing can be looked for, and why."""
    found = [one.found(doors, reason=reason) for one in conflicts]
    if found:
        await doors.backend.put_advice(SearchesReport(searches=tuple(found)))
    return found


async def _search(doors: Doors, ground: GitGround, main: Entry, conflict: Conflict) -> Searched | None:
    """What one search found; None for what may go better the next time."""
    diffs = doors.diffs
    request = conflict.known.request
    series = await to_try(request.series, diffs)
    if isinstance(series, SeriesResult):
        return None
    engine = f"git {ground.version}"
    started = time.perf_counter()
    try:
        async with asyncio.timeout(SEARCH_SECONDS):
            (tip,) = await ground.entries([conflict.tip])
            drafts = Drafts(ground, main)
            entries = await drafts.entries(series, tip=tip, bug=request.bug)
            advice = await advise(drafts.ground, entries, tip)
    except TimeoutError:
        reason = f"the search was given up after {SEARCH_SECONDS:g} s"
        return conflict.found(doors, reason=reason, engine=engine)
    except InvalidInput as error:
        return conflict.found(doors, reason=error.detail, engine=engine)
    except CommandFailed as error:
        log.warning("search.failed", request=request.uid, reason=error.detail)
        return None
    took = (time.perf_counter() - started) * 1000
    return conflict.found(doors, advice=advice, took_ms=took, engine=engine)


def step_words(known: Known, searched: Searched) -> str | None:
    """For a mail: what a conflict needs and what to do about it; None where nothing was found.

    It goes to people by mail: restricted bugs are not named in it, nor how they stand.
    """
    advice = searched.advice
    if advice is None or advice.outcome is not Outcome.CONFLICT:
        return None
    advice = without(advice, {bug.bug for bug in known.bugs if bug.is_restricted or bug.is_hidden})
    bugs = bugs_of(advice)
    requests = open_requests(known.bugs, searched.train)
    step = next_step(searched.train, advice, needs_of(advice, requests))
    return f"Needs {', '.join(f'bug {bug}' for bug in bugs)}. {step}" if bugs else step
