# SPDX-License-Identifier: MPL-2.0
"""Fault drills of the listener with a real RabbitMQ and PostgreSQL: lost 0, doubled 0, recovery time told."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import aio_pika
import pytest
from aiohttp import web

from event_builders import commit, published, spoilt
from fake_taskcluster import FakeConduit, FakeTaskcluster, served
from fixtures_postgres import Database, Server, server_binaries
from fixtures_rabbitmq import USER, RabbitMQ
from listener_process import EXCHANGE, ListenerProcess, Numbers, effect_states, until_fired
from shipit.clients.pulse import Address, delete_queue
from shipit.events.originals import all_routes, default_hooks
from shipit.listener.book import RouteBook
from shipit.listener.failpoints import FAILPOINTS
from shipit.listener.intake import Intake
from shipit.listener.measures import Measures
from shipit.storage import embedded
from shipit.storage.pool import open_pool

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]

QUEUE = f"queue/{USER}/shipit/testing/numbers"


class Drill:
    """One listener with everything around it."""

    def __init__(
        self, broker: RabbitMQ, database: Database, tc: FakeTaskcluster, listener: ListenerProcess
    ) -> None:
        self.broker, self.database, self.tc, self.listener = broker, database, tc, listener
        self.numbers = Numbers(broker)

    async def all_fired(self, *, seconds: float = 150) -> float:
        """Every number published so far became exactly one task; seconds until then."""
        took = await until_fired(self.database, self.numbers.last, seconds=seconds)
        told = Counter(payload["N"] for payload in self.tc.payloads())
        lost = set(range(1, self.numbers.last + 1)) - set(told)
        doubled = {number for number, count in told.items() if count > 1}
        assert (lost, doubled) == (set(), set())
        return took


def tell(what: str, seconds: float) -> None:
    """One line of the report that `make drills` shows."""
    print(f"\ndrill: {what}: lost 0, doubled 0, recovered in {seconds:.1f} s")


@pytest.fixture
async def drill(rabbitmq: RabbitMQ, database: Database, tmp_path: Path) -> AsyncIterator[Drill]:
    tc = FakeTaskcluster()
    async with AsyncExitStack() as stack:
        tc.url = await stack.enter_async_context(served(tc.app()))
        listener = ListenerProcess(tmp_path, broker=rabbitmq, database=database, root_url=tc.url)
        made = Drill(rabbitmq, database, tc, listener)
        await made.numbers.declare()
        for part in ("numbers", "-follow"):
            await delete_queue(Address(url=rabbitmq.url), f"queue/{USER}/shipit/testing/{part}")
        listener.start()
        await listener.ready()
        try:
            yield made
        finally:
            listener.kill()


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_killed_at_any_failpoint_it_triggers_exactly_once(drill: Drill, failpoint: str) -> None:
    await asyncio.to_thread(drill.listener.terminate)
    route = drill.listener.config.read_text()
    # a group to look at, so that every failpoint is on the way
    drill.listener.config.write_text(route + RESOLVED_TOO)
    drill.tc.groups["GROUP"] = [
        {
            "status": {"taskId": "A", "state": "completed"},
            "task": {"metadata": {"name": "build"}, "payload": {}},
        }
    ]
    drill.listener.start(failpoint=failpoint)
    try:
        await drill.listener.ready(seconds=60)
    except AssertionError:
        assert drill.listener.process is not None
        assert drill.listener.process.poll() == -signal.SIGKILL
    await drill.numbers.publish(5)
    await publish_resolved(drill.broker)
    stop = asyncio.Event()
    resolving = asyncio.create_task(resolve_all(drill.broker, drill.tc, stop))
    try:
        assert await drill.listener.ended() == -signal.SIGKILL
        began = time.monotonic()
        drill.listener.start()
        await until_done(drill.database, 6)
        tell(f"kill -9 at {failpoint}", time.monotonic() - began)
    finally:
        stop.set()
        await asyncio.wait_for(resolving, 60)
    told = Counter(str(payload) for payload in drill.tc.payloads())
    assert set(told.values()) == {1}
    assert len(told) == 6


RESOLVED_TOO = """
[[routes]]
name = "resolved"
sink = { kind = "hook", hook = "drill/resolved" }
match = { exchange = "exchange/taskcluster-queue/v1/task-group-resolved", task_names = ["build"] }
payload = { GROUP = "${group}" }
"""


async def publish_resolved(broker: RabbitMQ) -> None:
    """Tell that the group is resolved."""
    async with await aio_pika.connect(broker.admin_url) as connection:
        channel = await connection.channel()
        name = "exchange/taskcluster-queue/v1/task-group-resolved"
        exchange = await channel.declare_exchange(name, "topic", durable=True)
        body = b'{"taskGroupId":"GROUP","schedulerId":"s","version":1}'
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            # until its queue is bound, the broker drops it
            await exchange.publish(aio_pika.Message(body, delivery_mode=2), "primary.GROUP.s._")
            queues = await asyncio.to_thread(broker.ctl, "list_bindings", "source_name", "destination_name")
            if "task-group-resolved" in queues:
                await exchange.publish(aio_pika.Message(body, delivery_mode=2), "primary.GROUP.s._")
                return
            await asyncio.sleep(0.5)
        raise AssertionError("nobody bound to task-group-resolved")


async def resolve_all(broker: RabbitMQ, tc: FakeTaskcluster, stop: asyncio.Event) -> None:
    """Every task completes, and the broker tells it again and again."""
    async with await aio_pika.connect(broker.admin_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("exchange/taskcluster-queue/v1/task-completed", ensure=False)
        while not stop.is_set():
            for name in list(tc.tasks):
                tc.resolve(name, "completed")
                status = {"taskId": name, "state": "completed", "runs": tc.tasks[name]["runs"]}
                body = json.dumps({"status": status, "runId": 0}).encode()
                await exchange.publish(aio_pika.Message(body), f"primary.{name}.0.w.w.p.w.-.{name}._")
            await asyncio.sleep(0.3)


async def until_done(database: Database, count: int) -> None:
    """Wait until so many effects are fired at least, and none waits."""
    began = time.monotonic()
    found: dict[str, int] = {}
    while time.monotonic() - began < 150:
        found = await asyncio.to_thread(effect_states, database)
        if found.get("fired", 0) + found.get("done", 0) == count == sum(found.values()):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(str(found))


async def test_a_hundred_thousand_malformed_deliveries_block_nobody(database: Database) -> None:
    rolls, count, began = random.Random(7), 100_000, time.monotonic()
    routes = all_routes((), default_hooks("testing"))
    async with open_pool(database.url, instance=database.instance) as db:
        intake = Intake(db, RouteBook(lambda: routes), Measures(), instance="testing")
        for _ in range(count // 500):
            await intake.take("fuzz", [spoilt(rolls) for _ in range(499)] + [published(commit(1, "a"))])
    with database.connect() as own:
        told = own.execute("select sum(told) from events").fetchone()
        mute = own.execute(
            "select count(*) from events where reason is null and state in ('quarantined', 'ignored')"
        ).fetchone()
        good = own.execute("select told from events where kind = 'mozreview-commits' and state = 'matched'")
        assert told is not None and mute is not None
        # copies within a batch are one delivery
        assert told[0] > count * 0.5
        assert mute[0] == 0
        assert (count // 500,) in good.fetchall(), "the good one came through every time"
    tell(f"{count} malformed deliveries", time.monotonic() - began)


async def test_malformed_deliveries_block_no_queue_of_the_broker(drill: Drill) -> None:
    rolls, count, began = random.Random(11), 10_000, time.monotonic()
    async with await aio_pika.connect(drill.broker.admin_url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        for number in range(count):
            headers: dict[str, Any] = rolls.choice([{}, {"CC": ["a", "number.b"]}, {"x": 1, "y": None}])
            kind = rolls.choice(["application/json", "text/plain", ""])
            message = aio_pika.Message(
                spoilt(rolls).body, headers=headers, content_type=kind, delivery_mode=2
            )
            await exchange.publish(message, f"number.spoilt.{number}")
            if number % 1000 == 999:
                await drill.numbers.publish(1)
    await drill.numbers.publish(10)
    await drill.all_fired(seconds=150)
    with drill.database.connect() as own:
        found = own.execute(
            "select count(*), count(*) filter (where state = 'quarantined' and reason <> ''), sum(told)"
            " from events where routing_key like 'number.spoilt.%%'"
        ).fetchone()
    # each has another key, so each is stored by itself
    assert found == (count, count, count), "every one is kept with its reason"
    assert drill.listener.heartbeat()["status"] == "ok"
    assert await depth_of(drill.broker, QUEUE) == 0
    tell(f"{count} malformed deliveries through the broker", time.monotonic() - began)


async def depth_of(broker: RabbitMQ, queue: str) -> int:
    """Messages in a queue, handed over or not."""
    listed = await asyncio.to_thread(broker.ctl, "list_queues", "name", "messages")
    return int(dict(line.split("\t") for line in listed.splitlines() if line.startswith("queue/"))[queue])


async def test_L2_the_broker_is_killed_and_comes_back(drill: Drill) -> None:
    await drill.numbers.publish(20)
    await asyncio.to_thread(drill.broker.kill)
    await drill.listener.unwell()
    await asyncio.to_thread(drill.broker.start)
    began = time.monotonic()
    await drill.numbers.publish(20)
    await drill.all_fired()
    tell("broker killed", time.monotonic() - began)


async def test_the_broker_is_stopped_and_started(drill: Drill) -> None:
    await drill.numbers.publish(20)
    await asyncio.to_thread(drill.broker.ctl, "stop_app")
    await asyncio.sleep(2)
    await asyncio.to_thread(drill.broker.ctl, "start_app")
    began = time.monotonic()
    await drill.numbers.publish(20)
    await drill.all_fired()
    tell("broker stopped", time.monotonic() - began)


async def test_the_broker_is_frozen_for_16_seconds(drill: Drill) -> None:
    await drill.numbers.publish(20)
    drill.broker.signal(signal.SIGSTOP)
    await asyncio.sleep(16)
    drill.broker.signal(signal.SIGCONT)
    began = time.monotonic()
    await drill.numbers.publish(20)
    await drill.all_fired()
    tell("broker frozen 16 s", time.monotonic() - began)


async def test_every_connection_is_cut(drill: Drill) -> None:
    await drill.numbers.publish(20)
    await asyncio.to_thread(drill.broker.ctl, "close_all_connections", "drill")
    began = time.monotonic()
    await drill.numbers.publish(20)
    await drill.all_fired()
    tell("connections cut", time.monotonic() - began)


async def test_the_queue_is_deleted(drill: Drill) -> None:
    await drill.numbers.publish(20)
    await drill.all_fired()
    began = time.monotonic()
    await delete_queue(Address(url=drill.broker.url), QUEUE)
    await drill.listener.ready()
    deadline = time.monotonic() + 90
    while QUEUE not in await asyncio.to_thread(drill.broker.ctl, "list_bindings", "destination_name"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    took = time.monotonic() - began
    await drill.numbers.publish(20)
    await drill.all_fired()
    tell("queue deleted", took)


async def test_a_backlog_is_drained_with_none_lost(drill: Drill) -> None:
    count = int(os.environ.get("SHIPIT_BACKLOG", "50000"))
    await asyncio.to_thread(drill.listener.terminate)
    began = time.monotonic()
    async with await aio_pika.connect(drill.broker.admin_url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        for number in range(count):
            # nobody's numbers: the route wants a payload with n from 1 to 5 only
            body = b'{"n":%d}' % (number % 5 + 1)
            await exchange.publish(aio_pika.Message(body, delivery_mode=2), f"number.{number}")
    drill.numbers.last = 5
    drill.listener.start()
    while True:
        with drill.database.connect() as own:
            row = own.execute("select count(*), sum(told) from events").fetchone()
        assert row is not None
        if row[0] == count:
            break
        assert time.monotonic() - began < 270, row
        await asyncio.sleep(0.5)
    await drill.all_fired()
    tell(f"backlog of {count}", time.monotonic() - began)


async def test_the_database_is_restarted(
    rabbitmq: RabbitMQ, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("own-postgres")
    link = tmp_path_factory.mktemp("link") / "pg"
    options = embedded.Options(durable=True, max_connections=40, binaries=server_binaries())
    tc = FakeTaskcluster()
    async with AsyncExitStack() as stack:
        tc.url = await stack.enter_async_context(served(tc.app()))
        with embedded.run(folder, options) as url:
            # a restarted server has another socket; the listener knows it by one name
            link.symlink_to(socket_of(url))
            made = Server(url).create_migrated()
            database = Database(made.url.replace(quote(socket_of(url), safe=""), quote(str(link), safe="")))
            listener = ListenerProcess(tmp_path, broker=rabbitmq, database=database, root_url=tc.url)
            drill = Drill(rabbitmq, database, tc, listener)
            await drill.numbers.declare()
            listener.start()
            stack.callback(listener.kill)
            await listener.ready()
            await drill.numbers.publish(20)
            await asyncio.to_thread(kill_backends, database)
            began = time.monotonic()
            await drill.numbers.publish(20)
            await drill.all_fired()
            tell("database connections ended", time.monotonic() - began)
            await drill.numbers.publish(20)
        link.unlink()
        await drill.numbers.publish(20)
        await asyncio.sleep(2)
        with embedded.run(folder, options) as url:
            link.symlink_to(socket_of(url))
            began = time.monotonic()
            await drill.all_fired()
            tell("database restarted", time.monotonic() - began)
            await asyncio.to_thread(listener.kill)


def socket_of(url: str) -> str:
    """The folder of the server's socket."""
    return parse_qs(urlsplit(url).query)["host"][0]


