# SPDX-License-Identifier: MPL-2.0
"""Much at once, and little: five hundred changes while somebody works, and who wants nothing to move."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from fixtures_pages import Feeding, show
from fixtures_web import NOON, make_bug, make_request, make_train, make_trains
from shipit.merge.types import Outcome
from shipit.trains.types import Moment
from shipit.uplift.report import BugsReport
from shipit.uplift.types import RequestState

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

ROWS, ROUNDS = 180, 10
CHANGED = 50


def row(page: Page, bug: int) -> Any:
    return page.locator(f'[data-uid]:has(.id:text-is("{bug}"))')


def bug(number: int, at: int) -> Any:
    """A bug as it is in a round; every third changes its place too."""
    state = RequestState.APPROVED if number % 3 == 0 and at % 2 else RequestState.REQUESTED
    request = make_request(number, outcome=Outcome.CLEAN, state=state)
    return make_bug(
        number, request, summary=f"Round {at}", digest=f"d{at}", read_at=NOON + timedelta(minutes=at)
    )


async def test_five_hundred_changes_leave_selection_cursor_and_scroll_where_they_are(
    fed: Feeding, page: Page
) -> None:
    service = await fed(*[bug(number, 0) for number in range(1, ROWS + 1)])
    reads: list[str] = []
    page.on("request", lambda asked: reads.append(asked.url) if asked.url.endswith("/board/beta") else None)
    await show(page, service.url + "/")
    await row(page, 40).scroll_into_view_if_needed()
    await row(page, 40).locator(".c-sel input").check()
    await row(page, 41).hover()
    before = (await page.evaluate("scrollY"), await row(page, 41).bounding_box())
    order = await page.locator("[data-uid] .id").all_text_contents()
    reads.clear()
    for at in range(1, ROUNDS + 1):
        first = (at * 37) % (ROWS - CHANGED)
        bugs = tuple(bug(number, at) for number in range(first, first + CHANGED) if number)
        answer = await service.put("/api/bugs", BugsReport(round=f"r{at}", bugs=bugs))
        assert answer.status_code == 200, answer.text
    last = ((ROUNDS * 37) % (ROWS - CHANGED)) + 1
    await expect(page.locator(".pill")).to_be_visible()
    assert len(reads) < ROUNDS * CHANGED / 10, "changes are told together"
    assert (await page.evaluate("scrollY"), await row(page, 41).bounding_box()) == before
    assert await page.locator("[data-uid] .id").all_text_contents() == order, "nothing moves"
    await expect(row(page, 40)).to_have_attribute("aria-selected", "true")
    assert "cur" in (await row(page, 40).get_attribute("class") or "")
    seen = -1
    while seen != len(reads):  # until the last change has come: what comes after the key is held again
        seen = len(reads)
        await page.wait_for_timeout(1500)
    await page.keyboard.press(".")
    await expect(page.locator(".pill")).to_have_count(0)
    await page.fill("input[type=search]", f"{last}")
    await expect(row(page, last)).to_contain_text(f"Round {ROUNDS}", timeout=30_000)
    await page.fill("input[type=search]", "")
    await expect(row(page, 40)).to_have_attribute("aria-selected", "true")


async def test_who_wants_no_motion_gets_none_and_the_word_carries_it(fed: Feeding, page: Page) -> None:
    service = await fed(make_bug(1, make_request(1)), make_bug(2, make_request(2, outcome=Outcome.CLEAN)))
    await show(page, service.url + "/")
    await expect(row(page, 1)).to_contain_text("Queued")
    await page.keyboard.press("j")
    await page.keyboard.press("?")
    await expect(page.locator("dialog")).to_be_visible()
    running = "document.getAnimations().filter((each) => each.playState === 'running').length"
    assert await page.evaluate(running) == 0


async def test_the_strip_draws_the_cycle_and_names_its_owner(fed: Feeding, page: Page) -> None:
    merge = Moment("merge_day", NOON - timedelta(days=9), True)
    built = [Moment(f"beta_{number}", NOON - timedelta(days=9 - 2 * number)) for number in (1, 2, 3)]
    train = make_train("beta", passed=(merge, *built), owner="Omar Bell")
    service = await fed(make_bug(1, make_request(1)), trains=make_trains(train))
    await show(page, service.url + "/")
    strip = page.locator(".cal")
    await expect(strip.locator(".rail i.done")).to_have_count(4)
    await expect(strip.locator(".rail i.next")).to_have_count(1)
    for words in ("day ", " left, to ", "147.0b4", "Omar Bell", "today"):
        await expect(strip).to_contain_text(words)
    assert "b3 on" in (await strip.locator(".rail").get_attribute("aria-label") or "")
    await page.set_viewport_size({"width": 400, "height": 800})
    await expect(strip.locator("text=Omar Bell")).to_be_visible()
