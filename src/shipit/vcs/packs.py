# SPDX-License-Identifier: MPL-2.0
"""Write new objects as one pack: thousands of small objects cost two files and no process."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

Object = tuple[str, bytes]
"""Kind ("commit", "tree", "blob") and content."""

_NUMBER = {"commit": 1, "tree": 2, "blob": 3}


def object_id(kind: str, content: bytes, *, hash_name: str = "sha1") -> str:
    """The id that git gives to an object."""
    make = hashlib.sha1 if hash_name == "sha1" else hashlib.sha256
    return make(b"%s %d\0%s" % (kind.encode(), len(content), content), usedforsecurity=False).hexdigest()


def write_pack(folder: Path, objects: Iterable[Object], *, hash_name: str = "sha1") -> list[str]:
    """Write objects as a pack with its index into `folder` (an `objects/pack`); answer their ids in order.

    Content is stored, not compressed: packs live as long as a batch of trials. Raises OSError on a full disk.
    """
    named = [(object_id(kind, content, hash_name=hash_name), kind, content) for kind, content in objects]
    write_named(folder, {name: (kind, content) for name, kind, content in named}, hash_name=hash_name)
    return [name for name, _, _ in named]


def write_named(folder: Path, objects: Mapping[str, Object], *, hash_name: str = "sha1") -> None:
    """As `write_pack`, of objects whose ids (see `object_id`) are known."""
    chunks: list[bytes] = []
    entries: dict[str, tuple[int, int]] = {}
    at = 12
    for name, (kind, content) in objects.items():
        entry = _header(_NUMBER[kind], len(content)) + _stored(content)
        entries[name] = (zlib.crc32(entry), at)
        chunks.append(entry)
        at += len(entry)
    if not entries:
        return
    pack = b"".join((b"PACK", struct.pack(">II", 2, len(entries)), *chunks))
    checksum = hashlib.new(hash_name, pack, usedforsecurity=False).digest()
    place = folder / f"pack-{checksum.hex()}"
    place.with_suffix(".pack").write_bytes(pack + checksum)
    # git looks for indices: the index appears last and whole.
    draft = place.with_suffix(".tmp")
    draft.write_bytes(_index(entries, checksum, hash_name))
    draft.rename(place.with_suffix(".idx"))


def _stored(content: bytes) -> bytes:
    """As zlib stores without compressing; small content (nearly all of ours) without asking zlib."""
    if not 0 < len(content) < 1 << 16:
        return zlib.compress(content, 0)
    size = len(content)
    return b"".join(
        (
            b"\x78\x01\x01",
            struct.pack("<HH", size, size ^ 0xFFFF),
            content,
            struct.pack(">I", zlib.adler32(content)),
        )
    )


def _header(number: int, size: int) -> bytes:
    if 16 <= size < 2048:
        return bytes((0x80 | (number << 4) | (size & 15), size >> 4))
    first, size = (number << 4) | (size & 15), size >> 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    out.append(first)
    return bytes(out)


def _index(entries: dict[str, tuple[int, int]], checksum: bytes, hash_name: str) -> bytes:
    names = sorted(entries)
    raw = [bytes.fromhex(name) for name in names]
    counts = [0] * 256
    for name in raw:
        counts[name[0]] += 1
    total, fan = 0, []
    for count in counts:
        total += count
        fan.append(total)
    content = b"".join(
        (
            b"\xfftOc" + struct.pack(">I", 2),
            struct.pack(">256I", *fan),
            *raw,
            struct.pack(f">{len(names)}I", *(entries[name][0] for name in names)),
            struct.pack(f">{len(names)}I", *(entries[name][1] for name in names)),
            checksum,
        )
    )
    return content + hashlib.new(hash_name, content, usedforsecurity=False).digest()
