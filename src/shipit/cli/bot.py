# SPDX-License-Identifier: MPL-2.0
"""`shipit bot`: run rounds, or print the Taskcluster hook that does."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator

import click
import msgspec
from rich.console import Console

from shipit.bot.hook import hook_definition
from shipit.bot.rounds import RoundResult, run_round
from shipit.bot.watching import watch as watch_rounds
from shipit.cli.opening import bot_doors
from shipit.cli.options import shape_option, stop_on_signals
from shipit.cli.reading import read_settings
from shipit.cli.serve import configure_logging
from shipit.settings import Settings
from shipit.uplift.round_plan import Task


@click.group()
def bot() -> None:
    """The uplift bot: reads requests, tries patches, reports to the backend at SHIPIT_URL."""


@bot.command()
@click.option("--bug", type=click.IntRange(1), help="Only this bug, whether it changed or not.")
@click.option("--once", is_flag=True, help="One round, then end (this is the default).")
@click.option("--watch", is_flag=True, help="Go on: look often for what changed, with full rounds between.")
@click.option("--dry-run", is_flag=True, help="Print what a round would do; report nothing.")
@shape_option
def run(bug: int | None, once: bool, watch: bool, dry_run: bool, shape: str) -> None:
    """Run a round: exit code 0 when it ended, whatever single bugs said.

    1 when no train's requests could be read, or when the bug that --bug names could not.
    """
    if watch and (once or dry_run or bug):
        raise click.UsageError("--watch goes on by itself: not with --once, --dry-run or --bug")
    settings = read_settings()
    configure_logging()
    if watch:
        asyncio.run(_watch(settings))
        return
    with _progress() as told:
        result = asyncio.run(_once(settings, told, bug, dry_run))
    if shape == "json":
        click.echo(msgspec.json.encode(_contract(result, dry_run)).decode())
    else:
        _tell(result, dry_run)
    if not result.is_ours:
        click.echo(f"nothing done: {result.errors[0].reason}", err=True)
    elif (reason := _failure(result, bug)) is not None:
        click.echo(f"Error: {reason}", err=True)
        sys.exit(1)


@bot.command()
@click.option("--instance", help="Which instance (default: the settings').")
@click.option(
    "--image", default="shipit/bot:latest", show_default=True, help="Docker image that holds shipit."
)
@click.option("--owner", required=True, help="E-mail told when the hook fails.")
def hook(instance: str | None, image: str, owner: str) -> None:
    """Print the Taskcluster hook that runs the bot every 30 minutes."""
    name = instance or read_settings().instance
    definition = hook_definition(instance=name, image=image, owner=owner)
    click.echo(msgspec.json.format(msgspec.json.encode(definition), indent=2).decode())


def _failure(result: RoundResult, bug: int | None) -> str | None:
    """Why a round of ours did not do what it was for; None when it did."""
    unread = next((trouble.reason for trouble in result.unread if trouble.bug == bug), None)
    if bug is not None and unread is not None:
        return f"bug {bug} could not be read: {unread}"
    return None if result.trains_read else "no train's requests could be read"


async def _once(
    settings: Settings, told: Callable[[str], None], bug: int | None, is_dry: bool
) -> RoundResult:
    async with bot_doors(settings, told=told) as doors:
        return await run_round(doors, only=bug, is_dry=is_dry)


async def _watch(settings: Settings) -> None:
    stop = stop_on_signals()
    async with bot_doors(settings, told=lambda text: None) as doors:
        await watch_rounds(doors, stop)


def _contract(result: RoundResult, is_dry: bool) -> dict[str, object]:
    shown: dict[str, object] = {
        "bugs": result.bugs,
        "requests": result.requests,
        "trials": result.trials,
        "skipped_unchanged": result.skipped_unchanged,
        "http_calls": result.http_calls,
        "calls": result.calls,
        "seconds": result.seconds,
        "errors": result.errors,
    }
    return shown | ({"plan": result.plan} if is_dry else {})


def _tell(result: RoundResult, is_dry: bool) -> None:
    if is_dry:
        for step in result.plan:
            click.echo(f"{step.task:5} bug {step.bug} {step.train or '':10} {step.reason}")
        to_read = sum(step.task is Task.READ for step in result.plan)
        to_try = sum(step.task is Task.TRY for step in result.plan)
        done = f"{to_read} bugs to read, {to_try} series of other bugs to try again"
    else:
        done = f"{result.bugs} bugs with {result.requests} requests, {result.trials} trials"
    click.echo(
        f"{done}, {result.skipped_unchanged} bugs unchanged; "
        f"{result.http_calls} calls, {result.seconds:.1f} s"
    )
    for trouble in result.errors:
        click.echo(f"  {f'bug {trouble.bug}' if trouble.bug else 'round'}: {trouble.reason}", err=True)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What goes on, on a terminal; elsewhere the log says it."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    with console.status("starting") as status:
        yield status.update
