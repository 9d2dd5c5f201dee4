# SPDX-License-Identifier: MPL-2.0
"""Everything outside that a round speaks to, opened by the cli and handed down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from shipit.bot.calendar import Calendar
from shipit.bot.patches import Diffs
from shipit.clients.bugzilla import Bugzilla
from shipit.clients.http import CallCounter
from shipit.clients.lando import Lando
from shipit.clients.phabricator import Phabricator
from shipit.clients.shipit import Backend
from shipit.settings import Settings
from shipit.vcs.clone import Clone
from shipit.vcs.history import History
from shipit.vcs.opening import Trials

# send(address, subject, text): one mail
Send = Callable[[str, str, str], Awaitable[None]]
Told = Callable[[str], None]


@dataclass(frozen=True)
class Doors:
    """The doors of one bot. now: the clock. told: says to the people at a terminal what goes on.

    clones and histories by repository name. trials: opens an engine on a clone's folder.
    """

    settings: Settings
    backend: Backend
    bugzilla: Bugzilla
    phabricator: Phabricator | None
    lando: Lando | None
    schedule: Calendar
    clones: Mapping[str, Clone]
    histories: Mapping[str, History]
    trials: Callable[[Path], AbstractAsyncContextManager[Trials]]
    send: Send | None
    calls: CallCounter
    cache: Path
    holder: str
    now: Callable[[], datetime]
    told: Told

    @property
    def diffs(self) -> Diffs:
        """Where the raw diffs of patches are read from."""
        return Diffs(self.cache, bugzilla=self.bugzilla, phabricator=self.phabricator)
