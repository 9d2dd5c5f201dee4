# SPDX-License-Identifier: MPL-2.0
"""Takes the pictures of docs/images from the demo, in Chromium: `python docs/pictures.py [URL] [PAGE…]`.

Without a URL it runs the demo itself; without names it takes every page. Needs a Chromium on PATH.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from playwright.async_api import Page, async_playwright

IMAGES = Path(__file__).resolve().parent / "images"
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
    keys: what is pressed; then: what that must bring. height: of the window, in pixels.
    """

    path: str
    person: str | None = None
    ready: str = "h1"
    opens: str | None = None
    height: int = 900
    then: str | None = None
    keys: tuple[str, ...] = ()


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
                    await page.close()
        await browser.close()


async def _open(page: Page, url: str, shot: Shot) -> None:
    """Open a page as its person, and wait until it shows what it shall."""
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
    if shot.keys and shot.then is not None:
        await page.wait_for_selector(shot.then, timeout=90_000)
    await page.wait_for_timeout(500)


async def with_demo(names: Sequence[str]) -> None:
    """Run the demo for as long as the pictures take."""
    shipit = Path(sys.executable).with_name("shipit")
    demo = await asyncio.create_subprocess_exec(shipit, "demo", "--port", str(PORT))
    try:
        url = f"http://127.0.0.1:{PORT}"
        for _ in range(120):
            if await asyncio.to_thread(_is_ready, url):
                break
            await asyncio.sleep(0.5)
        await take(url, names)
    finally:
        demo.send_signal(signal.SIGTERM)
        await demo.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/__heartbeat__", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main(words: Sequence[str]) -> None:
    """The command line."""
    url = next((word for word in words if "://" in word), None)
    names = [word for word in words if word in PAGES] or list(PAGES)
    asyncio.run(take(url, names) if url else with_demo(names))


if __name__ == "__main__":
    main(sys.argv[1:])
