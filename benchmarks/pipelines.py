# SPDX-License-Identifier: MPL-2.0
"""Pipelines: the cost of a change among thousands alive, beside DBOS, durable DAGs on PostgreSQL.

Both hold pipelines of four layers of five steps; a layer waits until somebody completes the one before, or
until that is done where whole pipelines are run. CPU is of the runner and of PostgreSQL's processes together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from shipit.actions import pipelines as acts
from shipit.actions import steps as served
from shipit.actions.persons import actor
from shipit.runner.pipelines import Runner, run
from shipit.steps.contract import Doors
from shipit.storage import embedded, migrate
from shipit.storage.pool import Database, open_pool

PEER = """\
DBOS Transact is the peer since it is the most used Python package that keeps graphs of steps, and the end
of each, in PostgreSQL alone. Procrastinate and PgQueuer keep jobs, not graphs; Hatchet, Prefect and Temporal
put a server of their own before the database. Both use the same durable server and one process that runs
steps; ours are rows that may be signed, held, skipped and looked at, the peer's are calls of functions."""
INSTANCE = "bench"
LAYERS, WIDTH = 4, 5
ENGINEER = actor("engineer", ["project:shipit:pipeline/*"])
HERE = Path(__file__).resolve().parent
RUNNER = HERE.parent / "tests" / "drills" / "pipeline_runner.py"


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def graph(**step: Any) -> dict[str, Any]:
    """Four layers of five steps, manual ones unless said otherwise; the first of each opens the next."""
    steps = [
        {
            "uid": f"s{layer}_{place}",
            "requires": [f"s{layer - 1}_0"] if layer else [],
            **(step or {"kind": "manual"}),
        }
        for layer in range(LAYERS)
        for place in range(WIDTH)
    ]
    return {"steps": steps}


CLONE = """
insert into pipelines (uid, given, definition, digest)
select 'p' || n, given, definition, digest from pipelines, generate_series({0}, {1}) n where uid = 'p0';
insert into pipeline_steps (pipeline, uid, state, attempt, allowed, kind, started_at)
select 'p' || n, uid, state, attempt, allowed, kind, started_at
from pipeline_steps, generate_series({0}, {1}) n where pipeline = 'p0';
insert into steps (kind, uid, parameters, digest, status, message, details, pipeline)
select kind, replace(uid, 'p0.', 'p' || n || '.'), parameters, digest, status, message, details, 'p' || n
from steps, generate_series({0}, {1}) n where pipeline = 'p0';
"""
COMPLETE = "update steps set status = 'success', finished_at = now() where uid = any(%s)"


def cpu_of(pids: Sequence[int]) -> float:
    """CPU seconds that processes have used; those that ended count nothing."""
    total = 0.0
    for pid in pids:
        try:
            # In nanoseconds, of the main thread, which is all there is of a PostgreSQL process.
            total += int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0]) / 1e9
        except OSError:
            continue
    return total


