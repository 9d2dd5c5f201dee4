# SPDX-License-Identifier: MPL-2.0
"""The first page in a real browser: live without losing one's place, within the policy, 400 px wide."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, async_playwright

from event_builders import RESOLVED, delivery
from fixtures_postgres import Database
from fixtures_web import NOON, Service, make_bug, make_request, make_result, running
from shipit.events.heard import hear
from shipit.merge.types import Outcome
from shipit.storage import journal
from shipit.storage.pool import open_pool
from shipit.uplift.report import BugsReport, Trial, TrialsReport


@pytest.fixture
async def browser(need: Callable[[str], str]) -> AsyncIterator[Browser]:
    path = need("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def opened(
    browser: Browser, service: Service, *, path: str = "/", **how: object
) -> tuple[Page, list[str]]:
    """A page that is live, and whatever the browser complains about."""
    page = await browser.new_page(**how)  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(service.url + path)
    await page.wait_for_selector('.live[data-state="on"]', timeout=15_000)
    return page, complaints


async def test_a_change_arrives_while_scroll_focus_and_the_other_rows_stay(
    database: Database, browser: Browser
) -> None:
    async with running(database) as service:
        await service.feed(*[make_bug(n, make_request(n)) for n in range(1, 61)])
        page, complaints = await opened(browser, service, viewport={"width": 1000, "height": 500})
        row = page.locator('tr[data-key="10-beta-1"]')
        await row.scroll_into_view_if_needed()
        await row.locator("a").focus()
        await row.evaluate("each => { each.dataset.mine = 'yes' }")
        before = await page.evaluate("scrollY")
        assert before > 0
        trial = Trial(
            request="9-beta-1", train="beta", tip="a" * 40, series_digest="s1", key="k", tried_at=NOON,
            result=make_result(Outcome.CONFLICT), took_ms=1, engine="git",
        )  # fmt: skip
        await service.put("/api/trials", TrialsReport(trials=(trial,)))
        await page.wait_for_selector('tr[data-key="9-beta-1"][data-standing="conflict"]', timeout=15_000)
        assert await page.evaluate("scrollY") == before
        assert await row.get_attribute("data-mine") == "yes", "a row that did not change is the same element"
        assert await page.evaluate("document.activeElement.textContent") == "10"
        later = NOON + timedelta(hours=1)
        gone = make_bug(60, digest="d2", read_at=later)
        await service.put("/api/bugs", BugsReport(round="r2", bugs=(gone,)))
        await page.wait_for_selector('tr[data-key="60-beta-1"]', state="detached", timeout=15_000)
        assert "59 requested" in await page.inner_text("#beta")
        assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_narrow_screen_in_light_and_dark(
    database: Database, browser: Browser, scheme: str
) -> None:
    async with running(database, is_demo=True) as service:
        await service.feed(
            make_bug(1, make_request(1, outcome=Outcome.CLEAN), summary="word " * 40),
            make_bug(2, make_request(2, outcome=Outcome.ERROR, reason="x" * 300)),
        )
        page, complaints = await opened(
            browser, service, viewport={"width": 400, "height": 800}, color_scheme=scheme
        )
        assert await page.evaluate("document.documentElement.scrollWidth") <= 400
        background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(247, 248, 250)", "dark": "rgb(16, 18, 23)"}[scheme]
        assert complaints == []


async def test_hostile_text_runs_nothing(database: Database, browser: Browser) -> None:
    async with running(database) as service:
        evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
        await service.feed(make_bug(1, make_request(1), summary=evil, component=evil))
        page, complaints = await opened(browser, service)
        later = NOON + timedelta(hours=1)
        again = make_bug(1, make_request(1), summary=evil + "!", digest="d2", read_at=later)
        await service.put("/api/bugs", BugsReport(round="r2", bugs=(again,)))
        await page.wait_for_selector("td.what:has-text('!')", timeout=15_000)
        assert await page.title() == "Ship It: uplift requests"
        assert evil in await page.inner_text("td.what")
        assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_events_arrive_on_a_narrow_open_page_that_keeps_its_other_rows(
    database: Database, browser: Browser, scheme: str
) -> None:
    async def heard(number: int) -> None:
        told = delivery(RESOLVED, f"primary.{number}._", {"taskGroupId": f"{number}" * 22})
        async with open_pool(database.url, instance=database.instance) as pool, pool.connection() as opened:
            await journal.record(opened, [hear(told, (), instance="testing")], instance="testing")

    async with running(database) as service:
        await heard(1)
        page, complaints = await opened(
            browser,
            service,
            path="/events?show=ignored",
            viewport={"width": 400, "height": 800},
            color_scheme=scheme,
        )
        await page.locator('tr[data-key="1"]').evaluate("each => { each.dataset.mine = 'yes' }")
        await heard(2)
        await page.wait_for_selector('tr[data-key="2"]', timeout=15_000)
        assert await page.locator('tr[data-key="1"]').get_attribute("data-mine") == "yes"
        assert await page.evaluate("document.documentElement.scrollWidth") <= 400
        assert complaints == []
