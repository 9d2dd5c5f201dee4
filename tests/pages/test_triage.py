# SPDX-License-Identifier: MPL-2.0
"""Triage as a release manager would, with the keyboard alone: all requests of the demo."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page, expect

from fixtures_pages import Stage, login, show
from shipit.world import people

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

# What somebody who trusts the trials would answer to each standing; a contradiction is asked about.
ANSWERS = {"clean": "a", "conflict": "n", "needs-bug": "n", "landed": "w", "empty": "w"}
VERDICTS = {"a": "approve", "n": "ask", "w": "withdraw", "d": "defer"}


async def _through(
    page: Page,
    stage: Stage,
    press: Callable[[str], Awaitable[None]],
    wanted: set[str],
    decided: dict[str, str],
) -> None:
    """Decide on one request after another until the list of their train ends."""
    seen: set[str] = set()
    while True:
        await page.wait_for_url("**/requests/*")
        uid = page.url.rsplit("/", 1)[-1]
        await expect(page.locator("main", has_text=uid)).to_be_visible(timeout=20_000)
        seen.add(uid)
        has_next = await page.locator('a[aria-label="Next request, J"]').count() > 0
        if uid in wanted:
            evidence = await (await page.request.get(f"{stage.url}/api/requests/{uid}/evidence")).json()
            key = "n" if evidence["disagreements"] else ANSWERS.get(evidence["standing"]["key"], "d")
            await press(key)
            await expect(page.locator("#decide button.primary")).to_be_enabled(timeout=20_000)
            await press("Control+Enter")
            decided[uid] = VERDICTS[key]
            await page.wait_for_selector(".toast >> text=Undo")
        elif has_next:
            await press("j")
        if not has_next:
            return
        await page.wait_for_url(lambda url, mine=uid: not url.endswith(mine), timeout=20_000)


@pytest.mark.timeout(300)
async def test_every_train_is_triaged_with_the_keyboard_alone(
    stage: Stage, page: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    presses: Counter[str] = Counter()

    async def press(key: str) -> None:
        presses[key] += 1
        await page.keyboard.press(key)

    wanted = {
        uid
        for (uid,) in stage.rows("select uid from requests where state = 'requested' and closed_at is null")
    }
    trains = [
        name
        for (name,) in stage.rows(
            "select name from trains t where exists (select from requests r where r.train = t.name"
            " and r.state = 'requested') order by position"
        )
    ]
    await login(page, people.MANAGER, stage.url)
    await show(page, f"{stage.url}/?train={trains[0]}")
    began = time.monotonic()
    decided: dict[str, str] = {}
    for place, train in enumerate(trains):
        if place:
            await expect(page.locator("#decide textarea")).to_have_count(0)
            await press("Escape")
            await page.wait_for_url(lambda url: "/?train=" in url)
            await page.wait_for_selector('[role="row"] a')
            await press(str(place + 1))
            await page.wait_for_url(lambda url, name=train: url.endswith(f"train={name}"))
        first = page.locator('[role="row"] a[href^="/requests/"]').first
        await expect(first).to_have_attribute("href", re.compile(f"-{train}-"), timeout=20_000)
        await press("j")
        await press("Enter")
        await _through(page, stage, press, wanted, decided)
    took = time.monotonic() - began
    with capsys.disabled():
        print(
            f"\n{len(decided)} requests on {len(trains)} trains triaged with {presses.total()} key presses "
            f"({dict(presses)}) in {took:.0f} s of the machine's time"
        )
    assert set(decided) == wanted
    # two for each request, four for each train, and one for each request that is decided already
    settled = stage.rows("select count(*) from requests where state <> 'requested' and closed_at is null")[0][
        0
    ]
    assert presses.total() <= 2 * len(wanted) + 4 * len(trains) + settled
    for _ in range(300):
        states = Counter(state for (state,) in stage.rows("select state from decision_parts"))
        if set(states) == {"done"}:
            break
        await asyncio.sleep(0.1)
    assert states == {"done": len(wanted)}
    verdicts = dict(
        stage.rows(
            "select q.request, d.verdict from decisions d join decision_requests q on q.decision = d.uid"
        )
    )
    assert verdicts == decided
