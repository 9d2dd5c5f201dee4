# SPDX-License-Identifier: MPL-2.0
"""Deciding in the browser, written to the world's Bugzilla and Phabricator, and all that goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from fixtures_bot import free_port
from fixtures_pages import Stage, complaints, login, opened, picture, show, violations
from shipit.cli.serve import authenticator, login_service
from shipit.clients.http import open_session
from shipit.clients.taskcluster import Taskcluster
from shipit.settings import Decisions
from shipit.storage.pool import Limits, open_pool
from shipit.web.app import create_app
from shipit.web.serving import serve
from shipit.world import people
from shipit.world.server import Trouble
from shipit.world.story import CAST, RELEASE_MANAGER

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

ROSA = RELEASE_MANAGER.email
_sessions: dict[str, Any] = {}


def uid_of(stage: Stage, bug: int, train: str = "beta") -> str:
    return str(stage.rows("select uid from requests where bug = %s and train = %s", bug, train)[0][0])


def flags_of(stage: Stage, bug: int, name: str = "approval-mozilla-beta") -> list[str]:
    """The statuses of a flag on a bug and its attachments, as the world's Bugzilla has them."""
    one = stage.world.bugzilla.bug(bug)
    carriers = [one.flags, *(attachment.flags for attachment in one.attachments)]
    return [flag.status for flags in carriers for flag in flags if flag.type.name == name]


def said(stage: Stage, bug: int, words: str) -> int:
    """How many comments of a bug hold these words."""
    return sum(words in comment.text for comment in stage.world.bugzilla.bug(bug).comments)


async def open_as(page: Page, stage: Stage, bug: int, *, url: str | None = None, train: str = "beta") -> None:
    """The page of a request as the release manager sees it; she logs in once for all tests."""
    if stage.url not in _sessions:
        await login(page, people.MANAGER, stage.url)
        _sessions[stage.url] = await page.context.cookies()
    await page.context.add_cookies(_sessions[stage.url])
    await show(page, f"{url or stage.url}/requests/{uid_of(stage, bug, train)}")
    await page.wait_for_selector("#decide .opts")


async def previewed(page: Page) -> None:
    """Wait until the button can be pressed."""
    await expect(page.locator("#decide button.primary")).to_be_enabled(timeout=15_000)


async def written(stage: Stage, bug: int) -> None:
    """Wait until every decision about a bug has come to its end."""
    for _ in range(150):
        states = stage.rows("select state from decision_parts where bug = %s", bug)
        if states and all(state not in ("held", "writing") for (state,) in states):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the decisions about {bug} came to no end: {states}")


async def test_approval_shows_its_writes_and_writes_exactly_those(stage: Stage, page: Page) -> None:
    bug = 1900101
    await open_as(page, stage, bug)
    await page.keyboard.press("a")
    await previewed(page)
    assert await page.input_value("#decide textarea") == "Approved for 149.0b8."
    shown = await page.inner_text("#decide .writes")
    assert "approval-mozilla-beta" in shown and ROSA in shown and "Not written" in shown
    label = await page.inner_text("#decide button.primary")
    assert label == "Approve and write 2 changes"
    assert await violations(page) == []
    assert flags_of(stage, bug) == ["?"], "nothing is written before it is sent"
    await page.keyboard.press("Control+Enter")
    await page.wait_for_selector(".toast >> text=Undo")
    assert flags_of(stage, bug) == ["?"], "nothing is written while it is held"
    await written(stage, bug)
    assert (flags_of(stage, bug), said(stage, bug, "Approved for 149.0b8.")) == (["+"], 1)
    setters = {flag.setter for one in stage.world.bugzilla.bug(bug).attachments for flag in one.flags}
    assert setters == {ROSA}, "it is written as the person who decided"
    await page.wait_for_selector("#decide .decisions >> text=approve")
    await page.wait_for_selector(".toast >> text=Written")
    await page.click("#decide >> text=Audit")
    await page.wait_for_selector("#decide ol li >> text=Approved for 149.0b8.")
    assert await violations(page) == []


@pytest.mark.parametrize(
    ("key", "bug", "before", "after"),
    [("r", 1900105, ["?"], ["-"]), ("w", 1900109, ["?"], []), ("d", 1900106, ["?"], ["?"])],
)
async def test_reject_take_off_and_defer(
    stage: Stage, page: Page, key: str, bug: int, before: list[str], after: list[str]
) -> None:
    await open_as(page, stage, bug)
    assert flags_of(stage, bug) == before
    await page.keyboard.press(key)
    if key == "d":
        await page.check("#decide >> text=for 149.0b8")
    await previewed(page)
    await page.keyboard.press("Control+Enter")
    await page.wait_for_selector(".toast >> text=Undo")
    await written(stage, bug)
    assert flags_of(stage, bug) == after
    if key == "d":
        (until,) = stage.rows(
            "select wanted->'until'->>'build' from decisions order by made_at desc limit 1"
        )[0]
        assert until == "149.0b8"


