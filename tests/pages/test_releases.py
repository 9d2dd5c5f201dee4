# SPDX-License-Identifier: MPL-2.0
"""The pages of releases in a real browser: what a release waits for, and what a person does about it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from fixtures_pages import Stage, complaints, login, opened, picture, show, violations
from shipit.cli import demo_releases
from shipit.cli.demo_clients import as_runner
from shipit.cli.stepping import step_doors
from shipit.clients.http import open_session
from shipit.runner.pipelines import run as run_pipelines
from shipit.storage.pool import open_pool
from shipit.world import people

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Releases:
    """The demo's releases, with a runner at work. uid: of the one on its way."""

    stage: Stage
    uid: str

    @property
    def url(self) -> str:
        return f"{self.stage.url}/releases/{self.uid}"

    def state(self, step: str) -> str:
        rows = self.stage.rows(
            "select state from pipeline_steps where pipeline = %s and uid = %s", self.uid, step
        )
        return str(rows[0][0])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def releases(stage: Stage) -> AsyncIterator[Releases]:
    stop = asyncio.Event()
    async with (
        open_session() as session,
        open_pool(stage.database.url, instance=stage.database.instance) as database,
        contextlib.AsyncExitStack() as stack,
    ):
        doors = step_doors(as_runner(stage.settings, stage.world), session, database)
        work = (
            run_pipelines(doors, stop, database_url=stage.database.url),
            demo_releases.tell(stage.world, database, stop),
            demo_releases.seed(stage.world, database, stop),
        )
        tasks = [asyncio.ensure_future(each) for each in work]
        stack.push_async_callback(asyncio.gather, *tasks, return_exceptions=True)
        stack.callback(stop.set)
        ready = (
            "select n.pipeline from pipeline_steps n join signatures s on s.step = n.pipeline || '.relman.1'"
            " where n.uid = 'bouncer' and n.state = 'failure' and n.started_at < now() - interval '1 hour'"
        )
        for _ in range(300):
            if rows := stage.rows(ready):
                break
            await asyncio.sleep(0.2)
        yield Releases(stage, str(rows[0][0]))


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


async def confirm(page: Page, verb: str, reason: str = "") -> None:
    dialog = page.get_by_role("dialog")
    if reason:
        await dialog.get_by_role("textbox").fill(reason)
    await dialog.get_by_role("button", name=verb, exact=True).click()


async def put(page: Page, path: str, body: object) -> None:
    """Put something as whoever is logged in on this page."""
    status = await page.evaluate(
        """async ([path, body]) => {
            const me = await (await fetch("/api/me")).json();
            const headers = {"Content-Type": "application/json", "X-Csrf-Token": me.csrf};
            return (await fetch(path, {method: "PUT", headers, body: JSON.stringify(body)})).status;
        }""",
        [path, body],
    )
    assert status == 201


async def test_the_list_leads_to_the_release_that_needs_a_person(releases: Releases, page: Page) -> None:
    await show(page, f"{releases.stage.url}/releases")
    row = page.locator("tbody tr").first
    await expect(row).to_contain_text("blocked by 1 failed step")
    assert await violations(page) == []
    await row.get_by_role("link").click()
    await page.wait_for_url(f"**/releases/{releases.uid}")
    await expect(page.locator("h1")).to_contain_text("build 1")


async def test_a_release_says_why_it_does_not_move_and_who_can_move_it(
    releases: Releases, page: Page
) -> None:
    await show(page, releases.url)
    await expect(page.locator("#step")).to_contain_text("Why it stopped: failed after 3 tries")
    why = page.get_by_role("region", name="Why it does not move")
    await expect(why).to_contain_text("cannot start: Register downloads did not succeed; retry or skip it")
    await expect(why).to_contain_text("must still be signed by 1 of relman")
    # Who moves what only waits, and whose tries can be seen where.
    await expect(why.get_by_role("row", name="Mark as shipped")).to_contain_text("relman (Relman signoff)")
    await expect(page.locator("#step")).to_contain_text("Push to mirrors waits for it.")
    await expect(page.locator("#step tbody a").first).to_have_attribute("href", re.compile("/tasks/groups/"))
    await expect(page.locator("#step tbody tr")).to_have_count(3)
    await expect(page.get_by_role("region", name="What this build contains")).to_contain_text(
        "Build 1 contains"
    )
    await expect(page.locator("main")).to_contain_text("Done about")
    # Nobody is logged in: nothing can be done, and it says so.
    await expect(button(page, "Retry now")).to_have_count(0)
    await expect(page.locator("#step")).to_contain_text("Log in to act on it")
    await expect(page.locator("aside")).to_contain_text("Log in to sign")
    assert await violations(page) == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (400, "light"), (400, "dark")])
