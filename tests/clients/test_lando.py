# SPDX-License-Identifier: MPL-2.0
"""The client of Lando's commit map against the fake map."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from shipit.clients.http import CallCounter
from shipit.clients.lando import Lando
from shipit.errors import InvalidInput, Unavailable
from shipit.world.lando import FakeLando
from shipit.world.server import Trouble, served

GIT, HG = "a" * 40, "1" * 40


@pytest.fixture
async def fake() -> AsyncIterator[FakeLando]:
    made = FakeLando()
    made.add(GIT, HG)
    async with served(made):
        yield made


@pytest.fixture
def client(session: aiohttp.ClientSession, fake: FakeLando, calls: CallCounter) -> Lando:
    return Lando(session, fake.url, calls=calls)


async def test_names_are_mapped_and_remembered(client: Lando, calls: CallCounter) -> None:
    for _ in range(3):
        assert await client.git_of(HG) == GIT
    assert await client.git_of(HG[:12]) == GIT
    assert calls.by_service() == {"Lando": 2}


async def test_an_unknown_commit_is_none_now_and_asked_again_later(client: Lando, fake: FakeLando) -> None:
    assert await client.git_of("2" * 40) is None
    fake.add("b" * 40, "2" * 40)
    assert await client.git_of("2" * 40) == "b" * 40


async def test_many_are_mapped_at_once(client: Lando, fake: FakeLando) -> None:
    hashes = [f"{number:040x}" for number in range(1, 40)]
    for one in hashes:
        fake.add(one.replace("0", "c"), one)
    found = await client.gits_of([*hashes, *hashes, "f" * 40])
    assert found.pop("f" * 40) is None
    assert found == {one: one.replace("0", "c") for one in hashes}


@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.DROP, Trouble.BUSY, Trouble.GARBAGE])
async def test_a_failing_map_is_not_an_unmapped_commit(
    client: Lando, fake: FakeLando, trouble: Trouble
) -> None:
    fake.fail(trouble)
    with pytest.raises(Unavailable):
        await client.git_of(HG)


async def test_what_is_no_hash_is_never_asked(client: Lando, fake: FakeLando) -> None:
    with pytest.raises(InvalidInput):
        await client.git_of("../../secrets")
    assert not fake.asked
