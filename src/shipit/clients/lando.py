# SPDX-License-Identifier: MPL-2.0
"""Lando's map between git and Mercurial names of the same commit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

import aiohttp

from shipit.clients.http import CallCounter, Clock, Door, checked_url, utc_now
from shipit.errors import InvalidInput, Unavailable

SERVICE = "Lando"
MAX_ANSWER = 64 * 1024
MOST_REMEMBERED = 20_000
AT_ONCE = 6

_HASH = re.compile(r"[0-9a-f]{40}")


class Lando:
    """The commit map at `url` for one repository ("firefox"). What is once mapped is never asked again."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        repository: str = "firefox",
        *,
        calls: CallCounter | None = None,
        timeout: float = 20.0,
        now: Clock = utc_now,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", repository):
            raise InvalidInput("lando.repository", expected="a repository's short name", got=repository)
        self._root = checked_url("lando.url", url).removesuffix("/api") + "/api"
        self._repository = repository
        self._door = Door(session, SERVICE, calls=calls, timeout=timeout, now=now)
        self._known: dict[tuple[str, str], str] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def git_of(self, hg: str) -> str | None:
        """The git name of a Mercurial commit; None when the map has none (yet)."""
        return await self._mapped("hg2git", "git_hash", hg)

    async def hg_of(self, git: str) -> str | None:
        """The Mercurial name of a git commit; None when the map has none (yet)."""
        return await self._mapped("git2hg", "hg_hash", git)

    async def gits_of(self, hgs: Iterable[str]) -> dict[str, str | None]:
        """`git_of` for many, a few at a time."""
        wanted = list(dict.fromkeys(hgs))
        return dict(zip(wanted, await asyncio.gather(*(self.git_of(one) for one in wanted)), strict=True))

    async def _mapped(self, direction: str, field: str, commit: str) -> str | None:
        """Only answers found are remembered: a commit of this minute is in the map the next."""
        if not re.fullmatch(r"[0-9a-f]{7,40}", commit):
            raise InvalidInput("commit", expected="7 to 40 lower-case hexadecimal digits", got=commit)
        if (direction, commit) in self._known:
            return self._known[direction, commit]
        async with self._gate:
            url = f"{self._root}/{direction}/{self._repository}/{commit}"
            answer = await self._door.ask("GET", url, limit=MAX_ANSWER)
        if answer.status == 404:
            return None
        body = answer.json() if answer.status == 200 else None
        found = body.get(field) if isinstance(body, dict) else None
        if not isinstance(found, str) or not _HASH.fullmatch(found):
            raise Unavailable(SERVICE, f"answered {direction} with {answer.status} and no {field}")
        if set(found) == {"0"}:
            return None
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[direction, commit] = found
        return found
