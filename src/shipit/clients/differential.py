# SPDX-License-Identifier: MPL-2.0
"""Phabricator as the listener needs it: new diffs by the page, changed revisions, ends of build targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import msgspec

from shipit.clients.conduit import SERVICE, Conduit, Said, open_door
from shipit.clients.http import CallCounter
from shipit.errors import Unavailable
from shipit.events.deliveries import part
from shipit.events.types import DiffFacts


class LostCursor(Unavailable):
    """The diff that a cursor names is gone or hidden: page from the newest instead."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of rows. after: where the next one begins, None at the end."""

    rows: tuple[dict[str, Any], ...]
    after: str | None


class Differential:
    """A Phabricator or Phorge at `url`. The token goes into request bodies only."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        token: str | None,
        *,
        calls: CallCounter | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._conduit = Conduit(open_door(session, calls=calls, timeout=timeout), url, token)
        self._repositories: dict[str, tuple[str, ...]] = {}

    async def diffs_after(self, number: int, *, limit: int = 20) -> Page:
        """Diffs younger than that one, oldest first. Raises LostCursor, Unavailable."""
        return await self._search("differential.diff.search", order="oldest", limit=limit, after=str(number))

    async def newest_diffs(self, *, limit: int, after: str | None = None) -> Page:
        """Diffs, newest first. Raises Unavailable."""
        more = {"after": after} if after else {}
        return await self._search("differential.diff.search", order="newest", limit=limit, **more)

    async def diffs(self, phids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of these diffs by PHID; those we may not see are left out. Raises Unavailable."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(phids), 100):
            constraints = {"phids": list(phids[start : start + 100])}
            page = await self._search("differential.diff.search", constraints=constraints, limit=100)
            found |= {row["phid"]: row for row in page.rows if isinstance(row.get("phid"), str)}
        return found

    async def facts(self, name: str) -> DiffFacts | None:
        """A diff as it is now, None when we may not see it. Raises Unavailable.

        name: its PHID, its number, or the PHID of a revision, whose newest it is.
        """
        constraints: dict[str, Any] = {"phids": [name]}
        if name.isdecimal():
            constraints = {"ids": [int(name)]}
        elif name.startswith("PHID-DREV-"):
            page = await self._search("differential.revision.search", constraints=constraints, limit=1)
            newest = _text(part(page.rows[0], "fields"), "diffPHID") if page.rows else None
            if newest is None:
                return None
            constraints = {"phids": [newest]}
        page = await self._search("differential.diff.search", constraints=constraints, limit=1)
        row = page.rows[0] if page.rows else {}
        phid = row.get("phid")
        if not isinstance(phid, str) or not isinstance(row.get("id"), int):
            return None
        fields = part(row, "fields")
        repository = _text(fields, "repositoryPHID")
        return DiffFacts(
            phid=phid,
            id=row["id"],
            revision=_text(fields, "revisionPHID"),
            author=_text(fields, "authorPHID"),
            repository=repository,
            repository_names=await self._names(repository) if repository else (),
        )

    async def revisions_since(self, modified: int, *, after: str | None = None) -> Page:
        """Revisions modified since that time (seconds), one page. Raises Unavailable."""
        more = {"after": after} if after else {}
        return await self._search(
            "differential.revision.search",
            constraints={"modifiedStart": modified},
            order="updated",
            limit=100,
            **more,
        )

    async def end_target(self, target: str, verdict: str, reason: str) -> bool:
        """Tell Harbormaster how a target ended and, as a unit result, why; False when it knows no such.

        Raises Unavailable.
        """
        unit = {
            "name": "Ship It listener",
            "result": "pass" if verdict == "pass" else "broken",
            "details": reason[:2000],
        }
        question = {"receiver": target, "type": verdict, "unit": [unit]}
        try:
            # a target takes only one end, so that telling it again changes nothing
            await self._conduit.said("harbormaster.sendmessage", question)
        except Said as refused:
            if refused.code in ("ERR-CONDUIT-CORE", "ERR-BAD-BUILD"):
                return False
            raise refused.unavailable() from refused
        return True

    async def _names(self, repository: str) -> tuple[str, ...]:
        """What a repository is called: name, short name, callsign and URIs; learnt once."""
        if repository not in self._repositories:
            page = await self._search(
                "diffusion.repository.search",
                constraints={"phids": [repository]},
                attachments={"uris": True},
                limit=1,
            )
            names: list[str] = []
            for row in page.rows:
                fields = part(row, "fields")
                names += filter(None, (_text(fields, name) for name in ("name", "shortName", "callsign")))
                uris = part(part(row, "attachments"), "uris").get("uris")
                for uri in uris if isinstance(uris, list) else ():
                    spelled = (
                        part(part(uri, "fields"), "uri").get("effective") if isinstance(uri, dict) else None
                    )
                    names += [spelled] if isinstance(spelled, str) else []
            self._repositories[repository] = tuple(names)
        return self._repositories[repository]

    async def _search(self, method: str, **question: Any) -> Page:
        try:
            result = await self._conduit.said(method, question)
        except Said as refused:
            if "after" in question and (
                "does not identify a valid object" in refused.detail or "You Shall Not Pass" in refused.detail
            ):
                raise LostCursor(SERVICE, refused.detail) from refused
            raise Unavailable(SERVICE, f"{method}: {refused.detail}") from refused
        rows = result.get("data") if isinstance(result, dict) else None
        if not isinstance(rows, list):
            raise Unavailable(SERVICE, f"{method} answered without data")
        after = part(result, "cursor").get("after")
        return Page(
            rows=tuple(row for row in rows if isinstance(row, dict)),
            after=after if isinstance(after, str) and after else None,
        )


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None
