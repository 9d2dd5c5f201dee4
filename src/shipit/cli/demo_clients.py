# SPDX-License-Identifier: MPL-2.0
"""The Taskcluster clients of the demo: of its bot, its runner, and of the shells of two of its people."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from shipit.settings import Secret, Settings
from shipit.world import people
from shipit.world.world import World

BOT_CLIENT = "project/shipit/demo/bot"
BOT_SCOPES = ("project:shipit:bot", "project:shipit:restricted", "notify:email:*", "auth:get-client:*")
MANAGER_CLIENT = "project/shipit/demo/release-manager"
# the same person as on the page, so that her keys serve both
MANAGER_SCOPES = (*people.MANAGER.scopes, f"assume:login-identity:{people.MANAGER.identity}")
ENGINEER_CLIENT = "project/shipit/demo/release-engineer"
ENGINEER_SCOPES = (
    "project:shipit:user",
    "project:shipit:pipeline/*",
    "project:shipit:sign/*",
    "project:shipit:events/replay",
    f"assume:login-identity:{people.ENGINEER.identity}",
)
# the runner's: a step may be served by the demo itself, or by a pipeline of it
RUNNER_CLIENT = "project/shipit/demo/runner"
RUNNER_SCOPES = ("project:shipit:user", "project:shipit:pipeline/*", "queue:*", "auth:get-client:*")
HOOK_SCOPES = ("hooks:trigger-hook:*", "hooks:list-last-fires:*")


def shells_of(world: World, folder: Path, url: str) -> tuple[Path, Path]:
    """Files of environment variables for shells: the release manager's, the release engineer's."""
    return (
        _shell(world, folder, url, "release-manager", MANAGER_CLIENT, MANAGER_SCOPES),
        _shell(world, folder, url, "release-engineer", ENGINEER_CLIENT, ENGINEER_SCOPES),
    )


def as_runner(settings: Settings, world: World) -> Settings:
    """The settings of the runner of pipelines, which is a client of its own."""
    token = world.taskcluster.add_client(RUNNER_CLIENT, (*RUNNER_SCOPES, *HOOK_SCOPES))
    mine = replace(settings.taskcluster, client_id=RUNNER_CLIENT, access_token=Secret(token))
    return replace(settings, taskcluster=mine)


def _shell(world: World, folder: Path, url: str, name: str, client: str, scopes: tuple[str, ...]) -> Path:
    """A file of environment variables that make a shell one of the demo's people."""
    token = world.taskcluster.add_client(client, scopes)
    file = folder / f"{name}.env"
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(f"SHIPIT_URL={url}\nTASKCLUSTER_ROOT_URL={world.taskcluster.url}\n")
        out.write(f"TASKCLUSTER_CLIENT_ID={client}\nTASKCLUSTER_ACCESS_TOKEN={token}\n")
    return file
