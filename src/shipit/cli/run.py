# SPDX-License-Identifier: MPL-2.0
"""`shipit run`: the runner, the backend's worker."""

from __future__ import annotations

import asyncio

import click

from shipit.cli.opening import sender
from shipit.cli.options import stop_on_signals
from shipit.cli.reading import database_url, read_settings
from shipit.cli.serve import check_schema, configure_logging
from shipit.cli.stepping import step_doors
from shipit.cli.writing import outside_of
from shipit.clients.http import open_session
from shipit.runner.decisions import run as run_decisions
from shipit.runner.loop import run as run_loop
from shipit.runner.pipelines import IDLE_SECONDS
from shipit.runner.pipelines import run as run_pipelines
from shipit.settings import Settings
from shipit.storage.pool import Limits, open_pool


@click.command()
def run() -> None:
    """The runner: pipelines, decisions, alarms. Needs DATABASE_URL; any number may run."""
    settings = read_settings()
    url = database_url(settings)
    configure_logging()
    check_schema(url, settings.instance)
    asyncio.run(_run(settings, url))


async def _run(settings: Settings, url: str) -> None:
    stop = stop_on_signals()
    limits = Limits(connections=settings.backend.database_connections, idle=IDLE_SECONDS)
    async with (
        open_session(trust_env=True) as session,
        open_pool(url, instance=settings.instance, limits=limits, application="shipit run") as database,
        asyncio.TaskGroup() as both,
    ):
        both.create_task(run_loop(settings, database, sender(settings, session), stop))
        doors = step_doors(settings, session, database)
        both.create_task(run_pipelines(doors, stop, database_url=url))
        outside = outside_of(settings, session, database)
        if outside is not None:
            both.create_task(run_decisions(outside, stop, database_url=url))
