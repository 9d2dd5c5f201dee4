# SPDX-License-Identifier: MPL-2.0
"""The index of commits that may be missing on a train: path to commits with the lines that each changed.

It is kept in a file that only grows: each look at the clone appends what is new as one block.
"""

from __future__ import annotations

import asyncio
import fcntl
import heapq
import zlib
from array import array
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from shipit.errors import CommandFailed
from shipit.merge.history import Entry, Said, read_message
from shipit.merge.regions import Change, Span
from shipit.vcs.change_stream import Touched, read_touched
from shipit.vcs.shadow import Shadow

MOST_COMMITS = 60_000
_CHUNK = 500
# Commits that are kept together: what is read of them is not read again, whatever comes then.
_BLOCK = 2000
_FORMAT = b"shipit-candidates-2\n"
_FIELDS = "%H%x00%P%x00%T%x00%an <%ae>%x00%at%x00%ct%x00%B"
_LONGEST_MESSAGE = 8192


class _File(msgspec.Struct, frozen=True, array_like=True):
    """One path of one commit; spans as little-endian 32-bit numbers, four each; None when not known."""

    status: str
    path: bytes
    old_path: bytes
    old: bytes
    new: bytes
    spans: bytes | None


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """One commit as kept."""

    id: bytes
    parents: tuple[bytes, ...]
    tree: bytes
    author: str
    authored: int
    committed: int
    subject: str
    said: Said
    patch: bytes
    lines: int | None
    files: tuple[_File, ...]


class _Block(msgspec.Struct, frozen=True, array_like=True):
    """What one look found. tips: where the index then ended."""

    tips: tuple[bytes, ...]
    rows: tuple[_Row, ...]


