# SPDX-License-Identifier: MPL-2.0
"""What is stored around one request, as its evidence is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from shipit.merge.types import Outcome, PatchResult
from shipit.uplift.analysis import Failed, PatchFacts, Relations
from shipit.uplift.landings import CommitFact
from shipit.uplift.needinfos import Needinfo
from shipit.uplift.types import Flag, Form, PatchRef, RequestState


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}):
    """One entry of a request's history, as storage writes it."""

    at: datetime
    what: str
    before: str | int | None = None
    after: str | int | None = None
    major: int | None = None
    reason: str | None = None


class ToldRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request."""

    uid: str
    bug: int
    train: str
    state: RequestState
    target_major: int | None = None
    series: tuple[PatchRef, ...] = ()
    series_digest: str | None = None
    series_reason: str | None = None
    requested_by: str | None = None
    requested_at: datetime | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    form: Form | None = None
    first_seen: datetime
    closed_at: datetime | None = None
    history: tuple[Entry, ...] = ()


class ToldBug(msgspec.Struct, frozen=True, kw_only=True):
    """The bug as last read. facts: {url, contributors, landings, relations, analysis} as the bot reported."""

    summary: str
    status: str = ""
    is_restricted: bool = True
    fields: dict[str, str] = {}
    flags: tuple[Flag, ...] = ()
    read_at: datetime | None = None
    facts: dict[str, Any] = {}
    analysis_error: str | None = None


class ToldTrain(msgspec.Struct, frozen=True, kw_only=True):
    """The train the request aims at. nightly_flag: the status flag of the train that main is."""

    name: str
    major: int | None = None
    status_flag: str | None = None
    nightly_flag: str | None = None
    tip: str | None = None
    tip_at: datetime | None = None
    tip_reason: str | None = None
    requests_read_at: datetime | None = None
    requests_unavailable_since: datetime | None = None
    requests_unavailable_reason: str | None = None


class ToldTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial; patches are empty where only its outcome is asked for."""

    tip: str
    series_digest: str
    outcome: Outcome
    tree: str | None = None
    patches: tuple[PatchResult, ...] = ()
    tried_at: datetime
    engine: str = ""


class ToldVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the request's patches."""

    digest: str
    series: tuple[PatchRef, ...]
    seen_at: datetime


class ToldDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker made for the page. key: of everything it depends on (see `detail_keys`)."""

    kind: str
    key: str
    content: dict[str, Any]
    made_at: datetime


class ToldWish(msgspec.Struct, frozen=True, kw_only=True):
    """The newest wish of its kind for this request: open (done_at None), or one that failed (error)."""

    kind: str
    detail: str = ""
    asked_at: datetime
    done_at: datetime | None = None
    error: str | None = None


class ToldOther(msgspec.Struct, frozen=True, kw_only=True):
    """Another request of the bug, or of a bug that the form names."""

    uid: str
    bug: int
    train: str
    state: RequestState
    outcome: Outcome | None = None
    is_open: bool = True


class ToldRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How often somebody (by address, lower case) did something in the last twelve months."""

    who: str
    did: str
    count: int
    first: datetime
    last: datetime


class ToldNote(msgspec.Struct, frozen=True, kw_only=True):
    """What was noted about somebody and has not expired."""

    email: str
    karma: int = 0
    comment_public: str = ""
    comment_private: str | None = None
    noted_by: str | None = None
    noted_at: datetime | None = None
    expires_at: datetime | None = None


class ToldAudit(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit of decisions. what: a verdict, or what became of its writes."""

    at: datetime
    actor: str
    what: str
    object: str = ""
    before: str = ""
    after: str = ""
    why: str = ""
    answer: str = ""


class ToldKnown(msgspec.Struct, frozen=True, kw_only=True):
    """The number under which what is noted about somebody is kept."""

    email: str
    id: int


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Everything stored around a request that whoever asks may see.

    trials: newest first, whole ones. turns: oldest first, those whose outcome or patches differ from the one
    before. versions: oldest first. needs: bugs proved to be missing. audit: of decisions made on the board,
    oldest first. last_look: when a bot last finished.
    """

    request: ToldRequest
    bug: ToldBug
    train: ToldTrain
    trials: tuple[ToldTrial, ...] = ()
    turns: tuple[ToldTrial, ...] = ()
    versions: tuple[ToldVersion, ...] = ()
    details: tuple[ToldDetail, ...] = ()
    wishes: tuple[ToldWish, ...] = ()
    others: tuple[ToldOther, ...] = ()
    needs: tuple[int, ...] = ()
    records: tuple[ToldRecord, ...] = ()
    known: tuple[ToldKnown, ...] = ()
    notes: tuple[ToldNote, ...] = ()
    audit: tuple[ToldAudit, ...] = ()
    last_look: datetime | None = None


class ToldPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A contributor as the bot reported them."""

    email: str
    name: str
    roles: tuple[str, ...] = ()


class _Read(msgspec.Struct, frozen=True):
    modules: tuple[str, ...] = ()


class _Reading(msgspec.Struct, frozen=True):
    """libmozdata's reading, as far as it is shown; a failed one has no patches."""

    patches: tuple[_Read, ...] = ()


class _Patches(msgspec.Struct, frozen=True):
    patches: tuple[PatchFacts | Failed, ...] = ()
    reading: _Reading = _Reading()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A bug's facts, read. patches: by name. modules: as libmozdata names them. lacking: why a part could not
    be read.
    """

    people: tuple[ToldPerson, ...] = ()
    landings: tuple[CommitFact, ...] = ()
    relations: Relations = Relations()
    patches: Mapping[str, PatchFacts | Failed] = {}
    modules: tuple[str, ...] = ()
    needinfos: tuple[Needinfo, ...] = ()
    lacking: str | None = None


def facts_of(bug: ToldBug) -> Facts:
    """The bug's facts; what an older version stored otherwise is left out, and said to be."""
    lost: list[str] = []

    def part(name: str, kind: Any, empty: Any) -> Any:
        given = bug.facts.get(name)
        if given is None:
            return empty
        try:
            return msgspec.convert(given, kind)
        except msgspec.ValidationError:
            lost.append(name)
            return empty

    relations = {name: rows for name, rows in (bug.facts.get("relations") or {}).items() if name != "dupe_of"}
    analysis = part("analysis", _Patches, _Patches())
    return Facts(
        people=part("contributors", tuple[ToldPerson, ...], ()),
        landings=part("landings", tuple[CommitFact, ...], ()),
        relations=msgspec.convert(relations, Relations),
        patches={(one.name if isinstance(one, PatchFacts) else one.subject): one for one in analysis.patches},
        modules=tuple(dict.fromkeys(name for one in analysis.reading.patches for name in one.modules)),
        needinfos=part("needinfos", tuple[Needinfo, ...], ()),
        lacking=f"the stored {' and '.join(lost)} cannot be read" if lost else None,
    )


def conflict_key(series_digest: str, tip: str) -> str:
    """Equal keys have equal conflicts: the patches and the tip."""
    return f"{series_digest}/{tip}"


def interdiff_key(older: str, newer: str) -> str:
    """Equal keys have equal differences: digests of the two versions of the patches."""
    return f"{older}/{newer}"
