# SPDX-License-Identifier: MPL-2.0
"""The nouns of trains; every fact carries its source and time."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec


class Stage(StrEnum):
    """Where a train is in its cycle."""

    NIGHTLY = "nightly"
    AURORA = "aurora"
    EARLY_BETA = "early-beta"
    LATE_BETA = "late-beta"
    RC_WEEK = "rc-week"
    DOT_RELEASES = "dot-releases"
    ESR = "esr"
    ENDED = "ended"
    UNKNOWN = "unknown"


class Moment(msgspec.Struct, frozen=True):
    """A named moment of a train's calendar ("merge_day", "beta_3", "release").

    is_whole_day: the source named only the day; `at` is then its first second in UTC and its hour says
    nothing.
    """

    name: str
    at: datetime
    is_whole_day: bool = False

    def has_passed(self, now: datetime) -> bool:
        """Whether it is surely over: of a whole day we only know that after the day."""
        return now - self.at >= timedelta(days=1 if self.is_whole_day else 0)


class Train(msgspec.Struct, frozen=True, kw_only=True):
    """One release train as it stands at `read_at`.

    name: "nightly", "beta", "release", "esr140". channel: the schedule's word for its kind
    ("nightly", "aurora", "beta", "release", "esr"). version: as the schedule spells it ("147.0b3"),
    None while unknown. major: the version its branch carries. repository: name of a configured repository;
    branch: ref in it, "" while the version in its name is unknown. Flags are exact names (status_flag
    "cf_status_firefox147"), None where the train has none.
    next_build: the next build that an approval can still reach. deadlines: what is still to come, ascending.
    passed: what of this cycle is over, ascending; the first is when it began, where the schedule tells.
    unavailable_since: when the schedule last stopped answering; the other facts are then the last known.
    absent_since: since when a schedule that does answer no longer names this train.
    note: one sentence for people, where the facts are not as simple as they look.
    """

    name: str
    channel: str
    repository: str
    branch: str
    version: str | None = None
    major: int | None = None
    approval_flag: str | None = None
    status_flag: str | None = None
    tracking_flag: str | None = None
    stage: Stage = Stage.UNKNOWN
    next_build: Moment | None = None
    deadlines: tuple[Moment, ...] = ()
    passed: tuple[Moment, ...] = ()
    owner: str | None = None
    source: str = ""
    read_at: datetime | None = None
    unavailable_since: datetime | None = None
    absent_since: datetime | None = None
    note: str | None = None


class Rule(Protocol):
    """How a train, or with `{major}` in its name a family, is spelled (the settings' rules fit)."""

    @property
    def name(self) -> str: ...
    @property
    def repository(self) -> str: ...
    @property
    def branch(self) -> str: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def approval_flag(self) -> str | None: ...
    @property
    def status_flag(self) -> str | None: ...
    @property
    def tracking_flag(self) -> str | None: ...
    @property
    def version(self) -> str | None: ...
    @property
    def owner(self) -> str | None: ...
    @property
    def next_build(self) -> str | None: ...
    @property
    def next_build_at(self) -> str | None: ...


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A version that the schedule names for a channel.

    version: as spelled, "" when only the major is named. has_builds_left: whether this major gets
    another build on this channel; None when the schedule does not say.
    """

    channel: str
    version: str
    major: int
    has_builds_left: bool | None = None


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """The calendar of one major version: moments ascending; version as spelled, "" when it is not."""

    major: int
    version: str
    moments: tuple[Moment, ...]

    def moment(self, name: str) -> Moment | None:
        """The moment of that name, if the schedule has it."""
        return next((moment for moment in self.moments if moment.name == name), None)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """All a provider said at `read_at`: versions per channel (in its order), calendars and owners per major.

    failed: parts that could not be read ("owners", "calendar", "esr"…), with the reason.
    released: days of regular releases that the calendars need not have, ascending.
    """

    source: str
    read_at: datetime
    listings: tuple[Listing, ...]
    cycles: tuple[Cycle, ...] = ()
    owners: dict[int, str] = {}
    failed: dict[str, str] = {}
    released: tuple[datetime, ...] = ()

    def releases(self) -> tuple[datetime, ...]:
        """Every release it tells of, past and planned, one per day, ascending."""
        by_day = {at.date(): at for at in self.released}
        named = (cycle.moment("release") for cycle in self.cycles)
        by_day |= {moment.at.date(): moment.at for moment in named if moment is not None}
        return tuple(sorted(by_day.values()))

    def cycle(self, major: int | None) -> Cycle | None:
        """The calendar of that major, if the schedule has it."""
        return next((cycle for cycle in self.cycles if cycle.major == major), None)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A provider did not answer, or not with a schedule; reason is for people."""

    source: str
    at: datetime
    reason: str


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What an open request asks for: a version, on the train that carried it. None: not yet aimed."""

    uid: str
    train: str
    target_major: int | None
    requested_at: datetime


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """An open request moved with its version, and nobody is asked again.

    to_train: None when its train ended, which closes it. major: the version it aims at from now on.
    """

    uid: str
    from_train: str
    to_train: str | None
    major: int | None
    at: datetime
    reason: str
