# SPDX-License-Identifier: MPL-2.0
"""How a rule spells its trains: names, branches, flags, and what is set by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from shipit.errors import InvalidInput
from shipit.trains.schedule import LADDER, major_of, read_moment
from shipit.trains.types import Listing, Rule, Train

MAJOR = "{major}"


def channel_of(rule: Rule) -> str:
    """The schedule's channel of a rule: as set, else its name without number or placeholder."""
    return rule.channel or re.sub(r"[-_]?(\{major\}|\d+)$", "", rule.name)


def belongs(name: str, rule: Rule) -> bool:
    """Whether a train of that name is the rule's, or of the rule's family."""
    pattern = re.escape(rule.name).replace(re.escape(MAJOR), r"\d+")
    return re.fullmatch(pattern, name) is not None


def number_of(rule: Rule) -> int | None:
    """The version in the name of a train that carries one version all its life ("esr140")."""
    found = re.search(r"\d+$", rule.name)
    return int(found[0]) if found and channel_of(rule) not in LADDER else None


def listing_by_hand(rule: Rule) -> Listing:
    """The version set in the rule. Raises InvalidInput when it is none."""
    major = major_of(rule.version or "")
    if rule.version is None or major is None:
        raise InvalidInput(
            f"trains.{rule.name}.version", expected='a version such as "147.0b3"', got=rule.version
        )
    return Listing(channel=channel_of(rule), version=rule.version, major=major)


def spelled(rule: Rule, name: str, major: int | None) -> Train:
    """The train as the rule spells it, placeholders filled; a flag that needs an unknown version is None."""

    def filled(text: str | None) -> str | None:
        if text is None or MAJOR not in text:
            return text
        return None if major is None else text.replace(MAJOR, str(major))

    return Train(
        name=name,
        channel=channel_of(rule),
        repository=rule.repository,
        branch=filled(rule.branch) or "",
        major=major,
        approval_flag=filled(rule.approval_flag),
        status_flag=filled(rule.status_flag),
        tracking_flag=filled(rule.tracking_flag),
    )


def blank(rule: Rule, name: str) -> Train:
    """A train of which only its rule is known."""
    if rule.version:
        major = listing_by_hand(rule).major
        name = name.replace(MAJOR, str(major))
        return msgspec.structs.replace(spelled(rule, name, major), version=rule.version, source="settings")
    return spelled(rule, name, number_of(rule))


def overridden(rule: Rule, train: Train, now: datetime) -> Train:
    """Owner and next build as set in the rule; a build that has passed is no next build."""
    if rule.owner:
        train = msgspec.structs.replace(train, owner=rule.owner)
    if rule.next_build or rule.next_build_at:
        if not rule.next_build_at:
            raise InvalidInput(
                f"trains.{rule.name}.next_build_at", expected="a time, because next_build is set"
            )
        moment = read_moment(f"trains.{rule.name}.next_build_at", rule.next_build_at)
        moment = msgspec.structs.replace(moment, name=rule.next_build or "next_build")
        if not moment.has_passed(now):
            train = msgspec.structs.replace(train, next_build=moment)
    return train


def problems_of(rules: Iterable[Rule], now: datetime) -> tuple[str, ...]:
    """What is wrong with values set by hand, a sentence each, before a round stumbles on it."""
    problems = []
    for rule in rules:
        try:
            overridden(rule, blank(rule, rule.name), now)
        except InvalidInput as error:
            problems.append(error.detail)
    return tuple(problems)
