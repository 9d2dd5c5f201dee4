# SPDX-License-Identifier: MPL-2.0
"""The listener's journal over HTTP: what was heard and what came of it; sources; replay and skip."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shipit.errors import Missing
from shipit.events.states import EffectState, EventState
from shipit.storage import journal, sources
from shipit.storage.pool import Connection
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, viewer
from shipit.web.scopes import Right
from shipit.web.viewer import Audience

OPEN_SOURCES = frozenset({"pulse", "pushlog"})
"""What they tell anybody may read where it comes from; the others tell us what only we may see."""
_Name = Annotated[str, Meta(min_length=1, max_length=300)]
_PLACE = 2**53 - 1


class EffectRow(msgspec.Struct, frozen=True, kw_only=True):
    """One trigger of a route. payload: null where it holds what only some may see."""

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
    due_at: datetime | None
    fired_at: datetime | None
    task_state: str | None
    task_reason: str | None
    resolved_at: datetime | None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event with its effects. event: what it tells; told: how often it came."""

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
    received_at: datetime
    judged_at: datetime | None
    effects: list[EffectRow]


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Events, newest first. next: `before` of the page that follows."""

    events: list[EventRow]
    next: int | None


class EventAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One event. body: as it came, null where only some may see it or it is no text."""

    event: EventRow
    body: str | None


class SourceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One source. lag_seconds: since its last sign of life, None before the first; depth: deliveries that
    wait at the broker."""

    name: str
    is_connected: bool
    since: datetime
    last_event_at: datetime | None
    last_ok_at: datetime | None
    error: str | None
    reconnects: int
    depth: int | None
    lag_seconds: float | None = None


class SourcesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The sources. alive_at: when a listener last lived; oldest: seconds it waits, 0 when none does."""

    sources: list[SourceRow]
    alive_at: datetime | None
    oldest_event_seconds: float
    oldest_effect_seconds: float
    stored: int
    due: int
    followed: int
    quarantined: int


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events. before: `next` of the page before; state: of the event or of one of its effects."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Annotated[int, Meta(ge=1, le=_PLACE)] | None = None
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


_rows = msgspec.json.Decoder(list[EventRow])
_sources = msgspec.json.Decoder(list[SourceRow])


@endpoint(
    "GET",
    "/api/events",
    Contract(
        right=Right.USER,
        summary="The journal, newest first, each event with its effects",
        query=EventsQuery,
        answer=EventsAnswer,
    ),
)
async def list_events(request: Asked) -> Answer:
    """A page of the journal."""
    query = reading.query(request, EventsQuery)
    async with house(request).database.connection() as connection:
        rows = _rows.decode(await journal.list_events(connection, **msgspec.structs.asdict(query)))
    shown = [visible(row, viewer(request).audience) for row in rows]
    more = rows[-1].id if len(rows) == query.limit else None
    return json_answer(EventsAnswer(events=shown, next=more))


@endpoint(
    "GET",
    "/api/events/{event:str}",
    Contract(
        right=Right.USER,
        summary="One event by its key (or its id), with the body as it came",
        answer=EventAnswer,
        parts=("event",),
    ),
)
async def read_event(request: Asked) -> Answer:
    """One event."""
    audience = viewer(request).audience
    async with house(request).database.connection() as connection:
        row = await _find(connection, request)
        delivery = await journal.read_delivery(connection, row.key)
    body = None
    if delivery is not None and shows_body(row, audience):
        body = _text(delivery.body)
    return json_answer(EventAnswer(event=visible(row, audience), body=body))


@endpoint(
    "GET",
    "/api/sources",
    Contract(right=Right.USER, summary="Where each source of events stands", answer=SourcesAnswer),
)
async def list_sources(request: Asked) -> Answer:
    """The sources."""
    async with house(request).database.connection() as connection:
        return json_answer(await read_sources(connection, now=datetime.now(UTC)))


@endpoint(
    "POST",
    "/api/events/{event:str}/replay",
    Contract(
        right=Right.REPLAY,
        summary="Look at an event again and try its refused effects again; nothing is triggered twice",
        answer=Replayed,
        parts=("event",),
    ),
)
async def replay(request: Asked) -> Answer:
    """Replay an event."""
    async with house(request).database.connection() as connection:
        row = await _find(connection, request)
        effects = await journal.replay(connection, row.key)
    return json_answer(Replayed(key=row.key, effects=effects))


@endpoint(
    "POST",
    "/api/events/{event:str}/skip",
    Contract(
        right=Right.REPLAY,
        summary="Decide that nothing more shall happen of an event",
        body=SkipBody,
        answer=Skipped,
        statuses=(HTTPStatus.NOT_FOUND,),
        parts=("event",),
    ),
)
async def skip(request: Asked) -> Answer:
    """Skip an event."""
    asked = await reading.body(request, SkipBody)
    async with house(request).database.connection() as connection:
        row = await _find(connection, request)
        waited = await journal.skip(connection, row.key, reason=asked.reason)
    return json_answer(Skipped(key=row.key, waited=waited))


HANDLERS = [list_events, read_event, list_sources, replay, skip]


async def read_events(connection: Connection, audience: Audience, **which: Any) -> list[EventRow]:
    """The events somebody may see, as `journal.list_events` selects them; strangers see open sources only."""
    only = OPEN_SOURCES if audience is Audience.PUBLIC else None
    rows = _rows.decode(await journal.list_events(connection, only=only, **which))
    return [visible(row, audience) for row in rows]


async def read_sources(connection: Connection, *, now: datetime) -> SourcesAnswer:
    """Where everything stands at `now`."""
    rows = _sources.decode(await sources.list_sources(connection))
    figures = await journal.figures(connection)
    return SourcesAnswer(
        sources=[msgspec.structs.replace(row, lag_seconds=_lag(row, now)) for row in rows],
        alive_at=await sources.last_life(connection),
        oldest_event_seconds=figures["oldest_event"],
        oldest_effect_seconds=figures["oldest_effect"],
        stored=int(figures["stored"]),
        due=int(figures["due"]),
        followed=int(figures["followed"]),
        quarantined=int(figures["quarantined"]),
    )


def shows_body(row: EventRow, audience: Audience) -> bool:
    """Whether somebody may see what a delivery held."""
    return row.source in OPEN_SOURCES or audience is Audience.TRUSTED


def visible(row: EventRow, audience: Audience) -> EventRow:
    """The event as somebody may see it: what its effects send is made of its body."""
    if audience is Audience.PUBLIC:
        # what a service answered may tell who we are there
        effects = [msgspec.structs.replace(each, error=each.error and "refused") for each in row.effects]
    elif shows_body(row, audience):
        return row
    else:
        effects = [msgspec.structs.replace(each, payload=None) for each in row.effects]
    return msgspec.structs.replace(row, effects=effects)


def _lag(row: SourceRow, now: datetime) -> float | None:
    return None if row.last_ok_at is None else max(0.0, (now - row.last_ok_at).total_seconds())


async def _find(connection: Connection, request: Asked) -> EventRow:
    """The event a path names. A key may hold slashes, which no path can carry; then its id does."""
    name = reading.name(request.path_params["event"], "event")
    rows = _rows.decode(await journal.list_events(connection, limit=1, key=name))
    if not rows and name.isascii() and name.isdigit() and int(name[:20]) <= _PLACE:
        found = _rows.decode(await journal.list_events(connection, limit=1, before=int(name) + 1))
        rows = [row for row in found if row.id == int(name)]
    if not rows:
        raise Missing(f"there is no event {name!r}")
    return rows[0]


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
