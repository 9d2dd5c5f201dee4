# SPDX-License-Identifier: MPL-2.0
"""What the broker tells of a task group wakes the steps that wait for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aio_pika
import pytest

from fixtures_pipelines import ENGINEER, HOSTS, Bench, benched, now
from fixtures_postgres import Database
from fixtures_rabbitmq import USER, RabbitMQ
from shipit.actions import steps as acts
from shipit.clients.pulse import Address, delete_queue
from shipit.errors import Unavailable
from shipit.events.deliveries import QUEUE
from shipit.events.topics import is_match
from shipit.events.types import Delivery
from shipit.listener.step_groups import StepGroups, bindings
from shipit.listener.supervision import Health
from shipit.storage.pool import open_pool

GROUP = "G" * 22
TASK_KEY = f"primary.TASK.0.wg.w.prov.type.gecko-level-3.{GROUP}._"
GROUP_KEY = f"primary.{GROUP}.gecko-level-3._"


def delivery(name: str, key: str, body: object) -> Delivery:
    return Delivery(
        source="pulse", exchange=QUEUE + name, routing_key=key, body=json.dumps(body).encode(), via="-steps"
    )


RESOLVED = delivery("task-group-resolved", GROUP_KEY, {"taskGroupId": GROUP, "schedulerId": "s"})
FAILED = delivery(
    "task-failed", TASK_KEY, {"status": {"taskId": "TASK", "taskGroupId": GROUP, "state": "failed"}}
)


def test_a_group_is_bound_for_what_is_news_of_it() -> None:
    running = bindings(GROUP, is_over=False)
    for told in (RESOLVED, FAILED):
        assert any(told.exchange == name and is_match(key, told.routing_key) for name, key in running)
    over = bindings(GROUP, is_over=True)
    assert (QUEUE + "task-pending") in {name for name, key in over if is_match(key, TASK_KEY)}
    assert not any(is_match(key, TASK_KEY.replace(GROUP, "H" * 22)) for _, key in (*running, *over))


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with benched(database) as made:
        more = {"check_url": HOSTS.refusal, "now": now()}
        for uid, group in (("ours", GROUP), ("other", "O" * 22)):
            await made.act(acts.create, "taskcluster", uid, {"task_group_id": group}, ENGINEER, **more)
        made.query("update steps set due_at = null")
        yield made


def due(bench: Bench) -> set[str]:
    return {row[0] for row in bench.query("select uid from steps where due_at <= now()")}


@pytest.mark.parametrize("told", [RESOLVED, FAILED])
async def test_only_the_steps_of_the_group_are_woken(bench: Bench, told: Delivery) -> None:
    address = Address(url="amqp://nobody:x@127.0.0.1:1/")
    groups = StepGroups(bench.pool, Health(), address, instance=bench.database.instance)
    junk = delivery("task-failed", TASK_KEY, {"status": 7})
    await groups.heard([junk, told, told])
    assert due(bench) == {"ours"}


@pytest.mark.drill
async def test_without_a_database_listening_ends_and_is_begun_again(
    database: Database, rabbitmq: RabbitMQ
) -> None:
    address, stop = Address(url=rabbitmq.url), asyncio.Event()
    async with open_pool(database.url, instance=database.instance) as pool:
        groups = StepGroups(pool, Health(), address, instance="testing")
        # no table can be reached: as while the database is being brought back
        await pool._pool.close()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(groups.listen(stop), 30)
    await delete_queue(address, f"queue/{USER}/shipit/testing/-steps")


@pytest.mark.drill
async def test_a_group_that_is_told_by_a_real_broker_wakes_its_step(bench: Bench, rabbitmq: RabbitMQ) -> None:
    address = Address(url=rabbitmq.url)
    queue = f"queue/{USER}/shipit/testing/-steps"
    await delete_queue(address, queue)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(await aio_pika.connect(rabbitmq.admin_url))
        channel = await publisher.channel()
        exchanges = {
            name: await channel.declare_exchange(QUEUE + name, "topic", durable=True)
            for name in ("task-group-resolved", "task-failed", "task-exception", "task-pending")
        }
        groups = StepGroups(bench.pool, Health(), address, instance="testing", look_seconds=0.2)
        listening = asyncio.ensure_future(groups.listen(stop))
        stack.push_async_callback(asyncio.gather, listening, return_exceptions=True)
        stack.callback(stop.set)

        async def woken(names: set[str]) -> bool:
            return due(bench) >= names

        # bound anew, each is looked at once, for what was told before is lost
        await bench.eventually(lambda: woken({"ours", "other"}))
        bench.query("update steps set due_at = null, is_woken = false")
        await exchanges["task-group-resolved"].publish(aio_pika.Message(RESOLVED.body), GROUP_KEY)
        await bench.eventually(lambda: woken({"ours"}))
        assert due(bench) == {"ours"}
        # ended, only a rerun is news
        bench.query("update steps set due_at = null, status = 'failure', finished_at = now()")
        await bench.eventually(lambda: woken({"ours"}))
        bench.query("update steps set due_at = null, is_woken = false")
        await exchanges["task-pending"].publish(
            aio_pika.Message(FAILED.body.replace(b'"failed"', b'"pending"')), TASK_KEY
        )
        await bench.eventually(lambda: woken({"ours"}))
    await delete_queue(address, queue)
