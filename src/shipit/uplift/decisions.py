# SPDX-License-Identifier: MPL-2.0
"""What a verdict about requests writes where, or why it cannot: one pure function of facts.

Where a request has an open uplift revision the decision is made on it, and never on the flag as well: only
that lets it land, and the flag follows by itself. Else it is made on the attachment's flag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from shipit.trains.types import Train
from shipit.uplift.decision_checks import seen_of
from shipit.uplift.decision_edits import UNSET, Edits, edits_of
from shipit.uplift.decision_types import (
    CannotDecide,
    Decider,
    Facts,
    Kind,
    NotWritten,
    Part,
    Plan,
    Refusal,
    RequestFacts,
    Row,
    Stamp,
    Write,
)
from shipit.uplift.places import decided_there, difference
from shipit.uplift.types import Place, RequestState
from shipit.uplift.verdicts import Verdict, Wanted, build_name, filled, template_of

_V = Verdict
FLAG_AFTER = {_V.APPROVE: "+", _V.REJECT: "-", _V.WITHDRAW: ""}
REVISION_AFTER = {
    _V.APPROVE: ("accept", "accepted"),
    _V.REJECT: ("reject", "needs-revision"),
    _V.WITHDRAW: ("plan-changes", "changes-planned"),
}
STATE_AFTER = {
    _V.APPROVE: RequestState.APPROVED,
    _V.REJECT: RequestState.REJECTED,
    _V.WITHDRAW: RequestState.CLEARED,
}
CLOSED_DOORS = frozenset({"draft"})
_T = TypeVar("_T")
_PLACEHOLDER = re.compile(r"\{(?:build|version|train|bug)\}")


class _One(msgspec.Struct, frozen=True, kw_only=True):
    """What the verdict comes to for one request."""

    request: RequestFacts
    train: Train
    stamp: Stamp
    comment: str
    edits: Edits
    writes: tuple[Write, ...]
    flags_on_bug: tuple[dict[str, Any], ...]
    rows_on_bug: tuple[Row, ...]
    comment_is_written: bool
    not_written: tuple[NotWritten, ...]
    notes: tuple[str, ...]


def plan(wanted: Wanted, facts: Facts, now: datetime) -> Plan:
    """What the verdict writes, per bug in the order of systems, and the requests it cannot reach."""
    refusals: list[Refusal] = []
    by_bug: dict[int, list[_One]] = {}
    for uid in dict.fromkeys(wanted.requests):
        try:
            one = _one(wanted, uid, facts, now)
        except CannotDecide as refused:
            refusals.append(Refusal(uid, refused.field, refused.reason))
        else:
            by_bug.setdefault(one.request.bug, []).append(one)
    parts: list[Part] = []
    for bug, ones in sorted(by_bug.items()):
        try:
            parts.append(_part(bug, ones, facts))
        except CannotDecide as refused:
            refusals += [Refusal(one.request.uid, refused.field, refused.reason) for one in ones]
    return Plan(verdict=wanted.verdict, parts=tuple(parts), refusals=tuple(refusals))


# --- one request ------------------------------------------------------------------------------------


def _one(wanted: Wanted, uid: str, facts: Facts, now: datetime) -> _One:
    request = facts.requests.get(uid)
    if request is None:
        raise CannotDecide("requests", "there is no such request")
    train, decider = facts.trains.get(request.train), facts.decider
    if train is None:
        raise CannotDecide("train", f"there is no train {request.train}")
    if decider.trains is not None and train.name not in decider.trains:
        raise CannotDecide("train", f"this needs the scope project:shipit:decide/{train.name}")
    if request.is_closed and wanted.verdict is not _V.FLAGS:
        raise CannotDecide("state", "the request is closed")
    _check_verdict(wanted, request, train, decider, now)
    comment = _comment(wanted, request, train)
    edits = edits_of(wanted, request, train, facts)
    writes: tuple[Write, ...] = ()
    on_flags = _OnFlags((), (), (), ())
    comment_is_written = False
    not_written: list[NotWritten] = []
    if wanted.verdict in FLAG_AFTER:
        there = decided_there(request.places) if facts.has_phabricator else ()
        _check_places(request, facts.has_phabricator)
        if there:
            writes = _on_revisions(wanted.verdict, there, comment, decider)
            comment_is_written = any(write.comment for write in writes)
            not_written += _flags_follow(there, train)
        rest = [place for place in request.places if place not in there]
        on_flags = _on_flags(wanted.verdict, rest, train)
        writes += on_flags.writes
        not_written += on_flags.untouched
    elif wanted.verdict in (_V.DEFER, _V.ASK):
        not_written += [
            NotWritten(_where(place), train.approval_flag or "flag", f"stays {_shown(place.status)}")
            for place in request.places
        ]
    if wanted.verdict is _V.APPROVE and train.status_flag and train.status_flag not in edits.fields:
        held = facts.bugs[request.bug].fields.get(train.status_flag)
        if held not in (None, "fixed", "verified"):
            why = f"stays {held} until it lands"
            not_written.append(NotWritten(f"bug {request.bug}", train.status_flag, why))
    return _One(
        request=request,
        train=train,
        stamp=stamp_of(request, train),
        comment=comment,
        edits=edits,
        writes=writes,
        flags_on_bug=on_flags.on_bug,
        rows_on_bug=on_flags.rows_on_bug,
        comment_is_written=comment_is_written,
        not_written=tuple(not_written),
        notes=_notes(wanted, request, train),
    )


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


def _check_verdict(
    wanted: Wanted, request: RequestFacts, train: Train, decider: Decider, now: datetime
) -> None:
    verdict, given = wanted.verdict, request.given
    if verdict in STATE_AFTER and request.state is STATE_AFTER[verdict] and not _reopens(request, train):
        by = f" by {given.person}" if given is not None and given.verdict is verdict else ""
        raise CannotDecide(
            "state", f"it is {request.state.value} already{by}, with these patches for this version"
        )
    if verdict is _V.APPROVE and not request.is_tests_only and _is_own(request, decider):
        raise CannotDecide("person", "who asks for an uplift does not approve it, save one of tests only")
    if verdict is _V.DEFER:
        until = wanted.until
        if until is None or not until.words:
            raise CannotDecide("until", "what it waits for: a build, a time or a condition")
        if until.at is not None and (until.at.tzinfo is None or until.at <= now):
            raise CannotDecide("until.at", "a time to come, with its offset")
    elif wanted.until is not None:
        raise CannotDecide("until", "only a deferred request waits for something")
    if verdict is _V.ASK and not (wanted.requestee or request.requested_by):
        raise CannotDecide("requestee", "who is asked: nobody is known to have requested it")
    if verdict is _V.FLAGS and not (wanted.fields or wanted.flags):
        raise CannotDecide("fields", "at least one field or flag to set")


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


def _comment(wanted: Wanted, request: RequestFacts, train: Train) -> str:
    text = wanted.comment
    if not text.strip() and wanted.template:
        template = template_of(wanted.verdict, wanted.template)
        if template is None:
            raise CannotDecide(
                "template", f"there is no template {wanted.template!r} for {wanted.verdict.value}"
            )
        text = template.text
    text = filled(text.replace("\r\n", "\n"), train, request.bug).strip()
    if left := _PLACEHOLDER.search(text):
        raise CannotDecide("comment", f"{left[0]} is not known for {train.name}: the schedule names none")
    if wanted.verdict in (_V.REJECT, _V.ASK) and not text:
        raise CannotDecide("comment", "why, in words that its author reads")
    return text


# --- where it is written ----------------------------------------------------------------------------


def _on_revisions(
    verdict: Verdict, there: Sequence[Place], comment: str, decider: Decider
) -> tuple[Write, ...]:
    """Parents first, in the order of the places; the words stand once, on the last."""
    action, after = REVISION_AFTER[verdict]
    writes = []
    for place in there:
        assert place.revision is not None
        if place.revision_status in CLOSED_DOORS:
            raise CannotDecide(
                "places", f"D{place.revision} is a draft: its author has not sent it for review"
            )
        if verdict is _V.WITHDRAW and place.author != decider.phabricator:
            why = f"only its author takes D{place.revision} back (Plan Changes); reject it instead"
            raise CannotDecide("verdict", why)
        if verdict is not _V.WITHDRAW and place.author is not None and place.author == decider.phabricator:
            raise CannotDecide(
                "person", f"D{place.revision} is your own, which Phabricator lets nobody judge"
            )
        if place.revision_status == after:
            continue
        is_last = place is there[-1]
        transactions: list[dict[str, Any]] = [{"type": action, "value": True}]
        if is_last and comment:
            transactions.append({"type": "comment", "value": comment})
        writes.append(
            Write(
                kind=Kind.REVISION,
                id=place.revision,
                object=f"D{place.revision}",
                rows=(Row("status", place.revision_status or "unknown", after),),
                body={"transactions": transactions},
                comment=comment if is_last and comment else None,
            )
        )
    return tuple(writes)


def _flags_follow(there: Sequence[Place], train: Train) -> list[NotWritten]:
    why = "follows the revision by itself"
    return [NotWritten(_where(place), train.approval_flag or "flag", why) for place in there]


class _OnFlags(msgspec.Struct, frozen=True):
    """What a verdict does to flags: calls of their own, flags on the bug itself, and those left alone."""

    writes: tuple[Write, ...]
    on_bug: tuple[dict[str, Any], ...]
    rows_on_bug: tuple[Row, ...]
    untouched: tuple[NotWritten, ...]


def _on_flags(verdict: Verdict, places: Sequence[Place], train: Train) -> _OnFlags:
    """One call for each attachment, naming the flag by its id, so that another flag is never met."""
    after, name = FLAG_AFTER[verdict], train.approval_flag
    if name is None:
        raise CannotDecide("train", f"{train.name} has no approval flag")
    moved = [place for place in places if place.status != after]
    return _OnFlags(
        writes=tuple(
            Write(
                kind=Kind.ATTACHMENT,
                id=place.attachment,
                object=f"attachment {place.attachment}",
                rows=(Row(name, _shown(place.status), _shown(after)),),
                body={"flags": [_set(place, name, after)]},
            )
            for place in moved
            if place.attachment is not None
        ),
        on_bug=tuple(_set(place, name, after) for place in moved if place.attachment is None),
        rows_on_bug=tuple(
            Row(name, _shown(place.status), _shown(after)) for place in moved if place.attachment is None
        ),
        untouched=tuple(
            NotWritten(_where(place), name, f"is {_shown(after)} already")
            for place in places
            if place.status == after
        ),
    )


def _set(place: Place, name: str, after: str) -> dict[str, Any]:
    which: dict[str, Any] = {"name": name} if place.flag is None else {"id": place.flag}
    return which | {"status": after or "X"}


# --- one bug ----------------------------------------------------------------------------------------


def _part(bug: int, ones: Sequence[_One], facts: Facts) -> Part:
    """The requests of one bug together: every flag first, then one write of the bug with all the words."""
    stored = facts.bugs[bug]
    writes = [write for one in ones for write in one.writes]
    fields: dict[str, str] = {}
    for one in ones:
        for name, value in one.edits.fields.items():
            if fields.setdefault(name, value) != value:
                raise CannotDecide(f"fields.{name}", "it would be set to two values")
    held = {name: said for one in ones for name, said in one.edits.held.items()}
    writes += _on_bug(bug, ones, fields)
    places = tuple((one.train.approval_flag or "", place) for one in ones for place in one.request.places)
    return Part(
        bug=bug,
        is_restricted=stored.is_restricted,
        requests=tuple(one.request.uid for one in ones),
        stamps={one.request.uid: one.stamp for one in ones},
        writes=tuple(sorted(writes, key=_order)),
        not_written=_once(each for one in ones for each in (*one.not_written, *one.edits.not_written)),
        notes=_once(note for one in ones for note in one.notes),
        seen=seen_of(stored.changed, places, {name: stored.fields[name] for name in fields}, held),
        places=places,
    )


def _on_bug(bug: int, ones: Sequence[_One], fields: Mapping[str, str]) -> list[Write]:
    """The one write of a bug, if there is anything to write: words, fields and flags in one transaction."""
    words = "\n".join(_once(one.comment for one in ones if one.comment and not one.comment_is_written))
    flags = _each(flag for one in ones for flag in (*one.flags_on_bug, *one.edits.flags))
    rows = _once(row for one in ones for row in (*one.rows_on_bug, *one.edits.rows))
    body: dict[str, Any] = dict(fields)
    if words:
        body["comment"] = {"body": words}
    if flags:
        body["flags"] = flags
    if not body:
        return []
    return [Write(kind=Kind.BUG, id=bug, object=f"bug {bug}", rows=rows, body=body, comment=words or None)]


def _once(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(items))


def _each(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _order(write: Write) -> int:
    return list(Kind).index(write.kind)


def _notes(wanted: Wanted, request: RequestFacts, train: Train) -> tuple[str, ...]:
    notes = [said for place in request.places if (said := difference(place))]
    if wanted.verdict is _V.APPROVE and request.outcome == "conflict":
        notes.append(f"Approving alone does not help: the patch does not apply to {train.name}.")
    if wanted.verdict is _V.APPROVE and train.next_build is None:
        notes.append(f"The schedule names no next build of {train.name}.")
    if request.state in (RequestState.APPROVED, RequestState.REJECTED) and wanted.verdict in STATE_AFTER:
        notes.append(f"It was {request.state.value} before; this decides it anew.")
    return tuple(notes)


def _where(place: Place) -> str:
    return "bug" if place.attachment is None else f"attachment {place.attachment}"


def _shown(status: str) -> str:
    return status or UNSET
