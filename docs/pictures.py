# SPDX-License-Identifier: MPL-2.0
"""Takes the pictures of docs/images from the demo, in Chromium: `python docs/pictures.py [URL]`.

Without a URL it runs the demo itself. Needs a Chromium on PATH.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

from playwright.async_api import async_playwright

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
PAGES = {"page": "/"}


async def take(url: str) -> None:
    """Every page at every width and theme."""
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(QUIET))
        for theme in THEMES:
            for width in WIDTHS:
                page = await browser.new_page(
                    viewport={"width": width, "height": 900},
                    color_scheme="dark" if theme == "dark" else "light",
                )
                for name, path in PAGES.items():
                    await page.goto(url + path, wait_until="load")
                    await page.wait_for_timeout(500)
                    await page.screenshot(path=IMAGES / f"{name}-{width}-{theme}.png")
                await page.close()
        await browser.close()


async def with_demo() -> None:
    """Run the demo for as long as the pictures take."""
    shipit = Path(sys.executable).with_name("shipit")
    demo = await asyncio.create_subprocess_exec(shipit, "demo", "--port", str(PORT))
    try:
        url = f"http://127.0.0.1:{PORT}"
        for _ in range(120):
            if await asyncio.to_thread(_is_ready, url):
                break
            await asyncio.sleep(0.5)
        await take(url)
    finally:
        demo.send_signal(signal.SIGTERM)
        await demo.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/__heartbeat__", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1]) if len(sys.argv) > 1 else with_demo())
