# SPDX-License-Identifier: MPL-2.0
"""Landing plans of trains, as the bot makes them and the backend keeps and shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from shipit.merge.left_behind import Why
from shipit.merge.types import Outcome
from shipit.uplift.report import KnownBug, KnownRequest
from shipit.uplift.types import RequestState

# Plans that earlier versions made are made again.
VERSION = 1


class Scope(StrEnum):
    """Which requests a plan lands: those approved, or those that wait for a decision as well."""

    APPROVED = "approved"
    PENDING = "pending"


STATES = {
    Scope.APPROVED: frozenset({RequestState.APPROVED}),
    Scope.PENDING: frozenset({RequestState.APPROVED, RequestState.REQUESTED}),
}


class PlannedUplift(msgspec.Struct, frozen=True, kw_only=True):
    """One step: a request (uid) lands. revisions: its patches, in order. is_empty: it changes nothing."""

    request: str
    bug: int
    revisions: tuple[str, ...]
    subject: str
    is_empty: bool = False


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A request that does not merge on the tip alone. revisions: its patches. after: requests (uids).

    lands: it merges once those have landed; else it merges nowhere in the plan, and `after` excludes it.
    """

    request: str
    bug: int
    revisions: tuple[str, ...] = ()
    after: tuple[str, ...]
    reason: str
    lands: bool


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """Something to know of some requests (uids) of the plan, in words."""

    requests: tuple[str, ...]
    text: str


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of main that belongs to what the train carries or will, and is not on it. of: which commit."""

    revision: str
    bug: int | None
    subject: str
    of: str
    of_bug: int | None
    why: Why


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A request that could not be simulated, and why."""

    request: str
    bug: int
    reason: str


class TrainPlan(msgspec.Struct, frozen=True, kw_only=True):
    """In which order a train's uplifts land, simulated on its tip in main's order.

    sees_restricted: whether restricted bugs were among them. tip, main: commits it was made with; None with
    `reason` when none could be made. merges: how many were really done for it. took_ms: wall milliseconds.
    """

    train: str
    scope: Scope
    sees_restricted: bool
    key: str
    made_at: datetime
    tip: str | None = None
    main: str | None = None
    reason: str | None = None
    order: tuple[PlannedUplift, ...] = ()
    conflicts: tuple[Waiting, ...] = ()
    warnings: tuple[Warned, ...] = ()
    left_behind: tuple[Behind, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    merges: int = 0
    took_ms: float = 0.0

    @property
    def requests(self) -> tuple[str, ...]:
        """Every request that it names, each once."""
        named = [one.request for one in self.order]
        named += [one.request for one in self.conflicts]
        named += [one.request for one in self.left_out]
        return tuple(dict.fromkeys(named))


class PlansReport(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/plans/{train}: plans of one train that were made anew."""

    plans: tuple[TrainPlan, ...]


def plan_requests(
    bugs: Iterable[KnownBug], train: str, scope: Scope, *, sees_restricted: bool
) -> tuple[KnownRequest, ...]:
    """The requests that a plan of a train is of, in a fixed order."""
    found = [
        one
        for bug in bugs
        if sees_restricted or not (bug.is_restricted or bug.is_hidden)
        for one in bug.requests
        if one.request.train == train and one.request.state in STATES[scope]
        # a flag stays as it is when its patches land
        if one.trial is None or one.trial.outcome is not Outcome.LANDED
    ]
    return tuple(sorted(found, key=lambda one: one.request.uid))


def plan_key(requests: Iterable[KnownRequest], *, tip: str | None, main: str | None) -> str:
    """The same for as long as a plan would be the same: both heads, and which patches of which requests."""
    said = [str(VERSION), tip or "", main or ""]
    said += [f"{one.request.uid} {one.series_digest}" for one in requests]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:24]


def names_of(requests: Iterable[KnownRequest]) -> dict[str, str]:
    """uid → what people call it: by its bug, with the uid where a bug has several requests on the train."""
    listed = list(requests)
    bugs = [one.request.bug for one in listed]
    return {
        one.request.uid: f"bug {one.request.bug}"
        if bugs.count(one.request.bug) == 1
        else f"bug {one.request.bug} ({one.request.uid})"
        for one in listed
    }
