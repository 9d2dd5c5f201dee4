# SPDX-License-Identifier: MPL-2.0
"""`shipit prerequisites`: what a conflicting series misses on a train, verified by merging."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click
import msgspec

from shipit.cli.options import shape_option
from shipit.merge.advice import LIGHT, SERIES, Advice, Prerequisite, advise
from shipit.merge.types import Outcome
from shipit.vcs.ground import GitGround, kept_index
from shipit.vcs.hg import is_hg
from shipit.vcs.hg_ground import HgGround


@click.command()
@click.option("--repo", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--onto", required=True, metavar="REF", help="The tip to merge onto: a branch or a commit.")
@click.argument("revisions", nargs=-1, required=True, metavar="REV...")
@click.option(
    "--index",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that keeps the index of commits; by default one in the user's cache folder.",
)
@shape_option
def prerequisites(repo: Path, onto: str, revisions: tuple[str, ...], index: Path | None, shape: str) -> None:
    """Name the commits of main that REV… needs to merge onto a train's tip.

    Every set is verified by merging it, and as small as was found. Where nothing of main is missing, the
    train's own commits in the way are named.
    """
    if is_hg(repo):
        answer = asyncio.run(_ask_hg(repo, onto, revisions))
    else:
        answer = asyncio.run(_ask(repo, onto, revisions, index or kept_index(repo)))
    if shape == "json":
        click.echo(msgspec.json.encode(answer))
    else:
        _tell(answer)


async def _ask(repo: Path, onto: str, revisions: tuple[str, ...], index: Path) -> Advice:
    async with GitGround(repo, index=index) as ground:
        fields = {**dict.fromkeys(revisions, "REV"), onto: "--onto"}
        tip, *series = await ground.entries([onto, *revisions], fields=fields)
        started = time.perf_counter()
        answer = await advise(ground, series, tip)
        return msgspec.structs.replace(answer, ms=round((time.perf_counter() - started) * 1000, 1))


async def _ask_hg(repo: Path, onto: str, revisions: tuple[str, ...]) -> Advice:
    async with HgGround(repo) as ground:
        tip, *series = await ground.entries({onto: "--onto"} | dict.fromkeys(revisions, "REV"))
        started = time.perf_counter()
        await ground.follow(tip, series)
        answer = await advise(ground, series, tip)
        return msgspec.structs.replace(answer, ms=round((time.perf_counter() - started) * 1000, 1))


def _tell(answer: Advice) -> None:
    colour = "green" if answer.verified or answer.outcome is not Outcome.CONFLICT else "red"
    click.secho(answer.outcome.value, fg=colour, nl=False)
    click.echo(f": {answer.reason}")
    count = len(answer.prerequisites)
    if count and count <= LIGHT:
        _list("needs, verified by merging:", answer.prerequisites)
    elif count:
        what = "a series" if count > SERIES else "several"
        _list(
            f"needs {what} of {count} commits ({answer.bugs} bugs), verified by merging:",
            answer.prerequisites,
        )
    if answer.unverified:
        _list("seems to need, but these do not all merge themselves (not verified):", answer.unverified)
    if answer.in_the_way:
        click.echo("in the way on the train:")
        for one in answer.in_the_way:
            click.echo(
                f"  {one.revision[:12]} {one.subject[:90]}\n      {one.how}: {one.path} ({one.author})"
            )
    for proposal in answer.keep_both:
        click.echo(f"keeping both sides would change {proposal.path} so (a proposal, nothing landed):")
        click.echo(proposal.diff, nl=False)
    click.echo(f"{answer.merges} merges, {answer.ms:g} ms")


def _list(title: str, needed: tuple[Prerequisite, ...]) -> None:
    click.echo(title)
    for one in needed:
        weight = f"{one.lines} lines, {one.files} files beyond the patch's own"
        click.echo(f"  {one.revision[:12]} {one.subject[:90]} ({weight})")
