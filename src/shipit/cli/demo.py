# SPDX-License-Identifier: MPL-2.0
"""`shipit demo`: the whole house on one machine, over a fake world with invented data."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from shipit.actions.my_keys import Whose, enter
from shipit.actions.persons import Actor
from shipit.bot.watching import watch
from shipit.cli import demo_releases
from shipit.cli.demo_clients import BOT_CLIENT, BOT_SCOPES, as_runner, shells_of
from shipit.cli.demo_listener import run_listener, with_listener
from shipit.cli.opening import bot_doors
from shipit.cli.options import stop_on_signals
from shipit.cli.serve import authenticator, configure_logging, login_service
from shipit.cli.stepping import step_doors
from shipit.cli.writing import outside_of, whose_of
from shipit.clients.http import open_session
from shipit.clients.taskcluster import Taskcluster
from shipit.runner.decisions import run as run_decisions
from shipit.runner.loop import run as run_runner
from shipit.runner.pipelines import run as run_pipelines
from shipit.runner.writing import Outside
from shipit.settings import (
    Backend,
    Bot,
    Bugzilla,
    Decisions,
    Lando,
    Login,
    Phabricator,
    Repository,
    Schedule,
    Secret,
    Settings,
    Steps,
    TrainRule,
)
from shipit.settings import Taskcluster as TaskclusterSettings
from shipit.storage import embedded, migrate
from shipit.storage.pool import Limits, open_pool
from shipit.uplift.requests import uid_of
from shipit.web.app import DATABASE_WAIT, create_app
from shipit.web.serving import serve
from shipit.world import people
from shipit.world.seed import REPOSITORY, Seeded, seed
from shipit.world.story import RELEASE_MANAGER
from shipit.world.world import World

LOOK_SECONDS = 5.0
LIMITS = Limits(connections=8, wait=DATABASE_WAIT)
MERCURIAL = "firefox-hg"


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port of the page."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Where the demo keeps its database and clones; made anew each time.",
)
@click.option("--shadow", is_flag=True, help="Without the right to write: shadow mode.")
def demo(port: int, folder: Path, shadow: bool) -> None:
    """Run everything on this machine, PostgreSQL and a fake world too. Ctrl-C ends it."""
    configure_logging()
    asyncio.run(_demo(port, folder.absolute(), is_shadow=shadow))


async def _demo(port: int, folder: Path, *, is_shadow: bool = False) -> None:
    stop = stop_on_signals()
    async with _database(folder) as url:
        with _work_folder(folder) as work:
            async with World.open() as world:
                settings = _settings(world, _seeded(world, work), url, port=port or _free_port(), work=work)
                settings = with_listener(settings, secrets.token_urlsafe())
                if is_shadow:
                    settings = msgspec.structs.replace(settings, decisions=Decisions())
                await asyncio.to_thread(_fresh_schema, url, settings)
                at = settings.backend.url or ""
                people.settle(world.taskcluster, backend_url=at)
                shells = shells_of(world, work.parent, at)
                await _all_doors(world, settings, url, shells, stop)


@contextlib.asynccontextmanager
async def _database(folder: Path) -> AsyncIterator[str]:
    """The database that DATABASE_URL names, else one of our own; its lock keeps two demos apart."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    async with embedded.server(folder / "postgresql") as url:
        yield url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """A folder for repository and clones of this run; what a killed run left is cleared away."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("run-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _seeded(world: World, work: Path) -> tuple[Seeded, str]:
    seeded = seed(world, work / "product.git")
    token = world.taskcluster.add_client(BOT_CLIENT, BOT_SCOPES)
    demo_releases.prepare(world)
    return seeded, token


def _fresh_schema(url: str, settings: Settings) -> None:
    """The demo's data is invented anew each time, so what an earlier run stored says nothing."""
    migrate.drop(url, instance=settings.instance)
    migrate.upgrade(url, instance=settings.instance)


def _settings(world: World, seeded: tuple[Seeded, str], url: str, *, port: int, work: Path) -> Settings:
    """The settings a real installation would have, pointed at the fake world."""
    given, token = seeded
    repositories: tuple[Repository, ...] = (Repository(name=REPOSITORY, url=str(given.repository)),)
    older: tuple[TrainRule, ...] = ()
    if given.mercurial is not None:
        # one train lives in Mercurial, as the older ESRs of the real product did
        repositories += (Repository(name=MERCURIAL, kind="hg", url=str(given.mercurial)),)
        older = (_rule("esr140", suffix="_esr", repository=MERCURIAL),)
    return Settings(
        instance="demo",
        backend=Backend(
            url=f"http://127.0.0.1:{port}",
            database_url=Secret(url),
            public_read=True,
            port=port,
        ),
        bugzilla=Bugzilla(url=world.bugzilla.url, api_key=Secret(given.bugzilla_key)),
        phabricator=Phabricator(url=world.phabricator.url, token=Secret(given.phabricator_token)),
        taskcluster=TaskclusterSettings(
            root_url=world.taskcluster.url, client_id=BOT_CLIENT, access_token=Secret(token)
        ),
        login=Login(client_id=people.LOGIN_CLIENT, scopes=people.LOGIN_SCOPES),
        schedule=Schedule(provider="whattrainisitnow", url=world.schedule.url),
        lando=Lando(url=world.lando.url),
        bot=Bot(cache=str(work / "cache"), look_seconds=LOOK_SECONDS),
        repositories=repositories,
        trains=(_rule("beta"), _rule("release"), *older, _rule("esr{major}", suffix="_esr")),
        steps=Steps(
            allow_loopback=True,
            balrog_url=world.balrog.api_url,
            balrog_token=Secret(demo_releases.BALROG_TOKEN),
        ),
        decisions=Decisions(enabled=True),
        releases=demo_releases.KINDS,
        secret_key=(Secret(secrets.token_urlsafe(32)),),
    )