def own_cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def backends(url: str, application: str = "") -> list[int]:
    """The server's processes that serve this database."""
    asked = (
        "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        " and application_name like %s"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        return [int(row[0]) for row in connection.execute(asked, [f"{application}%"]).fetchall()]


def execute(url: str, text: str, *values: Any) -> None:
    """One or more statements, as the benchmark's own doing."""
    with psycopg.connect(url, autocommit=True, options=f"-c search_path={INSTANCE}") as connection:
        connection.execute(text.encode(), values or None)


async def passes(url: str, database: Database, first: int, changed: int, rounds: int) -> list[float]:
    """CPU seconds of the pass after `changed` steps ended, for some rounds on other pipelines each."""
    runner = Runner(Doors(database=database))
    costs = []
    for number in range(rounds):
        begin = first + number * changed
        await asyncio.to_thread(
            execute, url, COMPLETE, [f"p{n}.s0_0.1" for n in range(begin, begin + changed)]
        )
        pids = backends(url, "shipit")
        before = own_cpu() + cpu_of(pids)
        while await runner.work():
            await runner.settle()
        costs.append(own_cpu() + cpu_of(pids) - before)
    return costs


async def idle(url: str, database: Database, times: int) -> float:
    """CPU seconds of one pass in which nothing changed."""
    runner = Runner(Doors(database=database))
    await runner.work()
    pids = backends(url, "shipit")
    before = own_cpu() + cpu_of(pids)
    for _ in range(times):
        await runner.work()
    return (own_cpu() + cpu_of(pids) - before) / times


async def whole(url: str, database: Database, count: int) -> tuple[float, float]:
    """Steps a second, and CPU seconds per step, of pipelines run from start to end."""
    before = own_cpu() + cpu_of(backends(url, "shipit"))
    begun = time.monotonic()
    timers = graph(kind="timer", parameters={"seconds": 0})
    for number in range(count):
        async with database.connection() as connection:
            await acts.create(connection, f"w{number}", timers, ENGINEER, check_url=lambda _: None, now=now())
    stop = asyncio.Event()
    running = asyncio.ensure_future(run(Doors(database=database), stop, database_url=url))
    while await _left(database):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    seconds = time.monotonic() - begun
    stop.set()
    await running
    used = own_cpu() + cpu_of(backends(url, "shipit")) - before
    steps = count * LAYERS * WIDTH
    return steps / seconds, used / steps


async def _left(database: Database) -> bool:
    async with database.connection() as connection:
        asked = "select exists (select 1 from pipelines where uid ~ '^w' and status = 'in_progress')"
        row = await (await connection.execute(asked)).fetchone()
    return bool(row and row[0])


async def latencies(url: str, database: Database, changes: int, rate: float) -> tuple[list[float], float]:
    """Seconds from completing a step until its successor's start is committed; CPU seconds of the runner.

    The runner is a process of its own; that its decision is committed is heard by a listener.
    """
    process = await asyncio.create_subprocess_exec(sys.executable, str(RUNNER), url, INSTANCE, "", "1")
    begun: dict[str, float] = {}
    ended: dict[str, float] = {}
    hearing = asyncio.ensure_future(_hear(url, begun, ended))
    await asyncio.sleep(3)
    before = cpu_of([process.pid])
    start = time.monotonic()
    try:
        for number in range(1, changes + 1):
            await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
            begun[f"p{number}"] = time.monotonic()
            async with database.connection() as connection:
                await served.finish(
                    connection,
                    f"p{number}.s1_0.1",
                    ENGINEER,
                    is_done=True,
                    comment="",
                    output={},
                    now=now(),
                )
        await asyncio.sleep(2)
        used = cpu_of([process.pid]) - before
    finally:
        hearing.cancel()
        process.terminate()
        await process.wait()
    assert len(ended) == changes, f"{changes - len(ended)} completions were never heard of"
    return sorted(ended[name] - at for name, at in begun.items()), used


async def _hear(url: str, begun: dict[str, float], ended: dict[str, float]) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"listen {INSTANCE}_live".encode())
        async for notification in connection.notifies():
            for name in json.loads(notification.payload)["ids"] or ():
                if name in begun:
                    ended.setdefault(name, time.monotonic())


def peer(
    url: str, alive: int, changes: int, rate: float, seconds: float, count: int
) -> dict[str, Any] | None:
    """The peer's figures, None where it is not installed; BENCH_DBOS_PYTHON: an interpreter that has it."""
    python = os.environ.get("BENCH_DBOS_PYTHON", sys.executable)
    found = subprocess.run([python, "-c", "import dbos"], capture_output=True, check=False)
    if found.returncode:
        return None
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create database peer")
    where = url.replace("/postgres?", "/peer?")
    words = [
        python,
        str(HERE / "pipelines_peer.py"),
        where,
        str(alive),
        str(changes),
        str(rate),
        str(seconds),
        str(count),
    ]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "idle\n"
    pids = backends(where)
    before = cpu_of(pids)
    assert process.stdout.readline() == "busy\n"
    server = (cpu_of(pids) - before) / seconds
    assert process.stdout.readline() == "whole\n"
    before = cpu_of(backends(where))
    assert process.stdout.readline() == "done\n"
    steps = count * LAYERS * WIDTH
    whole_cpu = (cpu_of(backends(where)) - before) / steps
    process.stdin.write("\n")
    process.stdin.flush()
    figures: dict[str, Any] = json.loads(process.stdout.readline())
    process.wait(timeout=30)
    return {
        **figures,
        "idle_cpu": figures["idle_cpu"] + server,
        "whole_cpu": figures["whole_cpu"] / steps + whole_cpu,
    }


