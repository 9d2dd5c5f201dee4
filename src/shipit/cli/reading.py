# SPDX-License-Identifier: MPL-2.0
"""Settings as every subcommand reads them, with the secrets they refer to, and the database they name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from functools import partial

from shipit.clients.http import open_session
from shipit.clients.taskcluster import Credentials, Taskcluster
from shipit.errors import InvalidInput
from shipit.settings import Settings
from shipit.settings.reading import load


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """This process's settings; Taskcluster secrets are fetched with the environment's credentials."""
    environ = os.environ if environ is None else environ
    return load(environ, fetch_secret=partial(_fetch_secret, environ))


def database_url(settings: Settings) -> str:
    """The URL of the database. Raises InvalidInput where the settings name none."""
    if settings.backend.database_url is None:
        raise InvalidInput("DATABASE_URL", expected="the URL of a PostgreSQL database")
    return settings.backend.database_url.reveal()


def _fetch_secret(environ: Mapping[str, str], name: str, key: str) -> str:
    # in a task the proxy signs for us; elsewhere the credentials of the environment do
    root = environ.get("TASKCLUSTER_PROXY_URL") or environ.get("TASKCLUSTER_ROOT_URL")
    if not root:
        raise InvalidInput("TASKCLUSTER_ROOT_URL", expected=f"to be set, since the secret {name} is needed")

    async def fetch() -> str:
        async with open_session() as session:
            secret = await Taskcluster(session, root, _credentials_of(environ)).secret(name)
        if not isinstance(secret.get(key), str):
            raise InvalidInput(f"secret {name}", expected=f"a text {key!r} in it")
        return str(secret[key])

    return asyncio.run(fetch())


def _credentials_of(environ: Mapping[str, str]) -> Credentials | None:
    client, token = environ.get("TASKCLUSTER_CLIENT_ID"), environ.get("TASKCLUSTER_ACCESS_TOKEN")
    return Credentials(client, token, environ.get("TASKCLUSTER_CERTIFICATE")) if client and token else None
