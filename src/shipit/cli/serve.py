# SPDX-License-Identifier: MPL-2.0
"""`shipit serve`: the web service on an open database, until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys

import click
import structlog

from shipit.actions import starting
from shipit.cli.credentials import credentials_of
from shipit.cli.reading import database_url, read_settings
from shipit.cli.writing import whose_of
from shipit.clients.http import Session, open_session
from shipit.clients.login import TaskclusterLogin
from shipit.clients.taskcluster import Client, HawkFailed, HawkNone, HawkSuccess, Taskcluster
from shipit.errors import Refused
from shipit.settings import Settings
from shipit.settings.reading import BadSettings
from shipit.storage import migrate
from shipit.storage.pool import Limits, open_pool
from shipit.web import serving
from shipit.web.app import DATABASE_WAIT, create_app
from shipit.web.hawk import Authenticator, Verdict
from shipit.web.sessions import Granted, LoginService

# Where hosting platforms say which commit is deployed.
_COMMIT_VARIABLES = ("SHIPIT_COMMIT", "SOURCE_VERSION", "HEROKU_SLUG_COMMIT")


@click.command()
@click.option("--host", help="Address to listen on (default: the settings').")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on (default: PORT or the settings')."
)
def serve(host: str | None, port: int | None) -> None:
    """The web service: stores and serves. Needs DATABASE_URL, brought up to date by `shipit db upgrade`."""
    settings = read_settings()
    url = database_url(settings)
    configure_logging()
    check_schema(url, settings.instance)
    if problems := starting.problems(settings.releases):
        raise BadSettings(problems)
    commit = next((os.environ[name] for name in _COMMIT_VARIABLES if os.environ.get(name)), None)
    serving.run(
        _serve(
            settings,
            url,
            host=host or settings.backend.host,
            port=settings.backend.port if port is None else port,
            commit=commit,
        )
    )


def check_schema(url: str, instance: str) -> None:
    """Raise Refused, saying what to do, unless the database is at the revision this code needs."""
    found, needed = migrate.current(url, instance=instance), migrate.head()
    if found == needed:
        return
    if found is not None and found not in migrate.revisions():
        raise Refused(f"the database is at revision {found}, newer than this code, which ends at {needed}")
    raise Refused(
        f"the database is at revision {found or 'nothing'} and this code needs {needed}: "
        "run `shipit db upgrade` first (hosting: the release command)"
    )


def authenticator(taskcluster: Taskcluster) -> Authenticator:
    """Ask this Taskcluster who signed a request, in the web service's words."""

    async def ask(
        *, method: str, resource: str, host: str, port: int, authorization: str, source_ip: str | None
    ) -> Verdict:
        answer = await taskcluster.authenticate_hawk(
            method=method,
            resource=resource,
            host=host,
            port=port,
            authorization=authorization,
            source_ip=source_ip,
        )
        match answer:
            case HawkSuccess():
                return Verdict(
                    status="auth-success",
                    client_id=answer.client_id,
                    scopes=answer.scopes,
                    expires=answer.expires,
                    hash=answer.hash,
                )
            case HawkFailed():
                return Verdict(status="auth-failed", message=answer.message)
            case HawkNone():
                return Verdict(status="no-auth")

    return ask


def login_service(settings: Settings, session: Session) -> LoginService | None:
    """Taskcluster's login of people, in the web service's words; None where none is configured."""
    root, client_id = settings.taskcluster.root_url, settings.login.client_id
    if root is None or client_id is None:
        return None
    taskcluster = Taskcluster(session, root, credentials_of(settings), timeout=8, attempts=2)
    asked = TaskclusterLogin(
        session,
        taskcluster,
        client_id=client_id,
        scopes=settings.login.scopes,
        hours=settings.login.hours,
    )
    return _Login(asked)


class _Login:
    """Taskcluster's login with the web service's types."""

    def __init__(self, asked: TaskclusterLogin) -> None:
        self._asked = asked

    def authorize_url(self, *, redirect_uri: str, state: str, challenge: str) -> str:
        return self._asked.authorize_url(redirect_uri=redirect_uri, state=state, challenge=challenge)

    async def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Granted:
        return _granted(await self._asked.redeem(code, redirect_uri=redirect_uri, verifier=verifier))

    async def granted(self, client_id: str) -> Granted | None:
        client = await self._asked.granted(client_id)
        return None if client is None else _granted(client)


def _granted(client: Client) -> Granted:
    return Granted(client.client_id, client.scopes, client.expires)


def configure_logging() -> None:
    """One JSON object per line on stderr."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


async def _serve(settings: Settings, url: str, *, host: str, port: int, commit: str | None) -> None:
    limits = Limits(connections=settings.backend.database_connections, wait=DATABASE_WAIT)
    async with (
        open_session() as session,
        open_pool(url, instance=settings.instance, limits=limits, application="shipit web") as database,
    ):
        root_url = settings.taskcluster.root_url
        # The question is not signed: the auth service answers anybody.
        asks = authenticator(Taskcluster(session, root_url, timeout=8, attempts=2)) if root_url else None
        app = create_app(
            settings,
            database=database,
            database_url=url,
            authenticator=asks,
            login_service=login_service(settings, session),
            whose=whose_of(settings, session),
            commit=commit,
        )
        await serving.serve(
            app,
            host,
            port,
            handles_signals=True,
            ready=lambda taken: click.echo(f"serving on http://{host}:{taken}"),
        )
