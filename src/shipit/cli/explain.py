# SPDX-License-Identifier: MPL-2.0
"""`shipit explain BUG`: why the requests of a bug stand as they do, in words."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from shipit.cli.opening import read_settings
from shipit.clients.http import open_session
from shipit.clients.shipit import Backend
from shipit.errors import InvalidInput
from shipit.merge.types import Outcome, PatchResult, SeriesResult
from shipit.settings import Settings
from shipit.uplift.standing import Aim, Asked, Standing, standing, tried_of
from shipit.uplift.types import PatchRef, RequestState


class _Trial(msgspec.Struct, frozen=True):
    tip: str
    series_digest: str
    outcome: Outcome
    tree: str | None
    patches: tuple[PatchResult, ...]
    tried_at: datetime
    needs: tuple[int, ...] = ()


class _Request(msgspec.Struct, frozen=True):
    train: str
    state: RequestState
    series: tuple[PatchRef, ...]
    series_digest: str
    series_reason: str | None
    target_major: int | None
    decided_by: str | None
    decided_at: datetime | None
    closed_at: datetime | None
    trial: _Trial | None


class _Train(msgspec.Struct, frozen=True):
    name: str
    major: int | None = None
    tip: str | None = None
    tip_reason: str | None = None
    requests_unavailable_since: datetime | None = None
    requests_unavailable_reason: str | None = None


@click.command()
@click.argument("bug", type=click.IntRange(1))
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
def explain(bug: int, shape: str) -> None:
    """Say how each request of BUG stands and why, as the backend at SHIPIT_URL knows it."""
    settings = read_settings()
    if settings.backend.url is None:
        raise InvalidInput("SHIPIT_URL", expected="the URL of the backend to ask")
    told = asyncio.run(_ask(settings, settings.backend.url, bug))
    if shape == "json":
        click.echo(msgspec.json.encode(told).decode())
        return
    click.echo(f"Bug {bug}: {told['summary']}")
    for request in told["requests"]:
        how = request["standing"]
        click.echo(f"\n{request['train']}, {request['state']}: {how.word}")
        click.echo(f"  {how.sentence}")
        for note in how.notes:
            click.echo(f"  {note}")


async def _ask(settings: Settings, url: str, bug: int) -> dict[str, Any]:
    """What the backend knows of the bug, each request with its standing."""
    async with open_session(trust_env=True) as session:
        backend = Backend(session, url, credentials=settings.taskcluster.credentials)
        told = await backend.bug(bug)
        trains = {one.name: one for one in msgspec.convert(await backend.trains(), tuple[_Train, ...])}
    requests = msgspec.convert(told["requests"], tuple[_Request, ...])
    return {
        "bug": bug,
        "summary": told["summary"],
        "requests": [
            {"train": one.train, "state": one.state, "standing": _stands(one, trains.get(one.train))}
            for one in requests
            if one.closed_at is None
        ],
    }


def _stands(request: _Request, train: _Train | None) -> Standing:
    asked = Asked(
        state=request.state,
        patches=len(request.series),
        series_digest=request.series_digest,
        series_reason=request.series_reason,
        target_major=request.target_major,
        decided_by=request.decided_by,
        decided_at=request.decided_at,
    )
    trial = request.trial
    tried = None
    if trial is not None:
        tried = tried_of(
            SeriesResult(trial.outcome, trial.tree, trial.patches),
            tip=trial.tip,
            series_digest=trial.series_digest,
            tried_at=trial.tried_at,
            needs=trial.needs,
        )
    train = train or _Train(request.train)
    aim = Aim(
        name=train.name,
        tip=train.tip,
        tip_reason=train.tip_reason,
        major=train.major,
        unavailable_since=train.requests_unavailable_since,
        unavailable_reason=train.requests_unavailable_reason,
    )
    return standing(asked, tried, aim, now=datetime.now(UTC))
