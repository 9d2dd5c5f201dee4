# SPDX-License-Identifier: MPL-2.0
"""What a verdict about requests writes where, or why it cannot: one pure function of facts.

Where a request has an open uplift revision the decision is made on it, and never on the flag as well: only
that lets it land, and the flag follows by itself. Else it is made on the attachment's flag. Of a bug without
a request nothing is approved: somebody is asked, or its fields and flags are set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from shipit.trains.types import Train
from shipit.uplift.decision_edits import edits_of
from shipit.uplift.decision_parts import One, named, part_of
from shipit.uplift.decision_types import (
    CannotDecide,
    Decider,
    Facts,
    NotWritten,
    Plan,
    Refusal,
    RequestFacts,
    Stamp,
    Write,
)
from shipit.uplift.decision_writes import (
    FLAG_AFTER,
    OnFlags,
    flags_follow,
    on_flags,
    on_revisions,
    shown,
    where,
)
from shipit.uplift.places import decided_there, difference
from shipit.uplift.types import RequestState
from shipit.uplift.verdicts import Verdict, Wanted, build_name, filled, template_of

_V = Verdict
STATE_AFTER = {
    _V.APPROVE: RequestState.APPROVED,
    _V.REJECT: RequestState.REJECTED,
    _V.WITHDRAW: RequestState.CLEARED,
}
# What can be said about a bug that nobody requests anything for.
OF_BUGS = frozenset({_V.ASK, _V.FLAGS})
_PLACEHOLDER = re.compile(r"\{(?:build|version|train|bug)\}")


def plan(wanted: Wanted, facts: Facts, now: datetime) -> Plan:
    """What the verdict writes, per bug in the order of systems, and the requests it cannot reach."""
    refusals: list[Refusal] = []
    by_bug: dict[int, list[One]] = {}
    for subject, make in _subjects(wanted):
        try:
            one = make(facts=facts, now=now)
        except CannotDecide as refused:
            refusals.append(Refusal(subject, refused.field, refused.reason))
        else:
            by_bug.setdefault(one.bug, []).append(one)
    parts = []
    for bug, ones in sorted(by_bug.items()):
        try:
            parts.append(part_of(bug, ones, facts))
        except CannotDecide as refused:
            refusals += [Refusal(one.subject, refused.field, refused.reason) for one in ones]
    return Plan(verdict=wanted.verdict, parts=tuple(parts), refusals=tuple(refusals))


def _subjects(wanted: Wanted) -> Iterator[tuple[str, partial[One]]]:
    """What is decided about, as refusals name it, and how to decide it."""
    for uid in dict.fromkeys(wanted.requests):
        yield uid, partial(_of_request, wanted, uid)
    for bug in dict.fromkeys(wanted.bugs):
        yield named(bug), partial(_of_bug, wanted, bug)


# --- one request, one bug ---------------------------------------------------------------------------


def _of_request(wanted: Wanted, uid: str, *, facts: Facts, now: datetime) -> One:
    request = facts.requests.get(uid)
    if request is None:
        raise CannotDecide("requests", "there is no such request")
    train, decider = _train(request.train, facts), facts.decider
    if request.is_closed and wanted.verdict is not _V.FLAGS:
        raise CannotDecide("state", "the request is closed")
    _check_wanted(wanted, request.requested_by, now)
    _check_verdict(wanted, request, train, decider)
    comment = _comment(wanted, request.bug, train)
    edits = edits_of(wanted, facts.bugs[request.bug], train, facts, asked=request.requested_by)
    writes: tuple[Write, ...] = ()
    flags = OnFlags((), (), (), ())
    comment_is_written = False
    not_written: list[NotWritten] = []
    if wanted.verdict in FLAG_AFTER:
        there = decided_there(request.places) if facts.has_phabricator else ()
        _check_places(request, facts.has_phabricator)
        if there:
            writes = on_revisions(wanted.verdict, there, comment, decider)
            comment_is_written = any(write.comment for write in writes)
            not_written += flags_follow(there, train)
        rest = [place for place in request.places if place not in there]
        flags = on_flags(wanted.verdict, rest, train)
        writes += flags.writes
        not_written += flags.untouched
    elif wanted.verdict in (_V.DEFER, _V.ASK):
        not_written += [
            NotWritten(where(place), train.approval_flag or "flag", f"stays {shown(place.status)}")
            for place in request.places
        ]
    if wanted.verdict is _V.APPROVE and train.status_flag and train.status_flag not in edits.fields:
        held = facts.bugs[request.bug].fields.get(train.status_flag)
        if held not in (None, "fixed", "verified"):
            why = f"stays {held} until it lands"
            not_written.append(NotWritten(named(request.bug), train.status_flag, why))
    return One(
        bug=request.bug,
        request=uid,
        train=train,
        stamp=stamp_of(request, train),
        places=request.places,
        comment=comment,
        edits=edits,
        writes=writes,
        flags_on_bug=flags.on_bug,
        rows_on_bug=flags.rows_on_bug,
        comment_is_written=comment_is_written,
        not_written=tuple(not_written),
        notes=_notes(wanted, request, train),
    )


def _of_bug(wanted: Wanted, number: int, *, facts: Facts, now: datetime) -> One:
    bug = facts.bugs.get(number)
    if bug is None:
        raise CannotDecide("bugs", "it is on no list here, and no request is about it")
    train = _train(wanted.train, facts)
    if wanted.verdict not in OF_BUGS:
        raise CannotDecide("verdict", "without a request there is nothing to decide: ask, or set its flags")
    _check_wanted(wanted, bug.assignee, now)
    return One(
        bug=number,
        train=train,
        comment=_comment(wanted, number, train),
        edits=edits_of(wanted, bug, train, facts, asked=bug.assignee),
    )


def _train(name: str, facts: Facts) -> Train:
    """The train that is decided for, which the decider may do."""
    train = facts.trains.get(name)
    if train is None:
        raise CannotDecide("train", f"there is no train {name}")
    if facts.decider.trains is not None and name not in facts.decider.trains:
        raise CannotDecide("train", f"this needs the scope project:shipit:decide/{name}")
    return train


def stamp_of(request: RequestFacts, train: Train) -> Stamp:
    """What a decision about the request now would be about."""
    return Stamp(
        train=train.name,
        version=train.version,
        major=train.major,
        build=build_name(train),
        build_at=train.next_build.at if train.next_build else None,
        patch_digest=request.series_digest,
        patches=request.patches,
    )


def _check_wanted(wanted: Wanted, asked: str | None, now: datetime) -> None:
    """What is wrong with a verdict whatever it is about. asked: who is asked when nobody is named."""
    verdict = wanted.verdict
    if verdict is _V.DEFER:
        until = wanted.until
        if until is None or not until.words:
            raise CannotDecide("until", "what it waits for: a build, a time or a condition")
        if until.at is not None and (until.at.tzinfo is None or until.at <= now):
            raise CannotDecide("until.at", "a time to come, with its offset")
    elif wanted.until is not None:
        raise CannotDecide("until", "only a deferred request waits for something")
    if verdict is _V.ASK and not (wanted.requestee or asked):
        raise CannotDecide("requestee", "who is asked: nobody is known who requested it or works on it")
    if verdict is _V.FLAGS and not (wanted.fields or wanted.flags):
        raise CannotDecide("fields", "at least one field or flag to set")


def _check_verdict(wanted: Wanted, request: RequestFacts, train: Train, decider: Decider) -> None:
    verdict, given = wanted.verdict, request.given
    if verdict in STATE_AFTER and request.state is STATE_AFTER[verdict] and not _reopens(request, train):
        by = f" by {given.person}" if given is not None and given.verdict is verdict else ""
        raise CannotDecide(
            "state", f"it is {request.state.value} already{by}, with these patches for this version"
        )
    if verdict is _V.APPROVE and not request.is_tests_only and _is_own(request, decider):
        raise CannotDecide("person", "who asks for an uplift does not approve it, save one of tests only")


def _reopens(request: RequestFacts, train: Train) -> bool:
    """Whether a decided request is a question again: another version, or other patches than were decided."""
    if request.target_major is not None and train.major is not None and request.target_major != train.major:
        return True
    given = request.given
    if given is None or given.verdict not in STATE_AFTER:
        return False
    return (given.stamp.patch_digest, given.stamp.major) != (request.series_digest, train.major)


def _is_own(request: RequestFacts, decider: Decider) -> bool:
    authors = {place.author for place in request.places if place.author}
    asked = (request.requested_by or "").lower()
    mine = (decider.bugzilla or "").lower()
    return (bool(mine) and mine == asked) or (decider.phabricator in authors)


def _check_places(request: RequestFacts, has_phabricator: bool) -> None:
    if not request.places:
        raise CannotDecide("places", "the bot has not read yet where it is asked; it will within a round")
    unseen = [place.revision for place in request.places if place.revision is not None and place.phid is None]
    if unseen and has_phabricator:
        names = ", ".join(f"D{number}" for number in unseen)
        raise CannotDecide("places", f"Phabricator does not show {names}, so nobody can tell where to decide")


def _comment(wanted: Wanted, bug: int, train: Train) -> str:
    text = wanted.comment
    if not text.strip() and wanted.template:
        template = template_of(wanted.verdict, wanted.template)
        if template is None:
            raise CannotDecide(
                "template", f"there is no template {wanted.template!r} for {wanted.verdict.value}"
            )
        text = template.text
    text = filled(text.replace("\r\n", "\n"), train, bug).strip()
    if left := _PLACEHOLDER.search(text):
        raise CannotDecide("comment", f"{left[0]} is not known for {train.name}: the schedule names none")
    if wanted.verdict in (_V.REJECT, _V.ASK) and not text:
        raise CannotDecide("comment", "why, in words that its author reads")
    return text


def _notes(wanted: Wanted, request: RequestFacts, train: Train) -> tuple[str, ...]:
    notes = [said for place in request.places if (said := difference(place))]
    if wanted.verdict is _V.APPROVE and request.outcome == "conflict":
        notes.append(f"Approving alone does not help: the patch does not apply to {train.name}.")
    if wanted.verdict is _V.APPROVE and train.next_build is None:
        notes.append(f"The schedule names no next build of {train.name}.")
    if request.state in (RequestState.APPROVED, RequestState.REJECTED) and wanted.verdict in STATE_AFTER:
        notes.append(f"It was {request.state.value} before; this decides it anew.")
    return tuple(notes)
