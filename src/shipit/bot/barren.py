# SPDX-License-Identifier: MPL-2.0
"""Bugs that searches name and that hold no request of ours: not read again until they change.

A search finds flags on obsolete attachments and flags whose names only contain ours. The backend is not told
of such bugs, so the bot itself remembers them, beside its clones. A lost file costs reading them again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from shipit.trains.types import Train

log = structlog.get_logger()


class _Kept(msgspec.Struct, frozen=True):
    """What the file holds. flags: of the trains that were asked for. bugs: number → last change."""

    flags: str
    bugs: dict[int, datetime]


class Barren:
    """The barren bugs that are known, for the flags of these trains."""

    def __init__(self, folder: Path, trains: Iterable[Train]) -> None:
        self._file = folder / "barren.json"
        said = "\n".join(sorted(train.approval_flag or "" for train in trains))
        self._flags = hashlib.sha256(said.encode()).hexdigest()[:16]
        self._bugs = self._read()

    def holds(self, bug: int, changed: datetime | None) -> bool:
        """Whether this bug, last changed then, was read before and held no request."""
        return changed is not None and self._bugs.get(bug) == changed

    def note(self, bugs: Mapping[int, datetime], *, named: Mapping[int, datetime] | None = None) -> None:
        """Remember these too, and forget those that a whole search (`named`) does not name any more."""
        kept = self._bugs if named is None else {one: at for one, at in self._bugs.items() if one in named}
        kept = {**kept, **bugs}
        if kept == self._bugs:
            return
        self._bugs = kept
        half = self._file.with_suffix(f".{os.getpid()}")
        try:
            # numbers of security bugs are among them: for this account only
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(msgspec.json.encode(_Kept(self._flags, kept)))
            half.rename(self._file)
        except OSError as error:
            log.warning("barren.unkept", reason=error.strerror)

    def _read(self) -> dict[int, datetime]:
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("barren.unread", reason=str(error)[:200])
            return {}
        return dict(kept.bugs) if kept.flags == self._flags else {}
