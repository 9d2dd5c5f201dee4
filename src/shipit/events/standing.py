# SPDX-License-Identifier: MPL-2.0
"""How events, their effects and their sources stand, in the words every page shows; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from shipit.events.effects import ErrorClass
from shipit.events.heard import Heard
from shipit.events.states import EffectState, EventState
from shipit.events.told import EffectRow, EventRow, SourceRow

Colour = Literal["ok", "bad", "warn", "run", "mute"]
WEBHOOKS = {"github": "webhook:github", "herald": "webhook:herald", "harbormaster": "webhook:harbormaster"}
"""Source of a delivery -> the name under which its webhook stands."""
QUIET = timedelta(days=1)
"""A source without an event for so long is quiet."""
FOLLOW = "pulse:-follow"
_LABELS = {
    "phabricator": "Phabricator poll",
    "phabricator:sweep": "Phabricator sweep",
    "webhook:github": "GitHub webhook",
    "webhook:herald": "Herald webhook",
    "webhook:harbormaster": "Harbormaster",
    FOLLOW: "Pulse: ends of tasks",
}
_KINDS = {"pulse": "Pulse", "pushlog": "Pushlog", "groups": "Expected groups", "github": "GitHub redelivery"}


class Standing(msgspec.Struct, frozen=True):
    """How something stands. icon: of the pages' symbols; note: the rest of the sentence, "" for none."""

    word: str
    icon: str
    colour: Colour
    note: str = ""


class Outlook(msgspec.Struct, frozen=True):
    """What a replay would do. can_work: False where it must fail the same way."""

    can_work: bool
    sentence: str


def label(source: str) -> str:
    """A source's name for people."""
    if source in _LABELS:
        return _LABELS[source]
    kind, _, rest = source.partition(":")
    return f"{_KINDS.get(kind, kind)}: {rest}" if rest else source


def of_source(row: SourceRow, *, now: datetime, silent: timedelta) -> Standing:
    """How a source stands. silent: without a sign of life for so long it is late."""
    if not row.is_connected:
        note = f"since {_moment(row.since, now)}; nothing is lost, it is read when it is back"
        return Standing("No answer", "off", "warn", note)
    is_webhook = row.name.startswith("webhook:")
    if not is_webhook and (row.last_ok_at is None or now - row.last_ok_at > silent):
        since = "never" if row.last_ok_at is None else f"{span(now - row.last_ok_at)} ago"
        return Standing("Late", "clock", "warn", f"last sign of life {since}, normal is under {span(silent)}")
    if row.depth:
        return Standing("In time", "check", "ok", f"{_count(row.depth, 'delivery', 'deliveries')} waiting")
    if row.name != FOLLOW and (row.last_event_at is None or now - row.last_event_at > QUIET):
        seen = "yet" if row.last_event_at is None else f"for {span(now - row.last_event_at)}"
        return Standing("Quiet", "dash", "mute", f"no event {seen}, and nothing waits")
    return Standing("In time", "check", "ok")


def of_event(row: EventRow) -> Standing:
    """How an event without effects stands; one with effects stands as they do."""
    reason = row.reason or ""
    match row.state:
        case EventState.STORED:
            return Standing("Waiting", "clock", "run", reason or "not judged yet")
        case EventState.IGNORED:
            return Standing("Ignored", "dash", "mute", reason)
        case EventState.MATCHED:
            return Standing("Duplicate, dropped", "copy", "mute", reason or "already triggered")
        case EventState.QUARANTINED:
            return Standing("Quarantine", "warn", "warn", reason)
        case EventState.SKIPPED:
            return Standing("Skipped", "skip", "mute", reason)


def of_effect(row: EffectRow, *, now: datetime) -> Standing:
    """How a trigger stands."""
    match row.state:
        case EffectState.DUE if row.attempts and row.due_at is not None:
            return Standing(
                f"Retry in {span(max(row.due_at - now, timedelta()))}", "turn", "run", row.error or ""
            )
        case EffectState.DUE if row.recreations:
            return Standing("Waiting", "clock", "run", f"created anew, the task was lost: {row.task_reason}")
        case EffectState.DUE:
            return Standing("Waiting", "clock", "run", "")
        case EffectState.FIRING:
            return Standing("Triggering", "turn", "run", "")
        case EffectState.FIRED:
            return Standing(*_running(row.task_state), row.error or "")
        case EffectState.DONE:
            return _done(row)
        case EffectState.DECLINED:
            return Standing("Declined", "dash", "mute", "the hook made no task")
        case EffectState.OBSERVED:
            return Standing("Observed", "eye", "mute", "the route only observes: nothing was triggered")
        case EffectState.SUPERSEDED:
            return Standing("Superseded", "skip", "mute", row.error or "something newer took its place")
        case EffectState.QUARANTINED:
            return Standing("Quarantine", "warn", "warn", row.error or "refused")
        case EffectState.SKIPPED:
            return Standing("Skipped", "skip", "mute", row.error or "")


def _running(task_state: str | None) -> tuple[str, str, Colour]:
    match task_state:
        case "unscheduled" | "pending":
            return "Queued", "clock", "run"
        case _:
            return "Running", "turn", "run"


def _done(row: EffectRow) -> Standing:
    reason = row.task_reason if row.task_reason != row.task_state else None
    again = f"created again {_count(row.recreations, 'time')}" if row.recreations else ""
    note = ", ".join(filter(None, (reason, again)))
    match row.task_state:
        case "failed":
            return Standing("Failed", "x", "bad", note)
        case "exception":
            return Standing("Exception", "x", "bad", note)
        case _:
            return Standing("Done", "check", "ok", note)


