# SPDX-License-Identifier: MPL-2.0
"""Phabricator by Conduit: revisions with their newest diff, their stack and its raw diffs, in few calls.

A failing Phabricator raises; a revision that is hidden from us, or whose parent is, is named with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp
import msgspec

from shipit.clients.conduit import SERVICE, Conduit, Said, open_door
from shipit.clients.http import CallCounter, Clock, Door, utc_now
from shipit.errors import Unavailable
from shipit.uplift.types import Revision

PAGE = 100
"""The most Conduit gives, and takes, at once."""
MAX_STACK = 60
MAX_DIFF = 32 * 1024 * 1024
OPEN_VIEWS = frozenset({"public", "users"})
"""Policies under which anybody may see a revision, with an account that anybody may get."""

_NUMBER = re.compile(r"[0-9]{1,9}")
_BUG = re.compile(r"^\s*(?:\[[^\]]*\]\s*)*bug\s+([0-9]{1,9})\b", re.IGNORECASE)
T = TypeVar("T")


class Revisions(msgspec.Struct, frozen=True):
    """Revisions by id, and of the others why one, or what it is stacked on, cannot be read."""

    found: dict[int, Revision]
    unreadable: dict[int, str]


class _Status(msgspec.Struct):
    value: str


class _Policy(msgspec.Struct):
    view: str = ""


class _RevisionFields(msgspec.Struct, rename={"bug": "bugzilla.bug-id", "uplift": "uplift.request"}):
    title: str
    status: _Status
    authorPHID: str | None = None
    repositoryPHID: str | None = None
    diffPHID: str | None = None
    dateModified: int | None = None
    policy: _Policy = msgspec.field(default_factory=_Policy)
    bug: str | int | None = None
    uplift: Any = None


class _Revision(msgspec.Struct):
    id: int
    phid: str
    fields: _RevisionFields


class _Ref(msgspec.Struct):
    type: str
    identifier: str | None = None


class _DiffFields(msgspec.Struct):
    refs: list[_Ref] = []


class _Diff(msgspec.Struct):
    id: int
    phid: str
    fields: _DiffFields
    attachments: Any = None


class _Edge(msgspec.Struct):
    sourcePHID: str
    destinationPHID: str


class _RepositoryFields(msgspec.Struct):
    name: str = ""
    shortName: str | None = None


class _Repository(msgspec.Struct):
    phid: str
    fields: _RepositoryFields


class _UserFields(msgspec.Struct):
    username: str


class _User(msgspec.Struct):
    phid: str
    fields: _UserFields


class Phabricator:
    """A Phabricator or Phorge at `url`. The token goes into request bodies only."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        token: str | None = None,
        *,
        calls: CallCounter | None = None,
        timeout: float = 60.0,
        now: Clock = utc_now,
        door: Door | None = None,
    ) -> None:
        """door: where several ask with tokens of their own, the one they share."""
        self._conduit = Conduit(door or open_door(session, calls=calls, timeout=timeout, now=now), url, token)
        # Neither ever changes its name while we run, and every revision names both.
        self._repositories: dict[str, str | None] = {}
        self._users: dict[str, str | None] = {}

    async def whoami(self) -> str:
        """The user name our token stands for. Raises Unavailable when it is not taken."""
        answer = await self._conduit.asked("user.whoami", {})
        return str(answer.get("userName", "")) if isinstance(answer, dict) else ""

    async def revisions(self, ids: Iterable[int], *, with_parents: bool = True) -> Revisions:
        """The revisions with these ids and, with parents, everything they are stacked on.

        A parent that is hidden from us is nothing we could name. Its child is `unreadable` and not found,
        since without what it stands on a trial of it would be wrong; not so once it is published.
        """
        asked = sorted(set(ids))
        raw = await self._by("ids", asked)
        unreadable = {
            one: "no such revision, or hidden from us"
            for one in asked
            if one not in {r.id for r in raw.values()}
        }
        edges: dict[str, list[str]] = {}
        if with_parents:
            lonely = [raw[phid] for phid in await self._follow(raw, edges)]
            unreadable |= {
                one.id: "a revision it is stacked on is hidden from us"
                for one in lonely
                if one.fields.status.value != "published"
            }
        diffs = await self._diffs([one.fields.diffPHID for one in raw.values() if one.fields.diffPHID])
        await self._learn_repositories({one.fields.repositoryPHID for one in raw.values()})
        await self._learn_users({one.fields.authorPHID for one in raw.values()})
        found = {
            one.id: self._revision(
                one, diffs, [raw[parent].id for parent in edges.get(phid, ()) if parent in raw]
            )
            for phid, one in raw.items()
            if one.id not in unreadable
        }
        return Revisions(found, unreadable)

    async def changed(self, ids: Iterable[int]) -> dict[int, datetime]:
        """When each revision last changed (a new diff changes it); those hidden or unknown are left out."""
        raw = await self._by("ids", sorted(set(ids)))
        return {one.id: when for one in raw.values() if (when := _time(one.fields.dateModified))}

    async def raw_diff(self, diff: int) -> bytes | None:
        """A diff as git-style text; None when there is none we may see. Raises Unavailable above 32 MiB."""
        try:
            answer = await self._conduit.said("differential.getrawdiff", {"diffID": diff}, limit=2 * MAX_DIFF)
        except Said as said:
            if said.code == "ERR_NOT_FOUND" or "You Shall Not Pass" in said.detail:
                return None
            raise said.unavailable() from said
        if not isinstance(answer, str):
            raise Unavailable(SERVICE, f"answered for diff {diff} with something else than a diff")
        return answer.encode("utf-8", "replace")

    # --- putting revisions together ---------------------------------------------------------------

    async def _follow(self, raw: dict[str, _Revision], edges: dict[str, list[str]]) -> set[str]:
        """Fill `raw` with all ancestors and `edges` with who stands on whom; who has a hidden parent."""
        lonely: set[str] = set()
        front = list(raw)
        for _ in range(MAX_STACK):
            if not front:
                return lonely
            found = await self._parents(front)
            edges |= found
            unknown = sorted({parent for parents in found.values() for parent in parents} - raw.keys())
            fresh = await self._by("phids", unknown)
            raw |= fresh
            lonely |= {child for child, parents in found.items() if not raw.keys() >= set(parents)}
            front = list(fresh)
        raise Unavailable(SERVICE, f"a stack is higher than {MAX_STACK} revisions")

    def _revision(self, one: _Revision, diffs: Mapping[str, _Diff], parents: Sequence[int]) -> Revision:
        fields = one.fields
        diff = diffs.get(fields.diffPHID or "")
        return Revision(
            id=one.id,
            phid=one.phid,
            title=fields.title,
            status=fields.status.value,
            repository=self._repositories.get(fields.repositoryPHID or ""),
            bug=_bug(fields),
            author=self._users.get(fields.authorPHID or ""),
            diff=diff.id if diff else None,
            base=_base(diff) if diff else None,
            parents=tuple(dict.fromkeys(parents)),
            is_public=fields.policy.view in OPEN_VIEWS,
            uplift_request=_uplift(fields.uplift),
            changed=_time(fields.dateModified),
        )

    async def _by(self, constraint: str, values: Sequence[int] | Sequence[str]) -> dict[str, _Revision]:
        found = await self._search("differential.revision.search", constraint, values, _Revision)
        return {one.phid: one for one in found}

    async def _diffs(self, phids: Sequence[str]) -> dict[str, _Diff]:
        found = await self._search(
            "differential.diff.search", "phids", sorted(set(phids)), _Diff, attachments={"commits": True}
        )
        return {one.phid: one for one in found}

    async def _parents(self, phids: Sequence[str]) -> dict[str, list[str]]:
        parents: dict[str, list[str]] = {}
        for start in range(0, len(phids), PAGE):
            chunk = phids[start : start + PAGE]
            question = {"types": ["revision.parent"], "sourcePHIDs": list(chunk), "limit": PAGE}
            for edge in await self._pages("edge.search", question, _Edge):
                parents.setdefault(edge.sourcePHID, []).append(edge.destinationPHID)
        return parents

    async def _learn_repositories(self, phids: set[str | None]) -> None:
        unknown = sorted(phid for phid in phids if phid and phid not in self._repositories)
        for one in await self._search("diffusion.repository.search", "phids", unknown, _Repository):
            self._repositories[one.phid] = one.fields.shortName or one.fields.name or None

    async def _learn_users(self, phids: set[str | None]) -> None:
        unknown = sorted(phid for phid in phids if phid and phid not in self._users)
        try:
            found = await self._search("user.search", "phids", unknown, _User)
        except Unavailable as error:
            # Who wrote it is worth no lost revision where the directory is closed to us.
            if not isinstance(error.__cause__, Said):
                raise
            return
        for one in found:
            self._users[one.phid] = one.fields.username

    # --- asking -----------------------------------------------------------------------------------

    async def _search(
        self,
        method: str,
        constraint: str,
        values: Sequence[int] | Sequence[str],
        kind: type[T],
        *,
        attachments: Mapping[str, bool] | None = None,
    ) -> list[T]:
        """All that match, a hundred values a call; for no values nothing is asked (it would mean all)."""
        found: list[T] = []
        for start in range(0, len(values), PAGE):
            question: dict[str, Any] = {
                "constraints": {constraint: list(values[start : start + PAGE])},
                "limit": PAGE,
            }
            if attachments:
                question["attachments"] = dict(attachments)
            found += await self._pages(method, question, kind)
        return found

    async def _pages(self, method: str, question: dict[str, Any], kind: type[T]) -> list[T]:
        found: list[T] = []
        after: Any = None
        for _ in range(1000):
            answer = await self._conduit.asked(method, question | ({"after": after} if after else {}))
            if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
                raise Unavailable(SERVICE, f"answered {method} without data")
            try:
                found += msgspec.convert(answer["data"], list[kind], strict=False)  # type: ignore[valid-type]
            except msgspec.ValidationError as error:
                raise Unavailable(SERVICE, f"answered {method} in another shape: {error}") from error
            cursor = answer.get("cursor")
            following = cursor.get("after") if isinstance(cursor, dict) else None
            if not following or following == after:
                return found
            after = following
        raise Unavailable(SERVICE, f"{method} never ends")

    async def edit(self, revision: int, transactions: Sequence[Mapping[str, Any]]) -> Any:
        """Change a revision, once, all of it or nothing.

        Raises Said for a refusal, and Passing when it may or may not have happened.
        """
        params = {"objectIdentifier": revision, "transactions": list(transactions)}
        return await self._conduit.said("differential.revision.edit", params, is_idempotent=False)

    async def myself(self) -> tuple[str, str]:
        """(user name, PHID) of the token's account. Raises KeyRefused, Unavailable."""
        answer = await self._conduit.asked("user.whoami", {})
        if not isinstance(answer, dict) or not isinstance(answer.get("phid"), str):
            raise Unavailable(SERVICE, "answered user.whoami without an account")
        return str(answer.get("userName", "")), str(answer["phid"])

    async def transactions(self, revision: int) -> tuple[tuple[int, str, str], ...]:
        """The newest hundred things done to a revision, newest first: (id, type or "", author's PHID)."""
        answer = await self._conduit.asked(
            "transaction.search", {"objectIdentifier": f"D{revision}", "limit": PAGE}
        )
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
            raise Unavailable(SERVICE, "answered transaction.search without data")
        return tuple(
            (one["id"], str(one.get("type") or ""), str(one.get("authorPHID") or ""))
            for one in answer["data"]
            if isinstance(one, dict) and isinstance(one.get("id"), int)
        )


def _base(diff: _Diff) -> str | None:
    """The commit a diff was made on: as recorded, else the parent of its only commit."""
    for ref in diff.fields.refs:
        if ref.type == "base" and ref.identifier:
            return ref.identifier
    try:
        commits = diff.attachments["commits"]["commits"]
        parents = commits[0]["parents"]
    except (TypeError, KeyError, IndexError):
        return None
    return str(parents[0]) if len(commits) == 1 and parents else None


def _bug(fields: _RevisionFields) -> int | None:
    given = str(fields.bug or "").strip()
    if _NUMBER.fullmatch(given):
        return int(given) or None
    match = _BUG.match(fields.title)
    return int(match.group(1)) if match else None


def _uplift(given: Any) -> str | None:
    if not given:
        return None
    return given if isinstance(given, str) else json.dumps(given)


def _time(epoch: int | None) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)
