# SPDX-License-Identifier: MPL-2.0
"""Events, sources and quarantine as somebody may see them, with words and links."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from shipit.events import standing
from shipit.events.standing import Outlook
from shipit.events.states import EffectState, EventState
from shipit.events.told import EffectRow, EventRow, SourceRow
from shipit.web import event_links
from shipit.web.event_answers import Held, ShownEffect, ShownEvent, ShownSource
from shipit.web.event_routes import Routes
from shipit.web.house import Asked, house, viewer
from shipit.web.viewer import Audience

OPEN_SOURCES = frozenset({"pulse", "pushlog"})
"""What they tell anybody may read where it comes from; the others tell us what only we may see."""


class Shower:
    """Shows rows to whoever asks: what they may see of them, with words and links."""

    def __init__(self, request: Asked) -> None:
        settings = house(request).settings
        self.now = datetime.now(UTC)
        self.routes = Routes.of(settings)
        self._audience = viewer(request).audience
        self._usual: Mapping[str, float] = {}
        self._places = event_links.Places(settings.taskcluster.root_url, settings.phabricator.url)

    def knows(self, usual: Mapping[str, float]) -> None:
        """How long the tasks of routes usually take, in seconds."""
        self._usual = usual

    def __call__(self, row: EventRow) -> ShownEvent:
        """One event."""
        row = visible(row, self._audience)
        known = {name: getattr(row, name) for name in EventRow.__struct_fields__ if name != "effects"}
        first = row.effects[0] if len(row.effects) == 1 else None
        return ShownEvent(
            **known,
            name=event_links.named(row),
            label=standing.label(_source_of(row)),
            link=self._places.of_event(row),
            standing=standing.of_effect(first, now=self.now) if first else standing.of_event(row),
            took=standing.took(row, first),
            hops=[] if row.effects else standing.hops(row, None, now=self.now),
            effects=[self._effect(row, each) for each in row.effects],
        )

    def _effect(self, row: EventRow, effect: EffectRow) -> ShownEffect:
        return ShownEffect(
            **msgspec.structs.asdict(effect),
            standing=standing.of_effect(effect, now=self.now),
            link=self._places.of_task(effect),
            took=standing.took(row, effect),
            hops=standing.hops(
                row,
                effect,
                now=self.now,
                why=self.routes.why(effect.route),
                usual=self._usual.get(effect.route),
            ),
        )


def heard_by(source: str | None) -> tuple[str | None, str | None]:
    """What a filter on a source means: (what deliveries come from, the queue's route or the poll)."""
    if source is None:
        return None, None
    kind, _, rest = source.partition(":")
    match kind:
        case "webhook":
            return rest, None
        case "phabricator":
            return kind, rest or None
        case "pulse" if rest:
            return kind, rest
        case "pushlog" if rest:
            return kind, source
        case "groups":
            return "pulse", source
        case _:
            return kind, None


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


def shown_source(row: SourceRow, *, now: datetime, silent: timedelta, is_public: bool) -> ShownSource:
    known = msgspec.structs.asdict(row)
    if is_public:
        known["error"] = None
    return ShownSource(
        **known,
        label=standing.label(row.name),
        lag_seconds=None if row.last_ok_at is None else max(0.0, (now - row.last_ok_at).total_seconds()),
        standing=standing.of_source(row, now=now, silent=silent),
    )


def shown_held(row: EventRow, shown: ShownEvent, outlook: Outlook) -> Held:
    refused = [each for each in shown.effects if each.state is EffectState.QUARANTINED]
    reasons = [f"{each.route}: {each.error or 'refused'}" for each in refused]
    if row.state is EventState.QUARANTINED:
        reasons.insert(0, row.reason or "unreadable")
    tried = max((each.attempts for each in refused), default=row.looks)
    return Held(event=shown, reasons=reasons, tried=max(1, tried), outlook=outlook)


def _source_of(row: EventRow) -> str:
    """The source an event came by, as sources are named."""
    by = row.via[0] if row.via else ""
    if row.source in standing.WEBHOOKS:
        return standing.WEBHOOKS[row.source]
    if row.source == "pulse":
        return by if by.startswith("groups:") else f"pulse:{by.rsplit('/', 1)[-1]}"
    if row.source == "phabricator":
        return "phabricator:sweep" if by == "sweep" else "phabricator"
    return by or row.source


def only_open(request: Asked) -> frozenset[str] | None:
    return OPEN_SOURCES if viewer(request).audience is Audience.PUBLIC else None
