# SPDX-License-Identifier: MPL-2.0
"""Read who was asked for information on a bug, by whom, and whether they answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shipit.uplift.flags import FLAG_FIELDS, parse_tokens
from shipit.uplift.types import Bug, Change

NEEDINFO = "needinfo"


class Needinfo(msgspec.Struct, frozen=True, kw_only=True):
    """One question. requestee: who is asked, None for anybody. cleared_*: None while it is open.

    A question that its asker takes back was cleared and not answered.
    """

    requestee: str | None
    asked_by: str
    asked_at: datetime
    cleared_by: str | None = None
    cleared_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody still owes the answer."""
        return self.cleared_at is None

    @property
    def is_answered(self) -> bool:
        """Whether somebody else than the asker cleared it."""
        return self.cleared_at is not None and self.cleared_by != self.asked_by


def needinfos(bug: Bug) -> tuple[Needinfo, ...]:
    """Every question of a bug's history, oldest first, and those its flags show that no history tells of."""
    found: list[Needinfo] = []
    for change in sorted(bug.history, key=lambda one: one.time):
        if change.field in FLAG_FIELDS:
            _clear(found, change)
            found += [
                Needinfo(requestee=token.requestee, asked_by=change.who, asked_at=change.time)
                for token in parse_tokens(change.added)
                if token.name == NEEDINFO and token.status == "?"
            ]
    untold = [one.requestee for one in found if one.is_open]
    for flag in bug.flags:
        if flag.name != NEEDINFO or flag.status != "?":
            continue
        if flag.requestee in untold:
            untold.remove(flag.requestee)
        elif (asked_at := flag.created or flag.modified) is not None:
            found.append(Needinfo(requestee=flag.requestee, asked_by=flag.setter, asked_at=asked_at))
    return tuple(sorted(found, key=lambda one: one.asked_at))


def answered(since: datetime | None, asked: Sequence[Needinfo]) -> Needinfo | None:
    """The last answer to what was asked since then; None when nothing was, or somebody still owes one."""
    mine = [one for one in asked if since is None or one.asked_at >= since]
    if any(one.is_open for one in mine):
        return None
    return max((one for one in mine if one.is_answered), key=lambda one: str(one.cleared_at), default=None)


def _clear(found: list[Needinfo], change: Change) -> None:
    """Close the oldest open question of each requestee that the change takes away."""
    for token in parse_tokens(change.removed):
        if token.name != NEEDINFO:
            continue
        for place, one in enumerate(found):
            if one.is_open and one.requestee == token.requestee:
                found[place] = msgspec.structs.replace(one, cleared_by=change.who, cleared_at=change.time)
                break
