# SPDX-License-Identifier: MPL-2.0
"""As whom a PostgreSQL server runs here: it refuses root, and we add no account to please it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from shipit.errors import Unavailable

_PROBE_SECONDS = 20


class Way(StrEnum):
    """How the server gets an identity that it accepts."""

    DIRECT = "direct"
    NAMESPACE = "namespace"
    NOBODY = "nobody"


class Identity(TypedDict, total=False):
    """Keyword arguments of subprocess that change who runs the command."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """uid, gid: whom its files belong to as seen from outside. prefix: words before each command."""

    way: Way
    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    @property
    def identity(self) -> Identity:
        """What to hand to subprocess along with the command."""
        if self.way is not Way.NOBODY:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_run(self, *command: str) -> bool:
        """Whether the command ends well when this account runs it."""
        try:
            done = subprocess.run(
                [*self.prefix, *command],
                cwd="/",
                env=environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_SECONDS,
                check=False,
                **self.identity,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0


def environment() -> dict[str, str]:
    """The little that the server's programs need; nothing of ours, so no secret of ours."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def choose(way: Way | None = None) -> Account:
    """The first way that works here, or the given one; raises Unavailable when none does."""
    wanted = [way] if way else list(Way)
    for each in wanted:
        account = _CANDIDATES[each]()
        if account is not None:
            return account
    raise Unavailable(
        "database",
        "PostgreSQL refuses to run as root, and neither a user namespace nor the account nobody can be used "
        f"here (tried {', '.join(wanted)}); run as another user, or set DATABASE_URL",
    )


def _direct() -> Account | None:
    # initdb looks its user up, so a number without an entry (usual on some container platforms) does not do.
    if os.geteuid() == 0 or not _has_entry(os.geteuid()):
        return None
    return Account(Way.DIRECT, os.geteuid(), os.getegid())


def _namespace() -> Account | None:
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    entry = next(iter(_ordinary_accounts()), None)
    if entry is None:
        return None
    prefix = (unshare, "--user", f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}", "--")
    account = Account(Way.NAMESPACE, os.geteuid(), os.getegid(), prefix)
    return account if account.can_run("/bin/sh", "-c", ":") else None


def _nobody() -> Account | None:
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return None
    account = Account(Way.NOBODY, entry.pw_uid, entry.pw_gid)
    return account if account.can_run("/bin/sh", "-c", ":") else None


_CANDIDATES = {Way.DIRECT: _direct, Way.NAMESPACE: _namespace, Way.NOBODY: _nobody}


def _has_entry(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _ordinary_accounts() -> list[pwd.struct_passwd]:
    """Accounts to be called inside a namespace; nobody last: its number also stands for the unmapped."""
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    return sorted(others, key=lambda entry: (entry.pw_name == "nobody", entry.pw_uid))
