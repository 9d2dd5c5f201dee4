# SPDX-License-Identifier: MPL-2.0
"""The Conduit methods of a fake Phabricator, with the real one's errors, paging and silences."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from shipit.world.phabricator_state import STATUSES, Diff, Done, Project, Repository, Revision, User, phid

Params = dict[str, Any]

REVISION_CONSTRAINTS = (
    "ids",
    "phids",
    "statuses",
    "authorPHIDs",
    "repositoryPHIDs",
    "modifiedStart",
    "modifiedEnd",
    "createdStart",
    "createdEnd",
    "bugzilla.bug-id",
    "query",
)
DIFF_CONSTRAINTS = ("ids", "phids", "revisionPHIDs", "authorPHIDs", "repositoryPHIDs")
OTHER_CONSTRAINTS = ("ids", "phids", "usernames", "slugs", "shortNames", "callsigns", "members")
SEARCH_PARAMETERS = {"queryKey", "constraints", "attachments", "order", "before", "after", "limit"}
ATTACHMENTS = {"reviewers", "subscribers", "projects", "commits", "uris", "members", "ancestors", "watchers"}
CORE, CALL = "ERR-CONDUIT-CORE", "ERR-CONDUIT-CALL"
MOVES = {
    "accept": "accepted",
    "reject": "needs-revision",
    "abandon": "abandoned",
    "reclaim": "needs-review",
    "request-review": "needs-review",
    "plan-changes": "changes-planned",
    "close": "published",
}
RESULT = {"accept": "accepted", "reject": "rejected"}


class Says(Exception):
    """A Conduit error: HTTP 200 with a code."""

    def __init__(self, code: str, info: str) -> None:
        super().__init__(info)
        self.code = code
        self.info = info


@dataclass(frozen=True)
class Memory:
    """What there is, by name, number or token; shared with the verbs that change it."""

    users: dict[str, User]
    tokens: dict[str, str]
    repositories: dict[str, Repository]
    projects: dict[str, Project]
    revisions: dict[int, Revision]
    diffs: dict[int, Diff]


class Conduit:
    """Answers calls out of a memory. has_bugzilla: with the fields of Mozilla's extension."""

    def __init__(
        self, memory: Memory, now: Callable[[], int], url: Callable[[], str], *, has_bugzilla: bool
    ) -> None:
        self._memory = memory
        self._now = now
        self._url = url
        self._has_bugzilla = has_bugzilla
        self._last = 0
        self.on_edit: Callable[[Revision, User], None] = lambda revision, viewer: None
        self.methods: dict[str, Callable[[Params, User], Any]] = {
            "user.whoami": self._whoami,
            "user.search": self._user_search,
            "project.search": self._project_search,
            "diffusion.repository.search": self._repository_search,
            "differential.revision.search": self._revision_search,
            "differential.diff.search": self._diff_search,
            "differential.getrawdiff": self._raw_diff,
            "differential.querydiffs": self._query_diffs,
            "edge.search": self._edge_search,
            "differential.revision.edit": self._edit,
            "transaction.search": self._transaction_search,
        }

    async def answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        try:
            result = self._called(method, request, await self._params(request, method))
        except Says as error:
            return web.json_response({"result": None, "error_code": error.code, "error_info": error.info})
        return web.json_response({"result": result, "error_code": None, "error_info": None})

    async def _params(self, request: web.Request, method: str) -> Params:
        if request.content_type == "application/json":
            raise Says(CORE, "Use form-encoded data: a JSON body is not supported.")
        form = dict(await request.post()) if request.method == "POST" else dict(request.query)
        if "params" not in form:
            return {name: value for name, value in form.items() if name not in ("output", "__form__")}
        try:
            params = json.loads(str(form["params"]))
        except ValueError:
            params = None
        if not isinstance(params, dict):
            raise Says(CORE, f"Invalid parameter information was passed to method '{method}'.")
        return params

    def _called(self, method: str, request: web.Request, params: Params) -> Any:
        if method == "conduit.ping":
            return "fake"
        auth = params.pop("__conduit__", None)
        token = auth.get("token") if isinstance(auth, dict) else params.pop("api.token", None)
        if method not in self.methods:
            raise Says(CALL, f'Conduit API method "{method}" does not exist.')
        return self.methods[method](params, self._user(token))

    def _user(self, token: Any) -> User:
        if not token:
            raise Says("ERR-INVALID-SESSION", "Session key is not present.")
        name = self._memory.tokens.get(str(token))
        if name is None:
            # The real one quotes the token, so this one does: whoever logs these words has a leak.
            raise Says("ERR-INVALID-AUTH", f'API token "{token}" is not valid.')
        return self._memory.users[name]

    def _sees(self, viewer: User, revision: Revision) -> bool:
        return (
            isinstance(revision.view, str) or viewer.name in revision.view or revision.author == viewer.phid
        )

    def _of_diff(self, diff: Diff) -> Revision | None:
        return next((one for one in self._memory.revisions.values() if one.phid == diff.revision), None)

    def _whoami(self, params: Params, viewer: User) -> Params:
        return {
            "phid": viewer.phid,
            "userName": viewer.name,
            "realName": viewer.real_name,
            "image": "",
            "uri": f"{self._url()}/p/{viewer.name}/",
            "roles": viewer.roles,
            "primaryEmail": viewer.email or f"{viewer.name}@example.invalid",
        }

    def _user_search(self, params: Params, viewer: User) -> Params:
        wanted = _constraints(params, OTHER_CONSTRAINTS)
        found = [
            one
            for one in self._memory.users.values()
            if _matches(wanted, phids=one.phid, ids=one.id, usernames=one.name)
        ]
        return _page(params, found, lambda one: one.told())

    def _project_search(self, params: Params, viewer: User) -> Params:
        wanted = _constraints(params, OTHER_CONSTRAINTS)
        found = [
            one
            for one in self._memory.projects.values()
            if _matches(wanted, phids=one.phid, ids=one.id, slugs=one.slug)
        ]
        slugs = {"slugMap": {one.slug: {"slug": one.slug, "projectPHID": one.phid} for one in found}}
        return _page(params, found, lambda one: one.told()) | {"maps": slugs}

    def _repository_search(self, params: Params, viewer: User) -> Params:
        wanted = _constraints(params, OTHER_CONSTRAINTS)
        found = [
            one
            for one in self._memory.repositories.values()
            if _matches(
                wanted,
                phids=one.phid,
                ids=one.id,
                shortNames=one.short_name,
                callsigns=one.short_name.replace("-", "").upper(),
            )
        ]
        return _page(params, found, lambda one: one.told())

    def _revision_search(self, params: Params, viewer: User) -> Params:
        wanted = _constraints(params, REVISION_CONSTRAINTS)
        since, until = wanted.pop("modifiedStart", 0), wanted.pop("modifiedEnd", 1 << 60)
        statuses = set(wanted.pop("statuses", ()))
        if "open()" in statuses:
            statuses |= {name for name, (_, is_closed, _) in STATUSES.items() if not is_closed}
        found = [
            one
            for one in self._memory.revisions.values()
            if self._sees(viewer, one)
            and since <= one.changed <= until
            and (not statuses or one.status in statuses)
            and _matches(
                wanted,
                phids=one.phid,
                ids=one.id,
                authorPHIDs=one.author,
                repositoryPHIDs=one.repository,
                **{"bugzilla.bug-id": str(one.bug)},
            )
        ]
        attachments = params.get("attachments") or {}
        return _page(
            params, found, lambda one: one.told(self._url(), attachments, has_bugzilla=self._has_bugzilla)
        )

    def _diff_search(self, params: Params, viewer: User) -> Params:
        wanted = _constraints(params, DIFF_CONSTRAINTS)
        holders = {one.phid: one for one in self._memory.revisions.values()}
        with_commits = bool((params.get("attachments") or {}).get("commits"))
        found = [
            one
            for one in self._memory.diffs.values()
            if (one.revision is None or self._sees(viewer, holders[one.revision]))
            and _matches(
                wanted,
                phids=one.phid,
                ids=one.id,
                revisionPHIDs=one.revision,
                authorPHIDs=one.author,
                repositoryPHIDs=one.repository,
            )
        ]
        return _page(
            params,
            found,
            lambda one: one.told(holders[one.revision].policy if one.revision else "users", with_commits),
        )

    def _raw_diff(self, params: Params, viewer: User) -> str:
        diff = self._memory.diffs.get(_number(params.get("diffID")))
        if diff is None:
            raise Says("ERR_NOT_FOUND", "Diff not found.")
        holder = self._of_diff(diff)
        if holder is not None and not self._sees(viewer, holder):
            raise Says(CORE, "[You Shall Not Pass: Restricted Differential Diff] (Can View)")
        return diff.text + "\n"

    def _query_diffs(self, params: Params, viewer: User) -> Params:
        ids = {_number(one) for one in params.get("ids", [])}
        holders = {_number(one) for one in params.get("revisionIDs", [])}
        found: Params = {}
        for one in self._memory.diffs.values():
            holder = self._of_diff(one)
            is_wanted = one.id in ids or (holder is not None and holder.id in holders)
            if is_wanted and (holder is None or self._sees(viewer, holder)):
                found[str(one.id)] = {
                    "id": str(one.id),
                    "revisionID": str(holder.id) if holder else None,
                    "dateCreated": str(one.created),
                    "dateModified": str(one.created),
                    "sourceControlBaseRevision": one.base,
                    "sourceControlPath": "/",
                    "sourceControlSystem": "git",
                    "branch": "default",
                    "bookmark": "",
                    "creationMethod": "moz-phab",
                    "description": None,
                    "unitStatus": "0",
                    "lintStatus": "0",
                    "changes": [],
                    "properties": {
                        "local:commits": {each["identifier"]: _local(each) for each in one.commits}
                    },
                    "authorName": "",
                    "authorEmail": "",
                }
        return found

    def _edge_search(self, params: Params, viewer: User) -> Params:
        sources = params.get("sourcePHIDs")
        if not isinstance(sources, list) or not sources:
            raise Says("ERR-ARRAY-SOURCEPHIDS", 'Must pass an array of PHIDs for parameter "sourcePHIDs".')
        kinds = params.get("types") or []
        if not kinds or set(kinds) - {"revision.parent", "revision.child"}:
            raise Says("ERR-BAD-TYPES", 'Invalid edge type(s) included for parameter "types".')
        edges = [
            (kind, source, parent) if kind == "revision.parent" else (kind, parent, source)
            for kind in kinds
            for source, parents in ((one.phid, one.parents) for one in self._memory.revisions.values())
            for parent in parents
        ]
        found = [
            {"sourcePHID": source, "edgeType": kind, "destinationPHID": target}
            for kind, source, target in edges
            if source in sources
        ]
        # Edges have no ids: the cursor counts them.
        limit, start = _limit(params), _number(params.get("after")) if params.get("after") else 0
        following = start + limit if start + limit < len(found) else None
        cursor = {"limit": limit, "after": None if following is None else str(following), "before": None}
        return {"data": found[start : start + limit], "cursor": cursor}

    def _edit(self, params: Params, viewer: User) -> Params:
        transactions = params.get("transactions")
        if not isinstance(transactions, list):
            raise Says(CORE, 'Parameter "transactions" is not a list of transactions.')
        ident = str(params.get("objectIdentifier", ""))
        named = {
            name: one
            for one in self._memory.revisions.values()
            for name in (str(one.id), f"D{one.id}", one.phid)
        }
        revision = named.get(ident)
        if revision is None or not self._sees(viewer, revision):
            raise Says(CORE, f'Monogram "{params.get("objectIdentifier")}" does not identify a valid object.')
        self._check(revision, viewer, transactions)
        made = [self._transact(revision, viewer, str(one["type"]), one.get("value")) for one in transactions]
        revision.changed = self._now()
        self.on_edit(revision, viewer)
        return {
            "object": {"id": revision.id, "phid": revision.phid},
            "transactions": [{"phid": phid("XACT-DREV", one.id)} for one in made],
        }

    def _check(self, revision: Revision, viewer: User, transactions: Sequence[Params]) -> None:
        """Refuse the whole edit in Phabricator's words: all of it happens, or nothing."""
        problems = []
        for place, one in enumerate(transactions):
            kind = str(one.get("type"))
            if kind not in (*MOVES, "comment", "title", *(("uplift.request",) if self._has_bugzilla else ())):
                raise Says(CORE, f'Transaction with key "{place}" has invalid type "{kind}".')
            if problem := self._problem(revision, viewer, kind):
                problems.append(problem)
        if problems:
            raise Says(CORE, "Validation errors:\n" + "\n".join(f"  - {one}" for one in problems))

    def _problem(self, revision: Revision, viewer: User, kind: str) -> str | None:
        is_author = viewer.phid == revision.author
        if kind in ("accept", "reject"):
            verb = "accept" if kind == "accept" else "request changes to"
            if is_author:
                return (
                    f"You can not {verb} this revision because you are the revision author. "
                    "You can only accept revisions you do not own."
                )
            if STATUSES[revision.status][1]:
                return (
                    f"You can not {verb} this revision because it has already been closed. "
                    "Only open revisions can be accepted."
                )
            mine = {who for who, status in revision.reviewers.items() if status == RESULT[kind]}
            if viewer.phid in mine and revision.status == MOVES[kind]:
                did = "accepted it" if kind == "accept" else "requested changes"
                return f"You can not {verb} this revision because you have already {did}."
        if kind in ("plan-changes", "abandon", "reclaim", "request-review") and not is_author:
            return f"You can not {kind} this revision because you are not the revision author."
        return None

    def _transact(self, revision: Revision, viewer: User, kind: str, value: Any) -> Done:
        if kind in ("accept", "reject"):
            self._review(revision, viewer, RESULT[kind])
        elif kind in MOVES:
            revision.status = MOVES[kind]
        elif kind == "comment":
            revision.comments.append((viewer.name, str(value)))
        elif kind == "title":
            revision.title = str(value)
        else:
            revision.uplift_request = str(value)
        self._last += 1
        name = "request-changes" if kind == "reject" else kind
        done = Done(self._last, name, viewer.phid, self._now(), str(value) if kind == "comment" else "")
        revision.done.append(done)
        return done

    def _review(self, revision: Revision, viewer: User, result: str) -> None:
        """A person's judgement counts for them and for the groups they are in that review it."""
        groups = {one.phid for one in self._memory.projects.values() if viewer.name in one.members}
        for who in (viewer.phid, *(groups & revision.reviewers.keys())):
            revision.reviewers[who] = result
            revision.actors[who] = viewer.phid
        states = set(revision.reviewers.values())
        if "rejected" in states:
            revision.status = "needs-revision"
        elif "blocking" not in states:
            revision.status = "accepted"

    def _transaction_search(self, params: Params, viewer: User) -> Params:
        ident = str(params.get("objectIdentifier", ""))
        found = next(
            (
                one
                for one in self._memory.revisions.values()
                if ident in (f"D{one.id}", one.phid) and self._sees(viewer, one)
            ),
            None,
        )
        if found is None:
            raise Says("ERR-INVALID-OBJECT-PHID", 'Specified "objectIdentifier" does not exist.')
        limit = _limit(params)
        rows = sorted(found.done, key=lambda one: -one.id)
        after = _number(params.get("after")) if params.get("after") else None
        rows = [one for one in rows if after is None or one.id < after]
        more = str(rows[limit - 1].id) if len(rows) > limit else None
        return {
            "data": [one.told(found.phid) for one in rows[:limit]],
            "cursor": {"limit": limit, "after": more, "before": None},
        }


