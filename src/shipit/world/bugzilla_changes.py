# SPDX-License-Identifier: MPL-2.0
"""What may be changed in a fake Bugzilla by REST, by whom, and how a refusal is worded."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import Any

from aiohttp import web

from shipit.world import bugzilla_json as told
from shipit.world.bugzilla_call import Body, Call, answered
from shipit.world.bugzilla_state import LISTS, NOBODY, TEXTS, TYPES, Attachment, Bug, Says, State, User


class Changes:
    """The questions that change something."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def file(self, call: Call) -> web.Response:
        user, body = call.login(), call.object()
        if "product" not in body:
            raise Says(68000, "Bad argument param sent to Bugzilla::Product::new function.")
        product, component = str(body["product"]), str(body.get("component"))
        if product not in self.state.products:
            raise Says(
                106,
                f"The product {product} does not exist, or you may not enter bugs into it.",
                HTTPStatus.UNAUTHORIZED,
            )
        if component not in self.state.products[product]:
            message = f"There is no component named '{component}' in the '{product}' product."
            raise Says(51, message, HTTPStatus.NOT_FOUND)
        if body.get("type", "defect") not in TYPES:
            raise Says(51, f"There is no Type named '{body['type']}'.", HTTPStatus.NOT_FOUND)
        one = new_bug(self.state, user.login, body)
        return answered({"id": one.id})

    async def attach(self, call: Call) -> web.Response:
        user, body = call.login(), call.object()
        bug = self.state.visible(user, call.number())
        if "data" not in body:
            raise Says(50, "The function requires a data argument, and that argument was not set.")
        try:
            data = base64.b64decode(str(body["data"]))
        except (binascii.Error, ValueError):
            data = b""
        if not data:
            raise Says(
                606,
                "The file to attach is empty.",
            )
        kind = "text/plain" if body.get("is_patch") else str(body.get("content_type", ""))
        if "/" not in kind or kind == "text/x-phabricator-request":
            raise Says(601, f"The content type is invalid: {kind}.")
        flags = body.get("flags", [])
        for one in flags:
            if one.get("name") not in self.state.flag_types:
                # What the real one rolls back has used up its number all the same.
                self.state.next_id("attachment")
                raise Says(51, f"There is no flagtype named '{one.get('name')}'.", HTTPStatus.NOT_FOUND)
        made = new_attachment(self.state, bug, user.login, {**body, "content_type": kind}, data)
        self.state.set_flags(bug, made, user, flags)
        shown = told.attachment(self.state, made, call.wanted(), is_new=True)
        return answered({"attachments": {str(made.id): shown}}, 201)

    async def comment(self, call: Call) -> web.Response:
        user, body = call.login(), call.object()
        bug = self.state.visible(user, call.number())
        if not body.get("comment"):
            raise Says(50, "The function requires a comment argument, and that argument was not set.")
        made = self._commented(bug, user, body["comment"], is_private=bool(body.get("is_private")))
        return answered({"id": made}, 201)

    def _commented(
        self,
        bug: Bug,
        user: User,
        text: str,
        *,
        is_private: bool = False,
        attachment: Attachment | None = None,
    ) -> int:
        if is_private and not told.is_insider(user):
            raise Says(
                113,
                "You may not mark comments or attachments as private.",
                HTTPStatus.UNAUTHORIZED,
            )
        prefix = "Comment on attachment"
        made = self.state.add_comment(
            bug, user.login, text, is_private=is_private, attachment=attachment, prefix=prefix
        )
        return made.id

    async def change_attachment(self, call: Call) -> web.Response:
        user, body = call.login(), call.object()
        flags = body.get("flags", [])
        if not isinstance(flags, list):
            raise Says(100500, None, HTTPStatus.OK)
        for name in body.keys() - {
            "ids",
            "flags",
            "comment",
            "summary",
            "is_obsolete",
            "is_patch",
            "is_private",
            "file_name",
            "content_type",
            "bug_flags",
            "is_markdown",
            "minor_update",
        }:
            raise Says(67399, f"The requested method 'Bugzilla::Attachment::set_{name}' was not found.")
        results = []
        ids = body.get("ids") or [call.path["attachment"]]
        for number in ids:
            one = self.state.attachments.get(int(number)) if str(number).isdigit() else None
            if one is None:
                raise Says(32000, f"The attachment id {number} is invalid.")
            results.append(self._attachment_changed(one, user, body, flags))
        return answered({"attachments": results})

    def _attachment_changed(self, one: Attachment, user: User, body: Body, flags: list[Any]) -> Body:
        bug = self.state.visible(user, one.bug)
        if "editbugs" not in user.groups and user.login not in (one.creator, bug.creator):
            raise Says(32000, f"You are not authorized to edit attachment {one.id}.")
        changes = self.state.set_flags(bug, one, user, flags)
        for name, told_as in (
            ("summary", "attachments.description"),
            ("is_obsolete", "attachments.isobsolete"),
        ):
            if name in body and getattr(one, name) != body[name]:
                old, new = getattr(one, name), body[name]
                setattr(one, name, new)
                words = [str(int(value)) if isinstance(value, bool) else str(value) for value in (old, new)]
                self.state.record(bug, user.login, told_as, words[0], words[1], one.id)
                one.changed = self.state.now()
                changes[name] = {"removed": words[0], "added": words[1]}
        if body.get("comment"):
            self._commented(bug, user, str(body["comment"]), attachment=one)
        if body.get("bug_flags"):
            self.state.set_flags(bug, None, user, body["bug_flags"])
        return {"id": one.id, "last_change_time": told.spelled(one.changed), "changes": changes}

    async def change_bug(self, call: Call) -> web.Response:
        user, body = call.login(), call.object()
        numbers = body.get("ids") or [call.number()]
        bugs = [self.state.visible(user, int(number)) for number in numbers]
        return answered({"bugs": [self._bug_changed(bug, user, body) for bug in bugs]})

    def _bug_changed(self, bug: Bug, user: User, body: Body) -> Body:
        self._check_may_change(bug, user, body)
        comment = body.get("comment") or {}
        changes: Body = self.state.set_flags(bug, None, user, body.get("flags", []))
        if comment.get("body"):
            self._commented(bug, user, str(comment["body"]), is_private=bool(comment.get("is_private")))
        for name, value in body.items():
            if name in ("status", "assigned_to", *TEXTS) or name in self.state.custom_fields:
                changes |= self.state.set_value(bug, user.login, name, value)
            elif name in LISTS and isinstance(value, dict):
                changes |= self.state.set_list(
                    bug,
                    user.login,
                    name,
                    add=value.get("add", ()),
                    remove=value.get("remove", ()),
                    exactly=value.get("set"),
                )
        return {
            "id": bug.id,
            "alias": None,
            "last_change_time": told.spelled(bug.changed),
            "changes": changes,
        }

    def _check_may_change(self, bug: Bug, user: User, body: Body) -> None:
        if "editbugs" in user.groups or user.login in (bug.creator, bug.assignee):
            return
        if "status" in body:
            raise Says(
                123, f"You are not allowed to change the bug status from {bug.status} to {body['status']}."
            )
        for name in body.keys() - {"comment", "ids", "flags"}:
            raise Says(115, f"You are not allowed to edit the {name} field.", HTTPStatus.UNAUTHORIZED)


