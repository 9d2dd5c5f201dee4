# SPDX-License-Identifier: MPL-2.0
"""The next merge day, out of the trains as the schedule has them: which merges, when, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from shipit.errors import Missing
from shipit.pipeline.templates import merges
from shipit.trains.types import Train

NIGHTLY, BETA, ESR, ENDED = "nightly", "beta", "esr", "ended"
MERGE_DAY = "merge_day"


class MergeDay(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge day does. at: when the calendar has it, None where it does not say. version: main becomes.

    merges: as the template `merge-day` takes them. reasons: what each follows from, for people.
    """

    at: datetime | None
    version: str
    merges: tuple[dict[str, Any], ...]
    reasons: tuple[str, ...]


def merge_day(trains: Sequence[Train]) -> MergeDay:
    """The merge day that comes next. Raises Missing when no train says which version main carries.

    An ESR begins with the version that beta carries exactly when the schedule names an ESR train of that
    version; all others are bumped. No version is known here.
    """
    alive = [train for train in trains if train.stage.value != ENDED and train.major is not None]
    main = next((train for train in alive if train.channel == NIGHTLY), None)
    beta = next((train for train in alive if train.channel == BETA), None)
    if main is None and beta is None:
        raise Missing("no train says which version comes next: the schedule has not been read yet")
    before = None if beta is None else beta.major
    carried = main.major if main is not None else None
    if carried is None:
        carried = (before or 0) + 1
    versions = {"main": carried} | ({} if before is None else {"beta": before})
    esrs = sorted({train.major for train in alive if train.channel == ESR and train.major})
    new = before if before in esrs else None
    older = [major for major in esrs if major != new]
    reasons = [f"main carries {carried} and becomes {carried + 1}"]
    if before is not None:
        reasons.append(f"beta carries {before}, which goes to release")
    if new is not None:
        reasons.append(f"the schedule names an ESR of {new}: it begins with this release")
    reasons += [f"ESR {major} goes on" for major in older]
    return MergeDay(
        at=_when(alive),
        version=str(carried + 1),
        merges=tuple(merges(versions, older, new_esr=new)),
        reasons=tuple(reasons),
    )


def _when(trains: Sequence[Train]) -> datetime | None:
    named = [moment.at for train in trains for moment in train.deadlines if moment.name == MERGE_DAY]
    return min(named, default=None)
