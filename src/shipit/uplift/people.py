# SPDX-License-Identifier: MPL-2.0
"""Who had which part in a bug, and what people did, dated and without judgement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from shipit.uplift.analysis import Contributor, Role
from shipit.uplift.types import Bug, Person, Request, RequestState


class Did(StrEnum):
    """What somebody did; facts only."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    TOOK_BACK = "took back"
    LANDED = "landed"
    BACKED_OUT = "was backed out"
    REVIEWED = "reviewed"


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One dated entry of a person's history. who: e-mail as given. source: "bugzilla" or "clone".

    commit: of what landed or was backed out.
    """

    who: str
    did: Did
    at: datetime
    bug: int
    train: str | None = None
    request: str | None = None
    commit: str | None = None
    source: str = "bugzilla"


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of the bug that was backed out, as the clone knows it. train: None for main."""

    commit: str
    author: str
    at: datetime
    train: str | None = None


_DECIDED = {
    RequestState.APPROVED: Did.APPROVED,
    RequestState.REJECTED: Did.REJECTED,
    RequestState.CLEARED: Did.TOOK_BACK,
}

_ORDER = list(Role)


def contributors(
    bug: Bug,
    requests: Iterable[Request],
    *,
    authors: Iterable[Person] = (),
    reviewers: Iterable[Person] = (),
    others: Iterable[Contributor] = (),
) -> tuple[Contributor, ...]:
    """Everybody with a part in the bug and its requests, each once, roles in Role's order.

    others: who an analysis named. People are one by their address (case aside), else by their name.
    """
    roles: dict[str, set[Role]] = {}
    persons: dict[str, Person] = {}

    def add(person: Person | None, role: Role) -> None:
        if person is None or not (person.email or person.name):
            return
        key = (person.email or person.name).lower()
        roles.setdefault(key, set()).add(role)
        known = persons.get(key)
        # Bugzilla's flags give an address alone; whoever also tells the name knows more.
        if known is None or (known.name == known.email and person.name != person.email):
            persons[key] = person

    add(bug.creator, Role.CREATOR)
    add(bug.assignee, Role.ASSIGNEE)
    for person in authors:
        add(person, Role.AUTHOR)
    for person in reviewers:
        add(person, Role.REVIEWER)
    for one in others:
        for role in one.roles:
            add(one.person, role)
    for request in requests:
        add(_by_address(request.requested_by), Role.REQUESTER)
        if request.state in (RequestState.APPROVED, RequestState.REJECTED):
            add(_by_address(request.decided_by), Role.APPROVER)
    return tuple(
        Contributor(person, tuple(sorted(roles[key], key=_ORDER.index))) for key, person in persons.items()
    )


def deeds(
    requests: Iterable[Request],
    *,
    landings: Mapping[str, Sequence[tuple[str, str, datetime]]] | None = None,
    reviews: Mapping[str, Sequence[tuple[str, str, datetime]]] | None = None,
    undone: Iterable[Undone] = (),
) -> tuple[Deed, ...]:
    """What people did about a bug's requests, oldest first, each once.

    landings: train → (author, commit, time) of what landed there. reviews: the same with the reviewer.
    """
    found: set[Deed] = set()
    numbers = set()
    for request in requests:
        numbers.add(request.bug)
        decided = _DECIDED.get(request.state)
        for did, who, at in (
            (Did.REQUESTED, request.requested_by, request.requested_at),
            (decided, request.decided_by, request.decided_at),
        ):
            if did and who and at:
                found.add(
                    Deed(who=who, did=did, at=at, bug=request.bug, train=request.train, request=request.uid)
                )
    for bug in numbers:
        for did, rows in ((Did.LANDED, landings), (Did.REVIEWED, reviews)):
            for train, those in (rows or {}).items():
                for who, commit, at in those:
                    found.add(
                        Deed(who=who, did=did, at=at, bug=bug, train=train, commit=commit, source="clone")
                    )
        for one in undone:
            found.add(
                Deed(
                    who=one.author,
                    did=Did.BACKED_OUT,
                    at=one.at,
                    bug=bug,
                    train=one.train,
                    commit=one.commit,
                    source="clone",
                )
            )
    return tuple(sorted(found, key=lambda one: (one.at, one.who, one.did, one.train or "")))


def concerned(request: Request, people: Iterable[Contributor]) -> tuple[str, ...]:
    """Addresses to tell when a request's merge fails: who asked, who wrote it, whose bug it is; each once."""
    told = {Role.AUTHOR, Role.ASSIGNEE}
    addresses = [request.requested_by or ""]
    addresses += [one.person.email or "" for one in people if told & set(one.roles)]
    return tuple(dict.fromkeys(one.lower() for one in addresses if "@" in one))


def _by_address(address: str | None) -> Person | None:
    return Person(name=address, email=address) if address else None
