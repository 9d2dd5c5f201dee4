# SPDX-License-Identifier: MPL-2.0
"""A Mercurial clone as landing plans see it: merges of trees, commits of two heads, a bookmark to write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from shipit.errors import InvalidInput, Refused
from shipit.merge.history import Entry, read_message
from shipit.merge.regions import Change
from shipit.merge.store import Known, Merge, Merged, Unknown
from shipit.vcs.hg_store import HgStore, HgTrials
from shipit.vcs.picking import Pick

MOST_COMMITS = 20_000


class Past:
    """What either of two heads has and the other has not, as `shipit.merge.history.History`."""

    def __init__(self, rows: Sequence[Entry]) -> None:
        self._at = {entry.position: entry for entry in rows}
        self._by_id = {entry.id: entry for entry in rows}

    def find(self, id_: str) -> Entry | None:
        """The commit with a full id."""
        return self._by_id.get(id_)

    def at(self, position: int) -> Entry:
        """The commit at a position."""
        return self._at[position]

    def changes(self, path: bytes) -> Sequence[Change]:
        """Nothing: lines of a Mercurial history are not kept."""
        del path
        return ()

    def apart(self, one: Collection[int], other: Collection[int]) -> tuple[set[int], set[int]]:
        """Commits below (and at) the first positions and not the others, and the other way round."""
        mine, yours = self._below(one), self._below(other)
        return mine - yours, yours - mine

    def _below(self, positions: Collection[int]) -> set[int]:
        found: set[int] = set()
        waiting = [position for position in positions if position in self._at]
        while waiting:
            position = waiting.pop()
            if position not in found:
                found.add(position)
                waiting += self._at[position].parents
        return found


class HgGround:
    """A Mercurial clone, only read until `bookmark`. Use as an async context manager."""

    def __init__(self, repo: Path, *, scratch: Path | None = None) -> None:
        self._trials = HgTrials(repo, scratch=scratch)
        self._stack = AsyncExitStack()

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

    async def merge(self, merge: Merge) -> Merged:
        """The outcome of a merge of trees."""
        (merged,) = await self.store.merge([merge])
        return merged

    async def entries(self, fields: Mapping[str, str]) -> list[Entry]:
        """The commits that revisions name. fields: revision → where it was given. Raises InvalidInput."""
        known: list[Known] = []
        for name, found in (await self.store.look_up(fields)).items():
            if isinstance(found, Unknown):
                raise InvalidInput(fields[name], expected=f"a commit of the clone; {name!r} {found.reason}")
            known.append(found)
        rows = await self._ask("files", names=[one.id for one in known], merges=True, most=len(known))
        by_id = {one.id: one for one in known}
        return [_entry(row, {}, by_id[row["id"]]) for row in rows]

    async def past(self, tip: Entry, main: Entry, also: Sequence[Entry]) -> Past:
        """What main has and the tip has not, and the other way round, with some commits of main."""
        rows = []
        for one, other in ((main, tip), (tip, main)):
            rows += await self._ask("files", tip=one.id, low=other.id, merges=True, most=MOST_COMMITS)
        places = {row["id"]: row["rev"] for row in rows}
        listed = {row["rev"]: _entry(row, places, None) for row in rows}
        return Past([*({one.position: one for one in (tip, main, *also)} | listed).values()])

    async def bookmark(self, tip: str, tree: str, picks: Sequence[Pick], name: str) -> str:
        """Make a new bookmark with the picks upon a tip (of that tree); answers what was done, in words.

        Raises Refused when there is such a name, CommandFailed when the clone cannot be written. The working
        copy stays as it is, and nothing of the clone's configuration or hooks runs.
        """
        steps = [{"commit": pick.entry.id, "tree": pick.tree} for pick in picks]
        (answer,) = await self._ask("land", parent=tip, tree=tree, steps=steps, name=name)
        if "refused" in answer:
            raise Refused(str(answer["refused"]))
        return f"bookmark {name} is at {answer['head']}, {len(picks)} commits above {tip[:12]}"

    async def _ask(self, question: str, **words: object) -> list[dict[str, Any]]:
        return await self._trials.servers[0].ask(question, **words)


def _entry(row: Mapping[str, Any], places: Mapping[str, int], known: Known | None) -> Entry:
    parents = tuple(places[parent] for parent in row["parents"] if parent in places)
    message = row["message"]
    return Entry(
        position=row["rev"],
        id=row["id"],
        tree=known.tree if known is not None else "",
        base=known.base if known is not None else None,
        parents=parents,
        is_merge=len(row["parents"]) > 1,
        author=row["author"],
        authored=row["authored"],
        committed=row["authored"],
        subject=message.strip().partition("\n")[0].strip()[:300],
        said=read_message(message),
        patch=b"",
        paths=tuple(path.encode("latin-1") for path in row["paths"]),
        lines=None,
    )
