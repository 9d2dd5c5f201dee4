# SPDX-License-Identifier: MPL-2.0
"""`shipit step`: what an author of a Step service needs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from shipit.cli.options import shape_option
from shipit.cli.reading import read_settings
from shipit.clients.http import open_session
from shipit.clients.steps import StepServices
from shipit.errors import InvalidInput
from shipit.steps.conformance import Report
from shipit.steps.conformance import check as check_service


@click.group()
def step() -> None:
    """Step services: anything that speaks the Step API may be a step of a pipeline."""


@step.command()
@click.argument("url")
@click.option(
    "--parameters",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON object: parameters of a step that the service can create (default: {}).",
)
@shape_option
def check(url: str, file: Path | None, shape: str) -> None:
    """Check a service sentence by sentence; ends with 1 when something does not hold.

    URL is what a step's api_url would be. Calls are signed when Taskcluster credentials are set.
    """
    report = asyncio.run(_check(url, _parameters(file)))
    if shape == "json":
        click.echo(msgspec.json.encode(report).decode())
    else:
        for rule in report.holds:
            click.echo(f"holds  {rule}")
        for fault in report.fails:
            click.echo(f"FAILS  {fault.rule}\n       expected {fault.expected}, got {fault.got}")
    sys.exit(1 if report.fails else 0)


async def _check(url: str, parameters: dict[str, Any]) -> Report:
    credentials = read_settings().taskcluster.credentials
    async with open_session() as session:
        # Who types the URL decides where we go.
        services = StepServices(session, lambda _: None, credentials=credentials)
        return await check_service(services, url, parameters)


def _parameters(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInput("parameters", expected=f"a file with a JSON object ({error})") from error
