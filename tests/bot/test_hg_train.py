# SPDX-License-Identifier: MPL-2.0
"""A bot whose trains live in a Mercurial repository: the same round, the same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from fixtures_bot import (
    START,
    Product,
    Scene,
    free_port,
    peopled,
    serving,
    settled,
)
from fixtures_postgres import Database
from hg_builder import need_hg
from shipit.bot.landing import NOT_HERE as NO_PLANS
from shipit.bot.searches import NOT_HERE
from shipit.cli.opening import bot_doors
from shipit.settings import Repository
from shipit.world.hg_repository import git_beside, write_hg
from shipit.world.repository import diff_between
from shipit.world.world import StandingClock, World


class HgProduct(Product):
    """The product in Mercurial; what people upload as diffs comes from its git twin."""

    def write(self) -> None:
        """Make what was told real, in both."""
        self.hashes = write_hg(self.tale, self.folder)
        lines = (self.folder / ".hg/shamap").read_text("ascii").splitlines()
        self.gits = {hg: git for git, hg in map(str.split, lines)}

    def diff(self, commit: str) -> str:
        """What a changeset changed, as its author would upload it."""
        name = self.gits[commit]
        return diff_between(git_beside(self.folder), f"{name}^", name).decode()


@pytest.fixture
async def hg_scene(database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    """A scene with nothing asked yet, on a Mercurial repository."""
    need_hg()
    clock = StandingClock(START)
    async with World.open(now=clock) as world:
        peopled(world)
        product = HgProduct(tmp_path / "product", files=8)
        settings = settled(world, product, database, free_port(), tmp_path / "cache")
        repository = Repository(name="firefox", kind="hg", url=str(product.folder), main=product.main)
        settings = msgspec.structs.replace(settings, repositories=(repository,))
        async with (
            serving(settings, database),
            bot_doors(settings, told=lambda text: None, now=clock) as doors,
        ):
            yield Scene(world, clock, product, database, settings, doors)


@pytest.mark.drill
async def test_a_round_on_a_mercurial_repository_reads_tries_and_reports(hg_scene: Scene) -> None:
    scene = hg_scene
    clean = scene.ask("beta", "release")
    conflict = scene.ask("beta", "esr140", on="beta")
    rebased = scene.ask("beta", kind="rebased", on="beta")
    raw = scene.ask("esr128", kind="attachment", on="esr128")
    stack = scene.ask("beta", kind="revision", stack=2, on="beta")
    empty = scene.ask("beta", is_empty=True)
    result = await scene.round()
    assert result.errors == ()
    assert scene.outcomes() == {
        (clean, "beta"): "clean",
        (clean, "release"): "clean",
        (conflict, "beta"): "conflict",
        (conflict, "esr140"): "clean",
        (rebased, "beta"): "clean",
        (raw, "esr128"): "conflict",
        (stack, "beta"): "conflict",
        (empty, "beta"): "empty",
    }
    engines = scene.rows("select distinct engine from trials")
    assert [engine.split()[0] for (engine,) in engines] == ["hg"]
    # what a conflict misses, and landing orders, are honestly not for this repository
    assert scene.rows("select distinct content, reason from advice") == [(None, NOT_HERE)]
    assert scene.rows("select distinct content->>'reason' from plans") == [(NO_PLANS,)]
    again = await scene.round()
    assert (again.trials, again.errors) == (0, ())
    # a page asks what the conflict looks like
    scene.rows(
        "insert into wishes (uid, kind, subject) select 'w1', 'conflict', uid from requests"
        " where bug = %s and train = 'beta' returning 1",
        conflict,
    )
    await scene.look()
    ((view,),) = scene.rows("select content from details")
    assert view["reason"] is None
    (hunk,) = view["files"][0]["hunks"]
    assert hunk["ours"]["lines"] == ["only beta"]
    assert [view["commits"][span["commit"]]["bug"] for span in hunk["ours"]["blame"]] == [1001]


@pytest.mark.drill
async def test_a_new_tip_of_a_mercurial_train_is_tried_again(hg_scene: Scene) -> None:
    scene = hg_scene
    bug = scene.ask("beta")
    await scene.round()
    scene.product.move("beta")
    result = await scene.round()
    assert result.errors == ()
    assert scene.outcomes(bug) == {(bug, "beta"): "clean"}
    assert (await scene.doors.clones["firefox"].tips(["beta"]))["beta"] == scene.product.tip("beta")
