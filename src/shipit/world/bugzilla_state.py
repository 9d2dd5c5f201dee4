# SPDX-License-Identifier: MPL-2.0
"""What a fake Bugzilla remembers: users, bugs, attachments, flags, comments, and every change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

NOBODY = "nobody@mozilla.org"
OPEN_STATUSES = ("UNCONFIRMED", "NEW", "ASSIGNED", "REOPENED")
CLOSED_STATUSES = ("RESOLVED", "VERIFIED")
TYPES = ("defect", "enhancement", "task", "--")
LISTS = ("keywords", "blocks", "depends_on", "regressed_by", "regressions", "see_also", "cc", "groups")
TEXTS = ("summary", "whiteboard", "priority", "severity", "product", "component", "type", "url", "resolution")


class Says(Exception):
    """An error in Bugzilla's words, with its code and HTTP status."""

    def __init__(self, code: int, message: str | None, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass
class User:
    """An account. groups: names; those of a security group let them see its bugs."""

    id: int
    login: str
    real_name: str
    nick: str
    groups: set[str] = field(default_factory=set)
    is_disabled: bool = False


@dataclass
class FlagType:
    """A kind of flag. grant_group: who may set + and -, and undo them; None: everybody."""

    id: int
    name: str
    target: str
    grant_group: str | None = None
    is_multiplicable: bool = False
    is_requesteeble: bool = False
    sort_key: int = 0
    description: str = ""


@dataclass
class Flag:
    """A flag as set. requestee: a login."""

    id: int
    type: FlagType
    status: str
    setter: str
    requestee: str | None
    created: datetime
    modified: datetime

    @property
    def text(self) -> str:
        """As history and search word it: "needinfo?(who@example.invalid)"."""
        return f"{self.type.name}{self.status}" + (f"({self.requestee})" if self.requestee else "")


@dataclass
class Attachment:
    """An attachment with its content."""

    id: int
    bug: int
    creator: str
    file_name: str
    summary: str
    content_type: str
    data: bytes
    created: datetime
    changed: datetime
    is_patch: bool = False
    is_obsolete: bool = False
    is_private: bool = False
    flags: list[Flag] = field(default_factory=list)


@dataclass
class Comment:
    """A comment. raw: what was typed; text: with the line on the attachment that Bugzilla puts before it."""

    id: int
    number: int
    creator: str
    time: datetime
    raw: str
    text: str
    is_private: bool = False
    attachment: int | None = None


@dataclass
class Change:
    """One line of a bug's history."""

    when: datetime
    who: str
    field: str
    removed: str
    added: str
    attachment: int | None = None


@dataclass
class Bug:
    """A bug. values: plain fields by REST name; custom: custom fields; lists hold logins, words or ids."""

    id: int
    creator: str
    created: datetime
    changed: datetime
    values: dict[str, Any]
    custom: dict[str, Any]
    assignee: str = NOBODY
    status: str = "NEW"
    lists: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in LISTS})
    flags: list[Flag] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    history: list[Change] = field(default_factory=list)


