# SPDX-License-Identifier: MPL-2.0
"""Clones are tidied up once a day, whoever is restarted, and a clone that fails costs one try."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fixtures_bot import Scene
from shipit.bot.tidying import tidy
from shipit.errors import Unavailable
from shipit.vcs.clone import Clone

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


class Maintained:
    """A clone that counts how often it was maintained."""

    def __init__(self, failure: Unavailable | None = None) -> None:
        self.times = 0
        self._failure = failure

    async def maintain(self) -> None:
        self.times += 1
        if self._failure is not None:
            raise self._failure


def doors(cache: Path, now: datetime, **clones: Maintained) -> Any:
    return SimpleNamespace(cache=cache, now=lambda: now, clones=clones)


def test_a_clone_is_maintained_once_a_day_even_by_a_bot_started_anew(tmp_path: Path) -> None:
    clone = Maintained()
    for hours, times in ((0, 1), (1, 1), (23, 1), (24, 2), (30, 2)):
        now = NOON + timedelta(hours=hours)
        assert asyncio.run(tidy(doors(tmp_path, now, main=clone), ["main"])) == []
        assert clone.times == times, hours


def test_a_clone_that_fails_says_why_and_waits_for_tomorrow_while_the_others_go_on(tmp_path: Path) -> None:
    broken, sound = Maintained(Unavailable("clone one", "no space left")), Maintained()
    here = doors(tmp_path, NOON, one=broken, two=sound)
    (said,) = asyncio.run(tidy(here, ["one", "two"]))
    assert said == "the clone of one could not be tidied up: clone one: no space left"
    assert asyncio.run(tidy(here, ["one", "two"])) == []
    assert (broken.times, sound.times) == (1, 1)


async def test_a_full_round_ends_with_maintenance_that_waits_for_no_update(
    scene: Scene, monkeypatch: Any
) -> None:
    done: list[str] = []
    maintain = Clone.maintain

    async def counted(clone: Clone) -> None:
        async with clone._alone():
            # an update is under way in another process
            await maintain(clone)
        done.append(clone.folder.name)

    monkeypatch.setattr(Clone, "maintain", counted)
    result = await scene.round()
    assert result.errors == ()
    assert len(done) == 1
    await scene.round()
    assert len(done) == 1
