# SPDX-License-Identifier: MPL-2.0
"""What a release manager says about requests: the verdict, its words and what else it sets."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from shipit.trains.types import Train

Text = Annotated[str, Meta(max_length=16_000)]
Name = Annotated[str, Meta(min_length=1, max_length=300)]
Value = Annotated[str, Meta(max_length=60)]
Number = Annotated[int, Meta(ge=1, le=2**53 - 1)]

MOST_AT_ONCE = 200
STATUS, TRACKING, RELNOTE = "status", "tracking", "relnote"
STATUS_VALUES = (
    "---",
    "?",
    "affected",
    "unaffected",
    "fixed",
    "verified",
    "wontfix",
    "disabled",
    "verified disabled",
    "fix-optional",
)
TRACKING_VALUES = ("---", "?", "+", "-", "blocking")


class Verdict(StrEnum):
    """The answer to a request. FLAGS decides nothing and edits fields and flags only."""

    APPROVE = "approve"
    REJECT = "reject"
    DEFER = "defer"
    ASK = "ask"
    WITHDRAW = "withdraw"
    FLAGS = "flags"


class Until(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a deferred request waits for: a build by name, a time, or a condition in words; at least one."""

    build: Annotated[str, Meta(max_length=60)] = ""
    at: datetime | None = None
    condition: Annotated[str, Meta(max_length=500)] = ""

    @property
    def words(self) -> str:
        """For a sentence: "118.0b5", "2026-11-24 12:00 UTC", "verification by QA"."""
        when = f"{self.at:%Y-%m-%d %H:%M} UTC" if self.at else ""
        return ", ".join(part for part in (self.build, when, self.condition) if part)


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One verdict about some requests, or about bugs that have none; at least one of both.

    requests: their uids. bugs: numbers of bugs on the board's lists, which can be asked about and have their
    fields and flags set; train: for which one that is done. comment: what is written for people; {build},
    {version}, {train} and {bug} are filled in for each; empty with a template: the template's words. until:
    for defer. requestee: login of whoever is asked, by default who requested, or the bug's assignee. fields:
    exact names ("cf_status_firefox118"), or "status" and "tracking" for those of the train, "relnote" for the
    release note's. flags: generic flags of the bug by name ("qe-verify") to "?", "+", "-" or "X". reason:
    kept in the audit, written nowhere else.
    """

    verdict: Verdict
    requests: Annotated[tuple[Name, ...], Meta(max_length=MOST_AT_ONCE)] = ()
    bugs: Annotated[tuple[Number, ...], Meta(max_length=MOST_AT_ONCE)] = ()
    train: Annotated[str, Meta(max_length=60)] = ""
    comment: Text = ""
    template: Annotated[str, Meta(max_length=60)] = ""
    until: Until | None = None
    requestee: Annotated[str, Meta(max_length=300)] = ""
    fields: dict[Name, Value] = {}
    flags: dict[Name, Value] = {}
    reason: Annotated[str, Meta(max_length=2000)] = ""

    def __post_init__(self) -> None:
        """Raises ValueError, which a door that decodes tells as the body's."""
        if not (self.requests or self.bugs):
            raise ValueError("Expected at least one of `requests` and `bugs`")
        if self.bugs and not self.train:
            raise ValueError("Expected `train`, for which the `bugs` are decided about")


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """Words for a verdict. Where nothing is known to fill in a placeholder with, it cannot be used."""

    key: str
    verdict: Verdict
    title: str
    text: str


_V = Verdict
TEMPLATES: tuple[Template, ...] = (
    Template(key="approve", verdict=_V.APPROVE, title="Approve", text="Approved for {build}."),
    Template(
        key="approve-ride-along",
        verdict=_V.APPROVE,
        title="Approve as a ride-along",
        text="Approved for {train}; it rides along with the next dot release.",
    ),
    Template(
        key="approve-after",
        verdict=_V.APPROVE,
        title="Approve, after another bug",
        text="Approved for {build}. Please land it after bug … is on {train}.",
    ),
    Template(
        key="reject-late",
        verdict=_V.REJECT,
        title="Too late",
        text="Too late for {train} {version}; it rides the trains.",
    ),
    Template(
        key="reject-risk",
        verdict=_V.REJECT,
        title="Too risky now",
        text="The risk is too high for {train} {version} at this point; it rides the trains.",
    ),
    Template(
        key="defer-verify",
        verdict=_V.DEFER,
        title="Wait for verification",
        text="We wait until the fix is verified on Nightly before we decide for {train}.",
    ),
    Template(key="defer-quiet", verdict=_V.DEFER, title="Wait, and write nothing", text=""),
    Template(
        key="ask-verified",
        verdict=_V.ASK,
        title="Verified?",
        text="Has the fix been verified on Nightly?",
    ),
    Template(
        key="ask-rebase",
        verdict=_V.ASK,
        title="Rebase",
        text="The patch does not apply to {train}. Please upload one that does.",
    ),
    Template(
        key="ask-risk",
        verdict=_V.ASK,
        title="More about the risk",
        text="Please say more about the risk of this change, and how it was tested.",
    ),
    Template(
        key="withdraw",
        verdict=_V.WITHDRAW,
        title="Not needed here",
        text="{train} does not need this; the request is taken off.",
    ),
)


def template_of(verdict: Verdict, key: str) -> Template | None:
    """The template of that key for a verdict."""
    return next((one for one in TEMPLATES if one.key == key and one.verdict is verdict), None)


def build_name(train: Train) -> str | None:
    """The next build as release managers write it ("118.0b4", "140.6.0esr"), None when none is named.

    A schedule names moments ("beta_4", "rc_gtb", "planned_dot_release"); people name versions.
    """
    moment = train.next_build
    if moment is None:
        return None
    kind, _, number = moment.name.partition("_")
    if train.major is None or re.search(r"[.\s]", moment.name):
        return moment.name
    if kind == "beta" and number.isdigit():
        return f"{train.major}.0b{number}"
    is_dot = "dot_release" in moment.name
    if train.channel == "esr":
        return _following(train.version, 2 if is_dot else 1) or "the next ESR release"
    if is_dot:
        return _following(train.version, 2) or "the next dot release"
    return f"{train.major}.0" if kind in ("rc", "release") else moment.name.replace("_", " ")


def _following(version: str | None, place: int) -> str | None:
    """The version after this one, counted up at a place: 146.0.1 after 146.0."""
    found = re.fullmatch(r"(\d+(?:\.\d+){1,2})(esr)?", version or "")
    if found is None:
        return None
    parts = [int(part) for part in found[1].split(".")] + [0, 0]
    parts = [*parts[:place], parts[place] + 1, *([0] if place == 1 else [])]
    return ".".join(map(str, parts)) + (found[2] or "")


def filled(text: str, train: Train, bug: int) -> str:
    """The words with what is known of the train; what is not known stays as it stands."""
    known = {
        "{build}": build_name(train),
        "{version}": str(train.major) if train.major is not None else train.version,
        "{train}": train.name,
        "{bug}": str(bug),
    }
    for place, value in known.items():
        if value:
            text = text.replace(place, value)
    return text
