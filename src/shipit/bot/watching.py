# SPDX-License-Identifier: MPL-2.0
"""Watch: look every few seconds for what changed, with a full round now and then."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta

import structlog

from shipit.bot.aftermath import Aftermath
from shipit.bot.doors import Doors
from shipit.bot.rounds import run_look, run_round
from shipit.errors import ShipitError

log = structlog.get_logger()


async def watch(doors: Doors, stop: asyncio.Event) -> None:
    """Look and run rounds until told to stop; a look or round under way ends first.

    A round that another bot is at is left to it. Whatever goes wrong is logged, and the next look comes.
    Searches and plans go on beside the looks, so that no trial waits for them.
    """
    async with Aftermath(doors) as aftermath:
        aftermath.start()
        await _watch(doors, stop, aftermath)


async def _watch(doors: Doors, stop: asyncio.Event, aftermath: Aftermath) -> None:
    settings = doors.settings.bot
    every = timedelta(minutes=settings.round_minutes)
    last_round: datetime | None = None
    last_look = doors.now() - every
    while not stop.is_set():
        began = doors.now()
        try:
            if last_round is None or began - last_round >= every:
                result = await run_round(doors, aftermath=aftermath)
                if result.is_ours:
                    last_round = began
            else:
                result = await run_look(doors, since=last_look, aftermath=aftermath)
            # What could not be read now is looked for from the same time on again.
            if result.is_whole:
                last_look = began
        except ShipitError as error:
            log.warning("watch.trouble", reason=error.detail)
        except Exception:
            # the outermost loop of this door: recorded, and the next look comes
            log.exception("watch.surprise")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), settings.look_seconds)
