# SPDX-License-Identifier: MPL-2.0
"""Read the approval flags of a bug: exact names, one state per attachment, who asked and who decided when."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from shipit.uplift.types import Attachment, Bug, Flag, RequestState

STATE_OF = {
    "?": RequestState.REQUESTED,
    "+": RequestState.APPROVED,
    "-": RequestState.REJECTED,
}

FLAG_FIELDS = frozenset({"flagtypes.name", "flags"})

# A requestee stands in parentheses right after the status and may hold spaces ("needinfo?(x@y)").
_TOKEN = re.compile(r"([^\s,()]+)(?:\(([^()]*)\))?")

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Token(msgspec.Struct, frozen=True):
    """One flag as a history line words it. status: "?", "+" or "-"."""

    name: str
    status: str
    requestee: str | None = None


class FlagEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one flag on one attachment. status "" means that it was taken away."""

    at: datetime
    who: str
    status: str
    requestee: str | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How one attachment stands for one approval flag.

    attachment: its id, None for a flag on the bug itself. flag: its id, None when it was cleared.
    events: every known change, oldest first (they outlive the flag).
    """

    attachment: int | None
    name: str
    state: RequestState
    flag: int | None = None
    requestee: str | None = None
    requested_by: str | None = None
    requested_at: datetime | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    events: tuple[FlagEvent, ...] = ()


def parse_tokens(text: str) -> tuple[Token, ...]:
    """Read a history list such as "review?(a@b.c), approval-mozilla-beta+" (commas or spaces between).

    The status is the last character of each token; what has none is left out. Never raises.
    """
    tokens = []
    for match in _TOKEN.finditer(text):
        word, requestee = match.group(1), match.group(2)
        name, status = word[:-1], word[-1]
        if name and status in STATE_OF:
            tokens.append(Token(name, status, requestee or None))
    return tuple(tokens)


def readings(bug: Bug, name: str) -> tuple[Reading, ...]:
    """Every attachment that carries, or carried, the flag called exactly `name`; obsolete ones do not count.

    A flag on the bug itself is read as well (attachment None). A private attachment of a public bug is left
    alone, since those who see the bug may not see it. Order: by attachment id, the bug first.
    """
    found = []
    carriers: list[tuple[int | None, tuple[Flag, ...]]] = [(None, bug.flags)]
    carriers += [
        (one.id, one.flags)
        for one in sorted(bug.attachments, key=_id)
        if not one.is_obsolete and (bug.is_restricted or not one.is_private)
    ]
    events = events_of(bug, name)
    for attachment, flags in carriers:
        past = events.get(attachment, ())
        present = [flag for flag in flags if flag.name == name and flag.status in STATE_OF]
        if present:
            found.append(_present(attachment, max(present, key=_weight), past))
        elif past and past[-1].status == "" and (attachment is not None or len(carriers) == 1):
            found.append(_cleared(attachment, name, past))
    return tuple(found)


def events_of(bug: Bug, name: str) -> dict[int | None, tuple[FlagEvent, ...]]:
    """Changes of the flag called exactly `name`, per attachment (None: the bug itself), oldest first.

    Some recordings do not say on which attachment a flag changed: such a change is given to the only
    attachment that can have had it, and to none when there are several.
    """
    found: dict[int | None, list[FlagEvent]] = {}
    carriers = [one.id for one in bug.attachments if any(flag.name == name for flag in one.flags)]
    on_bug = any(flag.name == name for flag in bug.flags)
    for change in bug.history:
        if change.field not in FLAG_FIELDS:
            continue
        where = change.attachment
        if where is None and not on_bug and len(set(carriers)) == 1:
            where = carriers[0]
        removed = [token for token in parse_tokens(change.removed) if token.name == name]
        added = [token for token in parse_tokens(change.added) if token.name == name]
        happened = found.setdefault(where, [])
        for token in added:
            happened.append(
                FlagEvent(at=change.time, who=change.who, status=token.status, requestee=token.requestee)
            )
        if removed and not added:
            happened.append(FlagEvent(at=change.time, who=change.who, status=""))
    return {where: tuple(sorted(those, key=lambda one: one.at)) for where, those in found.items() if those}


def _present(attachment: int | None, flag: Flag, past: tuple[FlagEvent, ...]) -> Reading:
    state = STATE_OF[flag.status]
    changed = flag.modified or flag.created
    asked = _last_asked(past, until=changed)
    requested_by: str | None
    decided_by: str | None
    if state is RequestState.REQUESTED:
        requested_by, requested_at = flag.setter, asked.at if asked else changed
        decided_by, decided_at = None, None
    else:
        decided_by, decided_at = flag.setter, changed
        requested_by = asked.who if asked else None
        requested_at = asked.at if asked else flag.created
    return Reading(
        attachment=attachment,
        name=flag.name,
        state=state,
        flag=flag.id,
        requestee=flag.requestee,
        requested_by=requested_by,
        requested_at=requested_at,
        decided_by=decided_by,
        decided_at=decided_at,
        events=past,
    )


def _cleared(attachment: int | None, name: str, past: tuple[FlagEvent, ...]) -> Reading:
    asked = _last_asked(past, until=past[-1].at)
    return Reading(
        attachment=attachment,
        name=name,
        state=RequestState.CLEARED,
        requested_by=asked.who if asked else None,
        requested_at=asked.at if asked else None,
        decided_by=past[-1].who,
        decided_at=past[-1].at,
        events=past,
    )


def _last_asked(past: tuple[FlagEvent, ...], *, until: datetime | None) -> FlagEvent | None:
    asked = [one for one in past if one.status == "?" and (until is None or one.at <= until)]
    return asked[-1] if asked else None


def _weight(flag: Flag) -> tuple[datetime, int, int]:
    # Several flags of one name on one attachment: the newest speaks; of equals the one that needs a person.
    return (flag.modified or flag.created or _BEGINNING, "+-?".index(flag.status), flag.id)


def _id(attachment: Attachment) -> int:
    return attachment.id
