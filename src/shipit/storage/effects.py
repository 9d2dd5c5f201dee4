# SPDX-License-Identifier: MPL-2.0
"""The effects of events: claimed, fired, followed until their task is resolved."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import msgspec

from shipit.events.effects import Again, ErrorClass
from shipit.events.templates import storable
from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("journal")


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """An effect to fire. was_firing: a former try may have gone out; is_weak: its hook takes no task id."""

    id: int
    event: int
    route: str
    dedup: str
    generation: int
    sink: str
    payload: dict[str, Any]
    task_id: str
    attempts: int
    first_try_at: datetime
    is_weak: bool
    was_firing: bool
    recreations: int
    supersede: str | None


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A fired effect whose task is not known to be resolved."""

    id: int
    event: int
    route: str
    dedup: str
    generation: int
    task_id: str
    looks: int
    recreations: int
    wants_cancel: bool
    fired_at: datetime


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved task, for reports."""

    sink: str
    task_id: str
    state: str
    dedup: str


async def claim(connection: Connection, *, limit: int, lease: timedelta) -> list[Claimed]:
    """Effects that are due, marked as firing, oldest first; those whose claimant died too."""
    await connection.execute(_SQL["hurry"])
    found = await connection.execute(_SQL["claim_effects"], {"limit": limit, "lease": lease})
    return [
        Claimed(
            id=row[0],
            event=row[1],
            route=row[2],
            dedup=row[3],
            generation=row[4],
            sink=row[5],
            payload=row[6],
            task_id=row[7],
            attempts=row[8],
            first_try_at=row[9],
            is_weak=row[10],
            was_firing=row[11] == "firing",
            recreations=row[12],
            supersede=row[13],
        )
        for row in sorted(await found.fetchall(), key=itemgetter(0))
    ]


async def renew(connection: Connection, ids: Collection[int], *, lease: timedelta) -> None:
    """Go on holding claimed effects."""
    await connection.execute(_SQL["renew_effects"], {"ids": list(ids), "lease": lease})


async def usual_seconds(connection: Connection, routes: Collection[str]) -> dict[str, float]:
    """How long the last completed tasks of these routes took, the one in the middle; none: left out."""
    if not routes:
        return {}
    found = await connection.execute(_SQL["usual_seconds"], {"routes": sorted(routes)})
    return {route: float(seconds) for route, seconds in await found.fetchall() if seconds is not None}


async def superseded(connection: Connection, effect: int) -> bool:
    """Drop a claimed effect if something newer has replaced it meanwhile; whether it did."""
    return (await connection.execute(_SQL["superseded"], {"id": effect})).rowcount > 0


async def extend_weak(connection: Connection, effect: int, *, lease: timedelta) -> None:
    """Note, before the call, that it goes out without a task id."""
    await connection.execute(_SQL["extend_effect"], {"id": effect, "lease": lease})


async def fired(
    connection: Connection, effect: int, task_id: str, *, is_followed: bool, look_in: timedelta
) -> None:
    """The task exists; look_in: when its state is asked first."""
    values = {
        "id": effect,
        "task_id": task_id,
        "state": "fired" if is_followed else "done",
        "look_in": look_in,
    }
    await connection.execute(_SQL["hurry"])
    await connection.execute(_SQL["effect_fired"], values)


async def declined(connection: Connection, effect: int) -> None:
    """The hook made no task."""
    await connection.execute(_SQL["effect_declined"], {"id": effect})


async def again(connection: Connection, effect: int, verdict: Again) -> None:
    """Try again later."""
    await connection.execute(
        _SQL["effect_again"],
        {
            "id": effect,
            "when": verdict.when,
            "error": _words(verdict.detail),
            "error_class": verdict.error.value,
        },
    )


async def postponed(connection: Connection, effect: int, *, delay: timedelta) -> None:
    """The route's limit is reached; not a try."""
    await connection.execute(_SQL["effect_postponed"], {"id": effect, "delay": delay})


async def quarantined(connection: Connection, effect: int, error: ErrorClass, detail: str) -> None:
    """Nothing more without a person."""
    values = {"id": effect, "error": _words(detail), "error_class": error.value}
    await connection.execute(_SQL["effect_quarantined"], values)


async def fired_lately(connection: Connection, route: str) -> int:
    """How many effects of a route fired within the last hour."""
    row = await (await connection.execute(_SQL["fired_lately"], {"route": route})).fetchone()
    assert row is not None
    return int(row[0])


async def claim_followed(connection: Connection, *, limit: int, lease: timedelta) -> list[Followed]:
    """Fired effects whose task's state is to be asked."""
    found = await connection.execute(_SQL["claim_followed"], {"limit": limit, "lease": lease})
    return [_followed(row) for row in await found.fetchall()]


async def followed_by_task(connection: Connection, task_id: str) -> Followed | None:
    """The fired effect whose task this is."""
    row = await (await connection.execute(_SQL["followed_by_task"], {"task_id": task_id})).fetchone()
    return _followed(row) if row else None


async def followed_tasks(connection: Connection, *, limit: int = 1000) -> list[str]:
    """Ids of the tasks that are followed, newest first."""
    found = await connection.execute(_SQL["followed_tasks"], {"limit": limit})
    return [task for (task,) in await found.fetchall()]


async def task_seen(
    connection: Connection, effect: int, state: str | None, *, look_in: timedelta, error: str | None = None
) -> None:
    """Its task is not resolved; look_in: when to ask again; error: why it could not be asked."""
    values = {
        "id": effect,
        "task_state": state,
        "look_in": look_in,
        "error": _words(error) if error else None,
    }
    await connection.execute(_SQL["task_seen"], values)


async def task_resolved(connection: Connection, effect: int, state: str, reason: str | None) -> bool:
    """Its task is resolved; False when somebody else noted it first."""
    values = {"id": effect, "task_state": state, "task_reason": reason}
    return (await connection.execute(_SQL["task_resolved"], values)).rowcount > 0


async def task_again(
    connection: Connection, effect: int, task_id: str, state: str, reason: str | None
) -> bool:
    """The machines lost its task: another one, with this id, is due. False when somebody else noted it."""
    values = {"id": effect, "task_id": task_id, "task_state": state, "task_reason": reason}
    return (await connection.execute(_SQL["task_again"], values)).rowcount > 0


async def last_tasks(connection: Connection, route: str, *, limit: int) -> list[Resolved]:
    """The last resolved tasks of a route, newest first."""
    found = await connection.execute(_SQL["last_tasks"], {"route": route, "limit": limit})
    return [
        Resolved(sink=sink, task_id=task, state=state, dedup=dedup)
        for sink, task, state, dedup, _ in await found.fetchall()
    ]


async def is_known_task(connection: Connection, task_id: str) -> bool:
    """Whether an effect of ours has this task."""
    row = await (await connection.execute(_SQL["is_known_task"], {"task_id": task_id})).fetchone()
    return row is not None


def _followed(row: tuple[Any, ...]) -> Followed:
    return Followed(
        id=row[0],
        event=row[1],
        route=row[2],
        dedup=row[3],
        generation=row[4],
        task_id=row[5],
        looks=row[6],
        recreations=row[7],
        wants_cancel=row[8],
        fired_at=row[9],
    )


def _words(text: str) -> str:
    return str(storable(text))[:2000]
