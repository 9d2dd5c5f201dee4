# SPDX-License-Identifier: MPL-2.0
"""The bodies of the original uplift API: what old clients send and expect."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Number = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Text = Annotated[str, Meta(max_length=10_000)]


class Status(StrEnum):
    """What the original said of a patch on a branch; in words, not as a program prints an enum."""

    MERGED = "merged"
    FAILED = "failed"
    SKIPPED = "skipped"


class OldContributor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person. comment_private: only for those who may note it."""

    id: int
    email: str
    name: str
    avatar: str | None
    karma: int
    comment_public: str
    roles: tuple[str, ...]
    comment_private: str | None = None


class OldPatch(msgspec.Struct, frozen=True, kw_only=True):
    """A patch. merge: branch → whether it merges; a branch we could not find out about is absent."""

    source: str
    url: str | None
    languages: list[str]
    changes_add: int
    changes_del: int
    changes_size: int
    merge: dict[str, bool]


class OldUplift(msgspec.Struct, frozen=True, kw_only=True):
    """The request's comment, as HTML with every word escaped."""

    id: int | None
    comment: str


class OldVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One flag of a bug. status: "?", "+" or "-"."""

    name: str
    attachments: list[str]
    status: str


class OldBug(msgspec.Struct, frozen=True, kw_only=True):
    """A bug as the original answered it."""

    id: int
    bugzilla_id: int
    url: str
    summary: str
    keywords: list[str]
    product: str
    component: str
    status: str
    flags_status: dict[str, str]
    flags_tracking: dict[str, str]
    flags_generic: dict[str, str]
    contributors: list[OldContributor]
    changes_size: int
    uplift: OldUplift | None
    patches: dict[str, OldPatch]
    landings: dict[str, Any]
    versions: dict[str, OldVersion]


class OldAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """A train. bugs: empty in the list of all."""

    id: int
    name: str
    version: int | None
    count: int
    parameters: str
    bugs: list[OldBug]


class VersionBody(msgspec.Struct, frozen=True):
    """PUT /analysis/{id}."""

    version: Annotated[int, Meta(ge=0, le=100_000)]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What the original bot sent of a bug: Bugzilla's answer, libmozdata's analysis, people and flags."""

    url: Text = ""
    bug: dict[str, Any]
    analysis: dict[str, Any]
    users: dict[str, Any] = {}
    versions: dict[str, dict[str, Any]] = {}


class BugBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /bugs. analysis: ids of trains."""

    bugzilla_id: Number
    analysis: Annotated[list[Number], Meta(max_length=50)]
    payload: Payload
    payload_hash: Annotated[str, Meta(max_length=200)] = ""


class Change(msgspec.Struct, frozen=True):
    """What a client says was changed in Bugzilla; it is not believed."""

    added: Text = ""
    removed: Text = ""


class Target(StrEnum):
    """What was changed."""

    BUG = "bug"
    ATTACHMENT = "attachment"


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """One item of PUT /bugs/{id}."""

    bugzilla_id: Number
    target: Target
    changes: dict[str, Change]


class PatchBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /bugs/{id}/patches: one patch tried on a branch. revision_parent: the tip it was tried on."""

    group: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    revision: Annotated[str, Meta(min_length=1, max_length=200)]
    revision_parent: Annotated[str, Meta(min_length=1, max_length=200)]
    branch: Annotated[str, Meta(min_length=1, max_length=200)]
    status: Status
    message: Text | None = None


class PatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """One patch of one trial; message: why it did not merge."""

    id: int
    group: int
    revision: str
    revision_parent: str
    branch: str
    status: Status
    message: str | None
    created: datetime


class ContributorBody(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /contributor/{id}."""

    karma: Annotated[int, Meta(ge=-1000, le=1000)] | None = None
    comment_public: Text | None = None
    comment_private: Text | None = None
