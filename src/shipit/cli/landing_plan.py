# SPDX-License-Identifier: MPL-2.0
"""`shipit landing-plan`: the order in which uplifts land, printed or written as a branch or patches."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import msgspec

from shipit.cli.prerequisites import refuse_mercurial
from shipit.errors import InvalidInput
from shipit.merge.history import Entry
from shipit.merge.landing_order import Blocked, Memory, Plan, Uplift, plan
from shipit.merge.left_behind import LeftBehind, carried, left_behind
from shipit.vcs.ground import GitGround, kept_index
from shipit.vcs.picking import Pick, write_branch, write_patches


class Step(msgspec.Struct, frozen=True):
    """One uplift of the plan, as printed."""

    revision: str
    bug: int | None
    subject: str
    is_empty: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The plan as printed. order: revisions (full ids) in the order to land; steps: the same with words."""

    order: tuple[str, ...]
    conflicts: tuple[Blocked, ...]
    warnings: tuple[str, ...]
    left_behind: tuple[LeftBehind, ...]
    steps: tuple[Step, ...]
    merges: int
    written: str | None = None


@click.command("landing-plan")
@click.argument("revisions", nargs=-1, metavar="REV...")
@click.option("--repo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--onto", metavar="REF", help="The train's tip: a branch or a commit.")
@click.option("--main", metavar="REF", default="HEAD", show_default=True, help="Where main is in the clone.")
@click.option("--branch", metavar="NAME", help="Write the plan as this new branch of the clone.")
@click.option(
    "--patches",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the plan as patches to a folder.",
)
@click.option(
    "--index", type=click.Path(dir_okay=False, path_type=Path), help="File of the index of commits."
)
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
def landing_plan(
    revisions: tuple[str, ...],
    repo: Path | None,
    onto: str | None,
    main: str,
    branch: str | None,
    patches: Path | None,
    index: Path | None,
    shape: str,
) -> None:
    """Say in which order the uplifts REV… land on a tip, what waits for what, and what is left behind.

    The train itself is never touched: the plan is printed, or written as a new branch or as patches.
    """
    if repo is None or onto is None or not revisions:
        raise click.UsageError("without a backend, give --repo, --onto and the revisions to land")
    refuse_mercurial(repo)
    if branch is not None and (branch.startswith("-") or ".." in branch):
        raise InvalidInput("--branch", expected="a name of a branch", got=branch)
    place = index or kept_index(repo)
    answer = asyncio.run(_plan(repo, onto, revisions, main=main, branch=branch, patches=patches, index=place))
    if shape == "json":
        click.echo(msgspec.json.encode(answer))
    else:
        _tell(answer)


async def _plan(
    repo: Path,
    onto: str,
    revisions: tuple[str, ...],
    *,
    main: str,
    branch: str | None,
    patches: Path | None,
    index: Path,
) -> Answer:
    async with GitGround(repo, index=index) as ground:
        tip, head, *entries = await ground.entries([onto, main, *revisions])
        there = ground.history.apart([entry.position for entry in entries], [tip.position])[0]
        wanted = list(dict.fromkeys(entry for entry in entries if entry.position in there))
        made = await plan(Memory(ground), [Uplift(entry.id, (entry,)) for entry in wanted], tip)
        on_train, missing = carried(ground.history, tip.position, head.position)
        landing = {step.uplift.position for step in made.steps}
        behind = left_behind(
            ground.history,
            on_train | landing,
            missing - landing - {entry.position for entry in wanted},
        )
        picks = [
            Pick(entry, step.tree)
            for step in made.steps
            for entry in step.uplift.entries
            if not step.is_empty
        ]
        written = None
        if branch is not None:
            written = await write_branch(ground.shadow, repo, tip.id, picks, branch)
        if patches is not None:
            written = await write_patches(ground.shadow, tip.id, picks, patches)
        return _answer(made, behind, written)


def _answer(made: Plan, behind: list[LeftBehind], written: str | None) -> Answer:
    steps = [(step.uplift.entries[-1], step.is_empty) for step in made.steps]
    return Answer(
        order=tuple(entry.id for entry, _ in steps),
        conflicts=made.conflicts,
        warnings=tuple(one.text for one in made.warnings),
        left_behind=tuple(behind),
        steps=tuple(_step(entry, is_empty) for entry, is_empty in steps),
        merges=made.merges,
        written=written,
    )


def _step(entry: Entry, is_empty: bool) -> Step:
    return Step(entry.id, entry.bug, entry.subject, is_empty)


def _tell(answer: Answer) -> None:
    for number, step in enumerate(answer.steps, start=1):
        mark = " (changes nothing)" if step.is_empty else ""
        click.echo(f"{number:3} {step.revision[:12]} {step.subject[:90]}{mark}")
    for one in answer.conflicts:
        click.secho(f"{one.revision[:12]}", fg="yellow" if one.lands else "red", nl=False)
        click.echo(f": {one.reason}")
    for warning in answer.warnings:
        click.secho(f"warning: {warning}", fg="yellow")
    if answer.left_behind:
        click.echo("left behind on main:")
    for behind in answer.left_behind:
        click.echo(f"  {behind.revision[:12]} {behind.subject[:80]}: {behind.why.value} ({behind.of[:12]})")
    if answer.written:
        click.echo(answer.written)
    click.echo(f"{len(answer.order)} merge cleanly in this order, {answer.merges} merges tried")
