# SPDX-License-Identifier: MPL-2.0
"""The event journal: deliveries stored once, looked at until judged, each with the effects it has.

Everything here is one statement or one transaction of the caller's; claims end by themselves, so that what a
killed listener held is taken up by the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from shipit.errors import Missing
from shipit.events.heard import Heard, hear
from shipit.events.matching import Trigger
from shipit.events.slugs import task_id
from shipit.events.states import EffectState, EventState
from shipit.events.templates import storable
from shipit.events.types import Delivery
from shipit.storage import sources
from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("journal")
_COLUMNS = (
    "key",
    "source",
    "exchange",
    "routing_key",
    "cc",
    "body",
    "via",
    "kind",
    "subject",
    "state",
    "reason",
)


class Recorded(msgspec.Struct, frozen=True):
    """How many deliveries of a batch were new, and how many effects they have."""

    new: int
    again: int
    effects: int


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event claimed for a look. looks: how many there were, this one included; told: how often it
    came until now."""

    id: int
    key: str
    delivery: Delivery
    looks: int
    received_at: datetime
    told: int


async def record(
    connection: Connection,
    heard: Sequence[Heard],
    *,
    instance: str,
    cursor: tuple[str, Any] | None = None,
    heard_at: datetime | None = None,
) -> Recorded:
    """Store a batch with its effects, and move a source's cursor, all or nothing.

    cursor: (source, new value). heard_at: when the batch reached us. A delivery that was stored before is
    counted; its effects exist already.
    """
    # in the order of keys, so that two listeners with the same deliveries cannot wait for each other
    batch = {one.key: one for one in heard}
    rows = [batch[key] for key in sorted(batch)]
    known: dict[str, tuple[int, bool]] = {}
    if rows:
        columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        for one in rows:
            for name, value in zip(_COLUMNS, _columns(one), strict=True):
                columns[name].append(value)
        found = await connection.execute(_SQL["insert_events"], {**columns, "heard_at": heard_at})
        known = {key: (number, is_new) for number, key, is_new in await found.fetchall()}
    effects = 0
    for one in rows:
        number, is_new = known[one.key]
        if not is_new:
            continue
        made = [await add_effect(connection, number, trigger, instance=instance) for trigger in one.triggers]
        effects += sum(made)
        if made and not any(made):
            await _same_as(connection, number, one.triggers)
        if one.target is not None:
            await connection.execute(_SQL["open_target"], {"target": one.target, "key": one.key})
            if one.state is EventState.IGNORED:
                await end_target(connection, number, "pass", f"nothing to do: {one.reason}")
    if cursor is not None:
        await connection.execute(_SQL["move_cursor"], {"name": cursor[0], "cursor": Jsonb(cursor[1])})
    new = sum(is_new for _, is_new in known.values())
    return Recorded(new, len(heard) - new, effects)


async def receive(connection: Connection, delivery: Delivery, *, source: str, instance: str) -> Heard:
    """Store one delivery of a webhook, and that its source brought it.

    A listener judges it, by the routes that it has in force.
    """
    heard = hear(delivery, (), instance=instance)
    if heard.state is not EventState.QUARANTINED:
        heard = msgspec.structs.replace(heard, state=EventState.STORED, reason=None)
    recorded = await record(connection, [heard], instance=instance, heard_at=datetime.now(UTC))
    await sources.heard(connection, source, new=recorded.new, again=recorded.again)
    return heard


def _columns(one: Heard) -> tuple[Any, ...]:
    delivery = one.delivery
    return (
        one.key,
        delivery.source,
        storable(delivery.exchange),
        storable(delivery.routing_key),
        storable("\n".join(key.replace("\n", " ") for key in delivery.cc)) if delivery.cc else "",
        delivery.body[: 1 << 20],
        delivery.via,
        one.kind,
        one.subject,
        one.state.value,
        storable(one.reason),
    )


async def add_effect(connection: Connection, event: int, trigger: Trigger, *, instance: str) -> bool:
    """Store a trigger of an event; whether it is new. What it supersedes is dropped or will be cancelled."""
    generation, wanted = 0, trigger.task_id
    if trigger.again:
        about = {"route": trigger.route, "dedup": trigger.dedup}
        newest = await (await connection.execute(_SQL["newest_generation"], about)).fetchone()
        if newest is not None and trigger.weight > newest[1]:
            generation = newest[0] + 1
            wanted = task_id(instance, trigger.route, trigger.dedup, f"generation {generation}")
    observes = trigger.mode == "observe"
    values = {
        "event": event,
        "route": trigger.route,
        "dedup": trigger.dedup,
        "generation": generation,
        "sink": trigger.sink,
        "payload": msgspec.json.encode(trigger.payload).decode(),
        "task_id": wanted,
        "supersede": trigger.supersede,
        "weight": trigger.weight,
        "state": (EffectState.OBSERVED if observes else EffectState.DUE).value,
        "debounce": timedelta(seconds=trigger.debounce),
    }
    made = await (await connection.execute(_SQL["insert_effect"], values)).fetchone()
    # none: somebody else's transaction stored it after this statement began
    if made is None or not made[2]:
        return False
    if trigger.supersede is not None and not observes:
        place = {**values, "id": made[0]}
        if await (await connection.execute(_SQL["heavier_effect"], place)).fetchone():
            await connection.execute(_SQL["supersede_effect"], place)
        else:
            await connection.execute(_SQL["supersede_effects"], place)
    return True


