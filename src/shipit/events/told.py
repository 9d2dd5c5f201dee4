# SPDX-License-Identifier: MPL-2.0
"""An event, an effect and a source as the journal tells them: what lists and pages are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shipit.events.states import EffectState, EventState


class EffectRow(msgspec.Struct, frozen=True, kw_only=True):
    """One trigger of a route. payload: null where it holds what only some may see; created_at: when the route
    was found to want it."""

    id: int
    route: str
    sink: str
    dedup: str
    generation: int
    payload: Any
    task_id: str
    former_tasks: list[str]
    state: EffectState
    error_class: str | None
    error: str | None
    attempts: int
    recreations: int
    is_weak: bool
    created_at: datetime
    due_at: datetime | None
    fired_at: datetime | None
    task_state: str | None
    task_reason: str | None
    resolved_at: datetime | None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event with its effects. event: what it tells; told: how often it came; via: by what it came.

    heard_at: when the delivery reached us, by the listener's clock; received_at: when it was stored.
    """

    id: int
    key: str
    source: str
    exchange: str
    routing_key: str
    event: str | None
    subject: str
    state: EventState
    reason: str | None
    told: int
    looks: int
    heard_at: datetime | None
    received_at: datetime
    judged_at: datetime | None
    via: list[str]
    effects: list[EffectRow]


class SourceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One source. since: when is_connected last changed; depth: deliveries that wait at the broker.

    today, repeated: new events since midnight (UTC), and deliveries of those that were stored already.
    recent: new events of each ten minutes of the last five hours, oldest first.
    """

    name: str
    is_connected: bool
    since: datetime
    last_event_at: datetime | None
    last_ok_at: datetime | None
    error: str | None
    reconnects: int
    depth: int | None
    today: int = 0
    repeated: int = 0
    recent: list[int] = []
