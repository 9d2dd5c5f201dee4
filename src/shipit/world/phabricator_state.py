# SPDX-License-Identifier: MPL-2.0
"""What a fake Phabricator remembers: users, repositories, projects, revisions, diffs and their stacks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

STATUSES = {
    "needs-review": ("Needs Review", False, "magenta"),
    "needs-revision": ("Needs Revision", False, "red"),
    "changes-planned": ("Changes Planned", False, "red"),
    "accepted": ("Accepted", False, "green"),
    "published": ("Closed", True, "cyan"),
    "abandoned": ("Abandoned", True, None),
    "draft": ("Draft", False, None),
}


def phid(kind: str, number: int | str) -> str:
    """A PHID as Phabricator shapes them: twenty letters after its kind."""
    return f"PHID-{kind}-{hashlib.sha256(f'{kind}{number}'.encode()).hexdigest()[:20]}"


@dataclass
class User:
    """An account."""

    id: int
    phid: str
    name: str
    real_name: str
    roles: list[str]
    created: int
    email: str = ""

    def told(self) -> dict[str, Any]:
        """As user.search tells it."""
        return {
            "id": self.id,
            "type": "USER",
            "phid": self.phid,
            "fields": {
                "username": self.name,
                "realName": self.real_name,
                "roles": self.roles,
                "dateCreated": self.created,
                "dateModified": self.created,
                "policy": {"view": "public", "edit": "no-one"},
            },
            "attachments": {},
        }


@dataclass
class Repository:
    """A repository, named by its short name in revisions of trains."""

    id: int
    phid: str
    short_name: str
    vcs: str
    created: int
    root: str = ""

    def told(self) -> dict[str, Any]:
        """As diffusion.repository.search tells it."""
        return {
            "id": self.id,
            "type": "REPO",
            "phid": self.phid,
            "fields": {
                "name": self.short_name,
                "vcs": self.vcs,
                "callsign": self.short_name.replace("-", "").upper(),
                "shortName": self.short_name,
                "status": "active",
                "isHosted": False,
                "isImporting": False,
                "encoding": "UTF-8",
                "staging": {"supported": False, "prefix": "phabricator", "uri": None},
                "browseUri": f"{self.root}/source/{self.short_name}/",
                "almanacServicePHID": None,
                "refRules": {"fetchRules": [], "trackRules": [], "permanentRefRules": []},
                "defaultBranch": "default" if self.vcs == "hg" else "main",
                "description": {"raw": ""},
                "spacePHID": None,
                "dateCreated": self.created,
                "dateModified": self.created,
                "policy": {"view": "public", "edit": "admin", "diffusion.push": "users"},
            },
            "attachments": {},
        }


@dataclass
class Project:
    """A project, such as the group of release managers."""

    id: int
    phid: str
    slug: str
    name: str
    members: list[str]
    created: int

    def told(self) -> dict[str, Any]:
        """As project.search tells it."""
        return {
            "id": self.id,
            "type": "PROJ",
            "phid": self.phid,
            "fields": {
                "name": self.name,
                "slug": self.slug,
                "dateCreated": self.created,
                "dateModified": self.created,
                "policy": {"view": "public", "edit": "admin", "join": "admin"},
            },
            "attachments": {},
        }


@dataclass
class Diff:
    """A diff. base: the commit it was made on, None when nobody recorded it."""

    id: int
    phid: str
    author: str
    repository: str | None
    text: str
    base: str | None
    created: int
    revision: str | None = None
    commits: list[dict[str, Any]] = field(default_factory=list)

    def told(self, view: str, with_commits: bool) -> dict[str, Any]:
        """As differential.diff.search tells it."""
        refs: list[dict[str, str]] = []
        if self.base is not None:
            refs = [{"type": "branch", "name": "default"}, {"type": "base", "identifier": self.base}]
        return {
            "id": self.id,
            "type": "DIFF",
            "phid": self.phid,
            "fields": {
                "revisionPHID": self.revision,
                "authorPHID": self.author,
                "repositoryPHID": self.repository,
                "refs": refs,
                "dateCreated": self.created,
                "dateModified": self.created,
                "policy": {"view": view},
            },
            "attachments": {"commits": {"commits": self.commits}} if with_commits else {},
        }


@dataclass
class Done:
    """One transaction of a revision. kind: as transaction.search calls it."""

    id: int
    kind: str
    author: str
    at: int
    text: str = ""

    def told(self, revision: str) -> dict[str, Any]:
        """As transaction.search tells it."""
        comments = []
        if self.kind == "comment":
            comments = [
                {
                    "id": self.id,
                    "phid": phid("XCMT", self.id),
                    "version": 1,
                    "authorPHID": self.author,
                    "dateCreated": self.at,
                    "dateModified": self.at,
                    "removed": False,
                    "content": {"raw": self.text},
                }
            ]
        return {
            "id": self.id,
            "phid": phid("XACT-DREV", self.id),
            "type": self.kind,
            "authorPHID": self.author,
            "objectPHID": revision,
            "dateCreated": self.at,
            "dateModified": self.at,
            "groupID": phid("", self.at)[-20:],
            "comments": comments,
            "fields": {},
        }


@dataclass
class Revision:
    """A revision. view: "public", "users" or the user names that alone may see it."""

    id: int
    phid: str
    title: str
    author: str
    repository: str | None
    status: str
    created: int
    changed: int
    view: str | frozenset[str] = "public"
    bug: int | None = None
    summary: str = ""
    uplift_request: str | None = None
    diffs: list[Diff] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    reviewers: dict[str, str] = field(default_factory=dict)
    actors: dict[str, str] = field(default_factory=dict)
    comments: list[tuple[str, str]] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)

    @property
    def policy(self) -> str:
        """The view policy as told: a word, or the id of a policy made for these people."""
        return self.view if isinstance(self.view, str) else phid("PLCY", self.id)

    def told(self, root: str, attachments: dict[str, Any], *, has_bugzilla: bool) -> dict[str, Any]:
        """As differential.revision.search tells it. has_bugzilla: with the fields of Mozilla's extension."""
        name, is_closed, colour = STATUSES[self.status]
        fields: dict[str, Any] = {
            "title": self.title,
            "uri": f"{root}/D{self.id}",
            "authorPHID": self.author,
            "status": {"value": self.status, "name": name, "closed": is_closed, "color.ansi": colour},
            "repositoryPHID": self.repository,
            "diffPHID": self.diffs[-1].phid if self.diffs else None,
            "summary": self.summary,
            "testPlan": "",
            "isDraft": self.status == "draft",
            "holdAsDraft": False,
            "dateCreated": self.created,
            "dateModified": self.changed,
            "policy": {"view": self.policy, "edit": "users"},
        }
        if has_bugzilla:
            fields["bugzilla.bug-id"] = None if self.bug is None else str(self.bug)
            fields["uplift.request"] = self.uplift_request
        return {
            "id": self.id,
            "type": "DREV",
            "phid": self.phid,
            "fields": fields,
            "attachments": self._attached(attachments),
        }

    def _attached(self, wanted: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if wanted.get("reviewers"):
            told["reviewers"] = {
                "reviewers": [
                    {
                        "reviewerPHID": who,
                        "status": status,
                        "isBlocking": status == "blocking",
                        "actorPHID": self.actors.get(who),
                    }
                    for who, status in self.reviewers.items()
                ]
            }
        if wanted.get("subscribers"):
            told["subscribers"] = {"subscriberPHIDs": [], "subscriberCount": 0, "viewerIsSubscribed": False}
        if wanted.get("projects"):
            told["projects"] = {"projectPHIDs": []}
        return told
