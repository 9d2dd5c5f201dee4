# SPDX-License-Identifier: MPL-2.0
"""How a fake Bugzilla spells what it remembers, and which fields it leaves out when asked to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shipit.world.bugzilla_state import (
    NOBODY,
    OPEN_STATUSES,
    Attachment,
    Bug,
    Comment,
    Flag,
    State,
    User,
)

EXTRA = (
    "attachments",
    "comments",
    "history",
    "counts",
    "description",
    "filed_via",
    "triage_owner",
    "triage_owner_detail",
    "last_change_time_non_bot",
)
"""Fields of a bug that come only when named, or with _all."""


class Wanted:
    """Which fields an answer shall have: "attachments.id" is a field's field; `_all`, `_default` are sets."""

    def __init__(self, query: Sequence[tuple[str, str]], extra: Sequence[str] = ()) -> None:
        self._extra = extra
        self._include = self._named(query, "include_fields")
        self._exclude = self._named(query, "exclude_fields")

    @staticmethod
    def _named(query: Sequence[tuple[str, str]], name: str) -> set[str]:
        return {
            part.strip() for key, value in query if key == name for part in value.split(",") if part.strip()
        }

    def has(self, name: str, inside: str = "") -> bool:
        """Whether the field belongs into the answer; `inside` is the field that holds it."""
        full = f"{inside}.{name}" if inside else name
        if full in self._exclude or (inside and inside in self._exclude):
            return False
        if not self._include or full in self._include or "_all" in self._include:
            return bool(self._include) or not self._is_extra(name, inside)
        if inside:
            return inside in self._include
        if "_default" in self._include and not self._is_extra(name, inside):
            return True
        if "_custom" in self._include and name.startswith("cf_"):
            return True
        if "_extra" in self._include and self._is_extra(name, inside):
            return True
        if name.endswith("_detail") and name.removesuffix("_detail") in self._include:
            return True
        return any(one.startswith(full + ".") for one in self._include)

    def _is_extra(self, name: str, inside: str) -> bool:
        return not inside and name in self._extra

    def only(self, values: dict[str, Any], inside: str = "") -> dict[str, Any]:
        """`values` without what is not wanted."""
        return {name: value for name, value in values.items() if self.has(name, inside)}


def spelled(when: datetime | None) -> str | None:
    """A time as Bugzilla spells it."""
    return None if when is None else when.strftime("%Y-%m-%dT%H:%M:%SZ")


def person(state: State, login: str) -> dict[str, Any]:
    """A *_detail of a bug or attachment."""
    user = state.users.get(login)
    if user is None:
        return {"id": 0, "name": login, "email": login, "real_name": "", "nick": login.split("@")[0]}
    return {"id": user.id, "name": login, "email": login, "real_name": user.real_name, "nick": user.nick}


def flag(one: Flag, *, is_new: bool = False) -> dict[str, Any]:
    """A flag. A just created attachment's answer has its flags dated midnight, as the real one's."""
    created, modified = one.created, one.modified
    if is_new:
        created = modified = one.created.replace(hour=0, minute=0, second=0)
    told = {
        "id": one.id,
        "type_id": one.type.id,
        "name": one.type.name,
        "status": one.status,
        "setter": one.setter,
        "creation_date": spelled(created),
        "modification_date": spelled(modified),
    }
    return told | ({"requestee": one.requestee} if one.requestee else {})


def attachment(
    state: State, one: Attachment, wanted: Wanted, *, inside: str = "", is_new: bool = False
) -> dict[str, Any]:
    """An attachment; its content only where wanted."""
    told: dict[str, Any] = {
        "id": one.id,
        "bug_id": one.bug,
        "file_name": one.file_name,
        "summary": one.summary,
        "description": one.summary,
        "content_type": one.content_type,
        "creator": one.creator,
        "attacher": one.creator,
        "creator_detail": person(state, one.creator),
        "size": len(one.data),
        "is_patch": int(one.is_patch),
        "is_obsolete": int(one.is_obsolete),
        "is_private": int(one.is_private),
        "creation_time": spelled(one.created),
        "last_change_time": spelled(one.changed),
        "flags": [flag(each, is_new=is_new) for each in one.flags],
    }
    if wanted.has("data", inside):
        told["data"] = base64.b64encode(one.data).decode()
    return wanted.only(told, inside)


def comment(one: Comment, bug: int, wanted: Wanted) -> dict[str, Any]:
    """A comment."""
    return wanted.only(
        {
            "id": one.id,
            "bug_id": bug,
            "count": one.number,
            "creator": one.creator,
            "author": one.creator,
            "time": spelled(one.time),
            "creation_time": spelled(one.time),
            "text": one.text,
            "raw_text": one.raw,
            "attachment_id": one.attachment,
            "is_private": one.is_private,
            "tags": [],
            "reactions": {},
            "edit_count": 0,
            "last_change_time": None,
        }
    )


