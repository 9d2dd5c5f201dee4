# SPDX-License-Identifier: MPL-2.0
"""A Mercurial clone as searches and landing plans see it: merges of trees, commits of heads, a bookmark."""

from __future__ import annotations

import tempfile
from bisect import insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from shipit.errors import CommandFailed, InvalidInput, Refused
from shipit.merge.history import Entry, read_message
from shipit.merge.regions import Change, Span
from shipit.merge.store import Merge, Merged, Unknown
from shipit.vcs.hg_merging import read_answer
from shipit.vcs.hg_store import HgStore, HgTrials
from shipit.vcs.picking import Pick

MOST_COMMITS = 20_000


class Past:
    """What some heads have and others have not, as `shipit.merge.history.History`.

    Lines of changes are not held: the ground reads those that a search comes by.
    """

    def __init__(self) -> None:
        self._at: dict[int, Entry] = {}
        self._by_id: dict[str, Entry] = {}
        self._changes: dict[bytes, list[Change]] = {}

    def add(self, entry: Entry, changes: Iterable[Change]) -> None:
        """Take a commit with what it did."""
        if entry.position in self._at:
            return
        self._at[entry.position] = self._by_id[entry.id] = entry
        for change in changes:
            for path in {change.path, change.old_path}:
                insort(self._changes.setdefault(path, []), change, key=_position)

    def find(self, id_: str) -> Entry | None:
        """The commit with a full id."""
        return self._by_id.get(id_)

    def at(self, position: int) -> Entry:
        """The commit at a position."""
        return self._at[position]

    def changes(self, path: bytes) -> Sequence[Change]:
        """Everything that the commits did to a path (under this or as the old name), oldest first."""
        return self._changes.get(path, ())

    def apart(self, one: Collection[int], other: Collection[int]) -> tuple[set[int], set[int]]:
        """Commits below (and at) the first positions and not the others, and the other way round."""
        mine, yours = self._below(one), self._below(other)
        return mine - yours, yours - mine

    def _below(self, positions: Collection[int]) -> set[int]:
        found: set[int] = set()
        waiting = list(positions)
        while waiting:
            position = waiting.pop()
            if position not in found and position in self._at:
                found.add(position)
                waiting += self._at[position].parents
        return found


def _position(change: Change) -> int:
    return change.position


