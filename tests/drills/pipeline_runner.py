# SPDX-License-Identifier: MPL-2.0
"""A runner of pipelines in a process of its own, which kills itself at a point it is told.

DRILL_TASKCLUSTER and DRILL_BALROG: fakes that it may also write to, with the token "drill" at each.
DRILL_SIGNAL: another signal than SIGKILL that it gives itself, such as SIGSTOP.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta

from shipit.clients.balrog import Balrog
from shipit.clients.http import Session, open_session
from shipit.clients.steps import StepServices
from shipit.clients.task_groups import TaskGroups
from shipit.clients.taskcluster import Credentials
from shipit.runner.pipelines import IDLE_SECONDS, run
from shipit.steps import rollout, taskcluster_making
from shipit.steps.contract import Doors
from shipit.steps.hosts import Hosts
from shipit.storage.pool import Database, Limits, open_pool

# So that a drill takes seconds; the order of all that happens stays the same.
rollout.LOOK_SECONDS, rollout.AHEAD = 0.3, timedelta(seconds=2)
taskcluster_making.SETTLE = timedelta(seconds=1)


def outside(session: Session, database: Database) -> Doors:
    """What the runner may use."""
    services = StepServices(session, Hosts(is_loopback_allowed=True).refusal, timeout=1)
    root, balrog = os.environ.get("DRILL_TASKCLUSTER"), os.environ.get("DRILL_BALROG")
    signed = Credentials("drill", "drill")
    return Doors(
        database=database,
        services=services,
        task_groups=TaskGroups(session, root, signed, timeout=2, attempts=1) if root else None,
        balrog=Balrog(session, balrog, token="drill", timeout=2) if balrog else None,
    )


async def main(url: str, instance: str, point: str, times: int) -> None:
    """Run until the point was reached `times` times; then die as by kill -9. An empty point: for ever."""
    left, given = times, signal.Signals[os.environ.get("DRILL_SIGNAL", "SIGKILL")]

    def at(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), given)

    limits = Limits(idle=IDLE_SECONDS)
    async with open_session() as session, open_pool(url, instance=instance, limits=limits) as database:
        stop = asyncio.Event()
        doors = outside(session, database)
        await run(doors, stop, database_url=url, tick=0.1, lease=timedelta(seconds=1.5), at=at)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
