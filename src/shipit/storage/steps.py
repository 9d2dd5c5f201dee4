# SPDX-License-Identifier: MPL-2.0
"""The steps we serve, as stored: put once, claimed under a fence, recorded by who holds the newest one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from shipit.pipeline.states import Status
from shipit.pipeline.types import NewStep, Progress, StepRow, digest_of
from shipit.storage.pipelines import Listed
from shipit.storage.pool import Connection
from shipit.storage.statements import load

_SQL = load("steps")
LOCAL = ("timer", "manual", "uplifts")
"""Kinds of which a look asks nobody outside, so that none of it hangs."""


class Uplift(msgspec.Struct, frozen=True, kw_only=True):
    """An approved uplift request of a train. is_in_commit: that is built; None: nobody knows."""

    uid: str
    bug: int
    is_landed: bool
    is_restricted: bool
    is_closed: bool
    summary: str = ""
    is_in_commit: bool | None = None


async def put(connection: Connection, steps: Sequence[NewStep]) -> set[str]:
    """Store new steps; the uids of those that were not there."""
    if not steps:
        return set()
    flat = [
        {
            "kind": step.kind,
            "uid": step.uid,
            "parameters": step.parameters,
            "digest": digest_of(step.parameters),
            "pipeline": step.pipeline,
            "created_by": step.created_by,
            **{
                name: value
                for name, value in msgspec.structs.asdict(step.progress).items()
                if name != "notes"
            },
        }
        for step in steps
    ]
    cursor = await connection.execute(_SQL["put"], {"steps": Jsonb(flat)})
    return {str(row[0]) for row in await cursor.fetchall()}


async def read(connection: Connection, kind: str, uid: str) -> StepRow | None:
    """One step."""
    return await _one(connection, "read", kind, uid)


async def read_many(connection: Connection, kind: str, uids: Sequence[str]) -> list[StepRow]:
    """Those of these steps that there are."""
    cursor = await connection.execute(_SQL["read_many"], {"kind": kind, "uids": list(uids)})
    return [_row(row) for row in await cursor.fetchall()]


async def lock(connection: Connection, kind: str, uid: str) -> StepRow | None:
    """One step, nobody else's to change until the transaction ends."""
    return await _one(connection, "lock", kind, uid)


async def claim(
    connection: Connection,
    *,
    limit: int,
    lease: timedelta,
    each: int = 1000,
    busy: Mapping[str, int] | None = None,
) -> list[StepRow]:
    """Steps to look at now, ours until the lease ends; each claim raises the fence.

    each: how many of one service at most, of which there are `busy` already (`service_of`). Pipelines take
    turns, so that one with thousands of steps due does not hold up another.
    """
    values = {"limit": limit, "lease": lease, "each": each, "busy": Jsonb(busy or {}), "local": list(LOCAL)}
    cursor = await connection.execute(_SQL["claim"], values)
    return [_row(row) for row in await cursor.fetchall()]


def service_of(row: StepRow) -> str:
    """Who is asked when a step is looked at: the host of a remote one, else whatever its kind asks."""
    if row.kind != "remote":
        return row.kind
    return "/".join(str(row.parameters.get("api_url", "")).split("/")[:3])


async def renew(connection: Connection, rows: Sequence[StepRow], *, lease: timedelta) -> set[tuple[str, str]]:
    """Hold claims for another lease; (kind, uid) of those that are still ours."""
    cursor = await connection.execute(_SQL["renew"], {**_claims(rows), "lease": lease})
    return {(str(row[0]), str(row[1])) for row in await cursor.fetchall()}


async def give_back(connection: Connection, rows: Sequence[StepRow]) -> None:
    """End claims of ours before their leases do."""
    await connection.execute(_SQL["give_back"], _claims(rows))


