# SPDX-License-Identifier: MPL-2.0
"""Run the application on a socket, and stop it within seconds however many streams are open."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import uvicorn
from litestar import Litestar

from shipit.errors import Unavailable
from shipit.web.house import House

GRACE_SECONDS = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """Ends the live streams first, since the framework's own shutdown waits for them and runs too late."""

    def __init__(
        self, config: uvicorn.Config, house: House, *, handles_signals: bool, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._house = house
        self._handles_signals = handles_signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then everything else."""
        self._house.hub.stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to whoever runs the loop, unless we are told to take them."""
        if not self._handles_signals:
            yield
            return
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            # Not the framework's own way, which raises the signal again: being told to stop is no failure.
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


async def serve(
    app: Litestar,
    host: str,
    port: int,
    *,
    handles_signals: bool = False,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until cancelled (or, with handles_signals, until SIGINT or SIGTERM); ends within about 3 s.

    port: 0 is any free one. ready: told the port once connections are taken.
    Raises Unavailable when the port is taken.
    """
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64_000,
        # The peer's word for who it forwards for is not taken; nothing here depends on it.
        proxy_headers=False,
    )
    taken = listening.getsockname()[1]
    server = _Server(
        config,
        app.state.house,
        handles_signals=handles_signals,
        ready=lambda: ready(taken) if ready is not None else None,
    )
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        await asyncio.shield(running)
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await running
        listening.close()
    if not server.started:
        raise Unavailable("web", "the application did not start; the log says why")


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end on the fastest event loop there is here."""
    loop_factory = uvicorn.Config("none:none", loop="auto").get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, since the loop sends small answers at once (TCP_NODELAY) only on what it knows to be TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        raise Unavailable("web", f"cannot listen on {host}:{port}: {error.strerror}") from error
    listening.setblocking(False)
    return listening
