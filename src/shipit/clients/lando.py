# SPDX-License-Identifier: MPL-2.0
"""Lando's map from Mercurial names of commits to git's."""

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
        self._known: dict[str, str] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def git_of(self, hg: str) -> str | None:
        """The git name of a Mercurial commit; None when the map has none (yet).

        Only answers found are remembered: a commit of this minute is in the map the next.
        """
        if not re.fullmatch(r"[0-9a-f]{7,40}", hg):
            raise InvalidInput("commit", expected="7 to 40 lower-case hexadecimal digits", got=hg)
        if hg in self._known:
            return self._known[hg]
        async with self._gate:
            url = f"{self._root}/hg2git/{self._repository}/{hg}"
            answer = await self._door.ask("GET", url, limit=MAX_ANSWER)
        if answer.status == 404:
            return None
        body = answer.json() if answer.status == 200 else None
        found = body.get("git_hash") if isinstance(body, dict) else None
        if not isinstance(found, str) or not _HASH.fullmatch(found):
            raise Unavailable(SERVICE, f"answered with {answer.status} and no git_hash")
        if set(found) == {"0"}:
            return None
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[hg] = found
        return found

    async def gits_of(self, hgs: Iterable[str]) -> dict[str, str | None]:
        """`git_of` for many, a few at a time."""
        wanted = list(dict.fromkeys(hgs))
        return dict(zip(wanted, await asyncio.gather(*(self.git_of(one) for one in wanted)), strict=True))
