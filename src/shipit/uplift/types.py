# SPDX-License-Identifier: MPL-2.0
"""The nouns of an uplift: what Bugzilla and Phabricator say, in frozen types, and what we read out of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

# --- what Bugzilla says ---------------------------------------------------------------------------


class Person(msgspec.Struct, frozen=True):
    """Somebody in Bugzilla or Phabricator. email: login name, None where it is hidden from us."""

    name: str
    email: str | None = None
    nick: str | None = None


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """A flag on a bug or an attachment. status: "?", "+" or "-"."""

    id: int
    name: str
    status: str
    setter: str
    requestee: str | None = None
    created: datetime | None = None
    modified: datetime | None = None


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment without its data. creator: e-mail."""

    id: int
    bug: int
    file_name: str
    content_type: str
    summary: str
    creator: str
    is_patch: bool = False
    is_obsolete: bool = False
    is_private: bool = False
    created: datetime | None = None
    changed: datetime | None = None
    flags: tuple[Flag, ...] = ()


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment; number 0 is the description."""

    id: int
    number: int
    creator: str
    time: datetime
    text: str
    is_private: bool = False
    attachment: int | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field change out of a bug's history; removed and added as Bugzilla words them."""

    time: datetime
    who: str
    field: str
    removed: str
    added: str
    attachment: int | None = None


class Bug(msgspec.Struct, frozen=True, kw_only=True):
    """A bug as read at `read_at`.

    fields: every cf_status_*, cf_tracking_* value as given; a field absent here is absent on the bug
    (which differs from "---"). groups: security or confidentiality groups; empty for a public bug.
    comments and history are ascending in time.
    """

    id: int
    summary: str
    product: str
    component: str
    status: str
    resolution: str = ""
    type: str = ""
    priority: str = ""
    severity: str = ""
    whiteboard: str = ""
    keywords: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    creator: Person | None = None
    assignee: Person | None = None
    created: datetime | None = None
    changed: datetime
    dupe_of: int | None = None
    depends_on: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    regressed_by: tuple[int, ...] = ()
    regressions: tuple[int, ...] = ()
    flags: tuple[Flag, ...] = ()
    fields: dict[str, str] = {}
    attachments: tuple[Attachment, ...] = ()
    comments: tuple[Comment, ...] = ()
    history: tuple[Change, ...] = ()
    read_at: datetime

    @property
    def is_restricted(self) -> bool:
        """Whether only some people may see it."""
        return bool(self.groups)


# --- what Phabricator says ------------------------------------------------------------------------


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """A Phabricator revision with its newest diff.

    id: number without the D. repository: short name ("firefox-beta"), None when it has none.
    status: Phabricator's value ("accepted", "needs-review", "changes-planned", "abandoned", "published"…).
    parents: ids of the revisions it is stacked on. base: commit its newest diff was made on, when recorded.
    is_public: whether anybody may see it.
    """

    id: int
    phid: str
    title: str
    status: str
    repository: str | None = None
    bug: int | None = None
    author: str | None = None
    diff: int | None = None
    base: str | None = None
    parents: tuple[int, ...] = ()
    is_public: bool = True
    uplift_request: str | None = None
    changed: datetime | None = None


# --- what we read out of it -----------------------------------------------------------------------


class RequestState(StrEnum):
    """How a request stands in Bugzilla: the approval flag's status, in words."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    CLEARED = "cleared"


class PatchSource(StrEnum):
    """Where a patch of a series comes from."""

    REVISION = "revision"
    COMMIT = "commit"
    ATTACHMENT = "attachment"


class PatchRef(msgspec.Struct, frozen=True, kw_only=True):
    """One patch of a request's series, before anybody fetched it.

    name: how people say it ("D123456", a commit hash, "attachment 9123456"). version: what changes when
    the patch changes (diff id, commit hash, attachment id). attachment: the flag's, if any.
    base: commit the diff of this version was made on, None when nobody recorded it or it is a commit.
    missing: why nothing can be tried for this patch ("not mapped to git"), None when it can.
    """

    source: PatchSource
    name: str
    version: str
    base: str | None = None
    url: str | None = None
    title: str | None = None
    attachment: int | None = None
    missing: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of an uplift form.

    question: canonical key ("user_impact", "risk_level"…; see forms.py). label: the words the form used.
    value: typed reading ("yes", "no", "unknown", "low", "medium", "high") where the question has one.
    text: as written.
    """

    question: str
    label: str
    text: str
    value: str | None = None


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """An uplift form. train_hint: the train its heading names, None if it names none. raw: always kept.

    is_parsed False: shown raw, marked, never dropped.
    """

    comment: int | None
    author: str | None
    time: datetime | None
    generation: str
    train_hint: str | None
    answers: tuple[Answer, ...]
    raw: str
    is_parsed: bool = True


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place where a request is asked and answered: a flag, and the revision it mirrors, if any.

    attachment: that carries the flag, None for a flag on the bug itself. flag: its id, None when it is not
    set. status: "?", "+", "-" or "" when it is not set. revision: number of the Phabricator revision that the
    attachment stands for; phid None: Phabricator does not show it to us. author: user name there.
    is_uplift: the revision was made for the train, so that the decision is made on it.
    """

    attachment: int | None
    flag: int | None = None
    status: str = ""
    setter: str | None = None
    revision: int | None = None
    phid: str | None = None
    revision_status: str | None = None
    author: str | None = None
    diff: int | None = None
    is_uplift: bool = False


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One uplift request: (bug, train, patch set).

    uid: stable across rounds ("1234567-beta-3f2a…"). attachments: those that carry the flag.
    series: patches in landing order; empty with `series_reason` when there is nothing to try yet.
    decided_* None while requested.
    form: the newest one that belongs to it; older_forms: those before it, newest first.
    places: where a decision about it would be written.
    """

    uid: str
    bug: int
    train: str
    state: RequestState
    attachments: tuple[int, ...]
    series: tuple[PatchRef, ...] = ()
    series_reason: str | None = None
    requested_by: str | None = None
    requested_at: datetime | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    form: Form | None = None
    older_forms: tuple[Form, ...] = ()
    places: tuple[Place, ...] = ()
