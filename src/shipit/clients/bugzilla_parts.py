# SPDX-License-Identifier: MPL-2.0
"""What Bugzilla's JSON becomes: frozen bugs, attachments, comments and changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from shipit.uplift.types import Attachment, Bug, Change, Comment, Flag, Person

_ATTACHMENT_FIELDS = (
    "id",
    "bug_id",
    "file_name",
    "content_type",
    "summary",
    "creator",
    "is_patch",
    "is_obsolete",
    "is_private",
    "creation_time",
    "last_change_time",
    "flags",
)
_BUG_FIELDS = (
    "id",
    "last_change_time",
    "summary",
    "product",
    "component",
    "status",
    "resolution",
    "type",
    "priority",
    "severity",
    "whiteboard",
    "keywords",
    "groups",
    "creator",
    "creator_detail",
    "assigned_to",
    "assigned_to_detail",
    "creation_time",
    "dupe_of",
    "depends_on",
    "blocks",
    "regressed_by",
    "regressions",
    "flags",
)
# _default brings the custom fields, whose names we do not know; a Bugzilla that does not know the word
# itself still gives what is named.
WHOLE_BUG = ",".join(
    ["_default", *_BUG_FIELDS, *(f"attachments.{name}" for name in _ATTACHMENT_FIELDS), "comments", "history"]
)
"""include_fields for a bug with all its parts save the attachments' data."""
LISTED_BUG = ",".join([*_BUG_FIELDS, "attachments.id", "attachments.is_obsolete", "attachments.flags"])
"""include_fields for a bug on a list: all but what was said and done on it."""


class _Detail(msgspec.Struct):
    name: str = ""
    email: str | None = None
    real_name: str = ""
    nick: str | None = None


class _Flag(msgspec.Struct):
    id: int
    name: str
    status: str
    setter: str = ""
    requestee: str | None = None
    creation_date: datetime | None = None
    modification_date: datetime | None = None


class _Attachment(msgspec.Struct):
    id: int
    bug_id: int | None = None
    file_name: str = ""
    content_type: str = ""
    summary: str = ""
    description: str = ""
    creator: str = ""
    attacher: str = ""
    is_patch: bool = False
    is_obsolete: bool = False
    is_private: bool = False
    creation_time: datetime | None = None
    last_change_time: datetime | None = None
    flags: list[_Flag] = []


class _Comment(msgspec.Struct):
    id: int
    time: datetime | None = None
    creation_time: datetime | None = None
    text: str = ""
    creator: str = ""
    author: str = ""
    count: int | None = None
    is_private: bool = False
    attachment_id: int | None = None

    @property
    def when(self) -> datetime:
        """Both fields tell the same; older recordings have but one of them."""
        given = self.time or self.creation_time
        if given is None:
            raise ValueError(f"comment {self.id} has no time")
        return _aware(given)


class _Changed(msgspec.Struct):
    field_name: str
    removed: str | None = ""
    added: str | None = ""
    attachment_id: int | None = None


class _Entry(msgspec.Struct):
    when: datetime
    who: str = ""
    changes: list[_Changed] = []


class _Bug(msgspec.Struct):
    id: int
    last_change_time: datetime
    summary: str = ""
    product: str = ""
    component: str = ""
    status: str = ""
    resolution: str | None = ""
    type: str | None = ""
    priority: str | None = ""
    severity: str | None = ""
    whiteboard: str | None = ""
    keywords: list[str] = []
    groups: list[str] = []
    creator: str | None = None
    creator_detail: _Detail | None = None
    assigned_to: str | None = None
    assigned_to_detail: _Detail | None = None
    creation_time: datetime | None = None
    dupe_of: int | None = None
    depends_on: list[int] = []
    blocks: list[int] = []
    regressed_by: list[int] = []
    regressions: list[int] = []
    flags: list[_Flag] = []
    attachments: list[_Attachment] = []
    comments: list[_Comment] = []
    history: list[_Entry] = []


class _LastChange(msgspec.Struct):
    id: int
    last_change_time: datetime


class _LastChanges(msgspec.Struct):
    bugs: list[_LastChange]


