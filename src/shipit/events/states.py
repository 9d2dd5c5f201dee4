# SPDX-License-Identifier: MPL-2.0
"""The two state machines of the journal: events and effects, each an enum with its table and its drawing."""

from __future__ import annotations

from enum import StrEnum


class EventState(StrEnum):
    """How far an event has come."""

    STORED = "stored"
    """Persisted; routes wait for a fact, or have not looked yet."""
    IGNORED = "ignored"
    """No route wants it; the reason is stored."""
    MATCHED = "matched"
    """Its effects are stored."""
    QUARANTINED = "quarantined"
    """Unreadable, or a route could not use it; a person may replay or skip it."""
    SKIPPED = "skipped"
    """A person decided that nothing shall happen."""


class EffectState(StrEnum):
    """How far an effect (one trigger) has come."""

    DUE = "due"
    """To be triggered, now or later (backoff, debounce, limit)."""
    FIRING = "firing"
    """Claimed; the call may or may not have gone out."""
    FIRED = "fired"
    """The task exists and is followed."""
    DONE = "done"
    """The task is resolved, or the sink has no more to tell."""
    DECLINED = "declined"
    """The hook answered that it makes no task."""
    OBSERVED = "observed"
    """The route only observes: this is what would have happened."""
    SUPERSEDED = "superseded"
    """Something newer took its place."""
    QUARANTINED = "quarantined"
    """Refused for good, or unreachable beyond the deadline; a person may replay or skip it."""
    SKIPPED = "skipped"
    """A person decided that nothing shall happen."""


_E, _F = EventState, EffectState

EVENT_MOVES: dict[EventState, frozenset[EventState]] = {
    # told again (a group resolves twice) or replayed: looked at again
    _E.STORED: frozenset({_E.IGNORED, _E.MATCHED, _E.QUARANTINED, _E.SKIPPED}),
    _E.IGNORED: frozenset({_E.STORED}),
    _E.MATCHED: frozenset({_E.STORED}),
    _E.QUARANTINED: frozenset({_E.STORED, _E.SKIPPED}),
    _E.SKIPPED: frozenset({_E.STORED}),
}

EFFECT_MOVES: dict[EffectState, frozenset[EffectState]] = {
    _F.DUE: frozenset({_F.FIRING, _F.SUPERSEDED, _F.SKIPPED}),
    _F.FIRING: frozenset({_F.DUE, _F.FIRED, _F.DONE, _F.DECLINED, _F.QUARANTINED, _F.SUPERSEDED}),
    # the machines lost the task: created again under another id
    _F.FIRED: frozenset({_F.DONE, _F.DUE, _F.SUPERSEDED}),
    _F.DONE: frozenset(),
    _F.DECLINED: frozenset({_F.DUE}),
    _F.OBSERVED: frozenset(),
    _F.SUPERSEDED: frozenset(),
    _F.QUARANTINED: frozenset({_F.DUE, _F.SKIPPED}),
    _F.SKIPPED: frozenset({_F.DUE}),
}


def drawing() -> str:
    """Both machines as mermaid, for the docs page; a test keeps them equal."""
    parts = []
    for title, moves, first in (
        ("Event", EVENT_MOVES, (_E.STORED,)),
        ("Effect", EFFECT_MOVES, (_F.DUE, _F.OBSERVED)),
    ):
        lines = ["```mermaid", "---", f"title: {title}", "---", "stateDiagram-v2"]
        lines += [f"    [*] --> {state}" for state in first]
        lines += [f"    {one} --> {other}" for one, others in moves.items() for other in sorted(others)]
        parts.append("\n".join([*lines, "```"]))
    return "\n\n".join(parts) + "\n"
