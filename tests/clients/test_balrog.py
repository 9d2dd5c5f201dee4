# SPDX-License-Identifier: MPL-2.0
"""Balrog's admin API: whose token it is, updates shut off once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from shipit.clients.balrog import UNNAMED, Balrog
from shipit.clients.http import open_session
from shipit.errors import Refused, Unavailable
from shipit.world.balrog import FakeBalrog
from shipit.world.server import served


@pytest.fixture
async def fake() -> AsyncIterator[FakeBalrog]:
    made = FakeBalrog()
    async with served(made):
        made.add_person("token-of-kim", "kim@example.com", "relman")
        yield made


async def test_a_token_is_taken_also_by_a_balrog_that_names_nobody(fake: FakeBalrog) -> None:
    async with open_session() as session:
        balrog = Balrog(session, fake.api_url, timeout=5)
        assert await balrog.account("token-of-kim") == "kim@example.com"
        fake.names_users = False
        assert await balrog.account("token-of-kim") == UNNAMED
        with pytest.raises(Refused, match="does not take this token"):
            await balrog.account("a-wrong-token")


async def test_shutting_off_is_seen_and_refused_a_second_time(fake: FakeBalrog) -> None:
    async with open_session() as session:
        balrog = Balrog(session, fake.api_url, token="token-of-kim", timeout=5)
        assert not await balrog.is_shut_off("Firefox", "beta")
        await balrog.shut_off("Firefox", "beta", "crashes")
        assert await balrog.is_shut_off("Firefox", "beta")
        with pytest.raises(Refused, match="already exists"):
            await balrog.shut_off("Firefox", "beta", "crashes")


async def test_odd_scheduled_changes_are_a_service_that_cannot_be_had(
    fake: FakeBalrog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def odd(_: web.Request) -> web.Response:
        return web.json_response({"scheduled_changes": ["odd"]})

    monkeypatch.setattr(fake, "answer", lambda request, _: odd(request))
    async with open_session() as session:
        with pytest.raises(Unavailable, match="in another shape"):
            await Balrog(session, fake.api_url, token="token-of-kim", timeout=5).scheduled_for(1)
