# SPDX-License-Identifier: MPL-2.0
"""The shapes of what is answered; PostgreSQL makes the bytes, the published schema and tests read this."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shipit.merge.neighbours import KeepBoth
from shipit.merge.types import Outcome, PatchResult
from shipit.trains.types import Moment, Stage
from shipit.uplift.needs import State
from shipit.uplift.types import Flag, Form, PatchRef, RequestState


class OutcomeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests of one state: in all, and by outcome of the newest trial ("untried": none)."""

    total: int
    outcomes: dict[str, int]


class TrainRow(msgspec.Struct, frozen=True, kw_only=True):
    """A train. open, counts: null where not readable. restricted: null unless only a number is shown."""

    name: str
    channel: str
    version: str | None
    major: int | None
    repository: str
    branch: str
    stage: Stage
    next_build: Moment | None
    deadlines: list[Moment]
    passed: list[Moment]
    owner: str | None
    source: str
    read_at: datetime | None
    unavailable_since: datetime | None
    tip: str | None
    tip_at: datetime | None
    tip_reason: str | None
    requests_read_at: datetime | None
    requests_unavailable_since: datetime | None
    requests_unavailable_reason: str | None
    open: int | None
    counts: dict[str, OutcomeCounts] | None
    restricted: int | None


class TrainsAnswer(msgspec.Struct, frozen=True):
    """GET /api/trains."""

    trains: list[TrainRow]


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """A request in a list. outcome: of its newest trial, if any; is_current: that was on today's tip."""

    uid: str
    bug: int
    train: str
    state: RequestState
    target_major: int | None
    is_open: bool
    is_restricted: bool
    summary: str
    product: str
    component: str
    severity: str
    priority: str
    requested_by: str | None
    requested_at: datetime | None
    decided_by: str | None
    decided_at: datetime | None
    patches: int
    series_reason: str | None
    outcome: Outcome | None
    reason: str | None
    files: list[str]
    series_digest: str | None
    trial_digest: str | None
    tip: str | None
    tried_at: datetime | None
    is_current: bool | None
    needs: list[int]
    revision: int


class RequestsAnswer(msgspec.Struct, frozen=True):
    """GET /api/requests. next: `after` of the next page, null on the last."""

    requests: list[RequestRow]
    next: str | None


class NeedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A commit to be uplifted first (shipit.merge.advice.Prerequisite), as it stands on this train now.

    request: the uid that asks for it there; null when nobody does, or nobody may see who. Of a security bug,
    for whoever may not see it: bug null, revision "withheld-" and a number, no subject and no author.
    """

    revision: str
    bug: int | None
    subject: str
    lines: int
    files: int
    author: str
    state: State
    request: str | None


class WayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of the train that owns the conflicting place (shipit.merge.advice.InTheWay)."""

    revision: str
    bug: int | None
    subject: str
    path: str
    author: str
    how: str


class AdviceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a conflict. next_step: a sentence; reason: its evidence, or why nothing is known.

    prerequisites: verified by merging, in main's order; is_series: too many to be wise. unverified: seem to
    be needed, and do not merge themselves. keep_both: with neighbours_only, a proposal, never landed truth.
    """

    next_step: str
    reason: str
    verified: bool
    is_series: bool
    prerequisites: list[NeedAnswer]
    unverified: list[NeedAnswer]
    neighbours_only: bool
    keep_both: list[KeepBoth]
    in_the_way: list[WayAnswer]
    searched_at: datetime
    took_ms: int | None
    engine: str


class TrialAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A trial. needs: bugs of verified prerequisites, 0 for a security bug that is not to be seen.

    advice: what is known of its conflict, null if nothing; of a request read by itself, on the trial that was
    searched for.
    """

    tip: str
    series_digest: str
    outcome: Outcome
    tree: str | None
    patches: list[PatchResult]
    tried_at: datetime
    took_ms: int | None
    engine: str
    needs: list[int] = []
    advice: AdviceAnswer | None = None


class WishRow(msgspec.Struct, frozen=True, kw_only=True):
    """A wish for a request; done_at null while it is open."""

    uid: str
    kind: str
    asked_at: datetime
    done_at: datetime | None


class RequestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /api/requests/{uid}. trials: newest first. history: objects {at, what, from, to, reason}."""

    uid: str
    bug: int
    train: str
    state: RequestState
    target_major: int | None
    is_restricted: bool
    summary: str
    product: str
    component: str
    attachments: list[int]
    series: list[PatchRef]
    series_digest: str | None
    series_reason: str | None
    requested_by: str | None
    requested_at: datetime | None
    decided_by: str | None
    decided_at: datetime | None
    form: Form | None
    first_seen: datetime
    last_seen: datetime
    closed_at: datetime | None
    history: list[dict[str, Any]]
    train_tip: str | None
    revision: int
    trials: list[TrialAnswer]
    wishes: list[WishRow]


class BugRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a bug, with its newest trial."""

    uid: str
    train: str
    state: RequestState
    target_major: int | None
    attachments: list[int]
    series: list[PatchRef]
    series_digest: str | None
    series_reason: str | None
    requested_by: str | None
    requested_at: datetime | None
    decided_by: str | None
    decided_at: datetime | None
    form: Form | None
    closed_at: datetime | None
    history: list[dict[str, Any]]
    train_tip: str | None
    trial: TrialAnswer | None


class BugAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /api/bugs/{bug}. facts: {url, contributors, landings, relations, analysis}."""

    id: int
    summary: str
    product: str
    component: str
    status: str
    resolution: str
    severity: str
    priority: str
    keywords: list[str]
    is_restricted: bool
    fields: dict[str, str]
    flags: list[Flag]
    changed: datetime | None
    read_at: datetime | None
    source: str
    facts: dict[str, Any]
    analysis_error: str | None
    revision: int
    gone_at: datetime | None
    requests: list[BugRequest]


class PersonAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A contributor; comment_private null for those who may not read it."""

    id: int
    email: str
    name: str
    avatar: str | None
    karma: int
    comment_public: str
    comment_private: str | None
    noted_by: str | None
    noted_at: datetime | None
    expires_at: datetime | None
    revision: int


class NoteRow(msgspec.Struct, frozen=True, kw_only=True):
    """A note about a contributor, or its end ("expired"). karma, comments: null when it no longer holds."""

    at: datetime
    by: str
    what: str
    expires_at: datetime
    is_valid: bool
    karma: int | None
    comment_public: str | None
    comment_private: str | None


class Claimed(msgspec.Struct, frozen=True):
    """PUT /api/mails/{key}: whether the caller is the one to send it."""

    claimed: bool
