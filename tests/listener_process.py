# SPDX-License-Identifier: MPL-2.0
"""`shipit listen` as a process of its own, for drills that stop, kill and freeze what it depends on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import aio_pika
import psycopg

from fixtures_postgres import Database
from fixtures_rabbitmq import RabbitMQ, free_ports

EXCHANGE = "exchange/drill-publisher/v1"
MOZREVIEW_LIKE = """
[[routes]]
name = "numbers"
sink = { kind = "hook", hook = "drill/numbers" }
match = { exchange = "exchange/drill-publisher/v1", keys = ["number.#"] }
payload = { N = "${payload.n}" }
dedup = "${payload.n}"
"""


class ListenerProcess:
    """A listener on a broker, a database and a Taskcluster. log: what it wrote."""

    def __init__(
        self,
        folder: Path,
        *,
        broker: RabbitMQ,
        database: Database,
        root_url: str,
        routes: str = MOZREVIEW_LIKE,
        phabricator: str | None = None,
        extra: str = "",
        name: str = "one",
    ) -> None:
        (self.port,) = free_ports(1)
        self.log = folder / f"{name}.log"
        self.config = folder / f"{name}.toml"
        asked = f'[phabricator]\nurl = "{phabricator}"\ntoken = "api-x"\n' if phabricator else ""
        self.config.write_text(
            f'instance = "{database.instance}"\n'
            f'[backend]\ndatabase_url = "{database.url}"\n'
            f'[taskcluster]\nroot_url = "{root_url}"\nclient_id = "listener"\naccess_token = "secret"\n'
            f"[listener]\nport = {self.port}\nlease_seconds = 2\npoll_seconds = 0.3\nsweep_minutes = 0.01\n"
            f"{asked}"
            f"[pulse]\nheartbeat = 4\n{extra}{routes}"
        )
        self.environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("SHIPIT_", "TASKCLUSTER_"))
            },
            "SHIPIT_CONFIG": str(self.config),
            "SHIPIT_PULSE_URL": broker.url,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, failpoint: str | None = None, shadow: bool = False) -> None:
        """Start it; failpoint: where it kills itself; shadow: beside another, never acting."""
        environment = dict(self.environment)
        if failpoint is not None:
            environment["SHIPIT_FAILPOINT"] = failpoint
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "shipit", "listen", *(["--shadow"] if shadow else [])],
                env=environment,
                stdout=log,
                stderr=log,
            )

    async def ready(self, *, seconds: float = 120) -> None:
        """Wait until every part of it is well."""
        deadline = time.monotonic() + seconds
        told: Any = None
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            told = await asyncio.to_thread(self.heartbeat)
            if told.get("status") == "ok":
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"not ready: {told}\n{self.log.read_text()[-3000:]}")

    async def unwell(self) -> None:
        """Wait until it says itself that something is wrong."""
        deadline = time.monotonic() + 90
        while (await asyncio.to_thread(self.heartbeat)).get("status") != "error":
            assert time.monotonic() < deadline, "it thinks that all is well"
            await asyncio.sleep(0.1)

    def heartbeat(self) -> dict[str, Any]:
        """What /__heartbeat__ says; {} without an answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/__heartbeat__", timeout=2) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
        except OSError:
            return {}

    async def ended(self, *, seconds: float = 120) -> int:
        """Its exit code; it must end by itself."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, seconds)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Numbers:
    """A publisher that counts: {"n": 1}, {"n": 2}… each must become exactly one task."""

    def __init__(self, broker: RabbitMQ) -> None:
        self._broker = broker
        self.last = 0

    async def declare(self) -> None:
        """Make the exchange."""
        async with await aio_pika.connect(self._broker.admin_url) as connection:
            channel = await connection.channel()
            queue = "exchange/taskcluster-queue/v1/task-"
            for name in (
                EXCHANGE,
                *(queue + end for end in ("group-resolved", "completed", "failed", "exception")),
            ):
                await channel.declare_exchange(name, "topic", durable=True)

    async def publish(self, count: int, *, exchange: str = EXCHANGE, prefix: str = "number") -> None:
        """Publish the next numbers, confirmed by the broker."""
        async with await aio_pika.connect(self._broker.admin_url) as connection:
            channel = await connection.channel(publisher_confirms=True)
            target = await channel.get_exchange(exchange, ensure=False)
            for _ in range(count):
                self.last += 1
                message = aio_pika.Message(json.dumps({"n": self.last}).encode(), delivery_mode=2)
                await target.publish(message, f"{prefix}.{self.last}")


def effect_states(database: Database) -> dict[str, int]:
    """How many effects are in which state."""
    with database.connect() as own:
        return dict(own.execute("select state, count(*) from effects group by 1").fetchall())


async def until_fired(database: Database, count: int, *, seconds: float = 150) -> float:
    """Wait until so many effects are fired or done; how long it took."""
    began = time.monotonic()
    found: dict[str, int] = {}
    while time.monotonic() - began < seconds:
        try:
            found = await asyncio.to_thread(effect_states, database)
        except psycopg.OperationalError:
            found = {}
        if found.get("fired", 0) + found.get("done", 0) == count:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    raise AssertionError(f"after {seconds} s: {found}, wanted {count} fired")
