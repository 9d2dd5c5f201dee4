# SPDX-License-Identifier: MPL-2.0
"""Every page opens, draws what its API says, and is accessible; within its policy and at any width."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page

from fixtures_pages import Stage, complaints, login, opened, show, violations
from shipit.world import people

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

PAGES = ("/", "/releases", "/events", "/plans/beta", "/me")


async def test_each_page_opens_and_axe_finds_nothing_wrong(stage: Stage, page: Page) -> None:
    uid = stage.rows("select uid from requests order by uid limit 1")[0][0]
    for path in (*PAGES, f"/requests/{uid}"):
        await show(page, stage.url + path)
        assert await page.locator("h1").count() == 1, path
        assert await violations(page) == [], path


async def test_each_page_fits_a_narrow_screen(stage: Stage, chromium: Browser) -> None:
    async with opened(chromium, viewport={"width": 400, "height": 800}) as page:
        for path in PAGES:
            await show(page, stage.url + path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 400, path
        assert complaints(page) == []


async def test_links_between_pages_load_no_second_shell(stage: Stage, page: Page) -> None:
    await show(page, stage.url + "/")
    await page.evaluate("window.mine = 1")
    await page.click("nav >> text=Releases")
    await page.wait_for_url("**/releases")
    await page.go_back()
    await page.wait_for_url(stage.url + "/")
    assert await page.evaluate("window.mine") == 1


async def test_who_logs_in_is_named(stage: Stage, page: Page) -> None:
    await login(page, people.MANAGER, stage.url)
    await page.wait_for_selector('header a[href="/me"]')
    assert "rosa" in await page.inner_text("header")
