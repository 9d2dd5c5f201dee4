# SPDX-License-Identifier: MPL-2.0
"""A preview and a decision as people and programs read them: the JSON of page, API and command line."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec.structs import replace

from shipit.storage.decisions import Entry, Stored, StoredPart, StoredRequest, StoredWrite
from shipit.uplift.decision_states import PartState, WriteState, state_of
from shipit.uplift.decision_types import (
    Difference,
    Facts,
    NotWritten,
    Part,
    Plan,
    Refusal,
    Row,
    Seen,
    Stamp,
    System,
    Write,
)
from shipit.uplift.decision_words import (
    PART_WORDS,
    VERBS,
    WRITE_WORDS,
    StampState,
    aim,
    label,
    sentence,
    stamp_sentence,
    stamp_state,
)
from shipit.uplift.verdicts import Until, Verdict

REMOVED = "(hidden)"


class Blocker(msgspec.Struct, frozen=True):
    """Why nothing can be sent now. field: "shadow", or the key that is lacking ("keys.bugzilla")."""

    field: str
    reason: str


class WritePlanned(msgspec.Struct, frozen=True, kw_only=True):
    """One write before it is sent. as_whom: the account it is written as, null without a key."""

    position: int
    system: System
    object: str
    as_whom: str | None
    rows: tuple[Row, ...]
    comment: str | None


class PartPlanned(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict does to one bug."""

    bug: int
    requests: tuple[str, ...]
    writes: tuple[WritePlanned, ...]
    not_written: tuple[NotWritten, ...]
    notes: tuple[str, ...]


class Warned(msgspec.Struct, frozen=True):
    """Something to know about one request, in a sentence."""

    request: str
    text: str


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict would write. label: for the button. as_of: when the oldest of its facts was read.

    seen, stamps: send them back with the decision, unchanged. blockers: empty when it can be sent. warnings:
    what whoever decides must know, and may decide all the same.
    """

    verdict: Verdict
    label: str
    changes: int
    as_of: datetime | None
    parts: tuple[PartPlanned, ...]
    refusals: tuple[Refusal, ...]
    blockers: tuple[Blocker, ...]
    seen: dict[str, Seen]
    stamps: dict[str, Stamp]
    warnings: tuple[Warned, ...] = ()


class WriteShown(msgspec.Struct, frozen=True, kw_only=True):
    """One write and how it stands. answer: the service's words, or why it is tried again."""

    position: int
    system: System
    object: str
    rows: tuple[Row, ...]
    comment: str | None
    state: WriteState
    word: str
    attempts: int
    sent_at: datetime | None
    done_at: datetime | None
    answer: str


