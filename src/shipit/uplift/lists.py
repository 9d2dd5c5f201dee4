# SPDX-License-Identifier: MPL-2.0
"""What else a release manager looks through for each train: which bugs belong on which list, and why.

Some lists are searched for in Bugzilla; the others follow from the requests that we hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from shipit.merge.types import Outcome
from shipit.trains.types import Train
from shipit.uplift.needinfos import Needinfo, answered
from shipit.uplift.types import Bug, RequestState


class ListName(StrEnum):
    """A list of the board besides the requests."""

    TRACKING = "tracking"
    RELNOTE = "relnote"
    SECURITY = "security"
    ANSWERED = "answered"
    NOT_LANDED = "not-landed"
    NOT_FLAGGED = "not-flagged"
    UNASKED = "unasked"


class Heading(msgspec.Struct, frozen=True):
    """How a list is shown. rule: what is on it, in a sentence."""

    title: str
    rule: str


HEADINGS = {
    ListName.TRACKING: Heading("Tracking ?", "Somebody asks to track the bug for this train."),
    ListName.RELNOTE: Heading("Release note ?", "Somebody proposes a release note."),
    ListName.SECURITY: Heading(
        "Security, no request", "Rated sec-high or sec-critical, this train is affected, and nobody asks."
    ),
    ListName.ANSWERED: Heading(
        "Needinfo answered", "A pending request whose every question has been answered."
    ),
    ListName.NOT_LANDED: Heading("Approved, not landed", "Approved, and not on the train yet."),
    ListName.NOT_FLAGGED: Heading(
        "Landed, not flagged", "On the train, and its status flag does not say fixed."
    ),
    ListName.UNASKED: Heading(
        "Fixed, no request", "Fixed on the main branch, this train is affected, and nobody asks."
    ),
}

FIXED = frozenset({"fixed", "verified"})
CONCERNED = FIXED | {"affected", "fix-optional"}
# Where a status says that nothing is to land, an approval waits for nobody.
SETTLED = FIXED | {"wontfix", "unaffected", "disabled"}
TRACKED = ("?", "+", "blocking")


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What an installation calls things. relnote_field: None where there are no release notes.

    security_keywords: ratings that ask for an uplift, gravest first.
    """

    relnote_field: str | None = "cf_tracking_firefox_relnote"
    security_keywords: tuple[str, ...] = ("sec-critical", "sec-high")


class Term(msgspec.Struct, frozen=True):
    """One condition of a search, in Bugzilla's words for its operators."""

    field: str
    operator: str
    value: str


class Search(msgspec.Struct, frozen=True):
    """Bugs that meet all terms may belong on this list of this train; train None: on that of any."""

    train: str | None
    list: ListName
    terms: tuple[Term, ...]


class Place(msgspec.Struct, frozen=True):
    """A bug's place on a list, and the sentence that says why it is there."""

    train: str
    list: ListName
    sentence: str


def searched_of(train: Train, words: Words) -> tuple[ListName, ...]:
    """The searched lists that a train can have, by the flags it has; in the order people read them."""
    has_status = train.status_flag is not None
    kept = {
        ListName.TRACKING: train.tracking_flag is not None,
        ListName.RELNOTE: words.relnote_field is not None and has_status,
        ListName.SECURITY: has_status and bool(words.security_keywords),
        ListName.UNASKED: has_status and train.approval_flag is not None,
    }
    return tuple(name for name, is_kept in kept.items() if is_kept)


def held_of(train: Train) -> tuple[ListName, ...]:
    """The lists of a train that follow from its requests."""
    if train.approval_flag is None:
        return ()
    both = (ListName.ANSWERED, ListName.NOT_LANDED)
    return both if train.status_flag is None else (*both, ListName.NOT_FLAGGED)


def searches(trains: Sequence[Train], words: Words) -> tuple[Search, ...]:
    """What to ask Bugzilla for, so that no bug that belongs on a list is missed; `places` decides exactly."""
    found = []
    if words.relnote_field is not None:
        found.append(Search(None, ListName.RELNOTE, (Term(words.relnote_field, "equals", "?"),)))
    for train in trains:
        mine = searched_of(train, words)
        affected = Term(train.status_flag or "", "equals", "affected")
        if ListName.TRACKING in mine:
            asked = (Term(train.tracking_flag or "", "equals", "?"),)
            found.append(Search(train.name, ListName.TRACKING, asked))
        if ListName.SECURITY in mine:
            rated = Term("keywords", "anywords", " ".join(words.security_keywords))
            found.append(Search(train.name, ListName.SECURITY, (affected, rated)))
        if ListName.UNASKED in mine:
            found += [
                Search(train.name, ListName.UNASKED, terms) for terms in _unasked(train, trains, affected)
            ]
    return tuple(found)


def fields_of(trains: Sequence[Train], words: Words) -> tuple[str, ...]:
    """The custom fields that `places` looks at."""
    named = [words.relnote_field, *(flag for one in trains for flag in (one.status_flag, one.tracking_flag))]
    return tuple(dict.fromkeys(name for name in named if name))


def places(bug: Bug, trains: Sequence[Train], words: Words) -> tuple[Place, ...]:
    """Where a bug belongs among the searched lists. A field the bug does not have says nothing."""
    found = []
    for train in trains:
        for name in searched_of(train, words):
            sentence = _sentence(name, bug, train, trains, words)
            if sentence is not None:
                found.append(Place(train.name, name, sentence))
    return tuple(found)


