# SPDX-License-Identifier: MPL-2.0
"""The plan page of a train in a real browser: the order, what waits for what, what is left behind; live."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from fixtures_pages import Stage, complaints, opened, show, violations
from shipit.world.story import RELEASE_MANAGER

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

# The demo's bug that builds on another request, and that other one.
LATER, FIRST = 1900125, 1900101


async def test_the_plan_shows_the_order_and_what_waits_for_what(stage: Stage, page: Page) -> None:
    await show(page, f"{stage.url}/plans/beta?scope=pending")
    await expect(page.locator("h1")).to_have_text("Landing plan of beta")
    bugs = await page.locator("tr[data-request] td:nth-child(2)").all_inner_texts()
    assert bugs.index(str(FIRST)) < bugs.index(str(LATER))
    row = page.locator(f'tr[data-request^="{LATER}-"]')
    await expect(row).to_contain_text(f"bug {FIRST} first")
    # what the train's own commits keep from merging is named with the reason
    await expect(page.locator("section", has_text="Merges nowhere in this plan")).to_contain_text(
        "conflicts in"
    )
    await expect(page.locator("tr[data-behind]", has_text="Settle Strip.cpp again")).to_contain_text(
        "Not asked for"
    )
    assert await violations(page) == []


async def test_the_plan_fits_a_narrow_screen_and_its_steps_lead_to_requests(
    stage: Stage, chromium: Browser
) -> None:
    async with opened(chromium, viewport={"width": 400, "height": 800}) as page:
        await show(page, f"{stage.url}/plans/beta?scope=pending")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 400
        assert complaints(page) == []
        await page.click(f'tr[data-request^="{LATER}-"] a')
        await page.wait_for_url(f"**/requests/{LATER}-*")


async def test_the_board_leads_to_the_plan_and_says_what_a_request_needs(stage: Stage, page: Page) -> None:
    await show(page, f"{stage.url}/?train=beta")
    row = page.get_by_role("row").filter(has_text="Dragging a tab over the pinned ones")
    await expect(row).to_contain_text(f"Needs {FIRST}")
    await page.click("text=Landing plan")
    await expect(page.locator("h1")).to_have_text("Landing plan of beta")


async def test_an_approval_reaches_the_open_plan(stage: Stage, page: Page) -> None:
    await show(page, f"{stage.url}/plans/beta")
    step = page.locator(f'tr[data-request^="{FIRST}-"]')
    await expect(step).to_have_count(0)
    bugs = stage.world.bugzilla
    for one in [each.id for each in bugs.state.attachments.values() if each.bug == FIRST]:
        bugs.set_flag("approval-mozilla-beta", "+", by=RELEASE_MANAGER.email, attachment=one)
    await stage.round()
    await expect(step).to_contain_text("Approved", timeout=15_000)


async def test_a_train_that_is_not_there_says_so(stage: Stage, page: Page) -> None:
    await page.goto(f"{stage.url}/plans/nowhere")
    await expect(page.locator("main")).to_contain_text("This plan is not there, or not open to you")
    complaints(page).clear()
