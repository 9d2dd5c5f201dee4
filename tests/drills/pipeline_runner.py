# SPDX-License-Identifier: MPL-2.0
"""A runner of pipelines in a process of its own, which kills itself at a point it is told."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta

from shipit.clients.http import open_session
from shipit.clients.steps import StepServices
from shipit.runner.pipelines import run
from shipit.steps.contract import Doors
from shipit.steps.hosts import Hosts
from shipit.storage.pool import open_pool


async def main(url: str, instance: str, point: str, times: int) -> None:
    """Run until the point was reached `times` times; then die as by kill -9. An empty point: for ever."""
    left = times

    def at(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    async with open_session() as session, open_pool(url, instance=instance) as database:
        services = StepServices(session, Hosts(is_loopback_allowed=True).refusal, timeout=1)
        doors = Doors(database=database, services=services)
        stop = asyncio.Event()
        await run(doors, stop, database_url=url, tick=0.1, lease=timedelta(seconds=1.5), at=at)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
