# SPDX-License-Identifier: MPL-2.0
"""How a request stands and why: one pure function of facts, which also words the reason for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from shipit.merge.types import Outcome, SeriesResult
from shipit.uplift.needs import bug_words
from shipit.uplift.types import RequestState


class StandingKey(StrEnum):
    """What a page shows of a request's merge trial; derived, never stored."""

    CLEAN = "clean"
    LANDED = "landed"
    EMPTY = "empty"
    CONFLICT = "conflict"
    NEEDS_BUG = "needs-bug"
    SKIPPED = "skipped"
    QUEUED = "queued"
    RETESTING = "retesting"
    CANT_TELL = "cant-tell"


class Colour(StrEnum):
    """Only a proven conflict is red; what goes on by itself is "run"."""

    GREEN = "green"
    RED = "red"
    GREY = "grey"
    RUN = "run"


class Actor(StrEnum):
    """Who must act for the request to move."""

    RELEASE_MANAGER = "release manager"
    AUTHOR = "author"
    SHIPIT = "ship it"
    OPERATOR = "operator"
    NOBODY = "nobody"


class Look(msgspec.Struct, frozen=True):
    """How a key is shown. word: the same on board, page, mail and API."""

    word: str
    colour: Colour


LOOKS = {
    StandingKey.CLEAN: Look("Clean", Colour.GREEN),
    StandingKey.LANDED: Look("Already landed", Colour.GREY),
    StandingKey.EMPTY: Look("Empty", Colour.GREY),
    StandingKey.CONFLICT: Look("Conflict", Colour.RED),
    StandingKey.NEEDS_BUG: Look("Needs", Colour.RED),
    StandingKey.SKIPPED: Look("Skipped", Colour.GREY),
    StandingKey.QUEUED: Look("Queued", Colour.RUN),
    StandingKey.RETESTING: Look("Retesting", Colour.RUN),
    StandingKey.CANT_TELL: Look("Can't tell", Colour.GREY),
}