class HgGround:
    """A Mercurial clone as `shipit.merge.searches.Ground`, only read until `bookmark`.

    Use as an async context manager. Its history holds what `entries` and `follow` were asked for.
    """

    def __init__(self, repo: Path, *, scratch: Path | None = None) -> None:
        self._stack = AsyncExitStack()
        self._scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=scratch)))
        self._trials = HgTrials(repo, scratch=self._scratch)
        self._history = Past()
        self._spans: dict[tuple[int, bytes], tuple[Span, ...] | None] = {}

    async def __aenter__(self) -> HgGround:
        await self._stack.enter_async_context(self._trials)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def store(self) -> HgStore:
        """The clone as trials see it."""
        return self._trials.store

    @property
    def pid(self) -> int | None:
        """The command server, to measure it."""
        return self._trials.servers[0].pid

    @property
    def history(self) -> Past:
        """The commits so far."""
        return self._history

    async def merge(self, merge: Merge) -> Merged:
        """The outcome of a merge of trees."""
        names = (merge.base, merge.ours, merge.theirs)
        try:
            (answer,) = await self._ask("merge", merges=[names], keeps_sides=True)
        except CommandFailed as error:
            return Merged(reason=f"hg could not merge: {error.detail}")
        return read_answer(answer, 0.0)

    async def read(self, names: Sequence[str]) -> list[bytes | None]:
        """Contents of the sides of conflicts by id; None for what cannot be read."""
        found: list[bytes | None] = []
        for name in names:
            kept = next(self._scratch.glob(f"*/blobs/{name}"), None)
            found.append(kept.read_bytes() if kept is not None else None)
        return found

    async def settled(self, merged: Merged, contents: Mapping[bytes, bytes]) -> str | None:
        """None: no preference for the train is tried here."""
        del merged, contents
        return None

    async def spans(self, change: Change) -> Sequence[Span] | None:
        """The differing places of a change; None when it has no lines."""
        key = (change.position, change.path)
        if change.status != "X" and key not in self._spans:
            await self._read_spans(self._history.at(change.position), [change])
        return self._spans.get(key)

    async def weight(self, entries: Sequence[Entry]) -> list[int]:
        """How many lines each commit adds and removes; 0 for what cannot be read."""
        counts = []
        for entry in entries:
            changes = [
                change
                for path in entry.paths
                for change in self._history.changes(path)
                if change.position == entry.position and change.path == path
            ]
            await self._read_spans(entry, changes)
            spans = [span for one in changes for span in self._spans.get((entry.position, one.path)) or ()]
            counts.append(sum((end - start) + (last - first) for start, end, first, last in spans))
        return counts

    async def _read_spans(self, entry: Entry, changes: Sequence[Change]) -> None:
        files = [(change.path.decode("latin-1"), change.old_path.decode("latin-1")) for change in changes]
        try:
            answers = await self._ask("spans", commit=entry.id, files=files)
        except CommandFailed:
            answers = [{"spans": None}] * len(changes)
        for change, answer in zip(changes, answers, strict=True):
            told = answer["spans"]
            known = None if told is None else tuple((a, b, c, d) for a, b, c, d in told)
            self._spans[entry.position, change.path] = known

    async def entries(self, fields: Mapping[str, str]) -> list[Entry]:
        """The commits that revisions name. fields: revision → where it was given. Raises InvalidInput."""
        ids = []
        found = await self.store.look_up(fields)
        for name, field in fields.items():
            known = found[name]
            if isinstance(known, Unknown):
                raise InvalidInput(field, expected=f"a commit of the clone; {name!r} {known.reason}")
            ids.append(known.id)
        await self._follow(names=ids)
        return [entry for id_ in ids if (entry := self._history.find(id_)) is not None]

    async def follow(self, tip: Entry, heads: Iterable[Entry]) -> None:
        """Read what each head has and the tip has not, and the other way round."""
        for head in heads:
            for one, other in ((head, tip), (tip, head)):
                await self._follow(tip=one.id, low=other.id, most=MOST_COMMITS)

    async def _follow(self, **words: object) -> None:
        rows = await self._ask("past", **words)
        for row in sorted(rows, key=lambda row: int(row["rev"])):
            changes = tuple(_changes(row))
            self._history.add(_entry(row, changes), changes)

    async def bookmark(self, tip: Entry, picks: Sequence[Pick], name: str) -> str:
        """Make a new bookmark with the picks upon a tip; answers what was done, in words.

        Raises Refused when there is such a name, CommandFailed when the clone cannot be written. The working
        copy stays as it is, and nothing of the clone's configuration or hooks runs.
        """
        steps = [{"commit": pick.entry.id, "tree": pick.tree} for pick in picks]
        (answer,) = await self._ask("land", parent=tip.id, tree=tip.tree, steps=steps, name=name)
        if "refused" in answer:
            raise Refused(str(answer["refused"]))
        return f"bookmark {name} is at {answer['head']}, {len(picks)} commits above {tip.id[:12]}"

    async def _ask(self, question: str, **words: object) -> list[dict[str, Any]]:
        return await self._trials.servers[0].ask(question, **words)


def _entry(row: Mapping[str, Any], changes: Sequence[Change]) -> Entry:
    message = row["message"]
    said = read_message(message)
    return Entry(
        position=row["rev"],
        id=row["id"],
        tree=row["tree"],
        base=row["base"],
        parents=tuple(row["parent_revs"]),
        is_merge=len(row["parents"]) > 1,
        author=row["author"],
        authored=row["authored"],
        committed=row["authored"],
        subject=message.strip().partition("\n")[0].strip()[:300],
        # a graft records what it was picked from
        said=msgspec.structs.replace(said, picked=(*said.picked, *row["sources"])),
        patch=b"",
        paths=tuple(change.path for change in changes),
        lines=None,
        old_paths=tuple(change.old_path for change in changes if change.old_path != change.path),
    )


def _changes(row: Mapping[str, Any]) -> Iterable[Change]:
    moved = {old for _, _, old in row["files"] if old is not None}
    for path, status, old in row["files"]:
        if status == "D" and path in moved:
            continue
        name = path.encode("latin-1")
        before = name if old is None else old.encode("latin-1")
        kind = "X" if len(row["parents"]) > 1 else status if old is None else "R"
        yield Change(row["rev"], kind, name, before, b"", b"", None)