class RequestDecided(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was decided: for which version, build and patches, and whether that still holds."""

    request: str
    train: str
    stamp: Stamp
    standing: StampState
    sentence: str


class PartShown(msgspec.Struct, frozen=True, kw_only=True):
    """How a decision stands for one bug."""

    bug: int
    state: PartState
    word: str
    sentence: str
    requests: tuple[RequestDecided, ...]
    writes: tuple[WriteShown, ...]
    not_written: tuple[NotWritten, ...]
    notes: tuple[str, ...]
    differences: tuple[Difference, ...]
    due_at: datetime
    finished_at: datetime | None


class DecisionShown(msgspec.Struct, frozen=True, kw_only=True):
    """A decision. state: of the part that needs a person first. can: what the reader may do to it now."""

    uid: str
    verdict: Verdict
    verb: str
    person: str
    state: PartState
    word: str
    sentence: str
    comment: str
    reason: str
    until: Until | None
    made_at: datetime
    hold_until: datetime
    parts: tuple[PartShown, ...]
    refusals: tuple[Refusal, ...]
    can: tuple[str, ...]


def preview_shown(
    made: Plan, facts: Facts, blockers: tuple[Blocker, ...], warnings: tuple[Warned, ...] = ()
) -> Preview:
    """A plan as it is shown before it is sent."""
    read = [facts.bugs[part.bug].read_at for part in made.parts]
    known = [at for at in read if at is not None]
    requests = sum(len(part.requests) for part in made.parts)
    bugs = sum(not part.requests for part in made.parts)
    return Preview(
        verdict=made.verdict,
        label=label(made.verdict, requests, made.changes, bugs=bugs),
        changes=made.changes,
        as_of=min(known) if known else None,
        parts=tuple(_part_planned(part, facts) for part in made.parts),
        refusals=made.refusals,
        blockers=blockers,
        seen={str(part.bug): part.seen for part in made.parts},
        stamps={uid: stamp for part in made.parts for uid, stamp in part.stamps.items()},
        warnings=warnings,
    )


def decision_shown(one: Stored, *, may_change: bool) -> DecisionShown:
    """A decision as it stands."""
    state = state_of(part.state for part in one.parts)
    parts = tuple(_part_shown(part, one.wanted.verdict) for part in one.parts)
    speaks = next(part for part in parts if part.state is state)
    return DecisionShown(
        uid=one.uid,
        verdict=one.wanted.verdict,
        verb=VERBS[one.wanted.verdict],
        person=one.person,
        state=state,
        word=PART_WORDS[state],
        sentence=_whole(parts, speaks),
        comment=one.wanted.comment,
        # It may be about what is hidden from whoever reads this.
        reason=one.wanted.reason if len(one.parts) == one.parts_in_all else "",
        until=one.wanted.until,
        made_at=one.made_at,
        hold_until=one.hold_until,
        parts=parts,
        # Whoever asked for something they may not see was told that it is not there.
        refusals=one.refusals if may_change else (),
        can=_can({part.state for part in parts}) if may_change else (),
    )


def without_addresses(one: DecisionShown) -> DecisionShown:
    """For those who are not logged in: names without their address, no answers, no internal reasons."""
    parts = tuple(
        replace(
            part,
            writes=tuple(replace(write, rows=_short_rows(write.rows), answer="") for write in part.writes),
            differences=tuple(_short_difference(each) for each in part.differences),
            sentence=f"{part.word}.",
        )
        for part in one.parts
    )
    return replace(one, person=short(one.person), reason="", parts=parts, sentence=f"{one.word}.")


def audit_shown(entry: Entry, *, see_addresses: bool) -> Entry:
    """A line of the audit; who is not logged in reads neither addresses nor answers nor reasons."""
    if see_addresses:
        return entry
    return replace(
        entry,
        actor=short(entry.actor),
        before="" if "@" in entry.before else entry.before,
        after="" if "@" in entry.after else entry.after,
        why="",
        answer="",
    )


def short(person: str) -> str:
    """A person without the address's host."""
    return person.split("@", 1)[0]


def _part_planned(part: Part, facts: Facts) -> PartPlanned:
    return PartPlanned(
        bug=part.bug,
        requests=part.requests,
        writes=tuple(
            WritePlanned(
                position=position,
                system=write.system,
                object=write.object,
                as_whom=_account(write, facts),
                rows=write.rows,
                comment=write.comment,
            )
            for position, write in enumerate(part.writes)
        ),
        not_written=part.not_written,
        notes=part.notes,
    )


def _account(write: Write, facts: Facts) -> str | None:
    decider = facts.decider
    return decider.phabricator if write.system is System.PHABRICATOR else decider.bugzilla


def _part_shown(part: StoredPart, verdict: Verdict) -> PartShown:
    written = sum(write.state is WriteState.DONE for write in part.writes)
    return PartShown(
        bug=part.bug,
        state=part.state,
        word=PART_WORDS[part.state],
        sentence=sentence(
            part.state,
            written,
            len(part.writes),
            message=part.message,
            differences=part.differences,
            due_at=part.due_at,
        ),
        requests=tuple(_request_decided(each, verdict, part.state) for each in part.requests),
        writes=tuple(_write_shown(write, part.state) for write in part.writes),
        not_written=part.plan.not_written,
        notes=part.plan.notes,
        differences=part.differences,
        due_at=part.due_at,
        finished_at=part.finished_at,
    )


def _request_decided(each: StoredRequest, verdict: Verdict, state: PartState) -> RequestDecided:
    standing = stamp_state(each.stamp, series_digest=each.series_digest, major=each.major)
    return RequestDecided(
        request=each.request,
        train=each.train,
        stamp=each.stamp,
        standing=standing,
        # What was not written is not decided yet.
        sentence=stamp_sentence(verdict, each.stamp, standing, major=each.major)
        if state is PartState.DONE
        else f"For {aim(each.stamp)}.",
    )


def _write_shown(write: StoredWrite, state: PartState) -> WriteShown:
    is_unknown = write.state is WriteState.SENDING and state in (PartState.STUCK, PartState.DROPPED)
    return WriteShown(
        position=write.position,
        system=write.write.system,
        object=write.write.object,
        rows=write.write.rows,
        comment=write.write.comment,
        state=write.state,
        word="may have been sent" if is_unknown else WRITE_WORDS[write.state],
        attempts=write.attempts,
        sent_at=write.sent_at,
        done_at=write.done_at,
        answer=write.answer,
    )


def _whole(parts: tuple[PartShown, ...], speaks: PartShown) -> str:
    if len(parts) == 1:
        return speaks.sentence
    done = sum(part.state is PartState.DONE for part in parts)
    where = f" Bug {speaks.bug}: {speaks.sentence}" if speaks.state is not PartState.DONE else ""
    return f"{done} of {len(parts)} bugs are done.{where}"


def _can(states: set[PartState]) -> tuple[str, ...]:
    if states == {PartState.HELD}:
        return ("undo",)
    return ("resume", "drop") if PartState.STUCK in states else ()


def _short_rows(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(Row(row.field, _veiled(row.before), _veiled(row.after)) for row in rows)


def _short_difference(one: Difference) -> Difference:
    who = None if one.who is None else short(one.who)
    return Difference(one.what, _veiled(one.before), _veiled(one.after), who)


def _veiled(text: str) -> str:
    return REMOVED if "@" in text else text