async def record(connection: Connection, row: StepRow, progress: Progress) -> bool:
    """What came of a look; False when somebody else claimed the step meanwhile, and nothing is written."""
    values = _values(row, progress) | {"fence": row.fence}
    return await (await connection.execute(_SQL["record"], values)).fetchone() is not None


async def write(
    connection: Connection, row: StepRow, progress: Progress, *, wants_cancel: bool = False
) -> None:
    """Change a step whose lock we hold; whoever is looking at it meanwhile loses the claim."""
    await connection.execute(_SQL["write"], _values(row, progress) | {"wants_cancel": wants_cancel})


async def ask_cancel(connection: Connection, kind: str, uid: str) -> None:
    """Have a runner cancel a step that runs."""
    await connection.execute(_SQL["ask_cancel"], {"kind": kind, "uid": uid})


async def wake(connection: Connection, kind: str, uid: str) -> None:
    """Look at a step now."""
    await connection.execute(_SQL["wake"], {"kind": kind, "uid": uid})


async def wake_groups(connection: Connection, groups: Sequence[str]) -> None:
    """Look now at the steps that watch these task groups: Pulse told of them."""
    await connection.execute(_SQL["wake_groups"], {"groups": list(groups)})


async def is_known_task(connection: Connection, task: str) -> bool:
    """Whether a step has made this task."""
    row = await (await connection.execute(_SQL["is_known_task"], {"task": task})).fetchone()
    return bool(row and row[0])


async def watched_groups(connection: Connection, *, limit: int) -> dict[str, bool]:
    """Task groups of which news is wanted -> whether a step of theirs has ended, and only a rerun is news."""
    cursor = await connection.execute(_SQL["watched_groups"], {"limit": limit})
    return {str(row[0]): bool(row[1]) for row in await cursor.fetchall()}


async def remove(connection: Connection, kind: str, uid: str) -> None:
    """Remove a step."""
    await connection.execute(_SQL["remove"], {"kind": kind, "uid": uid})


async def page(
    connection: Connection, kind: str, *, status: str | None, after: str, limit: int
) -> list[Listed]:
    """Steps of a kind in the order of their uids."""
    values = {"kind": kind, "status": status, "after": after, "limit": limit}
    cursor = await connection.execute(_SQL["list"], values)
    return [Listed(uid=row[0], status=Status(row[1]), updated=row[2]) for row in await cursor.fetchall()]


async def uplifts(
    connection: Connection, train: str, major: int | None, *, revision: str = ""
) -> list[Uplift]:
    """The approved uplift requests of a train, of one major version or of all. revision: that is built."""
    values = {"train": train, "major": major, "revision": revision}
    cursor = await connection.execute(_SQL["uplifts"], values)
    return [
        Uplift(
            uid=row[0],
            bug=row[1],
            is_landed=row[2],
            is_restricted=row[3],
            is_closed=row[4],
            summary=row[5],
            is_in_commit=row[6],
        )
        for row in await cursor.fetchall()
    ]


def _claims(rows: Sequence[StepRow]) -> dict[str, Any]:
    return {
        "kinds": [row.kind for row in rows],
        "uids": [row.uid for row in rows],
        "fences": [row.fence for row in rows],
    }


def _values(row: StepRow, progress: Progress) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "uid": row.uid,
        "status": progress.status.value,
        "message": progress.message[:4000],
        "details": Jsonb(progress.details),
        "output": Jsonb(progress.output),
        "memory": Jsonb(progress.memory),
        "due_at": progress.due_at,
    }


async def _one(connection: Connection, statement: str, kind: str, uid: str) -> StepRow | None:
    cursor = await connection.execute(_SQL[statement], {"kind": kind, "uid": uid})
    row = await cursor.fetchone()
    return None if row is None else _row(row)


def _row(row: tuple[Any, ...]) -> StepRow:
    values: dict[str, Any] = dict(zip(StepRow.__struct_fields__, row, strict=True))
    values["status"] = Status(values["status"])
    return StepRow(**values)
