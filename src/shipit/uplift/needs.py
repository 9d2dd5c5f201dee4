# SPDX-License-Identifier: MPL-2.0
"""What a conflicting request needs on its train: how each prerequisite stands there, and the next step."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from shipit.merge.advice import SERIES, Advice, InTheWay, Prerequisite
from shipit.uplift.report import KnownBug
from shipit.uplift.types import PatchRef, RequestState

# What earlier versions found is looked for again.
VERSION = 1


class State(StrEnum):
    """How a commit of main stands on a train.

    approved, requested, rejected: a request that holds this very commit. pending: its bug is asked for there,
    with other patches. unasked: neither, as far as whoever asks may see.
    """

    APPROVED = "approved"
    REQUESTED = "requested"
    REJECTED = "rejected"
    PENDING = "pending"
    UNASKED = "unasked"


# Stands for a bug that whoever reads may not see.
HIDDEN_BUG = 0
# What a commit of such a bug is called, with a number behind it: its id would lead to the bug.
WITHHELD = "withheld"
SECURITY_BUG = "a security bug"


class OpenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An open request of a train, as far as it may be seen. series: its patches in landing order."""

    uid: str
    bug: int
    state: RequestState
    series: tuple[PatchRef, ...]


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """A verified prerequisite of a request, and the request (uid) that asks for it, if any."""

    revision: str
    bug: int | None
    subject: str
    state: State
    request: str | None = None


_BY_REQUEST = {
    RequestState.APPROVED: State.APPROVED,
    RequestState.REQUESTED: State.REQUESTED,
    RequestState.REJECTED: State.REJECTED,
}
_WAITING = (RequestState.REQUESTED, RequestState.APPROVED)


def search_key(tip: str, series_digest: str) -> str:
    """The same for as long as a search would find the same: the tip, the patches, and how we search."""
    return hashlib.sha256(f"{VERSION}\n{tip}\n{series_digest}".encode()).hexdigest()[:24]


def state_of(
    revision: str, bug: int | None, requests: Iterable[OpenRequest]
) -> tuple[State, OpenRequest | None]:
    """How a commit stands among a train's open requests, and the request that says so."""
    pending = None
    exact: OpenRequest | None = None
    for one in requests:
        if any(patch.version == revision for patch in one.series) and one.state in _BY_REQUEST:
            exact = one if exact is None or exact.state is not RequestState.APPROVED else exact
        elif bug is not None and one.bug == bug and one.state in _WAITING:
            pending = pending or one
    if exact is not None:
        return _BY_REQUEST[exact.state], exact
    return (State.PENDING, pending) if pending is not None else (State.UNASKED, None)


def open_requests(bugs: Iterable[KnownBug], train: str) -> list[OpenRequest]:
    """The open requests of a train of bugs that everybody may see."""
    return [
        OpenRequest(uid=one.request.uid, bug=bug.bug, state=one.request.state, series=one.request.series)
        for bug in bugs
        if not (bug.is_restricted or bug.is_hidden)
        for one in bug.requests
        if one.request.train == train
    ]


def needs_of(advice: Advice | None, requests: Sequence[OpenRequest]) -> tuple[Need, ...]:
    """The verified prerequisites of an advice, each as it stands among a train's open requests."""
    return stand(advice.prerequisites, requests) if advice is not None and advice.verified else ()


def stand(prerequisites: Iterable[Prerequisite], requests: Sequence[OpenRequest]) -> tuple[Need, ...]:
    """How each of some commits stands among a train's open requests, in the order given."""
    found = []
    for one in prerequisites:
        state, request = state_of(one.revision, one.bug, requests)
        found.append(
            Need(
                revision=one.revision,
                bug=one.bug,
                subject=one.subject,
                state=state,
                request=request.uid if request is not None else None,
            )
        )
    return tuple(found)


def without(advice: Advice, secret: Collection[int]) -> Advice:
    """An advice for whoever may not see some bugs: their numbers, commits, words and people are left out."""
    owners = advice.in_the_way
    listed: tuple[Prerequisite | InTheWay, ...] = (*advice.prerequisites, *advice.unverified, *owners)
    if not any(one.bug in secret for one in listed):
        return advice
    names = {
        one.revision: f"{WITHHELD}-{place}" for place, one in enumerate(listed, start=1) if one.bug in secret
    }
    count = len(advice.prerequisites)
    reason = "commits of a security bug take part in the conflict"
    if advice.verified:
        reason = f"merges cleanly with {_many(count, 'commit')} tried first, of a security bug among others"
    return msgspec.structs.replace(
        advice,
        prerequisites=tuple(_withheld(one, names) for one in advice.prerequisites),
        unverified=tuple(_withheld(one, names) for one in advice.unverified),
        preferring=tuple(names.get(name, name) for name in advice.preferring),
        in_the_way=tuple(
            InTheWay(names[one.revision], None, SECURITY_BUG, one.path, "", "has a part in it")
            if one.revision in names
            else one
            for one in owners
        ),
        reason=reason,
    )


