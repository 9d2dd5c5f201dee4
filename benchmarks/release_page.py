# SPDX-License-Identifier: MPL-2.0
# ruff: noqa: E501 (the template is as long as its rows)
"""The page of a release in Chromium beside a server-rendered table of the same steps, in one run.

Both come from the same web service and the same facts (a pipeline of 200 steps in five phases, most of them
done, some running, one failed) with the same style. The peer is the table alone, made by Jinja2: no graph, no
panels, no live updates. Each figure is a median over rounds in which both take turns, each in a fresh profile
with nothing kept; "first rows" is when twenty steps are painted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from litestar import Litestar, Request, get
from playwright.async_api import Browser, async_playwright

from benchmarks.page import CHROMIUM, FIRST_PAINT, ROOT
from benchmarks.page_peer import INSTANCE, style
from shipit.actions import pipelines as acts
from shipit.actions import releases
from shipit.actions.persons import actor
from shipit.settings import Backend, Settings
from shipit.storage import embedded, invented, migrate, pipelines
from shipit.storage.pool import Database, Limits, open_pool
from shipit.web.app import create_app
from shipit.web.house import house
from shipit.web.serving import run, serve

UID, STEPS, WIDTH, FIRST = "firefox-147.0-build1", 200, 8, 20
SIDES = {"ours": f"/releases/{UID}", "peer": "/peer"}
TARGETS = {"rows": 1.0}
_WATCH = """
window.bench = {};
bench.painted = (isTrue) => new Promise((done) => {
  const look = () => isTrue() ? requestAnimationFrame(() => { const c = new MessageChannel(); c.port1.onmessage = () => done(performance.now()); c.port2.postMessage(0); })
    : requestAnimationFrame(look);
  look();
});
bench.there = (count) => document.querySelectorAll("[data-step]").length >= count;
"""
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{{ release.uid }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/peer.css"></head><body>
<header class="top"><div class="top-in"><a class="brand" href="/">Ship It</a><nav class="nav"><a href="/">Board</a></nav></div></header>
<main class="wrap stack"><h1>{{ release.product }} {{ release.version }}</h1><p>{{ release.sentence }}</p>
<section class="panel"><table class="grid-t"><thead><tr><th>Step</th><th>State</th><th>Why</th><th>Who can move it</th><th>By</th></tr></thead><tbody>
{% for step in release.steps %}<tr data-step="{{ step.uid }}">
<td><a href="?step={{ step.uid }}"><b>{{ step.title }}</b></a></td>
<td><span class="st {{ step.tone }}">
<svg class="ic ic-s" aria-hidden="true"><use href="#i-check"></use></svg><span>{{ step.word }}</span></span></td>
<td>{{ step.sentence }}</td><td>{{ step.who or "nobody needs to" }}</td><td>{{ step.by or step.expected_at or "–" }}</td></tr>
{% endfor %}</tbody></table></section></main></body></html>"""


def definition() -> dict[str, Any]:
    """Layers of steps, each after two of the layer before."""
    steps = []
    for number in range(STEPS):
        layer, place = divmod(number, WIDTH)
        before = [f"s{(layer - 1) * WIDTH + (place + more) % WIDTH}" for more in (0, 1)] if layer else []
        steps.append(
            {
                "uid": f"s{number}",
                "kind": "manual",
                "description": f"Repack part {number} of the languages",
                "phase": f"phase{number * 5 // STEPS}",
                "requires": before,
                "parameters": {"instructions": f"see that part {number} is repacked"},
            }
        )
    return {"product": "firefox", "version": "147.0", "build": 1, "steps": steps}


async def fill(database: Database) -> None:
    """Some pipelines as history, and one on its way."""
    by, now = actor("rel", ["project:shipit:pipeline/*"]), datetime.now(UTC)
    given = definition()
    made = acts.checked(given, lambda url: None)
    hour = timedelta(hours=1)
    async with database.connection() as connection:
        for number in range(5):
            begun = now - hour * 24 * (number + 1)
            times = {step.uid: (begun, begun + hour) for step in made.steps}
            await invented.past(connection, f"earlier-{number}", given, made, times, by=by.person)
        await acts.create(connection, UID, given, by, check_url=lambda url: None, now=now)
        await connection.execute(
            b"update pipeline_steps set state = 'success', attempt = 1,"
            b" started_at = now() - interval '2 hours', finished_at = now() - interval '1 hour' where pipeline = 'firefox-147.0-build1'"
            b" and substr(uid, 2)::int < 120"
        )
        await connection.execute(
            b"update pipeline_steps set state = 'failure', attempt = 3, note = 'the service answered 503'"
            b" where pipeline = 'firefox-147.0-build1' and uid = 's121'"
        )