class Candidates:
    """Commits of main and the trains with what each touched, as `shipit.merge.history.History`."""

    def __init__(self, *, kept: Path | None = None, most_commits: int = MOST_COMMITS) -> None:
        """kept: the file in which the index outlives the process; what is unreadable in it is made anew.

        most_commits: how far back the first look reads.
        """
        self._kept = kept
        self._most = most_commits
        self._following = asyncio.Lock()
        self._is_loaded = kept is None
        self._size = 0
        self._forget()

    def _forget(self) -> None:
        self.tips: set[str] = set()
        self._positions: dict[bytes, int] = {}
        self._rows: list[_Row] = []
        self._parents: list[tuple[int, ...]] = []
        self._touched: dict[bytes, list[tuple[int, int]]] = {}
        self._changes: dict[bytes, list[Change]] = {}
        self._entries: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._rows)

    async def follow(self, shadow: Shadow, tips: Collection[str]) -> int:
        """Read what is new up to the tips (full ids of commits), and say how many commits that was.

        Raises CommandFailed when the history cannot be read. What was read until then, or until the caller
        gave up, stays: the next look goes on behind it.
        """
        async with self._following:
            if not self._is_loaded and self._kept is not None:
                await asyncio.to_thread(self._load, self._kept)
                self._is_loaded = True
            wanted = {tip for tip in tips if bytes.fromhex(tip) not in self._positions}
            if not wanted:
                return 0
            names = await self._new(shadow, wanted)
            for start in range(0, len(names), _BLOCK):
                rows = await self._read(shadow, names[start : start + _BLOCK])
                # parents come first: whatever is no parent so far is an end so far
                below = {parent.hex() for row in rows for parent in row.parents}
                ends = (self.tips | {row.id.hex() for row in rows}) - below
                block = _Block(tuple(bytes.fromhex(end) for end in sorted(ends)), tuple(rows))
                self._add(block)
                if self._kept is not None:
                    await asyncio.to_thread(self._append, self._kept, block)
            return len(names)

    async def _new(self, shadow: Shadow, wanted: Collection[str]) -> list[str]:
        bounds = [f"--max-count={self._most}"] if not self._rows else []
        lines = "".join(f"{tip}\n" for tip in sorted(wanted)) + "".join(f"^{tip}\n" for tip in self.tips)
        answer = await shadow.git(
            "rev-list",
            "--topo-order",
            "--reverse",
            "--ignore-missing",
            *bounds,
            "--stdin",
            stdin=lines.encode(),
        )
        # a commit that the bound had cut off may come again below a new branch
        return [name for name in answer.stdout.decode().split() if bytes.fromhex(name) not in self._positions]

    async def _read(self, shadow: Shadow, names: Sequence[str]) -> list[_Row]:
        rows: list[_Row] = []
        for start in range(0, len(names), _CHUNK):
            chunk = names[start : start + _CHUNK]
            touched = await read_touched(shadow, chunk)
            answer = await shadow.git(
                *("log", "--no-walk=unsorted", "--stdin", "-z", "--encoding=UTF-8", f"--format={_FIELDS}"),
                stdin="\n".join(chunk).encode() + b"\n",
            )
            fields = answer.stdout.split(b"\0")
            for number, name in enumerate(chunk):
                rows.append(_row(name, fields[number * 7 : number * 7 + 7], touched[name]))
        return rows

    def _add(self, block: _Block) -> None:
        for row in block.rows:
            position = len(self._rows)
            self._positions[row.id] = position
            self._rows.append(row)
            known = (self._positions.get(parent) for parent in row.parents)
            self._parents.append(tuple(parent for parent in known if parent is not None))
            for number, file in enumerate(row.files):
                self._touched.setdefault(file.path, []).append((position, number))
                self._changes.pop(file.path, None)
                if file.old_path != file.path:
                    self._touched.setdefault(file.old_path, []).append((position, number))
                    self._changes.pop(file.old_path, None)
        self.tips = {tip.hex() for tip in block.tips}

    def find(self, id_: str) -> Entry | None:
        """The commit with a full id."""
        position = self._positions.get(bytes.fromhex(id_))
        return None if position is None else self.at(position)

    def at(self, position: int) -> Entry:
        """The commit at a position."""
        known = self._entries.get(position)
        if known is None:
            known = self._entries[position] = self._entry(position)
        return known

    def _entry(self, position: int) -> Entry:
        row = self._rows[position]
        return Entry(
            position=position,
            id=row.id.hex(),
            tree=row.tree.hex(),
            base=self._base(row),
            parents=self._parents[position],
            is_merge=len(row.parents) > 1,
            author=row.author,
            authored=row.authored,
            committed=row.committed,
            subject=row.subject,
            said=row.said,
            patch=row.patch,
            paths=tuple(file.path for file in row.files),
            lines=row.lines,
            old_paths=tuple(file.old_path for file in row.files if file.old_path != file.path),
        )

    def _base(self, row: _Row) -> str | None:
        if len(row.parents) != 1:
            return None
        parent = self._positions.get(row.parents[0])
        return None if parent is None else self._rows[parent].tree.hex()

    def changes(self, path: bytes) -> Sequence[Change]:
        """Everything that commits did to a path (under this or as the old name), oldest first."""
        if path not in self._changes:
            self._changes[path] = [
                _change(position, self._rows[position].files[number])
                for position, number in self._touched.get(path, ())
            ]
        return self._changes[path]

    def apart(self, one: Collection[int], other: Collection[int]) -> tuple[set[int], set[int]]:
        """Commits below (and at) the first positions and not the others, and the other way round."""
        sides: dict[int, int] = {}
        for position in one:
            sides[position] = sides.get(position, 0) | 1
        for position in other:
            sides[position] = sides.get(position, 0) | 2
        heap = [-position for position in sides]
        heapq.heapify(heap)
        single = sum(1 for side in sides.values() if side != 3)
        found: tuple[set[int], set[int]] = (set(), set())
        while single:
            position = -heapq.heappop(heap)
            side = sides[position]
            if side != 3:
                single -= 1
                found[side - 1].add(position)
            for parent in self._parents[position]:
                known = sides.get(parent, 0)
                if known == 0:
                    heapq.heappush(heap, -parent)
                    single += side != 3
                elif known != 3 and known | side == 3:
                    single -= 1
                sides[parent] = known | side
        return found

    def everything(self) -> Iterable[Entry]:
        """All commits, oldest first."""
        return (self.at(position) for position in range(len(self._rows)))

    def _load(self, file: Path) -> None:
        try:
            raw = file.read_bytes()
        except OSError:
            return
        if not raw.startswith(_FORMAT):
            return
        at, decoder = len(_FORMAT), msgspec.msgpack.Decoder(_Block)
        while at + 8 <= len(raw):
            size, check = int.from_bytes(raw[at : at + 4], "big"), int.from_bytes(raw[at + 4 : at + 8], "big")
            body = raw[at + 8 : at + 8 + size]
            if len(body) < size or zlib.crc32(body) != check:
                break
            try:
                self._add(decoder.decode(body))
            except msgspec.MsgspecError:
                break
            at += 8 + size
        # whatever follows was not written to its end
        self._size = at

    def _append(self, file: Path, block: _Block) -> None:
        """Keep a block; where the disk does not let us, or another process was faster, only time is lost."""
        body = msgspec.msgpack.encode(block)
        if len(body) >= 1 << 32:
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab+") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                size = handle.seek(0, 2)
                handle.seek(0)
                is_ours = size >= self._size > 0 and handle.read(len(_FORMAT)) == _FORMAT
                if not is_ours and self._size == 0:
                    handle.truncate(0)
                    handle.write(_FORMAT)
                    self._size = len(_FORMAT)
                elif not is_ours:
                    return
                handle.truncate(self._size)
                handle.write(len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body)
                handle.flush()
                self._size += 8 + len(body)
        except OSError:
            return


def _row(name: str, fields: Sequence[bytes], touched: Touched) -> _Row:
    if len(fields) < 7 or fields[0].decode("ascii", "replace") != name:
        raise CommandFailed(("git", "log"), 0, f"expected commit {name} in its answer")
    _, parents, tree, author, authored, committed, message = fields
    words = message[:_LONGEST_MESSAGE].decode("utf-8", "replace")
    return _Row(
        id=bytes.fromhex(name),
        parents=tuple(bytes.fromhex(parent.decode()) for parent in parents.split()),
        tree=bytes.fromhex(tree.decode()),
        author=author.decode("utf-8", "replace")[:200],
        authored=int(authored) if authored.isdigit() else 0,
        committed=int(committed) if committed.isdigit() else 0,
        subject=words.strip().partition("\n")[0].strip()[:300],
        said=read_message(words),
        patch=touched.patch,
        lines=touched.lines,
        files=tuple(
            _File(
                status=file.status,
                path=file.path,
                old_path=file.old_path,
                old=file.old,
                new=file.new,
                spans=None if file.spans is None else _packed(file.spans),
            )
            for file in touched.files
        ),
    )


def _packed(spans: Sequence[Span]) -> bytes:
    return array("I", [number for span in spans for number in span]).tobytes()


def _change(position: int, file: _File) -> Change:
    spans: tuple[Span, ...] | None = None
    if file.spans is not None:
        numbers = array("I", file.spans)
        spans = tuple(
            (numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3])
            for at in range(0, len(numbers), 4)
        )
    return Change(position, file.status, file.path, file.old_path, file.old, file.new, spans)
