# SPDX-License-Identifier: MPL-2.0
"""The one command `shipit`: a subcommand per verb, each a function in a module of its name.

Modules of subcommands are imported when called: `shipit merge-test` does not wait for a web framework.
"""

from __future__ import annotations

import importlib
import sys

import click

from shipit.errors import ShipitError

# subcommand -> (module, object, one line of help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("shipit.cli.demo", "demo", "Everything on one machine, with invented data."),
    "serve": ("shipit.cli.serve", "serve", "The web service: stores and serves."),
    "run": ("shipit.cli.run", "run", "The runner: moves pipelines, writes decisions, raises alarms."),
    "bot": ("shipit.cli.bot", "bot", "The uplift bot."),
    "merge-test": ("shipit.cli.merge_test", "merge_test", "One merge trial of a series."),
    "backtest": ("shipit.cli.backtest", "backtest", "Replay recorded uplifts and compare."),
    "prerequisites": (
        "shipit.cli.prerequisites",
        "prerequisites",
        "What a conflicting series misses on a train, verified by merging.",
    ),
    "landing-plan": ("shipit.cli.landing_plan", "landing_plan", "The order in which uplifts land."),
    "explain": ("shipit.cli.explain", "explain", "Why the requests of a bug stand as they do."),
    "decide": ("shipit.cli.decide", "decide", "Decide about requests, as on the board."),
    "decisions": ("shipit.cli.decide", "decisions", "Decisions made: read, take back, resume."),
    "keys": ("shipit.cli.keys", "keys", "Your keys for Bugzilla, Phabricator and Balrog."),
    "check": ("shipit.cli.check", "check", "Check settings and reachability, all problems at once."),
    "listen": ("shipit.cli.listen", "listen", "The listener: hears events and triggers tasks."),
    "events": ("shipit.cli.events", "events", "The listener's journal."),
    "pipeline": ("shipit.cli.pipeline_verbs", "pipeline", "Pipelines: create, show, cancel, retry."),
    "sign": ("shipit.cli.pipeline", "sign", "Sign a signoff."),
    "step": ("shipit.cli.step", "step", "Check any Step service."),
    "hawk": ("shipit.cli.hawk", "hawk", "Sign one request, for use with curl."),
    "db": ("shipit.cli.db", "db", "Migrations; a consistent copy and back."),
}


class _Lazy(click.Group):
    """A group whose subcommands are imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shipit")
def group() -> None:
    """Ship It: uplift requests, test-merged on every train, and releases shipped end to end."""


def main() -> None:
    """Run the command; a refusal ends with 2, an expected misery with 1, a crash with Python's traceback."""
    try:
        group.main(prog_name="shipit", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as refusal:
        refusal.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except ShipitError as misery:
        click.echo(f"shipit: {misery}", err=True)
        sys.exit(1)