def kill_backends(database: Database) -> None:
    """As a restart of the server does: every connection but ours ends."""
    with database.connect() as own:
        own.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")


Spoil = Callable[[web.Request], "web.StreamResponse | float | None"]


def answers(status: int) -> Spoil:
    """Every trigger is answered with that status, and does nothing."""
    return lambda request: web.Response(status=status) if request.path.endswith("/trigger") else None


def times_out() -> Spoil:
    """Every trigger comes through, and its answer does not."""
    return lambda request: 25.0 if request.path.endswith("/trigger") else None


@pytest.mark.parametrize("status", [500, 503])
async def test_taskcluster_fails_and_comes_back(drill: Drill, status: int) -> None:
    drill.tc.misbehave = answers(status)
    await drill.numbers.publish(10)
    await asyncio.sleep(3)
    drill.tc.misbehave = lambda request: None
    began = time.monotonic()
    await drill.all_fired()
    tell(f"Taskcluster {status}", time.monotonic() - began)


async def test_taskcluster_forbids_until_a_scope_is_granted(drill: Drill) -> None:
    drill.tc.forbidden = True
    await drill.numbers.publish(10)
    await asyncio.sleep(2)
    drill.tc.forbidden = False
    began = time.monotonic()
    await drill.all_fired()
    tell("Taskcluster 403", time.monotonic() - began)


