# SPDX-License-Identifier: MPL-2.0
"""Turn the patches that a request names into patches that can be tried; fetched diffs are kept on disk."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import structlog

from shipit.clients.bugzilla import Bugzilla
from shipit.clients.phabricator import Phabricator
from shipit.errors import ShipitError
from shipit.merge.types import Commit, Outcome, Patch, PatchResult, RawDiff, SeriesResult
from shipit.uplift.types import PatchRef, PatchSource

# A request is seldom open for longer; what is wanted again is fetched again.
KEPT = timedelta(days=30)

log = structlog.get_logger()


class Diffs:
    """Raw diffs by name and version, which never change: fetched once, kept below the cache folder."""

    def __init__(self, folder: Path, *, bugzilla: Bugzilla, phabricator: Phabricator | None) -> None:
        self._folder = folder / "diffs"
        self._bugzilla = bugzilla
        self._phabricator = phabricator

    async def read(self, patch: PatchRef) -> bytes | str:
        """The diff, or the reason why it cannot be had."""
        file = (
            self._folder / hashlib.sha256(f"{patch.source}|{patch.name}|{patch.version}".encode()).hexdigest()
        )
        try:
            content = file.read_bytes()
            # Used: not to be pruned for a while.
            os.utime(file)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("diffs.unread", reason=error.strerror)
        else:
            return content
        try:
            diff = await self._fetch(patch)
        except ShipitError as error:
            return error.detail
        if diff is None:
            return f"{patch.name} has no content that we may see"
        try:
            self._keep(file, diff)
        except OSError as error:
            # A full disk costs a call next time, not the trial.
            log.warning("diffs.unkept", reason=error.strerror)
        return diff

    def prune(self, *, unused: timedelta = KEPT) -> int:
        """Remove diffs that nobody read for so long, and half-written ones; how many."""
        before = time.time() - unused.total_seconds()
        gone = 0
        for file in self._folder.glob("*"):
            try:
                if file.stat().st_mtime < before:
                    file.unlink()
                    gone += 1
            except OSError as error:
                log.warning("diffs.unpruned", reason=error.strerror)
        return gone

    async def _fetch(self, patch: PatchRef) -> bytes | None:
        if patch.source is PatchSource.ATTACHMENT:
            return await self._bugzilla.attachment_data(int(patch.version))
        if self._phabricator is None:
            raise ShipitError("no Phabricator is set up to fetch the patch from")
        return await self._phabricator.raw_diff(int(patch.version))

    def _keep(self, file: Path, diff: bytes) -> None:
        # security patches are among them: for this account only
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(diff)
        half.rename(file)


async def to_try(series: Sequence[PatchRef], diffs: Diffs) -> tuple[Patch, ...] | SeriesResult:
    """The patches of a series, or at once the result when one of them cannot be had."""
    patches: list[Patch] = []
    for place, patch in enumerate(series):
        if patch.missing is not None:
            return _stopped(series, place, Outcome.MISSING, patch.missing)
        if patch.source is PatchSource.COMMIT:
            patches.append(Commit(patch.version))
            continue
        diff = await diffs.read(patch)
        if isinstance(diff, str):
            return _stopped(series, place, Outcome.ERROR, diff)
        patches.append(RawDiff(revision=patch.name, diff=diff, base=patch.base))
    return tuple(patches)


def nothing_to_try(reason: str | None) -> SeriesResult:
    """The result of a request that has no patch yet."""
    named = PatchResult("", Outcome.MISSING, reason=reason or "there is no patch to try")
    return SeriesResult(Outcome.MISSING, None, (named,))


def _stopped(series: Sequence[PatchRef], place: int, outcome: Outcome, reason: str) -> SeriesResult:
    results = [
        PatchResult(
            patch.name,
            outcome if at == place else Outcome.SKIPPED,
            reason=reason if at == place else f"{series[place].name} cannot be tried",
        )
        for at, patch in enumerate(series)
    ]
    return SeriesResult(outcome, None, tuple(results))
