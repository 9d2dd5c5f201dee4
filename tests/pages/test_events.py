# SPDX-License-Identifier: MPL-2.0
"""The events page in a real browser, beside the demo's listener: traces, sources, quarantine; live."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from fixtures_pages import Stage, complaints, login, opened, show, violations
from shipit.cli.demo_listener import Tempo, run_listener, with_listener
from shipit.clients.http import open_session
from shipit.storage.pool import open_pool
from shipit.world import people
from shipit.world.happenings import GROUP, NIGHTLY

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SLOW = 60_000
QUICK = Tempo(first=0.3, later=6.0, poll=1.0, pending=1.0, running=2.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(stage: Stage) -> AsyncIterator[Stage]:
    """The demo's house with its listener, once everything the tests look for has happened."""
    stop = asyncio.Event()
    async with (
        open_session() as session,
        open_pool(stage.database.url, instance=stage.database.instance) as pool,
    ):
        settings = msgspec.structs.replace(
            stage.settings, listener=with_listener(stage.settings, "not-a-secret", QUICK).listener
        )
        listening = asyncio.create_task(run_listener(stage.world, settings, session, pool, stop, tempo=QUICK))
        try:
            await until(stage, "select count(*) >= 1 from effects where state = 'quarantined'")
            await until(stage, "select count(*) >= 1 from effects where state = 'observed'")
            await until(stage, "select count(*) >= 1 from events where told > 1")
            await until(stage, "select count(*) >= 1 from effects where task_state = 'completed'")
            yield stage
        finally:
            stop.set()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(listening, 20)


async def until(stage: Stage, question: str, *, seconds: float = 90) -> None:
    """Wait until the database says yes."""
    async with asyncio.timeout(seconds):
        while not (await asyncio.to_thread(stage.rows, question))[0][0]:
            await asyncio.sleep(0.2)


def trace(page: Page, words: str) -> Any:
    """The first line of the list with these words."""
    return page.locator("section[aria-label=Traces] tbody tr", has_text=words).first


async def test_a_trace_leads_from_the_event_to_its_task_in_five_hops(house: Stage, page: Page) -> None:
    await show(page, house.url + "/events?show=triggered&route=code-coverage")
    line = trace(page, "code-coverage")
    task = await line.locator("td[data-l=Task] a").get_attribute("href")
    assert task is not None
    assert task.startswith(house.world.taskcluster.url + "/tasks/")
    await line.locator("button.opener").click()
    hops = page.locator("ol.trace").first.locator("h3")
    assert (await hops.all_inner_texts())[:4] == ["Received", "Stored", "Routed", "Triggered"]
    assert await hops.count() == 5
    said = await page.locator("ol.trace").first.inner_text()
    assert "because the key is" in said
    assert said.count("+ ") >= 3
    await page.click("text=Payload")
    await expect(page.locator("pre")).to_contain_text("taskGroupId")


async def strangers_text(house: Stage, page: Page) -> str:
    """What the list tells somebody who is not logged in."""
    await page.context.clear_cookies()
    await show(page, house.url + "/events")
    return str(await page.locator("section[aria-label=Traces]").inner_text())


async def test_every_kind_of_result_is_told_in_words(house: Stage, page: Page) -> None:
    await login(page, people.ENGINEER, house.url)
    await show(page, house.url + "/events")
    text = await page.locator("section[aria-label=Traces]").inner_text()
    assert "Observed" not in await strangers_text(house, page), "what GitHub tells may be private"
    for words in ("Ignored", "Observed", "Quarantine", "told 3 times", "no task of 2 is named"):
        assert words in text, words


async def test_filters_are_in_the_address_and_survive_a_reload(house: Stage, page: Page) -> None:
    await show(page, house.url + "/events")
    await page.click("button:has-text('Ignored')")
    await page.wait_for_url("**/events?show=ignored")
    words = page.locator("section[aria-label=Traces] td[data-l=Result]")
    await expect(words.first).to_have_text("Ignored")
    assert set(await words.all_inner_texts()) == {"Ignored"}
    await page.reload()
    await expect(words.first).to_have_text("Ignored")
    await page.click("button:has-text('Phabricator poll')")
    await page.wait_for_url("**source=phabricator**")
    await page.click("[aria-label='Remove the filter on source']")
    await expect(page.locator(".chip")).to_have_count(0)
    await page.go_back()
    await expect(page.locator(".chip")).to_have_count(1)


