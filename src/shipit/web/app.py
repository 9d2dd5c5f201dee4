# SPDX-License-Identifier: MPL-2.0
"""The web application: everything it needs is handed to it, and importing it does nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

import structlog
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from shipit.actions.my_keys import Whose
from shipit.errors import ShipitError
from shipit.settings import Settings
from shipit.storage import migrate, notify
from shipit.storage.pool import Database
from shipit.storage.vault import Vault
from shipit.web import (
    board,
    board_files,
    board_lists,
    decisions,
    events,
    evidence,
    health,
    hooks_in,
    list_files,
    lists,
    login,
    me,
    my_keys,
    people,
    pipelines,
    plans,
    problems,
    releases,
    reports,
    rollouts,
    schema,
    searching,
    shell,
    signing,
    starting,
    steps,
    stops,
    stream,
    views,
)
from shipit.web.bodies import Bodies
from shipit.web.compat import pipelines as old_pipelines
from shipit.web.compat import routes as compat
from shipit.web.compat import signoffs as old_signoffs
from shipit.web.compat import task_groups as old_task_groups
from shipit.web.guards import LARGEST_BODY, LONGEST_SECONDS, Finish, deadline
from shipit.web.hawk import Authenticator, Gate
from shipit.web.house import House
from shipit.web.live import Changes, Hub
from shipit.web.metrics import Metrics
from shipit.web.sessions import LoginService, Sessions

log = structlog.get_logger(__name__)

HANDLERS: Sequence[HTTPRouteHandler] = (
    *health.HANDLERS,
    *login.HANDLERS,
    *me.HANDLERS,
    *people.HANDLERS,
    *views.HANDLERS,
    *searching.HANDLERS,
    *lists.HANDLERS,
    *evidence.HANDLERS,
    *board.HANDLERS,
    *board_files.HANDLERS,
    *board_lists.HANDLERS,
    *list_files.HANDLERS,
    *decisions.HANDLERS,
    *my_keys.HANDLERS,
    *reports.HANDLERS,
    *stream.HANDLERS,
    *events.HANDLERS,
    *hooks_in.HANDLERS,
    *pipelines.HANDLERS,
    *plans.HANDLERS,
    *steps.HANDLERS,
    *signing.HANDLERS,
    *rollouts.HANDLERS,
    *releases.HANDLERS,
    *starting.HANDLERS,
    *stops.HANDLERS,
    *compat.HANDLERS,
    *old_pipelines.HANDLERS,
    *old_signoffs.HANDLERS,
    *old_task_groups.HANDLERS,
    *schema.HANDLERS,
    *shell.HANDLERS,
)

DATABASE_WAIT = 3.0
"""Seconds a request waits for a database connection: with the database down, people hear so soon."""


def create_app(
    settings: Settings,
    *,
    database: Database,
    database_url: str,
    authenticator: Authenticator | None,
    login_service: LoginService | None = None,
    whose: Whose | None = None,
    is_demo: bool = False,
    commit: str | None = None,
    idle_seconds: float = 15.0,
    longest_seconds: float = LONGEST_SECONDS,
) -> Litestar:
    """The application over an open database.

    database_url: where live changes are listened for, on one connection outside the pool. authenticator: asks
    Taskcluster about a signature; None: no machine can sign. login_service: Taskcluster's login of people;
    None: no person can log in. whose: asks a service whose key that is; None: no keys are taken. is_demo: the
    page says that its data is invented. commit: what is deployed. idle_seconds: silence after which a live
    stream says that it is there. longest_seconds: what one request may take.
    """
    listen: Changes = partial(notify.changes, database_url, instance=database.instance)
    backend = settings.backend
    sessions = None
    if login_service is not None and backend.url is not None:
        sessions = Sessions(database, login_service, backend=backend, limits=settings.login)
    house = House(
        settings=settings,
        database=database,
        gate=Gate(
            authenticator,
            public_url=backend.url,
            restricted_scopes=backend.restricted_scopes,
            sessions=sessions,
        ),
        login=login_service,
        sessions=sessions,
        hub=Hub(database, listen, idle_seconds=idle_seconds),
        bodies=Bodies(),
        metrics=Metrics(),
        revision=migrate.head(),
        is_demo=is_demo,
        commit=commit,
        longest_seconds=longest_seconds,
        vault=None if settings.is_shadow else Vault([key.reveal() for key in settings.secret_key]),
        whose=whose,
    )
    return Litestar(
        HANDLERS,
        state=State({"house": house}),
        exception_handlers={
            ShipitError: problems.of_ours,
            HTTPException: problems.of_framework,
            Exception: problems.of_surprise,
        },
        middleware=[deadline],
        before_send=[Finish(is_https=(backend.url or "").startswith("https:"))],
        request_max_body_size=LARGEST_BODY,
        cors_config=_cors(backend.allowed_origins),
        openapi_config=None,
        logging_config=None,
        lifespan=[_listening],
    )


@contextlib.asynccontextmanager
async def _listening(app: Litestar) -> AsyncIterator[None]:
    house: House = app.state.house
    task = asyncio.create_task(house.hub.run())
    task.add_done_callback(_say_why)
    try:
        yield
    finally:
        house.hub.stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("live updates have stopped", error=type(error).__name__, trail=problems.trail(error))


def _cors(origins: tuple[str, ...]) -> CORSConfig | None:
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "If-Match",
            "If-None-Match",
            "Last-Event-ID",
            "X-Csrf-Token",
        ],
        # The session's cookie goes along only to origins that are named one by one.
        allow_credentials="*" not in origins,
        expose_headers=["ETag"],
        max_age=600,
    )
