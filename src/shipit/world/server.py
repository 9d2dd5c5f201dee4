# SPDX-License-Identifier: MPL-2.0
"""How a fake service is served on loopback: its log of what was asked, and the faults it is told to have."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from aiohttp import web

Clock = Callable[[], datetime]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SECRET_PARAMETERS = frozenset({"api_key", "Bugzilla_api_key", "api.token", "bewit", "token", "code", "state"})
MOST_NOTED = 50_000
MAX_REQUEST = 64 * 1024 * 1024


def utc_now() -> datetime:
    """The time now in whole seconds, as the real services keep it."""
    return datetime.now(UTC).replace(microsecond=0)


class Asked(msgspec.Struct, frozen=True):
    """One request. what: "GET /rest/bug?f1=…" decoded, without any key. status: 0 when we hung up."""

    what: str
    status: int
    at: datetime


class Trouble(StrEnum):
    """What a fault does to a request. The late ones do what is asked, and then answer badly or not at all."""

    ERROR = "error"
    DROP = "drop"
    BUSY = "busy"
    GARBAGE = "garbage"
    SLOW = "slow"
    LATE_ERROR = "late error"
    LATE_DROP = "late drop"


class Fault(msgspec.Struct):
    """A trouble for the next `times` requests whose text contains `containing` (None: until healed)."""

    trouble: Trouble
    containing: str
    times: int | None
    seconds: float


class Fake(ABC):
    """One service of the fake world: state, verbs to change it, and what it was asked.

    Subclasses add their routes; `url` is known once served.
    """

    name = "fake"

    def __init__(self, now: Clock = utc_now) -> None:
        self.now = now
        self.url = ""
        self.asked: list[Asked] = []
        self._faults: list[Fault] = []

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """The routes of this service."""

    def count(self, containing: str = "") -> int:
        """How many requests came whose "METHOD /path?query" contains this."""
        return sum(containing in one.what for one in self.asked)

    def forget(self) -> None:
        """Begin counting anew."""
        self.asked.clear()

    def fail(
        self,
        trouble: Trouble = Trouble.ERROR,
        *,
        containing: str = "",
        times: int | None = None,
        seconds: float = 1.0,
    ) -> None:
        """Make requests containing this text fail, `times` times or until healed. seconds: for SLOW."""
        self._faults.append(Fault(trouble, containing, times, seconds))

    def heal(self) -> None:
        """No more faults."""
        self._faults.clear()

    def error_page(self) -> web.Response:
        """How this service words a failure of its own (HTTP 500)."""
        return web.Response(
            status=500, text="<html><body>Internal error</body></html>", content_type="text/html"
        )

    def busy_page(self) -> web.Response:
        """How this service words "too many requests" (HTTP 429)."""
        return web.Response(status=429, text="Too many requests", content_type="text/plain")

    def described(self, request: web.Request) -> str:
        """The request in one line for log and faults; overridden where the body says what is asked."""
        query = "&".join(
            f"{name}={value}" for name, value in request.query.items() if name not in SECRET_PARAMETERS
        )
        return f"{request.method} {request.path}" + (f"?{query}" if query else "")

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The request's answer, or its fault; logged either way."""
        await request.read()
        what = self.described(request)
        fault = self._fault_for(what)
        try:
            response = await (self._troubled(fault, request, handler) if fault else handler(request))
        except web.HTTPException as error:
            self._note(what, error.status)
            raise
        except ConnectionResetError:
            self._note(what, 0)
            raise
        self._note(what, response.status)
        return response

    def _note(self, what: str, status: int) -> None:
        self.asked.append(Asked(what, status, self.now()))
        # A demo may run for days.
        if len(self.asked) > MOST_NOTED:
            del self.asked[: MOST_NOTED // 2]

    def _fault_for(self, what: str) -> Fault | None:
        for fault in self._faults:
            if fault.containing in what and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    async def _troubled(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        match fault.trouble:
            case Trouble.ERROR:
                return self.error_page()
            case Trouble.BUSY:
                return self.busy_page()
            case Trouble.GARBAGE:
                return web.Response(text="<html>not what you expected</html>", content_type="text/html")
            case Trouble.SLOW:
                await asyncio.sleep(fault.seconds)
                return await handler(request)
            case Trouble.LATE_ERROR:
                await handler(request)
                return self.error_page()
            case Trouble.LATE_DROP:
                await handler(request)
                return hang_up(request)
            case Trouble.DROP:
                return hang_up(request)


def hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer, as BMO does while its database is down."""
    if request.transport is not None:
        request.transport.close()
    raise ConnectionResetError("the fake hung up as told")


@asynccontextmanager
async def served(fake: Fake, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve one fake in this event loop; yields its URL without trailing slash, stops it afterwards."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await fake.answer(request, handler)

    app = web.Application(middlewares=[middleware], client_max_size=MAX_REQUEST)
    app.add_routes(fake.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0]
        fake.url = f"http://{bound[0]}:{bound[1]}"
        yield fake.url
    finally:
        await runner.cleanup()