async def test_taskcluster_times_out(drill: Drill) -> None:
    drill.tc.misbehave = times_out()
    await drill.numbers.publish(5)
    await asyncio.sleep(22)
    drill.tc.misbehave = lambda request: None
    began = time.monotonic()
    await drill.all_fired()
    tell("Taskcluster times out", time.monotonic() - began)


async def test_taskcluster_declines(drill: Drill) -> None:
    drill.tc.declines = True
    await drill.numbers.publish(5)
    deadline = time.monotonic() + 90
    while effect_states(drill.database) != {"declined": 5}:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    assert drill.tc.tasks == {}
    tell("Taskcluster {}", 0.0)


async def test_phabricator_is_down(rabbitmq: RabbitMQ, database: Database, tmp_path: Path) -> None:
    """An hour in small: what happens does not depend on how long, only on how often it was asked."""
    tc, conduit = FakeTaskcluster(), FakeConduit()
    conduit.add(1)
    route = (
        '[[routes]]\nname = "diffs"\nsource = "phabricator"\nsink = { kind = "hook", hook = "drill/diffs" }\n'
        'payload = { N = "${diff_id}" }\n'
    )
    async with AsyncExitStack() as stack:
        tc.url = await stack.enter_async_context(served(tc.app()))
        conduit.url = await stack.enter_async_context(served(conduit.app()))
        listener = ListenerProcess(
            tmp_path,
            broker=rabbitmq,
            database=database,
            root_url=tc.url,
            routes=route,
            phabricator=conduit.url,
        )
        listener.start()
        stack.callback(listener.kill)
        await listener.ready()
        conduit.down = True
        for number in range(2, 60):
            conduit.add(number)
        await asyncio.sleep(3)
        await listener.unwell()
        conduit.down = False
        began = time.monotonic()
        await until_fired(database, 58)
        tell("Phabricator down", time.monotonic() - began)
        assert sorted(payload["N"] for payload in tc.payloads()) == list(range(2, 60))


