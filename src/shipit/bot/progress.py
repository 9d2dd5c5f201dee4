# SPDX-License-Identifier: MPL-2.0
"""What a round has done so far, and what it tells in the end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog

from shipit.bot.aftermath import Aftermath
from shipit.bot.doors import Doors
from shipit.uplift.mail import Mail
from shipit.uplift.report import Known
from shipit.uplift.round_plan import Step, Task

log = structlog.get_logger()


class Trouble(msgspec.Struct, frozen=True):
    """What went wrong in a round; bug is None for what concerns no single bug."""

    bug: int | None
    reason: str


class RoundResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a round did.

    bugs: with a request now. requests: theirs. trials: run now. skipped_unchanged: bugs not read again.
    plan: what was (or with --dry-run would be) done. is_ours False: another bot holds the lease, and nothing
    (more) was done. is_whole: whether everything asked for could be read. trains_read: trains whose requests
    could be read. unread: bugs that could not be read, each with the reason (among the errors as well).
    """

    bugs: int = 0
    requests: int = 0
    trials: int = 0
    skipped_unchanged: int = 0
    http_calls: int = 0
    calls: dict[str, int] = {}
    seconds: float = 0.0
    errors: tuple[Trouble, ...] = ()
    plan: tuple[Step, ...] = ()
    is_ours: bool = True
    is_whole: bool = True
    trains_read: int = 0
    unread: tuple[Trouble, ...] = ()


class Round:
    """The state of one round while it runs."""

    def __init__(
        self,
        doors: Doors,
        *,
        kind: str,
        only: int | None = None,
        is_dry: bool = False,
        since: datetime | None = None,
        aftermath: Aftermath | None = None,
    ) -> None:
        """aftermath: works beside the rounds; None: what follows the trials belongs to the round."""
        self.doors = doors
        self.aftermath = aftermath
        self.kind = kind
        self.only = only
        self.is_dry = is_dry
        self.since = since
        self.uid = f"{doors.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self.started = doors.now()
        self.clock = time.monotonic()
        self.is_whole = True
        self.calls_before = doors.calls.by_service()
        self.errors: list[Trouble] = []
        self.unread: list[Trouble] = []
        self.trains_read = 0
        self.trials = 0
        self.counted: dict[int, int] = {}
        self.barren: dict[int, datetime] = {}
        # claimed, to be sent once it is known what the conflicts miss
        self.mails: list[tuple[int, Mail]] = []

    def failed(self, bug: int | None, reason: str) -> None:
        """Something went wrong; the round goes on."""
        self.errors.append(Trouble(bug, reason))
        log.warning("round.trouble", round=self.uid, bug=bug, reason=reason)

    def not_read(self, bug: int, reason: str) -> None:
        """A bug could not be read; what the backend knows of it stays."""
        self.is_whole = False
        self.unread.append(Trouble(bug, reason))
        self.failed(bug, reason)

    def result(self, steps: Sequence[Step], known: Known) -> RoundResult:
        """What was done so far."""
        calls = {
            name: count - self.calls_before.get(name, 0)
            for name, count in self.doors.calls.by_service().items()
            if count > self.calls_before.get(name, 0)
        }
        read = {step.bug for step in steps if step.task is Task.READ}
        return RoundResult(
            bugs=sum(1 for count in self.counted.values() if count),
            requests=sum(self.counted.values()),
            trials=self.trials,
            skipped_unchanged=len({bug.bug for bug in known.bugs} - read),
            http_calls=sum(calls.values()),
            calls=calls,
            seconds=round(time.monotonic() - self.clock, 3),
            errors=tuple(self.errors),
            plan=tuple(steps),
            is_whole=self.is_whole,
            trains_read=self.trains_read,
            unread=tuple(self.unread),
        )
