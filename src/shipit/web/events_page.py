# SPDX-License-Identifier: MPL-2.0
"""The events page: event → route → task → result, how each source lags, and what is in quarantine."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from html import escape
from urllib.parse import quote

import msgspec

from shipit.events.states import EffectState, EventState
from shipit.events.types import Kind
from shipit.web import bodies, reading
from shipit.web.events import EffectRow, EventRow, SourceRow, SourcesAnswer, read_events, read_sources
from shipit.web.frame import Frame, digest, document, moment_tag, time_tag
from shipit.web.hooks_in import SOURCES
from shipit.web.house import Answer, Asked, Contract, endpoint, house, viewer
from shipit.web.scopes import Right
from shipit.web.viewer import Audience

_ROWS = 100
_QUARANTINE_ROWS = 50
_WEBHOOKS = frozenset(SOURCES.values())
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_NUMBER = re.compile(r"diff ([0-9]{1,18})")
_GITHUB = re.compile(r"([A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100})(?:#([0-9]{1,18})| (\S{1,200}))")
_PHID = re.compile(r"PHID-[A-Z]{4}-[A-Za-z0-9]{1,40}")


class Show(StrEnum):
    """Which events are listed; each value is a state, but for the first."""

    ALL = "all"
    TRIGGERED = "matched"
    WAITING = "stored"
    IGNORED = "ignored"


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events the page lists."""

    show: Show = Show.ALL


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What the page is made of. silent: after how long without a sign of life a source is late."""

    events: list[EventRow]
    quarantine: list[EventRow]
    sources: SourcesAnswer
    show: Show
    audience: Audience
    taskcluster: str | None
    phabricator: str | None
    silent: timedelta
    retention_days: int
    is_demo: bool
    now: datetime


# What a reader is told of an effect: (word, colour).
_SAID = {
    EffectState.DUE: ("Waiting", "run"),
    EffectState.FIRING: ("Triggering", "run"),
    EffectState.FIRED: ("Running", "run"),
    EffectState.DONE: ("Done", "green"),
    EffectState.DECLINED: ("Declined", ""),
    EffectState.OBSERVED: ("Observed", ""),
    EffectState.SUPERSEDED: ("Superseded", ""),
    EffectState.QUARANTINED: ("Quarantine", "warn"),
    EffectState.SKIPPED: ("Skipped", ""),
}
_SAID_OF_EVENT = {
    EventState.STORED: ("Waiting", "run"),
    EventState.IGNORED: ("Ignored", ""),
    EventState.MATCHED: ("Known", ""),
    EventState.QUARANTINED: ("Quarantine", "warn"),
    EventState.SKIPPED: ("Skipped", ""),
}


@endpoint(
    "GET",
    "/events",
    Contract(
        right=Right.READ,
        summary="What the listener heard and what came of it, for people",
        query=PageQuery,
        answer=str,
        media="text/html",
    ),
)
async def show(request: Asked) -> Answer:
    """The events page. Strangers see events of open sources only."""
    query = reading.query(request, PageQuery)
    things, audience, now = house(request), viewer(request).audience, datetime.now(UTC)
    state = None if query.show is Show.ALL else query.show.value
    async with things.database.connection() as connection:
        events = await read_events(connection, audience, limit=_ROWS, state=state)
        quarantine = await read_events(
            connection, audience, limit=_QUARANTINE_ROWS, state=EventState.QUARANTINED.value
        )
        sources = await read_sources(connection, now=now)
    settings = things.settings
    page = render(
        Sight(
            events=events,
            quarantine=quarantine,
            sources=sources,
            show=query.show,
            audience=audience,
            taskcluster=settings.taskcluster.root_url,
            phabricator=settings.phabricator.url,
            silent=timedelta(minutes=settings.listener.silent_minutes),
            retention_days=settings.listener.retention_days,
            is_demo=things.is_demo,
            now=now,
        )
    )
    return bodies.answer(request, await bodies.single(page.encode(), "text/html"))


HANDLERS = [show]


def render(sight: Sight) -> str:
    """The page as HTML; pure, and every word that came from outside is escaped."""
    links = "".join(
        f'<a href="/events{"" if each is Show.ALL else f"?show={each.value}"}"'
        f"{' aria-current=page' if each is sight.show else ''}>{each.name.capitalize()}</a>"
        for each in Show
    )
    return document(
        Frame(
            title="Ship It: events",
            place="/events",
            label="Events",
            links=links,
            main=_sources(sight) + _quarantine(sight) + _traces(sight),
            is_demo=sight.is_demo,
            hears="events",
        )
    )


def _section(name: str, head: str, body: str) -> str:
    return (
        f'<section class="train" id="{name}" data-key="{name}" data-tag="{digest(head + body)}">'
        f"<div>{head}</div>{body}</section>"
    )


def _sources(sight: Sight) -> str:
    stand = sight.sources
    head = "<h2>Sources</h2>"
    if stand.alive_at is None:
        head += '<p class="gap">No listener has run yet.</p>'
    elif sight.now - stand.alive_at > sight.silent:
        head += f'<p class="gap">No listener is alive since {moment_tag(stand.alive_at)}.</p>'
    facts = []
    if stand.stored:
        since = sight.now - timedelta(seconds=stand.oldest_event_seconds)
        facts.append(
            f"<span>{_count(stand.stored, 'event')} to be judged, the oldest {time_tag(since)}</span>"
        )
    if stand.due:
        since = sight.now - timedelta(seconds=stand.oldest_effect_seconds)
        facts.append(f"<span>{_count(stand.due, 'trigger')} to go out, the oldest {time_tag(since)}</span>")
    if stand.followed:
        facts.append(f"<span>{_count(stand.followed, 'task')} followed</span>")
    if facts:
        head += f'<div class="facts">{"".join(facts)}</div>'
    cards = "".join(_source(row, sight) for row in stand.sources)
    if not cards:
        return _section("sources", head, '<p class="empty">No source has been heard of yet.</p>')
    return _section("sources", head, f'<ul class="sources">{cards}</ul>')


def _source(row: SourceRow, sight: Sight) -> str:
    last = f"last event {time_tag(row.last_event_at)}" if row.last_event_at else "no event yet"
    notes = [last]
    if row.depth:
        notes.append(f"{row.depth} waiting at the broker")
    if row.name in _WEBHOOKS:
        word, colour = "In time", "green"
    elif not row.is_connected:
        word, colour = "No answer", "warn"
        notes.append(f"since {moment_tag(row.since)}; what it has to tell is read when it is back")
        # who asks here may be anybody, and the words may name hosts
        if row.error and sight.audience is not Audience.PUBLIC:
            notes.append(escape(row.error[:300]))
    elif row.last_ok_at is None or sight.now - row.last_ok_at > sight.silent:
        word, colour = "Late", "warn"
    else:
        word, colour = "In time", "green"
    if row.name not in _WEBHOOKS and row.is_connected and row.last_ok_at:
        notes.append(f"answered {time_tag(row.last_ok_at)}")
    told = "".join(f'<span class="l2">{note}</span>' for note in notes)
    return f'<li><h3>{escape(row.name)}</h3><span class="chip {colour}">{word}</span>{told}</li>'


def _quarantine(sight: Sight) -> str:
    number = sight.sources.quarantined
    colour = "warn" if number else ""
    head = (
        f'<h2>Quarantine <span class="chip {colour}">{number}</span></h2><div class="facts"><span>What could '
        "not be handled; nothing here is tried again by itself.</span></div>"
    )
    rows = "".join(_refused(event, sight) for event in sight.quarantine)
    if not rows:
        words = "Only people who are logged in see it." if number else "Nothing is in quarantine."
        return _section("quarantine", head, f'<p class="empty">{words}</p>')
    return _section(
        "quarantine",
        head,
        '<table><thead><tr><th scope="col">Event</th><th scope="col">Reason</th><th scope="col">Tried</th>'
        f'<th scope="col">Replay</th><th scope="col">Since</th></tr></thead><tbody>{rows}</tbody></table>',
    )


def _refused(event: EventRow, sight: Sight) -> str:
    held = [each for each in event.effects if each.state is EffectState.QUARANTINED]
    reasons = [f"{each.route}: {each.error or 'refused'}" for each in held]
    if event.state is EventState.QUARANTINED:
        reasons.insert(0, event.reason or "unreadable")
    tried = max((each.attempts for each in held), default=event.looks)
    command = f"shipit events replay {shlex.quote(event.key)}"
    said = "".join(f'<span class="reason">{escape(_short(reason, 400))}</span>' for reason in reasons)
    cells = (
        f'<td class="event">{_about(event, sight)}</td><td class="says">{said}</td>'
        f'<td class="tried">{_count(tried, "time") if tried else "–"}</td>'
        f'<td class="what"><code>{escape(command)}</code></td>'
        f'<td class="when">{time_tag(event.received_at)}</td>'
    )
    return f'<tr data-key="q{event.id}" data-tag="{digest(cells)}">{cells}</tr>'


def _traces(sight: Sight) -> str:
    head = (
        '<h2>Traces</h2><div class="facts"><span>Every event is stored before it is acknowledged. Kept '
        f"{_count(sight.retention_days, 'day')}.</span></div>"
    )
    rows = "".join(_trace(event, sight) for event in sight.events)
    if not rows:
        return _section("traces", head, '<p class="empty">No event.</p>')
    if len(sight.events) == _ROWS:
        head += f'<p class="facts">Only the newest {_ROWS} are shown.</p>'
    return _section(
        "traces",
        head,
        '<table><thead><tr><th scope="col">Event</th><th scope="col">Route</th><th scope="col">Task</th>'
        '<th scope="col">Result</th><th scope="col">Received</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>",
    )


def _trace(event: EventRow, sight: Sight) -> str:
    about, when = _about(event, sight), time_tag(event.received_at)
    if not event.effects:
        word, colour = _SAID_OF_EVENT[event.state]
        cells = _cells(about, _why_none(event), "", f'<span class="chip {colour}">{word}</span>', when)
        return f'<tr data-key="{event.id}" data-tag="{digest(cells)}">{cells}</tr>'
    rows = []
    for effect in event.effects:
        cells = _cells(about, escape(effect.route), _task(effect, sight), _result(effect, event), when)
        rows.append(f'<tr data-key="{event.id}-{effect.id}" data-tag="{digest(cells)}">{cells}</tr>')
        about = f'<span class="l2">also {escape(_short(_named(event), 120))}</span>'
    return "".join(rows)


def _cells(about: str, route: str, task: str, result: str, when: str) -> str:
    return (
        f'<td class="event">{about}</td><td class="route">{route}</td><td class="task">{task}</td>'
        f'<td class="result">{result}</td><td class="when">{when}</td>'
    )


def _about(event: EventRow, sight: Sight) -> str:
    subject = escape(_short(_named(event), 200))
    address = _address(event, sight)
    name = f'<a href="{escape(address)}">{subject}</a>' if address else subject
    told = f" · told {event.told} times" if event.told > 1 else ""
    return (
        f'{name}<span class="l2">{escape(event.event or "unreadable")} · {escape(event.source)}{told}</span>'
    )


def _named(event: EventRow) -> str:
    return event.subject or event.routing_key or event.exchange or event.key


def _address(event: EventRow, sight: Sight) -> str | None:
    """Where the thing an event tells of is looked at; only of subjects that look exactly as they should."""
    subject = event.subject
    if sight.taskcluster and _TASK_ID.fullmatch(subject):
        root = sight.taskcluster.rstrip("/")
        if event.event == Kind.GROUP_RESOLVED:
            return f"{root}/tasks/groups/{subject}"
        if event.event == Kind.TASK:
            return f"{root}/tasks/{subject}"
    if sight.phabricator:
        root = sight.phabricator.rstrip("/")
        if event.event == Kind.DIFF and (found := _NUMBER.fullmatch(subject)):
            return f"{root}/differential/diff/{found[1]}/"
        if event.event in (Kind.REVISION, Kind.BUILD_TARGET) and _PHID.fullmatch(subject):
            return f"{root}/search/query/?query={subject}"
    if event.event in (Kind.GIT_PUSH, Kind.PULL_REQUEST) and (found := _GITHUB.fullmatch(subject)):
        if found[2]:
            return f"https://github.com/{found[1]}/pull/{found[2]}"
        return f"https://github.com/{found[1]}/commits/{quote(found[3])}"
    return None


def _why_none(event: EventRow) -> str:
    words = {EventState.STORED: "Not judged yet", EventState.IGNORED: "No route"}.get(event.state, "")
    reason = _short(event.reason or "", 300)
    return f'<span class="l2">{escape(": ".join(each for each in (words, reason) if each))}</span>'


def _task(effect: EffectRow, sight: Sight) -> str:
    sink = f'<span class="l2">{escape(_short(effect.sink, 120))}</span>'
    if effect.fired_at is None or not _TASK_ID.fullmatch(effect.task_id) or not sight.taskcluster:
        return sink
    root = escape(sight.taskcluster.rstrip("/"))
    return f'<a href="{root}/tasks/{effect.task_id}"><code>{effect.task_id}</code></a>{sink}'


def _result(effect: EffectRow, event: EventRow) -> str:
    word, colour = _SAID[effect.state]
    if effect.state is EffectState.DONE and effect.task_state in ("failed", "exception"):
        word, colour = effect.task_state.capitalize(), "red"
    notes = []
    if effect.task_reason and effect.task_reason != effect.task_state:
        notes.append(escape(_short(effect.task_reason, 120)))
    if effect.fired_at is not None:
        seconds = (effect.fired_at - event.received_at).total_seconds()
        notes.append(f"triggered after {_took(seconds)}")
    if effect.recreations:
        notes.append(f"created again {_count(effect.recreations, 'time')}")
    if effect.error:
        notes.append(escape(_short(effect.error, 200)))
    if effect.state is EffectState.DUE and effect.attempts and effect.due_at is not None:
        notes.append(f"again {time_tag(effect.due_at)}")
    told = "".join(f'<span class="l2">{note}</span>' for note in notes)
    return f'<span class="chip {colour}">{word}</span>{told}'


def _took(seconds: float) -> str:
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