def spelled(when: datetime) -> str:
    """`when` as Bugzilla reads it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def last_changes(answer: Mapping[str, Any]) -> dict[int, datetime]:
    """{id: last change} of a search's answer, in its order. Raises msgspec.ValidationError."""
    read = msgspec.convert(answer, _LastChanges, strict=False)
    return {entry.id: _aware(entry.last_change_time) for entry in read.bugs}


def bug(raw: Mapping[str, Any], read_at: datetime) -> Bug:
    """A whole bug. Raises msgspec.ValidationError naming the field that cannot be read."""
    read = msgspec.convert(raw, _Bug, strict=False)
    return Bug(
        id=read.id,
        summary=read.summary,
        product=read.product,
        component=read.component,
        status=read.status,
        resolution=read.resolution or "",
        type=read.type or "",
        priority=read.priority or "",
        severity=read.severity or "",
        whiteboard=read.whiteboard or "",
        keywords=tuple(read.keywords),
        groups=tuple(read.groups),
        creator=_person(read.creator_detail, read.creator),
        assignee=_person(read.assigned_to_detail, read.assigned_to),
        created=_aware_or_none(read.creation_time),
        changed=_aware(read.last_change_time),
        dupe_of=read.dupe_of,
        depends_on=tuple(read.depends_on),
        blocks=tuple(read.blocks),
        regressed_by=tuple(read.regressed_by),
        regressions=tuple(read.regressions),
        flags=_flags(read.flags),
        fields=_train_fields(raw),
        attachments=tuple(_attachment(read.id, one) for one in read.attachments),
        comments=_comments(read.comments),
        history=_changes(read.history),
        read_at=read_at,
    )


def _train_fields(raw: Mapping[str, Any]) -> dict[str, str]:
    """The status and tracking fields as given: absent, empty and "---" stay three different things."""
    return {
        name: value
        for name, value in raw.items()
        if name.startswith(("cf_status_", "cf_tracking_")) and isinstance(value, str)
    }


def _person(detail: _Detail | None, name: str | None) -> Person | None:
    login = (detail.name if detail else "") or name or ""
    # "nobody@…" is Bugzilla's word for unassigned.
    if not login or login.startswith("nobody@"):
        return None
    email = (detail.email if detail else None) or (login if "@" in login else None)
    return Person(
        name=(detail.real_name if detail else "") or login,
        email=email,
        nick=(detail.nick if detail else None) or None,
    )


def _flags(flags: list[_Flag]) -> tuple[Flag, ...]:
    return tuple(
        Flag(
            id=one.id,
            name=one.name,
            status=one.status,
            setter=one.setter,
            requestee=one.requestee,
            created=_aware_or_none(one.creation_date),
            modified=_aware_or_none(one.modification_date),
        )
        for one in flags
    )


def _attachment(bug_id: int, one: _Attachment) -> Attachment:
    return Attachment(
        id=one.id,
        bug=one.bug_id or bug_id,
        file_name=one.file_name,
        content_type=one.content_type,
        summary=one.summary or one.description,
        creator=one.creator or one.attacher,
        is_patch=one.is_patch,
        is_obsolete=one.is_obsolete,
        is_private=one.is_private,
        created=_aware_or_none(one.creation_time),
        changed=_aware_or_none(one.last_change_time),
        flags=_flags(one.flags),
    )


def _comments(comments: list[_Comment]) -> tuple[Comment, ...]:
    # Ids rise with time, and a hidden comment leaves a gap in the counts: order by id, keep the count given.
    ordered = sorted(comments, key=lambda one: (one.when, one.id))
    return tuple(
        Comment(
            id=one.id,
            number=number if one.count is None else one.count,
            creator=one.creator or one.author,
            time=one.when,
            text=one.text,
            is_private=one.is_private,
            attachment=one.attachment_id,
        )
        for number, one in enumerate(ordered)
    )


def _changes(entries: list[_Entry]) -> tuple[Change, ...]:
    return tuple(
        Change(
            time=_aware(entry.when),
            who=entry.who,
            field=one.field_name,
            removed=one.removed or "",
            added=one.added or "",
            attachment=one.attachment_id,
        )
        for entry in sorted(entries, key=lambda entry: _aware(entry.when))
        for one in entry.changes
    )


def _aware(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _aware_or_none(when: datetime | None) -> datetime | None:
    return None if when is None else _aware(when)
