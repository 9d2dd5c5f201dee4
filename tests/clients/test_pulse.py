# SPDX-License-Identifier: MPL-2.0
"""The broker's door on a real RabbitMQ, with the permissions that Pulse's users have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import aio_pika
import pytest

from fixtures_rabbitmq import PASSWORD, USER, RabbitMQ
from private_ca import PrivateCA
from shipit.clients.pulse import (
    Address,
    Cancelled,
    Consumer,
    Unbindable,
    delete_queue,
    open_consumer,
    probe,
    queue_name,
)
from shipit.errors import InvalidInput, Unavailable
from shipit.events.topics import has_match
from shipit.events.types import Delivery

EXCHANGE = "exchange/test-publisher/v1"


class Publisher:
    """Somebody else, who owns the exchange."""

    def __init__(self, exchange: aio_pika.abc.AbstractExchange) -> None:
        self._exchange = exchange

    async def say(self, key: str, body: bytes = b"{}", *, cc: Sequence[str] = ()) -> None:
        headers = {"CC": list(cc)} if cc else None
        message = aio_pika.Message(body, headers=headers, delivery_mode=2, content_type="application/json")  # type: ignore[arg-type]
        await self._exchange.publish(message, key, mandatory=False)


async def publisher(connection: aio_pika.abc.AbstractConnection) -> Publisher:
    channel = await connection.channel()
    return Publisher(await channel.declare_exchange(EXCHANGE, "topic", durable=True))


async def collect(consumer: Consumer, count: int, *, seconds: float = 10.0) -> list[Delivery]:
    """The next deliveries, acknowledged."""
    found: list[Delivery] = []
    stop = asyncio.Event()

    async def take(deliveries: Sequence[Delivery]) -> None:
        found.extend(deliveries)
        if len(found) >= count:
            stop.set()

    async with asyncio.timeout(seconds):
        await consumer.run(take, stop)
    return found


@pytest.fixture
def queue(request: pytest.FixtureRequest) -> str:
    return queue_name(USER, "testing", request.node.name[:80])


async def test_deliveries_come_with_everything_a_route_asks(rabbitmq: RabbitMQ, queue: str) -> None:
    async with await aio_pika.connect(rabbitmq.admin_url) as connection:
        says = await publisher(connection)
        async with open_consumer(Address(url=rabbitmq.url), queue) as consumer:
            assert consumer.is_new
            await consumer.bind((EXCHANGE, "primary.#"))
            await consumer.bind((EXCHANGE, "route.#"))
            await says.say("primary.a", b'{"n": 1}', cc=["route.index.x"])
            await says.say("other.a")
            await says.say("other.b", cc=["route.y"])
            first, second = await collect(consumer, 2)
    assert (first.exchange, first.routing_key, first.cc, first.body) == (
        EXCHANGE,
        "primary.a",
        ("route.index.x",),
        b'{"n": 1}',
    )
    assert first.via == queue
    assert not first.redelivered
    assert (second.routing_key, second.cc) == ("other.b", ("route.y",))
    async with open_consumer(Address(url=rabbitmq.url), queue) as consumer:
        assert not consumer.is_new
        assert await consumer.depth() == 0


async def test_what_was_not_taken_comes_again(rabbitmq: RabbitMQ, queue: str) -> None:
    async with await aio_pika.connect(rabbitmq.admin_url) as connection:
        says = await publisher(connection)
        async with open_consumer(Address(url=rabbitmq.url), queue) as consumer:
            await consumer.bind((EXCHANGE, "#"))
            await says.say("a")

            async def refuse(_: Sequence[Delivery]) -> None:
                raise Unavailable("database", "away")

            with pytest.raises(Unavailable, match="away"):
                await consumer.run(refuse, asyncio.Event())
            (again,) = await collect(consumer, 1)
            assert again.redelivered


async def test_L17_two_parts_each_have_every_message(rabbitmq: RabbitMQ, queue: str) -> None:
    async with await aio_pika.connect(rabbitmq.admin_url) as connection:
        says = await publisher(connection)
        address = Address(url=rabbitmq.url)
        async with (
            open_consumer(address, queue + "/one") as one,
            open_consumer(address, queue + "/two") as two,
        ):
            for consumer in (one, two):
                await consumer.bind((EXCHANGE, "#"))
            await says.say("a")
            assert len(await collect(one, 1)) == len(await collect(two, 1)) == 1


async def test_L19_an_exchange_that_does_not_exist_is_told(rabbitmq: RabbitMQ, queue: str) -> None:
    async with open_consumer(Address(url=rabbitmq.url), queue) as consumer:
        with pytest.raises(Unbindable, match="exchange/nobody"):
            await consumer.bind(("exchange/nobody/", "#"))
        assert await consumer.depth() == 0, "the connection lives on"


async def test_a_queue_of_somebody_else_is_refused(rabbitmq: RabbitMQ) -> None:
    with pytest.raises(Unavailable, match="ACCESS_REFUSED"):
        async with open_consumer(Address(url=rabbitmq.url), "queue/other/x"):
            pass


async def test_a_deleted_queue_is_noticed_and_made_again(rabbitmq: RabbitMQ, queue: str) -> None:
    address = Address(url=rabbitmq.url)
    async with open_consumer(address, queue) as consumer:
        asked = asyncio.create_task(collect(consumer, 1))
        await asyncio.sleep(0.3)
        await delete_queue(address, queue)
        with pytest.raises(Cancelled):
            await asked
    async with open_consumer(address, queue) as consumer:
        assert consumer.is_new


async def test_a_binding_is_taken_back(rabbitmq: RabbitMQ, queue: str) -> None:
    async with await aio_pika.connect(rabbitmq.admin_url) as connection:
        says = await publisher(connection)
        async with open_consumer(Address(url=rabbitmq.url), queue) as consumer:
            await consumer.bind((EXCHANGE, "old"))
            await consumer.bind((EXCHANGE, "new"))
            await consumer.unbind((EXCHANGE, "old"))
            await consumer.unbind((EXCHANGE, "never"))
            await says.say("old")
            await says.say("new")
            assert [one.routing_key for one in await collect(consumer, 1)] == ["new"]


async def test_an_existing_queue_of_another_kind_is_taken_as_it_is(rabbitmq: RabbitMQ, queue: str) -> None:
    address = Address(url=rabbitmq.url)
    async with open_consumer(address, queue, queue_type="quorum") as consumer:
        assert consumer.is_new
    async with open_consumer(address, queue, queue_type="classic") as consumer:
        assert not consumer.is_new
        assert await consumer.depth() == 0


async def test_a_lost_connection_ends_the_consumer(rabbitmq: RabbitMQ, queue: str) -> None:
    async with open_consumer(Address(url=rabbitmq.url, name="to be cut"), queue) as consumer:
        asked = asyncio.create_task(collect(consumer, 1))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(rabbitmq.ctl, "close_all_connections", "drill")
        with pytest.raises(Unavailable):
            await asked


async def test_wrong_credentials_and_no_broker_are_unavailable_and_show_no_password(
    rabbitmq: RabbitMQ,
) -> None:
    for url in (
        f"amqp://{USER}:wrong-secret@127.0.0.1:{rabbitmq.port}/",
        "amqp://u:wrong-secret@127.0.0.1:1/",
    ):
        with pytest.raises(Unavailable) as error:
            async with open_consumer(Address(url=url), "queue/u/x"):
                pass
        assert "wrong-secret" not in str(error.value) + repr(Address(url=url))


async def test_a_probe_says_which_exchanges_there_are(rabbitmq: RabbitMQ) -> None:
    async with await aio_pika.connect(rabbitmq.admin_url) as connection:
        await publisher(connection)
        found = await probe(Address(url=rabbitmq.url), [EXCHANGE, "exchange/nobody/"])
    assert found[EXCHANGE] is None
    assert "NOT_FOUND" in str(found["exchange/nobody/"])


async def test_topics_match_as_this_broker_matches_them(rabbitmq: RabbitMQ, queue: str) -> None:
    keys = ["a", "a.b", "a.b.c", "b", "", "a..c", "gecko-level-3", "x.gecko-level-3._", "[a]", "a.b.c.d.e"]
    patterns = [
        "#",
        "*",
        "a.#",
        "#.b.#",
        "a.*.c",
        "#.gecko-level-3.#",
        "*.*",
        "[a]",
        "a.#.e",
        "#.#",
        "*.#.*",
        "",
    ]
    async with await aio_pika.connect(rabbitmq.admin_url) as connection:
        says = await publisher(connection)
        for number, pattern in enumerate(patterns):
            async with open_consumer(Address(url=rabbitmq.url), f"{queue}/{number}") as consumer:
                await consumer.bind((EXCHANGE, pattern))
                await consumer.bind((EXCHANGE, "the.end"))
                for key in keys:
                    await says.say(key)
                if not has_match([pattern], ["the.end"]):
                    await says.say("the.end")
                expected = [key for key in keys if has_match([pattern], [key])]
                heard = await collect(consumer, len(expected) + (not has_match([pattern], ["the.end"])))
                assert [one.routing_key for one in heard if one.routing_key != "the.end"] == expected, pattern
            await delete_queue(Address(url=rabbitmq.url), f"{queue}/{number}")


@pytest.mark.parametrize(
    "url", ["http://u:p@h/", "amqp://h:5672/", "amqp://", "not a url", "amqp://u:p@[::/"]
)
def test_a_bad_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidInput) as error:
        Address(url=url)
    assert PASSWORD not in str(error.value)
    assert "u:p" not in str(error.value)


# --- TLS, as Pulse wants it ---


async def test_tls_with_an_authority_of_the_brokers_own(rabbitmq: RabbitMQ, queue: str) -> None:
    address = Address(url=rabbitmq.tls_url, ca_file=str(rabbitmq.ca.file))
    async with await aio_pika.connect(rabbitmq.admin_url) as connection:
        says = await publisher(connection)
        async with open_consumer(address, queue) as consumer:
            await consumer.bind((EXCHANGE, "secret.#"))
            await says.say("secret.a", b'{"n": 1}')
            (found,) = await collect(consumer, 1)
    assert found.body == b'{"n": 1}'


@pytest.mark.parametrize("refused", ["nobody vouches for it", "another authority", "another name"])
async def test_a_broker_that_cannot_prove_who_it_is_is_told_nothing(
    rabbitmq: RabbitMQ, queue: str, tmp_path: Path, refused: str
) -> None:
    url, ca_file = rabbitmq.tls_url, str(rabbitmq.ca.file)
    if refused == "nobody vouches for it":
        ca_file = None
    elif refused == "another authority":
        ca_file = str(PrivateCA(tmp_path, "somebody-else").file)
    else:
        url = url.replace("@localhost:", "@127.0.0.1:")
    with pytest.raises(Unavailable, match=r"(?i)certificate") as raised:
        async with open_consumer(Address(url=url, ca_file=ca_file), queue):
            raise AssertionError("connected all the same")
    assert PASSWORD not in str(raised.value)
