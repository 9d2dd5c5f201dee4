# SPDX-License-Identifier: MPL-2.0
"""The doors a runner of pipelines needs, from the settings."""

from __future__ import annotations

from shipit.cli.credentials import credentials_of
from shipit.clients.balrog import Balrog
from shipit.clients.http import Session
from shipit.clients.steps import StepServices
from shipit.clients.task_groups import TaskGroups
from shipit.settings import Settings
from shipit.steps.contract import Doors
from shipit.steps.hosts import Hosts
from shipit.storage import keys
from shipit.storage.pool import Database
from shipit.storage.vault import Vault


def step_doors(settings: Settings, session: Session, database: Database) -> Doors:
    """What steps may use: other services where allowed, Taskcluster where there is one."""
    hosts = Hosts(settings.steps.allowed_hosts, settings.steps.allow_loopback)
    services = StepServices(
        session,
        hosts.refusal,
        credentials=settings.taskcluster.credentials,
        timeout=settings.steps.timeout,
    )
    url = settings.steps.balrog_url
    vault = Vault([key.reveal() for key in settings.secret_key]) if settings.secret_key else None

    async def key_of(person: str, system: str) -> str | None:
        if vault is None:
            return None
        async with database.connection() as connection:
            found = await keys.opened(connection, vault, person, system)
        return None if found is None or found.refused_why is not None else found.key

    return Doors(
        key_of=key_of,
        database=database,
        services=services,
        task_groups=_task_groups(settings, session),
        balrog=None if url is None else _balrog(settings, session, url),
    )


def _balrog(settings: Settings, session: Session, url: str) -> Balrog:
    token = settings.steps.balrog_token
    revealed = None if token is None else token.reveal()
    return Balrog(session, url, token=revealed, timeout=settings.steps.timeout)


def _task_groups(settings: Settings, session: Session) -> TaskGroups | None:
    root = settings.taskcluster.root_url
    return None if root is None else TaskGroups(session, root, credentials_of(settings))
