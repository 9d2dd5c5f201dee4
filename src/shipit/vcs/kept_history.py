# SPDX-License-Identifier: MPL-2.0
"""A history's index kept in a file beside the clone, so that the next process reads only what is new."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zlib
from pathlib import Path

import msgspec

_FORMAT = 1


class Kept(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The index of one branch as of `tip`; arrays as their bytes. names: by number; touched: path to
    positions.
    """

    format: int = _FORMAT
    tip: str
    most_commits: int
    is_complete: bool
    hashes: tuple[bytes, ...]
    times: bytes
    authors: bytes
    reviewers: tuple[tuple[int, ...], ...]
    backouts: bytes
    names: tuple[str, ...]
    touched: dict[str, bytes]


def load(file: Path, *, most_commits: int) -> Kept | None:
    """What was kept; None where there is nothing usable: the index is then made anew."""
    try:
        raw = file.read_bytes()
        kept = msgspec.msgpack.decode(raw[4:], type=Kept)
    except (OSError, msgspec.MsgspecError):
        return None
    is_whole = raw[:4] == zlib.crc32(raw[4:]).to_bytes(4, "big")
    return kept if is_whole and kept.format == _FORMAT and kept.most_commits == most_commits else None


def save(file: Path, kept: Kept) -> bool:
    """Keep an index, replacing what was there at once; False where the disk does not let us, which costs
    only time.
    """
    body = msgspec.msgpack.encode(kept)
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "wb") as out:
            out.write(zlib.crc32(body).to_bytes(4, "big") + body)
        Path(name).replace(file)
    except OSError:
        if name is not None:
            with contextlib.suppress(OSError):
                Path(name).unlink()
        return False
    return True
