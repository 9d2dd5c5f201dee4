# SPDX-License-Identifier: MPL-2.0
"""`shipit serve`: the web service on an open database, until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys

import click
import structlog

from shipit.clients.http import open_session
from shipit.clients.taskcluster import HawkFailed, HawkNone, HawkSuccess, Taskcluster
from shipit.errors import InvalidInput, Refused
from shipit.settings import Settings, load
from shipit.storage import migrate
from shipit.storage.pool import Limits, open_pool
from shipit.web import serving
from shipit.web.app import DATABASE_WAIT, create_app
from shipit.web.hawk import Authenticator, Verdict

# Where hosting platforms say which commit is deployed.
_COMMIT_VARIABLES = ("SHIPIT_COMMIT", "SOURCE_VERSION", "HEROKU_SLUG_COMMIT")


@click.command()
@click.option("--host", help="Address to listen on (default: the settings').")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on (default: PORT or the settings')."
)
def serve(host: str | None, port: int | None) -> None:
    """The web service: stores and serves. Needs DATABASE_URL, brought up to date by `shipit db upgrade`."""
    settings = load(os.environ)
    url = settings.backend.database_url
    if url is None:
        raise InvalidInput("DATABASE_URL", expected="the URL of a PostgreSQL database")
    configure_logging()
    check_schema(url.reveal(), settings.instance)
    commit = next((os.environ[name] for name in _COMMIT_VARIABLES if os.environ.get(name)), None)
    serving.run(
        _serve(
            settings,
            url.reveal(),
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
        app = create_app(settings, database=database, database_url=url, authenticator=asks, commit=commit)
        await serving.serve(
            app,
            host,
            port,
            handles_signals=True,
            ready=lambda taken: click.echo(f"serving on http://{host}:{taken}"),
        )