async def test_L27_sigterm_ends_it_in_order_and_nothing_is_lost(drill: Drill) -> None:
    publishing = asyncio.create_task(drill.numbers.publish(200))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    assert await asyncio.to_thread(drill.listener.terminate) == 0
    took = time.monotonic() - began
    await publishing
    drill.listener.start()
    began = time.monotonic()
    await drill.all_fired()
    assert took < 25
    tell(f"SIGTERM (ended in {took:.1f} s)", time.monotonic() - began)


async def test_two_listeners_and_kill_9_amid_the_work(drill: Drill, tmp_path: Path) -> None:
    second = ListenerProcess(
        tmp_path, broker=drill.broker, database=drill.database, root_url=drill.tc.url, name="two"
    )
    second.start()
    try:
        await second.ready()
        publishing = asyncio.create_task(drill.numbers.publish(300))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(drill.listener.kill)
        await publishing
        began = time.monotonic()
        await drill.all_fired()
        tell("two listeners, one killed", time.monotonic() - began)
    finally:
        second.kill()


async def test_instances_side_by_side_never_touch_each_others_queues(
    drill: Drill, postgres: Server, tmp_path: Path
) -> None:
    staging = postgres.create_migrated()
    config = ListenerProcess(
        tmp_path, broker=drill.broker, database=staging, root_url=drill.tc.url, name="staging"
    )
    config.config.write_text(
        config.config.read_text().replace('instance = "testing"', 'instance = "staging"')
    )
    config.start()
    try:
        await config.ready()
        await drill.numbers.publish(10)
        await until_fired(drill.database, 10)
        began = time.monotonic()
        await until_fired(Database(staging.url, instance="staging"), 10)
        assert len(drill.tc.tasks) == 20
        tell("two instances", time.monotonic() - began)
    finally:
        config.kill()
        await delete_queue(Address(url=drill.broker.url), QUEUE.replace("testing", "staging"))


