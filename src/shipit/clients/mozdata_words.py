# SPDX-License-Identifier: MPL-2.0
"""A bug of ours in the words of Bugzilla's REST that libmozdata knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from shipit.clients.mozdata_answers import NEVER
from shipit.uplift.analysis import PatchFacts
from shipit.uplift.types import Attachment, Bug, Comment, Flag, Person

PREFIX = "approval-mozilla-"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")


def raw_bug(
    bug: Bug,
    comments: Iterable[Comment],
    *,
    people: Sequence[dict[str, str]],
    speakable: Callable[[str], str],
    flag: str | None = None,
) -> dict[str, Any]:
    """What is public of a bug.

    speakable: makes a text readable for libmozdata. flag: approval flag to be spelled as it expects.
    """
    involved = set(_involved(bug))
    return {
        "id": bug.id,
        "blocks": list(bug.blocks),
        "depends_on": list(bug.depends_on),
        "flags": [_raw_flag(f, flag) for f in bug.flags],
        "creator_detail": None,
        "assigned_to_detail": None,
        "cc_detail": [person for person in people if person["email"] in involved],
        "comments": [
            {"id": c.id, "author": c.creator, "time": c.time, "text": speakable(c.text)} for c in comments
        ],
        "attachments": [_raw_attachment(a, flag) for a in public_attachments(bug)],
        "history": [
            {
                "when": change.time,
                "who": change.who,
                "changes": [
                    {
                        "field_name": change.field,
                        "removed": _spelled(change.removed, flag),
                        "added": _spelled(change.added, flag),
                    }
                ],
            }
            for change in bug.history
        ],
    }


def raw_commit(facts: PatchFacts, message: str) -> dict[str, Any]:
    """A commit as hg.mozilla.org shows it."""
    author = facts.author
    return {
        "desc": message,
        "user": f"{author.name} <{author.email}>" if author.email else author.name,
        "date": [int(facts.authored_at.timestamp()), 0],
        "parents": [parent for parent in facts.parents],
    }


def public_attachments(bug: Bug) -> list[Attachment]:
    """The attachments that everybody may see who may see the bug."""
    return [a for a in bug.attachments if not a.is_private]


def _raw_attachment(attachment: Attachment, flag: str | None) -> dict[str, Any]:
    # What is obsolete asks for nothing any more, which libmozdata does not look at.
    flags = [f for f in attachment.flags if not (attachment.is_obsolete and f.name.startswith("approval-"))]
    return {
        "id": attachment.id,
        "is_patch": int(attachment.is_patch),
        "content_type": attachment.content_type,
        "creator": attachment.creator,
        "flags": [_raw_flag(f, flag) for f in flags],
    }


def late_fields(attachment: Attachment) -> dict[str, Any]:
    """What libmozdata asks of an attachment later on, when nothing has landed."""
    # MozReview is no more: to ask it for a diff would only fail.
    is_gone = attachment.is_obsolete or attachment.content_type == "text/x-review-board-request"
    return {"id": attachment.id, "is_obsolete": int(is_gone), "creation_time": attachment.created or NEVER}


def _raw_flag(flag: Flag, spelled: str | None) -> dict[str, Any]:
    return {"name": _spelled(flag.name, spelled), "status": flag.status, "setter": flag.setter}


def _spelled(text: str, flag: str | None) -> str:
    return text if flag is None else text.replace(flag, PREFIX + flag)


def _involved(bug: Bug) -> Iterable[str]:
    for person in (bug.creator, bug.assignee):
        if person is not None and person.email:
            yield person.email
    yield from (c.creator for c in bug.comments if not c.is_private)
    yield from (a.creator for a in bug.attachments if not a.is_private)
    yield from (h.who for h in bug.history)


def directory(bug: Bug, people: Sequence[Person]) -> list[dict[str, str]]:
    """People as Bugzilla shows them, without hidden addresses and blank names: libmozdata stumbles on
    them.
    """
    known: dict[str, dict[str, str]] = {}
    for person in (*people, bug.creator, bug.assignee):
        if person is None or not person.email or not _EMAIL.match(person.email):
            continue
        name = " ".join(person.name.split()) or person.email
        if person.nick and f":{person.nick.lower()}" not in name.lower():
            name = f"{name} [:{person.nick}]"
        known.setdefault(person.email, {"email": person.email, "name": person.email, "real_name": name})
    return list(known.values())
