# SPDX-License-Identifier: MPL-2.0
"""`shipit landing-plan`: the order in which uplifts land, printed or written as a branch or patches."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import click
import msgspec

from shipit.bot.patches import to_try
from shipit.cli.landing_on_hg import simulated
from shipit.cli.landing_simulated import Place, Simulated
from shipit.cli.opening import patch_diffs
from shipit.cli.options import shape_option
from shipit.cli.reading import read_settings
from shipit.clients.http import open_session
from shipit.clients.shipit import Backend
from shipit.errors import InvalidInput, Refused, ShipitError
from shipit.merge.history import Entry
from shipit.merge.landing_order import Blocked
from shipit.merge.left_behind import LeftBehind
from shipit.merge.types import Commit, Patch, RawDiff, SeriesResult
from shipit.settings import Settings
from shipit.uplift.plans import Scope, Waiting, Warned
from shipit.uplift.types import PatchRef

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

    tip: the commit it was made on. reason: why there is no plan of a train. landed: revisions that are on the
    train already.
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
    landed: tuple[str, ...] = ()


class _Asked(msgspec.Struct, frozen=True):
    """A request of a bug, as far as its patches are read."""

    series: tuple[PatchRef, ...] = ()


@click.command("landing-plan")
@click.argument("train_or_revisions", nargs=-1, required=True, metavar="TRAIN | REV...")
@click.option("--pending", is_flag=True, help="Of a TRAIN: land also what waits for a decision.")
@click.option("--repo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--onto", metavar="REF", help="The tip that REV... land on: a branch or a commit.")
@click.option(
    "--main",
    metavar="REF",
    help="Where main is in the clone; by default what holds REV... and is not the train.",
)
@click.option(
    "--diff",
    "diffs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A patch that is not on main yet, as a raw diff; it lands after the revisions, in the order given.",
)
@click.option(
    "--branch",
    "--bookmark",
    "branch",
    metavar="NAME",
    help="Write the plan as this new branch of the clone (Mercurial: as this new bookmark).",
)
@click.option(
    "--patches",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the plan as patches to a folder.",
)
@click.option(
    "--index", type=click.Path(dir_okay=False, path_type=Path), help="File of the index of commits."
)
@shape_option
def landing_plan(
    train_or_revisions: tuple[str, ...],
    pending: bool,
    repo: Path | None,
    onto: str | None,
    main: str | None,
    diffs: tuple[Path, ...],
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
    if diffs and onto is None:
        raise click.UsageError("--diff goes with --repo CLONE --onto REF")
    if onto is None and len(train_or_revisions) != 1:
        raise click.UsageError("give one TRAIN, or --repo CLONE --onto REF and the revisions to land")
    if onto is None:
        scope = Scope.PENDING if pending else Scope.APPROVED
        settings = read_settings()
        answer = asyncio.run(of_train(settings, train_or_revisions[0], scope))
        if repo is not None and is_written:
            place = Place(
                repo=repo,
                onto=answer.tip or "",
                main=answer.tip,
                branch=branch,
                patches=patches,
                index=index,
            )
            written = asyncio.run(_written(settings, answer, place))
            answer = msgspec.structs.replace(answer, written=written)
    else:
        assert repo is not None
        place = Place(
            repo=repo,
            onto=onto,
            main=main,
            branch=branch,
            patches=patches,
            index=index,
        )
        series: list[Patch] = [Commit(name) for name in train_or_revisions]
        series += [RawDiff(diff.name, diff.read_bytes(), None) for diff in diffs]
        answer = _answer(asyncio.run(simulated(place, series)))
    if shape == "json":
        click.echo(msgspec.json.encode(answer))
    else:
        _tell(answer)


@asynccontextmanager
async def backend_of(settings: Settings) -> AsyncIterator[Backend]:
    """The backend that knows trains' plans. Raises InvalidInput where none is set."""
    if settings.backend.url is None:
        raise InvalidInput("SHIPIT_URL", expected="the URL of the backend that knows the train's plan")
    async with open_session(trust_env=True) as session:
        yield Backend(session, settings.backend.url, credentials=settings.taskcluster.credentials)


async def of_train(settings: Settings, train: str, scope: Scope) -> Answer:
    """The plan of a train as the backend knows it. Raises InvalidInput where no backend is set."""
    async with backend_of(settings) as backend:
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


async def _written(settings: Settings, answer: Answer, place: Place) -> str:
    """Write a train's plan to a clone, on the tip that it was made on."""
    if answer.tip is None:
        raise Refused(answer.reason or "there is no plan to write")
    bugs = sorted({step.bug for step in answer.steps if step.bug is not None})
    patches, reason = await _patches(settings, [name for name in answer.order if not _is_commit(name)], bugs)
    series = [Commit(name) if _is_commit(name) else patches.get(name) for name in answer.order]
    made = await simulated(place, [patch for patch in series if patch is not None])
    left = [name for name in answer.order if not _is_commit(name) and name not in patches]
    also = f"; not written, as {reason}: {', '.join(left)}" if left else ""
    return f"{made.written}{also}"


def _is_commit(name: str) -> bool:
    return _COMMIT.fullmatch(name) is not None


async def _patches(
    settings: Settings, names: Sequence[str], bugs: Sequence[int]
) -> tuple[dict[str, Patch], str]:
    """The patches that are not on main yet, by name, and why some are not there."""
    if not names:
        return {}, ""
    found: dict[str, Patch] = {}
    reason = "it is not on main yet and cannot be read"
    try:
        async with patch_diffs(settings) as diffs, backend_of(settings) as backend:
            for bug in bugs:
                for request in msgspec.convert((await backend.bug(bug))["requests"], list[_Asked]):
                    wanted = [patch for patch in request.series if patch.name in names]
                    tried = await to_try(wanted, diffs)
                    if isinstance(tried, SeriesResult):
                        reason = next((one.reason for one in tried.patches if one.reason), reason)
                    else:
                        found |= {patch.revision: patch for patch in tried}
    except ShipitError as error:
        reason = error.detail
    return found, reason


def _answer(made: Simulated) -> Answer:
    steps = [(step.uplift.entries[-1], step.is_empty) for step in made.plan.steps]
    return Answer(
        order=tuple(entry.id for entry, _ in steps),
        conflicts=made.plan.conflicts,
        warnings=tuple(one.text for one in made.plan.warnings),
        left_behind=made.behind,
        steps=tuple(_step(entry, is_empty) for entry, is_empty in steps),
        merges=made.plan.merges,
        written=made.written,
        tip=made.tip,
        landed=tuple(entry.id for entry in made.already),
    )


def _step(entry: Entry, is_empty: bool) -> Step:
    return Step(entry.id, entry.bug or None, entry.subject, is_empty)


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
    for name in answer.landed:
        click.echo(f"{name[:12]}: is on the train already")
    if answer.left_behind:
        click.echo("left behind on main:")
    for behind in answer.left_behind:
        click.echo(f"  {behind.revision[:12]} {behind.subject[:80]}: {behind.why.value} ({behind.of[:12]})")
    if answer.written:
        click.echo(answer.written)
    click.echo(f"{len(answer.steps)} merge cleanly in this order, {answer.merges} merges tried")
