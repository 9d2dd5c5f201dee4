# SPDX-License-Identifier: MPL-2.0
"""A fake Phabricator that remembers: verbs to live in it, and the Conduit methods the real clients call."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl

from aiohttp import web

from shipit.world.looking import review_pages
from shipit.world.phabricator_conduit import Conduit, Memory, Params
from shipit.world.phabricator_state import STATUSES, Diff, Project, Repository, Revision, User, phid
from shipit.world.server import Clock, Fake, utc_now


class FakePhabricator(Fake):
    """Phabricator. has_bugzilla: with the fields of Mozilla's extension, which a plain Phorge has not."""

    name = "phabricator"

    def __init__(self, now: Clock = utc_now, *, has_bugzilla: bool = True) -> None:
        super().__init__(now)
        self.users: dict[str, User] = {}
        self.tokens: dict[str, str] = {}
        self.repositories: dict[str, Repository] = {}
        self.projects: dict[str, Project] = {}
        self.revisions: dict[int, Revision] = {}
        self.diffs: dict[int, Diff] = {}
        self.conduit = Conduit(
            Memory(self.users, self.tokens, self.repositories, self.projects, self.revisions, self.diffs),
            self._epoch,
            lambda: self.url,
            has_bugzilla=has_bugzilla,
        )

    def routes(self) -> list[web.RouteDef]:
        """Every Conduit method has one path; and pages for people."""
        return [web.route("*", "/api/{method}", self.conduit.answer), *review_pages(self)]

    def described(self, request: web.Request) -> str:
        """The method and its parameters, without the token."""
        params = dict(parse_qsl(str(getattr(request, "_read_bytes", b"") or b"", "latin-1")))
        try:
            asked = json.loads(params.get("params", "{}"))
            asked.pop("__conduit__", None)
        except (ValueError, AttributeError):
            asked = {}
        return f"{request.method} {request.path} {json.dumps(asked)}"

    # --- verbs ------------------------------------------------------------------------------------

    def add_user(self, name: str, real_name: str = "", *, token: str | None = None, email: str = "") -> User:
        """An account, with a token where one is given. email: by which Bugzilla knows the same person."""
        number = len(self.users) + 1
        made = User(
            number,
            phid("USER", number),
            name,
            real_name or name,
            ["verified", "approved", "activated"],
            self._epoch(),
            email,
        )
        self.users[name] = made
        if token is not None:
            self.tokens[token] = name
        return made

    def token_for(self, name: str) -> str:
        """A fresh token of the usual shape for an account."""
        made = "api-" + secrets.token_hex(14)
        self.tokens[made] = self.users[name].name
        return made

    def add_repository(self, short_name: str, vcs: str = "git") -> Repository:
        """A repository ("firefox-beta")."""
        number = len(self.repositories) + 1
        made = Repository(number, phid("REPO", number), short_name, vcs, self._epoch(), self.url)
        self.repositories[short_name] = made
        return made

    def add_project(self, slug: str, members: Iterable[str] = ()) -> Project:
        """A project with members by user name."""
        number = len(self.projects) + 1
        made = Project(number, phid("PROJ", number), slug, slug, list(members), self._epoch())
        self.projects[slug] = made
        return made

    def revise(
        self,
        title: str,
        diff: str,
        *,
        by: str,
        repository: str | None = None,
        base: str | None = None,
        bug: int | None = None,
        parents: Sequence[int] = (),
        status: str = "accepted",
        view: str | frozenset[str] = "public",
        number: int | None = None,
        uplift_request: str | None = None,
        blocking: Sequence[str] = (),
    ) -> int:
        """A new revision's id. view: "public", "users" or the only user names that may see it.

        blocking: slugs of the projects that must accept it.
        """
        ident = number if number is not None else max(self.revisions, default=0) + 1
        made = Revision(
            id=ident,
            phid=phid("DREV", ident),
            title=title,
            author=self.users[by].phid,
            repository=self.repositories[repository].phid if repository else None,
            status=status,
            created=self._epoch(),
            changed=self._epoch(),
            view=view,
            bug=bug,
            uplift_request=uplift_request,
            parents=[self.revisions[parent].phid for parent in parents],
            reviewers={self.projects[slug].phid: "blocking" for slug in blocking},
        )
        self.revisions[ident] = made
        self.update(ident, diff, base=base)
        return ident

    def update(
        self,
        revision: int,
        diff: str,
        *,
        base: str | None = None,
        commits: Sequence[Params] = (),
        number: int | None = None,
    ) -> int:
        """A new diff of a revision; its id."""
        holder = self.revisions[revision]
        ident = number if number is not None else max(self.diffs, default=0) + 1
        made = Diff(
            ident,
            phid("DIFF", ident),
            holder.author,
            holder.repository,
            diff,
            base,
            self._epoch(),
            holder.phid,
            list(commits),
        )
        self.diffs[ident] = made
        holder.diffs.append(made)
        holder.changed = self._epoch()
        return ident

    def set_status(self, revision: int, status: str) -> None:
        """Change a revision's status ("accepted", "abandoned", …)."""
        assert status in STATUSES
        self.revisions[revision].status = status
        self.revisions[revision].changed = self._epoch()

    def _epoch(self) -> int:
        return int(self.now().timestamp())
