# SPDX-License-Identifier: MPL-2.0
"""Pulse, or any RabbitMQ: a durable queue of our own, bound as told, its deliveries handed over in batches.

Foreign exchanges are never declared, only bound to: nobody may declare them but their owner. Everything that
goes wrong is Unavailable; who supervises opens a new consumer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import aio_pika
import msgspec
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, ChannelNotFoundEntity
from yarl import URL

from shipit.errors import InvalidInput, Unavailable
from shipit.events.types import Delivery

SERVICE = "Pulse"
_SECONDS = 20.0
_LOST = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError)
"""What the library raises when a connection or channel ends."""

Take = Callable[[Sequence[Delivery]], Awaitable[None]]


class Cancelled(Unavailable):
    """The broker took our consumer away: the queue was deleted, or moved."""


class Unbindable(Unavailable):
    """A binding was refused: the exchange does not exist, or we may not read it."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """How the broker is reached. Its repr hides the password."""

    url: str
    ca_file: str | None = None
    heartbeat: int = 60
    name: str = "shipit"

    def __post_init__(self) -> None:
        parsed = _parsed(self.url)
        if parsed.scheme not in ("amqp", "amqps") or not parsed.host or not parsed.user:
            raise InvalidInput("pulse.url", expected="amqps://user:password@host:port/vhost")

    @property
    def user(self) -> str:
        """Who we are; PulseGuardian lets us name queues queue/<user>/… only."""
        return _parsed(self.url).user or ""

    def __repr__(self) -> str:
        parsed = _parsed(self.url)
        return f"Address({parsed.scheme}://{parsed.user}@{parsed.host})"


def queue_name(user: str, instance: str, part: str) -> str:
    """The queue of one part (a route) of one instance: nobody else consumes from it."""
    return f"queue/{user}/shipit/{instance}/{part}"


class Consumer:
    """One connection with one queue. Made by `open_consumer`."""

    def __init__(
        self, connection: aio_pika.abc.AbstractConnection, queue: str, *, prefetch: int, is_new: bool
    ) -> None:
        self.queue = queue
        self.is_new = is_new
        """Whether the queue did not exist: what was published before is not in it."""
        self._connection = connection
        self._prefetch = prefetch
        self._waiting: deque[Any] = deque()
        self._stirred = asyncio.Event()
        self._is_cancelled = False

    async def bind(self, *bindings: tuple[str, str]) -> None:
        """Bind the queue by (exchange, key); bound already is fine. Raises Unbindable, Unavailable."""
        async with self._channel() as channel:
            for exchange, key in bindings:
                try:
                    await asyncio.wait_for(channel.queue_bind(self.queue, exchange, key), _SECONDS)
                except AMQPError as error:
                    raise Unbindable(SERVICE, f"cannot bind to {exchange}: {_said(error)}") from error

    async def unbind(self, *bindings: tuple[str, str]) -> None:
        """Take bindings back; absent is fine. Raises Unavailable."""
        async with self._channel() as channel:
            for exchange, key in bindings:
                # an exchange that is gone took its bindings along
                with contextlib.suppress(ChannelNotFoundEntity):
                    await asyncio.wait_for(channel.queue_unbind(self.queue, exchange, key), _SECONDS)

    async def depth(self) -> int:
        """How many deliveries wait in the queue, those handed over and not acknowledged left out."""
        async with self._channel() as channel:
            declared = await asyncio.wait_for(channel.queue_declare(self.queue, passive=True), _SECONDS)
            return declared.message_count or 0

    async def run(self, take: Take, stop: asyncio.Event) -> None:
        """Hand over deliveries until `stop`: in batches, in order, each acknowledged after `take` returns.

        What `take` raises ends it, and what was not acknowledged comes again. Raises Cancelled, Unavailable.
        """
        async with self._channel() as channel:
            await channel.basic_qos(prefetch_count=self._prefetch, timeout=_SECONDS)
            channel.on_consumer_cancel_callbacks.add(self._on_cancel)
            closing = channel.closing
            closing.add_done_callback(lambda _: self._stirred.set())
            stopping = asyncio.create_task(stop.wait())
            stopping.add_done_callback(lambda _: self._stirred.set())
            try:
                await channel.basic_consume(self.queue, self._on_delivery, timeout=_SECONDS)
                while not stop.is_set():
                    await self._stirred.wait()
                    self._stirred.clear()
                    if self._waiting and not closing.done():
                        await self._hand_over(channel, take)
                    if self._is_cancelled:
                        raise Cancelled(SERVICE, f"the broker cancelled our consumer of {self.queue}")
                    if closing.done():
                        raise Unavailable(SERVICE, f"connection lost ({_closed(closing)})")
            finally:
                stopping.cancel()

    async def _hand_over(self, channel: Any, take: Take) -> None:
        batch = list(self._waiting)
        self._waiting.clear()
        await take([_delivery(message, self.queue) for message in batch])
        # everything up to this tag was taken, for the broker numbers deliveries in their order
        await channel.basic_ack(batch[-1].delivery_tag, multiple=True)

    async def _on_delivery(self, message: Any) -> None:
        self._waiting.append(message)
        self._stirred.set()

    def _on_cancel(self, _frame: Any) -> None:
        self._is_cancelled = True
        self._stirred.set()

    @contextlib.asynccontextmanager
    async def _channel(self) -> AsyncIterator[Any]:
        """A channel of the layer below aio-pika's messages, which cost more than the rest of a delivery."""
        async with _translated():
            channel = self._connection.channel(publisher_confirms=False)
            await asyncio.wait_for(channel.initialize(), _SECONDS)
            try:
                yield await channel.get_underlay_channel()
            finally:
                with contextlib.suppress(*_LOST):
                    await asyncio.wait_for(channel.close(), 2)


