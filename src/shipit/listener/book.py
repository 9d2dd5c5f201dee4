# SPDX-License-Identifier: MPL-2.0
"""The routes in force; read again when the file changes, a bad file refused and the good routes kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from shipit.errors import ShipitError
from shipit.events.routes import Hook, Http, Mail, Route, Sink, Task

log = logging.getLogger(__name__)

ReadRoutes = Callable[[], tuple[Route, ...]]


class RouteBook:
    """Who asks gets the routes as of now. `changed` is set when they changed."""

    def __init__(self, read: ReadRoutes, *, path: Path | None = None) -> None:
        self.routes = read()
        self.error: str | None = None
        self.version = 1
        self._read = read
        self._path = path
        self._stamp = self._stamped()
        self._changed: list[asyncio.Event] = []

    def route(self, name: str) -> Route | None:
        """The route of that name, None when there is none any more."""
        return next((route for route in self.routes if route.name == name), None)

    def sink(self, route: str, spelled: str) -> Sink:
        """Where an effect goes that was stored as `spelled`; with its route's options while they agree."""
        known = self.route(route)
        return known.sink if known is not None and str(known.sink) == spelled else spelled_sink(spelled)

    def watch(self) -> asyncio.Event:
        """An event that is set at every change."""
        event = asyncio.Event()
        self._changed.append(event)
        return event

    def reload(self) -> bool:
        """Read the routes again; whether the new ones are in force. A bad file changes nothing."""
        try:
            routes = self._read()
        except ShipitError as error:
            self.error = error.detail
            log.error("routes not reloaded, the old ones stay: %s", error.detail)
            return False
        self.error = None
        if routes != self.routes:
            self.routes = routes
            self.version += 1
            log.info("routes reloaded: %s", ", ".join(route.name for route in routes))
            for event in self._changed:
                event.set()
        return True

    async def follow(self, stop: asyncio.Event, *, every: float = 2.0) -> None:
        """Reload whenever the file changed, until `stop`."""
        while not stop.is_set():
            stamp = self._stamped()
            if stamp != self._stamp:
                self._stamp = stamp
                self.reload()
            await rest(stop, every)

    def _stamped(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size) if found else None


def spelled_sink(spelled: str) -> Sink:
    """The sink a stored effect names."""
    kind, _, rest_of = spelled.partition(":")
    match kind:
        case "http":
            return Http(url=rest_of)
        case "mail":
            return Mail(address=rest_of)
        case "task":
            return Task()
        case _:
            return Hook(hook=rest_of)


async def rest(stop: asyncio.Event, seconds: float) -> bool:
    """Wait that long or until `stop`; whether it is set."""
    try:
        await asyncio.wait_for(stop.wait(), max(seconds, 0.0))
    except TimeoutError:
        return False
    return True
