# SPDX-License-Identifier: MPL-2.0
"""The one door to aiohttp: bounded answers, bounded waiting, errors in our words, every call counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import stamina
from yarl import URL

from shipit.errors import InvalidInput, Unavailable

Clock = Callable[[], datetime]
Session = aiohttp.ClientSession

MAX_BODY = 64 * 1024 * 1024
MAX_REDIRECTS = 5
PASSING = frozenset({502, 503, 504})
"""Statuses of a service that is restarting or overloaded: worth asking again."""


def utc_now() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


class CallCounter:
    """How many HTTP requests went out, per service; retries and followed redirects count too."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    def count(self, service: str) -> None:
        """One more request to `service`."""
        self._calls[service] += 1

    @property
    def total(self) -> int:
        """All requests so far."""
        return self._calls.total()

    def by_service(self) -> dict[str, int]:
        """Requests so far per service, e.g. {"Bugzilla": 5}."""
        return dict(self._calls)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer read whole. url: without query, for messages."""

    service: str
    url: str
    status: int
    content_type: str
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON, free of what PostgreSQL cannot store. Raises Unavailable when it is no JSON."""
        try:
            parsed = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                parsed = json.loads(self.text)
            except (ValueError, RecursionError) as error:
                raise Unavailable(
                    self.service, f"answered {self.status} with something else than JSON"
                ) from error
            return _storable(parsed)
        return _storable(parsed) if b"\\u0000" in self.body else parsed


class TooLarge(Unavailable):
    """The answer is larger than we are willing to read."""


class Passing(Unavailable):
    """The service did not answer this time; asking again may help."""


class Unsent(Passing):
    """The service could not be reached, so that it surely got nothing."""


class KeyRefused(Unavailable):
    """The service does not take the key; asking again with it changes nothing."""


