# SPDX-License-Identifier: MPL-2.0
"""The board's lists and its search in a browser: what has no request is decided about all the same."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from fixtures_pages import Stage, login, show, violations
from shipit.world import people

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

TRACKED = 1900201


async def test_a_list_is_worked_by_keys_and_its_flags_are_written(stage: Stage, page: Page) -> None:
    await login(page, people.MANAGER, stage.url)
    await show(page, stage.url + "/?train=beta&list=tracking")
    await page.wait_for_selector(".list-t tbody tr")
    assert await violations(page) == []
    await page.keyboard.press("j")
    row = page.locator(f'.list-t tr:has(a:text-is("{TRACKED}"))')
    await expect(row).to_be_focused()
    await page.keyboard.press("x")
    await expect(row).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("a")
    await expect(page.locator("dialog")).to_have_count(0)
    await page.keyboard.press("e")
    dialog = page.locator("dialog")
    await expect(dialog).to_contain_text(f"Set flags of bug {TRACKED}")
    await expect(dialog.locator(".writes")).to_contain_text("cf_tracking_firefox")
    await expect(dialog.locator("button.primary")).to_be_enabled(timeout=15_000)
    assert await violations(page) == []
    await page.keyboard.press("Control+Enter")
    await page.wait_for_selector(".toast >> text=Undo")
    await expect(page.locator("dialog")).to_have_count(0)
    query = "select state from decision_parts where bug = %s"
    for _ in range(150):
        if stage.rows(query, TRACKED) == [("done",)]:
            break
        await asyncio.sleep(0.1)
    assert stage.rows(query, TRACKED) == [("done",)]
    fields = stage.world.bugzilla.bug(TRACKED).custom
    assert [value for name, value in fields.items() if name.startswith("cf_tracking") and value == "+"]
    assert stage.rows("select count(*) > 0 from decision_audit where bug = %s", TRACKED) == [(True,)]


async def test_who_may_not_decide_reads_a_list_and_is_told_why(stage: Stage, page: Page) -> None:
    await login(page, people.TRAINEE, stage.url)
    await show(page, stage.url + "/?train=beta&list=relnote")
    await page.wait_for_selector(".list-t tbody tr")
    await page.keyboard.press("j")
    await expect(page.locator(".bulk")).to_contain_text("not decide for beta")
    await page.keyboard.press("e")
    await expect(page.locator("dialog")).to_have_count(0)


async def test_the_search_finds_what_is_elsewhere_and_says_where(stage: Stage, page: Page) -> None:
    await show(page, stage.url + "/?train=esr128")
    await page.keyboard.press("/")
    await page.keyboard.type("zoom")
    found = page.locator('section[aria-label="Found elsewhere"]')
    await expect(found.locator('tr:has-text("1900124")').first).to_contain_text("asks for approval")
    await expect(found).to_contain_text("Release 148")
    assert await violations(page) == []
    await page.fill("input[type=search]", "1900104")
    await expect(found).to_have_count(0)
    await page.fill("input[type=search]", str(TRACKED))
    await expect(found).to_contain_text("Tracking ?")
    await found.locator("a").first.click()
    await page.wait_for_url("**list=tracking*")


async def test_the_commands_of_a_row_are_copied(stage: Stage, page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=stage.url)
    await show(page, stage.url + "/?train=beta&q=1900101")
    await page.keyboard.press("j")
    await page.keyboard.press("c")
    await expect(page.locator(".toast")).to_contain_text("are copied")
    assert "git switch --detach" in await page.evaluate("navigator.clipboard.readText()")
