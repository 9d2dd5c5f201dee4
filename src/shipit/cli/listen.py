# SPDX-License-Identifier: MPL-2.0
"""`shipit listen`: the listener, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import click

from shipit.cli.options import stop_on_signals
from shipit.cli.reading import database_url, read_settings
from shipit.cli.serve import check_schema, configure_logging
from shipit.clients.differential import Differential
from shipit.clients.hooks import Hooks
from shipit.clients.http import Session, open_session
from shipit.clients.pulse import Address
from shipit.clients.pushes import GithubDeliveries, Pushlog
from shipit.errors import InvalidInput
from shipit.events.originals import all_routes
from shipit.events.routes import Route
from shipit.events.sources import GroupSweep, parse_sources
from shipit.events.sources import Pushlog as PushlogSource
from shipit.listener.book import RouteBook
from shipit.listener.broker import QueueOptions
from shipit.listener.dispatcher import Pace
from shipit.listener.failpoints import Reached, kill_at, never
from shipit.listener.follower import FollowPace
from shipit.listener.listener import Listener, Outside, Plan
from shipit.listener.telling import Recipients, Terms
from shipit.settings import Settings
from shipit.settings.reading import load
from shipit.storage import migrate
from shipit.storage.pool import Limits, open_pool

SHADOW = "_shadow"


@click.command()
@click.option(
    "--shadow",
    is_flag=True,
    help="Beside a listener that acts: own queues and journal; only writes down what it would do.",
)
def listen(shadow: bool) -> None:
    """Hear events, store them, trigger tasks, follow them. Needs DATABASE_URL; any number may run.

    SIGHUP, or a change of the settings file, reads the routes again.
    """
    settings = read_settings()
    url = database_url(settings)
    routes = routes_of(settings, shadow=shadow)
    if not routes and not settings.sources:
        raise InvalidInput("routes", expected="at least one of [[routes]], [[hooks]] or [[sources]]")
    configure_logging()
    instance = settings.instance + (SHADOW if shadow else "")
    if shadow or migrate.current(url, instance=instance) is None:
        migrate.upgrade(url, instance=instance)
    check_schema(url, instance)
    armed = os.environ.get("SHIPIT_FAILPOINT")
    asyncio.run(_listen(settings, url, shadow=shadow, reached=kill_at(armed) if armed else never))


def routes_of(settings: Settings, *, shadow: bool = False) -> tuple[Route, ...]:
    """The routes of the settings. Raises BadRoutes."""
    return all_routes(settings.routes, settings.hooks, observe_only=shadow)


def plan_of(settings: Settings, *, shadow: bool, environ: Mapping[str, str] = os.environ) -> Plan:
    """How a listener with these settings runs."""
    ours = settings.listener
    has_port = ours.port or environ.get("SHIPIT_LISTENER_PORT")
    return Plan(
        instance=settings.instance + (SHADOW if shadow else ""),
        acts=not shadow,
        poll_seconds=ours.poll_seconds,
        sweep_seconds=ours.sweep_minutes * 60,
        quiet=settings.pulse.quiet_minutes * 60,
        host=ours.host,
        port=int(has_port) if has_port else None,
        pace=Pace(lease=timedelta(seconds=ours.lease_seconds), deadline=timedelta(hours=ours.deadline_hours)),
        follow=FollowPace(max_recreations=ours.max_recreations),
        queues=QueueOptions(
            queue_type=settings.pulse.queue_type,
            prefetch=settings.pulse.prefetch,
            warn_depth=settings.pulse.warn_depth,
        ),
        terms=Terms(
            report_every=timedelta(hours=ours.report_hours),
            streak=ours.failure_streak,
            silent=timedelta(minutes=ours.silent_minutes),
            retention=timedelta(days=ours.retention_days),
        ),
        recipients=Recipients(mail=ours.notify, matrix=ours.notify_matrix, slack=ours.notify_slack),
        version=version("shipit"),
    )


def address_of(settings: Settings, *, shadow: bool = False) -> Address | None:
    """How the broker is reached, None when the settings name none. Raises InvalidInput."""
    if settings.pulse.url is None:
        return None
    return Address(
        url=settings.pulse.url.reveal(),
        ca_file=settings.pulse.ca_file,
        heartbeat=settings.pulse.heartbeat,
        name=f"shipit {settings.instance}{SHADOW if shadow else ''}",
    )


def outside_of(settings: Settings, session: Session, *, shadow: bool = False) -> Outside:
    """Whom a listener with these settings speaks to. Raises InvalidInput, BadRoutes."""
    pushlogs: dict[str, Pushlog] = {}
    webhooks: dict[str, GithubDeliveries] = {}
    groups: list[tuple[GroupSweep, Pushlog]] = []
    for source in parse_sources(settings.sources):
        if isinstance(source, PushlogSource):
            pushlogs[source.name] = Pushlog(session, source.url)
        elif isinstance(source, GroupSweep):
            groups.append((source, Pushlog(session, source.url)))
        else:
            if settings.listener.github_token is None:
                raise InvalidInput("listener.github_token", expected="a token, as a source asks GitHub")
            webhooks[source.name] = GithubDeliveries(
                session, source.api, source.repository, source.hook, settings.listener.github_token.reveal()
            )
    taskcluster, phabricator = settings.taskcluster, settings.phabricator
    token = phabricator.token.reveal() if phabricator.token else None
    return Outside(
        address=address_of(settings, shadow=shadow),
        hooks=Hooks(session, taskcluster.root_url, taskcluster.credentials) if taskcluster.root_url else None,
        differential=Differential(session, phabricator.url, token) if phabricator.url else None,
        pushlogs=pushlogs,
        webhooks=webhooks,
        groups=tuple(groups),
    )


async def _listen(settings: Settings, url: str, *, shadow: bool, reached: Reached) -> None:
    stop = stop_on_signals()
    path = os.environ.get("SHIPIT_CONFIG")
    book = RouteBook(
        # routes hold no secrets, and fetching those would hold up everything else
        lambda: routes_of(load(os.environ, fetch_secret=lambda name, key: ""), shadow=shadow),
        path=Path(path) if path else None,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, book.reload)
    plan = plan_of(settings, shadow=shadow)
    limits = Limits(connections=max(settings.backend.database_connections, 6))
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(trust_env=True))
        db = await stack.enter_async_context(
            open_pool(url, instance=plan.instance, limits=limits, application="shipit listen")
        )
        outside = outside_of(settings, session, shadow=shadow)
        await Listener(db, book, outside, plan, reached=reached).run(stop)