async def test_question_goes_to_one_person(stage: Stage, page: Page) -> None:
    bug = 1900102
    await open_as(page, stage, bug)
    await page.keyboard.press("n")
    options = await page.locator("#decide select.sel").first.locator("option").all_inner_texts()
    ines = next(place for place, words in enumerate(options) if words.startswith("Inês"))
    await page.locator("#decide select.sel").first.select_option(index=ines)
    await page.fill("#decide textarea", "Is it in the nightly of Friday?")
    await previewed(page)
    await page.keyboard.press("Control+Enter")
    await written(stage, bug)
    asked = [(flag.status, flag.requestee) for flag in stage.world.bugzilla.bug(bug).flags]
    assert asked == [("?", CAST["ines"].email)]
    assert (said(stage, bug, "Is it in the nightly of Friday?"), flags_of(stage, bug)) == (1, ["?"])


async def test_flags_alone_decide_nothing(stage: Stage, page: Page) -> None:
    bug = 1900118
    await open_as(page, stage, bug)
    await page.keyboard.press("e")
    await page.get_by_label("tracking of beta").select_option("+")
    await page.get_by_label("another field or flag").fill("cf_status_firefox_esr140")
    await page.get_by_label("to which value").select_option("wontfix")
    await page.wait_for_selector("#decide .writes >> text=cf_status_firefox_esr140")
    await previewed(page)
    await page.keyboard.press("Control+Enter")
    await written(stage, bug)
    custom = stage.world.bugzilla.bug(bug).custom
    assert (custom["cf_tracking_firefox149"], custom["cf_status_firefox_esr140"]) == ("+", "wontfix")
    assert flags_of(stage, bug) == ["?"]


async def test_revision_of_a_train_is_decided_in_phabricator_and_never_twice(
    stage: Stage, page: Page
) -> None:
    bug = 1900112
    await open_as(page, stage, bug)
    await page.keyboard.press("a")
    await previewed(page)
    shown = await page.inner_text("#decide .writes")
    assert "Phabricator, D" in shown
    flags = stage.world.bugzilla.count("PUT /rest/bug/attachment")
    await page.keyboard.press("Control+Enter")
    await written(stage, bug)
    (revision,) = [one for one in stage.world.phabricator.revisions.values() if one.bug == bug]
    assert revision.status == "accepted"
    assert stage.world.bugzilla.count("PUT /rest/bug/attachment") == flags


async def test_new_version_after_the_approval_reopens_the_question_with_the_difference(
    stage: Stage, page: Page
) -> None:
    bug = 1900112  # approved above
    (revision,) = [one for one in stage.world.phabricator.revisions.values() if one.bug == bug]
    await stage.round()
    last = revision.diffs[-1]
    added = next(line for line in last.text.splitlines() if line.startswith("+") and line[1:2] not in "+")
    stage.world.phabricator.update(revision.id, last.text.replace(added, added + " // again"), base=last.base)
    stage.world.phabricator.set_status(revision.id, "needs-review")
    await stage.round()
    await open_as(page, stage, bug)
    panel = page.locator("section:has(#interdiff-title)")
    await expect(panel.get_by_text("Changed since the approval")).to_be_visible()
    await panel.get_by_role("button", name="Ask for the difference").click()
    await panel.get_by_text("Asked, waiting").wait_for()
    await stage.round()
    await expect(panel.locator("code.a", has_text="// again")).to_have_count(1, timeout=20_000)
    told = await page.inner_text("#decide .decisions")
    assert "with other patches; the question is open again" in told
    await picture(page, "request-new-version", of="section:has(#interdiff-title)")
    assert await violations(page) == []
    await page.keyboard.press("a")
    await previewed(page)
    assert "accepted" in await page.inner_text("#decide .writes"), "it may be decided anew"


async def test_decision_is_taken_back_by_a_key_before_anything_is_written(stage: Stage, page: Page) -> None:
    bug = 1900107
    await open_as(page, stage, bug, train="release")
    await page.keyboard.press("a")
    await previewed(page)
    await page.keyboard.press("Control+Enter")
    await page.wait_for_selector(".toast >> text=Undo")
    await page.locator("h1").click()
    await page.keyboard.press("z")
    await page.wait_for_selector(".toast >> text=Taken back.")
    await asyncio.sleep(2.5)
    assert flags_of(stage, bug, "approval-mozilla-release") == ["?"]
    assert stage.rows("select state from decision_parts where bug = %s", bug) == [("undone",)]