def _withheld(one: Prerequisite, names: Mapping[str, str]) -> Prerequisite:
    if one.revision not in names:
        return one
    return msgspec.structs.replace(
        one, revision=names[one.revision], bug=None, subject=SECURITY_BUG, author=""
    )


def bug_words(bug: int) -> str:
    """A bug as people call it."""
    return SECURITY_BUG if bug == HIDDEN_BUG else f"bug {bug}"


def bugs_of(advice: Advice | None) -> tuple[int, ...]:
    """The bugs of the verified prerequisites, in main's order, each once."""
    if advice is None or not advice.verified:
        return ()
    return tuple(dict.fromkeys(one.bug for one in advice.prerequisites if one.bug is not None))


def approval_warnings(train: str, needs: Sequence[Need], *, also: Collection[str] = ()) -> tuple[str, ...]:
    """What whoever is about to approve a request must know: what it needs is not approved on the train.

    also: requests (uids) that are approved with it.
    """
    lacking: dict[str, str] = {}
    for need in needs:
        if need.state is not State.APPROVED and need.request not in also:
            stands = f"is {_STANDS[need.state]} on {train}"
            if need.revision.startswith(WITHHELD):
                stands = "you may not see"
            lacking.setdefault(_whose(need.bug, need.revision), stands)
    return tuple(
        f"It merges cleanly only with {whose} landed first, which {stands}."
        for whose, stands in lacking.items()
    )


_STANDS = {
    State.REQUESTED: "requested and not decided",
    State.REJECTED: "rejected",
    State.PENDING: "pending with other patches",
    State.UNASKED: "not asked for",
}


def next_step(train: str, advice: Advice, needs: Sequence[Need]) -> str:
    """What to do about a conflict, in one sentence; it promises no more than was tried."""
    if advice.verified and len(advice.prerequisites) > SERIES:
        return f"It builds on a series of {len(advice.prerequisites)} commits: uplift is probably not wise."
    if advice.verified:
        return _after(train, advice.prerequisites, needs)
    if advice.neighbours_only:
        return (
            "Ask the author for a rebased patch: no line was changed by both sides; the proposal keeps both."
        )
    if advice.unverified:
        names = _listed(_whose(one.bug, one.revision) for one in advice.unverified)
        return f"Ask the author for a rebased patch: it seems to build on {names}, not all of which merge."
    if advice.in_the_way:
        return (
            f"Ask the author for a patch rebased on {train}: {_owner(advice.in_the_way[0])} wrote the place."
        )
    return f"Ask the author for a patch rebased on {train}: {advice.reason}."


def _after(train: str, prerequisites: Sequence[Prerequisite], needs: Sequence[Need]) -> str:
    if any(need.revision.startswith(WITHHELD) for need in needs):
        return f"Ask somebody who may see security bugs: it merges cleanly with {SECURITY_BUG} landed first."
    by_state: dict[State, list[str]] = {}
    for need in needs:
        names = by_state.setdefault(need.state, [])
        whose = _whose(need.bug, need.revision)
        if whose not in names:
            names.append(whose)
    all_named = _listed(dict.fromkeys(name for names in by_state.values() for name in names))
    if set(by_state) == {State.APPROVED}:
        return f"Land {all_named} first: it merges cleanly with it."
    steps = []
    if asked := by_state.get(State.REQUESTED):
        steps.append(f"decide {_listed(asked)}")
    if missing := [*by_state.get(State.UNASKED, ()), *by_state.get(State.PENDING, ())]:
        lines = sum(one.lines for one in prerequisites)
        files = sum(one.files for one in prerequisites)
        weight = f"{_many(lines, 'line')}, {_many(files, 'further file')}"
        steps.append(f"ask for {_listed(missing)} on {train} as well ({weight}) or for a rebased patch")
    if rejected := by_state.get(State.REJECTED):
        steps.append(f"ask the author for a patch without {_listed(rejected)}, which was rejected")
    words = ", and ".join(steps)
    return f"{words[:1].upper()}{words[1:]}: it merges cleanly with {all_named} landed first."


def _whose(bug: int | None, revision: str) -> str:
    if revision.startswith(WITHHELD):
        return SECURITY_BUG
    return f"bug {bug}" if bug is not None else f"commit {revision[:12]}"


def _owner(one: InTheWay) -> str:
    if one.revision.startswith(WITHHELD):
        return SECURITY_BUG
    author = one.author.partition("<")[0].strip() or "somebody"
    return f"{one.revision[:12]} ({one.subject[:80]}) by {author}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _many(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"
