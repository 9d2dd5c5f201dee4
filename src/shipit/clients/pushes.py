# SPDX-License-Identifier: MPL-2.0
"""Pushes to repositories: Mercurial's pushlog, and deliveries that GitHub's webhook failed to make."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from shipit.clients.http import CallCounter, Door, checked_url
from shipit.errors import Unavailable
from shipit.events.deliveries import part, texts


class Pushes(msgspec.Struct, frozen=True, kw_only=True):
    """Pushes by their number, ascending; last: the newest number there is."""

    last: int
    rows: tuple[tuple[int, dict[str, Any]], ...]


class Pushlog:
    """The pushlog of the Mercurial repository at `url`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        calls: CallCounter | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.url = checked_url("sources.url", url)
        self._door = Door(session, "pushlog", calls=calls, timeout=timeout)

    async def after(self, number: int | None, *, limit: int = 100) -> Pushes:
        """Pushes after that one, at most `limit`; None: only what the newest is. Raises Unavailable."""
        params = [("version", "2"), ("full", "1")]
        if number is None:
            params = [("version", "2"), ("tipsonly", "1"), ("startID", "0"), ("endID", "0")]
        else:
            params += [("startID", str(number)), ("endID", str(number + limit))]
        answer = await self._door.ask("GET", f"{self.url}/json-pushes", params=params)
        said = answer.json() if answer.status == 200 else None
        last = said.get("lastpushid") if isinstance(said, dict) else None
        if not isinstance(said, dict) or not isinstance(last, int):
            raise Unavailable("pushlog", f"answered {answer.status} without lastpushid")
        pushes = part(said, "pushes")
        rows = sorted(
            (int(key), row) for key, row in pushes.items() if key.isdecimal() and isinstance(row, dict)
        )
        return Pushes(last=last, rows=tuple(rows) if number is not None else ())


def push_message(url: str, number: int, row: dict[str, Any]) -> dict[str, Any]:
    """A push of the pushlog, said as exchange/hgpushes/v1 says it, with the paths it touches."""
    found = row.get("changesets")
    changesets = found if isinstance(found, list) else []
    nodes = [one.get("node") if isinstance(one, dict) else one for one in changesets]
    return {
        "repo_url": url,
        "heads": [node for node in nodes[-1:] if isinstance(node, str)],
        "pushlog_pushes": [{"pushid": number, "time": row.get("date"), "user": row.get("user")}],
        "paths": sorted(
            {path for one in changesets if isinstance(one, dict) for path in texts(one, "files")}
        ),
    }


class GithubDeliveries:
    """The deliveries of one webhook, for asking those again that failed."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api: str,
        repository: str,
        hook: int,
        token: str,
        *,
        calls: CallCounter | None = None,
    ) -> None:
        base = checked_url("sources.api", api)
        self._url = f"{base}/repos/{repository}/hooks/{hook}/deliveries"
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        self._door = Door(session, "GitHub", calls=calls, timeout=20.0)

    async def failed(self) -> list[int]:
        """Numbers of recent deliveries none of whose attempts succeeded, oldest first. Raises Unavailable."""
        answer = await self._door.ask("GET", self._url, headers=self._headers, params=[("per_page", "100")])
        rows = answer.json() if answer.status == 200 else None
        if not isinstance(rows, list):
            raise Unavailable("GitHub", f"answered {answer.status}")
        first: dict[str, int] = {}
        good: set[str] = set()
        for row in rows:
            if isinstance(row, dict) and isinstance(row.get("guid"), str) and isinstance(row.get("id"), int):
                first[row["guid"]] = row["id"]
                if row.get("status_code") in range(200, 300):
                    good.add(row["guid"])
        return sorted(number for guid, number in first.items() if guid not in good)

    async def redeliver(self, number: int) -> None:
        """Ask for a delivery again. Raises Unavailable."""
        answer = await self._door.ask(
            "POST", f"{self._url}/{number}/attempts", headers=self._headers, is_idempotent=True
        )
        if answer.status >= 300:
            raise Unavailable("GitHub", f"answered {answer.status}")