async def test_partial_failure_is_shown_and_resumed_without_a_second_comment(
    stage: Stage, page: Page
) -> None:
    bug = 1900110
    await open_as(page, stage, bug)
    await page.keyboard.press("a")
    await page.fill("#decide textarea", "Take all three parts.")
    await previewed(page)
    assert flags_of(stage, bug) == ["?", "?", "?"]
    bugzilla = stage.world.bugzilla
    first, second, _ = [one.id for one in bugzilla.bug(bug).attachments if one.flags]
    rights = bugzilla.state.user(ROSA).groups
    # her right to grant is taken away between the first flag and the second
    bugzilla.fail(Trouble.SLOW, containing=f"PUT /rest/bug/attachment/{second}", times=1, seconds=4)
    await page.keyboard.press("Control+Enter")
    for _ in range(200):
        if "+" in flags_of(stage, bug):
            break
        await asyncio.sleep(0.1)
    rights.discard("release-managers")
    resume = page.get_by_role("button", name="Try the rest again")
    await resume.wait_for()
    await page.wait_for_selector(".toast.warn >> text=Not everything was written.")
    await picture(page, "request-stuck", of="#decide .decisions .writes")
    shown = await page.inner_text("#decide .decisions")
    assert "1 of 4 written" in shown
    assert "Only a user with the required permissions" in shown, "the service's own words are there"
    assert await page.locator("#decide .decisions .writes .st.ok").count() == 1
    assert await page.locator("#decide .decisions .writes .st.bad").count() == 1
    assert await violations(page) == []
    assert (sorted(flags_of(stage, bug)), said(stage, bug, "Take all three parts.")) == (["+", "?", "?"], 0)
    # whoever decided and went elsewhere is told there, and goes on from there
    elsewhere = await page.context.new_page()
    await show(elsewhere, f"{stage.url}/releases")
    await elsewhere.wait_for_selector(f".toast.warn >> text=Approve: bug {bug} needs you.")
    await elsewhere.get_by_role("button", name="Your decisions").click()
    listed = elsewhere.locator("section:has(#decisions) li", has_text=str(bug)).first
    await expect(listed.get_by_role("button", name="Try the rest again")).to_be_visible()
    assert await violations(elsewhere) == []
    await picture(elsewhere, "me-stuck", of="section:has(#decisions)")
    await elsewhere.close()
    rights.add("release-managers")
    await resume.click()
    for _ in range(200):
        if said(stage, bug, "Take all three parts."):
            break
        await asyncio.sleep(0.1)
    await written(stage, bug)
    assert (flags_of(stage, bug), said(stage, bug, "Take all three parts.")) == (["+", "+", "+"], 1)
    assert bugzilla.count(f"PUT /rest/bug/attachment/{first}") == 1
    await page.wait_for_selector("#decide .decisions .writes .st.ok >> nth=3", state="attached")


async def test_lost_connection_is_tried_again_and_decides_once(stage: Stage, chromium: Browser) -> None:
    bug = 1900111
    async with opened(chromium) as page:
        await open_as(page, stage, bug)
        await page.keyboard.press("a")
        await previewed(page)
        await page.context.set_offline(True)
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#decide button.primary")).to_have_text("Sending")
        await page.context.set_offline(False)
        await page.wait_for_selector(".toast >> text=Undo", timeout=20_000)
        await written(stage, bug)
        count = stage.rows("select count(*) from decision_parts where bug = %s", bug)
        assert (count, flags_of(stage, bug), said(stage, bug, "Approved for")) == ([(1,)], ["+"], 1)
        complaints(page).clear()


async def test_two_people_deciding_at_once_write_once_and_the_second_sees_it(
    stage: Stage, chromium: Browser
) -> None:
    bug = 1900122
    async with opened(chromium) as first, opened(chromium) as second:
        for page, key in ((first, "a"), (second, "r")):
            await open_as(page, stage, bug)
            await page.keyboard.press(key)
            await previewed(page)
        await first.keyboard.press("Control+Enter")
        await first.wait_for_selector(".toast >> text=Undo")
        # the other page hears of it at once, and still may try
        await second.wait_for_selector("#decide [role=status] >> text=rosa decided this")
        await picture(second, "request-two-deciders", of="#decide")
        assert await violations(second) == []
        await second.keyboard.press("Control+Enter")
        await second.wait_for_selector(".toast.bad >> text=Nothing was written")
        await written(stage, bug)
        assert (flags_of(stage, bug), said(stage, bug, "Too late")) == (["+"], 0)
        complaints(second).clear()


