# SPDX-License-Identifier: MPL-2.0
"""The board in a browser: read, filter, decide by keys, and stay where one is while everything changes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from fixtures_pages import Feeding, Stage, complaints, login, opened, show, violations
from fixtures_web import NOON, Service, make_bug, make_request, make_train, make_trains
from page_reading import HOSTILE
from shipit.merge.types import Outcome
from shipit.uplift.report import BugsReport
from shipit.uplift.types import RequestState
from shipit.world import people
from shipit.world.story import bugs

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

ROW = "[data-uid]"


def row(page: Page, bug: int) -> Any:
    return page.locator(f'{ROW}:has(.id:text-is("{bug}"))')


async def shown(page: Page) -> list[int]:
    # textContent, since what is off the screen is not laid out
    return [int(text) for text in await page.locator(f"{ROW} .id").all_text_contents()]


# --- reading -------------------------------------------------------------------------------------------


async def test_it_shows_every_request_with_word_and_reason(stage: Stage, page: Page) -> None:
    await login(page, people.MANAGER, stage.url)
    await show(page, stage.url + "/?train=beta")
    expected = {bug.id for bug in bugs() if "beta" in bug.requests}
    assert set(await shown(page)) == expected
    tab = page.locator(".train[aria-current]")
    assert str(len(expected)) in await tab.inner_text()
    clean = row(page, 1900101)
    await expect(clean.locator(".c-here .st")).to_have_class("st ok")
    assert "It merges onto beta" in (await clean.locator(".c-here").get_attribute("title") or "")
    conflict = row(page, 1900105)
    await expect(conflict.locator(".c-here .st")).to_have_class("st bad")
    assert "Conflict, 1 file" in await conflict.inner_text()
    assert "Security" in await row(page, 1900104).inner_text()
    titles = await page.locator(".grp h2").all_inner_texts()
    assert titles[0].startswith("Needs your decision")
    assert await violations(page) == []


async def test_a_stranger_reads_and_sees_no_restricted_bug(stage: Stage, page: Page) -> None:
    await show(page, stage.url + "/?train=beta")
    assert 1900104 not in await shown(page)
    assert "Use-after-free" not in await page.content()
    await login(page, people.OBSERVER, stage.url)
    await show(page, stage.url + "/?train=beta")
    await expect(page.locator(".hidden-row")).to_contain_text(
        "1 security request that your account cannot open"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
async def test_it_fits_and_is_accessible_at_any_width(
    stage: Stage, chromium: Browser, width: int, scheme: Any
) -> None:
    size = {"width": width, "height": 900}
    async with opened(chromium, viewport=size, color_scheme=scheme) as page:
        await show(page, stage.url + "/?train=beta")
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        assert await violations(page) == []
        assert complaints(page) == []


async def test_unavailable_unread_restricted_and_none_are_four_texts(fed: Feeding, page: Page) -> None:
    trains = make_trains(
        make_train("beta"),
        make_train("release", requests_read_at=None),
        make_train("esr140", requests_unavailable_since=NOON, requests_unavailable_reason="it answered 503"),
    )
    service = await fed(make_bug(1, make_request(1)), trains=trains)
    await show(page, service.url + "/")
    words = await page.locator(".trains").inner_text()
    assert "1" in words and "not read yet" in words and "unavailable" in words
    await page.click('.train:has-text("Release")')
    await expect(page.locator(".empty")).to_contain_text("Whether there are requests is not known")
    await page.click('.train:has-text("ESR")')
    await expect(page.locator(".callout")).to_contain_text("it answered 503")
    await page.click('.train:has-text("Beta")')
    await page.fill("input[type=search]", "nothing like it")
    await expect(page.locator(".empty")).to_contain_text("No request matches these filters")
    await page.click("text=Clear the filters")
    assert await shown(page) == [1]
    assert complaints(page) == []


# --- filters -------------------------------------------------------------------------------------------


async def test_filters_search_and_order_stand_in_the_address(stage: Stage, page: Page) -> None:
    await show(page, stage.url + "/?train=beta")
    everything = await shown(page)
    await page.click('.seg a:has-text("To decide")')
    await page.wait_for_url("**group=decide*")
    few = await shown(page)
    assert 0 < len(few) < len(everything)
    await page.keyboard.press("/")
    await page.keyboard.type("the")
    await page.wait_for_url("**q=the*")
    await page.select_option(".sort select", "-age")
    await page.wait_for_url("**sort=-age*")
    found, address = await shown(page), page.url
    await show(page, address)
    assert await shown(page) == found, "the address alone brings the same rows"
    query = address.partition("?")[2].replace("train=beta&", "")
    told = await page.evaluate(f"fetch('/api/board/beta/json?{query}').then((each) => each.json())")
    assert sorted(each["bug"] for each in told["rows"]) == sorted(found)
    await page.click('button[aria-label="Remove filter Who acts"]')
    await page.wait_for_url(lambda url: "group=" not in url)
    await page.go_back()
    await page.wait_for_url("**group=decide*")
    await show(page, stage.url + "/?train=beta")
    await page.keyboard.press("f")
    await page.select_option('.filters label:has(span:text-is("Merge")) select', "conflict")
    await page.wait_for_url("**status=conflict*")
    assert {
        await each.inner_text() for each in await page.locator(".c-here .st > span:first-of-type").all()
    } == {"Conflict, 1 file"}


# --- keys ----------------------------------------------------------------------------------------------


async def test_the_keyboard_alone_moves_selects_opens_and_asks_before_it_writes(
    stage: Stage, page: Page
) -> None:
    await login(page, people.MANAGER, stage.url)
    await show(page, stage.url + "/?train=beta")
    order = await shown(page)
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(row(page, order[1])).to_be_focused()
    await page.keyboard.press("x")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Shift+X")
    await expect(page.locator('[aria-selected="true"]')).to_have_count(2)
    await page.keyboard.press("?")
    await expect(page.locator("dialog")).to_contain_text("All keys")
    await page.keyboard.press("j")
    await page.keyboard.press("Escape")
    await expect(page.locator('[aria-selected="true"]')).to_have_count(2)
    await page.keyboard.press("a")
    dialog = page.locator("dialog")
    await expect(dialog).to_contain_text("Approve 2 requests")
    await expect(dialog.locator("textarea")).to_be_focused()
    await expect(dialog).to_contain_text("What will be written")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    assert stage.rows("select count(*) from decisions") == [(0,)], "a verdict's key sends nothing"
    await page.keyboard.press("Escape")
    await expect(page.locator('[aria-selected="true"]')).to_have_count(0)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/requests/*")
    await page.go_back()
    await page.wait_for_selector(ROW)
    await page.keyboard.press("2")
    await page.wait_for_url("**train=release*")


async def test_single_letters_can_be_switched_off(stage: Stage, page: Page) -> None:
    await show(page, stage.url + "/?train=beta")
    await page.keyboard.press("?")
    await page.click("text=Single letters act")
    await page.keyboard.press("Escape")
    await page.keyboard.press("j")
    await expect(page.locator(".tr.cur")).to_have_count(0)
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".tr.cur")).to_have_count(1)


async def test_who_may_not_decide_is_told_why(stage: Stage, page: Page) -> None:
    await login(page, people.TRAINEE, stage.url)
    await show(page, stage.url + "/?train=beta")
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.locator(".bulk")).to_contain_text("You may read this board but not decide for beta")
    await page.keyboard.press("a")
    await expect(page.locator(".toast")).to_contain_text("not decide for beta")
    await expect(page.locator("dialog")).to_have_count(0)


# --- live ----------------------------------------------------------------------------------------------


def changed(bug: int, **more: Any) -> Any:
    request = make_request(bug, **more.pop("request", {}))
    return make_bug(bug, request, digest=f"d{more}", read_at=NOON + timedelta(hours=1), **more)


async def report(service: Service, *reports: Any) -> None:
    answer = await service.put("/api/bugs", BugsReport(round="r2", bugs=reports))
    assert {each["result"] for each in answer.json()["bugs"]} <= {"updated", "created"}, answer.text


async def test_a_live_update_keeps_selection_cursor_scroll_and_what_is_under_the_pointer(
    fed: Feeding, page: Page
) -> None:
    service = await fed(*[make_bug(n, make_request(n, outcome=Outcome.CLEAN)) for n in range(1, 81)])
    await show(page, service.url + "/")
    await row(page, 40).scroll_into_view_if_needed()
    await row(page, 40).locator(".c-sel input").check()
    await row(page, 41).hover()
    before = await page.evaluate("scrollY")
    place = await row(page, 41).bounding_box()
    order = await shown(page)
    await row(page, 42).evaluate("each => { each.dataset.mine = 'yes' }")
    await report(
        service,
        changed(39, request={"outcome": Outcome.CLEAN}, summary="In its place"),
        changed(40, request={"outcome": Outcome.CLEAN}, summary="Under the cursor"),
        changed(41, request={"outcome": Outcome.CLEAN}, summary="Under the pointer"),
        changed(2, request={"outcome": Outcome.CLEAN, "state": RequestState.APPROVED}, summary="Elsewhere"),
        changed(99, request={"outcome": Outcome.CLEAN}, summary="A new one"),
    )
    await expect(page.locator(".pill")).to_contain_text("4 changed, show")
    assert "In its place" in await row(page, 39).inner_text()
    assert "Under" not in await row(page, 40).inner_text() + await row(page, 41).inner_text()
    assert await shown(page) == order
    assert await page.evaluate("scrollY") == before
    assert await row(page, 41).bounding_box() == place
    assert await row(page, 42).get_attribute("data-mine") == "yes", "what did not change is the same element"
    await expect(row(page, 40)).to_have_attribute("aria-selected", "true")
    await page.keyboard.press(".")
    await expect(page.locator(".pill")).to_have_count(0)
    assert "Under the cursor" in await row(page, 40).inner_text()
    assert 99 in await shown(page)
    await expect(row(page, 40)).to_have_attribute("aria-selected", "true")
    assert "cur" in (await row(page, 40).get_attribute("class") or "")


@pytest.mark.parametrize("width", [1280, 400])
async def test_nothing_moves_once_the_first_row_is_there(stage: Stage, page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    # each frame tells where the first row stands
    await page.add_init_script("""
      window.places = new Set();
      (function look() {
        const row = document.querySelector("[data-uid]");
        if (row) places.add(Math.round(row.getBoundingClientRect().top));
        requestAnimationFrame(look);
      })();
    """)
    await login(page, people.MANAGER, stage.url)
    await page.goto(stage.url + "/?train=beta")
    await expect(page.locator(".lists a")).not_to_have_count(0)
    await expect(page.locator(".keys")).to_be_attached()
    assert len(await page.evaluate("[...places]")) == 1


async def test_a_page_that_nobody_is_at_takes_everything_at_once(fed: Feeding, page: Page) -> None:
    service = await fed(make_bug(1, make_request(1, outcome=Outcome.CLEAN)), make_bug(2, make_request(2)))
    await show(page, service.url + "/")
    await report(service, changed(3, summary="A new one"))
    await expect(page.locator(ROW)).to_have_count(3)
    await report(service, make_bug(1, digest="gone", read_at=NOON + timedelta(hours=2)))
    await expect(page.locator(ROW)).to_have_count(2)


async def test_a_lost_connection_is_said_and_mended_without_a_gap(fed: Feeding, page: Page) -> None:
    service = await fed(make_bug(1, make_request(1)))
    await show(page, service.url + "/")
    await page.context.set_offline(True)
    service.app.state.house.hub.stop()
    service.app.state.house.hub._is_stopped = False
    await expect(page.locator('[data-live="behind"]')).to_have_count(1, timeout=10_000)
    await expect(page.locator(".callout")).to_contain_text("This page hears of no change")
    await report(service, changed(2, summary="While it was away"))
    await page.context.set_offline(False)
    await expect(page.locator('[data-live="live"]')).to_have_count(1, timeout=20_000)
    await expect(row(page, 2)).to_contain_text("While it was away", timeout=10_000)
    await expect(page.locator(".callout")).to_have_count(0)
    complaints(page)[:] = [each for each in complaints(page) if "ERR_INTERNET_DISCONNECTED" not in each]


# --- much, and hostile ---------------------------------------------------------------------------------


async def test_a_thousand_rows_are_whole_and_few_of_them_drawn(fed: Feeding, page: Page) -> None:
    service = await fed(*[make_bug(n, make_request(n)) for n in range(1, 1001)])
    await show(page, service.url + "/")
    grid = page.locator("[role=grid]")
    assert await grid.get_attribute("aria-rowcount") == "1002"
    assert await page.locator("*").count() < 8000
    await page.keyboard.press("End")
    await expect(page.locator(".tr.cur")).to_be_in_viewport()
    last = await page.locator(".tr.cur .id").inner_text()
    assert await page.locator(".tr.cur").get_attribute("aria-rowindex") == "1002"
    await page.keyboard.press("Home")
    await expect(page.locator(".tr.cur")).to_be_in_viewport()
    assert await page.locator(".tr.cur .id").inner_text() != last
    await page.fill("input[type=search]", f"Summary of {last}")
    assert int(last) in await shown(page)
    assert await violations(page) == []


async def test_hostile_words_are_text_on_every_part_of_the_board(fed: Feeding, page: Page) -> None:
    wild = [
        make_bug(
            n, make_request(n, outcome=Outcome.ERROR, reason=word, requested_by=word),
            summary=word, component=word, product=word, keywords=(f"sec-{word}",),
        )
        for n, word in enumerate(HOSTILE, start=1)
    ]  # fmt: skip
    told = make_train("beta", owner=HOSTILE[0], version=HOSTILE[1], tip_reason=HOSTILE[2])
    service = await fed(*wild, trains=make_trains(told))
    await show(page, service.url + "/")
    for n, word in enumerate(HOSTILE, start=1):
        assert (await row(page, n).locator(".sum").inner_text()).split() == word.split()
    assert await page.locator("main script, main iframe, main img, main h1:has-text('mine')").count() == 0
    await page.keyboard.press("f")
    await page.wait_for_selector(".filters select")
    handlers = "[...document.querySelectorAll('*')].flatMap((each) => each.getAttributeNames())"
    assert not [name for name in await page.evaluate(handlers) if name.startswith("on")]
    await asyncio.sleep(0.1)
    assert complaints(page) == []