def history(bug: Bug, since: datetime | None = None) -> list[dict[str, Any]]:
    """A bug's history: changes of one person in one second are one entry."""
    entries: list[dict[str, Any]] = []
    for change in bug.history:
        if since is not None and change.when < since:
            continue
        when = spelled(change.when)
        if not entries or (entries[-1]["when"], entries[-1]["who"]) != (when, change.who):
            entries.append({"when": when, "who": change.who, "changes": []})
        told: dict[str, Any] = {"field_name": change.field, "removed": change.removed, "added": change.added}
        if change.attachment is not None:
            told["attachment_id"] = change.attachment
        entries[-1]["changes"].append(told)
    return entries


def is_insider(viewer: User | None) -> bool:
    """Whether the viewer sees private comments and attachments."""
    return viewer is not None and "insiders" in viewer.groups


def bug(state: State, one: Bug, wanted: Wanted, viewer: User | None) -> dict[str, Any]:
    """A bug with the fields wanted; attachments, comments and history only when named."""
    told = _plain(state, one)
    shown_attachments = [each for each in one.attachments if not each.is_private or is_insider(viewer)]
    shown_comments = [each for each in one.comments if not each.is_private or is_insider(viewer)]
    if wanted.has("attachments"):
        told["attachments"] = [
            attachment(state, each, wanted, inside="attachments") for each in shown_attachments
        ]
    if wanted.has("comments"):
        told["comments"] = [comment(each, one.id, Wanted([])) for each in shown_comments]
    if wanted.has("history"):
        told["history"] = history(one)
    if wanted.has("counts"):
        lists = ("depends_on", "blocks", "regressed_by", "regressions", "cc", "keywords")
        told["counts"] = {name: len(one.lists[name]) for name in lists} | {
            "duplicates": 0,
            "comments": len(one.comments),
            "attachments": len(one.attachments),
        }
    return wanted.only(told)


def _plain(state: State, one: Bug) -> dict[str, Any]:
    return {
        "alias": None,
        "classification": "Client Software",
        "version": "unspecified",
        "op_sys": "All",
        "platform": "All",
        "target_milestone": "---",
        "qa_contact": "",
        "votes": 0,
        "url": "",
        "cf_user_story": "",
        "duplicates": [],
        "mentors": [],
        "mentors_detail": [],
        "dupe_of": None,
        "is_cc_accessible": True,
        "is_creator_accessible": True,
        **one.values,
        **{name: list(items) for name, items in one.lists.items()},
        **{name: one.custom.get(name, default) for name, default in state.custom_fields.items()},
        "id": one.id,
        "status": one.status,
        "is_open": one.status in OPEN_STATUSES,
        "is_confirmed": one.status != "UNCONFIRMED",
        "creator": one.creator,
        "creator_detail": person(state, one.creator),
        "assigned_to": one.assignee,
        "assigned_to_detail": person(state, one.assignee),
        "cc_detail": [person(state, login) for login in one.lists["cc"]],
        "creation_time": spelled(one.created),
        "last_change_time": spelled(one.changed),
        "comment_count": len(one.comments),
        "flags": [flag(each) for each in one.flags],
        "description": one.comments[0].text if one.comments else "",
        "filed_via": "api",
        "triage_owner": NOBODY,
        "triage_owner_detail": person(state, NOBODY),
        "last_change_time_non_bot": spelled(one.changed),
    }


def update_token(one: Bug, viewer: User) -> str:
    """The token that goes with a bug asked for by its number."""
    stamp = f"{one.id}-{one.changed.isoformat()}-{viewer.login}"
    return f"{int(one.changed.timestamp())}-{hashlib.sha256(stamp.encode()).hexdigest()[:43]}"


def account(state: State, user: User, viewer: User | None) -> dict[str, Any]:
    """A user as /user answers: little to the anonymous, groups only to oneself."""
    told: dict[str, Any] = {"id": user.id, "name": user.login, "real_name": user.real_name, "nick": user.nick}
    if viewer is None:
        return told
    groups = [
        {"id": number, "name": name, "description": name}
        for number, name in enumerate(sorted(user.groups), start=9)
    ]
    pending = {"blocked": False, "pending": 0}
    return told | {
        "email": user.login,
        "groups": groups if viewer is user else [],
        "can_login": not user.is_disabled,
        "is_new": False,
        "creation_time": "2026-01-05T09:00:00Z",
        "last_activity_time": "2026-01-05T09:00:00Z",
        "last_seen_date": "2026-01-05T00:00:00Z",
        "gravatar": "",
        "requests": {name: dict(pending) for name in ("review", "needinfo", "feedback")},
    }