def open_session(*, trust_env: bool = False) -> aiohttp.ClientSession:
    """A session for every client of a process: no cookies, no netrc, few connections per host.

    trust_env: whether the proxies named by the environment are used. The caller closes it.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=32, limit_per_host=8),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "shipit (release trains)"},
        trust_env=trust_env,
    )


def checked_url(field: str, url: str) -> str:
    """`url` without trailing slash. Raises InvalidInput unless it is http(s) without credentials."""
    try:
        parsed = URL(url)
    except ValueError as error:
        raise InvalidInput(field, expected="an http or https URL") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.user or parsed.password:
        raise InvalidInput(field, expected="an http or https URL without user and password")
    return url.rstrip("/")


def checked_secret(field: str, secret: str | None) -> str | None:
    """`secret` as it may stand in a header, None when empty. The error never shows it."""
    secret = (secret or "").strip()
    if not all(33 <= ord(letter) < 127 for letter in secret):
        raise InvalidInput(field, expected="printable ASCII without spaces")
    return secret or None


class Door:
    """How one service is asked over HTTP.

    After a "too many requests" nothing more is sent until the time it named (`penalty` when it named none):
    services count the calls made meanwhile against us.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        service: str,
        *,
        calls: CallCounter | None = None,
        timeout: float = 30.0,
        attempts: int = 3,
        penalty: timedelta = timedelta(minutes=5),
        now: Clock = utc_now,
    ) -> None:
        self.service = service
        self.calls = calls if calls is not None else CallCounter()
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._attempts = attempts
        self._penalty = penalty
        self._now = now
        self._closed_until: datetime | None = None

    async def ask(
        self,
        method: str,
        url: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MAX_BODY,
        is_idempotent: bool | None = None,
    ) -> Answer:
        """One question. Statuses are the caller's to read, save 429 and 502-504, which raise Unavailable.

        Asked again (bounded) only when idempotent: GET, HEAD, or where the caller says so.
        """
        if is_idempotent is None:
            is_idempotent = method in ("GET", "HEAD")
        self._check_open()
        target = URL(url).extend_query(list(params)) if params else URL(url)
        attempts = self._attempts if is_idempotent else 1
        retrying = stamina.retry_context(
            on=Passing, attempts=attempts, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.1
        )
        async for attempt in retrying:
            with attempt:
                return await self._ask_once(
                    method, target, headers, form, body, limit, () if is_idempotent else (_send_once,)
                )
        raise AssertionError("stamina ends by value or error")

    def close_until(self, when: datetime | None, detail: str) -> Unavailable:
        """Send nothing before `when` (our penalty when None); the error to raise."""
        self._closed_until = when or self._now() + self._penalty
        return Unavailable(self.service, detail, retry_at=self._closed_until)

    def _check_open(self) -> None:
        if self._closed_until is None:
            return
        if self._now() < self._closed_until:
            detail = "asked too often, waiting until it listens again"
            raise Unavailable(self.service, detail, retry_at=self._closed_until)
        self._closed_until = None

    async def _ask_once(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
        body: bytes | None,
        limit: int,
        middlewares: Sequence[aiohttp.ClientMiddlewareType],
    ) -> Answer:
        data = form if form is not None else body
        for _ in range(MAX_REDIRECTS + 1):
            self.calls.count(self.service)
            try:
                async with self._session.request(
                    method,
                    url,
                    headers=headers,
                    data=data,
                    timeout=self._timeout,
                    allow_redirects=False,
                    middlewares=middlewares,
                ) as response:
                    if response.status in (301, 302, 303, 307, 308) and method in ("GET", "HEAD"):
                        url = self._next_hop(url, response.headers.get("Location", ""))
                        continue
                    return self._judged(response, url, await self._read(response, limit))
            except TimeoutError as error:
                raise Passing(self.service, f"did not answer in {self._timeout.total:g} s") from error
            except aiohttp.ClientConnectorError as error:
                raise Unsent(self.service, _said(error)) from error
            except aiohttp.ClientError as error:
                raise Passing(self.service, _said(error)) from error
        raise Unavailable(self.service, "sends us round in circles")

    def _next_hop(self, url: URL, location: str) -> URL:
        """Where a redirect leads: never to another origin, which would be handed our credentials."""
        try:
            hop = url.join(URL(location))
            leaves = hop.origin() != url.origin()
        except ValueError as error:
            raise Unavailable(self.service, "redirects to something that is no URL") from error
        if leaves:
            raise Unavailable(self.service, f"redirects to another host ({hop.host}), not followed")
        return hop

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_chunked(1 << 16):
            size += len(part)
            if size > limit:
                raise TooLarge(self.service, f"answered with more than {limit} bytes")
            parts.append(part)
        return b"".join(parts)

    def _judged(self, response: aiohttp.ClientResponse, url: URL, body: bytes) -> Answer:
        retry_at = _retry_after(response.headers.get("Retry-After"), self._now())
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise self.close_until(retry_at, "asked too often (429)")
        if response.status in PASSING:
            raise Passing(self.service, f"answered {response.status}", retry_at=retry_at)
        return Answer(
            service=self.service,
            url=str(url.with_query(None)),
            status=response.status,
            content_type=response.content_type,
            body=body,
        )


class _BrokeOff(aiohttp.ClientError):
    """The connection broke after something may have been sent; the cause tells how."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """By itself aiohttp sends a PUT again when a connection breaks, which would double a comment."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokeOff from error


def url_part(text: str) -> str:
    """`text` as one part of a URL's path."""
    return quote(text, safe="")


def moment(text: object) -> datetime:
    """When an answer says that something was or will be. Raises ValueError."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no such time") from error


def _said(error: BaseException | None) -> str:
    """What went wrong, without what aiohttp may have put in (request headers, URLs with queries)."""
    if isinstance(error, _BrokeOff):
        return _said(error.__cause__)
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot be reached at {error.host}:{error.port}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed the connection without an answer"
    return f"broke off ({type(error).__name__})"


def _retry_after(value: str | None, now: datetime) -> datetime | None:
    if not value:
        return None
    if re.fullmatch(r"\s*[0-9]+\s*", value):
        # a day at most, however many digits it has
        return now + timedelta(seconds=min(int(value.strip()[:20]), 86400))
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    # a date may be as far ahead as somebody's clock is wrong
    return min(when if when.tzinfo else when.replace(tzinfo=UTC), now + timedelta(days=1))


def _storable(value: Any) -> Any:
    """`value` without NUL and lone surrogates: PostgreSQL stores neither, and bug text is anybody's."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value