async def measure(url: str, options: argparse.Namespace) -> None:
    """Measure and print."""
    migrate.upgrade(url, instance=INSTANCE)
    async with open_pool(url, instance=INSTANCE, application="shipit bench") as database:
        async with database.connection() as connection:
            await acts.create(connection, "p0", graph(), ENGINEER, check_url=lambda _: None, now=now())
        rows = []
        few, many = options.alive
        await asyncio.to_thread(execute, url, CLONE.format(1, few - 1))
        for alive, first in ((few, 1), (many, few)):
            if alive == many:
                await asyncio.to_thread(execute, url, CLONE.format(few, many - 1))
            # As the server does by itself in time; else the first reader pays for rows just written.
            await asyncio.to_thread(execute, url, "vacuum analyze")
            await passes(url, database, first, 10, 2)
            costs = await passes(url, database, first + 20, options.changed, options.rounds)
            rows.append((alive, statistics.mean(costs), await idle(url, database, 20)))
        waits, used = await latencies(url, database, options.completions, options.rate)
        rate, cpu = await whole(url, database, options.whole)
    given = await asyncio.to_thread(
        peer, url, few, min(options.completions, few), options.rate, 5.0, options.whole
    )
    print(f"{options.changed} steps end in a pass; 20 steps per pipeline; Python {sys.version.split()[0]}\n")
    print("| pipelines alive | CPU ms of the pass | CPU ms of a pass in which nothing changed |")
    print("| --: | --: | --: |")
    for alive, cost, nothing in rows:
        print(f"| {alive} | {cost * 1000:.0f} | {nothing * 1000:.2f} |")
    print(f"\nFrom {few} to {many} alive at equal change: {rows[1][1] / rows[0][1]:.2f}×.\n")
    print(f"At {options.rate:g} completions/s:\n")
    print("| from completion to start of the successor | alive | p50 ms | p99 ms | idle: CPU ms a second |")
    print("| --- | --: | --: | --: | --: |")
    p50, p99 = statistics.median(waits), waits[int(len(waits) * 0.99)]
    # Without a notification a runner passes once in a second.
    print(f"| **ours** | {many} | {p50 * 1000:.0f} | {p99 * 1000:.0f} | {rows[1][2] * 1000:.1f} |")
    if given is None:
        print("| DBOS: not installed here | | | | |")
    else:
        shown = f"{given['p50'] * 1000:.0f} | {given['p99'] * 1000:.0f} | {given['idle_cpu'] * 1000:.1f}"
        print(f"| DBOS | {few} | {shown} |")
    print(f"\n{options.whole} whole pipelines, put and run to their end:\n")
    print("| | steps a second | CPU ms per step |")
    print("| --- | --: | --: |")
    print(f"| **ours** | {rate:.0f} | {cpu * 1000:.2f} |")
    if given is not None:
        print(f"| DBOS | {given['whole_rate']:.0f} | {given['whole_cpu'] * 1000:.2f} |")
    print(f"\n{PEER}")
    print(f"\nThe runner's process used {used:.2f} CPU s for {len(waits)} completions.")


def main(words: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alive", type=int, nargs=2, default=(1000, 10_000))
    parser.add_argument("--changed", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--completions", type=int, default=300)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--whole", type=int, default=100)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder, embedded.run(Path(folder)) as url:
        asyncio.run(measure(url, options))


if __name__ == "__main__":
    main()
