# SPDX-License-Identifier: MPL-2.0
"""`shipit merge-test`: one trial of a series on a clone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import msgspec

from shipit.cli.options import shape_option
from shipit.errors import InvalidInput
from shipit.merge.hunks import PathHunks
from shipit.merge.series import Request
from shipit.merge.store import Unknown
from shipit.merge.types import Commit, Outcome, Patch, RawDiff, SeriesResult
from shipit.vcs.opening import trials_for

_SHOWN = {
    Outcome.CLEAN: ("✔", "green"),
    Outcome.LANDED: ("✔", "bright_black"),
    Outcome.EMPTY: ("∅", "bright_black"),
    Outcome.CONFLICT: ("✘", "red"),
    Outcome.SKIPPED: ("-", "bright_black"),
    Outcome.MISSING: ("?", "bright_black"),
    Outcome.ERROR: ("!", "yellow"),
}


@click.command("merge-test")
@click.option("--repo", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--onto", required=True, metavar="REF", help="The tip to merge onto: a branch or a commit.")
@click.argument("revisions", nargs=-1, metavar="REV...")
@click.option(
    "--diff",
    "diffs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A patch that has not landed, as a raw diff; tried after the revisions, in the order given.",
)
@click.option("--base", metavar="REV", help="The commit that the diffs were made on.")
@click.option("--hunks", "with_hunks", is_flag=True, help="Show what conflicts, with the three sides.")
@shape_option
def merge_test(
    repo: Path,
    onto: str,
    revisions: tuple[str, ...],
    diffs: tuple[Path, ...],
    base: str | None,
    with_hunks: bool,
    shape: str,
) -> None:
    """Try whether the patches REV… merge onto a train's tip, without touching any working copy.

    Commits are tried in topological order, each upon what the one before left.
    """
    if not revisions and not diffs:
        raise click.UsageError("nothing to try: name a revision or a --diff")
    series: tuple[Patch, ...] = (
        *(Commit(revision) for revision in revisions),
        *(RawDiff(diff.name, diff.read_bytes(), base) for diff in diffs),
    )
    result, hunks = asyncio.run(_try(repo, Request(onto, series), with_hunks=with_hunks))
    if shape == "json":
        said = msgspec.to_builtins(result)
        click.echo(msgspec.json.encode(said | {"hunks": hunks} if with_hunks else said))
    else:
        _tell(result)
        _show(hunks)


async def _try(
    repo: Path, request: Request, *, with_hunks: bool
) -> tuple[SeriesResult, tuple[PathHunks, ...]]:
    async with trials_for(repo) as trials:
        tip = (await trials.store.look_up({request.onto}))[request.onto]
        if isinstance(tip, Unknown) and not tip.is_broken:
            raise InvalidInput("--onto", expected="a branch or commit of the clone", got=request.onto)
        (timed,) = await trials.run_timed([request])
        return timed.result, await trials.hunks_of(timed) if with_hunks else ()


def _tell(result: SeriesResult) -> None:
    for patch in result.patches:
        sign, colour = _SHOWN[patch.outcome]
        click.secho(f"{sign} {patch.outcome.value:9}", fg=colour, nl=False)
        click.echo(f" {patch.revision}{f': {patch.reason}' if patch.reason else ''}")
        for conflict in patch.conflicts:
            click.echo(f"    {conflict.kind.value:14} {conflict.path}")
    click.secho(result.outcome.value, fg=_SHOWN[result.outcome][1], nl=False)
    click.echo(f" {result.tree}" if result.tree else "")


def _show(hunks: tuple[PathHunks, ...]) -> None:
    for one in hunks:
        click.secho(f"\n{one.path} ({one.kind.value}){f': {one.reason}' if one.reason else ''}", bold=True)
        for hunk in one.hunks:
            click.secho(f"@@ line {hunk.line or '?'} of the tip @@", fg="cyan")
            for name, side in (("base", hunk.base), ("ours", hunk.ours), ("theirs", hunk.theirs)):
                click.secho(f"{name}:{' no such file' if side is None else ''}", fg="bright_black")
                click.echo(side or "", nl=False)
