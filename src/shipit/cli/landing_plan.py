# SPDX-License-Identifier: MPL-2.0
"""`shipit landing-plan`: the order in which uplifts land, printed or written as a branch or patches."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import click
import msgspec

from shipit.cli.opening import read_settings
from shipit.cli.prerequisites import refuse_mercurial
from shipit.clients.http import open_session
from shipit.clients.shipit import Backend
from shipit.errors import InvalidInput, Refused
from shipit.merge.history import Entry
from shipit.merge.landing_order import Blocked, Memory, Plan, Uplift, plan
from shipit.merge.left_behind import LeftBehind, carried, left_behind
from shipit.uplift.plans import Scope, Waiting, Warned
from shipit.vcs.ground import GitGround, kept_index
from shipit.vcs.picking import Pick, write_branch, write_patches

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Step(msgspec.Struct, frozen=True):
    """One uplift of the plan, as printed."""

    revision: str
    bug: int | None
    subject: str
    is_empty: bool


class _ToldStep(msgspec.Struct, frozen=True):
    request: str
    bug: int
    summary: str
    revisions: tuple[str, ...]
    is_empty: bool


class _Told(msgspec.Struct, frozen=True):
    """A train's plan as the backend answers it, as far as it is printed."""

    tip: str | None
    reason: str | None
    order: tuple[_ToldStep, ...]
    conflicts: tuple[Waiting, ...]
    warnings: tuple[Warned, ...]
    left_behind: tuple[LeftBehind, ...]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The plan as printed. order: revisions (full ids) in the order to land; steps: the same with words.

    tip: the commit it was made on. reason: why there is no plan of a train.
    """

    order: tuple[str, ...]
    conflicts: tuple[Blocked, ...]
    warnings: tuple[str, ...]
    left_behind: tuple[LeftBehind, ...]
    steps: tuple[Step, ...]
    merges: int
    written: str | None = None
    tip: str | None = None
    reason: str | None = None


@click.command("landing-plan")
@click.argument("train_or_revisions", nargs=-1, required=True, metavar="TRAIN | REV...")
@click.option("--pending", is_flag=True, help="Of a TRAIN: land also what waits for a decision.")
@click.option("--repo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--onto", metavar="REF", help="The tip that REV... land on: a branch or a commit.")
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
    train_or_revisions: tuple[str, ...],
    pending: bool,
    repo: Path | None,
    onto: str | None,
    main: str,
    branch: str | None,
    patches: Path | None,
    index: Path | None,
    shape: str,
) -> None:
    """Say in which order uplifts land, what waits for what, and what is left behind.

    Of a TRAIN the backend at SHIPIT_URL knows the plan; with --repo CLONE --onto REF it is made of REV... on
    that clone. The train itself is never touched: the plan is printed, or written to a clone (--repo) as a
    new branch or as patches.
    """
    if branch is not None and (branch.startswith("-") or ".." in branch):
        raise InvalidInput("--branch", expected="a name of a branch", got=branch)
    is_written = branch is not None or patches is not None
    if repo is None and (onto is not None or is_written):
        raise click.UsageError("--onto, --branch and --patches go with --repo CLONE")
    if repo is not None:
        refuse_mercurial(repo)
    if onto is None and len(train_or_revisions) != 1:
        raise click.UsageError("give one TRAIN, or --repo CLONE --onto REF and the revisions to land")
    if onto is None:
        scope = Scope.PENDING if pending else Scope.APPROVED
        answer = asyncio.run(of_train(train_or_revisions[0], scope))
        if repo is not None and is_written:
            written = asyncio.run(_written(answer, repo, branch=branch, patches=patches, index=index))
            answer = msgspec.structs.replace(answer, written=written)
    else:
        assert repo is not None
        place = index or kept_index(repo)
        answer = asyncio.run(
            _plan(repo, onto, train_or_revisions, main=main, branch=branch, patches=patches, index=place)
        )
    if shape == "json":
        click.echo(msgspec.json.encode(answer))
    else:
        _tell(answer)


async def of_train(train: str, scope: Scope) -> Answer:
    """The plan of a train as the backend knows it. Raises InvalidInput where no backend is set."""
    settings = read_settings()
    if settings.backend.url is None:
        raise InvalidInput("SHIPIT_URL", expected="the URL of the backend that knows the train's plan")
    async with open_session(trust_env=True) as session:
        backend = Backend(session, settings.backend.url, credentials=settings.taskcluster.credentials)
        told = msgspec.convert(await backend.plan(train, scope.value), _Told)
    revision = {one.request: one.revisions[-1] for one in told.conflicts if one.revisions}
    revision |= {one.request: one.revisions[-1] for one in told.order}
    return Answer(
        order=tuple(name for step in told.order for name in step.revisions),
        conflicts=tuple(
            Blocked(
                revision.get(one.request, one.request),
                tuple(revision.get(name, name) for name in one.after),
                one.reason,
                one.lands,
            )
            for one in told.conflicts
        ),
        warnings=tuple(one.text for one in told.warnings),
        left_behind=told.left_behind,
        steps=tuple(Step(one.revisions[-1], one.bug, one.summary, one.is_empty) for one in told.order),
        merges=0,
        tip=told.tip,
        reason=told.reason,
    )


async def _written(
    answer: Answer, repo: Path, *, branch: str | None, patches: Path | None, index: Path | None
) -> str:
    """Write a train's plan to a clone: what has landed on main, on the tip that the plan was made on."""
    if answer.tip is None:
        raise Refused(answer.reason or "there is no plan to write")
    commits = tuple(name for name in answer.order if _COMMIT.fullmatch(name))
    left = [name for name in answer.order if name not in commits]
    made = await _plan(
        repo,
        answer.tip,
        commits,
        main=answer.tip,
        branch=branch,
        patches=patches,
        index=index or kept_index(repo),
    )
    also = f"; not written, as it is not on main yet: {', '.join(left)}" if left else ""
    return f"{made.written}{also}"


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
        return _answer(made, behind, written, tip.id)


def _answer(made: Plan, behind: list[LeftBehind], written: str | None, tip: str) -> Answer:
    steps = [(step.uplift.entries[-1], step.is_empty) for step in made.steps]
    return Answer(
        order=tuple(entry.id for entry, _ in steps),
        conflicts=made.conflicts,
        warnings=tuple(one.text for one in made.warnings),
        left_behind=tuple(behind),
        steps=tuple(_step(entry, is_empty) for entry, is_empty in steps),
        merges=made.merges,
        written=written,
        tip=tip,
    )


def _step(entry: Entry, is_empty: bool) -> Step:
    return Step(entry.id, entry.bug, entry.subject, is_empty)


def _tell(answer: Answer) -> None:
    if answer.reason is not None:
        click.echo(answer.reason)
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
    click.echo(f"{len(answer.steps)} merge cleanly in this order, {answer.merges} merges tried")
