# SPDX-License-Identifier: MPL-2.0
"""What it takes to write decisions outside, from the settings."""

from __future__ import annotations

from shipit.actions.my_keys import Account, Whose
from shipit.clients.balrog import Balrog
from shipit.clients.bugzilla_writes import BugzillaWrites
from shipit.clients.http import KeyRefused, Session
from shipit.clients.phabricator_writes import PhabricatorWrites
from shipit.errors import Refused
from shipit.runner.writing import Outside
from shipit.settings import Settings
from shipit.storage.pool import Database
from shipit.storage.vault import Vault


def vault_of(settings: Settings) -> Vault:
    """The secrets that keys are encrypted with. Raises InvalidInput when there are none."""
    return Vault([secret.reveal() for secret in settings.secret_key])


def outside_of(settings: Settings, session: Session, database: Database) -> Outside | None:
    """The doors of a runner of decisions; None in shadow mode."""
    if settings.is_shadow:
        return None
    bugzilla, phabricator = settings.bugzilla, settings.phabricator
    return Outside(
        database=database,
        vault=vault_of(settings),
        bugzilla=BugzillaWrites(session, bugzilla.url),
        phabricator=None if phabricator.url is None else PhabricatorWrites(session, phabricator.url),
        reading_key=None if bugzilla.api_key is None else bugzilla.api_key.reveal(),
        reading_token=None if phabricator.token is None else phabricator.token.reveal(),
    )


def whose_of(settings: Settings, session: Session) -> Whose:
    """Ask Bugzilla, Phabricator or Balrog whose key that is."""
    bugzilla = BugzillaWrites(session, settings.bugzilla.url, timeout=15)
    url = settings.phabricator.url
    phabricator = None if url is None else PhabricatorWrites(session, url, timeout=15)

    updates = settings.steps.balrog_url
    balrog = None if updates is None else Balrog(session, updates, timeout=15)

    async def whose(system: str, key: str) -> Account:
        try:
            if system == "balrog":
                if balrog is None:
                    raise Refused("this installation speaks to no Balrog")
                return Account(await balrog.account(key))
            if system == "bugzilla":
                return Account(await bugzilla.account(key))
            if phabricator is None:
                raise Refused("this installation speaks to no Phabricator")
            return Account(*await phabricator.account(key))
        except KeyRefused as error:
            raise Refused(error.detail) from error

    return whose