async def test_each_source_says_how_far_behind_it_is_and_what_it_brought(house: Stage, page: Page) -> None:
    await login(page, people.ENGINEER, house.url)
    await show(page, house.url + "/events")
    tile = page.locator(".source", has_text="Pulse: code-coverage")
    await expect(tile).to_contain_text("In time")
    assert "today" in await tile.inner_text()
    assert "again" in await tile.inner_text(), "the group that was told again is counted"
    house.world.phabricator.fail(containing="/api/")
    try:
        down = page.locator(".source", has_text="Phabricator poll")
        await expect(down).to_contain_text("No answer", timeout=SLOW)
        await expect(down).to_contain_text("nothing is lost")
    finally:
        house.world.phabricator.heal()
    await expect(page.locator(".source", has_text="Phabricator poll")).to_contain_text(
        "In time", timeout=SLOW
    )


async def test_who_may_not_replay_is_told_and_sees_no_button(house: Stage, page: Page) -> None:
    await show(page, house.url + "/events")
    box = page.locator("section[aria-label=Quarantine]")
    await expect(box).to_contain_text("Replaying needs a login.")
    assert await box.locator("button").count() == 0
    assert "No such hook" not in await box.inner_text(), "strangers hear no reasons"


async def test_the_header_counts_what_waits_for_who_can_replay_it(house: Stage, page: Page) -> None:
    await login(page, people.ENGINEER, house.url)
    badge = page.locator("header nav .badge")
    await expect(badge).to_contain_text("in quarantine", timeout=15_000)
    counted = int((await badge.inner_text()).split()[0])
    assert (
        counted == (await page.evaluate("fetch('/api/sources').then((each) => each.json())"))["quarantined"]
    )
    await login(page, people.OBSERVER, house.url)
    await page.wait_for_selector("header a.who")
    await expect(badge).to_have_count(0)


async def test_a_replay_works_where_it_can_and_is_disabled_where_it_must_fail(
    house: Stage, page: Page
) -> None:
    await login(page, people.ENGINEER, house.url)
    await show(page, house.url + "/events")
    box = page.locator("section[aria-label=Quarantine]")
    garbled = box.locator("tbody tr", has_text="not JSON")
    await expect(garbled.locator("button:has-text('Replay')")).to_have_attribute("aria-disabled", "true")
    assert "fails the same way" in await garbled.inner_text()
    refused = box.locator("tbody tr", has_text="No such hook")
    house.world.taskcluster.add_hook(GROUP, NIGHTLY)
    # on a slow machine the world has told of a second nightly meanwhile
    for left in range(await refused.count() - 1, -1, -1):
        await refused.first.locator("button:has-text('Replay')").click()
        await expect(refused).to_have_count(left, timeout=SLOW)
    await expect(page.locator(".toast", has_text="Replayed").first).to_be_visible()
    await until(
        house, "select count(*) >= 1 from effects where route = 'nightly-report' and fired_at is not null"
    )
    await garbled.locator("button:has-text('Skip')").click()
    dialog = page.locator("dialog")
    assert await dialog.locator("button.danger").is_disabled(), "it wants to know why"
    await dialog.locator("textarea").fill("half a message, told again whole")
    await dialog.locator("button.danger").click()
    await expect(garbled).to_have_count(0, timeout=SLOW)
    skipped = house.rows("select reason from events where state = 'skipped'")
    assert skipped == [("half a message, told again whole",)]


async def test_new_events_are_held_until_somebody_wants_them(house: Stage, page: Page) -> None:
    await show(page, house.url + "/events")
    first = await page.locator("button.opener").first.inner_text()
    await page.locator("button.opener").first.focus()
    pill = page.locator("button.pill")
    await expect(pill).to_be_visible(timeout=SLOW)
    assert await page.locator("button.opener").first.inner_text() == first, "nothing moves under the cursor"
    await page.keyboard.press(".")
    await expect(pill).to_have_count(0)
    assert await page.locator("button.opener").first.inner_text() != first


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
async def test_it_is_accessible_and_fits(house: Stage, chromium: Browser, scheme: str, width: int) -> None:
    async with opened(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        await login(page, people.ENGINEER, house.url)
        await show(page, house.url + "/events")
        await page.locator("button.opener").first.click()
        assert await violations(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert complaints(page) == []
