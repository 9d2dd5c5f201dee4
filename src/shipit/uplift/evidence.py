# SPDX-License-Identifier: MPL-2.0
"""The shapes of what a request's page shows: GET /api/requests/{uid}/evidence. Made by `evidence_making`.

Every fact has its source and time; every sentence is complete and holds no address.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from shipit.merge.conflict_view import ConflictView
from shipit.merge.interdiff import InterdiffView
from shipit.merge.types import Conflict, Outcome
from shipit.uplift.check_types import Check
from shipit.uplift.standing import Standing
from shipit.uplift.types import RequestState


class FormShown(msgspec.Struct, frozen=True, kw_only=True):
    """The form as written. is_parsed False: no question of it was understood; then raw is all there is."""

    author: str | None
    time: datetime | None
    generation: str
    comment: int | None
    is_parsed: bool
    raw: str


class PatchShown(msgspec.Struct, frozen=True, kw_only=True):
    """One patch of the series, in landing order.

    added, deleted: lines; test_*: of them in tests; None while not measured (lacking says why). bake: how
    long it is on main, in words. outcome, reason, conflicts: of its part in the newest trial.
    """

    name: str
    version: str
    title: str | None = None
    url: str | None = None
    author: str | None = None
    reviewers: tuple[str, ...] = ()
    landed_at: datetime | None = None
    bake: str | None = None
    files: int | None = None
    added: int | None = None
    deleted: int | None = None
    test_added: int | None = None
    test_deleted: int | None = None
    languages: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    lacking: str | None = None
    source: str | None = None
    read_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    conflicts: tuple[Conflict, ...] = ()


class TrialShown(msgspec.Struct, frozen=True, kw_only=True):
    """A trial. is_current: of today's patches on today's tip."""

    tip: str
    outcome: Outcome
    tried_at: datetime
    engine: str
    is_current: bool


class AskState(StrEnum):
    """Whether something that a worker makes is there.

    none: there is nothing to make. offered: it can be asked for. asked: it is waited for. ready: here it is.
    """

    NONE = "none"
    OFFERED = "offered"
    ASKED = "asked"
    READY = "ready"


class ConflictPart(msgspec.Struct, frozen=True, kw_only=True):
    """What does not merge. sentence: the state in words. view: when ready (is_old: for an earlier trial)."""

    state: AskState
    sentence: str
    asked_at: datetime | None = None
    made_at: datetime | None = None
    is_old: bool = False
    view: ConflictView | None = None


class InterdiffPart(msgspec.Struct, frozen=True, kw_only=True):
    """What changed since an older version of the patches.

    since: digest of the older version to ask for ({"kind": "interdiff", "since": …}). is_since_approval: the
    patches changed after the approval, so that the question is open again.
    """

    state: AskState
    sentence: str
    since: str | None = None
    is_since_approval: bool = False
    asked_at: datetime | None = None
    made_at: datetime | None = None
    view: InterdiffView | None = None


class VersionShown(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the series: its digest, when we first saw it, its patches ("D1, diff 5")."""

    digest: str
    seen_at: datetime
    patches: tuple[str, ...]
    is_current: bool
    is_decided: bool


class FactShown(msgspec.Struct, frozen=True, kw_only=True):
    """One measured fact that no question of the form asks for."""

    key: str
    label: str
    sentence: str
    source: str
    at: datetime | None = None
    bugs: tuple[int, ...] = ()


class MomentKind(StrEnum):
    """What a line of the timeline tells of."""

    REQUESTED = "requested"
    DECIDED = "decided"
    DECISION = "decision"
    STATE = "state"
    RETARGETED = "retargeted"
    PATCHES = "patches"
    TRIAL = "trial"
    LANDED = "landed"
    BACKED_OUT = "backed out"
    FLAG = "flag"
    NEEDINFO = "needinfo"


class MomentShown(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the timeline. by: a person's name. source: bugzilla, clone, bot, board, phabricator."""

    at: datetime
    kind: MomentKind
    sentence: str
    source: str
    by: str | None = None
    commit: str | None = None
    outcome: Outcome | None = None


class RecordShown(msgspec.Struct, frozen=True, kw_only=True):
    """How often somebody did something in a span of time. did: shipit.uplift.people.Did."""

    did: str
    count: int
    first: datetime
    last: datetime


class NoteShown(msgspec.Struct, frozen=True, kw_only=True):
    """What a release manager noted about somebody, until it expires. private: only for those who may note."""

    karma: int
    public: str
    private: str | None
    noted_by: str | None
    noted_at: datetime | None
    expires_at: datetime | None


class PersonShown(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with a part in it. sentences: their dated history, counts with their span and no score.

    id: as /api/people has them, for those who may read what is noted.
    """

    name: str
    id: int | None = None
    email: str
    roles: tuple[str, ...]
    sentences: tuple[str, ...] = ()
    records: tuple[RecordShown, ...] = ()
    note: NoteShown | None = None


class OtherRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Another request of the same bug."""

    uid: str
    train: str
    state: RequestState
    outcome: Outcome | None = None
    is_open: bool = True


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a release manager looks at before deciding. as_of: the oldest time that matters.

    checks: disagreements first. disagreements: how many. timeline: oldest first.
    """

    uid: str
    bug: int
    train: str
    summary: str
    state: RequestState
    is_restricted: bool
    standing: Standing
    as_of: datetime | None
    made_at: datetime
    disagreements: int
    checks: tuple[Check, ...]
    form: FormShown | None
    facts: tuple[FactShown, ...]
    patches: tuple[PatchShown, ...]
    trial: TrialShown | None
    conflict: ConflictPart
    interdiff: InterdiffPart
    versions: tuple[VersionShown, ...]
    people: tuple[PersonShown, ...]
    timeline: tuple[MomentShown, ...]
    others: tuple[OtherRequest, ...]
    analysis_error: str | None = None