async def claim_looks(connection: Connection, *, limit: int, lease: timedelta) -> list[Look]:
    """Stored events that are due for a look, oldest first."""
    found = await connection.execute(_SQL["claim_events"], {"limit": limit, "lease": lease})
    return [
        Look(
            id=number,
            key=key,
            delivery=_delivery(source, exchange, routing_key, cc, body, via, key),
            looks=looks,
            received_at=received_at,
            told=told,
        )
        for number, key, source, exchange, routing_key, cc, body, via, looks, received_at, told in sorted(
            await found.fetchall(), key=itemgetter(0)
        )
    ]


async def renew_looks(connection: Connection, ids: Collection[int], *, lease: timedelta) -> None:
    """Go on holding claimed events."""
    await connection.execute(_SQL["renew_events"], {"ids": list(ids), "lease": lease})


async def judge(
    connection: Connection, look: Look, heard: Heard, *, instance: str, look_at: datetime | None = None
) -> int:
    """Store what came of a look: how many new effects. look_at: when to look again, for a state of stored."""
    new = 0
    for trigger in heard.triggers:
        new += await add_effect(connection, look.id, trigger, instance=instance)
    await connection.execute(
        _SQL["judge_event"],
        {
            "id": look.id,
            "told": look.told,
            "state": heard.state.value,
            "reason": storable(heard.reason),
            "kind": heard.kind,
            "subject": heard.subject or None,
            "look_at": look_at if heard.state is EventState.STORED else None,
        },
    )
    if heard.state is EventState.MATCHED and not new:
        await _same_as(connection, look.id, heard.triggers)
    if heard.state is EventState.IGNORED:
        await end_target(connection, look.id, "pass", f"nothing to do: {heard.reason}")
    return new


async def _same_as(connection: Connection, event: int, triggers: Sequence[Trigger]) -> None:
    """Note of which other event what this one triggers was triggered already, if it was of another one."""
    for trigger in triggers:
        about = {"event": event, "route": trigger.route, "dedup": trigger.dedup}
        await connection.execute(_SQL["same_as"], about)


async def end_target(connection: Connection, event: int, verdict: str, reason: str) -> None:
    """Say how the build target of an event, if it has one, ends: "pass" or "fail". The first word counts."""
    await connection.execute(
        _SQL["end_target"], {"event": event, "verdict": verdict, "reason": storable(reason)[:2000]}
    )


async def replay(connection: Connection, key: str) -> int:
    """Look at an event anew, and try its refused or skipped effects again; how many. Raises Missing.

    What was triggered already is not triggered twice.
    """
    event = await (await connection.execute(_SQL["replay_event"], {"key": key})).fetchone()
    if event is None:
        raise Missing(f"there is no event {key!r}")
    return (await connection.execute(_SQL["replay_effects"], {"event": event[0]})).rowcount


async def skip(connection: Connection, key: str, *, reason: str) -> bool:
    """Decide that nothing (more) shall happen of an event; False when nothing waited. Raises Missing."""
    if (await read_delivery(connection, key)) is None:
        raise Missing(f"there is no event {key!r}")
    values = {"key": key, "reason": storable(reason)[:500]}
    events = (await connection.execute(_SQL["skip_event"], values)).rowcount
    effects = (await connection.execute(_SQL["skip_effects"], values)).rowcount
    return events + effects > 0


async def read_delivery(connection: Connection, key: str) -> Delivery | None:
    """The delivery as it came, None when there is no such event."""
    return (await read_deliveries(connection, [key])).get(key)


async def read_deliveries(connection: Connection, keys: Iterable[str]) -> dict[str, Delivery]:
    """The deliveries of these events by key, as they came."""
    found = await connection.execute(_SQL["read_deliveries"], {"keys": list(keys)})
    return {row[6]: _delivery(*row) for row in await found.fetchall()}


async def known_diffs(connection: Connection, keys: Iterable[str]) -> set[str]:
    """Which of these keys are stored already."""
    found = await connection.execute(_SQL["known_diffs"], {"keys": sorted(keys)})
    return {key for (key,) in await found.fetchall()}


async def purge(connection: Connection, *, age: timedelta, limit: int = 2000) -> int:
    """Delete up to `limit` old events that nothing waits for, and old counts; how many events."""
    await connection.execute(_SQL["purge_counts"])
    return (await connection.execute(_SQL["purge"], {"age": age, "limit": limit})).rowcount


def _delivery(
    source: str, exchange: str, routing_key: str, cc: list[str], body: bytes, via: str | None, key: str
) -> Delivery:
    return Delivery(
        source=source,
        exchange=exchange,
        routing_key=routing_key,
        cc=tuple(cc),
        body=bytes(body),
        via=via or "",
        key=key,
    )
