# SPDX-License-Identifier: MPL-2.0
"""What follows the trials: searches for what conflicts miss, landing plans, their mails, and maintenance.

None of it delays a trial: it begins when a round has told all of its own, and `--watch` does it beside the
next looks. It is bounded in time; what is left over is for the next time, as the backend's keys tell.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType

import structlog

from shipit.bot import landing, mailing, searches
from shipit.bot.doors import Doors
from shipit.bot.outlook import Outlook
from shipit.bot.tidying import tidy
from shipit.errors import ShipitError
from shipit.uplift.mail import Mail, request_of_key, with_step
from shipit.uplift.report import Known, Searched
from shipit.vcs.candidates import Candidates
from shipit.vcs.ground import GitGround

# After a full round, and after a look. A first index of a long history takes longer, and goes on then.
ROUND_SECONDS = 120.0
LOOK_SECONDS = 20.0
# Merges after which a clone's scratch folder is thrown away, with what it remembers.
RECYCLE_AFTER = 20_000

log = structlog.get_logger()

Addressed = tuple[int, Mail]
"""A claimed mail with the bug that it is about."""


class Aftermath:
    """Searches and plans of one bot. Use as an async context manager: clones are held open while it lives."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._stack = AsyncExitStack()
        self._grounds: dict[str, landing.Ground] = {}
        self._indexes: dict[str, Candidates] = {}
        self._mains: dict[str, str] = {}
        self._waiting: tuple[Known, Outlook, bool] | None = None
        self._mails: list[Addressed] = []
        self._heard = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Aftermath:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._stack.aclose()

    def start(self) -> None:
        """From now on work beside the caller: `later` hands over what is to be done."""
        self._task = asyncio.create_task(self._work())

    def later(self, known: Known, outlook: Outlook, mails: Sequence[Addressed], *, is_quick: bool) -> None:
        """Do it soon; of what several rounds know the newest counts, and every mail goes out."""
        was_quick = self._waiting is None or self._waiting[2]
        self._waiting = (known, outlook, is_quick and was_quick)
        self._mails += mails
        self._heard.set()

    async def _work(self) -> None:
        while True:
            await self._heard.wait()
            self._heard.clear()
            waiting, self._waiting = self._waiting, None
            mails, self._mails = self._mails, []
            if waiting is None:
                continue
            try:
                for bug, reason in await self.follow(*waiting[:2], mails, is_quick=waiting[2]):
                    log.warning("aftermath.trouble", bug=bug, reason=reason)
            except Exception:
                # the outermost loop of this part of the door: recorded, and the next round comes
                log.exception("aftermath.surprise")

    async def follow(
        self, known: Known, outlook: Outlook, mails: Sequence[Addressed], *, is_quick: bool
    ) -> list[tuple[int | None, str]]:
        """Search, plan, and send the mails with what was found; what went wrong, by bug, with the reason."""
        troubles: list[tuple[int | None, str]] = []
        until = asyncio.get_running_loop().time() + (LOOK_SECONDS if is_quick else ROUND_SECONDS)
        uids = {uid for _, mail in mails if (uid := request_of_key(mail.key)) is not None}
        conflicts = searches.unsearched(known, outlook, first=uids)
        found: dict[str, Searched] = {}
        for repository in dict.fromkeys(train.repository for train in outlook.trains):
            mine = conflicts.get(repository, [])
            try:
                async with asyncio.timeout_at(until + searches.SEARCH_SECONDS):
                    searched = await self._in(repository, known, outlook, mine, until, is_quick=is_quick)
            except TimeoutError:
                troubles.append((None, f"searches in {repository} go on in the next round"))
            except ShipitError as error:
                await self._close()
                troubles.append((None, f"what misses in {repository} could not be searched: {error.detail}"))
            else:
                found |= {one.request: one for one in searched}
        for bug, mail in mails:
            searched_one = found.get(request_of_key(mail.key) or "")
            step = searches.step_words(known, searched_one) if searched_one is not None else None
            reason = await mailing.send(
                self._doors, with_step(mail, step) if step else mail, self._doors.now()
            )
            if reason is not None:
                troubles.append((bug, reason))
        if not is_quick:
            repositories = dict.fromkeys(train.repository for train in outlook.trains)
            troubles += [(None, reason) for reason in await tidy(self._doors, repositories)]
        return troubles

    async def _in(
        self,
        repository: str,
        known: Known,
        outlook: Outlook,
        conflicts: list[searches.Conflict],
        until: float,
        *,
        is_quick: bool,
    ) -> list[Searched]:
        doors = self._doors
        if not is_quick or repository not in self._mains:
            # what is left behind follows main, which moves all the time: between full rounds as it was
            self._mains[repository] = await doors.clones[repository].main_tip()
        main = self._mains[repository]
        wanted = landing.stale_plans(known, outlook, repository, main)
        if not (conflicts or wanted):
            return []
        if doors.settings.repository(repository).kind != "git":
            await landing.tell_none(doors, wanted, landing.NOT_HERE)
            return await searches.tell_none(doors, conflicts, searches.NOT_HERE)
        ground = await self._ground(repository)
        tips = {*(one.tip for one in conflicts), *(one.tip for one in wanted)}
        (head,) = await ground.clone.entries([main], also=tips)
        searched = await searches.search_in(doors, ground.clone, head, conflicts, until=until)
        await landing.plan_in(doors, ground, wanted, until=until)
        return searched

    async def _ground(self, repository: str) -> landing.Ground:
        """The clone as searches see it, held open: what was merged once is remembered."""
        known = self._grounds.get(repository)
        if known is not None and known.memory.merges < RECYCLE_AFTER:
            return known
        if known is not None:
            await self._close()
        index = self._indexes.setdefault(
            repository, Candidates(kept=self._doors.cache / f"{repository}-candidates")
        )
        clone = GitGround(self._doors.clones[repository].folder, index=index)
        await self._stack.enter_async_context(clone)
        self._grounds[repository] = landing.Ground(clone)
        return self._grounds[repository]

    async def _close(self) -> None:
        """Let every clone go: the next search opens it anew."""
        self._grounds.clear()
        stack, self._stack = self._stack, AsyncExitStack()
        with contextlib.suppress(ShipitError):
            await stack.aclose()
