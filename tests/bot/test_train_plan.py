# SPDX-License-Identifier: MPL-2.0
"""`shipit landing-plan TRAIN` against a real backend: printed, and written to a clone."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from fixtures_bot import BOT_CLIENT, Scene
from git_builder import run_git
from shipit.settings import Secret


def _secret(secret: Secret | None) -> str:
    return secret.reveal() if secret is not None else ""


async def shipit(scene: Scene, *words: str | Path) -> tuple[int, str, str]:
    """The command with the scene's backend and the bot's credentials."""
    token = scene.settings.taskcluster.access_token
    assert token is not None
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shipit", *map(str, words)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "SHIPIT_URL": scene.settings.backend.url or "",
            "SHIPIT_BUGZILLA_URL": scene.settings.bugzilla.url,
            "SHIPIT_BUGZILLA_API_KEY": _secret(scene.settings.bugzilla.api_key),
            "SHIPIT_PHABRICATOR_URL": scene.settings.phabricator.url or "",
            "SHIPIT_PHABRICATOR_TOKEN": _secret(scene.settings.phabricator.token),
            "SHIPIT_CACHE": scene.settings.bot.cache,
            "TASKCLUSTER_ROOT_URL": scene.settings.taskcluster.root_url or "",
            "TASKCLUSTER_CLIENT_ID": BOT_CLIENT,
            "TASKCLUSTER_ACCESS_TOKEN": token.reveal(),
        },
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.drill
async def test_the_plan_of_a_train_is_printed_and_written_to_a_clone(scene: Scene, tmp_path: Path) -> None:
    bug, waiting = scene.ask("beta"), scene.ask("beta")
    scene.decide(bug, "beta", "+")
    await scene.round()
    code, out, err = await shipit(scene, "landing-plan", "beta", "--format", "json")
    assert code == 0, err
    plan = json.loads(out)
    assert (len(plan["order"]), plan["conflicts"], plan["left_behind"]) == (1, [], [])
    assert plan["tip"] == scene.product.tip("beta")
    _, out, _ = await shipit(scene, "landing-plan", "beta", "--pending", "--format", "json")
    assert [step["bug"] for step in json.loads(out)["steps"]] == [bug, waiting]
    clone = scene.doors.clones["firefox"].folder
    place = ("--repo", clone, "--index", tmp_path / "index")
    code, out, err = await shipit(scene, "landing-plan", "beta", *place, "--branch", "plan/beta")
    assert code == 0 and "1 commits above" in out, err
    above = run_git(clone, "rev-list", f"{plan['tip']}..plan/beta").decode().split()
    assert len(above) == 1 and run_git(clone, "rev-parse", "plan/beta^").decode().strip() == plan["tip"]
    code, _, err = await shipit(scene, "landing-plan", "nowhere")
    assert code == 1 and "there is no train 'nowhere'" in err


@pytest.mark.drill
async def test_a_patch_that_is_not_on_main_is_written_as_well(scene: Scene, tmp_path: Path) -> None:
    bug = scene.ask("beta", kind="revision")
    scene.decide(bug, "beta", "+")
    await scene.round()
    clone = scene.doors.clones["firefox"].folder
    place = ("--repo", clone, "--index", tmp_path / "index", "--branch", "plan/beta")
    code, out, err = await shipit(scene, "landing-plan", "beta", *place, "--format", "json")
    assert code == 0, err
    plan = json.loads(out)
    assert len(plan["order"]) == 1 and plan["order"][0].startswith("D")
    assert "1 commits above" in plan["written"] and "not written" not in plan["written"]
    told = run_git(clone, "log", "--format=%an|%B", f"{plan['tip']}..plan/beta").decode()
    assert told.startswith("Ship It|") and f"(from {plan['order'][0]})" in told
