# SPDX-License-Identifier: MPL-2.0
"""Watching: looks between rounds, nothing missed while somebody was silent, no end but being told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from fixtures_bot import Scene
from shipit.bot.watching import watch


@asynccontextmanager
async def watching(scene: Scene) -> AsyncIterator[None]:
    """A bot that looks again and again."""
    stop = asyncio.Event()
    often = msgspec.structs.replace(scene.settings.bot, look_seconds=0.05)
    async with scene.another_bot(bot=often) as doors:
        task = asyncio.create_task(watch(doors, stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)


async def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def full_rounds(scene: Scene) -> int:
    return int(scene.rows("select count(*) from rounds where kind = 'full' and finished is not null")[0][0])


async def test_request_made_while_bugzilla_was_down_is_found_by_a_later_look(scene: Scene) -> None:
    old = scene.ask("beta")
    async with watching(scene):
        await until(lambda: full_rounds(scene) == 1)
        scene.world.bugzilla.fail()
        scene.clock.move(minutes=1)
        new = scene.ask("beta")
        await until(
            lambda: bool(scene.rows("select 1 from trains where requests_unavailable_since is not null"))
        )
        scene.clock.move(minutes=12)
        await asyncio.sleep(0.3)
        scene.world.heal()
        await until(lambda: scene.outcomes() == {(old, "beta"): "clean", (new, "beta"): "clean"})
        assert full_rounds(scene) == 1, "by a look, before the next full round"


async def test_full_round_comes_when_it_is_due(scene: Scene) -> None:
    scene.ask("beta")
    async with watching(scene):
        await until(lambda: full_rounds(scene) == 1)
        scene.clock.move(minutes=29)
        await asyncio.sleep(0.3)
        assert full_rounds(scene) == 1
        scene.clock.move(minutes=1)
        await until(lambda: full_rounds(scene) == 2)


async def test_neither_trouble_nor_surprise_ends_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = scene.ask("beta")
    scene.world.taskcluster.fail()
    async with watching(scene):
        await asyncio.sleep(0.5)
        assert full_rounds(scene) == 0, "nobody can say who signs"
        scene.world.heal()
        await until(lambda: scene.outcomes() == {(bug, "beta"): "clean"})
