# SPDX-License-Identifier: MPL-2.0
"""Phabricator as the listener reads it, against the fake Phabricator, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from shipit.clients.differential import Differential, LostCursor
from shipit.clients.http import KeyRefused
from shipit.world.phabricator import FakePhabricator
from shipit.world.server import served

TOKEN = "api-" + "t" * 28
DIFF = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"


@pytest.fixture
async def fake() -> AsyncIterator[FakePhabricator]:
    made = FakePhabricator()
    made.add_user("ann", token=TOKEN)
    made.add_repository("firefox-main")
    async with served(made):
        yield made


@pytest.fixture
def client(session: aiohttp.ClientSession, fake: FakePhabricator) -> Differential:
    return Differential(session, fake.url, TOKEN)


async def test_a_token_that_is_not_taken_is_in_no_error(
    session: aiohttp.ClientSession, fake: FakePhabricator
) -> None:
    wrong = "api-" + "w" * 28
    with pytest.raises(KeyRefused, match="does not take our token") as raised:
        await Differential(session, fake.url, wrong).newest_diffs(limit=1)
    assert wrong not in str(raised.value) and wrong not in repr(raised.value.__cause__)


async def test_diffs_after_one_that_is_gone_are_a_lost_cursor(
    client: Differential, fake: FakePhabricator
) -> None:
    revision = fake.revise("Bug 1 - x", DIFF, by="ann", repository="firefox-main")
    newest = fake.update(revision, DIFF)
    assert [row["id"] for row in (await client.newest_diffs(limit=1)).rows] == [newest]
    with pytest.raises(LostCursor):
        await client.diffs_after(newest + 1000)


async def test_what_is_known_of_a_diff_names_its_repository(
    client: Differential, fake: FakePhabricator
) -> None:
    revision = fake.revise("Bug 1 - x", DIFF, by="ann", repository="firefox-main")
    newest = fake.update(revision, DIFF)
    known = await client.facts(str(newest))
    assert known is not None and known.id == newest and "firefox-main" in known.repository_names
    assert await client.facts(str(newest + 1000)) is None
