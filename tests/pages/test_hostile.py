# SPDX-License-Identifier: MPL-2.0
"""Words from outside are words: a corpus of injections in every field, and no page runs or inserts any.

Whatever the browser's policy had to block counts as a failure too: it is the second wall, not the first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from fixtures_pages import complaints, opened
from fixtures_postgres import Database, Server
from fixtures_web import CAST, NOON, log_in, make_request, make_train, make_trains, running, running_at
from shipit.merge.advice import Advice, Prerequisite
from shipit.merge.conflict_view import ConflictView, FileView, HunkView, SideView, Wrote
from shipit.merge.types import ConflictKind, Outcome
from shipit.settings import Backend, Settings
from shipit.uplift.plans import PlansReport, Scope, Warned
from shipit.uplift.report import BugsReport, DetailReport, ListsReport, SearchesReport
from web.test_board_lists import make_listed, make_lists
from web.test_evidence import told_bug
from web.test_plans import found, plan

pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]

UID = "101-beta-1"
RUNS = "window.pwned=1"
CORPUS = (
    f"<img src=x onerror={RUNS}>",
    f'"><script>{RUNS}</script>',
    f"</script><script>{RUNS}</script><!--<script>",
    f"</style></title></textarea><svg/onload={RUNS}>",
    f"' onmouseover='{RUNS}' x='",
    f"{{{{constructor.constructor('{RUNS}')()}}}}${{{RUNS}}}{{@html '<b id=pwned>'}}",
    f'<iframe srcdoc="<script>parent.{RUNS}</script>"></iframe><object data=x></object>',
    "<base href=//evil.example.com><meta http-equiv=refresh content='0;url=//evil.example.com'>",
    f'<a href="javascript:{RUNS}">a</a><form action=//evil.example.com><input name=x></form>',
    "]]>&lt;script&gt;\u202e\u2028\u2029\u0000\u0007",
)
HOSTILE = " ".join(CORPUS).replace("\u0000", "")
SHOWN = "<img src=x onerror="
LINK = f"javascript:{RUNS}"
# What of a report is words: whatever stands under these names.
WORDS = frozenset(
    [
        "summary",
        "component",
        "product",
        "name",
        "title",
        "text",
        "label",
        "message",
        "path",
        "old_path",
        "reason",
        "subject",
        "author",
        "sentence",
        "raw",
        "question",
        "said",
        "nick",
        "commit_message",
        "assignee",
        "display",
        "detail",
        "description",
        "language",
    ]
)
LINKS = frozenset(("url", "link", "href"))
_T = TypeVar("_T")


def poisoned(report: _T) -> _T:
    """The same report with the corpus in each of its words, and a script for each link."""
    return msgspec.convert(_walked(msgspec.to_builtins(report)), type(report), strict=False)


def _walked(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _walked(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_walked(each, key) for each in value]
    if isinstance(value, str) and key in WORDS:
        return f"{value} {HOSTILE}"
    return LINK if isinstance(value, str) and key in LINKS else value


def conflict() -> ConflictView:
    side = SideView(first=1, lines=(f"int a; // {HOSTILE}", HOSTILE))
    hunk = HunkView(before=(HOSTILE,), base=side, ours=side, theirs=side, after=(HOSTILE,))
    file = FileView(
        path=f"src/{HOSTILE}",
        kind=ConflictKind.CONTENT,
        sentence=HOSTILE,
        hunks=(hunk,),
        ours_last="a" * 40,
        notes=(HOSTILE,),
    )
    wrote = Wrote(commit="a" * 40, author=HOSTILE, at=NOON, subject=HOSTILE, bug=5)
    return ConflictView(tip="a" * 40, patch=f"D1 {HOSTILE}", files=(file,), commits={"a" * 40: wrote})


async def tell_all(database: Database) -> None:
    """Everything that reports and people can say of a request, said with the corpus."""
    async with running(database) as service:
        owner = f"{HOSTILE}@example.com"
        reasons = dict.fromkeys(("tip_reason", "source", "requests_unavailable_reason"), HOSTILE)
        train = make_train("beta", owner=owner, **reasons)
        request = make_request(101, outcome=Outcome.CONFLICT, reason=HOSTILE, requested_by=owner)
        bug = poisoned(told_bug(101, request, keywords=("regression", HOSTILE)))
        named = Prerequisite("b" * 40, 102, f"Bug 102 {HOSTILE}", 12, 1, author=f"{HOSTILE} <b@example.com>")
        lacking = Advice(
            outcome=Outcome.CONFLICT, prerequisites=(named,), verified=True, reason=HOSTILE, merges=3
        )
        listed = make_listed(201, summary=HOSTILE, sentence=HOSTILE, assignee=owner, url=LINK)
        warned = Warned(requests=(UID,), text=HOSTILE)
        detail = DetailReport(
            request=UID,
            kind="conflict",
            key=f"s1/{'a' * 40}",
            content=msgspec.to_builtins(conflict()),
            made_at=NOON,
        )
        plans = tuple(
            poisoned(plan(UID, scope=scope, sees_restricted=sees, warnings=(warned,)))
            for scope in Scope
            for sees in (False, True)
        )
        for path, body in (
            ("/api/trains", make_trains(train)),
            ("/api/bugs", BugsReport(round="r1", bugs=(bug,))),
            ("/api/advice", SearchesReport(searches=(found(advice=lacking),))),
            ("/api/plans/beta", PlansReport(plans=plans)),
            ("/api/board/lists", make_lists(tracking=[listed], relnote=[listed], unasked=HOSTILE)),
            (f"/api/requests/{UID}/details", detail),
        ):
            answer = await service.put(path, body)
            assert answer.status_code < 300, (path, answer.text)
        await service.by("user").put(
            "/api/views/v1",
            json={"name": CORPUS[0], "train": "beta", "query": f"q={quote(CORPUS[1])}", "is_shared": True},
        )
        person = (await service.by("user").get("/api/people")).json()[0]["id"]
        note = {"comment_public": HOSTILE, "comment_private": HOSTILE}
        assert (await service.by("admin").put(f"/api/people/{person}/note", json=note)).status_code == 200


@dataclass
class Web:
    """A web service that a browser can use, and its database."""

    url: str
    database: Database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(postgres: Server) -> AsyncIterator[Web]:
    database = postgres.create_migrated()
    await tell_all(database)

    def made(url: str) -> tuple[Settings, Any]:
        backend = Backend(url=url, public_read=True)
        return Settings(instance=database.instance, backend=backend), NoLogin()

    async with running_at(database, made) as url:
        yield Web(url, database)
    postgres.drop(database.url)


class NoLogin:
    """A login that never comes to anything; sessions are made in the database."""

    def authorize_url(self, *, redirect_uri: str, state: str, challenge: str) -> str:
        return "https://tc.example.com/"

    async def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Any:
        raise AssertionError("nobody asked for it")

    async def granted(self, client_id: str) -> Any:
        return None


INSERTED = """() => [...document.querySelectorAll(
    'img, iframe, object, embed, base, form[action], style:not(head style), #pwned,'
    + 'meta[http-equiv="refresh"], script:not([src]):not([type="application/json"]),'
    + '[onerror], [onload], [onmouseover], a[href^="javascript:"]')]
    .map((each) => each.outerHTML.slice(0, 200))"""
ADDRESSES = (
    "/",
    f"/?train=beta&q={quote(CORPUS[0])}",
    f"/?train={quote(CORPUS[1])}",
    f"/?train=beta&component={quote(HOSTILE)}",
    f"/requests/{UID}",
    f"/requests/{quote(CORPUS[0], safe='')}",
    "/plans/beta",
    f"/plans/{quote(CORPUS[0], safe='')}",
    "/events",
    f"/events?q={quote(CORPUS[0])}",
    "/releases",
    f"/releases/{quote(CORPUS[0], safe='')}",
    "/me",
)
# Where the corpus is to be read, so that it was there to do harm.
READ = {"/", f"/requests/{UID}", "/plans/beta"}


@pytest.mark.parametrize("who", [None, "reader"])
async def test_no_page_runs_loads_or_inserts_words(chromium: Browser, web: Web, who: str | None) -> None:
    async with opened(chromium) as page:
        if who is not None:
            await hold_session(page, web, who)
        asked = watched(page, web)
        for path in ADDRESSES:
            await page.goto(web.url + path)
            await page.wait_for_selector("h1", timeout=20_000)
            await page.wait_for_timeout(300)
            await open_everything(page)
            assert await page.evaluate("window.pwned") is None, path
            assert await page.evaluate(INSERTED) == [], path
            if path in READ:
                assert SHOWN in await page.inner_text("main"), path
        assert asked == []
        # Of a request that is not there the browser says so itself.
        assert [said for said in complaints(page) if "status of 40" not in said] == []


async def open_everything(page: Page) -> None:
    """Open what can be opened, and move the pointer over what could listen for it."""
    for each in await page.locator("main details:not([open]) > summary").all():
        if await each.is_visible():
            await each.click()
    for each in (await page.locator("main a, main [title], main button").all())[:10]:
        if await each.is_visible():
            await each.hover(timeout=2000, force=True)


def watched(page: Page, web: Web) -> list[str]:
    """What should not have happened: a dialog, or a request to another host."""
    found: list[str] = []

    async def refuse(dialog: Any) -> None:
        found.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    page.on("dialog", refuse)
    page.on(
        "request",
        lambda request: found.append(request.url) if not request.url.startswith((web.url, "data:")) else None,
    )
    return found


async def hold_session(page: Page, web: Web, who: str) -> None:
    """A session of one of the cast in this browser."""
    secret = log_in(web.database, who, people=CAST)
    await page.context.add_cookies([{"name": "shipit", "value": secret, "url": web.url}])


@pytest.mark.parametrize(
    "path",
    [
        f"/login/callback?error={quote(HOSTILE)}&state={quote(HOSTILE)}",
        f"/login/callback?code={quote(HOSTILE)}&state=x",
    ],
)
async def test_no_word_of_a_login_is_inserted(chromium: Browser, web: Web, path: str) -> None:
    async with opened(chromium) as page:
        await page.goto(web.url + path)
        assert await page.evaluate("window.pwned") is None
        assert await page.evaluate(INSERTED) == []


def test_the_corpus_is_in_every_word_of_a_report() -> None:
    report = msgspec.to_builtins(poisoned(told_bug(101, make_request(101, reason="why"))))
    assert all(SHOWN in report[name] for name in ("summary", "component", "product"))
    assert report["url"] == LINK
    patch = report["analysis"]["patches"][0]
    assert SHOWN in patch["message"] and SHOWN in patch["files"][0]["path"]
    assert isinstance(poisoned(make_lists(tracking=[make_listed(1)])), ListsReport)


async def test_a_page_that_inserted_the_corpus_would_be_found_out(chromium: Browser) -> None:
    async with opened(chromium) as page:
        await page.set_content(f"<main>{CORPUS[0]}{CORPUS[6]}</main>")
        assert len(await page.evaluate(INSERTED)) >= 3
        await page.wait_for_function("window.pwned === 1")