def outlook(row: EventRow, again: Heard | None) -> Outlook:
    """What a replay of something in quarantine would do.

    again: what the routes in force make of the delivery now, None where nobody here knows them.
    """
    if row.state is EventState.QUARANTINED:
        if again is None:
            return Outlook(True, "A replay looks at it anew, by the listener's routes.")
        if again.state is EventState.QUARANTINED:
            return Outlook(False, f"A replay fails the same way until the route changes: {again.reason}")
        return Outlook(True, "It can be read now: a replay should work.")
    held = [each for each in row.effects if each.state is EffectState.QUARANTINED]
    classes = {each.error_class for each in held}
    if not held:
        return Outlook(False, "Nothing of it is in quarantine any more.")
    if ErrorClass.FORBIDDEN in classes:
        return Outlook(True, "A replay works once the right is granted.")
    if ErrorClass.TRANSIENT in classes:
        return Outlook(True, "A replay asks again; it works if there is an answer now.")
    return Outlook(True, "A replay asks again; it fails the same way until the hook or its schema changes.")


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One of the five hops of a trace. at: None until it is reached; after: seconds since the one before."""

    name: str
    icon: str
    colour: Colour
    at: datetime | None
    after: float | None = None
    lines: list[str] = []


def hops(
    row: EventRow, effect: EffectRow | None, *, now: datetime, why: str = "", usual: float | None = None
) -> list[Hop]:
    """Received, stored, routed, triggered, result.

    why: the route's conditions in words, "" where unknown; usual: seconds its tasks usually take.
    """
    times = "delivered once" if row.told == 1 else f"delivered {row.told} times"
    made = [
        _hop("Received", "mail", "ok", row.heard_at or row.received_at, [row.event or row.exchange, times]),
        _hop("Stored", "box", "ok", row.received_at, [f"event {row.id}", "acknowledged after the write"]),
        _routed(row, effect, why),
    ]
    if effect is not None:
        made += [_triggered(effect), _result(effect, now, usual)]
    return _spaced(made)


def _hop(name: str, icon: str, colour: Colour, at: datetime | None, lines: Sequence[str]) -> Hop:
    return Hop(name=name, icon=icon, colour=colour, at=at, lines=[line for line in lines if line])


def _routed(row: EventRow, effect: EffectRow | None, why: str) -> Hop:
    if effect is None:
        standing = of_event(row)
        return _hop("Routed", "filter", standing.colour, row.judged_at, [standing.word, standing.note])
    told = f"because {why}" if why else ""
    # an event told again is judged again, and what it triggers stays as it was
    return _hop("Routed", "filter", "ok", effect.created_at, [f"route {effect.route}", told])


def _triggered(effect: EffectRow) -> Hop:
    tries = _count(effect.attempts, "attempt")
    is_through = effect.fired_at is not None
    colour: Colour = "ok" if is_through else "warn" if effect.state is EffectState.QUARANTINED else "mute"
    lines = [spelled_sink(effect.sink), tries if effect.attempts else "not called", effect.task_id]
    return _hop("Triggered" if is_through else "Not triggered", "play", colour, effect.fired_at, lines)


def _result(effect: EffectRow, now: datetime, usual: float | None) -> Hop:
    standing = of_effect(effect, now=now)
    runs = []
    if effect.state is EffectState.FIRED and effect.fired_at is not None:
        runs = [f"for {span(max(now - effect.fired_at, timedelta()))}"]
        runs += [f"usual {span(timedelta(seconds=usual))}"] if usual is not None else []
    payload = effect.payload if isinstance(effect.payload, dict) else {}
    sent = [f"{name} {value}"[:120] for name, value in payload.items() if isinstance(value, str | int)][:4]
    return _hop(
        standing.word, standing.icon, standing.colour, effect.resolved_at, [*runs, standing.note, *sent]
    )


def _spaced(made: Sequence[Hop]) -> list[Hop]:
    """Each with the seconds since the one before that was reached; clocks that disagree make no negative."""
    found: list[Hop] = []
    before: datetime | None = None
    for hop in made:
        after = None if hop.at is None or before is None else max(0.0, (hop.at - before).total_seconds())
        found.append(msgspec.structs.replace(hop, after=after))
        before = hop.at or before
    return found


def took(row: EventRow, effect: EffectRow | None) -> float | None:
    """Seconds from the delivery to the end that is known: of the task, of the trigger, of the verdict."""
    began = row.heard_at or row.received_at
    end = row.judged_at if effect is None else effect.resolved_at or effect.fired_at
    return None if end is None else max(0.0, (end - began).total_seconds())


def spelled_sink(sink: str) -> str:
    """Where an effect goes, for people."""
    kind, _, rest = sink.partition(":")
    return {"hook": f"hook {rest}", "http": f"POST {rest}", "mail": f"mail to {rest}"}.get(
        kind, "a task of its own"
    )


def span(of: timedelta) -> str:
    """A span of time in at most two units, as in 3 min 10 s."""
    seconds = int(of.total_seconds())
    if seconds < 1:
        return f"{max(0, round(of.total_seconds() * 1000))} ms"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    words = []
    for place, (name, size) in enumerate(units):
        if seconds >= size:
            words.append(f"{seconds // size}\N{NO-BREAK SPACE}{name}")
            if place + 1 < len(units) and (rest := seconds % size // units[place + 1][1]):
                words.append(f"{rest}\N{NO-BREAK SPACE}{units[place + 1][0]}")
            break
    return " ".join(words)


def _moment(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M} UTC" if at.date() == now.date() else f"{at:%d %b %H:%M} UTC"


def _count(number: int, word: str, many: str = "") -> str:
    return f"{number} {word}" if number == 1 else f"{number} {many or word + 's'}"
