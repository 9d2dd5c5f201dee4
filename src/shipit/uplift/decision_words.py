# SPDX-License-Identifier: MPL-2.0
"""How a decision stands, in words for people: the same on page, in the API and on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from shipit.uplift.decision_states import PartState, WriteState
from shipit.uplift.decision_types import Difference, Stamp
from shipit.uplift.verdicts import Verdict

_P, _W = PartState, WriteState
PART_WORDS = {
    _P.HELD: "Held",
    _P.WRITING: "Writing",
    _P.DONE: "Done",
    _P.CHANGED: "Changed",
    _P.STUCK: "Stuck",
    _P.UNDONE: "Taken back",
    _P.DROPPED: "Let be",
}
WRITE_WORDS = {
    _W.WAITS: "waits",
    _W.SENDING: "is being sent",
    _W.DONE: "done",
    _W.FAILED: "failed",
    _W.UNSENT: "not sent",
}
VERBS = {
    Verdict.APPROVE: "Approve",
    Verdict.REJECT: "Reject",
    Verdict.DEFER: "Defer",
    Verdict.ASK: "Ask",
    Verdict.WITHDRAW: "Withdraw",
    Verdict.FLAGS: "Set flags",
}
DID = {
    Verdict.APPROVE: "approved",
    Verdict.REJECT: "rejected",
    Verdict.DEFER: "deferred",
    Verdict.ASK: "asked about",
    Verdict.WITHDRAW: "withdrawn",
    Verdict.FLAGS: "given other flags",
}


class StampState(StrEnum):
    """Whether what was decided is still what is asked."""

    CURRENT = "current"
    OTHER_VERSION = "other version"
    NEW_PATCHES = "new patches"


def label(verdict: Verdict, requests: int, changes: int, *, bugs: int = 0) -> str:
    """What the button says: "Approve 2 requests and write 4 changes". bugs: those without a request.

    Of nothing that can be decided it is the verb alone.
    """
    what = VERBS[verdict]
    if requests + bugs == 0:
        return what
    if requests + bugs != 1:
        counts = [_counted(requests, "request")] if requests else []
        counts += [_counted(bugs, "bug")] if bugs else []
        of = "" if not bugs else " about" if verdict is Verdict.ASK else " of"
        what = f"{what}{of} {' and '.join(counts)}"
    return f"{what} and write {_counted(changes, 'change')}" if changes else f"{what}, and write nothing"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def sentence(
    state: PartState,
    written: int,
    writes: int,
    *,
    message: str = "",
    differences: Sequence[Difference] = (),
    due_at: datetime,
) -> str:
    """How the part of a decision about one bug stands."""
    count = f"{written} of {writes} written"
    match state:
        case _P.HELD:
            return f"It is sent at {due_at.astimezone(UTC):%H:%M:%S} UTC unless it is taken back."
        case _P.WRITING if message:
            return f"{count}; {message}; tried again at {due_at.astimezone(UTC):%H:%M:%S} UTC."
        case _P.WRITING:
            return f"{count}."
        case _P.DONE:
            said = f"{count}, and read again." if writes else "There was nothing to write."
            return f"{said} {message.rstrip('.')}." if message else said
        case _P.CHANGED:
            return f"{differs(differences)} Nothing was written."
        case _P.STUCK:
            why = f"{message}. " if message else ""
            return f"{count}. {why}Resume it, or let it be."
        case _P.UNDONE:
            return "It was taken back; nothing was written."
        case _P.DROPPED:
            return f"It was let be; {count}."


def differs(differences: Sequence[Difference], *, most: int = 3) -> str:
    """What is not as it was seen, a sentence each."""
    said = [_differs(one) for one in differences[:most]]
    more = len(differences) - most
    return " ".join(said) + (f" And {more} more." if more > 0 else "")


def stamp_state(stamp: Stamp, *, series_digest: str | None, major: int | None) -> StampState:
    """Whether a decision still answers what is asked: an older version's is stale, a new patch reopens it."""
    if series_digest is not None and stamp.patch_digest != series_digest:
        return StampState.NEW_PATCHES
    if major is not None and stamp.major is not None and stamp.major != major:
        return StampState.OTHER_VERSION
    return StampState.CURRENT


def stamp_sentence(verdict: Verdict, stamp: Stamp, state: StampState, *, major: int | None) -> str:
    """What was decided about which version, and whether that still holds."""
    what = DID[verdict]
    if state is StampState.NEW_PATCHES:
        return f"It was {what} for {aim(stamp)} with other patches; the question is open again."
    if state is StampState.OTHER_VERSION:
        return f"It was {what} for {stamp.major}, and {stamp.train} is {major} now: stale."
    return f"It was {what} for {aim(stamp)}."


def aim(stamp: Stamp) -> str:
    """What it is decided for: the next build, or as near as it is known."""
    return stamp.build or stamp.version or stamp.train


class Waits(msgspec.Struct, frozen=True):
    """Whether a deferred request still waits, and for what."""

    still: bool
    sentence: str


def deferral(
    build: str, at: datetime | None, condition: str, *, next_build: str | None, now: datetime
) -> Waits:
    """Whether what a deferral waited for has come; a condition only a person can judge."""
    if at is not None and at <= now:
        return Waits(
            False, f"It was deferred until {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, which has passed."
        )
    if build and next_build == build:
        return Waits(False, f"It was deferred until {build}, which is the next build now.")
    parts = [build, f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "", condition]
    return Waits(True, f"It is deferred until {', '.join(part for part in parts if part)}.")


def _differs(one: Difference) -> str:
    who = f"{one.who} changed it: " if one.who else ""
    if one.what == "comment":
        return f"{one.who or 'Somebody'} wrote {one.after}."
    return f"{who}{one.what} was {one.before or 'not set'}, and is {one.after or 'not set'}."
