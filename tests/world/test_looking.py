# SPDX-License-Identifier: MPL-2.0
"""The pages of the fake services show what all may see, and nothing becomes markup."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from shipit.clients.http import open_session
from shipit.world.world import World

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World.open() as made:
        made.phabricator.add_user("ann")
        made.phabricator.add_repository("firefox-main")
        yield made


async def read(url: str) -> tuple[int, str]:
    async with open_session() as session, session.get(url, timeout=aiohttp.ClientTimeout(10)) as answer:
        return answer.status, await answer.text()


async def test_a_task_and_its_group_can_be_looked_at(world: World) -> None:
    world.taskcluster.add_task("GROUP", "TASK", "completed", label=HOSTILE)
    for path in ("tasks/groups/GROUP", "tasks/TASK"):
        status, text = await read(f"{world.taskcluster.url}/{path}")
        assert (status, "completed" in text, HOSTILE in text) == (200, True, False)
    assert (await read(f"{world.taskcluster.url}/tasks/none"))[0] == 404


async def test_a_review_is_shown_only_where_everybody_may_see_it(world: World) -> None:
    root = world.phabricator.url
    seen = world.phabricator.revise(HOSTILE, "a patch", by="ann", repository="firefox-main")
    hidden = world.phabricator.revise("secret", "x", by="ann", view=frozenset({"ann"}))
    number = world.phabricator.revisions[seen].diffs[-1].id
    for path in (f"D{seen}", f"differential/diff/{number}/"):
        status, text = await read(f"{root}/{path}")
        assert (status, "a patch" in text, HOSTILE in text) == (200, True, False)
    diff = world.phabricator.revisions[hidden].diffs[-1].id
    for path in (f"D{hidden}", f"differential/diff/{diff}/", "D999999"):
        status, text = await read(f"{root}/{path}")
        assert (status, "secret" in text) == (404, False)
