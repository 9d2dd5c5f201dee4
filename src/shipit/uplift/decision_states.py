# SPDX-License-Identifier: MPL-2.0
"""The states of a decision's part (one bug) and of each of its writes, with their tables and drawings."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class PartState(StrEnum):
    """How far the part of a decision that concerns one bug has come."""

    HELD = "held"
    """Stored; may be taken back until a runner takes it up."""
    WRITING = "writing"
    """A runner writes it, or waits until it may try again."""
    DONE = "done"
    """Everything is written and was read again."""
    CHANGED = "changed"
    """Something was not as the decider saw it: nothing was written; decide anew."""
    STUCK = "stuck"
    """A service refused for good, perhaps after some writes: a person resumes it or lets it be."""
    UNDONE = "undone"
    """Taken back before anything was written."""
    DROPPED = "dropped"
    """A person let it be; what was written stays."""


class WriteState(StrEnum):
    """How far one write has come."""

    WAITS = "waits"
    SENDING = "sending"
    """It may have gone out: before it is sent again, the service is asked whether it is there."""
    DONE = "done"
    FAILED = "failed"
    """Refused for good; the answer is kept."""
    UNSENT = "unsent"
    """Will not be sent: taken back, changed or dropped."""


_P, _W = PartState, WriteState
PART_MOVES: dict[PartState, frozenset[PartState]] = {
    _P.HELD: frozenset({_P.WRITING, _P.UNDONE}),
    _P.WRITING: frozenset({_P.DONE, _P.CHANGED, _P.STUCK}),
    _P.STUCK: frozenset({_P.WRITING, _P.DROPPED}),
    _P.DONE: frozenset(),
    _P.CHANGED: frozenset(),
    _P.UNDONE: frozenset(),
    _P.DROPPED: frozenset(),
}
WRITE_MOVES: dict[WriteState, frozenset[WriteState]] = {
    _W.WAITS: frozenset({_W.SENDING, _W.UNSENT}),
    # Not there after all, or not taken this time: it waits for the next try.
    _W.SENDING: frozenset({_W.DONE, _W.FAILED, _W.WAITS}),
    _W.FAILED: frozenset({_W.WAITS, _W.UNSENT}),
    _W.DONE: frozenset(),
    _W.UNSENT: frozenset(),
}
ENDS = frozenset(state for state, moves in PART_MOVES.items() if not moves)

# Of several parts the one that needs a person speaks for all.
_SPEAKS = (_P.STUCK, _P.CHANGED, _P.WRITING, _P.HELD, _P.DROPPED, _P.UNDONE, _P.DONE)


def state_of(parts: Iterable[PartState]) -> PartState:
    """How a decision of several parts stands."""
    held = set(parts)
    return next(state for state in _SPEAKS if state in held)


def drawing() -> str:
    """Both machines as Mermaid, for the docs; a test keeps them equal."""
    drawn = []
    for title, moves, first in (
        ("Part of a decision", PART_MOVES, _P.HELD),
        ("Write", WRITE_MOVES, _W.WAITS),
    ):
        lines = ["```mermaid", "---", f"title: {title}", "---", "stateDiagram-v2", f"    [*] --> {first}"]
        lines += [f"    {one} --> {other}" for one, others in moves.items() for other in sorted(others)]
        drawn.append("\n".join([*lines, "```"]))
    return "\n\n".join(drawn)
