# SPDX-License-Identifier: MPL-2.0
"""A view is the same on the page, in its CSV and in its feeds; it is saved, shared, opened and removed."""

from __future__ import annotations

import csv
import io

import pytest
from playwright.async_api import Page, expect

from fixtures_pages import Stage, login, show
from shipit.world import people

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

QUERIES = (
    "",
    "sort=-bug",
    "sort=age",
    "sort=size",
    "sort=-risk",
    "group=decide,blocked",
    "status=conflict,needs-bug",
    "risk=none",
    "disagrees=yes&sort=bug",
    "q=crash",
    "security=yes",
    "state=approved",
)


async def rows_of(page: Page) -> list[str]:
    found: list[str] = await page.eval_on_selector_all(
        "main [data-uid]", "(rows) => [...new Set(rows.map((row) => row.dataset.uid))]"
    )
    return found


async def test_page_and_server_choose_and_order_the_same_rows(stage: Stage, page: Page) -> None:
    await login(page, people.MANAGER, stage.url)
    seen = 0
    for query in QUERIES:
        await show(page, f"{stage.url}/?train=beta&{query}")
        answer = await page.request.get(f"{stage.url}/api/board/beta/json?{query}")
        wanted = [row["uid"] for row in (await answer.json())["rows"]]
        assert await rows_of(page) == wanted, query
        table = await page.request.get(f"{stage.url}/api/board/beta/csv?{query}")
        rows = list(csv.DictReader(io.StringIO(await table.text(), newline="")))
        assert [row["url"].rsplit("/", 1)[-1] for row in rows] == wanted, query
        seen += len(wanted)
    assert seen > 30


async def test_a_feed_shows_less_than_the_page_of_who_may_see_more(stage: Stage, page: Page) -> None:
    await login(page, people.MANAGER, stage.url)
    restricted = stage.rows(
        "select r.uid from requests r join bugs b on b.id = r.bug "
        "where b.is_restricted and r.train = 'beta' and r.closed_at is null"
    )
    assert restricted
    await show(page, f"{stage.url}/?train=beta")
    assert {uid for (uid,) in restricted} <= set(await rows_of(page))
    for kind in ("rss", "atom"):
        feed = await (await page.request.get(f"{stage.url}/api/board/beta/{kind}")).text()
        assert "/requests/" in feed
        assert not [uid for (uid,) in restricted if uid in feed]


async def test_a_view_is_saved_opened_shared_and_removed(stage: Stage, page: Page) -> None:
    await login(page, people.OBSERVER, stage.url)
    await show(page, f"{stage.url}/me")
    await expect(page.get_by_text("You have none.")).to_be_visible()
    me = await (await page.request.get(f"{stage.url}/api/me")).json()
    saved = await page.request.put(
        f"{stage.url}/api/views/a-view",
        data={"name": "Conflicts", "train": "beta", "query": "status=conflict"},
        headers={"X-Csrf-Token": me["csrf"]},
    )
    assert saved.status == 200, await saved.text()
    await show(page, f"{stage.url}/me")
    await page.get_by_role("checkbox", name="Shared with everybody who logs in").check()
    await page.get_by_role("link", name="Conflicts").click()
    await page.wait_for_url(f"{stage.url}/?status=conflict&train=beta")
    await page.wait_for_selector("main [data-uid]")
    answer = await page.request.get(f"{stage.url}/api/board/beta/json?status=conflict")
    assert await rows_of(page) == [row["uid"] for row in (await answer.json())["rows"]]
    assert stage.rows("select is_shared, revision_no from views") == [(True, 2)]
    await show(page, f"{stage.url}/me")
    await page.get_by_role("button", name="Remove “Conflicts”").click()
    await expect(page.get_by_text("You have none.")).to_be_visible()