async def test_what_changed_in_bugzilla_meanwhile_is_shown_and_nothing_is_written(
    stage: Stage, page: Page
) -> None:
    bug = 1900124
    await open_as(page, stage, bug)
    await page.keyboard.press("a")
    await previewed(page)
    attachment = stage.world.bugzilla.bug(bug).attachments[0].id
    stage.world.bugzilla.set_flag("approval-mozilla-beta", "-", by=CAST["tomas"].email, attachment=attachment)
    await page.keyboard.press("Control+Enter")
    await written(stage, bug)
    assert (flags_of(stage, bug), said(stage, bug, "Approved for")) == (["-"], 0)
    await page.wait_for_selector(".toast.bad >> text=Nothing was written")
    await picture(page, "request-changed", of="#decide .decisions")
    shown = await page.inner_text("#decide .decisions")
    assert "approval-mozilla-beta" in shown and "tomas" in shown.lower()


async def test_who_may_not_decide_reads_and_is_told_why(stage: Stage, chromium: Browser) -> None:
    for person, words in (
        (None, "Deciding for beta needs a login."),
        (people.OBSERVER, "needs the scope project:shipit:decide/beta"),
    ):
        async with opened(chromium) as page:
            if person is not None:
                await login(page, person, stage.url)
            await show(page, f"{stage.url}/requests/{uid_of(stage, 1900113)}")
            await page.wait_for_selector(f"#decide >> text={words}")
            assert await page.locator("#decide .opts").count() == 0
            await page.keyboard.press("a")
            assert await page.locator("#decide textarea").count() == 0
            assert await violations(page) == []


async def test_without_a_key_it_says_where_to_enter_one(stage: Stage, page: Page) -> None:
    await open_as(page, stage, 1900123)
    await page.evaluate(
        "async () => { const me = await (await fetch('/api/me')).json();"
        " await fetch('/api/me/keys/bugzilla', {method: 'DELETE', headers: {'X-Csrf-Token': me.csrf}}) }"
    )
    await page.keyboard.press("a")
    await page.wait_for_selector("#decide >> text=Store a key")
    await picture(page, "request-no-key", of="#decide .writes")
    assert await page.is_disabled("#decide button.primary")
    await page.keyboard.press("Control+Enter")
    await page.evaluate(
        "async (key) => { const me = await (await fetch('/api/me')).json();"
        " await fetch('/api/me/keys/bugzilla', {method: 'PUT', body: JSON.stringify({key}),"
        " headers: {'X-Csrf-Token': me.csrf, 'Content-Type': 'application/json'}}) }",
        stage.world.bugzilla.key_for(ROSA),
    )
    assert stage.rows("select count(*) from decision_parts where bug = 1900123") == [(0,)]


async def test_page_that_is_long_behind_locks_deciding(stage: Stage, chromium: Browser) -> None:
    async with opened(chromium) as page:
        await page.clock.install()
        await open_as(page, stage, 1900113)
        await page.keyboard.press("a")
        await previewed(page)
        await page.context.set_offline(True)
        # a stream that has fallen silent is noticed, and then it is only a matter of time
        await page.clock.fast_forward("01:00")
        await page.wait_for_selector('[data-live="behind"]', state="attached")
        await page.clock.fast_forward("07:00")
        await page.wait_for_selector("#decide [role=alert] >> text=Deciding is locked", timeout=20_000)
        await picture(page, "request-behind", of="#decide")
        assert await page.is_disabled("#decide button.primary")
        complaints(page).clear()


@contextlib.asynccontextmanager
async def shadow(stage: Stage) -> AsyncIterator[str]:
    """A second service on the same data in which nothing is written; its URL."""
    port = free_port()
    settings = msgspec.structs.replace(
        stage.settings,
        decisions=Decisions(enabled=False),
        backend=msgspec.structs.replace(stage.settings.backend, port=port, url=f"http://127.0.0.1:{port}"),
    )
    async with (
        open_session() as session,
        open_pool(stage.database.url, instance=stage.database.instance, limits=Limits(connections=2)) as pool,
    ):
        app = create_app(
            settings,
            database=pool,
            database_url=stage.database.url,
            authenticator=authenticator(Taskcluster(session, settings.taskcluster.root_url or "")),
            login_service=login_service(settings, session),
            is_demo=True,
        )
        ready = asyncio.Event()
        task = asyncio.create_task(serve(app, "127.0.0.1", port, ready=lambda _: ready.set()))
        try:
            await asyncio.wait_for(ready.wait(), 20)
            yield f"http://127.0.0.1:{port}"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_shadow_mode_shows_what_it_would_write_and_sends_nothing(stage: Stage, page: Page) -> None:
    async with shadow(stage) as url:
        # a session holds on every port of a host
        await open_as(page, stage, 1900113, url=url)
        await page.wait_for_selector("#decide >> text=Shadow mode.")
        await page.keyboard.press("a")
        await page.wait_for_selector("#decide .writes >> text=approval-mozilla-beta")
        await picture(page, "request-shadow", of="#decide")
        assert await page.is_disabled("#decide button.primary")
        assert await violations(page) == []
        await page.keyboard.press("Control+Enter")
        assert flags_of(stage, 1900113) == ["?"]
