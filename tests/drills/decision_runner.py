# SPDX-License-Identifier: MPL-2.0
"""A runner of decisions in a process of its own, which kills or stops itself at a point it is told."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
from datetime import timedelta

from shipit.cli.writing import outside_of
from shipit.clients.http import open_session
from shipit.runner.decisions import run
from shipit.settings import Bugzilla, Decisions, Phabricator, Secret, Settings
from shipit.storage.pool import open_pool


async def main(environ: dict[str, str]) -> None:
    """Run until the point was reached so many times; then die as by kill -9. An empty point: for ever."""
    left = int(environ["TIMES"])

    def at(name: str) -> None:
        nonlocal left
        if name == environ["POINT"]:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), getattr(signal, environ.get("HOW", "SIGKILL")))

    settings = Settings(
        bugzilla=Bugzilla(url=environ["BUGZILLA"], api_key=Secret(environ["READING_KEY"])),
        phabricator=Phabricator(url=environ["PHABRICATOR"], token=Secret(environ["READING_TOKEN"])),
        decisions=Decisions(enabled=True),
        secret_key=(Secret(environ["SECRET"]),),
    )
    async with (
        open_session() as session,
        open_pool(environ["DATABASE"], instance=environ["INSTANCE"]) as database,
    ):
        doors = outside_of(settings, session, database)
        assert doors is not None
        brief = dataclasses.replace(
            doors,
            lease=timedelta(seconds=2.5),
            margin=timedelta(seconds=0.5),
            quiet=timedelta(seconds=float(environ["QUIET"])),
            at=at,
        )
        await run(brief, asyncio.Event(), database_url=environ["DATABASE"], tick=0.1)


if __name__ == "__main__":
    asyncio.run(main(dict(item.split("=", 1) for item in sys.stdin.read().split("\n") if item)))