async def test_a_shadow_beside_production_hears_everything_and_does_nothing(
    drill: Drill, tmp_path: Path
) -> None:
    shadow = ListenerProcess(
        tmp_path, broker=drill.broker, database=drill.database, root_url=drill.tc.url, name="shadow"
    )
    shadow.start(shadow=True)
    try:
        await shadow.ready()
        await drill.numbers.publish(10)
        took = await drill.all_fired()
        journal = Database(drill.database.url, instance="testing_shadow")
        deadline = time.monotonic() + 90
        while await asyncio.to_thread(effect_states, journal) != {"observed": 10}:
            assert time.monotonic() < deadline, effect_states(journal)
            await asyncio.sleep(0.2)
        assert len(drill.tc.tasks) == 10
        tell("a shadow beside it", took)
    finally:
        shadow.kill()
        await delete_queue(Address(url=drill.broker.url), QUEUE.replace("testing", "testing_shadow"))


async def test_a_vhost_of_its_own_is_listened_to(
    rabbitmq: RabbitMQ, database: Database, tmp_path: Path
) -> None:
    """As community Taskcluster's messages are."""
    await asyncio.to_thread(rabbitmq.ctl, "add_vhost", "communitytc")
    mine, readable = f"^(queue/{USER}/.*|exchange/{USER}/.*)", f"^(queue/{USER}/.*|exchange/.*)"
    for user, rights in ((USER, (mine, mine, readable)), ("guest", (".*",) * 3)):
        await asyncio.to_thread(rabbitmq.ctl, "set_permissions", "-p", "communitytc", user, *rights)
    there = copy.copy(rabbitmq)
    there.url, there.admin_url = f"{rabbitmq.url}communitytc", f"{rabbitmq.admin_url}communitytc"
    tc = FakeTaskcluster()
    async with served(tc.app()) as url:
        tc.url = url
        listener = ListenerProcess(tmp_path, broker=there, database=database, root_url=url)
        drill = Drill(there, database, tc, listener)
        await drill.numbers.declare()
        listener.start()
        try:
            await listener.ready()
            await drill.numbers.publish(5)
            tell("a vhost of its own", await drill.all_fired())
        finally:
            listener.kill()


async def test_routes_are_reloaded_and_their_bindings_follow(drill: Drill) -> None:
    text = drill.listener.config.read_text()
    drill.listener.config.write_text(text + "[[routes]]\nname = 7\n")
    await asyncio.sleep(3)
    await drill.numbers.publish(2)
    await drill.all_fired()
    drill.listener.config.write_text(text.replace("number.#", "other.#"))
    deadline = time.monotonic() + 90
    while True:
        found = await asyncio.to_thread(drill.broker.ctl, "list_bindings", "destination_name", "routing_key")
        keys = {line.split("\t")[1] for line in found.splitlines() if line.startswith(QUEUE + "\t")}
        if "other.#" in keys and "number.#" not in keys:
            break
        assert time.monotonic() < deadline, keys
        await asyncio.sleep(0.2)
    await drill.listener.ready()
    await drill.numbers.publish(2, prefix="other")
    took = await drill.all_fired()
    tell("routes reloaded", took)
