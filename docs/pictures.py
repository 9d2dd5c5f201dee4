# SPDX-License-Identifier: MPL-2.0
"""Takes the pictures of docs/images from the demo, in Chromium: `python docs/pictures.py [URL] [PAGE…]`.

Without a URL it runs the demo itself, and what else the pictures need; without names it takes every page.
Needs a Chromium on PATH.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from playwright.async_api import Page, async_playwright

IMAGES = Path(__file__).resolve().parent / "images"
TESTS = IMAGES.parent.parent / "tests"
PORT = 8791
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
)
WIDTHS = (1280, 400)
THEMES = ("light", "dark")


class Shot(NamedTuple):
    """One picture. person: who looks, None is nobody; ready: what must be there; opens: what is clicked,
    keys: what is pressed; then: what that must bring. height: of the window, in pixels. lost: what the page
    asks for and never gets. before, after: scripts of the page, run once the keys are pressed, and when it is
    taken. house: where it is taken ("demo"; "shadow": without rights to write; "staged": see with_staged).
    """

    path: str
    person: str | None = None
    ready: str = "h1"
    opens: str | None = None
    height: int = 900
    then: str | None = None
    keys: tuple[str, ...] = ()
    lost: str | None = None
    before: str | None = None
    after: str | None = None
    house: str = "demo"


# Somebody else's decision about the row that the cursor is on, and its undoing while it is held.
DECIDE = """async () => {
  const me = await (await fetch('/api/me')).json();
  const headers = { 'Content-Type': 'application/json', 'X-Csrf-Token': me.csrf };
  const requests = [document.querySelector('.tr.cur').dataset.uid];
  const wanted = { verdict: 'reject', requests, comment: 'Too large for this late in the cycle.' };
  const ask = (method, to, body) => fetch(to, { method, headers, body: JSON.stringify(body) });
  const { seen, stamps } = await (await ask('POST', '/api/decisions/preview', wanted)).json();
  window.decided = `/api/decisions/picture-${crypto.randomUUID()}`;
  const answer = await ask('PUT', window.decided, { ...wanted, seen, stamps });
  if (!answer.ok) throw new Error(await answer.text());
}"""
UNDO = """async () => {
  const me = await (await fetch('/api/me')).json();
  await fetch(window.decided, { method: 'DELETE', headers: { 'X-Csrf-Token': me.csrf } });
}"""
TRACE = "section[aria-label=Traces] tr:has-text('code-coverage'):has-text('Done')"
BOARD = "/?train=beta"
# the rows, and who looks at them
KNOWN = "body:has(header a.who) [data-uid]"
CONFLICT = "/requests/1900105-beta-82f54b4332"
FAILED = "tr:has-text('blocked by 1 failed step')"
PAGES = {
    "releases": Shot("/releases", "demo/enzo", ready=FAILED),
    # found from the list: which version is on its way follows from the day
    "release": Shot("/releases", "demo/rosa", ready=FAILED, opens=f"{FAILED} a", height=2000, then="#step"),
    "board": Shot(BOARD, "demo/rosa", ready="[data-uid]", height=1900),
    "board-nobody": Shot(BOARD, ready="[data-uid]"),
    "board-selected": Shot(BOARD, "demo/rosa", ready=KNOWN, keys=("j", "x", "j", "Shift+X"), then=".bulk"),
    "board-decide": Shot(BOARD, "demo/rosa", ready=KNOWN, keys=("j", "a"), then="dialog .writes"),
    "board-keys": Shot(BOARD, ready="[data-uid]", keys=("?",), then="dialog .keymap"),
    "board-no-match": Shot(f"{BOARD}&q=nothing", ready=".empty"),
    "board-behind": Shot(BOARD, ready="[data-uid]", lost="**/api/live", then="[data-live=behind]"),
    "board-changed": Shot(
        BOARD, "demo/rosa", ready=KNOWN, keys=("j",), before=DECIDE, then=".pill", after=UNDO
    ),
    "board-search": Shot(f"{BOARD}&q=zoom", ready="section[aria-label='Found elsewhere'] tbody tr"),
    "board-restricted": Shot("/?train=esr128", "demo/olga", ready=".hidden-row"),
    "board-empty": Shot("/?train=esr128", ready=".empty"),
    "board-shadow": Shot(BOARD, "demo/rosa", ready="header .badge:has-text('Shadow')", house="shadow"),
    "board-unavailable": Shot("/?train=esr140", ready=".callout", house="staged"),
    "board-unread": Shot("/?train=release", ready=".empty", house="staged"),
    "list-flags": Shot(
        f"{BOARD}&list=tracking", "demo/rosa", ready=".list-t", keys=("j", "e"), then="dialog .writes"
    ),
    "board-list": Shot(f"{BOARD}&list=tracking", "demo/rosa", ready=".list-t"),
    "request-needs": Shot(
        "/requests/1900106-beta-47ae3f88b8", "demo/rosa", ready="#checks-title", height=1500
    ),
    "request": Shot(
        CONFLICT,
        "demo/rosa",
        ready="#checks-title",
        opens="#why button:has-text('Ask'), #why .hunk-h",
        then="#why .sides",
        height=2500,
    ),
    "request-decide": Shot(
        CONFLICT,
        "demo/rosa",
        ready="#checks-title",
        opens="#decide .opts label",
        then="#decide .writes",
        height=1100,
    ),
    "request-reader": Shot(
        "/requests/1900101-beta-451ad61371", "demo/olga", ready="#checks-title", height=1300
    ),
    "request-restricted": Shot("/requests/1900104-beta-fd3f693efe", ready="[role=alert]"),
    "me": Shot("/me", "demo/rosa", ready="#keys"),
    "me-nobody": Shot("/me"),
    "events": Shot("/events", "demo/enzo", ready=TRACE, opens=f"{TRACE} >> button.opener", height=1560),
}


async def take(url: str, names: Sequence[str]) -> None:
    """The named pages at every width and theme."""
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(QUIET))
        for theme in THEMES:
            for width in WIDTHS:
                for name in names:
                    page = await browser.new_page(
                        viewport={"width": width, "height": PAGES[name].height},
                        color_scheme="dark" if theme == "dark" else "light",
                    )
                    await _open(page, url, PAGES[name])
                    await page.screenshot(path=IMAGES / f"{name}-{width}-{theme}.png")
                    if (after := PAGES[name].after) is not None:
                        await page.evaluate(after)
                    await page.close()
        await browser.close()


async def _open(page: Page, url: str, shot: Shot) -> None:
    """Open a page as its person, and wait until it shows what it shall."""
    if shot.lost is not None:
        await page.route(shot.lost, lambda route: route.abort())
    if shot.person is None:
        await page.goto(url + shot.path, wait_until="load")
    else:
        await page.goto(f"{url}/login?next={quote(shot.path, safe='')}")
        await page.click(f'button[value="{shot.person}"]')
        await page.wait_for_url(url + shot.path)
    await page.wait_for_selector(shot.ready, timeout=90_000)
    if shot.opens is not None:
        await page.click(f"{shot.opens} >> nth=0")
        if shot.then is not None:
            await page.wait_for_selector(shot.then, timeout=90_000)
        await page.mouse.move(0, 0)
        await page.evaluate("scrollTo(0, 0)")
        if shot.then is not None:
            await page.locator(shot.then).first.scroll_into_view_if_needed()
    for key in shot.keys:
        await page.keyboard.press(key)
    if shot.before is not None:
        await page.evaluate(shot.before)
    if shot.then is not None and shot.opens is None:
        await page.wait_for_selector(shot.then, timeout=90_000)
    await page.wait_for_timeout(500)


async def with_demo(names: Sequence[str], *more: str) -> None:
    """Run the demo for as long as the pictures take; more: words of its command line."""
    shipit = Path(sys.executable).with_name("shipit")
    demo = await asyncio.create_subprocess_exec(shipit, "demo", "--port", str(PORT), *more)
    try:
        url = f"http://127.0.0.1:{PORT}"
        for _ in range(240):
            if await asyncio.to_thread(_is_ready, url):
                break
            await asyncio.sleep(0.5)
        await take(url, names)
    finally:
        demo.send_signal(signal.SIGTERM)
        await demo.wait()


async def with_staged(names: Sequence[str]) -> None:
    """A service whose Bugzilla does not answer for one train, and was never asked about another."""
    sys.path.insert(0, str(TESTS))
    # the tests' own, wanted for these pictures alone
    from fixtures_postgres import INSTANCE, Database  # noqa: PLC0415
    from fixtures_web import NOON, make_bug, make_request, make_train, make_trains, running  # noqa: PLC0415
    from shipit.merge.types import Outcome  # noqa: PLC0415
    from shipit.storage import embedded, migrate  # noqa: PLC0415

    silent = {"requests_unavailable_since": NOON, "requests_unavailable_reason": "Bugzilla answered 503"}
    trains = make_trains(
        make_train("beta"), make_train("release", requests_read_at=None), make_train("esr140", **silent)
    )
    bugs = [make_bug(n, make_request(n, "esr140", outcome=Outcome.CLEAN)) for n in (1, 2, 3)]
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        async with embedded.server(Path(folder)) as url:
            await asyncio.to_thread(migrate.upgrade, url, instance=INSTANCE)
            async with running(Database(url)) as service:
                await service.feed(*bugs, trains=trains)
                await take(service.url, names)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/__heartbeat__", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def everywhere(names: Sequence[str]) -> None:
    """Each picture in its house."""
    by_house = {house: [name for name in names if PAGES[name].house == house] for house in HOUSES}
    for house, some in by_house.items():
        if some:
            await HOUSES[house](some)


HOUSES: dict[str, Callable[[Sequence[str]], Coroutine[Any, Any, None]]] = {
    "demo": with_demo,
    "shadow": lambda names: with_demo(names, "--shadow"),
    "staged": with_staged,
}


def main(words: Sequence[str]) -> None:
    """The command line."""
    url = next((word for word in words if "://" in word), None)
    names = [word for word in words if word in PAGES] or list(PAGES)
    asyncio.run(take(url, names) if url else everywhere(names))


if __name__ == "__main__":
    main(sys.argv[1:])
