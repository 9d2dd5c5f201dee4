# SPDX-License-Identifier: MPL-2.0
"""A delivery as it is stored: read, and judged by every route as far as it can be without asking anybody."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shipit.events.deliveries import read
from shipit.events.matching import Judgement, Trigger, judge_all
from shipit.events.routes import Route
from shipit.events.states import EventState
from shipit.events.types import NO_FACTS, Delivery, Event, Facts, Need, Unreadable


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a delivery. reason: why it is ignored, waits, or is in quarantine."""

    delivery: Delivery
    key: str
    state: EventState
    kind: str | None = None
    subject: str = ""
    reason: str | None = None
    triggers: tuple[Trigger, ...] = ()
    needs: tuple[Need, ...] = ()
    target: str | None = None


def hear(delivery: Delivery, routes: Iterable[Route], facts: Facts = NO_FACTS, *, instance: str) -> Heard:
    """Read and judge a delivery. Never raises."""
    event = read(delivery)
    if isinstance(event, Unreadable):
        return Heard(
            delivery=delivery, key=event.key, state=EventState.QUARANTINED, reason=event.reason[:1000]
        )
    judged = judge_all(event, routes, facts, instance=instance)
    state, reason = _state(judged)
    target = event.values.get("target")
    return Heard(
        delivery=delivery,
        key=event.key,
        state=state,
        kind=event.kind.value,
        subject=event.subject,
        reason=reason[:1000] if reason else None,
        triggers=judged.triggers,
        needs=judged.needs,
        target=target if isinstance(target, str) else None,
    )


def event_of(delivery: Delivery) -> Event | None:
    """The event of a delivery, None when it is unreadable."""
    event = read(delivery)
    return event if isinstance(event, Event) else None


def _state(judged: Judgement) -> tuple[EventState, str | None]:
    if judged.broken:
        return EventState.QUARANTINED, "; ".join(judged.broken.values())
    if judged.needs:
        return EventState.STORED, "; ".join(f"needs the {need.kind} {need.name}" for need in judged.needs)
    if judged.triggers:
        return EventState.MATCHED, None
    return EventState.IGNORED, judged.ignored
