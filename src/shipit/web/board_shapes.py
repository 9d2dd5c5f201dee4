# SPDX-License-Identifier: MPL-2.0
"""The shapes of a train's board."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shipit.uplift.board import Group
from shipit.uplift.board_rows import FormState, RowPerson, RowSize
from shipit.uplift.standing import Actor, Colour, StandingKey
from shipit.uplift.types import RequestState
from shipit.uplift.verdicts import Verdict


class BoardCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many open requests. value: as last read at `at`; null while they were never read.

    unavailable_since, reason: why there is no newer one. restricted: how many more there are that are not
    shown; null where not even the number is.
    """

    value: int | None
    at: datetime | None
    unavailable_since: datetime | None
    reason: str | None
    restricted: int | None


class BoardTab(msgspec.Struct, frozen=True, kw_only=True):
    """A train to switch to."""

    name: str
    title: str
    count: BoardCount


class BoardMoment(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of the calendar."""

    name: str
    label: str
    at: datetime
    is_whole_day: bool
    is_milestone: bool


class BoardTrain(msgspec.Struct, frozen=True, kw_only=True):
    """The train. build: name of the next build ("147.0b4"). tip_reason: why its branch cannot be read.

    passed: what of its cycle is over, from the beginning on; moments: what is to come.
    """

    name: str
    title: str
    channel: str
    version: str | None
    major: int | None
    repository: str
    branch: str
    tip: str | None
    tip_at: datetime | None
    tip_reason: str | None
    stage: str
    stage_words: str
    build: str | None
    next_build: BoardMoment | None
    passed: tuple[BoardMoment, ...]
    moments: tuple[BoardMoment, ...]
    owner: str | None
    source: str
    read_at: datetime | None
    unavailable_since: datetime | None
    note: str | None


class BoardSource(msgspec.Struct, frozen=True, kw_only=True):
    """How fresh a source is. trouble: why it cannot be read now, null while it can."""

    name: str
    at: datetime | None
    trouble: str | None


class BoardGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of rows: who has to act."""

    key: Group
    title: str
    why: str


class BoardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a request stands on a train. detail: a few words more, "" where none are needed."""

    request: str
    key: StandingKey
    word: str
    colour: Colour
    detail: str
    sentence: str
    notes: tuple[str, ...]
    actor: Actor
    at: datetime | None


class BoardDecided(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided here. state: of its writes ("held" while it can be taken back)."""

    verdict: Verdict
    word: str
    by: str
    at: datetime
    state: str


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """A request. here: on this train. others: of the same bug, by train; a train absent was not asked for.

    rank: among those to be decided by the same moment the lower comes first. digest, revision: what a
    decision made on this row was made on. says: words on the request's state beside the trial.
    """

    uid: str
    bug: int
    group: Group
    state: RequestState
    rank: int
    summary: str
    product: str
    component: str
    tags: tuple[str, ...]
    is_restricted: bool
    who: RowPerson | None
    requested_at: datetime | None
    risk: str | None
    form: FormState
    size: RowSize | None
    disagrees: tuple[str, ...]
    says: str
    here: BoardStatus
    others: dict[str, BoardStatus]
    decided: BoardDecided | None
    digest: str | None
    revision: int


class BoardAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /api/board/{train}. as_of: of the oldest source that matters. more: there are more rows than shown.

    groups: all there are, in order.
    """

    train: BoardTrain
    tabs: tuple[BoardTab, ...]
    count: BoardCount
    as_of: datetime | None
    sources: tuple[BoardSource, ...]
    groups: tuple[BoardGroup, ...]
    rows: tuple[BoardRow, ...]
    more: bool
