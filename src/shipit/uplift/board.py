# SPDX-License-Identifier: MPL-2.0
"""How the board orders and words a train's requests: by who has to act next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from shipit.merge.types import Outcome
from shipit.uplift.standing import Actor, Aim, Asked, Standing, StandingKey, Tried, is_stale_approval
from shipit.uplift.types import RequestState


class Group(StrEnum):
    """Who has to act, in the order in which the board shows them."""

    DECIDE = "decide"
    BLOCKED = "blocked"
    ANSWER = "answer"
    APPROVED = "approved"
    TRYING = "trying"
    OPERATOR = "operator"
    DEFERRED = "deferred"
    DONE = "done"


class Heading(msgspec.Struct, frozen=True):
    """A group as people read it. why: what its requests have in common, one sentence."""

    key: Group
    title: str
    why: str


def headings(build: str | None) -> tuple[Heading, ...]:
    """Every group in order. build: name of the next build, None where none is known."""
    miss = f"These miss {build} unless someone lands them." if build else "Someone has to land them."
    return (
        Heading(
            Group.DECIDE,
            "Needs your decision",
            "They merge now, or ask something only a release manager can settle.",
        ),
        Heading(Group.BLOCKED, "Cannot merge yet", "Someone has to rebase, or ask for another bug first."),
        Heading(Group.ANSWER, "Waiting for an answer", "Somebody was asked, and has not replied yet."),
        Heading(Group.APPROVED, "Approved, not landed", miss),
        Heading(Group.TRYING, "Being tried", "Ship It tries them by itself; nobody has to act."),
        Heading(Group.OPERATOR, "Cannot be tried", "Whoever runs Ship It has to help."),
        Heading(Group.DEFERRED, "Deferred", "They come back when what they wait for has come."),
        Heading(Group.DONE, "Nothing left to do", "Rejected, or on the train already."),
    )


def group_of(
    asked: Asked,
    stands: Standing,
    tried: Tried | None,
    aim: Aim,
    *,
    is_owed: bool = False,
    is_deferred: bool = False,
) -> Group:
    """Where a request stands on the board. is_owed: somebody was asked on the bug and owes the answer.

    A request that is tried again stays where its last trial put it: rows do not jump when a train moves.
    """
    if asked.state is RequestState.APPROVED:
        if is_stale_approval(asked, aim):
            return Group.DECIDE
        return Group.DONE if stands.key is StandingKey.LANDED else Group.APPROVED
    if asked.state is not RequestState.REQUESTED:
        return Group.DONE
    if is_deferred:
        return Group.DEFERRED
    if is_owed:
        return Group.ANSWER
    if stands.key is StandingKey.RETESTING and tried is not None and tried.outcome in _AFTER:
        return _AFTER[tried.outcome]
    return _OF_ACTOR[stands.actor]


_AFTER = {
    Outcome.CLEAN: Group.DECIDE,
    Outcome.EMPTY: Group.DECIDE,
    Outcome.LANDED: Group.DECIDE,
    Outcome.CONFLICT: Group.BLOCKED,
    Outcome.SKIPPED: Group.BLOCKED,
    Outcome.MISSING: Group.BLOCKED,
}
_OF_ACTOR = {
    Actor.RELEASE_MANAGER: Group.DECIDE,
    Actor.AUTHOR: Group.BLOCKED,
    Actor.SHIPIT: Group.TRYING,
    Actor.OPERATOR: Group.OPERATOR,
    Actor.NOBODY: Group.DONE,
}


def detail(stands: Standing, asked: Asked, tried: Tried | None, aim: Aim) -> str:
    """The few words under a trial's word; empty where the word says it all."""
    if stands.key is StandingKey.RETESTING and tried is not None:
        moved = "the patch changed" if tried.series_digest != asked.series_digest else f"{aim.name} moved"
        return f"was {_WAS[tried.outcome]}, {moved}"
    if stands.key is StandingKey.CONFLICT and tried is not None and len(tried.files) == 1:
        return tried.files[0].rsplit("/", 1)[-1]
    if stands.key is StandingKey.LANDED and asked.state is RequestState.REQUESTED:
        return "flag still ?"
    if stands.key is StandingKey.EMPTY:
        return "applies, changes nothing"
    if stands.key is StandingKey.CANT_TELL:
        if asked.patches == 0:
            return "no patch to test"
        if tried is None:
            return "branch cannot be read"
        return "no patch to test" if tried.outcome is Outcome.MISSING else "trial stopped"
    return ""


_WAS = {
    Outcome.CLEAN: "clean",
    Outcome.LANDED: "on the train",
    Outcome.EMPTY: "empty",
    Outcome.CONFLICT: "in conflict",
    Outcome.SKIPPED: "skipped",
    Outcome.MISSING: "without a patch",
    Outcome.ERROR: "not tried",
}


# --- marks of a bug ------------------------------------------------------------------------------------

_SHOWN = ("topcrash", "crash", "hang", "regression", "dataloss", "perf")
_URGENT = ("sec-critical", "sec-high", "topcrash", "dataloss")


def tags(
    keywords: Iterable[str], *, severity: str, tracking: str | None, flags: Mapping[str, str]
) -> tuple[str, ...]:
    """The marks of a bug worth a place in its row. tracking: value of the train's tracking flag.

    flags: name to status, of the bug's own flags.
    """
    words = set(keywords)
    found = [word for word in _SHOWN if word in words and not (word == "crash" and "topcrash" in words)]
    found += sorted(word for word in words if word.startswith("sec-"))
    if severity in ("S1", "critical", "blocker"):
        found.append(severity)
    if tracking and tracking not in ("---", "-"):
        found.append(f"tracking {tracking}")
    if flags.get("qe-verify") in ("?", "+"):
        found.append(f"qe-verify {flags['qe-verify']}")
    return tuple(found)


def urgency(keywords: Iterable[str], *, severity: str, tracking: str | None) -> int:
    """Among requests that must be decided by the same moment the lower number comes first: 0 to 2."""
    words = set(keywords)
    if words & set(_URGENT) or severity in ("S1", "critical", "blocker") or tracking == "blocking":
        return 0
    return 1 if words & {"crash", "regression", "hang"} or severity == "S2" or tracking == "+" else 2


# --- words of a train ----------------------------------------------------------------------------------

_STAGES = {
    "nightly": "Nightly",
    "aurora": "Aurora",
    "early-beta": "Early beta",
    "late-beta": "Late beta",
    "rc-week": "Release candidate week",
    "dot-releases": "Dot releases",
    "esr": "Extended support",
    "ended": "Ended",
    "unknown": "Stage not known",
}


def title(name: str, channel: str, major: int | None) -> str:
    """A train as people call it: "Beta 147", "ESR 140"."""
    kind = "ESR" if channel == "esr" else channel.capitalize() or name.capitalize()
    return f"{kind} {major}" if major is not None else name.capitalize()


def stage_words(stage: str) -> str:
    """A stage as people call it."""
    return _STAGES.get(stage, stage)


def moment_label(name: str) -> str:
    """A moment of the calendar in few words: "beta_4" is b4, "merge_day" merge day."""
    kind, _, number = name.partition("_")
    if kind == "beta" and number.isdigit():
        return f"b{number}"
    return _MOMENTS.get(name, name.replace("_", " "))


_MOMENTS = {"rc_gtb": "RC", "rc": "RC", "merge_day": "merge", "planned_dot_release": "dot release"}


def is_milestone(name: str) -> bool:
    """Whether a moment is more than one build among many: a candidate, a release, the merge."""
    return not (name.startswith("beta_") or "nightly" in name)
