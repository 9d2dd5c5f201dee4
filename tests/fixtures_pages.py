# SPDX-License-Identifier: MPL-2.0
"""Pages in a real browser, over the demo's fake world after one round of the bot; for drills.

A module's tests share one stage and one browser, so mark them all:
`pytestmark = [pytest.mark.drill, pytest.mark.asyncio(loop_scope="module")]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from fixtures_bot import free_port
from fixtures_postgres import Database, Server
from fixtures_web import Service, running
from real_parts import absent
from shipit.bot.doors import Doors
from shipit.bot.rounds import RoundResult, run_round
from shipit.cli import demo
from shipit.cli.demo_listener import with_listener
from shipit.cli.opening import bot_doors
from shipit.cli.serve import authenticator, login_service
from shipit.cli.writing import outside_of, whose_of
from shipit.clients.http import open_session
from shipit.clients.taskcluster import Taskcluster
from shipit.runner.decisions import run as run_decisions
from shipit.runner.loop import run as run_runner
from shipit.settings import Decisions, Settings
from shipit.storage.pool import Limits, open_pool
from shipit.web.app import create_app
from shipit.web.serving import serve
from shipit.world import people
from shipit.world.world import World

CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
AXE = Path(__file__).resolve().parent.parent / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
# Long enough to take a decision back, short enough to wait for it.
HOLD_SECONDS = 2.0
LIVE = '[data-live="live"]'
Feeding = Callable[..., Awaitable[Service]]


@dataclass
class Stage:
    """The demo's house in this process. url: of the pages. doors: the bot's, for another round."""

    url: str
    world: World
    settings: Settings
    database: Database
    doors: Doors
    first: RoundResult

    async def round(self) -> RoundResult:
        """Another full round of the bot."""
        return await run_round(self.doors)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the service's database."""
        with self.database.connect() as connection:
            return connection.execute(query, values).fetchall()


@contextlib.asynccontextmanager
async def staged(database: Database) -> AsyncIterator[Stage]:
    """The demo's world, its bot after one round, the runner, and the web service on a free port."""
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="pages-") as name:
        work = Path(name)
        async with World.open() as world, open_session() as session:
            settings = demo._settings(world, demo._seeded(world, work), "unused", port=free_port(), work=work)
            settings = with_listener(settings, "not-a-secret")
            settings = msgspec.structs.replace(
                settings,
                instance=database.instance,
                decisions=Decisions(enabled=True, hold_seconds=HOLD_SECONDS),
            )
            url = settings.backend.url or ""
            people.settle(world.taskcluster, backend_url=url)
            limits = Limits(connections=6)
            async with open_pool(database.url, instance=database.instance, limits=limits) as pool:
                app = create_app(
                    settings,
                    database=pool,
                    database_url=database.url,
                    authenticator=authenticator(Taskcluster(session, settings.taskcluster.root_url or "")),
                    login_service=login_service(settings, session),
                    whose=whose_of(settings, session),
                    is_demo=True,
                )
                ready = asyncio.Event()
                web = serve(app, "127.0.0.1", settings.backend.port, ready=lambda _: ready.set())
                tasks = [asyncio.create_task(web)]
                try:
                    await asyncio.wait_for(ready.wait(), 30)
                    async with bot_doors(settings, told=lambda text: None) as doors:
                        first = await run_round(doors)
                        outside = outside_of(settings, session, pool)
                        assert outside is not None
                        await demo._enter_keys(world, outside, whose_of(settings, session))
                        tasks.append(asyncio.create_task(run_runner(settings, pool, doors.send, stop)))
                        tasks.append(asyncio.create_task(run_decisions(outside, stop, tick=0.1)))
                        yield Stage(url, world, settings, database, doors, first)
                        stop.set()
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(postgres: Server) -> AsyncIterator[Stage]:
    """The demo's house, for all tests of a module."""
    database = postgres.create_migrated()
    async with staged(database) as made:
        yield made
    postgres.drop(database.url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(need: Callable[[str], str]) -> AsyncIterator[Browser]:
    """A browser, for all tests of a module."""
    path = need("chromium")
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=path, args=list(CHROMIUM))
        yield made
        await made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A page of 1280 by 900 in a fresh profile; the test fails when the browser complained of anything."""
    async with opened(chromium) as made:
        yield made
        assert complaints(made) == []


@pytest_asyncio.fixture(loop_scope="module")
async def fed(postgres: Server) -> AsyncIterator[Feeding]:
    """Starts a service whose data the test makes up, and ends it."""
    database = postgres.create_migrated()
    async with running(database) as service:

        async def feed(*reports: Any, **more: Any) -> Service:
            assert (await service.feed(*reports, **more)).status_code == 200
            return service

        yield feed
    postgres.drop(database.url)


@contextlib.asynccontextmanager
async def opened(chromium: Browser, **how: Any) -> AsyncIterator[Page]:
    """A page in a fresh profile. how: as for Playwright's new_context."""
    context: BrowserContext = await chromium.new_context(
        **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **how}
    )
    made = await context.new_page()
    found: list[str] = []
    made.on(
        "console",
        lambda said: (
            found.append(f"{said.text} ({said.location.get('url', '')})") if said.type == "error" else None
        ),
    )
    made.on("pageerror", lambda error: found.append(str(error)))
    _complaints[made] = found
    try:
        yield made
    finally:
        _complaints.pop(made, None)
        await context.close()


_complaints: dict[Page, list[str]] = {}


def complaints(page: Page) -> list[str]:
    """What the browser complained of on this page; a test that provokes a complaint clears it."""
    return _complaints[page]


async def show(page: Page, url: str) -> None:
    """Open an address and wait until the page is drawn and live."""
    await page.goto(url)
    await page.wait_for_selector(LIVE, state="attached", timeout=20_000)
    await page.wait_for_selector("main:not([aria-busy])", timeout=20_000)


async def login(page: Page, person: people.Person, url: str) -> None:
    """Log in as one of the world's people, through the fake Taskcluster's own pages."""
    await page.goto(f"{url}/login?next=/")
    await page.click(f'button[name="person"][value="{person.identity}"]')
    await page.wait_for_url(f"{url}/")


async def picture(page: Page, name: str, *, of: str = "main") -> None:
    """Keep how a page looks now, at both widths and in both themes, where SHIPIT_PICTURES names a folder.

    For states that only a test brings about; `docs/pictures.py` takes the others. of: what is to be seen.
    """
    folder = os.environ.get("SHIPIT_PICTURES")
    if not folder:
        return
    before = page.viewport_size
    assert before is not None
    for width in (1280, 400):
        await page.set_viewport_size({"width": width, "height": 900})
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            await page.locator(of).first.scroll_into_view_if_needed()
            await page.mouse.move(0, 0)
            await page.wait_for_timeout(200)
            await page.screenshot(path=Path(folder) / f"{name}-{width}-{theme}.png")
    await page.set_viewport_size(before)
    await page.emulate_media(color_scheme="light")


async def violations(page: Page, **options: Any) -> list[str]:
    """What axe finds wrong with the page as it is, one line for each element."""
    if not AXE.is_file():
        absent("axe", "no axe-core below frontend/node_modules: `python frontend/build.py --check`")
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate(f"axe.run(document, {json.dumps(options)})")
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]
