# SPDX-License-Identifier: MPL-2.0
"""`shipit backtest`: replay recorded uplifts on a clone and report agreement and speed."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from shipit.cli.backtest_prerequisites import backtest_prerequisites
from shipit.cli.options import shape_option
from shipit.merge.backtest import Report, Row, Skipped, read_rows, report
from shipit.merge.series import Request
from shipit.merge.store import Known, Unknown
from shipit.merge.types import Commit, Outcome, SeriesResult
from shipit.vcs.opening import Trials, lost_object, trials_for

_OBJECT = re.compile(r"\b(?:[0-9a-f]{40}|[0-9a-f]{64})\b")


@click.command()
@click.option("--repo", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.argument("history", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes at a time."
)
@click.option("--no-cache", is_flag=True, help="Run every trial, also one equal to another.")
@click.option("--prerequisites", is_flag=True, help="Search what the recorded conflicts miss instead.")
@click.option(
    "--index",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --prerequisites: the file that keeps the index of commits.",
)
@shape_option
def backtest(
    repo: Path,
    history: Path,
    workers: int,
    no_cache: bool,
    prerequisites: bool,
    index: Path | None,
    shape: str,
) -> None:
    """Replay the recorded uplifts of HISTORY (JSON lines) on the clone and compare.

    Each row's source commit is merged onto its parent, also when the parent holds it already: that is what
    was recorded. A row counts when it has a recorded result and its objects are in the clone.
    """
    if prerequisites:
        backtest_prerequisites(repo, history, index=index, shape=shape)
        return
    rows = read_rows(history.read_bytes().splitlines())
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("trials", total=len(rows))
        trials = trials_for(
            repo, workers=workers, remembers=not no_cache, progress=lambda count: bar.advance(task, count)
        )
        answer = asyncio.run(_replay(trials, rows, workers=workers))
    if shape == "json":
        click.echo(msgspec.json.encode(answer))
    else:
        _tell(answer)


async def _replay(trials: Trials, rows: Sequence[Row], *, workers: int) -> Report:
    async with trials:
        skipped: list[Skipped] = []
        names = {name for row in rows for name in (row.parent, row.source_commit) if name is not None}
        known = await trials.store.look_up(names)
        chosen: list[tuple[Row, Request]] = []
        for row in rows:
            reason = _uncounted(row, known)
            if reason is None and row.source_commit is not None:
                chosen.append((row, Request(row.parent, (Commit(row.source_commit),), again=True)))
            else:
                skipped.append(_skip(row, reason or "no source commit is recorded"))
        started = time.perf_counter()
        timed = await trials.run_timed([request for _, request in chosen])
        seconds = time.perf_counter() - started
        counted = []
        for (row, _), one in zip(chosen, timed, strict=True):
            if reason := await _unreadable(trials, one.result):
                skipped.append(_skip(row, reason))
            else:
                counted.append((row, one))
    return report(
        [row for row, _ in counted],
        [one.result for _, one in counted],
        skipped=skipped,
        seconds=seconds,
        each=[one.seconds for _, one in counted],
        workers=workers,
    )


def _uncounted(row: Row, known: dict[str, Known | Unknown]) -> str | None:
    """Why a row does not count, None when it does."""
    if row.graft is None or row.graft.result is None:
        return "nothing is recorded of its graft"
    for name in (row.parent, row.source_commit):
        if name is not None and isinstance(found := known[name], Unknown):
            return f"{name} {found.reason}"
    return None


def _skip(row: Row, reason: str) -> Skipped:
    return Skipped(row.branch, row.parent, row.source_commit, reason)


async def _unreadable(trials: Trials, result: SeriesResult) -> str | None:
    """Which object a trial died of, when the clone does not have it."""
    if result.outcome is not Outcome.ERROR:
        return None
    reasons = " ".join(patch.reason or "" for patch in result.patches)
    return await lost_object(trials, reasons)


def _tell(answer: Report) -> None:
    share = f"{100 * answer.agree / answer.total:.1f} %" if answer.total else "nothing to compare"
    click.echo(f"{answer.agree} of {answer.total} agree ({share}), {answer.skipped} skipped")
    click.echo("  " + ", ".join(f"{count} {name}" for name, count in answer.outcomes.items()))
    click.echo(
        f"  {answer.trials_per_second:g} trials/s, {answer.p50_ms:g} ms each (p95 {answer.p95_ms:g} ms),"
        f" {answer.workers} worker{'s' if answer.workers > 1 else ''}"
    )
    for one in answer.disagree:
        click.secho(f"{one.branch} {one.parent[:12]} {one.source_commit[:12]}", fg="red", nl=False)
        click.echo(f": expected {one.expected}, got {one.got}: {one.reason}")
    for reason, count in _grouped(answer.skipped_rows).items():
        click.echo(f"skipped {count}: {reason}")


def _grouped(skipped: Sequence[Skipped]) -> dict[str, int]:
    """Reasons with the ids taken out, counted."""
    counts: dict[str, int] = {}
    for one in skipped:
        reason = _OBJECT.sub("an object", one.reason)
        counts[reason] = counts.get(reason, 0) + 1
    return counts