def _rule(name: str, *, suffix: str = "", repository: str = REPOSITORY) -> TrainRule:
    return TrainRule(
        name=name,
        repository=repository,
        branch=name,
        approval_flag=f"approval-mozilla-{name}",
        status_flag=f"cf_status_firefox{suffix}{{major}}",
        tracking_flag=f"cf_tracking_firefox{suffix}{{major}}",
    )


async def _all_doors(
    world: World, settings: Settings, url: str, shells: tuple[Path, Path], stop: asyncio.Event
) -> None:
    """Every door until told to stop; the first that falls takes the demo down with its error."""
    root = settings.taskcluster.root_url
    assert root is not None
    async with (
        open_session() as session,
        open_pool(url, instance=settings.instance, limits=LIMITS, application="shipit demo") as database,
    ):
        app = create_app(
            settings,
            database=database,
            database_url=url,
            authenticator=authenticator(Taskcluster(session, root)),
            login_service=login_service(settings, session),
            whose=whose_of(settings, session),
            is_demo=True,
        )
        listening = asyncio.Event()
        web = serve(app, settings.backend.host, settings.backend.port, ready=lambda _: listening.set())
        async with _running(stop, web):
            await _either(listening, stop)
            if stop.is_set():
                return
            click.echo(f"Ship It runs at {settings.backend.url} (its data is invented; Ctrl-C ends it)")
            click.echo(f"To log in as one of its people: {settings.backend.url}/login")
            shipit = Path(sys.executable).with_name("shipit")
            ask = f"{settings.backend.url}/api/pipelines/"
            manager, engineer = shells
            click.echo("To decide on the command line as the demo's release manager:")
            click.echo(f"  set -a; . {manager}; set +a")
            uid = uid_of(1900101, "beta", ["D250010"])
            click.echo(f"  {shipit} decide approve {uid} --template approve --dry-run")
            click.echo("To ask the API as the demo's release engineer:")
            click.echo(f"  set -a; . {engineer}; set +a")
            click.echo(f'  curl -H "Authorization: $({shipit} hawk GET {ask})" {ask}')
            click.echo("  (or what it may change, with the body in a file of your own:)")
            put = f"{settings.backend.url}/steps/timer/first"
            click.echo(
                f'  curl -X PUT -H "Authorization: $({shipit} hawk PUT {put} --data @body.json)"'
                f" -H 'Content-Type: application/json' --data-binary @body.json {put}"
            )
            outside = outside_of(settings, session, database)
            deciding: list[Coroutine[Any, Any, None]] = []
            if outside is not None:
                await _enter_keys(world, outside, whose_of(settings, session))
                deciding = [run_decisions(outside, stop, database_url=url)]
            async with (
                bot_doors(settings, told=lambda text: None) as doors,
                _running(
                    stop,
                    watch(doors, stop),
                    run_listener(world, settings, session, database, stop),
                    run_runner(settings, database, doors.send, stop),
                    run_pipelines(
                        step_doors(as_runner(settings, world), session, database), stop, database_url=url
                    ),
                    *deciding,
                    demo_releases.tell(world, database, stop),
                    demo_releases.seed(world, database, stop),
                ),
            ):
                await stop.wait()


async def _enter_keys(world: World, outside: Outside, whose: Whose) -> None:
    """The demo's release manager has entered her keys already; another person enters theirs on the page."""
    by = Actor(people.MANAGER.identity, people.MANAGER.identity, people.MANAGER.scopes)
    given = {
        "bugzilla": world.bugzilla.key_for(RELEASE_MANAGER.email),
        "phabricator": world.phabricator.token_for("rosa"),
        "balrog": demo_releases.MANAGER_TOKEN,
    }
    for system, key in given.items():
        await enter(outside.database, outside.vault, whose, by, system, key)


async def _either(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


@contextlib.asynccontextmanager
async def _running(stop: asyncio.Event, *doors: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run doors while the body runs; one that ends early stops everything, and its error is raised."""
    tasks = [asyncio.ensure_future(door) for door in doors]
    for task in tasks:
        task.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, asyncio.CancelledError):
                raise error