@contextlib.asynccontextmanager
async def open_consumer(
    address: Address, queue: str, *, queue_type: str = "classic", prefetch: int = 500
) -> AsyncIterator[Consumer]:
    """Connect and make sure the queue exists. One that exists is taken as it is. Raises Unavailable."""
    async with _connected(address) as connection:
        async with _translated():
            is_new = not await _exists(connection, queue)
            if is_new:
                kinds: Any = {"x-queue-type": queue_type} if queue_type != "classic" else None
                channel = await connection.channel(publisher_confirms=False)
                await channel.declare_queue(queue, durable=True, arguments=kinds, timeout=_SECONDS)
                await channel.close()
        yield Consumer(connection, queue, prefetch=prefetch, is_new=is_new)


async def delete_queue(address: Address, queue: str) -> None:
    """Delete a queue of ours that no route wants any more; absent is fine. Raises Unavailable."""
    async with _connected(address) as connection, _translated():
        channel = await connection.channel(publisher_confirms=False)
        with contextlib.suppress(ChannelNotFoundEntity):
            await channel.queue_delete(queue, timeout=_SECONDS)


async def probe(address: Address, exchanges: Sequence[str]) -> dict[str, str | None]:
    """Whether each exchange exists for us: None, or what the broker said. Raises Unavailable."""
    found: dict[str, str | None] = {}
    async with _connected(address) as connection:
        for exchange in exchanges:
            try:
                # a refusal closes the channel, so each question has one of its own
                async with _translated():
                    channel = await connection.channel(publisher_confirms=False)
                    try:
                        await channel.get_exchange(exchange, ensure=True)
                    except AMQPError as error:
                        found[exchange] = _said(error)
                    else:
                        found[exchange] = None
                        await channel.close()
            except Unavailable as error:
                found[exchange] = error.detail
    return found


async def _exists(connection: aio_pika.abc.AbstractConnection, queue: str) -> bool:
    channel = await connection.channel(publisher_confirms=False)
    try:
        await channel.declare_queue(queue, passive=True, timeout=_SECONDS)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


@contextlib.asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[aio_pika.abc.AbstractConnection]:
    async with _translated():
        parsed = _parsed(address.url).update_query(heartbeat=str(address.heartbeat))
        context = ssl.create_default_context(cafile=address.ca_file) if parsed.scheme == "amqps" else None
        connection = await asyncio.wait_for(
            aio_pika.connect(
                parsed,
                ssl_context=context,
                timeout=_SECONDS,
                client_properties={"connection_name": address.name},
            ),
            _SECONDS + 5,
        )
    try:
        yield connection
    finally:
        with contextlib.suppress(*_LOST):
            await asyncio.wait_for(connection.close(), 3)


@contextlib.asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except Unavailable:
        raise
    except _LOST as error:
        raise Unavailable(SERVICE, _said(error)) from error


def _delivery(message: Any, queue: str) -> Delivery:
    headers = message.header.properties.headers
    cc = headers.get("CC") if isinstance(headers, dict) else None
    return Delivery(
        source="pulse",
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        cc=tuple(key for key in cc if isinstance(key, str)) if isinstance(cc, list) else (),
        redelivered=bool(message.redelivered),
        body=message.body,
        via=queue,
    )


def _parsed(url: str) -> URL:
    try:
        return URL(url)
    except ValueError:
        # neither the text nor its cause is shown: it holds the password
        raise InvalidInput("pulse.url", expected="amqps://user:password@host:port/vhost") from None


def _closed(closing: asyncio.Future[Any]) -> str:
    if closing.cancelled():
        return "closed"
    error = closing.exception()
    return _said(error) if error else "closed"


def _said(error: BaseException) -> str:
    """What went wrong, bounded; the library's words hold no password, those of the system may be empty."""
    return " ".join((str(error) or type(error).__name__).split())[:300]
