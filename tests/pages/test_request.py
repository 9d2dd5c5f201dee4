# SPDX-License-Identifier: MPL-2.0
"""The page of one request: what it says is what its API says, at any width, and hostile text stays text."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from fixtures_pages import Stage, complaints, login, opened, show, violations
from shipit.uplift.check_types import Kind
from shipit.world import people

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

CONFLICT, NEEDS, STACK, STRINGS, TWO_TRAINS, SECRET = 1900105, 1900106, 1900110, 1900117, 1900102, 1900104
# Each of them would run, load or break something where it was taken for more than text.
HOSTILE = (
    "<script>window.harmed=1</script>",
    "<img src=x onerror=window.harmed=1>",
    '"><svg onload=window.harmed=1>',
    "javascript:window.harmed=1//",
    "</script><script>window.harmed=1</script>",
    "{@html window.harmed=1} ${window.harmed=1} {{constructor}}",
    "\u202etxt.exe \u0000 \ufeff",
)


def uid_of(stage: Stage, bug: int, train: str = "beta") -> str:
    return str(stage.rows("select uid from requests where bug = %s and train = %s", bug, train)[0][0])


async def open_request(page: Page, stage: Stage, bug: int, train: str = "beta") -> None:
    await show(page, f"{stage.url}/requests/{uid_of(stage, bug, train)}")
    await page.wait_for_selector("#checks-title")


async def test_page_says_what_its_evidence_says(stage: Stage, page: Page) -> None:
    await open_request(page, stage, CONFLICT)
    evidence = await answer(page, stage, f"/api/requests/{uid_of(stage, CONFLICT)}/evidence")
    shown = await page.inner_text("main")
    assert await page.inner_text("h1") == evidence["summary"]
    assert evidence["standing"]["sentence"] in shown
    for check in evidence["checks"]:
        assert check["measured"] in shown
    rows = await page.locator("#checks-title >> xpath=../.. >> tbody tr").count()
    assert rows == len(evidence["checks"])
    for moment in evidence["timeline"]:
        assert moment["sentence"] in shown
    for person in evidence["people"]:
        assert person["name"] in shown


async def test_disagreements_come_first_and_the_form_as_written_on_demand(stage: Stage, page: Page) -> None:
    await open_request(page, stage, STRINGS)
    evidence = await answer(page, stage, f"/api/requests/{uid_of(stage, STRINGS)}/evidence")
    verdicts = [check["verdict"] for check in evidence["checks"]]
    flagged = await page.locator("tr.flag").count()
    assert flagged == verdicts.count("disagrees") == evidence["disagreements"]
    assert verdicts[:flagged] == ["disagrees"] * flagged
    assert await page.locator("pre", has_text="Uplift Approval Request").count() == 0
    await page.click("text=Show the raw form")
    assert evidence["form"]["raw"].strip() in (await page.inner_text("pre")).strip()


@pytest.mark.parametrize(
    ("bug", "kind"),
    [
        (STRINGS, Kind.STRINGS),
        (1900113, Kind.ANDROID),
        (1900124, Kind.TESTS_CLAIMED),
        (1900118, Kind.SIZE),
        (1900114, Kind.BACKED_OUT),
    ],
)
async def test_contradictions_of_each_kind_are_to_be_seen_in_the_demo(
    stage: Stage, page: Page, bug: int, kind: Kind
) -> None:
    evidence = await answer(page, stage, f"/api/requests/{uid_of(stage, bug)}/evidence")
    flagged = [check for check in evidence["checks"] if check["kind"] == kind.value]
    assert [check["verdict"] for check in flagged] == ["disagrees"]
    await open_request(page, stage, bug)
    assert flagged[0]["measured"] in await page.locator("tr.flag", has_text="Disagrees").first.inner_text()


async def test_each_train_of_the_bug_has_its_own_column_of_trials(stage: Stage, page: Page) -> None:
    await open_request(page, stage, NEEDS)
    head = await page.locator("#patches-title >> xpath=../.. >> thead th").all_inner_texts()
    assert head == ["Order", "Patch", "Size", "beta", "release"]
    assert "Needs bug 1899606" in await page.inner_text("main")
    await page.click("thead >> text=release")
    await page.wait_for_url(f"**/requests/{uid_of(stage, NEEDS, 'release')}")


async def test_conflict_is_asked_for_waited_for_and_shown_with_both_sides(stage: Stage, page: Page) -> None:
    await login(page, people.OBSERVER, stage.url)
    await open_request(page, stage, CONFLICT)
    await page.click("text=Ask for both sides")
    await page.wait_for_selector("#why >> text=Asked, waiting")
    await stage.round()
    await page.wait_for_selector("#why .sides", timeout=20_000)
    shown = await page.inner_text("#why")
    assert "hotfix_for_this_train(state);" in shown
    assert "What the patch expects" in shown
    assert "Yuki Hara" in shown, "who wrote the train's side is named"
    assert await page.locator("#why code.x").count() >= 2
    assert await violations(page) == []


async def test_an_administrator_notes_something_about_a_contributor_and_ends_it(
    stage: Stage, chromium: Browser
) -> None:
    async with opened(chromium) as page, opened(chromium) as other:
        await login(page, people.ADMIN, stage.url)
        await open_request(page, stage, CONFLICT)
        person = page.locator(".person").first
        await person.get_by_role("button", name="Note something about").click()
        await page.get_by_label("Karma").select_option("1")
        await page.get_by_label("Comment, for everybody").fill("Tests well.")
        await page.get_by_label("Private comment").fill("Ask twice.")
        await page.get_by_label("Holds for").select_option("90 days")
        assert await violations(page) == []
        await page.get_by_role("button", name="Note it").click()
        noted = person.locator(".noted")
        await expect(noted).to_contain_text("karma +1")
        assert "Tests well." in await noted.inner_text() and "Ask twice." in await noted.inner_text()
        # whoever may not note reads what is for everybody, and cannot change it
        await login(other, people.OBSERVER, stage.url)
        await open_request(other, stage, CONFLICT)
        seen = await other.locator("section:has(#people-title)").inner_text()
        assert "Tests well." in seen and "Ask twice." not in seen and "Change the note" not in seen
        await person.get_by_role("button", name="Change the note").click()
        await page.get_by_role("button", name="End the note").click()
        await expect(noted).to_have_count(0)


async def test_commands_try_the_request_elsewhere(stage: Stage, chromium: Browser) -> None:
    async with opened(chromium, permissions=["clipboard-read", "clipboard-write"]) as page:
        await open_request(page, stage, NEEDS)
        await page.keyboard.press("c")
        await page.wait_for_selector("text=The commands are copied.")
        copied = await page.evaluate("navigator.clipboard.readText()")
        tip = stage.rows("select tip from trains where name = 'beta'")[0][0]
        assert copied.splitlines()[:2] == ["git fetch origin beta", f"git switch --detach {tip}"]
        assert copied.splitlines()[2].startswith("git cherry-pick -x ")


async def test_security_request_is_not_there_for_those_without_the_right(
    stage: Stage, chromium: Browser
) -> None:
    for person, is_open in ((people.OBSERVER, False), (people.TRAINEE, True)):
        async with opened(chromium) as page:
            await login(page, person, stage.url)
            await show(page, f"{stage.url}/requests/{uid_of(stage, SECRET)}")
            await page.wait_for_selector("#checks-title" if is_open else "[role=alert]")
            text = (await page.text_content("body") or "") + await page.title()
            assert ("Use-after-free" in text) == is_open
            assert ("Decoder.cpp" in text) == is_open
            if not is_open:
                assert "not open to you" in text
                complaints(page).clear()


async def test_hostile_text_in_every_field_stays_text(stage: Stage, chromium: Browser) -> None:
    uid = uid_of(stage, CONFLICT)
    async with opened(chromium) as page:
        answers: dict[str, Any] = {}
        for path in (f"/api/requests/{uid}", f"/api/requests/{uid}/evidence", f"/api/bugs/{CONFLICT}"):
            answers[path] = await answer(page, stage, path)
        for words in HOSTILE:
            poisoned = {path: poison(body, words) for path, body in answers.items()}

            await page.route("**/api/**", partial(fulfil, stage, poisoned))
            # by a link: what comes with a page of its own is not asked for again
            await show(page, f"{stage.url}/me")
            await page.evaluate(
                "path => { const link = document.createElement('a'); link.href = path;"
                " document.body.append(link); link.click(); link.remove() }",
                f"/requests/{uid}",
            )
            await page.wait_for_selector("#timeline-title")
            assert await page.evaluate("window.harmed") is None, words
            assert await page.locator("main script, main img, main [onerror], main [onload]").count() == 0
            links = await page.eval_on_selector_all("main a", "all => all.map(one => one.protocol)")
            assert set(links) <= {"http:", "https:"}, words
            await page.unroute("**/api/**")
        complaints(page).clear()


async def fulfil(stage: Stage, bodies: dict[str, Any], route: Route) -> None:
    """Answer with what we have for a path, or let the request through."""
    path = route.request.url.removeprefix(stage.url)
    if path in bodies:
        await route.fulfill(json=bodies[path])
    else:
        await route.continue_()


def poison(value: Any, words: str, key: str = "") -> Any:
    """The same with hostile words in every text that people or tools wrote; enumerations and times stay."""
    kept = {
        "uid", "train", "state", "kind", "key", "colour", "verdict", "outcome", "source", "mark", "question",
        "actor", "is_open", "generation", "did", "digest", "train_tip", "as_of",
    }  # fmt: skip
    if isinstance(value, dict):
        return {name: poison(each, words, name) for name, each in value.items()}
    if isinstance(value, list):
        return [poison(each, words, key) for each in value]
    if isinstance(value, str) and key == "url":
        return "javascript:window.harmed=1"
    if (
        isinstance(value, str)
        and key not in kept
        and not key.endswith(("_at", "time", "at", "first", "last"))
    ):
        return f"{value} {words}"
    return value


async def answer(page: Page, stage: Stage, path: str) -> dict[str, Any]:
    got = await page.request.get(stage.url + path)
    assert got.ok, (path, got.status)
    found: dict[str, Any] = json.loads(await got.body())
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280, 1600])
async def test_accessible_and_fitting_at_each_width_and_theme(
    stage: Stage, chromium: Browser, width: int, theme: Any
) -> None:
    async with opened(chromium, viewport={"width": width, "height": 900}, color_scheme=theme) as page:
        for bug in (STACK, NEEDS):
            await open_request(page, stage, bug)
            assert await violations(page) == []
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert complaints(page) == []


async def test_request_that_is_not_there_says_so(stage: Stage, page: Page) -> None:
    await show(page, f"{stage.url}/requests/nothing-here")
    await page.wait_for_selector("text=This request is not there, or not open to you")
    complaints(page).clear()
    assert await violations(page) == []
