# SPDX-License-Identifier: MPL-2.0
"""The listener through journal and acknowledgement, beside a bare aio-pika loop on the same broker.

The peer consumes and acknowledges, and does nothing else. Both read the same messages (1.1 kB, shaped as
Taskcluster's task-completed) from queues of a real RabbitMQ; ours also stores each in PostgreSQL before
it acknowledges. CPU is of the consuming process. The latency is from publishing to the hook call's arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aio_pika
import psycopg

from shipit.clients.pulse import Address, open_consumer
from shipit.events.routes import parse_routes
from shipit.events.types import Delivery
from shipit.listener.book import RouteBook
from shipit.listener.intake import Intake
from shipit.listener.measures import Measures
from shipit.storage import embedded, migrate
from shipit.storage.pool import Database, Limits, open_pool

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fake_taskcluster import FakeTaskcluster, served
from fixtures_postgres import Database as Scratch
from fixtures_rabbitmq import BIN, USER, RabbitMQ
from listener_process import EXCHANGE, ListenerProcess, Numbers

TASKS = "exchange/taskcluster-queue/v1/task-completed"
ROUTES = parse_routes(
    [
        {
            "name": "bench",
            "sink": {"kind": "hook", "hook": "g/h"},
            "match": {"exchange": TASKS, "keys": ["#"], "where": [{"path": "state", "equals": "failed"}]},
        }
    ]
)
PREFETCH = 500


def body(number: int) -> bytes:
    """A message of the usual size; each is another one."""
    status = {
        "taskId": f"T{number:021}",
        "provisionerId": "proj-releng",
        "workerType": "acceptance",
        "schedulerId": "gecko-level-3",
        "taskGroupId": f"G{number // 100:021}",
        "state": "completed",
        "runs": [{"runId": 0, "state": "completed", "reasonResolved": "completed", "workerId": "w" * 400}],
    }
    tags = {
        "kind": "test",
        "label": f"test-linux64/opt-{number}",
        "createdForUser": "a@example.com" + "x" * 200,
    }
    return json.dumps({"status": status, "runId": 0, "task": {"tags": tags}, "version": 1}).encode()


async def fill(broker: RabbitMQ, queues: Sequence[str], numbers: range) -> None:
    """Publish these numbers to the queues."""
    async with await aio_pika.connect(broker.admin_url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        exchange = await channel.declare_exchange(TASKS, "topic", durable=True)
        for name in queues:
            queue = await channel.declare_queue(name, durable=True)
            await queue.bind(exchange, "#")
        for number in numbers:
            message = aio_pika.Message(body(number), delivery_mode=2, content_type="application/json")
            await exchange.publish(message, f"primary.T{number:021}.0.w.w.p.a.gecko-level-3.G._")
        # confirmed: everything before it is in the queues
        confirmed = await connection.channel(publisher_confirms=True)
        await confirmed.default_exchange.publish(aio_pika.Message(b""), "nowhere", mandatory=False)


async def bare(broker: RabbitMQ, queue: str, count: int) -> tuple[float, float]:
    """Messages per second and per CPU second of a loop that only acknowledges."""
    done, seen = asyncio.Event(), 0

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal seen
        await message.ack()
        seen += 1
        if seen == count:
            done.set()

    async with await aio_pika.connect(broker.admin_url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        source = await channel.get_queue(queue)
        wall, cpu = time.perf_counter(), time.process_time()
        await source.consume(take)
        await done.wait()
        return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


async def ours(broker: RabbitMQ, db: Database, queue: str, count: int) -> tuple[float, float]:
    """The same through journal and acknowledgement."""
    intake = Intake(db, RouteBook(lambda: ROUTES), Measures(), instance="bench")
    stop, seen = asyncio.Event(), 0

    async def take(deliveries: Sequence[Delivery]) -> None:
        nonlocal seen
        await intake.take("pulse:bench", deliveries)
        seen += len(deliveries)
        if seen >= count:
            stop.set()

    async with open_consumer(Address(url=broker.url), queue, prefetch=PREFETCH) as consumer:
        wall, cpu = time.perf_counter(), time.process_time()
        await consumer.run(take, stop)
        return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


async def throughput(broker: RabbitMQ, database: Scratch, count: int, rounds: int) -> None:
    """The table of rates."""
    peer, mine = "queue/bench-bare", f"queue/{USER}/shipit/bench/bench"
    rows: list[tuple[float, float, float, float]] = []
    async with open_pool(database.url, instance="bench", limits=Limits(connections=4)) as db:
        for number in range(rounds):
            await fill(broker, [peer, mine], range(number * count, (number + 1) * count))
            rows.append((*await bare(broker, peer, count), *await ours(broker, db, mine, count)))
    with psycopg.connect(database.url, options="-c search_path=bench") as own:
        row = own.execute("select count(*) from events").fetchone()
        assert row is not None and row[0] == rounds * count, row
    print(f"{count} messages, {rounds} rounds in turn; all stored once.\n")
    print("| round | bare: per s | bare: per CPU s | ours: per s | ours: per CPU s | ours ÷ bare |")
    print("| --: | --: | --: | --: | --: | --: |")
    for place, (rate, cpu, our_rate, our_cpu) in enumerate(rows, 1):
        print(
            f"| {place} | {rate:,.0f} | {cpu:,.0f} | {our_rate:,.0f} | {our_cpu:,.0f} "
            f"| {our_rate / rate:.0%} |"
        )
    ratio = statistics.median(row[2] / row[0] for row in rows)
    print(
        f"\nMedian: **{ratio:.0%}** of the bare loop's rate (wanted: at least 60 %), "
        f"**{statistics.median(row[3] for row in rows):,.0f}** events per CPU second "
        "(wanted: at least 1,500).\n"
    )


async def latency(broker: RabbitMQ, database: Scratch, seconds: int) -> None:
    """Publish 100 events a second at a listener and see when the hook calls arrive."""
    arrived: dict[int, float] = {}
    tc = FakeTaskcluster()
    numbers = Numbers(broker)
    await numbers.declare()
    async with served(tc.app()) as url:
        tc.url = url
        with tempfile.TemporaryDirectory() as folder:
            listener = ListenerProcess(Path(folder), broker=broker, database=database, root_url=url)
            listener.start()
            try:
                await listener.ready()
                began = cpu_seconds(listener)
                published = await publish_steadily(broker, seconds)
                deadline = time.monotonic() + 30
                while len(tc.times) < len(published) and time.monotonic() < deadline:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                cpu = cpu_seconds(listener) - began
            finally:
                await asyncio.to_thread(listener.terminate)
    assert len(tc.tasks) == len(published), (len(tc.tasks), len(published))
    for at, task in zip(tc.times, tc.tasks.values(), strict=True):
        arrived[task["payload"]["env"]["N"]] = at
    delays = sorted((arrived[number] - at) * 1000 for number, at in published.items())
    quantiles = statistics.quantiles(delays, n=100)
    print(
        f"At 100 events a second for {seconds} s, publish → hook call: p50 **{quantiles[49]:.0f} ms**, "
        f"p99 **{quantiles[98]:.0f} ms** (wanted: below 100 ms), most {delays[-1]:.0f} ms. The listener took "
        f"{cpu / len(published) * 1000:.1f} ms of CPU for each, from the broker to the settled hook call; "
        f"the machine's load was {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n"
    )


def cpu_seconds(listener: ListenerProcess) -> float:
    """What the process has used so far."""
    assert listener.process is not None
    fields = Path(f"/proc/{listener.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def publish_steadily(broker: RabbitMQ, seconds: int) -> dict[int, float]:
    """When each number was published."""
    published: dict[int, float] = {}
    loop = asyncio.get_running_loop()
    async with await aio_pika.connect(broker.admin_url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        began = loop.time()
        for number in range(1, seconds * 100 + 1):
            await asyncio.sleep(max(0.0, began + number / 100 - loop.time()))
            published[number] = loop.time()
            await exchange.publish(
                aio_pika.Message(b'{"n":%d}' % number, delivery_mode=2), f"number.{number}"
            )
    return published


async def memory(database: Scratch, count: int) -> None:
    """Feed a listener's intake and see whether its memory grows."""
    marks: list[tuple[int, int]] = []
    async with open_pool(database.url, instance="bench", limits=Limits(connections=2)) as db:
        intake = Intake(db, RouteBook(lambda: ROUTES), Measures(), instance="bench")
        for start in range(0, count, PREFETCH):
            some = [
                Delivery(source="pulse", exchange=TASKS, routing_key="primary", body=body(10**9 + n), via="q")
                for n in range(start, min(start + PREFETCH, count))
            ]
            await intake.take("pulse:bench", some)
            if start % (count // 10 // PREFETCH * PREFETCH or PREFETCH) == 0:
                marks.append((start, rss()))
                async with db.connection() as connection:
                    await connection.execute("truncate events cascade")
    first, last = marks[1][1], rss()
    print(
        f"Memory over {count:,} events through the intake: {first} MB after a tenth, {last} MB at the end "
        f"({last - first:+d} MB), most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB.\n"
    )


def rss() -> int:
    """Resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // (1 << 20)


async def backlog(broker: RabbitMQ, database: Scratch, count: int) -> None:
    """Let a listener that was away drain what gathered."""
    queue = f"queue/{USER}/shipit/bench/bench"
    with psycopg.connect(database.url, options="-c search_path=bench", autocommit=True) as own:
        own.execute("truncate events cascade")
    await fill(broker, [queue], range(2 * 10**9, 2 * 10**9 + count))
    async with open_pool(database.url, instance="bench", limits=Limits(connections=4)) as db:
        rate, _ = await ours(broker, db, queue, count)
    with psycopg.connect(database.url, options="-c search_path=bench") as own:
        row = own.execute("select count(*), sum(told) from events").fetchone()
    assert row is not None and row[0] == count, row
    print(f"A backlog of {count:,} messages drained in {count / rate:.0f} s, {row[0]:,} stored, lost 0.\n")


async def run(options: argparse.Namespace) -> None:
    """All sections."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "rabbit").mkdir()
        broker = RabbitMQ(folder / "rabbit")
        stack.callback(broker.stop)
        broker.start()
        broker.add_user()
        url = stack.enter_context(
            embedded.run(folder / "postgres", embedded.Options(durable=True, max_connections=50))
        )
        migrate.upgrade(url, instance="bench")
        database = Scratch(url, "bench")
        await throughput(broker, database, options.messages, options.rounds)
        await latency(broker, database, options.seconds)
        await backlog(broker, database, options.backlog)
        await memory(database, options.memory)


def main() -> int:
    """Measure and print; 0 when it could be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--backlog", type=int, default=50_000)
    parser.add_argument("--memory", type=int, default=1_000_000)
    if not (BIN / "rabbitmq-server").exists():
        print("Not measured: RabbitMQ is not installed here.")
        return 0
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