def _local(commit: Params) -> Params:
    """A commit of a diff as its local:commits property tells it."""
    author = commit.get("author") or {}
    message = str(commit.get("message", ""))
    return {
        "author": author.get("name", ""),
        "authorEmail": author.get("email", ""),
        "time": author.get("epoch", 0),
        "summary": message.split("\n", 1)[0],
        "message": message,
        "commit": commit["identifier"],
        "rev": commit["identifier"],
        "parents": commit.get("parents", []),
        "branch": "default",
    }


def _number(value: Any) -> int:
    return int(value) if str(value).isdigit() else -1


def _limit(params: Params) -> int:
    given = params.get("limit", 100)
    limit = _number(given)
    if not 1 <= limit <= 100:
        raise Says(
            "ERR-INVALID-PAGE-SIZE",
            f"Maximum page size for Conduit API method calls is 100, but this call specified {given}.",
        )
    return limit


def _constraints(params: Params, allowed: Sequence[str]) -> Params:
    unknown = params.keys() - SEARCH_PARAMETERS
    if unknown:
        raise Says(CALL, f"Unrecognized parameters: {', '.join(sorted(unknown))}.")
    attachments = params.get("attachments") or {}
    if isinstance(attachments, dict) and attachments.keys() - ATTACHMENTS:
        raise Says("ERR-INVALID-ATTACHMENT", 'Parameter "attachments" includes an unknown attachment.')
    constraints = params.get("constraints") or {}
    if not isinstance(constraints, dict):
        raise Says("ERR-INVALID-CONSTRAINTS-FORMAT", 'Parameter "constraints" must be a map of constraints.')
    for name, value in constraints.items():
        if name not in allowed:
            raise Says("ERR-INVALID-CONSTRAINT", 'Parameter "constraints" includes an invalid key.')
        if (name == "ids" or name.endswith(("PHIDs", "phids"))) and not isinstance(value, list):
            raise Says(CORE, f'Error while reading "{name}": Expected a list, but value is not a list.')
        if name == "ids" and not all(isinstance(one, int) for one in value):
            raise Says(CORE, 'Error while reading "ids": Expected a list of integers.')
    return dict(constraints)


def _matches(wanted: Params, **have: Any) -> bool:
    return all(have.get(name) in values for name, values in wanted.items() if name in have)


def _page(params: Params, found: list[Any], told: Callable[[Any], Params]) -> Params:
    limit, order = _limit(params), params.get("order")
    if order not in (None, "newest", "oldest", "updated", "relevance") and not isinstance(order, list):
        raise Says(CORE, f'Query has no builtin order "{order}".')
    found.sort(key=lambda one: one.id, reverse=order != "oldest")
    if order == "updated":
        found.sort(key=lambda one: one.changed, reverse=True)
    after = params.get("after")
    if after is not None:
        if not str(after).isdigit():
            raise Says(CORE, "Expected a numeric scalar or null for %Ld conversion.")
        at = next((place for place, one in enumerate(found) if one.id == int(after)), None)
        if at is None:
            raise Says(CORE, f'Cursor "{after}" does not identify a valid object.')
        found = found[at + 1 :]
    page = found[:limit]
    more = str(page[-1].id) if page and len(found) > limit else None
    return {
        "data": [told(one) for one in page],
        "maps": {},
        "query": {"queryKey": params.get("queryKey")},
        "cursor": {"limit": limit, "after": more, "before": None, "order": order},
    }
