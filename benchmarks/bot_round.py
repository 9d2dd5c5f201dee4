# SPDX-License-Identifier: MPL-2.0
"""HTTP calls and seconds of a bot's round, cold and unchanged, beside what the original asked for.

The round is real: the real clients over HTTP against the fake world, a real clone and engine, the real
backend on PostgreSQL, all on this machine in one process. The original cannot run today, so
its calls are counted from what it did for each bug in each round: four calls to Bugzilla (bug, comments,
history, attachments), one to hg.mozilla.org for each patch, one report to the backend and one question about
earlier merges, and for each patch and train one more report when it tried it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import structlog

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from fixtures_bot import Scene, staged  # noqa: E402
from fixtures_postgres import INSTANCE, Database  # noqa: E402
from shipit.bot.rounds import RoundResult  # noqa: E402
from shipit.storage import embedded, migrate  # noqa: E402

TRAINS = ("beta", "release", "esr128", "esr140")
PER_BUG = 4 + 1 + 1
PER_PATCH = 1


def original(bugs: int, *, trains: int, patches: int, is_cold: bool) -> int:
    """Calls of the original's round: it analysed every bug again each time."""
    tried = patches * trains if is_cold else 0
    return bugs * (PER_BUG + PER_PATCH * patches + tried)


async def measured(bugs: int, folder: Path, database: Database) -> list[tuple[str, RoundResult, float, bool]]:
    """(what, result, seconds, whether cold) of each round."""
    async with staged(database, folder, files=bugs) as scene:
        for number in range(bugs):
            scene.ask(*TRAINS, on="beta" if number % 10 == 0 else None)
        found = [await timed(scene, "cold: everything is new", is_cold=True)]
        found.append(await timed(scene, "unchanged", is_cold=False))
        scene.product.move("beta")
        found.append(await timed(scene, "one branch moved", is_cold=False))
        scene.decide(2000, "beta", "+")
        found.append(await timed(scene, "one bug changed", is_cold=False))
    return found


async def timed(scene: Scene, what: str, *, is_cold: bool) -> tuple[str, RoundResult, float, bool]:
    began = time.perf_counter()
    result = await scene.round()
    if result.errors:
        raise SystemExit(f"{what}: {result.errors[0].reason}")
    return what, result, time.perf_counter() - began, is_cold


def table(rows: list[tuple[str, RoundResult, float, bool]], bugs: int) -> str:
    """The section."""
    lines = [
        f"A round of {bugs} bugs × {len(TRAINS)} trains. Bugzilla + backend: what the limit of 10 calls is",
        "about. The original: counted from what it did for each bug of each round (see the module), one",
        "patch each.",
        "",
        "| round | trials | all HTTP calls | Bugzilla + backend | the original's calls | ratio | seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for what, result, seconds, is_cold in rows:
        both = result.calls.get("Bugzilla", 0) + result.calls.get("Ship It", 0)
        theirs = original(bugs, trains=len(TRAINS), patches=1, is_cold=is_cold)
        lines.append(
            f"| {what} | {result.trials} | {result.http_calls} | {both} | {theirs} "
            f"| {theirs / result.http_calls:.0f}× fewer | {seconds:.1f} |"
        )
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Measure and print; exit code 1 when an unchanged round asks more than ten times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bugs", type=int, default=100)
    options = parser.parse_args(words)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with embedded.run(folder / "postgresql", embedded.Options(durable=False)) as url:
            migrate.upgrade(url, instance=INSTANCE)
            rows = asyncio.run(measured(options.bugs, folder, Database(url)))
    print(table(rows, options.bugs))
    unchanged = rows[1][1].calls
    return int(unchanged.get("Bugzilla", 0) + unchanged.get("Ship It", 0) > 10)


if __name__ == "__main__":
    sys.exit(main())