async def test_it_is_accessible_and_fits_whatever_the_screen(
    releases: Releases, chromium: Browser, width: int, scheme: str
) -> None:
    how = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    async with opened(chromium, **how) as page:
        for url in (f"{releases.stage.url}/releases", releases.url):
            await show(page, url)
            await expect(page.locator("h1")).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            assert await violations(page) == []
        if width == 400:
            # Below 900 px the graph is a list in order of dependency, which says what comes after what.
            after = page.locator('[data-step="stage"] .after')
            await expect(after).to_have_text("After Repack languages and Partial updates")
        assert complaints(page) == []


async def test_who_has_no_right_is_told_which_one_it_takes(releases: Releases, page: Page) -> None:
    await login(page, people.OBSERVER, releases.stage.url)
    await show(page, releases.url)
    await expect(page.locator("#step")).to_contain_text("you need project:shipit:pipeline/firefox/promote")
    await expect(page.locator("aside")).to_contain_text("You are in no group that signs this")
    await expect(button(page, "Freeze")).to_have_count(0)
    # Also without the page's help: the server decides.
    answer = await page.evaluate(
        """async (uid) => {
            const me = await (await fetch("/api/me")).json();
            const headers = {"Content-Type": "application/json", "X-Csrf-Token": me.csrf};
            const where = `/api/pipelines/${uid}/steps/bouncer/retry`;
            return (await fetch(where, {method: "POST", headers, body: "{}"})).status;
        }""",
        releases.uid,
    )
    assert answer == 403 and releases.state("bouncer") == "failure"
    complaints(page).clear()


async def test_a_signature_says_what_it_starts_and_can_be_taken_back(
    releases: Releases, page: Page, chromium: Browser
) -> None:
    await login(page, people.MANAGER, releases.stage.url)
    await show(page, releases.url)
    panel = page.get_by_role("region", name="Relman signoff")
    await expect(panel).to_contain_text("Your signature is the last one. It starts Publish update rules")
    async with opened(chromium) as other:
        await show(other, releases.url)
        theirs = other.get_by_role("region", name="Relman signoff")
        await expect(theirs).to_contain_text("1 of 2")
        await panel.get_by_role("button", name="Sign as").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Yours is the last signature")
        assert await violations(page) == []
        await confirm(page, "Sign", "ship it")
        await expect(dialog).to_have_count(0)
        # Whoever looks at the same release sees it without doing anything.
        await expect(other.locator('[data-step="relman"]')).to_contain_text("Signed", timeout=15_000)
        assert complaints(other) == []
    assert releases.state("relman") == "success"
    by = releases.stage.rows("select person, comment from signatures where comment = 'ship it'")
    assert by == [(people.MANAGER.identity, "ship it")]


async def test_whoever_started_it_does_not_sign_it_and_retries_what_failed(
    releases: Releases, page: Page
) -> None:
    await login(page, people.ENGINEER, releases.stage.url)
    await show(page, releases.url)
    await expect(button(page, "Retry now")).to_be_visible()
    await button(page, "Retry now").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Try 4 begins at once")
    await button(page, "Leave it").click()
    assert releases.state("bouncer") == "failure", "nothing is done before it is confirmed"
    await button(page, "Retry now").click()
    await confirm(page, "Retry now")
    await expect(page.locator('[data-step="bouncer"]')).to_contain_text("Done, 4th try", timeout=15_000)
    # What one looks at stays there, and so does the keyboard.
    await expect(page.locator("#step h2")).to_have_text("Register downloads")
    await expect(page.locator("#step-title")).to_be_focused()
    await expect(page.get_by_role("status").first).to_contain_text("Register downloads, Done, 4th try")
    await expect(page.get_by_role("region", name="History")).to_contain_text("retry asked")


async def test_who_has_only_looked_is_offered_what_needs_them_and_not_moved_there(
    releases: Releases, page: Page
) -> None:
    await login(page, people.ENGINEER, releases.stage.url)
    made = {
        "product": "firefox",
        "version": "9.0",
        "steps": [
            {"uid": "look", "kind": "timer", "description": "Look", "parameters": {"seconds": 3600}},
            {"uid": "ticked", "kind": "manual", "description": "Tick", "parameters": {"group": "qe"}},
            {"uid": "after", "kind": "manual", "description": "After", "requires": ["look", "ticked"]},
        ],
    }
    await put(page, "/api/pipelines/looked-at", made)
    await show(page, f"{releases.stage.url}/releases/looked-at")
    await expect(page.locator("#step h2")).to_have_text("Tick")
    await show(page, f"{releases.stage.url}/releases/looked-at?step=look")
    await expect(page.locator("main .callout")).to_contain_text("Tick: waits for a member of qe to do it.")
    await button(page, "Go on without it").click()
    await confirm(page, "Go on without it", "nobody needs to wait")
    await expect(page.locator("#step")).to_contain_text("skipped by demo/enzo: nobody needs to wait")
    async with opened(page.context.browser) as other:
        await login(other, people.OBSERVER, releases.stage.url)
        await show(other, f"{releases.stage.url}/releases/looked-at?step=ticked")
        await expect(other.locator("#step")).to_contain_text("To tick it off you need project:shipit:sign/qe")
        await expect(button(other, "Done")).to_have_count(0)
    await page.locator("main .callout a").click()
    await button(page, "Done").click()
    await confirm(page, "Done")
    await expect(page.locator('[data-step="after"]')).to_contain_text("Needs a person", timeout=15_000)
    await expect(page.locator("#step h2")).to_have_text("Tick")