@cache
def _template() -> jinja2.Template:
    return jinja2.Environment(autoescape=True).from_string(_PAGE)


@get("/peer", media_type="text/html")
async def peer(request: Request[Any, Any, Any]) -> str:
    """The same facts, rendered here."""
    async with house(request).database.connection() as connection:
        stored = (await pipelines.load_many(connection, [UID], is_locked=False))[0]
        found = await releases.release(connection, stored, actor("", ()), datetime.now(UTC))
    return _template().render(release=msgspec.to_builtins(found))


async def serve_both(url: str) -> None:
    """Ours and the peer on one port, which is printed."""
    settings = Settings(instance=INSTANCE, backend=Backend(url="http://127.0.0.1:1", public_read=True))
    async with open_pool(url, instance=INSTANCE, limits=Limits(connections=6)) as database:
        await fill(database)
        app: Litestar = create_app(settings, database=database, database_url=url, authenticator=None)
        for handler in (peer, style):
            app.register(handler)
        await serve(app, "127.0.0.1", 0, handles_signals=True, ready=lambda port: print(port, flush=True))


async def visit(browser: Browser, port: int, side: str) -> dict[str, float]:
    """One visit in a fresh profile: milliseconds until something, twenty steps, and all are painted."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    try:
        page = await context.new_page()
        await page.add_init_script(_WATCH)
        await page.goto(f"http://127.0.0.1:{port}{SIDES[side]}", wait_until="commit")
        first = await page.evaluate(f"bench.painted(() => bench.there({FIRST}))")
        whole = await page.evaluate(f"bench.painted(() => bench.there({STEPS}))")
        await page.wait_for_timeout(600)
        fcp = await page.evaluate(FIRST_PAINT)
        return {"fcp": fcp, "rows": first, "all": whole}
    finally:
        await context.close()


async def compare(port: int, rounds: int) -> dict[str, dict[str, float]]:
    """Medians by what and side."""
    found: dict[str, dict[str, list[float]]] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(CHROMIUM)
        )
        for turn in range(rounds + 2):
            for side in SIDES if turn % 2 else reversed(SIDES):
                took = await visit(browser, port, side)
                # The first two rounds only warm everything up.
                for what, milliseconds in took.items() if turn >= 2 else ():
                    found.setdefault(what, {}).setdefault(side, []).append(milliseconds)
        await browser.close()
    return {
        what: {side: statistics.median(values) for side, values in sides.items()}
        for what, sides in found.items()
    }


def main() -> int:
    """Run and print; exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    parser.add_argument("--serve", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        run(serve_both(options.serve))
        return 0
    with tempfile.TemporaryDirectory() as folder, embedded.run(Path(folder) / "database") as url:
        migrate.upgrade(url, instance=INSTANCE)
        command = [sys.executable, "-m", "benchmarks.release_page", "--serve", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            try:
                found = asyncio.run(compare(int(process.stdout.readline()), options.rounds))
            finally:
                process.terminate()
    return show(found, options.rounds, options.format)


def show(found: dict[str, dict[str, float]], rounds: int, kind: str) -> int:
    """Print the section; 1 when a target is missed."""
    words = {
        "fcp": "first contentful paint",
        "rows": f"first rows ({FIRST} steps)",
        "all": f"all {STEPS} steps",
    }
    missed = any(found[what]["ours"] > found[what]["peer"] * most for what, most in TARGETS.items())
    if kind == "json":
        print(json.dumps(found))
        return int(missed)
    print((__doc__ or "").partition("\n\n")[2].strip() + "\n")
    print(f"Medians of {rounds} rounds, milliseconds; smaller is better.\n")
    print("| what | ours | peer | ratio | target |\n|---|---|---|---|---|")
    for what, said in words.items():
        ours, peer = found[what]["ours"], found[what]["peer"]
        target = f"≤ {TARGETS[what]}" if what in TARGETS else ""
        print(f"| {said} | {ours:.0f} | {peer:.0f} | {ours / peer:.2f} | {target} |")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
