# SPDX-License-Identifier: MPL-2.0
"""The demo's listener: the real one, over the fake world's Phabricator and Taskcluster.

There is no broker on this machine. What one would deliver is handed to the listener's intake, as a broker's
deliveries are; GitHub's webhook is sent to the page, signed, as GitHub does.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import structlog

from shipit.cli.listen import outside_of, plan_of, routes_of
from shipit.clients.http import Door, Session
from shipit.clients.pulse import queue_name
from shipit.errors import Unavailable
from shipit.events.routes import exchanges
from shipit.events.samples import deliveries_of
from shipit.events.signatures import sign
from shipit.listener.book import RouteBook, rest
from shipit.listener.dispatcher import Pace
from shipit.listener.follower import FollowPace
from shipit.listener.listener import Listener
from shipit.settings import Listener as ListenerSettings
from shipit.settings import Secret, Settings
from shipit.settings import Taskcluster as TaskclusterSettings
from shipit.storage import sources
from shipit.storage.pool import Database
from shipit.world import happenings
from shipit.world.happenings import GROUP, PRODUCT_URL, QUEUE, SCHEDULER, Happened, Happenings
from shipit.world.world import World

log = structlog.get_logger(__name__)

CLIENT = "project/shipit/demo/listener"
SCOPES = (
    f"hooks:trigger-hook:{GROUP}/*",
    "queue:list-task-group:*",
    "queue:status:*",
    "queue:get-task:*",
    "queue:cancel-task:*",
    "notify:email:*",
)
RESOLVED = QUEUE + "task-group-resolved"
PAGE = f"https://github.com/{happenings.MIRROR}"
ROUTES: tuple[Mapping[str, Any], ...] = (
    {
        "name": "code-coverage",
        "sink": {"kind": "hook", "hook": f"{GROUP}/{happenings.COVERAGE}"},
        "match": {
            "exchange": RESOLVED,
            "keys": [f"primary.*.{SCHEDULER}.#"],
            "task_names": ["build-linux64-ccov*", "build-win64-ccov*"],
            "repositories": [PRODUCT_URL],
        },
        "payload": {"REPOSITORY": "${repository}", "REVISION": "${revision}"},
    },
    {
        "name": "static-analysis",
        "source": "phabricator",
        "sink": {"kind": "hook", "hook": f"{GROUP}/{happenings.ANALYSIS}"},
        "match": {"repositories": ["firefox-main"]},
        "payload": {"ANALYSIS_SOURCE": "phabricator", "ANALYSIS_ID": "${diff}"},
        "supersede": "${revision}",
    },
    {
        "name": "nightly-report",
        "sink": {"kind": "hook", "hook": f"{GROUP}/{happenings.NIGHTLY}"},
        "match": {"exchange": QUEUE + "task-completed", "keys": ["route.product.main.nightly"]},
        "payload": {"TASK": "${task}"},
    },
    {
        "name": "main-pushed",
        "source": "github",
        "mode": "observe",
        "sink": {"kind": "hook", "hook": f"{GROUP}/{happenings.COVERAGE}"},
        "match": {"kind": "git-push", "repositories": [PAGE], "branches": ["main"]},
        "payload": {"REPOSITORY": "${repository}", "REVISION": "${revision}"},
    },
)
_FIRST_SCENES = 8


class Tempo(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between two scenes, at first and later; between two polls; that tasks wait, and run."""

    first: float = 2.0
    later: float = 20.0
    poll: float = 5.0
    pending: float = 4.0
    running: float = 25.0


USUAL = Tempo()


def with_listener(settings: Settings, secret: str, tempo: Tempo = USUAL) -> Settings:
    """The demo's settings with routes, and with the secret of GitHub's webhook."""
    ours = ListenerSettings(
        github_secret=Secret(secret),
        notify=("release-managers@people.example",),
        poll_seconds=tempo.poll,
        sweep_minutes=1.0,
    )
    return msgspec.structs.replace(settings, routes=tuple(ROUTES), listener=ours)


async def run_listener(
    world: World,
    settings: Settings,
    session: Session,
    database: Database,
    stop: asyncio.Event,
    *,
    tempo: Tempo = USUAL,
) -> None:
    """Listen until told to stop, while things happen."""
    token = world.taskcluster.add_client(CLIENT, SCOPES)
    root = TaskclusterSettings(root_url=world.taskcluster.url, client_id=CLIENT, access_token=Secret(token))
    settings = msgspec.structs.replace(settings, taskcluster=root)
    plan = msgspec.structs.replace(
        plan_of(settings, shadow=False, environ={}),
        # nobody tells the end of tasks here, so the queue is asked often
        pace=Pace(first_look=timedelta(seconds=2)),
        follow=FollowPace(idle=1.0, first=timedelta(seconds=2)),
    )
    listener = Listener(database, RouteBook(lambda: routes_of(settings)), outside_of(settings, session), plan)
    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run(stop))
        group.create_task(_live(world, settings, session, database, listener, stop, tempo))


async def _live(
    world: World,
    settings: Settings,
    session: Session,
    database: Database,
    listener: Listener,
    stop: asyncio.Event,
    tempo: Tempo,
) -> None:
    """One thing after another happens: quickly at first, so that there is something to see."""
    pending, running = timedelta(seconds=tempo.pending), timedelta(seconds=tempo.running)
    days, next_at, count = Happenings(world, pending=pending, running=running), 0.0, 0
    clock = asyncio.get_running_loop().time
    github = Door(session, "Ship It", timeout=10, attempts=1)
    while not await rest(stop, min(1.0, tempo.first)):
        days.work()
        if clock() < next_at:
            continue
        happened = days.next()
        count += 1
        next_at = clock() + (tempo.first if count < _FIRST_SCENES else tempo.later)
        try:
            await _told(happened, settings, github, database, listener)
        except Unavailable as error:
            log.warning("the demo's broker is quiet", reason=error.detail)


async def _told(
    happened: Happened, settings: Settings, github: Door, database: Database, listener: Listener
) -> None:
    log.info("happened", what=happened.what)
    heard = {name: exchange for name, (exchange, _) in exchanges(routes_of(settings)).items()}
    for delivered in happened.delivered:
        for route, exchange in heard.items():
            if exchange == delivered["exchange"]:
                # as from the queue that the route would have
                queue = queue_name("demo", settings.instance, route)
                some = [
                    msgspec.structs.replace(one, via=queue) for one in deliveries_of(delivered, happened.what)
                ]
                await listener.intake.take(f"pulse:{route}", some)
    async with database.connection() as connection:
        for route in heard:
            await sources.well(connection, f"pulse:{route}", depth=0)
    if happened.pushed is not None:
        await _push(happened.pushed, settings, github)


async def _push(body: bytes, settings: Settings, github: Door) -> None:
    """Send GitHub's webhook to our own page."""
    secret = settings.listener.github_secret
    assert secret is not None
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": hashlib.sha256(body).hexdigest()[:36],
        "X-Hub-Signature-256": f"sha256={sign(body, secret.reveal())}",
    }
    answer = await github.ask("POST", f"{settings.backend.url}/hooks/github", headers=headers, body=body)
    if answer.status >= 300:
        log.warning("the page refuses the webhook", status=answer.status)
