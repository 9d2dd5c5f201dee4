# SPDX-License-Identifier: MPL-2.0
"""Bugzilla: which bugs carry an approval flag, what changed, and whole bugs, in few calls.

A failing Bugzilla raises; a bug that cannot be read is a value with its reason. Neither is an empty answer.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import aiohttp
import msgspec

from shipit.clients import bugzilla_charts as charts
from shipit.clients import bugzilla_parts as parts
from shipit.clients.bugzilla_batches import Luck, Unreadable, Why, halved
from shipit.clients.bugzilla_pages import MAX_PAGES, PAGE, Pairs, all_pages
from shipit.clients.bugzilla_rest import HIDDEN, SERVICE, UNKNOWN, Rest, Said
from shipit.clients.bugzilla_rows import Rows
from shipit.clients.http import CallCounter, Clock, Door, utc_now
from shipit.errors import Unavailable
from shipit.uplift.types import Bug

__all__ = ["Bugzilla", "Unreadable", "Why"]

IDS_PER_LOOK = 500
"""Ids of seven digits that stay well below the 8 KiB a URL may have."""
READS_AT_ONCE = 4
MAX_ATTACHMENT = 32 * 1024 * 1024
NO_SUCH_FIELD = 108


class Bugzilla:
    """A Bugzilla by its REST interface; without a key only public bugs. url: its root, /rest or not.

    batch: most whole bugs that `bugs` reads in one call. timeout: seconds of one call.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        api_key: str | None = None,
        *,
        calls: CallCounter | None = None,
        timeout: float = 60.0,
        batch: int = 25,
        now: Clock = utc_now,
        door: Door | None = None,
    ) -> None:
        """door: where several ask with keys of their own, the one they share."""
        self._rest = Rest(session, url, api_key, calls=calls, timeout=timeout, now=now, door=door)
        self.url = self._rest.url
        self._now = now
        self._batch = batch
        self._rows = Rows(self._rows_at, most=max(PAGE, IDS_PER_LOOK))
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    async def whoami(self) -> str:
        """The login name our key stands for. Raises Unavailable when Bugzilla does not take the key."""
        answer = await self._rest.asked("/whoami")
        return str(answer.get("name", ""))

    async def search(
        self, flag: str, status: str = "?", *, changed_since: datetime | None = None
    ) -> dict[int, datetime]:
        """Bugs with a flag whose name and status contain `flag` + `status`: {id: time of the last change}.

        Contain, not equal: compare exactly when the bug is read. Raises Unavailable, never answers half.
        """
        criteria = [("f1", "flagtypes.name"), ("o1", "substring"), ("v1", flag + status)]
        if changed_since is not None:
            criteria.append(("last_change_time", parts.spelled(changed_since)))
        return await self._searched(criteria)

    async def flagged(
        self, words: Iterable[str], *, changed_since: datetime | None = None
    ) -> dict[int, datetime]:
        """Bugs (changed since then) that carry any of the words ("approval-mozilla-beta+"), in one search.

        {id: time of the last change}; contain, not equal, as with `search`.
        """
        wanted = list(dict.fromkeys(words))
        any_of = [("f1", "flagtypes.name"), ("o1", "anywordssubstr"), ("v1", " ".join(wanted))]
        if changed_since is not None:
            any_of.append(("last_change_time", parts.spelled(changed_since)))
        try:
            return await self._searched(any_of)
        except Unavailable as error:
            # Not every Bugzilla knows every operator; `substring` is the one that all our searches need.
            if not isinstance(error.__cause__, Said) or error.__cause__.is_failure:
                raise
        found: dict[int, datetime] = {}
        for word in wanted:
            found |= await self.search(word, "", changed_since=changed_since)
        return found

    async def matching(
        self, groups: Sequence[charts.Terms], *, fields: Sequence[str] = ()
    ) -> tuple[dict[int, Bug | Unreadable], dict[str, str]]:
        """Bugs that meet every term of at least one group, without comments and history; in one search.

        fields: custom fields to name besides those that come by default. The second answer holds the fields
        that Bugzilla does not know, with its words: groups that ask about them were left out.
        """
        unknown: dict[str, str] = {}
        left, read_at = list(groups), self._now()
        wanted = ("include_fields", ",".join([parts.LISTED_BUG, *fields]))

        async def look(paging: Pairs) -> dict[int, Bug | Unreadable]:
            answer = await self._rest.said("/bug", [*charts.any_of(left), *paging, wanted])
            rows = {one["id"]: one for one in _entries(answer) if isinstance(one.get("id"), int)}
            return {bug: self._parsed(bug, one, read_at) for bug, one in rows.items()}

        while left:
            try:
                return await all_pages(look, self._rows), unknown
            except Said as said:
                field = charts.field_in(said.detail, left) if said.code == NO_SUCH_FIELD else None
                if field is None:
                    raise said.unavailable() from said
                unknown[field] = f"Bugzilla does not know the field {field}"
                left = charts.without(left, field)
        return {}, unknown

    async def changed(self, ids: Iterable[int]) -> dict[int, datetime]:
        """When each bug last changed; those hidden from us or unknown are left out."""
        found: dict[int, datetime] = {}
        for chunk in _chunks(sorted(set(ids)), IDS_PER_LOOK):
            found |= await self._changed(chunk)
        return found

    async def bugs(self, ids: Iterable[int], *, fields: Sequence[str] = ()) -> dict[int, Bug | Unreadable]:
        """Whole bugs with attachments (no data), comments and history: one entry for every id asked for.

        fields: custom fields to name besides those that come by default. Raises Unavailable when Bugzilla
        itself does not answer.
        """
        first, *others = _chunks(sorted(set(ids)), self._batch) or [()]
        # The first tells whether Bugzilla answers at all, before much is asked at once.
        read = await self._read(first, fields)
        for answered in await asyncio.gather(*(self._read(chunk, fields) for chunk in others)):
            read |= answered
        return read

    async def attachment_data(self, attachment: int) -> bytes | None:
        """An attachment's content; None when there is none we may see. Raises Unavailable above 32 MiB."""
        try:
            answer = await self._rest.said(
                f"/bug/attachment/{attachment}",
                [("include_fields", "id,data")],
                limit=MAX_ATTACHMENT * 4 // 3 + 4096,
            )
        except Said as said:
            if said.code in (HIDDEN, UNKNOWN, 304):
                return None
            raise said.unavailable() from said
        entry = _mapping(answer.get("attachments")).get(str(attachment))
        if entry is None:
            return None
        try:
            return base64.b64decode(_mapping(entry).get("data") or "", validate=False)
        except (binascii.Error, TypeError, ValueError) as error:
            raise Unavailable(SERVICE, f"attachment {attachment} is not base64") from error

    # --- searching --------------------------------------------------------------------------------

    async def _searched(self, criteria: Pairs) -> dict[int, datetime]:
        """When each bug last changed that meets the criteria."""

        async def look(paging: Pairs) -> dict[int, datetime]:
            return await self._looked([*criteria, *paging, ("include_fields", "id,last_change_time")])

        return await all_pages(look, self._rows)

    async def _changed(self, ids: Sequence[int]) -> dict[int, datetime]:
        """Asks again for those missing until an answer is known to be whole: a cut one hides no bug."""
        found: dict[int, datetime] = {}
        left = ids
        for _ in range(MAX_PAGES):
            answer = await self._looked(
                [("id", _joined(left)), ("limit", str(len(left))), ("include_fields", "id,last_change_time")]
            )
            found |= answer
            left = [bug for bug in left if bug not in answer]
            if not left or not answer or await self._rows.are_all(len(answer)):
                return found
        raise Unavailable(SERVICE, f"gives so few bugs at once that {MAX_PAGES} answers are not enough")

    async def _rows_at(self, offset: int, limit: int) -> int | None:
        """How many rows come of all bugs, from there on; None when Bugzilla refuses so wide a search."""
        everything = [("f1", "bug_id"), ("o1", "greaterthan"), ("v1", "0"), ("order", "bug_id")]
        paging = [("limit", str(limit))] + ([("offset", str(offset))] if offset else [])
        try:
            answer = await self._rest.said("/bug", [*everything, *paging, ("include_fields", "id")])
        except Said as said:
            if said.is_failure:
                raise said.unavailable() from said
            return None
        return len(_entries(answer))

    async def _looked(self, params: Sequence[tuple[str, str]]) -> dict[int, datetime]:
        answer = await self._rest.asked("/bug", params)
        try:
            return parts.last_changes(answer)
        except msgspec.ValidationError as error:
            raise Unavailable(SERVICE, f"answered a search with something else: {error}") from error

    # --- reading whole bugs -----------------------------------------------------------------------

    async def _read(self, ids: Sequence[int], fields: Sequence[str]) -> dict[int, Bug | Unreadable]:
        async with self._reads:
            return await self._read_at(ids, fields, self._now())

    async def _read_at(
        self, ids: Sequence[int], fields: Sequence[str], read_at: datetime
    ) -> dict[int, Bug | Unreadable]:
        async def raw_bugs(some: Sequence[int]) -> dict[int, dict[str, Any]]:
            return await self._raw_bugs(some, fields)

        luck = Luck()
        raw = await halved(ids, raw_bugs, luck)
        _raise_if_nothing_works(raw)
        bad = {bug: value for bug, value in raw.items() if isinstance(value, Unreadable)}
        good: dict[int, dict[str, Any]] = {
            bug: value for bug, value in raw.items() if isinstance(value, dict)
        }
        for part, fetch in (
            ("attachments", self._raw_attachments),
            ("comments", self._raw_comments),
            ("history", self._raw_histories),
        ):
            lacking = [bug for bug, value in good.items() if not isinstance(value.get(part), list)]
            for bug, value in (await halved(lacking, fetch, luck)).items():
                if isinstance(value, Unreadable):
                    bad[bug] = value
                    del good[bug]
                else:
                    good[bug][part] = value
        return {bug: self._parsed(bug, value, read_at) for bug, value in good.items()} | bad

    def _parsed(self, bug: int, raw: Mapping[str, Any], read_at: datetime) -> Bug | Unreadable:
        try:
            return parts.bug(raw, read_at)
        except (msgspec.ValidationError, ValueError) as error:
            return Unreadable(bug, Why.BROKEN, f"what Bugzilla says of it cannot be read: {error}")

    async def _raw_bugs(self, ids: Sequence[int], fields: Sequence[str]) -> dict[int, dict[str, Any]]:
        wanted = ("include_fields", ",".join([parts.WHOLE_BUG, *fields]))
        if len(ids) == 1:
            answer = await self._rest.said(f"/bug/{ids[0]}", [wanted])
        else:
            answer = await self._rest.said("/bug", [("id", _joined(ids)), ("limit", str(len(ids))), wanted])
        return {entry["id"]: entry for entry in _entries(answer) if isinstance(entry.get("id"), int)}

    async def _raw_attachments(self, ids: Sequence[int]) -> dict[int, list[Any]]:
        answer = await self._rest.said(
            f"/bug/{ids[0]}/attachment", [*_others(ids), ("exclude_fields", "data")]
        )
        return {int(bug): found for bug, found in _mapping(answer.get("bugs")).items() if bug.isdigit()}

    async def _raw_comments(self, ids: Sequence[int]) -> dict[int, list[Any]]:
        answer = await self._rest.said(f"/bug/{ids[0]}/comment", _others(ids))
        bugs = _mapping(answer.get("bugs"))
        return {int(bug): _mapping(found).get("comments", []) for bug, found in bugs.items() if bug.isdigit()}

    async def _raw_histories(self, ids: Sequence[int]) -> dict[int, list[Any]]:
        answer = await self._rest.said(f"/bug/{ids[0]}/history", _others(ids))
        return {
            entry["id"]: entry.get("history", [])
            for entry in _entries(answer)
            if isinstance(entry.get("id"), int)
        }


def _raise_if_nothing_works(found: Mapping[int, object]) -> None:
    """Bugzilla failing on each of several bugs is Bugzilla failing, not the bugs."""
    failed = [value for value in found.values() if isinstance(value, Unreadable) and value.why is Why.FAILED]
    if len(found) > 1 and len(failed) == len(found):
        raise Unavailable(SERVICE, failed[0].reason)


def _entries(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = answer.get("bugs")
    if not isinstance(found, list):
        raise Unavailable(SERVICE, "answered without a list of bugs")
    return [entry for entry in found if isinstance(entry, dict)]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _others(ids: Sequence[int]) -> list[tuple[str, str]]:
    return [("ids", str(bug)) for bug in ids[1:]]


def _joined(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids))


def _chunks(ids: Sequence[int], size: int) -> list[Sequence[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
