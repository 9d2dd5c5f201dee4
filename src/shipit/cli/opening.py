# SPDX-License-Identifier: MPL-2.0
"""Everything a bot speaks to, opened from the settings and handed down."""

from __future__ import annotations

import os
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from shipit.bot.calendar import Calendar
from shipit.bot.doors import Doors, Send, Told
from shipit.bot.patches import Diffs
from shipit.cli.credentials import credentials_of
from shipit.clients.bugzilla import Bugzilla
from shipit.clients.http import CallCounter, Clock, Session, open_session, utc_now
from shipit.clients.lando import Lando
from shipit.clients.phabricator import Phabricator
from shipit.clients.schedule import ScheduleClient
from shipit.clients.shipit import Backend
from shipit.clients.taskcluster import Taskcluster
from shipit.errors import InvalidInput
from shipit.settings import Repository, Secret, Settings
from shipit.vcs.clone import Clone
from shipit.vcs.opening import clone_for, history_for, trials_for


@asynccontextmanager
async def bot_doors(settings: Settings, *, told: Told, now: Clock = utc_now) -> AsyncIterator[Doors]:
    """Everything a bot speaks to. Raises InvalidInput for what is not set and cannot be guessed.

    now: the clock by which what is read is dated and trains are where they are.
    """
    if settings.backend.url is None:
        raise InvalidInput("SHIPIT_URL", expected="the URL of the backend to report to")
    if not settings.trains:
        raise InvalidInput("trains", expected="at least one [[trains]] in the file that SHIPIT_CONFIG names")
    calls = CallCounter()
    cache = _private_folder(settings.bot.cache)
    async with open_session(trust_env=True) as session:
        clones = {one.name: clone_of(settings, one, told) for one in settings.repositories}
        workers = settings.bot.workers or os.cpu_count() or 1
        yield Doors(
            settings=settings,
            backend=Backend(
                session, settings.backend.url, credentials=settings.taskcluster.credentials, calls=calls
            ),
            bugzilla=_bugzilla(settings, session, calls, now),
            phabricator=_phabricator(settings, session, calls),
            lando=_lando(settings, session, calls),
            schedule=Calendar(
                ScheduleClient(
                    settings.schedule.provider,
                    settings.schedule.url,
                    session=session,
                    timeout=settings.schedule.timeout,
                    calls=calls,
                    now=now,
                ),
                now,
            ),
            clones=clones,
            histories={
                one.name: history_for(
                    clones[one.name].folder, kind=one.kind, kept=cache / f"{one.name}-history"
                )
                for one in settings.repositories
            },
            trials=partial(trials_for, workers=workers, keeps_in=cache),
            send=sender(settings, session),
            calls=calls,
            cache=cache,
            holder=f"{platform.node()}-{os.getpid()}",
            now=now,
            told=told,
        )


@asynccontextmanager
async def patch_diffs(settings: Settings) -> AsyncIterator[Diffs]:
    """Where diffs of patches that are no commits are read from, as the bot reads them."""
    calls = CallCounter()
    async with open_session(trust_env=True) as session:
        yield Diffs(
            _private_folder(settings.bot.cache),
            bugzilla=_bugzilla(settings, session, calls, utc_now),
            phabricator=_phabricator(settings, session, calls),
        )


def _private_folder(name: str) -> Path:
    """The folder, made when it is lacking: security patches are kept there, for this account only."""
    folder = Path(name)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput("SHIPIT_CACHE", expected="a folder we may make", got=error.strerror) from error
    return folder


def clone_of(settings: Settings, repository: Repository, told: Told | None = None) -> Clone:
    """Where our clone of a repository is, and where it comes from."""
    default = Path(settings.bot.cache) / f"{repository.name}.{repository.kind}"
    return clone_for(
        Path(repository.clone or default),
        repository.url,
        kind=repository.kind,
        main=repository.main,
        timeout=repository.fetch_timeout,
        told=told,
    )


def sender(settings: Settings, session: Session) -> Send | None:
    """How mail is sent: Taskcluster's notify service; None when there is none to ask."""
    root, credentials = settings.taskcluster.root_url, credentials_of(settings)
    if root is None or credentials is None:
        return None
    service = Taskcluster(session, root, credentials)

    async def send(address: str, subject: str, text: str) -> None:
        await service.mail(address, subject, text)

    return send


def _bugzilla(settings: Settings, session: Session, calls: CallCounter, now: Clock) -> Bugzilla:
    return Bugzilla(
        session,
        settings.bugzilla.url,
        _revealed(settings.bugzilla.api_key),
        calls=calls,
        timeout=settings.bugzilla.timeout,
        batch=settings.bugzilla.batch,
        now=now,
    )


def _phabricator(settings: Settings, session: Session, calls: CallCounter) -> Phabricator | None:
    if settings.phabricator.url is None:
        return None
    token = _revealed(settings.phabricator.token)
    return Phabricator(
        session, settings.phabricator.url, token, calls=calls, timeout=settings.phabricator.timeout
    )


def _lando(settings: Settings, session: Session, calls: CallCounter) -> Lando | None:
    if settings.lando.url is None:
        return None
    return Lando(session, settings.lando.url, settings.lando.repository, calls=calls)


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()
