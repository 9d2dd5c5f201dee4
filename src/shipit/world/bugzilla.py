# SPDX-License-Identifier: MPL-2.0
"""A fake Bugzilla that remembers: verbs to live in it, and the REST interface the real clients speak to."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from shipit.world.bugzilla_call import answered
from shipit.world.bugzilla_changes import new_attachment, new_bug
from shipit.world.bugzilla_json import spelled
from shipit.world.bugzilla_rest import Rest
from shipit.world.bugzilla_state import NOBODY, Attachment, Bug, FlagType, State, User
from shipit.world.server import Clock, Fake, utc_now

RELEASE_MANAGERS = "release-managers"


class FakeBugzilla(Fake):
    """Bugzilla. The verbs below act as their `by` would through the page; they ask no permission.

    Every change is dated by the world's clock and recorded in the bug's history.
    """

    name = "bugzilla"

    def __init__(self, now: Clock = utc_now) -> None:
        super().__init__(now)
        self.state = State(lambda: self.now())
        self.rest = Rest(self.state)
        self.add_user(NOBODY, "Nobody; OK to take it and work on it", "nobody")
        self.add_flag_type("needinfo", "bug", is_multiplicable=True, is_requesteeble=True)
        self.add_flag_type("review", "attachment", is_multiplicable=True, is_requesteeble=True)
        self.add_product("Firefox", "General")

    def routes(self) -> list[web.RouteDef]:
        """Everything below /rest."""
        return self.rest.routes()

    def error_page(self) -> web.Response:
        """HTTP 500 in Bugzilla's words."""
        return answered({"error": True, "code": 100500, "message": None, "documentation": "docs/"}, 500)

    # --- what exists ------------------------------------------------------------------------------

    def add_user(
        self, login: str, real_name: str, nick: str = "", *, groups: Sequence[str] = ("editbugs",)
    ) -> User:
        """An account. groups: "release-managers" may decide; a security group's name shows its bugs."""
        made = User(self.state.next_id("user"), login, real_name, nick or login.split("@")[0], set(groups))
        self.state.users[login] = made
        return made

    def key_for(self, login: str, key: str | None = None) -> str:
        """An API key for an account; a random one where none is given."""
        made = key or secrets.token_urlsafe(30)
        self.state.keys[made] = self.state.user(login).login
        return made

    def add_product(self, product: str, *components: str) -> None:
        """A product with components."""
        self.state.products.setdefault(product, []).extend(components)

    def add_flag_type(
        self,
        name: str,
        target: str = "attachment",
        *,
        grant_group: str | None = None,
        is_multiplicable: bool = False,
        is_requesteeble: bool = False,
    ) -> FlagType:
        """A kind of flag. target: "attachment" or "bug"."""
        made = FlagType(
            self.state.next_id("flag_type"),
            name,
            target,
            grant_group,
            is_multiplicable,
            is_requesteeble,
            sort_key=1 if grant_group else 0,
        )
        self.state.flag_types[name] = made
        return made

    def add_approval(self, train: str) -> FlagType:
        """The approval flag of a train ("beta": approval-mozilla-beta), granted by release managers."""
        return self.add_flag_type(f"approval-mozilla-{train}", grant_group=RELEASE_MANAGERS)

    def add_field(self, name: str, default: Any = "---") -> None:
        """A custom field that every bug has ("cf_status_firefox147")."""
        self.state.custom_fields[name] = default

    def bug(self, number: int) -> Bug:
        """A bug as remembered, for assertions."""
        return self.state.bugs[number]

    def attachment(self, number: int) -> Attachment:
        """An attachment as remembered, for assertions."""
        return self.state.attachments[number]

    def attachments_named(self, file_name: str) -> list[Attachment]:
        """Attachments with this file name, oldest first."""
        return [one for one in self.state.attachments.values() if one.file_name == file_name]

    # --- verbs ------------------------------------------------------------------------------------

    def file_bug(
        self,
        summary: str,
        *,
        by: str,
        number: int | None = None,
        description: str = "",
        product: str = "Firefox",
        component: str = "General",
        groups: Sequence[str] = (),
        **fields: Any,
    ) -> int:
        """A new bug's number. groups: who alone may see it. fields: by REST name (keywords, cf_status_…)."""
        body = {
            "summary": summary,
            "description": description,
            "product": product,
            "component": component,
            "groups": list(groups),
            **fields,
        }
        return new_bug(self.state, self.state.user(by).login, body, number=number).id

    def attach(
        self,
        bug: int,
        data: bytes,
        *,
        by: str,
        file_name: str = "fix.patch",
        summary: str = "fix",
        content_type: str = "text/plain",
        is_patch: bool = False,
        is_private: bool = False,
        comment: str = "",
        number: int | None = None,
    ) -> int:
        """A new attachment's number."""
        body = {
            "file_name": file_name,
            "summary": summary,
            "content_type": content_type,
            "is_patch": is_patch,
            "is_private": is_private,
            "comment": comment,
        }
        return new_attachment(
            self.state, self.bug(bug), self.state.user(by).login, body, data, number=number
        ).id

    def attach_revision(self, bug: int, revision: int, *, by: str, title: str = "", root: str = "") -> int:
        """The attachment that stands for a Phabricator revision, as the bridge makes it. root: its URL."""
        return self.attach(
            bug,
            f"{root}/D{revision}".encode(),
            by=by,
            file_name=f"phabricator-D{revision}-url.txt",
            summary=title or f"Bug {bug}",
            content_type="text/x-phabricator-request",
        )

    def set_flag(
        self,
        name: str,
        status: str,
        *,
        by: str,
        attachment: int | None = None,
        bug: int | None = None,
        requestee: str | None = None,
        comment: str = "",
    ) -> None:
        """Set, grant, deny or clear ("X") a flag on an attachment or a bug."""
        target = self.state.attachments[attachment] if attachment is not None else None
        holder = self.bug(target.bug if target else bug or 0)
        who = self.state.user(by)
        wanted = {"name": name, "status": status} | ({"requestee": requestee} if requestee else {})
        self.state.set_flags(holder, target, who, [wanted], is_trusted=True)
        if comment:
            self.state.add_comment(holder, by, comment, attachment=target, prefix="Comment on attachment")

    def request_uplift(self, attachment: int, train: str, *, by: str, form: str = "") -> None:
        """Ask for approval for a train ("beta"), with the form as a comment on the attachment."""
        self.set_flag(f"approval-mozilla-{train}", "?", by=by, attachment=attachment, comment=form)

    def comment(self, bug: int, text: str, *, by: str, is_private: bool = False) -> int:
        """A comment's id."""
        return self.state.add_comment(
            self.bug(bug), self.state.user(by).login, text, is_private=is_private
        ).id

    def change(self, bug: int, *, by: str, **values: Any) -> None:
        """Change fields by REST name; lists are given whole."""
        for name, value in values.items():
            if name in self.bug(bug).lists:
                self.state.set_list(self.bug(bug), by, name, exactly=value)
            else:
                self.state.set_value(self.bug(bug), by, name, value)

    def obsolete(self, attachment: int, *, by: str) -> None:
        """Mark an attachment obsolete."""
        one = self.attachment(attachment)
        one.is_obsolete, one.changed = True, self.now()
        self.state.record(self.bug(one.bug), by, "attachments.isobsolete", "0", "1", one.id)

    def close_doors(self) -> None:
        """Refuse everybody with 429 for an hour, as after too many requests; `reopen` ends it."""
        self.rest.close()

    def reopen(self) -> None:
        """Listen again."""
        self.rest.reopen()

    def last_change(self, bug: int) -> str:
        """When a bug last changed, as REST tells it."""
        return spelled(self.bug(bug).changed) or ""
