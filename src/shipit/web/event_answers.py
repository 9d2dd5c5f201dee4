# SPDX-License-Identifier: MPL-2.0
"""What the API of events is asked and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from shipit.events.standing import Hop, Outlook, Standing
from shipit.events.states import EffectState, EventState
from shipit.events.told import EffectRow, EventRow, SourceRow
from shipit.storage.journal_pages import Show

PLACE = 2**53 - 1
_Name = Annotated[str, Meta(min_length=1, max_length=300)]


class ShownEffect(EffectRow, frozen=True, kw_only=True):
    """A trigger with its standing. link: where its task is looked at; took: seconds from delivery to end."""

    standing: Standing
    link: str | None
    took: float | None
    hops: list[Hop]


class ShownEvent(EventRow, frozen=True, kw_only=True):
    """An event with its standing. name: what it is about; label: its source for people; link: where the thing
    it tells of is looked at; hops: of an event without effects, for each effect has its own."""

    name: str
    label: str
    link: str | None
    standing: Standing
    took: float | None
    hops: list[Hop]
    effects: list[ShownEffect]  # type: ignore[assignment]


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Events, newest first. next: `before` of the page that follows."""

    events: list[ShownEvent]
    next: int | None
    as_of: datetime


class EventAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One event. body: as it came, null where only some may see it or it is no text."""

    event: ShownEvent
    body: str | None
    cc: list[str]


class ShownSource(SourceRow, frozen=True, kw_only=True):
    """One source. lag_seconds: since its last sign of life, None before the first."""

    label: str
    lag_seconds: float | None
    standing: Standing


class SourcesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The sources. alive_at: when a listener last lived; is_alive: whether that is lately; oldest: seconds it
    waits, 0 when none does; failed: tasks that failed within a day, and what is in quarantine."""

    sources: list[ShownSource]
    alive_at: datetime | None
    is_alive: bool
    oldest_event_seconds: float
    oldest_effect_seconds: float
    stored: int
    due: int
    followed: int
    quarantined: int
    failed: int
    retention_days: int
    as_of: datetime


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An event in quarantine, or with a trigger in it. reasons: each with its route; tried: how often."""

    event: ShownEvent
    reasons: list[str]
    tried: int
    outlook: Outlook


class QuarantineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is in quarantine, newest first, bounded. may_replay: whether who asks may replay and skip."""

    held: list[Held]
    total: int
    may_replay: bool
    as_of: datetime


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events. before: `next` of the page before; show: a kind of list; state: of the event or of one of
    its effects; source: what a delivery comes from, or the name of a source."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Annotated[int, Meta(ge=1, le=PLACE)] | None = None
    show: Show = Show.ALL
    state: Annotated[str, Meta(pattern=f"^({'|'.join(sorted({*EventState, *EffectState}))})$")] | None = None
    route: _Name | None = None
    source: _Name | None = None
    key: _Name | None = None


class SkipBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why nothing shall happen."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The event is looked at again. effects: how many refused or skipped ones are tried again."""

    key: str
    effects: int


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """Whether anything waited that now does not."""

    key: str
    waited: bool
