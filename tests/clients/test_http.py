# SPDX-License-Identifier: MPL-2.0
"""The one door to HTTP: bounded, counted, patient where that is safe, and silent about secrets."""

from __future__ import annotations

import gzip
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from shipit.clients.http import CallCounter, Door, TooLarge, checked_secret, checked_url
from shipit.errors import InvalidInput, Unavailable
from shipit.world.server import Fake, Trouble, served

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
SECRET = "s3cr3t-key-that-must-not-show"


class Odd(Fake):
    """A service with one oddity per path."""

    name = "odd"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.route("*", "/fine", self._fine),
            web.get("/big", self._big),
            web.get("/bomb", self._bomb),
            web.get("/near", self._near),
            web.get("/round", self._round),
            web.get("/status/{status}", self._status),
            web.get("/json", self._json),
        ]

    async def _fine(self, request: web.Request) -> web.Response:
        return web.Response(text="fine")

    async def _big(self, request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 100_000)

    async def _bomb(self, request: web.Request) -> web.Response:
        packed = gzip.compress(b"0" * 50_000_000)
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async def _near(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/fine")

    async def _round(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/round")

    async def _status(self, request: web.Request) -> web.Response:
        headers = {"Retry-After": request.query["after"]} if "after" in request.query else {}
        return web.Response(status=int(request.match_info["status"]), headers=headers)

    async def _json(self, request: web.Request) -> web.Response:
        return web.Response(body=request.query["body"].encode(), content_type="application/json")


@pytest.fixture
async def fake() -> AsyncIterator[Odd]:
    made = Odd()
    async with served(made):
        yield made


@pytest.fixture
def door(session: aiohttp.ClientSession, calls: CallCounter) -> Door:
    return Door(session, "Odd", calls=calls, timeout=5, now=lambda: NOW)


async def test_a_redirect_to_the_same_host_is_followed_and_counted(door: Door, fake: Odd) -> None:
    assert (await door.ask("GET", fake.url + "/near")).text == "fine"
    assert door.calls.total == 2


async def test_a_circle_of_redirects_ends(door: Door, fake: Odd) -> None:
    with pytest.raises(Unavailable, match="circles"):
        await door.ask("GET", fake.url + "/round")


async def test_a_redirect_by_another_name_of_the_host_is_not_followed(door: Door, fake: Odd) -> None:
    class Leading(Odd):
        async def _near(self, request: web.Request) -> web.Response:
            raise web.HTTPFound(fake.url.replace("127.0.0.1", "localhost") + "/fine")

    async with served(Leading()) as url:
        with pytest.raises(Unavailable, match="another host"):
            await door.ask("GET", url + "/near", headers={"X-Key": SECRET})
    assert not fake.asked


@pytest.mark.parametrize("place", ["mailto:ada@example.com", "http://[half", ""])
async def test_a_redirect_to_what_is_no_place_is_unavailable(door: Door, place: str) -> None:
    class Leading(Odd):
        async def _near(self, request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": place})

    async with served(Leading()) as url:
        with pytest.raises(Unavailable):
            await door.ask("GET", url + "/near")


@pytest.mark.parametrize("path", ["/big", "/bomb"])
async def test_an_answer_is_read_only_so_far(door: Door, fake: Odd, path: str) -> None:
    with pytest.raises(TooLarge):
        await door.ask("GET", fake.url + path, limit=10_000)
    assert door.calls.total == 1


@pytest.mark.parametrize("trouble", [Trouble.DROP, Trouble.SLOW])
async def test_only_what_may_be_repeated_is_repeated(
    session: aiohttp.ClientSession, fake: Odd, trouble: Trouble
) -> None:
    door = Door(session, "Odd", timeout=0.2)
    fake.fail(trouble, seconds=1)
    for method, asked in (("GET", 3), ("POST", 1), ("PUT", 1)):
        before = door.calls.total
        with pytest.raises(Unavailable):
            await door.ask(method, fake.url + "/fine")
        assert door.calls.total - before == asked


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_restarting_service_is_asked_three_times(door: Door, fake: Odd, status: int) -> None:
    with pytest.raises(Unavailable, match=str(status)):
        await door.ask("GET", f"{fake.url}/status/{status}")
    assert door.calls.total == 3


@pytest.mark.parametrize(
    ("after", "when"),
    [
        ("120", NOW + timedelta(minutes=2)),
        ("Fri, 20 Nov 2026 09:30:00 GMT", NOW + timedelta(minutes=30)),
        ("soon", NOW + timedelta(minutes=5)),
        ("99999999999", NOW + timedelta(days=1)),
        ("9" * 5000, NOW + timedelta(days=1)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", NOW + timedelta(days=1)),
        ("\xb2", NOW + timedelta(minutes=5)),
    ],
)
async def test_retry_after_is_heeded_and_the_door_stays_closed(
    door: Door, fake: Odd, after: str, when: datetime
) -> None:
    with pytest.raises(Unavailable) as raised:
        await door.ask("GET", fake.url + "/status/429", params=[("after", after)])
    assert raised.value.retry_at == when
    with pytest.raises(Unavailable) as raised:
        await door.ask("GET", fake.url + "/fine")
    assert raised.value.retry_at == when and len(fake.asked) == 1


async def test_nothing_listening_is_said_with_the_address(door: Door) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"Odd: cannot be reached at 127\.0\.0\.1:{port}"):
            await door.ask("GET", f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("trouble", [Trouble.DROP, Trouble.SLOW, Trouble.BUSY])
async def test_no_error_shows_the_headers_sent(
    session: aiohttp.ClientSession, fake: Odd, trouble: Trouble
) -> None:
    door = Door(session, "Odd", timeout=0.2, attempts=1)
    fake.fail(trouble)
    with pytest.raises(Unavailable) as raised:
        await door.ask("GET", fake.url + "/fine", headers={"X-Key": SECRET})
    chain: BaseException | None = raised.value
    while chain is not None:
        assert SECRET not in str(chain) and SECRET not in repr(chain)
        chain = chain.__cause__ or chain.__context__


@pytest.mark.parametrize(
    ("body", "read"),
    [
        ('{"a": "x\\u0000y"}', {"a": "x\N{REPLACEMENT CHARACTER}y"}),
        ('{"a": ["\\ud800"]}', {"a": ["?"]}),
        ('{"a": "\\\\u0000"}', {"a": "\\u0000"}),
    ],
)
async def test_what_no_database_stores_is_replaced(door: Door, fake: Odd, body: str, read: object) -> None:
    assert (await door.ask("GET", fake.url + "/json", params=[("body", body)])).json() == read


@pytest.mark.parametrize("body", ["<html>", "", "[" * 100_000])
async def test_what_is_no_json_is_unavailable(door: Door, fake: Odd, body: str) -> None:
    class Bad(Odd):
        async def _json(self, request: web.Request) -> web.Response:
            return web.Response(text=body)

    async with served(Bad()) as url:
        answer = await door.ask("GET", url + "/json")
    with pytest.raises(Unavailable, match="something else than JSON"):
        answer.json()


@pytest.mark.parametrize(
    "url", ["ftp://x", "bugzilla.example", "https://user:pw@host", "http://", "http://[::1"]
)
def test_an_address_that_is_none_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"bugzilla\.url") as raised:
        checked_url("bugzilla.url", url)
    assert "pw" not in str(raised.value).replace("password", "")


def test_a_secret_is_refused_unseen() -> None:
    assert checked_secret("key", "  abc \n") == "abc"
    assert checked_secret("key", "") is None
    with pytest.raises(InvalidInput) as raised:
        checked_secret("key", f"{SECRET}\r\nX-Other: y")
    assert SECRET not in str(raised.value)
