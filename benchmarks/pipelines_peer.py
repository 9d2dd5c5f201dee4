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


@DBOS.workflow()
async def whole(name: str) -> None:
    """The same layers, of which none waits for anybody."""
    for layer in range(LAYERS):
        for place in range(WIDTH):
            await DBOS.run_step_async(None, work, f"{name}.{layer}.{place}")


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def run_whole(count: int) -> tuple[float, float]:
    """Steps a second of workflows run from start to end, and the CPU seconds of this process."""
    before, begun = cpu(), time.monotonic()
    handles = []
    for number in range(count):
        with SetWorkflowID(f"w{number}"):
            handles.append(await DBOS.start_workflow_async(whole, f"w{number}"))
    for handle in handles:
        await handle.get_result()
    return count * LAYERS * WIDTH / (time.monotonic() - begun), cpu() - before


async def main(url: str, alive: int, changes: int, rate: float, idle: float, count: int) -> None:
    """Start workflows, be idle, complete layers at a rate, run whole ones, print the figures."""
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
    used = cpu() - before
    print("whole", flush=True)
    whole_rate, whole_cpu = await run_whole(count)
    print("done", flush=True)
    # Its connections are looked at before they end.
    sys.stdin.readline()
    figures = {
        "start_seconds": started,
        "idle_cpu": idle_cpu,
        "cpu": used,
        "heard": len(waits),
        "p50": waits[len(waits) // 2],
        "p99": waits[int(len(waits) * 0.99)],
        "whole_rate": whole_rate,
        "whole_cpu": whole_cpu,
    }
    print(json.dumps(figures), flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    url, *numbers = sys.argv[1:]
    loop = asyncio.new_event_loop()
    alive, changes, count = int(numbers[0]), int(numbers[1]), int(numbers[4])
    loop.run_until_complete(main(url, alive, changes, float(numbers[2]), float(numbers[3]), count))
    # Workflows that wait for ever would keep the interpreter.
    os._exit(0)
