# SPDX-License-Identifier: MPL-2.0
"""The listener's journal over HTTP: what was heard and what came of it; sources, quarantine, replay, skip."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import msgspec

from shipit.errors import Missing
from shipit.events import standing
from shipit.events.states import EffectState, EventState
from shipit.events.told import EventRow, SourceRow
from shipit.storage import effects, journal, journal_pages, sources
from shipit.storage.journal_pages import Show
from shipit.storage.pool import Connection
from shipit.web import reading
from shipit.web.bodies import Piece, inline
from shipit.web.event_answers import (
    PLACE,
    EventAnswer,
    EventsAnswer,
    EventsQuery,
    QuarantineAnswer,
    Replayed,
    SkipBody,
    Skipped,
    SourcesAnswer,
)
from shipit.web.event_showing import Shower, heard_by, only_open, shown_held, shown_source, shows_body
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, viewer
from shipit.web.scopes import Right
from shipit.web.shell import PRELOADS
from shipit.web.viewer import Audience

QUARANTINE_ROWS = 50
FIRST_ROWS = 50
"""Rows of the events page before older ones are asked for."""

_rows = msgspec.json.Decoder(list[EventRow])
_sources = msgspec.json.Decoder(list[SourceRow])


@endpoint(
    "GET",
    "/api/events",
    Contract(
        right=Right.READ,
        summary="The journal, newest first, each event with its effects and how they stand",
        query=EventsQuery,
        answer=EventsAnswer,
    ),
)
async def list_events(request: Asked) -> Answer:
    """A page of the journal. Strangers see events of open sources only."""
    return json_answer(await _events(request, reading.query(request, EventsQuery)))


async def _events(request: Asked, query: EventsQuery) -> EventsAnswer:
    which = msgspec.structs.asdict(query)
    which["source"], which["heard_by"] = heard_by(query.source)
    async with house(request).database.connection() as connection:
        page = await journal_pages.page(connection, only=only_open(request), **which)
        found = _rows.decode(page.rows)
        running = {each.route for row in found for each in row.effects if each.state is EffectState.FIRED}
        usual = await effects.usual_seconds(connection, running)
    show = Shower(request)
    show.knows(usual)
    rows = [show(row) for row in found]
    return EventsAnswer(events=rows, next=page.next, as_of=show.now)


@endpoint(
    "GET",
    "/api/events/{event:str}",
    Contract(
        right=Right.READ,
        summary="One event by its key (or its id), with the body as it came",
        answer=EventAnswer,
        parts=("event",),
    ),
)
async def read_event(request: Asked) -> Answer:
    """One event."""
    async with house(request).database.connection() as connection:
        row = await _find(connection, request)
        delivery = await journal.read_delivery(connection, row.key)
    body, cc = None, list[str]()
    if delivery is not None and shows_body(row, viewer(request).audience):
        body, cc = _text(delivery.body), list(delivery.cc)
    return json_answer(EventAnswer(event=Shower(request)(row), body=body, cc=cc))


@endpoint(
    "GET",
    "/api/sources",
    Contract(right=Right.READ, summary="Where each source of events stands", answer=SourcesAnswer),
)
async def list_sources(request: Asked) -> Answer:
    """The sources. Why one does not answer is not for strangers: the words may name hosts."""
    return json_answer(await _sources_now(request))


async def _sources_now(request: Asked) -> SourcesAnswer:
    ours, now = house(request).settings.listener, datetime.now(UTC)
    silent = timedelta(minutes=ours.silent_minutes)
    is_public = viewer(request).audience is Audience.PUBLIC
    async with house(request).database.connection() as connection:
        rows = _sources.decode(await sources.list_sources(connection))
        figures = await journal_pages.figures(connection)
        alive_at = await sources.last_life(connection)
        failed = await journal_pages.count_failed(connection)
    return SourcesAnswer(
        sources=[shown_source(row, now=now, silent=silent, is_public=is_public) for row in rows],
        alive_at=alive_at,
        is_alive=alive_at is not None and now - alive_at <= silent,
        oldest_event_seconds=figures["oldest_event"],
        oldest_effect_seconds=figures["oldest_effect"],
        stored=int(figures["stored"]),
        due=int(figures["due"]),
        followed=int(figures["followed"]),
        quarantined=int(figures["quarantined"]),
        failed=failed,
        retention_days=ours.retention_days,
        as_of=now,
    )


@endpoint(
    "GET",
    "/api/quarantine",
    Contract(
        right=Right.READ,
        summary="What could not be handled, why, and what a replay would do",
        answer=QuarantineAnswer,
    ),
)
async def list_quarantine(request: Asked) -> Answer:
    """What is in quarantine."""
    return json_answer(await _quarantine(request))


async def _quarantine(request: Asked) -> QuarantineAnswer:
    show = Shower(request)
    async with house(request).database.connection() as connection:
        page = await journal_pages.page(
            connection, limit=QUARANTINE_ROWS, show=Show.QUARANTINED, only=only_open(request)
        )
        rows = _rows.decode(page.rows)
        unread = [row.key for row in rows if row.state is EventState.QUARANTINED]
        deliveries = await journal.read_deliveries(connection, unread)
        figures = await journal_pages.figures(connection)
    held = []
    for row in rows:
        delivery = deliveries.get(row.key)
        again = show.routes.heard_again(delivery) if delivery is not None else None
        held.append(shown_held(row, show(row), standing.outlook(row, again)))
    may = viewer(request).has(Right.REPLAY)
    total = int(figures["quarantined"])
    return QuarantineAnswer(held=held, total=total, may_replay=may, as_of=show.now)


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


async def _preload(request: Asked) -> list[tuple[str, Piece]]:
    """What the events page shows first."""
    answers = {
        "/api/sources": await _sources_now(request),
        "/api/quarantine": await _quarantine(request),
        f"/api/events?limit={FIRST_ROWS}": await _events(request, EventsQuery(limit=FIRST_ROWS)),
    }
    return [
        (address, Piece.of(inline(msgspec.json.encode(answer)), keep=False))
        for address, answer in answers.items()
    ]


PRELOADS["/events"] = _preload
HANDLERS = [list_events, read_event, list_sources, list_quarantine, replay, skip]


async def _find(connection: Connection, request: Asked) -> EventRow:
    """The event a path names. A key may hold slashes, which no path can carry; then its id does."""
    only = only_open(request)
    name = reading.name(request.path_params["event"], "event")
    rows = _rows.decode(await journal_pages.list_events(connection, limit=1, key=name, only=only))
    if not rows and re.fullmatch("[0-9]{1,16}", name) and int(name) <= PLACE:
        found = _rows.decode(
            await journal_pages.list_events(connection, limit=1, before=int(name) + 1, only=only)
        )
        rows = [row for row in found if row.id == int(name)]
    if not rows:
        raise Missing(f"there is no event {name!r}")
    return rows[0]


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
