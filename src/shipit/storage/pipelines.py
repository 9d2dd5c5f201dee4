# SPDX-License-Identifier: MPL-2.0
"""Pipelines as stored: put once, locked and read in bulk, written in bulk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast

import msgspec
from msgspec.structs import replace
from psycopg.types.json import Jsonb

from shipit.pipeline.inner import Inner, inner_served
from shipit.pipeline.links import PIPELINE
from shipit.pipeline.states import State, Status
from shipit.pipeline.types import Definition, Facts, Node, Note, Served, Stop, digest_of
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.trains.types import Moment, Stage, Train

_SQL = load("pipelines")
MOST_LINES = 10_000
_decode = msgspec.json.Decoder(Definition).decode


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline with all its facts. parent: the pipeline of which it is a step."""

    facts: Facts
    status: Status
    parent: str | None = None
    created_by: str
    created_at: datetime
    updated_at: datetime


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the list."""

    uid: str
    status: Status
    updated: datetime
    product: str = ""
    version: str = ""
    created: datetime | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit as read."""

    at: datetime
    subject: str
    step: str
    actor: str
    what: str
    before: str
    after: str
    reason: str


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline after a decision."""

    uid: str
    status: Status
    due_at: datetime | None


async def put(
    connection: Connection,
    uid: str,
    given: dict[str, Any],
    definition: Definition,
    *,
    created_by: str,
    parent: str | None = None,
) -> bool:
    """Store a new pipeline with its steps; False when there is one of this uid already."""
    values = {
        "uid": uid,
        "given": Jsonb(given),
        "definition": Jsonb(definition),
        "digest": digest_of(given),
        "product": definition.product,
        "version": definition.version,
        "parent": parent,
        "created_by": created_by,
    }
    if await (await connection.execute(_SQL["put"], values)).fetchone() is None:
        return False
    steps = {
        "pipeline": uid,
        "uids": [step.uid for step in definition.steps],
        "allowed": [step.attempts for step in definition.steps],
        "kinds": [step.kind or "remote" for step in definition.steps],
    }
    await connection.execute(_SQL["put_steps"], steps)
    await wake(connection, [uid])
    return True


async def digest(connection: Connection, uid: str) -> str | None:
    """The digest of what was put; None when there is no such pipeline."""
    row = await (await connection.execute(_SQL["digest_of"], {"uid": uid})).fetchone()
    return None if row is None else str(row[0])


async def given(connection: Connection, uid: str) -> dict[str, Any] | None:
    """The parameters as they were put."""
    row = await (await connection.execute(_SQL["given_of"], {"uid": uid})).fetchone()
    return None if row is None else dict(row[0])


async def wake(connection: Connection, uids: Collection[str]) -> None:
    """Something was heard of these pipelines: somebody shall decide again."""
    await connection.execute(_SQL["wake"], {"uids": list(uids)})


async def take_due(connection: Connection, *, limit: int) -> tuple[list[str], bool]:
    """Pipelines to decide in this transaction, and whether there may be more."""
    cursor = await connection.execute(_SQL["woken"], {"limit": limit})
    woken = [str(row[0]) for row in await cursor.fetchall()]
    cursor = await connection.execute(_SQL["due"], {"limit": limit})
    due = [str(row[0]) for row in await cursor.fetchall()]
    return sorted({*woken, *due}), len(woken) == limit or len(due) == limit


async def set_aside(connection: Connection, uid: str, pause: timedelta) -> None:
    """Let a pipeline be decided again after a pause, whatever was heard of it."""
    await connection.execute(_SQL["set_aside"], {"uid": uid, "pause": pause})


async def time_now(connection: Connection) -> datetime:
    """What time it is for the database."""
    row = await (await connection.execute(_SQL["time_now"])).fetchone()
    assert row is not None
    return cast(datetime, row[0])


async def load_many(connection: Connection, uids: Collection[str], *, is_locked: bool) -> list[Stored]:
    """These pipelines with all their facts; locked for the transaction when they are to be written."""
    values = {"uids": list(uids)}
    cursor = await connection.execute(_SQL["lock" if is_locked else "read"], values)
    rows = await cursor.fetchall()
    if not rows:
        return []
    standing = await stops(connection)
    nodes: dict[str, dict[str, Node]] = {str(row[0]): {} for row in rows}
    stems = {str(row[0]): str(row[12] or row[0]) for row in rows}
    inner: dict[str, tuple[str, str]] = {}
    cursor = await connection.execute(_SQL["nodes"], values)
    for row in await cursor.fetchall():
        if row[0] in nodes:
            nodes[row[0]][row[1]] = _node(row)
            if row[5] == PIPELINE and row[15] is not None:
                inner[f"{stems[row[0]]}.{row[1]}.{row[3]}"] = (row[0], row[1])
    for key, told in (await _told(connection, inner)).items():
        uid, step = inner[key]
        node = nodes[uid][step]
        assert node.served is not None
        nodes[uid][step] = replace(node, served=inner_served(key, node.served.status, told))
    above = await _holds_above(connection, [row[0] for row in rows if row[13] is not None])
    return [
        Stored(
            facts=Facts(
                uid=row[0],
                stem=row[12] or "",
                definition=_definition(row[1]),
                nodes=nodes[row[0]],
                stops=standing,
                wants_cancel=row[3],
                hold=row[4] or above.get(row[0], ("", ""))[0],
                hold_by=row[5] if row[4] else above.get(row[0], ("", ""))[1],
            ),
            status=Status(row[6]),
            parent=row[13],
            created_by=row[9],
            created_at=row[10],
            updated_at=row[11],
        )
        for row in rows
    ]


async def _told(connection: Connection, inner: Collection[str]) -> dict[str, list[Inner]]:
    """The steps of pipelines that are steps of others, by the pipeline."""
    found: dict[str, list[Inner]] = {}
    if inner:
        cursor = await connection.execute(_SQL["inner"], {"uids": list(inner)})
        for row in await cursor.fetchall():
            step = Inner(uid=row[1], state=State(row[2]), note=row[3], output=row[4])
            found.setdefault(row[0], []).append(step)
    return found


async def _holds_above(connection: Connection, uids: Collection[str]) -> dict[str, tuple[str, str]]:
    """(reason, by whom) of the hold on a pipeline that these are within, where there is one."""
    if not uids:
        return {}
    cursor = await connection.execute(_SQL["holds_above"], {"uids": list(uids)})
    return {str(row[0]): (str(row[1]), str(row[2])) for row in await cursor.fetchall()}


async def write(
    connection: Connection,
    nodes: Sequence[tuple[str, Node]],
    pipelines: Sequence[Written],
    waits: Sequence[Written],
) -> None:
    """Write changed nodes as (pipeline, node), changed pipelines, and those of which only due_at is new."""
    if nodes:
        flat = [{"pipeline": uid, **_flat(node)} for uid, node in nodes]
        await connection.execute(_SQL["write_nodes"], {"nodes": Jsonb(flat)})
    if pipelines:
        await connection.execute(_SQL["write_pipelines"], {"pipelines": Jsonb(list(pipelines))})
    if waits:
        await connection.execute(_SQL["write_due"], {"pipelines": Jsonb(list(waits))})


async def tell(connection: Connection, uids: Collection[str]) -> None:
    """Tell open pages, when the transaction commits, that these pipelines changed; none: any of them."""
    await connection.execute(_SQL["tell"], {"uids": sorted(uids)[:51]})


async def set_cancel(connection: Connection, uid: str) -> None:
    """Somebody wants the pipeline cancelled."""
    await connection.execute(_SQL["set_cancel"], {"uid": uid})


async def set_hold(connection: Connection, uid: str, *, reason: str, by: str) -> None:
    """Hold a pipeline, or let it go with an empty reason."""
    await connection.execute(_SQL["set_hold"], {"uid": uid, "reason": reason, "by": by})


async def wake_within(connection: Connection, uid: str) -> None:
    """Decide the pipelines within this one again."""
    await connection.execute(_SQL["wake_within"], {"uid": uid})


async def remove(connection: Connection, uid: str) -> None:
    """Remove a pipeline with those within it; their audit stays."""
    await connection.execute(_SQL["remove"], {"uid": uid})


async def page(
    connection: Connection, *, status: str | None, product: str | None, after: str, limit: int
) -> list[Listed]:
    """Pipelines in the order of their uids."""
    values = {"status": status, "product": product, "after": after, "limit": limit}
    cursor = await connection.execute(_SQL["list"], values)
    return [
        Listed(
            uid=row[0], status=Status(row[1]), updated=row[2], product=row[3], version=row[4], created=row[5]
        )
        for row in await cursor.fetchall()
    ]


async def newest(
    connection: Connection, *, status: str | None, product: str | None, after: str, limit: int
) -> list[str]:
    """The uids of pipelines that are no steps of others, the newest first, behind one of them."""
    values = {"status": status, "product": product, "after": after, "limit": limit}
    cursor = await connection.execute(_SQL["newest"], values)
    return [str(row[0]) for row in await cursor.fetchall()]


async def stops(connection: Connection) -> tuple[Stop, ...]:
    """The stops that stand."""
    cursor = await connection.execute(_SQL["stops"])
    return tuple(
        Stop(
            uid=row[0],
            product=row[1],
            phase=row[2],
            reason=row[3],
            author=row[4],
            since=row[5],
            restart=row[6],
        )
        for row in await cursor.fetchall()
    )


async def put_stop(connection: Connection, stop: Stop) -> None:
    """Stop a product and phase, or everything."""
    await connection.execute(_SQL["put_stop"], msgspec.structs.asdict(stop))


async def set_restart(connection: Connection, uid: str, step: str) -> bool:
    """The signoff step whose success ends a stop; False when one is open already, or no such stop stands."""
    cursor = await connection.execute(_SQL["set_restart"], {"uid": uid, "step": step})
    return await cursor.fetchone() is not None


async def next_build(connection: Connection, product: str, version: str) -> int:
    """A build number of this version that nobody had."""
    cursor = await connection.execute(_SQL["next_build"], {"product": product, "version": version})
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def lock_builds(connection: Connection, product: str, version: str) -> None:
    """Whoever starts a build of this version waits until this transaction has ended."""
    await connection.execute(_SQL["lock_builds"], {"product": product, "version": version})


async def of_revision(
    connection: Connection, *, product: str, version: str, revision: str, template: str
) -> str | None:
    """The newest pipeline that builds this revision and was not cancelled."""
    values = {"product": product, "version": version, "revision": revision, "template": template}
    row = await (await connection.execute(_SQL["of_revision"], values)).fetchone()
    return None if row is None else str(row[0])


async def last_of(connection: Connection, product: str, template: str) -> tuple[str, str, int | None] | None:
    """The newest pipeline of a template: its uid, version and build."""
    values = {"product": product, "template": template}
    row = await (await connection.execute(_SQL["last_of"], values)).fetchone()
    return None if row is None else (str(row[0]), str(row[1]), row[2])


async def trains(connection: Connection) -> list[Train]:
    """The trains as the schedule had them last, as far as a merge day needs them."""
    cursor = await connection.execute(_SQL["trains"])
    return [
        Train(
            name=row[0],
            channel=row[1],
            repository=row[2],
            branch=row[3],
            major=row[4],
            stage=Stage(row[5]),
            deadlines=msgspec.convert(row[6], tuple[Moment, ...]),
        )
        for row in await cursor.fetchall()
    ]


async def tip(connection: Connection, train: str) -> tuple[str, datetime] | None:
    """The newest commit of a train that was seen, and when."""
    row = await (await connection.execute(_SQL["tip"], {"train": train})).fetchone()
    return None if row is None else (str(row[0]), row[1])


async def statuses(connection: Connection, uids: Collection[str]) -> dict[str, Status]:
    """How those of these pipelines stand that there are."""
    cursor = await connection.execute(_SQL["statuses"], {"uids": list(uids)})
    return {str(row[0]): Status(row[1]) for row in await cursor.fetchall()}


async def former_uplifts(
    connection: Connection, *, product: str, train: str, before: datetime
) -> set[int] | None:
    """The bugs that the build before contained, None when there was none."""
    values = {"product": product, "train": train, "before": before}
    row = await (await connection.execute(_SQL["uplifts_steps"], values)).fetchone()
    return None if row is None else {int(bug) for bug in row[0].get("contains", ())}


async def note(connection: Connection, notes: Iterable[Note]) -> None:
    """Add to the audit."""
    lines = list(notes)
    if lines:
        await connection.execute(
            _SQL["note"], {"notes": Jsonb([msgspec.structs.asdict(each) for each in lines])}
        )


async def history(connection: Connection, subject: str, *, limit: int = MOST_LINES) -> list[Event]:
    """The audit of a pipeline or step, oldest first; of a very long one the newest lines."""
    values = {"subject": subject, "limit": limit}
    cursor = await connection.execute(_SQL["history"], values)
    names = Event.__struct_fields__
    return [Event(**dict(zip(names, row, strict=True))) for row in await cursor.fetchall()]


async def durations(connection: Connection, product: str, steps: Collection[str]) -> dict[str, list[float]]:
    """Seconds that steps of these names took in pipelines of this product, the newest hundred successes."""
    if not steps:
        return {}
    values = {"product": product, "steps": sorted(steps)}
    found: dict[str, list[float]] = {}
    for row in await (await connection.execute(_SQL["durations"], values)).fetchall():
        found.setdefault(str(row[0]), []).append(float(row[1]))
    return found


@lru_cache(maxsize=512)
def _definition(text: str) -> Definition:
    return _decode(text)


def _node(row: tuple[Any, ...]) -> Node:
    served = None
    if row[15] is not None:
        served = Served(status=Status(row[15]), message=row[16], output=row[17], details=row[18])
    return Node(
        uid=row[1],
        state=State(row[2]),
        attempt=row[3],
        allowed=row[4],
        started_at=row[6],
        finished_at=row[7],
        deadline=row[8],
        retry_at=row[9],
        cause=row[10],
        note=row[11],
        by=row[12],
        is_released=row[13],
        output=row[14],
        served=served,
    )


def _flat(node: Node) -> dict[str, Any]:
    values = msgspec.structs.asdict(node)
    del values["served"]
    return values