async def test_a_freeze_stops_what_would_start_and_going_on_is_signed(releases: Releases, page: Page) -> None:
    await login(page, people.ENGINEER, releases.stage.url)
    await show(page, releases.url)
    await button(page, "Freeze").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Whoever may act on this release lets it go on again")
    freeze = dialog.get_by_role("button", name="Freeze")
    await expect(freeze).to_have_attribute("aria-disabled", "true")
    await confirm(page, "Freeze", "the update server is ill")
    await expect(page.locator("main")).to_contain_text("the update server is ill. What runs goes on")
    await button(page, "Let it go on").click()
    await expect(button(page, "Let it go on")).to_have_count(0)
    await button(page, "Freeze").click()
    await page.get_by_label("Everything of firefox").check()
    await confirm(page, "Freeze", "a chemspill")
    await expect(page.locator("main")).to_contain_text("Stopped: firefox, by demo/enzo")
    await button(page, "Ask that it goes on").click()
    await page.get_by_label("How many").fill("1")
    await confirm(page, "Ask for signatures")
    panel = page.get_by_role("region", name="Let firefox go on")
    await expect(panel).to_contain_text("It starts everything of firefox that waits")
    await picture(page, "release-stopped")
    await panel.get_by_role("button", name="Sign as").click()
    await confirm(page, "Sign")
    await expect(page.locator("main")).not_to_contain_text("Stopped: firefox", timeout=15_000)


async def test_a_step_is_chosen_by_its_address_and_cancelled_with_a_reason(
    releases: Releases, page: Page
) -> None:
    await login(page, people.ENGINEER, releases.stage.url)
    await show(page, f"{releases.url}?step=verify")
    await expect(page.locator("#step h2")).to_have_text("Update verify")
    await button(page, "Cancel step").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Push to mirrors cannot start until")
    await confirm(page, "Cancel step", "the wrong partials")
    await expect(page.locator('[data-step="verify"]')).to_contain_text("Cancelled", timeout=20_000)


async def test_cancelling_a_release_says_what_becomes_of_it(releases: Releases, page: Page) -> None:
    await login(page, people.ENGINEER, releases.stage.url)
    await show(page, f"{releases.url}?step=verify")
    await expect(button(page, "Retry now").or_(button(page, "Cancel release")).first).to_be_visible()
    # the test before this one has cancelled it; alone, it runs
    if await button(page, "Retry now").count():
        await button(page, "Retry now").click()
        await confirm(page, "Retry now")
    await button(page, "Cancel release").click()
    await expect(page.get_by_role("dialog")).to_contain_text("a cancelled release is not taken up again")
    await confirm(page, "Cancel release")
    await expect(page.locator("main")).to_contain_text("cancelled", timeout=20_000)
    # a group whose cancelling is answered late is looked at again by the clock
    await expect(button(page, "Remove")).to_be_visible(timeout=80_000)


async def test_a_release_is_started_and_gets_its_number_from_the_server(
    releases: Releases, page: Page
) -> None:
    await show(page, f"{releases.stage.url}/releases")
    await expect(button(page, "Start a release")).to_have_count(0)
    await login(page, people.ENGINEER, releases.stage.url)
    await show(page, f"{releases.stage.url}/releases")
    await button(page, "Start a release").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("it waits until what is approved for beta has landed")
    assert await violations(page) == []
    await button(page, "Start the build").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Say a version and a commit")
    await dialog.get_by_label("Version").fill("200.0b1")
    await dialog.get_by_role("button", name="Build that").click()
    await expect(dialog.get_by_label("Commit that is built")).to_have_value(re.compile("^[0-9a-f]{40}$"))
    await dialog.get_by_label("Commit that is built").fill("4f2c9d0e")
    await button(page, "Start the build").click()
    await page.wait_for_url("**/releases/firefox-200.0b1-build1")
    await expect(page.locator("h1")).to_have_text("Firefox 200.0b1 build 1")
    assert complaints(page) == []


async def test_who_may_not_start_a_release_is_told_which_scopes_it_takes(
    releases: Releases, page: Page
) -> None:
    await login(page, people.OBSERVER, releases.stage.url)
    await show(page, f"{releases.stage.url}/releases")
    await button(page, "Start a release").click()
    await expect(page.get_by_role("dialog")).to_contain_text("project:shipit:pipeline/firefox/ship")


async def test_a_release_that_is_not_there_says_so(releases: Releases, page: Page) -> None:
    await page.goto(f"{releases.stage.url}/releases/nowhere")
    await expect(page.locator("main")).to_contain_text("This release is not there, or not open to you")
    complaints(page).clear()