def _sentence(name: ListName, bug: Bug, train: Train, trains: Sequence[Train], words: Words) -> str | None:
    """Why a bug is on a searched list of a train; None when it is not."""
    if name is ListName.TRACKING and bug.fields.get(train.tracking_flag or "") == "?":
        return f"Tracking for {train.name} is asked for ({train.tracking_flag})."
    if name is ListName.RELNOTE and bug.fields.get(words.relnote_field or "") == "?":
        return _relnote(bug, train, trains)
    if bug.fields.get(train.status_flag or "") != "affected" or _has_request(bug, train):
        return None
    fixed = _fixed_where(bug, trains)
    if name is ListName.SECURITY:
        rating = next((one for one in words.security_keywords if one in bug.keywords), None)
        if rating is None:
            return None
        return f"{rating}, {train.name} is affected, and {fixed or 'it is not fixed yet'}; nobody asks."
    if name is ListName.UNASKED and fixed is not None and _is_taken(bug, train):
        return f"{fixed[0].upper()}{fixed[1:]}, {train.name} is affected, and nobody asks."
    return None


def _relnote(bug: Bug, train: Train, trains: Sequence[Train]) -> str | None:
    """On the trains that the bug concerns; where it names none, on the newest, so that none is lost."""
    status = bug.fields.get(train.status_flag or "")
    if status in CONCERNED:
        return f"A release note is proposed; {train.name} is {status}."
    with_flag = [one for one in trains if one.status_flag is not None]
    if any(bug.fields.get(one.status_flag or "") in CONCERNED for one in with_flag):
        return None
    newest = max(with_flag, key=lambda one: (one.channel != "esr", one.major or 0))
    if newest.name != train.name:
        return None
    return "A release note is proposed; no status flag says for which train."


def _unasked(train: Train, trains: Sequence[Train], affected: Term) -> list[tuple[Term, ...]]:
    """The terms of fixed bugs: resolved so, or (where a bug stays open) fixed by the newest train's flag."""
    more: tuple[Term, ...] = ()
    if train.channel == "esr" and train.tracking_flag is not None:
        more = (Term(train.tracking_flag, "anyexact", ",".join(TRACKED)),)
    found: list[tuple[Term, ...]] = [(affected, Term("resolution", "equals", "FIXED"), *more)]
    newest = _main(trains)
    if newest is not None and newest.name != train.name and newest.status_flag is not None:
        found.append((affected, Term(newest.status_flag, "anyexact", ",".join(sorted(FIXED))), *more))
    return found


def _is_taken(bug: Bug, train: Train) -> bool:
    """An ESR takes only what is tracked for it; what is grave has a list of its own."""
    if train.channel != "esr" or train.tracking_flag is None:
        return True
    return bug.fields.get(train.tracking_flag) in TRACKED


def _fixed_where(bug: Bug, trains: Sequence[Train]) -> str | None:
    newest = _main(trains)
    if newest is not None and bug.fields.get(newest.status_flag or "") in FIXED:
        return f"fixed on {newest.name}"
    return "fixed on the main branch" if bug.resolution == "FIXED" else None


def _main(trains: Sequence[Train]) -> Train | None:
    """The train that follows the main branch, where one is configured."""
    return next((one for one in trains if one.channel == "nightly"), None)


def _has_request(bug: Bug, train: Train) -> bool:
    """Whether anybody asks, or ever decided: an old answer is an answer until somebody takes it away."""
    flags = [*bug.flags, *(flag for one in bug.attachments if not one.is_obsolete for flag in one.flags)]
    return train.approval_flag is not None and any(flag.name == train.approval_flag for flag in flags)


# --- lists that follow from the requests we hold --------------------------------------------------------


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A request as we hold it. outcome: of its newest trial. status: the train's status flag on its bug."""

    state: RequestState
    requested_at: datetime | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    target_major: int | None = None
    outcome: Outcome | None = None
    status: str | None = None
    needinfos: tuple[Needinfo, ...] = ()


class HeldPlace(msgspec.Struct, frozen=True):
    """A request's place on a list, why, and since when it has been there (None where nobody knows)."""

    list: ListName
    sentence: str
    since: datetime | None


def held_places(held: Held, train: Train) -> tuple[HeldPlace, ...]:
    """Where a request that we hold belongs."""
    found = (_answered(held), _not_landed(held, train), _not_flagged(held, train))
    return tuple(one for one in found if one is not None)


def _answered(held: Held) -> HeldPlace | None:
    if held.state is not RequestState.REQUESTED:
        return None
    last = answered(held.requested_at, held.needinfos)
    if last is None:
        return None
    return HeldPlace(ListName.ANSWERED, f"{last.cleared_by} answered {last.asked_by}.", last.cleared_at)


def _not_landed(held: Held, train: Train) -> HeldPlace | None:
    is_waiting = held.state is RequestState.APPROVED and held.outcome is not Outcome.LANDED
    if not is_waiting or held.status in SETTLED:
        return None
    by = f" by {held.decided_by}" if held.decided_by else ""
    sentence = f"Approved{by}, and not on {train.name} yet."
    if held.outcome is Outcome.CONFLICT:
        sentence = f"Approved{by}, and it conflicts with {train.name}."
    if held.target_major is not None and train.major is not None and held.target_major != train.major:
        sentence = f"Approved{by} for {held.target_major}, not for {train.major}, and it never landed."
    return HeldPlace(ListName.NOT_LANDED, sentence, held.decided_at)


def _not_flagged(held: Held, train: Train) -> HeldPlace | None:
    if held.outcome is not Outcome.LANDED or held.status is None or held.status in FIXED:
        return None
    says = "is not set" if held.status in ("", "---") else f"says “{held.status}”"
    asks = " and the request still asks" if held.state is RequestState.REQUESTED else ""
    sentence = f"It is on {train.name}; {train.status_flag} {says}{asks}."
    return HeldPlace(ListName.NOT_FLAGGED, sentence, held.decided_at)
