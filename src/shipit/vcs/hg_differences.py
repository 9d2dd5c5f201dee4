# SPDX-License-Identifier: MPL-2.0
"""Differences and entries of a Mercurial clone's trees: `shipit.vcs.proving.Trees` of hg."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from shipit.merge.keys import FOLDER, Change, Entry, View, above
from shipit.vcs.hg import HgServer
from shipit.vcs.hg_trees import tree_name

MOST_DIFFERENCES = 20_000
FLAGS = {"100644": "", "100755": "x", "120000": "l"}

Pair = tuple[str, str]


class HgDifferences:
    """What changed between trees of a clone, and what they hold.

    The id of an entry is the version of the file in its history, so the same content may have several: what
    is taken for changed may not be, never the other way round. What a merge made anew has git's hash of it.
    """

    def __init__(self, server: HgServer) -> None:
        self._server = server
        self._changes: dict[Pair, tuple[Change, ...]] = {}

    async def between(self, pairs: Collection[Pair]) -> dict[Pair, tuple[Change, ...]]:
        """The changes from the first to the second tree of each pair. Raises CommandFailed."""
        if len(self._changes) > MOST_DIFFERENCES:
            self._changes.clear()
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._changes and pair[0] != pair[1]]
        if new:
            answers = await self._server.ask("changes", pairs=new)
            for pair, answer in zip(new, answers, strict=True):
                self._changes[pair] = tuple(_change(*row) for row in answer["changes"])
        return {pair: self._changes.get(pair, ()) for pair in pairs}

    async def folders(self, wanted: Mapping[str, Collection[bytes]]) -> dict[str, Collection[bytes]]:
        """Of each tree the folders it has on the way to its wanted paths. Raises CommandFailed."""
        ways = {tree: {folder for path in paths for folder in above(path)} for tree, paths in wanted.items()}
        views = await self.views(ways)
        return {
            tree: {b"", *(path for path, entry in view.items() if entry[0] == FOLDER)}
            for tree, view in views.items()
        }

    async def views(self, wanted: Mapping[str, Collection[bytes]]) -> dict[str, View]:
        """Of each tree what is at its wanted paths. Raises CommandFailed."""
        asked = {tree: sorted(paths) for tree, paths in wanted.items()}
        rows = [(tree, [path.decode("latin-1") for path in paths]) for tree, paths in asked.items()]
        answers = await self._server.ask("entries", trees=rows)
        return {
            tree: {
                path: entry
                for path, row in zip(asked[tree], answer["entries"], strict=True)
                if (entry := _entry(row)) is not None
            }
            for tree, answer in zip(asked, answers, strict=True)
        }

    async def edited(self, wanted: Sequence[tuple[str, Sequence[Change]]]) -> list[str | None]:
        """The name of each tree with its changes made, which are all upon files it has as they were."""
        return [
            tree_name(
                tree,
                {
                    change.path: None if change.after is None else (FLAGS[change.after[0]], change.after[1])
                    for change in changes
                },
            )
            for tree, changes in wanted
        ]


def _change(path: str, before: list[str] | None, after: list[str] | None) -> Change:
    return Change(path.encode("latin-1"), _entry(before), _entry(after))


def _entry(row: Any) -> Entry | None:
    return None if row is None else (row[0], row[1])
