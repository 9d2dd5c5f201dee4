# SPDX-License-Identifier: MPL-2.0
"""The nouns of a decision: the facts it is made on, what is written where, what is not, and why not."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from shipit.trains.types import Train
from shipit.uplift.types import Flag, Place, RequestState
from shipit.uplift.verdicts import Until, Verdict


class CannotDecide(Exception):
    """One request cannot be decided so; the others can. field: of what was wanted, or of the facts."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.reason = field, reason


# --- what a decision is made on -------------------------------------------------------------------


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision was about: the train with its version and next build, and the patches as they were.

    patch_digest: `uplift.compare.series_digest`. patches: (name, version) in landing order.
    """

    train: str
    version: str | None = None
    major: int | None = None
    build: str | None = None
    build_at: datetime | None = None
    patch_digest: str = ""
    patches: tuple[tuple[str, str], ...] = ()


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The newest decision of ours about a request that was carried out."""

    uid: str
    verdict: Verdict
    person: str
    at: datetime
    stamp: Stamp
    until: Until | None = None


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A request as stored. given: the newest decision of ours about it."""

    uid: str
    bug: int
    train: str
    state: RequestState
    is_closed: bool = False
    target_major: int | None = None
    series_digest: str = ""
    patches: tuple[tuple[str, str], ...] = ()
    places: tuple[Place, ...] = ()
    requested_by: str | None = None
    given: Given | None = None
    outcome: str | None = None
    is_tests_only: bool = False


class BugFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A bug as stored; changed: as Bugzilla dated it when it was read at `read_at`. assignee: their login."""

    id: int
    changed: datetime | None
    read_at: datetime | None
    is_restricted: bool = False
    fields: dict[str, str] = {}
    flags: tuple[Flag, ...] = ()
    assignee: str | None = None


class Decider(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides, and as whom they write; an account None: no key of theirs is stored for that system.

    trains: those they may decide, None for all.
    """

    person: str
    bugzilla: str | None = None
    phabricator: str | None = None
    trains: frozenset[str] | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a plan follows from.

    has_phabricator: whether this installation speaks to one. relnote_field: what it calls a proposed release
    note, None where there are none.
    """

    requests: dict[str, RequestFacts]
    bugs: dict[int, BugFacts]
    trains: dict[str, Train]
    decider: Decider
    has_phabricator: bool = True
    relnote_field: str | None = None


# --- what is written ------------------------------------------------------------------------------


class System(StrEnum):
    """Where something is written."""

    BUGZILLA = "bugzilla"
    PHABRICATOR = "phabricator"


class Kind(StrEnum):
    """What is written to, in the order in which it is written."""

    REVISION = "revision"
    ATTACHMENT = "attachment"
    BUG = "bug"


class Row(msgspec.Struct, frozen=True):
    """One change as shown: what, from what, to what."""

    field: str
    before: str
    after: str


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One call that changes one object. body: what is sent. comment: the words that go with it."""

    kind: Kind
    id: int
    object: str
    rows: tuple[Row, ...]
    body: dict[str, Any]
    comment: str | None = None

    @property
    def system(self) -> System:
        """Where it is written."""
        return System.PHABRICATOR if self.kind is Kind.REVISION else System.BUGZILLA


class NotWritten(msgspec.Struct, frozen=True):
    """What somebody may expect to be written, and is not."""

    object: str
    field: str
    why: str


class Refusal(msgspec.Struct, frozen=True):
    """Why something is not decided. request: its uid, or "bug 123" of a bug without one.

    field: of what was wanted, or of the facts.
    """

    request: str
    field: str
    reason: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the decider had before their eyes of one bug; compared with a fresh reading before writing.

    facts: what is written to, by name, as it stood. changed: the bug's last change.
    """

    changed: datetime | None = None
    facts: dict[str, str] = {}


class Difference(msgspec.Struct, frozen=True):
    """Something that is not as the decider saw it. who: whoever changed it, where that is known."""

    what: str
    before: str
    after: str
    who: str | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision does to one bug. places: with their train's flag, for reading them again."""

    bug: int
    is_restricted: bool
    requests: tuple[str, ...]
    stamps: dict[str, Stamp]
    writes: tuple[Write, ...]
    not_written: tuple[NotWritten, ...]
    notes: tuple[str, ...]
    seen: Seen
    places: tuple[tuple[str, Place], ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict comes to: parts in the order of bugs, and which requests it does not reach."""

    verdict: Verdict
    parts: tuple[Part, ...]
    refusals: tuple[Refusal, ...]

    @property
    def systems(self) -> tuple[System, ...]:
        """Where it writes."""
        return tuple(dict.fromkeys(write.system for part in self.parts for write in part.writes))

    @property
    def changes(self) -> int:
        """How many things change outside; a comment is one."""
        writes = [write for part in self.parts for write in part.writes]
        return sum(len(write.rows) + (write.comment is not None) for write in writes)