class State:
    """The whole of a fake Bugzilla's memory and the rules of its changes."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.users: dict[str, User] = {}
        self.keys: dict[str, str] = {}
        self.flag_types: dict[str, FlagType] = {}
        self.custom_fields: dict[str, Any] = {
            "cf_last_resolved": None,
            "cf_crash_signature": "",
            "cf_rank": None,
        }
        self.products: dict[str, list[str]] = {}
        self.bugs: dict[int, Bug] = {}
        self.attachments: dict[int, Attachment] = {}
        self._last: dict[str, int] = {}

    def next_id(self, kind: str, first: int = 1) -> int:
        """A fresh number of this kind."""
        self._last[kind] = max(self._last.get(kind, 0) + 1, first)
        return self._last[kind]

    def user(self, login: str) -> User:
        """The account. Raises Says as Bugzilla does."""
        if login not in self.users:
            raise Says(
                51,
                f"There is no user named '{login}'. Either you mis-typed the name or that user has not yet "
                "registered for a Bugzilla account.",
                HTTPStatus.NOT_FOUND,
            )
        return self.users[login]

    def sees(self, viewer: User | None, bug: Bug) -> bool:
        """Whether the viewer may see the bug: in all its groups, or its reporter, assignee or on its cc."""
        if not bug.lists["groups"]:
            return True
        if viewer is None:
            return False
        if viewer.login in (bug.creator, bug.assignee, *bug.lists["cc"]):
            return True
        return set(bug.lists["groups"]) <= viewer.groups

    def visible(self, viewer: User | None, number: int) -> Bug:
        """The bug, or Says 101 or 102."""
        bug = self.bugs.get(number)
        if bug is None:
            raise Says(101, f"Bug {number} does not exist.", HTTPStatus.NOT_FOUND)
        if not self.sees(viewer, bug):
            hint = (
                ""
                if viewer
                else (
                    " To see this bug, you must first log in to an account with the appropriate permissions."
                )
            )
            raise Says(102, f"You are not authorized to access bug {number}.{hint}", HTTPStatus.UNAUTHORIZED)
        return bug

    # --- changes ----------------------------------------------------------------------------------

    def record(
        self, bug: Bug, who: str, name: str, removed: str, added: str, attachment: int | None = None
    ) -> None:
        """A line of history. The same field changed twice by the same person in a second is one line."""
        when = self.now()
        bug.changed = when
        last = bug.history[-1] if bug.history else None
        if last and (last.when, last.who, last.field, last.attachment) == (when, who, name, attachment):
            last.removed = " ".join(part for part in (last.removed, removed) if part)
            last.added = " ".join(part for part in (last.added, added) if part)
        else:
            bug.history.append(Change(when, who, name, removed, added, attachment))

    def add_comment(
        self,
        bug: Bug,
        who: str,
        raw: str,
        *,
        is_private: bool = False,
        attachment: Attachment | None = None,
        prefix: str = "",
    ) -> Comment:
        """A comment. prefix: "Created attachment" or "Comment on attachment", put before its number."""
        text = raw
        if attachment is not None:
            text = f"{prefix} {attachment.id}\n{attachment.summary}" + (f"\n\n{raw}" if raw else "")
        comment = Comment(
            id=self.next_id("comment"),
            number=len(bug.comments),
            creator=who,
            time=self.now(),
            raw=raw,
            text=text,
            is_private=is_private,
            attachment=attachment.id if attachment else None,
        )
        bug.comments.append(comment)
        bug.changed = comment.time
        return comment

    def set_value(self, bug: Bug, who: str, name: str, value: Any) -> dict[str, dict[str, str]]:
        """Change one plain, custom or person field; what changed as REST reports it, {} for nothing."""
        if name == "status":
            return self._set_status(bug, who, str(value))
        if name == "assigned_to":
            self.user(str(value))
            old: Any = bug.assignee
            bug.assignee = str(value)
        elif name in self.custom_fields:
            old, bug.custom[name] = bug.custom.get(name), value
        else:
            old, bug.values[name] = bug.values.get(name, ""), value
        return self._changed(bug, who, name, old, value)

    def _set_status(self, bug: Bug, who: str, value: str) -> dict[str, dict[str, str]]:
        if value not in OPEN_STATUSES + CLOSED_STATUSES:
            raise Says(51, f"There is no status named '{value}'.", HTTPStatus.NOT_FOUND)
        old, bug.status = bug.status, value
        changes = self._changed(bug, who, "status", old, value)
        if changes and value in CLOSED_STATUSES and old in OPEN_STATUSES:
            resolved = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            bug.custom["cf_last_resolved"] = resolved
            self.record(bug, who, "cf_last_resolved", "", resolved)
        return changes

    def _changed(self, bug: Bug, who: str, name: str, old: Any, new: Any) -> dict[str, dict[str, str]]:
        removed, added = ("" if value is None else str(value) for value in (old, new))
        if removed == added:
            return {}
        self.record(bug, who, name, removed, added)
        return {name: {"removed": removed, "added": added}}

    def set_list(
        self,
        bug: Bug,
        who: str,
        name: str,
        *,
        add: Iterable[Any] = (),
        remove: Iterable[Any] = (),
        exactly: Sequence[Any] | None = None,
    ) -> dict[str, dict[str, str]]:
        """Change a list field; {} when nothing changes."""
        old = bug.lists[name]
        gone = [item for item in (old if exactly is not None else remove) if item in old]
        if exactly is not None:
            gone = [item for item in old if item not in exactly]
        came = [item for item in (exactly if exactly is not None else add) if item not in old]
        if not gone and not came:
            return {}
        bug.lists[name] = [item for item in old if item not in gone] + came
        removed, added = (", ".join(map(str, items)) for items in (gone, came))
        self.record(bug, who, name, removed, added)
        return {name: {"removed": removed, "added": added}}

    # --- flags ------------------------------------------------------------------------------------

    def set_flags(
        self,
        bug: Bug,
        attachment: Attachment | None,
        who: User,
        wanted: Sequence[Any],
        *,
        is_trusted: bool = False,
    ) -> dict[str, dict[str, str]]:
        """Apply a REST list of flags to an attachment, or to the bug where it is None.

        is_trusted: do not ask who may (verbs of the world). Raises Says; nothing is half done.
        """
        flags = attachment.flags if attachment else bug.flags
        planned = [self._plan(flags, attachment, who, one, is_trusted) for one in wanted]
        before = [flag.text for flag in flags]
        for flag, status, requestee, kind in planned:
            self._apply(bug, flags, who, flag, status, requestee, kind)
        flags.sort(key=lambda flag: (flag.type.sort_key, flag.type.name, flag.id))
        after = [flag.text for flag in flags]
        removed, added = _without(before, after), _without(after, before)
        asked = [requestee for _, _, requestee, _ in planned if requestee]
        if not removed and not added:
            return {}
        number = attachment.id if attachment else None
        self.record(bug, who.login, "flagtypes.name", ", ".join(removed), ", ".join(added), number)
        if attachment:
            attachment.changed = self.now()
        involved = (bug.creator, bug.assignee, *bug.lists["cc"])
        self.set_list(bug, who.login, "cc", add=[one for one in dict.fromkeys(asked) if one not in involved])
        return {"flagtypes.name": {"removed": ", ".join(removed), "added": ", ".join(added)}}

    def _plan(
        self, flags: list[Flag], attachment: Attachment | None, who: User, wanted: Any, is_trusted: bool
    ) -> tuple[Flag | None, str, str | None, FlagType]:
        flag, kind = self._found(flags, attachment, wanted)
        status = wanted.get("status")
        if status not in ("?", "+", "-", "X"):
            shown = f" {status}" if status else ""
            raise Says(129, f"The flag status{shown} for flag ID #{flag.id if flag else kind.id} is invalid.")
        self._check_grant(flag, kind, status, who, is_trusted)
        requestee = wanted.get("requestee")
        if requestee:
            self.user(requestee)
        return flag, status, requestee, kind

    def _found(
        self, flags: list[Flag], attachment: Attachment | None, wanted: Any
    ) -> tuple[Flag | None, FlagType]:
        if "id" in wanted:
            for flag in flags:
                if flag.id == wanted["id"]:
                    return flag, flag.type
            raise Says(51, f"There is no flag with the id '{wanted['id']}'.", HTTPStatus.NOT_FOUND)
        kind = self.flag_types.get(str(wanted.get("name")))
        if kind is None or kind.target != ("attachment" if attachment else "bug"):
            raise Says(51, f"There is no flagtype named '{wanted.get('name')}'.", HTTPStatus.NOT_FOUND)
        matching = [flag for flag in flags if flag.type is kind]
        if str(wanted.get("new", "")).lower() in ("true", "1") or not matching:
            return None, kind
        if len(matching) > 1:
            raise Says(132, f"More than one flag named '{kind.name}' is set; name the one by its id.")
        return matching[0], kind

    def _check_grant(
        self, flag: Flag | None, kind: FlagType, status: str, who: User, is_trusted: bool
    ) -> None:
        old = flag.status if flag else ""
        if is_trusted or status == old or kind.grant_group is None or kind.grant_group in who.groups:
            return
        is_decided = old in ("+", "-")
        if status in ("+", "-") or (status in ("?", "X") and is_decided):
            verb = {"+": "grant", "-": "deny", "?": "request", "X": "clear"}[status]
            shown = kind.name + (old if status == "X" else "")
            raise Says(
                130,
                f"You tried to {verb} {shown}. "
                "Only a user with the required permissions may make this change.",
            )

    def _apply(
        self,
        bug: Bug,
        flags: list[Flag],
        who: User,
        flag: Flag | None,
        status: str,
        requestee: str | None,
        kind: FlagType,
    ) -> None:
        now = self.now()
        if status == "X":
            if flag is not None:
                flags.remove(flag)
            return
        if flag is None:
            flags.append(Flag(self.next_id("flag"), kind, status, who.login, requestee, now, now))
        elif flag.status != status or (requestee and flag.requestee != requestee):
            flag.status, flag.setter, flag.modified = status, who.login, now
            flag.requestee = requestee if status == "?" else None


def _without(first: list[str], second: list[str]) -> list[str]:
    rest = list(second)
    kept = []
    for item in first:
        if item in rest:
            rest.remove(item)
        else:
            kept.append(item)
    return kept
