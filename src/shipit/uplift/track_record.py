# SPDX-License-Identifier: MPL-2.0
"""What the people of a bug did before, dated and counted, without a score. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from shipit.uplift.analysis import Churn, PatchFacts, Role
from shipit.uplift.evidence import NoteShown, PersonShown, RecordShown
from shipit.uplift.people import Did
from shipit.uplift.told import ToldKnown, ToldNote, ToldPerson, ToldRecord
from shipit.uplift.wording import Names, count

SPAN = timedelta(days=365)
"""How far back what people did is counted."""
MOST_PEOPLE = 30

_ORDER = list(Did)


def people_shown(
    people: Sequence[ToldPerson],
    *,
    records: Iterable[ToldRecord],
    notes: Iterable[ToldNote],
    known: Iterable[ToldKnown] = (),
    patches: Sequence[PatchFacts],
    names: Names,
    now: datetime,
) -> tuple[PersonShown, ...]:
    """Everybody with a part in the bug, with roles, dated counts, and how they know the touched files."""
    by_person: dict[str, list[ToldRecord]] = {}
    for record in records:
        by_person.setdefault(record.who, []).append(record)
    noted = {note.email.lower(): note for note in notes}
    ids = {one.email.lower(): one.id for one in known}
    shown = []
    for one in people[:MOST_PEOPLE]:
        who = one.email.lower()
        counts = sorted(by_person.get(who, ()), key=_place)
        shown.append(
            PersonShown(
                name=names.of(one.email),
                id=ids.get(who),
                email=one.email,
                roles=one.roles,
                sentences=(*_counted(counts, now), *_here(one, patches)),
                records=tuple(
                    RecordShown(did=each.did, count=each.count, first=each.first, last=each.last)
                    for each in counts
                ),
                note=_note(noted[who]) if who in noted else None,
            )
        )
    return tuple(shown)


def _place(record: ToldRecord) -> int:
    return _ORDER.index(Did(record.did)) if record.did in set(Did) else len(_ORDER)


def _counted(records: Sequence[ToldRecord], now: datetime) -> tuple[str, ...]:
    """One sentence with its span: what we know of begins when Ship It began to look."""
    counts: Mapping[str, int] = {one.did: one.count for one in records}
    words = {
        Did.REQUESTED: ("uplift asked for", "uplifts asked for"),
        Did.APPROVED: ("approved", "approved"),
        Did.REJECTED: ("rejected", "rejected"),
        Did.TOOK_BACK: ("taken back", "taken back"),
        Did.LANDED: ("commit landed", "commits landed"),
        Did.BACKED_OUT: ("of them backed out", "of them backed out"),
        Did.REVIEWED: ("commit reviewed", "commits reviewed"),
    }
    said = [count(counts[did], *words[did]) for did in _ORDER if counts.get(did)]
    if counts.get(Did.LANDED) and not counts.get(Did.BACKED_OUT):
        said.insert(said.index(count(counts[Did.LANDED], *words[Did.LANDED])) + 1, "none of them backed out")
    if not said:
        return ()
    since = min((one.first for one in records), default=now)
    return (f"{', '.join(said)}, of bugs with uplift requests, {_day(since)} to {_day(now)}.",)


def _here(person: ToldPerson, patches: Sequence[PatchFacts]) -> tuple[str, ...]:
    """How often they wrote or reviewed what touched these files before."""
    mine = [one for one in patches if (one.author.email or "").lower() == person.email.lower()]
    said = []
    if mine:
        churn = max((one.overall for one in mine), key=lambda one: one.commits)
        said.append(f"Wrote {churn.by_author} of the {_earlier(churn)} to these files.")
    if Role.REVIEWER.value in person.roles and len(_reviewers(patches)) == 1:
        churn = max((one.overall for one in patches), key=lambda one: one.commits)
        said.append(f"Reviewed {churn.reviewed_by_reviewers} of the {_earlier(churn)} to these files.")
    return tuple(said)


def _reviewers(patches: Sequence[PatchFacts]) -> set[str]:
    # counts of several reviewers are not told apart
    return {nick for one in patches for nick in one.reviewers}


def _earlier(churn: Churn) -> str:
    least = "" if churn.is_complete else "at least "
    return f"{least}{count(churn.commits, 'earlier commit')}"


def _note(note: ToldNote) -> NoteShown:
    return NoteShown(
        karma=note.karma,
        public=note.comment_public,
        private=note.comment_private,
        noted_by=note.noted_by,
        noted_at=note.noted_at,
        expires_at=note.expires_at,
    )


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d}"
