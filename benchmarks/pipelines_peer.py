# SPDX-License-Identifier: MPL-2.0
"""The peer of the pipelines' benchmark: DBOS workflows of the same graph, waiting for the same messages.

Printed as one JSON object. Run by benchmarks.pipelines; needs the package `dbos`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time

from dbos import DBOS, SetWorkflowID

LAYERS, WIDTH = 4, 5
STARTED: dict[str, float] = {}


async def work(name: str) -> str:
    """A step: it notes when it was started."""
    STARTED[name] = time.monotonic()
    return name


@DBOS.workflow()
async def pipeline(name: str) -> None:
    """Layers of steps; each layer begins when somebody says that the one before is complete."""
    for layer in range(LAYERS):
        await DBOS.recv_async(f"layer{layer}", timeout_seconds=3600)
        for place in range(WIDTH):
            await DBOS.run_step_async(None, work, f"{name}.{layer}.{place}")


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(url: str, alive: int, changes: int, rate: float, idle: float) -> None:
    """Start workflows, be idle, complete layers at a rate, print the figures."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "log_level": "ERROR",
            "sys_db_pool_size": 4,
        }
    )
    DBOS.launch()
    begun = time.monotonic()
    for number in range(alive):
        with SetWorkflowID(f"p{number}"):
            await DBOS.start_workflow_async(pipeline, f"p{number}")
    started = time.monotonic() - begun
    await asyncio.sleep(2)
    before, at = cpu(), time.monotonic()
    print("idle", flush=True)
    await asyncio.sleep(idle)
    idle_cpu = (cpu() - before) / (time.monotonic() - at)
    print("busy", flush=True)
    before = cpu()
    sent: dict[str, float] = {}
    begun = time.monotonic()
    for number in range(changes):
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        sent[f"p{number}.0.0"] = time.monotonic()
        await DBOS.send_async(f"p{number}", "done", "layer0")
    for _ in range(1200):
        if all(name in STARTED for name in sent):
            break
        await asyncio.sleep(0.05)
    waits = sorted(STARTED[name] - at for name, at in sent.items() if name in STARTED)
    figures = {
        "start_seconds": started,
        "idle_cpu": idle_cpu,
        "cpu": cpu() - before,
        "heard": len(waits),
        "p50": waits[len(waits) // 2],
        "p99": waits[int(len(waits) * 0.99)],
    }
    print(json.dumps(figures), flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    url, *numbers = sys.argv[1:]
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main(url, int(numbers[0]), int(numbers[1]), float(numbers[2]), float(numbers[3])))
    # Workflows that wait for ever would keep the interpreter.
    os._exit(0)