KEY_OF = {
    Outcome.CLEAN: StandingKey.CLEAN,
    Outcome.LANDED: StandingKey.LANDED,
    Outcome.EMPTY: StandingKey.EMPTY,
    Outcome.CONFLICT: StandingKey.CONFLICT,
    Outcome.SKIPPED: StandingKey.SKIPPED,
    Outcome.MISSING: StandingKey.CANT_TELL,
    Outcome.ERROR: StandingKey.CANT_TELL,
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a request. series_digest: which patches it means now. patches: how many.

    target_major: the version the train had when the request was made or re-targeted, None when unknown.
    """

    state: RequestState
    patches: int
    series_digest: str
    series_reason: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    target_major: int | None = None


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of the newest trial. needs: bugs verified to be what a conflict lacks."""

    outcome: Outcome
    tip: str
    series_digest: str
    tried_at: datetime
    files: tuple[str, ...] = ()
    reason: str | None = None
    needs: tuple[int, ...] = ()
    retry_at: datetime | None = None


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of the train. tip: its head now, None while the clone is unreadable (tip_reason says why).

    unavailable_since: since when Bugzilla does not answer for it, None while it does.
    """

    name: str
    tip: str | None = None
    tip_reason: str | None = None
    major: int | None = None
    unavailable_since: datetime | None = None
    unavailable_reason: str | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a request stands. sentence: for people, complete. actor: who must act. notes: what else to know."""

    key: StandingKey
    word: str
    colour: Colour
    sentence: str
    actor: Actor
    notes: tuple[str, ...] = ()


RESTRICTED = Standing(
    key=StandingKey.CANT_TELL,
    word="Restricted",
    colour=Colour.GREY,
    sentence="This bug is restricted; how it stands is shown only to those who may see it.",
    actor=Actor.NOBODY,
)


def standing(asked: Asked, tried: Tried | None, aim: Aim, *, now: datetime, may_see: bool = True) -> Standing:
    """How a request stands on a train, out of its facts, its newest trial and the train's."""
    if not may_see:
        return RESTRICTED
    key, sentence, actor = _judge(asked, tried, aim, now)
    if asked.state in (RequestState.REJECTED, RequestState.CLEARED):
        actor = Actor.NOBODY
    look = LOOKS[key]
    return Standing(
        key=key,
        word=_word(key, look.word, tried),
        colour=look.colour,
        sentence=sentence,
        actor=actor,
        notes=_notes(asked, aim, now),
    )


def tried_of(
    result: SeriesResult,
    *,
    tip: str,
    series_digest: str,
    tried_at: datetime,
    needs: Sequence[int] = (),
    retry_at: datetime | None = None,
) -> Tried:
    """The facts of a trial out of its result."""
    files = dict.fromkeys(conflict.path for patch in result.patches for conflict in patch.conflicts)
    reason = next(
        (one.reason for one in result.patches if one.outcome is result.outcome and one.reason), None
    )
    return Tried(
        outcome=result.outcome,
        tip=tip,
        series_digest=series_digest,
        tried_at=tried_at,
        files=tuple(files),
        reason=reason,
        needs=tuple(needs),
        retry_at=retry_at,
    )


def is_stale_approval(asked: Asked, aim: Aim) -> bool:
    """Whether an approval was given for a version which the train no longer is: the flag has no version."""
    return (
        asked.state is RequestState.APPROVED
        and asked.target_major is not None
        and aim.major is not None
        and asked.target_major != aim.major
    )


# --- why ----------------------------------------------------------------------------------------------


def _judge(asked: Asked, tried: Tried | None, aim: Aim, now: datetime) -> tuple[StandingKey, str, Actor]:
    if asked.patches == 0:
        why = asked.series_reason or "no patch is known"
        return StandingKey.CANT_TELL, f"There is nothing to try yet: {why}.", Actor.AUTHOR
    if tried is None:
        if aim.tip is None:
            return StandingKey.CANT_TELL, _no_tip(aim), Actor.OPERATOR
        return StandingKey.QUEUED, f"It waits for its first trial on {aim.name}.", Actor.SHIPIT
    was = f"was {_past(tried)} on {_short(tried.tip)}"
    if tried.series_digest != asked.series_digest:
        return StandingKey.RETESTING, f"The patch changed since its last trial; it {was}.", Actor.SHIPIT
    if aim.tip is not None and aim.tip != tried.tip:
        return StandingKey.RETESTING, f"{aim.name} moved since the last trial; it {was}.", Actor.SHIPIT
    key = KEY_OF[tried.outcome]
    if key is StandingKey.CONFLICT and tried.needs:
        key = StandingKey.NEEDS_BUG
    sentence, actor = _outcome(key, asked, tried, aim, now)
    return key, sentence, actor


def _outcome(key: StandingKey, asked: Asked, tried: Tried, aim: Aim, now: datetime) -> tuple[str, Actor]:
    tip = _short(tried.tip)
    decides = Actor.RELEASE_MANAGER if asked.state is RequestState.REQUESTED else Actor.AUTHOR
    if key is StandingKey.CLEAN:
        return f"It merges onto {aim.name} at {tip}.", decides
    if key is StandingKey.LANDED:
        flag = " The flag still asks." if asked.state is RequestState.REQUESTED else ""
        return f"It is on {aim.name} already.{flag}", Actor.RELEASE_MANAGER if flag else Actor.NOBODY
    if key is StandingKey.EMPTY:
        return f"It applies to {aim.name} at {tip} and changes nothing.", decides
    if key is StandingKey.NEEDS_BUG:
        return (
            f"It conflicts with {aim.name} in {_files(tried)} until {_bugs(tried.needs)} is there.",
            Actor.AUTHOR,
        )
    if key is StandingKey.CONFLICT:
        return f"It conflicts with {aim.name} at {tip} in {_files(tried)}.", Actor.AUTHOR
    if key is StandingKey.SKIPPED:
        return "An earlier patch of its series did not merge.", Actor.AUTHOR
    if tried.outcome is Outcome.MISSING:
        why = asked.series_reason or tried.reason or "the patch is not in the clone"
        return f"There is nothing to try: {why}.", Actor.AUTHOR
    again = f"; tried again {_moment(tried.retry_at, now)}" if tried.retry_at else ""
    return f"The trial did not finish: {tried.reason or 'no reason given'}{again}.", Actor.SHIPIT


def _notes(asked: Asked, aim: Aim, now: datetime) -> tuple[str, ...]:
    notes = []
    if aim.unavailable_since is not None:
        why = f" ({aim.unavailable_reason})" if aim.unavailable_reason else ""
        since = _moment(aim.unavailable_since, now)
        notes.append(
            f"Requests for {aim.name} are unavailable since {since}{why}; this is what was last read."
        )
    if aim.tip is None and aim.tip_reason:
        notes.append(_no_tip(aim))
    if asked.patches and asked.series_reason:
        notes.append(f"Not the whole series can be tried: {asked.series_reason}.")
    if is_stale_approval(asked, aim):
        notes.append(f"Approved for {asked.target_major}, not for {aim.major}.")
    if asked.state in (RequestState.REJECTED, RequestState.CLEARED):
        verb = "Rejected" if asked.state is RequestState.REJECTED else "Taken back"
        by = f" by {asked.decided_by}" if asked.decided_by else ""
        at = f" {_moment(asked.decided_at, now)}" if asked.decided_at else ""
        notes.append(f"{verb}{by}{at}.")
    return tuple(notes)


def _word(key: StandingKey, word: str, tried: Tried | None) -> str:
    if tried is None:
        return word
    if key is StandingKey.NEEDS_BUG:
        count = len(tried.needs)
        return f"Needs {bug_words(tried.needs[0])}" if count == 1 else f"Needs {count} bugs"
    if key is StandingKey.CONFLICT and tried.files:
        count = len(tried.files)
        return f"Conflict, {count} file{'' if count == 1 else 's'}"
    return word


def _past(tried: Tried) -> str:
    words = {
        Outcome.CLEAN: "clean",
        Outcome.LANDED: "on the train",
        Outcome.EMPTY: "empty",
        Outcome.CONFLICT: "in conflict",
        Outcome.SKIPPED: "skipped",
        Outcome.MISSING: "without a patch to try",
        Outcome.ERROR: "not tried to the end",
    }
    return words[tried.outcome]


def _files(tried: Tried) -> str:
    if not tried.files:
        return "files the trial does not name"
    if len(tried.files) == 1:
        return tried.files[0]
    return f"{tried.files[0]} and {len(tried.files) - 1} more"


def _bugs(bugs: Sequence[int]) -> str:
    return ", ".join(dict.fromkeys(bug_words(one) for one in bugs))


def _no_tip(aim: Aim) -> str:
    return f"The branch of {aim.name} cannot be read: {aim.tip_reason or 'no reason given'}."


def _short(commit: str) -> str:
    return commit[:12]


def _moment(at: datetime, now: datetime) -> str:
    at = at.astimezone(UTC)
    is_today = at.date() == now.astimezone(UTC).date()
    return f"{at:%H:%M} UTC" if is_today else f"{at:%Y-%m-%d %H:%M} UTC"
