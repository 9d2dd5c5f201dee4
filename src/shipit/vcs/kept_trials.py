# SPDX-License-Identifier: MPL-2.0
"""Results of trials that are kept, in memory or in a file between processes."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zlib
from pathlib import Path

import msgspec

from shipit.merge.keys import Change
from shipit.merge.requeue import Reach
from shipit.merge.types import SeriesResult

MOST_SERIES = 20_000
# Tips that a series is remembered on: as many as there are trains, and more.
MOST_TIPS = 8
_FORMAT = 2


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A result on a tip's tree. reach: None when it is proved for that very tree only.

    changes: of each patch that merged, what it and those before it make of the tip's tree.
    """

    tip_tree: str
    result: SeriesResult
    reach: Reach | None = None
    changes: tuple[tuple[Change, ...], ...] = ()


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    format: int
    records: dict[str, list[Record]]


class KeptTrials:
    """Results by what was tried (patches, engine), the last used at the end.

    follows: find out of each result what it hangs on, so that it can be proved on later tips.
    """

    def __init__(self, file: Path | None = None, *, follows: bool = True) -> None:
        """file: kept there between processes; None: while this process lives."""
        self.file = file
        self.follows = follows
        self.proved = 0
        self.tried = 0
        self._records: dict[str, list[Record]] = _load(file) if file is not None else {}

    def of(self, series: str) -> list[Record]:
        """The records of a series, newest first."""
        return self._records.get(series, [])

    def add(self, series: str, record: Record) -> None:
        """Keep a record instead of an older one on the same tree."""
        others = [one for one in self._records.pop(series, []) if one.tip_tree != record.tip_tree]
        self._records[series] = [record, *others][:MOST_TIPS]
        while len(self._records) > MOST_SERIES:
            del self._records[next(iter(self._records))]

    def forget(self, series: str) -> None:
        """Drop what was kept of a series."""
        self._records.pop(series, None)

    def save(self) -> None:
        """Write the file anew, whole or not at all; a disk that does not let us costs only time."""
        if self.file is None:
            return
        body = msgspec.msgpack.encode(_Kept(_FORMAT, self._records))
        name = None
        try:
            handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=f".{self.file.name}.")
            with os.fdopen(handle, "wb") as out:
                out.write(zlib.crc32(body).to_bytes(4, "big") + body)
            Path(name).replace(self.file)
        except OSError:
            with contextlib.suppress(OSError):
                if name is not None:
                    Path(name).unlink()


def _load(file: Path) -> dict[str, list[Record]]:
    """What was kept; nothing where the file is not there, torn or of another make."""
    try:
        raw = file.read_bytes()
        kept = msgspec.msgpack.decode(raw[4:], type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return {}
    is_whole = raw[:4] == zlib.crc32(raw[4:]).to_bytes(4, "big") and kept.format == _FORMAT
    return kept.records if is_whole else {}
