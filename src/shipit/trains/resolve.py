# SPDX-License-Identifier: MPL-2.0
"""The trains that exist now, out of the rules that spell them and what the schedule says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from shipit.errors import InvalidInput, Unavailable
from shipit.trains.calendar import deadlines_of, next_build_of, passed_of, upcoming
from shipit.trains.ladder import Ladder, hangs_together, ladder_of
from shipit.trains.schedule import AURORA, BETA, ESR, LADDER, NIGHTLY, RELEASE
from shipit.trains.spelling import (
    MAJOR,
    belongs,
    blank,
    channel_of,
    listing_by_hand,
    number_of,
    overridden,
    spelled,
)
from shipit.trains.stages import stage_of
from shipit.trains.types import Failure, Listing, Rule, Schedule, Stage, Train

# Providers lag one to two days behind merge day; a train they drop for less is not believed to have ended.
GRACE = timedelta(days=2)
# How long an ended train of a family is still listed, so that everybody closes its requests.
FORGET = timedelta(days=30)


def trains_at(
    rules: Sequence[Rule],
    facts: Schedule | Failure,
    now: datetime,
    *,
    known: Iterable[Train] = (),
    grace: timedelta = GRACE,
) -> tuple[Train, ...]:
    """Every train that exists at `now`: one per rule in order, for a family one per version, ascending.

    known: the trains as last resolved; they stand in with `unavailable_since` for what the schedule fails to
    say. A schedule that contradicts itself or them counts as failing. A version set in a rule wins over the
    schedule. Raises InvalidInput for a rule that cannot be read, Unavailable when there is nothing to list
    at all.
    """
    if now.tzinfo is None:
        raise InvalidInput("now", expected="a time with its zone", got=now.isoformat())
    known = tuple(known)
    if isinstance(facts, Failure):
        return keep_last(rules, known, facts, now)
    ladder = _not_backwards(ladder_of(facts, now), known)
    complaint = complaint_about(rules, facts, ladder, known)
    if complaint is not None:
        return keep_last(rules, known, Failure(source=facts.source, at=now, reason=complaint), now)
    found = [
        train
        for rule in rules
        for train in _Resolver(rule, facts, ladder, known, now, grace).trains()
        if _is_own(train, rule, rules)
    ]
    return _some(found, facts.source, "it names no version for any train")


def keep_last(
    rules: Sequence[Rule], known: Iterable[Train], failure: Failure, now: datetime
) -> tuple[Train, ...]:
    """The trains as last known, with the age of that knowledge; what is set by hand in the rules still
    counts.

    A rule of which nothing is known gives a train of unknown stage; a family cannot be named then.
    """
    kept: list[Train] = []
    for rule in rules:
        last = [train for train in known if belongs(train.name, rule)]
        if not last and (MAJOR not in rule.name or rule.version):
            last = [blank(rule, rule.name)]
        kept += [_kept(rule, train, failure.reason, now) for train in last if _is_own(train, rule, rules)]
    return _some(kept, failure.source, failure.reason)


def complaint_about(
    rules: Iterable[Rule], schedule: Schedule, ladder: Ladder, known: Iterable[Train]
) -> str | None:
    """Why this schedule cannot be believed, in one sentence; None when it can.

    A train whose version is set by hand is not held against it: that is the way out when a provider
    once said too much and takes it back.
    """
    wanted = [rule for rule in rules if not rule.version]
    named = {listing.channel for listing in schedule.listings}
    for rule in wanted:
        channel = channel_of(rule)
        if channel in LADDER and channel != AURORA and channel not in named:
            return f"{schedule.source} names no version for {channel}"
    last = {
        train.channel: train for train in known if train.major is not None and train.stage is not Stage.ENDED
    }
    by_hand = {channel_of(rule) for rule in rules if rule.version}
    before = {c: t.major for c in LADDER if c not in by_hand and (t := last.get(c)) and t.major is not None}
    if not ladder.is_whole and hangs_together(before) and len(ladder.majors) > 1:
        shown = ", ".join(f"{channel} {major}" for channel, major in ladder.majors.items())
        return f"{schedule.source} names versions that do not belong together: {shown}"
    for channel, major in before.items():
        if channel in ladder.majors and ladder.majors[channel] < major:
            return f"{schedule.source} says {channel} went back from {major} to {ladder.majors[channel]}"
    return None


class _Resolver:
    """The trains of one rule."""

    def __init__(
        self,
        rule: Rule,
        schedule: Schedule,
        ladder: Ladder,
        known: Iterable[Train],
        now: datetime,
        grace: timedelta,
    ) -> None:
        self._rule = rule
        self._schedule = schedule
        self._ladder = ladder
        self._known = {train.name: train for train in known if belongs(train.name, rule)}
        self._now = now
        self._grace = grace
        self._channel = channel_of(rule)

    def trains(self) -> list[Train]:
        found = {train.name: train for train in map(self._train, self._listings())}
        for name, last in self._known.items():
            if name not in found and not self._is_forgotten(last):
                found[name] = self._absent(last)
        if not found and MAJOR not in self._rule.name:
            found[self._rule.name] = self._absent(blank(self._rule, self._rule.name))
        return sorted(found.values(), key=lambda train: train.major or 0)

    def _listings(self) -> list[Listing]:
        """What the schedule, or the rule itself, names for this rule."""
        named = [listing for listing in self._schedule.listings if listing.channel == self._channel]
        if self._channel == AURORA and self._ladder.is_whole and AURORA not in self._ladder.majors:
            named = []
        number = number_of(self._rule)
        if number is not None:
            named = [listing for listing in named if listing.major == number]
        elif MAJOR not in self._rule.name:
            named = named[:1]
        if self._rule.version:
            mine = listing_by_hand(self._rule)
            others = [listing for listing in named if listing.major != mine.major]
            named = [*others, mine] if MAJOR in self._rule.name else [mine]
        return named

    def _train(self, listing: Listing) -> Train:
        is_by_hand = bool(self._rule.version) and listing == listing_by_hand(self._rule)
        major = listing.major if is_by_hand else self._ladder.majors.get(self._channel, listing.major)
        name = self._rule.name.replace(MAJOR, str(major))
        last = self._known.get(name)
        if last is not None and last.major != major:
            last = None
        stage = stage_of(self._channel, major, self._schedule, listing, self._now)
        nightly = self._ladder.majors.get(NIGHTLY)
        deadlines = deadlines_of(self._channel, major, nightly, self._schedule, self._now)
        passed = passed_of(self._channel, major, nightly, self._schedule, self._now)
        next_build = next_build_of(self._channel, stage, deadlines)
        if "calendar" in self._schedule.failed and self._schedule.cycle(major) is None and last is not None:
            aged = _aged(last, self._now)
            deadlines, passed, next_build = aged.deadlines, aged.passed, aged.next_build
            stage = last.stage if stage is Stage.UNKNOWN else stage
        elif stage is Stage.UNKNOWN and last is not None and last.stage in (Stage.LATE_BETA, Stage.RC_WEEK):
            # the same version cannot become early again, so days that ran out take nothing away
            stage = last.stage
        owner = None if self._channel == ESR else self._schedule.owners.get(major)
        if owner is None and "owners" in self._schedule.failed and last is not None:
            owner = last.owner
        train = spelled(self._rule, name, major)
        train = msgspec.structs.replace(
            train,
            version=self._version(listing, major),
            stage=stage,
            deadlines=deadlines,
            passed=passed,
            next_build=next_build,
            owner=owner,
            source="settings" if is_by_hand else self._schedule.source,
            read_at=self._schedule.read_at,
            note="version set by hand" if is_by_hand else self._note(listing, major, stage),
        )
        return overridden(self._rule, train, self._now)

    def _version(self, listing: Listing, major: int) -> str | None:
        if listing.major == major and listing.version:
            return listing.version
        cycle = self._schedule.cycle(major)
        return (cycle.version if cycle is not None else "") or None

    def _note(self, listing: Listing, major: int, stage: Stage) -> str | None:
        if self._channel == RELEASE and stage is Stage.RC_WEEK:
            out = listing.version or listing.major
            return f"{out} is out; this train carries the release candidate of {major}"
        if listing.major != major:
            spelled = listing.version or listing.major
            return (
                f"{self._schedule.source} still names {spelled}; its other channels show that this is {major}"
            )
        if self._channel == BETA and stage is Stage.RC_WEEK:
            return f"no beta of {major} is left; what it still needs goes to release"
        return None

    def _absent(self, last: Train) -> Train:
        """A train that the schedule does not name: ended once a successor is named and the grace is over."""
        if last.stage is Stage.ENDED:
            return last
        since = last.absent_since or self._now
        absent = msgspec.structs.replace(
            _aged(last, self._now),
            unavailable_since=last.unavailable_since or since,
            absent_since=since,
            note=f"{self._schedule.source} does not name it",
        )
        if not self._has_successor(last) or self._now - since < self._grace:
            return absent
        return msgspec.structs.replace(
            absent,
            stage=Stage.ENDED,
            deadlines=(),
            passed=(),
            next_build=None,
            unavailable_since=None,
            source=self._schedule.source,
            read_at=self._schedule.read_at,
            note=f"{self._schedule.source} has not named it since {since:%Y-%m-%d}",
        )

    def _is_forgotten(self, last: Train) -> bool:
        is_old = last.absent_since is not None and self._now - last.absent_since > FORGET
        return last.stage is Stage.ENDED and MAJOR in self._rule.name and is_old

    def _has_successor(self, last: Train) -> bool:
        if self._channel == AURORA:
            return self._ladder.is_whole and AURORA not in self._ladder.majors
        if self._channel in LADDER or self._channel in self._schedule.failed or last.major is None:
            return False
        return any(
            listing.channel == self._channel and listing.major > last.major
            for listing in self._schedule.listings
        )


def _not_backwards(ladder: Ladder, known: Iterable[Train]) -> Ladder:
    """Release keeps a release candidate it once took over, even if the candidate is then put off."""
    taken = next((t.major for t in known if t.channel == RELEASE and t.major is not None), None)
    beta, release = ladder.majors.get(BETA), ladder.majors.get(RELEASE)
    if not ladder.is_whole or taken is None or beta is None or release is None or not release < taken <= beta:
        return ladder
    return Ladder({**ladder.majors, RELEASE: taken}, True)


def _is_own(train: Train, rule: Rule, rules: Iterable[Rule]) -> bool:
    """A train that has a rule of its own is left out of its family."""
    return train.name == rule.name or all(train.name != other.name for other in rules)


def _kept(rule: Rule, last: Train, reason: str, now: datetime) -> Train:
    if last.stage is Stage.ENDED:
        return last
    if rule.version and listing_by_hand(rule).major == last.major:
        last = msgspec.structs.replace(last, version=rule.version, source="settings")
    elif rule.version and MAJOR not in rule.name:
        last = blank(rule, rule.name)
    kept = msgspec.structs.replace(
        _aged(last, now),
        unavailable_since=last.unavailable_since or now,
        note=reason,
    )
    return overridden(rule, kept, now)


def _aged(last: Train, now: datetime) -> Train:
    """A train as last known, with what has passed meanwhile."""
    over = tuple(m for m in last.deadlines if m.has_passed(now) and m not in last.passed)
    is_gone = last.next_build is not None and last.next_build.has_passed(now)
    return msgspec.structs.replace(
        last,
        deadlines=upcoming(last.deadlines, now),
        passed=last.passed + over,
        next_build=None if is_gone else last.next_build,
    )


def _some(trains: list[Train], source: str, reason: str) -> tuple[Train, ...]:
    if not trains:
        raise Unavailable(source or "schedule", reason)
    return tuple(trains)
