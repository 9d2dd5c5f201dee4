# SPDX-License-Identifier: MPL-2.0
"""Logging in and out in a real browser, and the page about oneself: rights, keys, saved views."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from fixtures_pages import Stage, complaints, login, show, violations
from shipit.world import people

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]


async def test_a_person_logs_in_from_where_they_are_and_comes_back(stage: Stage, page: Page) -> None:
    await show(page, f"{stage.url}/events?state=quarantined")
    await page.get_by_role("link", name="Log in").first.click()
    await expect(page.get_by_role("heading", name="Log in to Ship It as…")).to_be_visible()
    await page.get_by_role("button", name="Rosa").click()
    await page.wait_for_url(f"{stage.url}/events?state=quarantined")
    await expect(page.get_by_role("link", name="You: rosa")).to_be_visible()
    cookies = {each["name"]: each for each in await page.context.cookies()}
    assert cookies["shipit"]["httpOnly"] and cookies["shipit"]["sameSite"] == "Lax"
    assert await page.evaluate("document.cookie") == ""
    stored = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert cookies["shipit"]["value"] not in stored


async def test_the_page_says_what_one_may_do_and_lets_one_out(stage: Stage, page: Page) -> None:
    await login(page, people.MANAGER, stage.url)
    await show(page, f"{stage.url}/me")
    await expect(page.get_by_role("heading", name="rosa")).to_be_visible()
    await expect(page.get_by_text("Sees everything, security bugs included.")).to_be_visible()
    await expect(page.get_by_text("Decides about requests for beta, release")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url(f"{stage.url}/")
    await show(page, f"{stage.url}/me")
    await expect(page.get_by_role("heading", name="You are not logged in")).to_be_visible()


async def test_who_refuses_at_taskcluster_is_told_and_can_go_on(stage: Stage, page: Page) -> None:
    await page.goto(f"{stage.url}/login?next=/me")
    await page.get_by_role("button", name="Nobody: refuse").click()
    await expect(page.get_by_role("heading", name="You are not logged in")).to_be_visible()
    await page.get_by_role("link", name="go on without").click()
    await page.wait_for_url(f"{stage.url}/")
    complaints(page).clear()


async def test_a_key_is_entered_shown_as_whose_it_is_and_forgotten(stage: Stage, page: Page) -> None:
    key = stage.world.bugzilla.key_for("rosa@people.example")
    await login(page, people.TRAINEE, stage.url)
    await show(page, f"{stage.url}/me")
    field = page.get_by_label("Your Bugzilla key")
    await field.fill("not-a-key")
    await page.get_by_role("button", name="Keep").first.click()
    await expect(page.get_by_role("alert").first).to_be_visible()
    complaints(page).clear()
    await field.fill(key)
    await page.get_by_role("button", name="Keep").first.click()
    await expect(page.get_by_text("writes as rosa@people.example, entered")).to_be_visible()
    assert key not in await page.content()
    await page.get_by_role("button", name="Forget").click()
    await page.get_by_role("button", name="Forget it").click()
    await expect(page.get_by_label("Your Bugzilla key")).to_be_visible()


async def test_the_page_is_open_to_everybody_at_any_width(stage: Stage, page: Page) -> None:
    await login(page, people.MANAGER, stage.url)
    await show(page, f"{stage.url}/me")
    await expect(page.get_by_label("Another Bugzilla key")).to_be_visible()
    overflow = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    for width in (400, 1600):
        await page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert await violations(page) == [], (width, scheme)
        assert not await page.evaluate(overflow), width


async def test_a_session_that_ends_takes_from_open_pages_what_it_gave(stage: Stage, page: Page) -> None:
    (uid,) = stage.rows(
        "select r.uid from requests r join bugs b on b.id = r.bug "
        "where b.is_restricted and r.train = 'beta' and r.closed_at is null limit 1"
    )[0]
    await login(page, people.MANAGER, stage.url)
    await show(page, f"{stage.url}/?train=beta")
    await expect(page.locator(f'[data-uid="{uid}"]').first).to_be_visible()
    with stage.database.connect() as connection:
        connection.execute("delete from sessions")
    await expect(page.get_by_text("Your session has ended")).to_be_visible(timeout=45_000)
    await expect(page.locator(f'[data-uid="{uid}"]')).to_have_count(0, timeout=15_000)
    await expect(page.get_by_role("banner").get_by_role("link", name="Log in")).to_be_visible()
