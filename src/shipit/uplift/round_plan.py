# SPDX-License-Identifier: MPL-2.0
"""What a round has to do: which bugs to read, which series to try, and when a conflict is news."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from shipit.merge.types import Outcome
from shipit.uplift.report import KnownBug, KnownRequest, KnownTrial
from shipit.uplift.types import Request, RequestState

# A rejected request is tried as well: whoever asks again wants to know, and a trial costs a millisecond.
OPEN = frozenset({RequestState.REQUESTED, RequestState.APPROVED, RequestState.REJECTED})
RETRY_AFTER = timedelta(minutes=10)
# Reading a bug again costs calls; what failed or was lacking then seldom changes without the bug changing.
READ_AGAIN_AFTER = timedelta(hours=1)
UNKNOWN = "Bugzilla does not show it to us now: it is restricted there, or gone"


class Task(StrEnum):
    """What a round does about a bug or a request."""

    READ = "read"
    KEEP = "keep"
    TRY = "try"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a plan. uid: the request a trial is for, None for what concerns the bug."""

    task: Task
    bug: int
    uid: str | None = None
    train: str | None = None
    reason: str = ""


def series_digest(request: Request) -> str:
    """Which patches are meant, in which order and version: what decides whether a trial is still of them."""
    said = "\n".join(
        f"{one.source}\t{one.name}\t{one.version}\t{one.missing or ''}" for one in request.series
    )
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()[:24]


def plan(
    known: Iterable[KnownBug],
    changed: Mapping[int, datetime],
    *,
    tips: Mapping[str, str | None],
    now: datetime,
    unknown: Collection[int] = (),
) -> tuple[Step, ...]:
    """What a round has to do before anything is read, bugs in ascending order.

    changed: bug → time of its last change, of every bug a search named. tips: train → head of its branch.
    unknown: known bugs that Bugzilla would not name (hidden or gone): kept, with the reason, and not tried.
    """
    steps: list[Step] = []
    held = {one.bug: one for one in known}
    for bug in sorted(held.keys() | changed.keys()):
        mine = held.get(bug)
        if mine is not None and bug not in changed and (bug in unknown or mine.is_hidden):
            if bug in unknown:
                steps.append(Step(task=Task.KEEP, bug=bug, reason=UNKNOWN))
            continue
        reason = _why_read(mine, changed.get(bug), now)
        if reason is not None:
            steps.append(Step(task=Task.READ, bug=bug, reason=reason))
            continue
        assert mine is not None
        for request in mine.requests:
            train = request.request.train
            why = why_try(request, tips.get(train), now=now)
            if why is not None:
                steps.append(Step(task=Task.TRY, bug=bug, uid=request.request.uid, train=train, reason=why))
    return tuple(steps)


def why_try(known: KnownRequest, tip: str | None, *, now: datetime) -> str | None:
    """Why a request's series is to be tried (again) now, None when it need not or cannot be."""
    request, trial = known.request, known.trial
    if request.state not in OPEN or not request.series or tip is None:
        return None
    if trial is None:
        return "never tried"
    if trial.series_digest != series_digest(request):
        return "the patches changed"
    if trial.tip != tip:
        return "the train moved"
    is_open = trial.outcome in (Outcome.ERROR, Outcome.MISSING) and now - trial.tried_at >= RETRY_AFTER
    return "the last trial could not tell" if is_open else None


def newly_fails(before: KnownTrial | None, after: Outcome, series: str) -> bool:
    """Whether a trial's conflict is news: the last thing known of these patches was not a conflict."""
    if after is not Outcome.CONFLICT:
        return False
    return before is None or before.outcome is not Outcome.CONFLICT or before.series_digest != series


def _why_read(known: KnownBug | None, changed: datetime | None, now: datetime) -> str | None:
    if known is None:
        return "new"
    if known.is_hidden:
        return "Bugzilla shows it to us again"
    # Bugzilla dates changes to the second: what was read within it may have been half of them.
    if changed is not None and (changed > known.changed or known.read_at - changed < timedelta(seconds=1)):
        return "changed in Bugzilla"
    if now - known.read_at < READ_AGAIN_AFTER:
        return None
    if known.analysis_error is not None:
        return f"its analysis failed: {known.analysis_error}"
    lacking = next((one.request.series_reason for one in known.requests if one.request.series_reason), None)
    return f"a patch was lacking: {lacking}" if lacking else None