def new_bug(state: State, creator: str, body: Body, *, number: int | None = None) -> Bug:
    """A bug filed by `creator` from a REST body."""
    now = state.now()
    made = Bug(
        id=number if number is not None else state.next_id("bug"),
        creator=creator,
        created=now,
        changed=now,
        values={
            "summary": "",
            "resolution": "",
            "priority": "--",
            "severity": "--",
            "whiteboard": "",
            "type": "defect",
        }
        | {name: body[name] for name in (*TEXTS, "op_sys", "platform", "version") if name in body},
        custom={name: body[name] for name in state.custom_fields if name in body},
        assignee=str(body.get("assigned_to") or NOBODY),
    )
    for name in LISTS:
        made.lists[name] = list(body.get(name, []))
    state.bugs[made.id] = made
    state.add_comment(made, creator, str(body.get("description", "")))
    return made


def new_attachment(
    state: State, bug: Bug, creator: str, body: Body, data: bytes, *, number: int | None = None
) -> Attachment:
    """An attachment with the comment that tells of it, without flags yet."""
    now = state.now()
    made = Attachment(
        id=number if number is not None else state.next_id("attachment"),
        bug=bug.id,
        creator=creator,
        file_name=str(body.get("file_name", "")),
        summary=str(body.get("summary", "")),
        content_type=str(body.get("content_type", "")),
        data=data,
        created=now,
        changed=now,
        is_patch=bool(body.get("is_patch")),
        is_private=bool(body.get("is_private")),
    )
    bug.attachments.append(made)
    state.attachments[made.id] = made
    state.add_comment(
        bug,
        creator,
        str(body.get("comment", "")),
        attachment=made,
        prefix="Created attachment",
        is_private=made.is_private,
    )
    return made
