# SPDX-License-Identifier: MPL-2.0
"""Ask whoever knows the release calendar: whattrainisitnow, product-details, or a file."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import aiohttp

from shipit.clients.http import CallCounter, Clock, Door, checked_url, utc_now
from shipit.errors import InvalidInput, ShipitError, Unavailable
from shipit.trains import schedule as parse
from shipit.trains.types import Failure, Schedule

SERVICE = "schedule"
Provider = Literal["whattrainisitnow", "product-details", "file"]

# provider -> (its public root, the folder below the root where the answers are)
ROOTS = {
    "whattrainisitnow": ("https://whattrainisitnow.com", "/api"),
    "product-details": ("https://product-details.mozilla.org", "/1.0"),
}
VERSIONS = "/firefox_versions.json"
PARTS = {
    parse.NIGHTLY: "/release/schedule/?version=nightly",
    parse.BETA: "/release/schedule/?version=beta",
    parse.RELEASE: "/release/schedule/?version=release",
    "trains": "/lando/uplift/train/",
    "owners": "/release/owners/",
    parse.ESR: "/esr/releases/",
}
MAX_ANSWER = 4 * 1024 * 1024
MOST_CALENDARS = 4


class ScheduleClient:
    """One provider of release schedules.

    url: its root, with or without the folder of its API; of product-details also a `…_versions.json` itself;
    for "file" a path. None: the provider's public address. Raises InvalidInput for what is neither.
    """

    def __init__(
        self,
        provider: Provider,
        url: str | None,
        *,
        session: aiohttp.ClientSession,
        timeout: float = 30.0,
        calls: CallCounter | None = None,
        now: Clock = utc_now,
    ) -> None:
        self.source = provider
        self._now = now
        self._path: Path | None = None
        self._bases: tuple[str, ...] = ()
        if provider == "file":
            if not url:
                raise InvalidInput("schedule.url", expected="the path of a schedule file")
            self._path = Path(url.removeprefix("file://"))
        else:
            root, folder = ROOTS[provider]
            base = checked_url("schedule.url", url or root)
            is_whole = base.endswith((folder, ".json"))
            self._bases = (base,) if is_whole else (base + folder, base)
        self._door = Door(session, SERVICE, calls=calls, timeout=timeout)

    async def read(self) -> Schedule | Failure:
        """What the provider says now, or a Failure with the reason why that is no schedule.

        whattrainisitnow is asked 6 to 10 times, product-details once.
        """
        try:
            if self._path is not None:
                return await asyncio.to_thread(self._read_file, self._path)
            if self.source == "product-details":
                return await self._read_product_details()
            return await self._read_whattrainisitnow()
        except ShipitError as error:
            return Failure(source=self.source, at=self._now(), reason=error.detail)

    def _read_file(self, path: Path) -> Schedule:
        try:
            text = path.read_text(encoding="utf-8")
            content: object = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        except OSError as error:
            raise Unavailable(SERVICE, f"cannot read {path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise Unavailable(SERVICE, f"{path} is neither JSON nor TOML") from error
        return parse.from_file(content, source=self.source, read_at=self._now())

    async def _read_product_details(self) -> Schedule:
        suffix = "" if self._bases[0].endswith(".json") else VERSIONS
        _, answer = await self._first(suffix)
        return parse.from_product_details(answer, source=self.source, read_at=self._now())

    async def _read_whattrainisitnow(self) -> Schedule:
        answers: dict[str, object] = {}
        failed: dict[str, str] = {}
        base = self._bases[0]
        try:
            base, answers["trains"] = await self._first(PARTS["trains"])
        except Unavailable as error:
            failed["trains"] = error.detail
        wanted = {part: base + path for part, path in PARTS.items() if part != "trains"}
        await self._gather(wanted, answers, failed)
        known = self._schedule(answers, failed)
        await self._gather(_missing_calendars(known, base), answers, failed)
        return self._schedule(answers, failed)

    def _schedule(self, answers: Mapping[str, object], failed: Mapping[str, str]) -> Schedule:
        return parse.from_whattrainisitnow(answers, failed=failed, source=self.source, read_at=self._now())

    async def _gather(
        self, wanted: Mapping[str, str], answers: dict[str, object], failed: dict[str, str]
    ) -> None:
        """Ask for each part at once; a part that fails does not take the others with it."""
        asked = [self._ask(url) for url in wanted.values()]
        for part, answer in zip(wanted, await asyncio.gather(*asked, return_exceptions=True), strict=True):
            if isinstance(answer, Unavailable):
                failed[part] = answer.detail
            elif isinstance(answer, BaseException):
                raise answer
            else:
                answers[part] = answer

    async def _first(self, path: str) -> tuple[str, object]:
        """The answer under the first base that has it, with that base. Raises Unavailable."""
        *others, last = self._bases
        for base in others:
            try:
                return base, await self._ask(base + path)
            except _NotThere:
                continue
        return last, await self._ask(last + path)

    async def _ask(self, url: str) -> object:
        answer = await self._door.ask("GET", url, limit=MAX_ANSWER)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise _NotThere(SERVICE, f"has nothing at {answer.url}")
        if answer.status != HTTPStatus.OK:
            raise Unavailable(SERVICE, f"answered {answer.status} at {answer.url}")
        parsed: object = answer.json()
        return parsed


class _NotThere(Unavailable):
    """The service has nothing under that address."""


def _missing_calendars(schedule: Schedule, base: str) -> dict[str, str]:
    """The versions between release and nightly whose calendar nobody gave, as while beta lags."""
    majors = [listing.major for listing in schedule.listings if listing.channel in parse.LADDER]
    if not majors:
        return {}
    between = [major for major in range(max(majors), min(majors) - 1, -1) if schedule.cycle(major) is None]
    return {str(major): f"{base}/release/schedule/?version={major}" for major in between[:MOST_CALENDARS]}
