# SPDX-License-Identifier: MPL-2.0
"""What is on a train of a Mercurial clone already: ancestors, backouts, and twins under another id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from shipit.merge.standing import Backout, Landing, backed_out_by, is_twin
from shipit.vcs.hg import HgServer

MOST_COMMITS = 20_000

Pair = tuple[str, str]


class Ancestry:
    """Answers from one command server; commits that were looked up are remembered as landings."""

    def __init__(self, server: HgServer) -> None:
        self._server = server
        self._rows: dict[str, dict[str, Any]] = {}

    def remember(self, row: dict[str, Any]) -> None:
        """A commit as the extension tells of it."""
        self._rows[row["id"]] = row

    async def ancestors(self, pairs: Collection[Pair]) -> set[Pair]:
        """Those (commit, tip) pairs whose commit is the tip or an ancestor of it. Raises CommandFailed."""
        tips: dict[str, list[str]] = defaultdict(list)
        for commit, tip in sorted(pairs):
            tips[tip].append(commit)
        answers = await self._server.ask("ancestors", tips=tips)
        return {(commit, answer["tip"]) for answer in answers for commit in answer["below"]}

    async def backed_out(self, pairs: Collection[Pair]) -> set[Pair]:
        """Those (commit, tip) pairs, each commit below its tip, that were backed out below the tip."""
        found = set()
        for commit, tip in sorted(pairs):
            row = self._rows[commit]
            above = await self._log(tip, commit, backouts=True)
            if await self._is_backed_out(row, above):
                found.add((commit, tip))
        return found

    async def twins(self, pairs: Collection[Pair]) -> dict[Pair, str]:
        """For each (commit, tip) the id of a standing twin of the commit on the tip, where there is one."""
        found = {}
        for commit, tip in sorted(pairs):
            row = self._rows[commit]
            there = await self._log(tip, commit)
            same = [other for other in there if other["id"] != commit and _is_twin(row, other)]
            same = same or await self._same_patch(commit, tip, there)
            for other in same:
                if not await self._is_backed_out(other, there):
                    found[commit, tip] = str(other["id"])
                    break
        return found

    async def _log(self, tip: str, low: str, *, backouts: bool = False) -> list[dict[str, Any]]:
        return await self._server.ask("log", tip=tip, low=low, backouts=backouts, most=MOST_COMMITS)

    async def _same_patch(
        self, commit: str, tip: str, there: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        answers = await self._server.ask("same_patch", commit=commit, tip=tip)
        same = {answer["id"] for answer in answers} - {commit}
        return [row for row in there if row["id"] in same]

    async def _is_backed_out(self, row: dict[str, Any], later: Sequence[dict[str, Any]]) -> bool:
        # Messages of a converted history name the hashes that commits had before.
        for key in ("id", "alias"):
            if not row[key]:
                continue
            landings = {_landing(other, key).id: other["id"] for other in later}
            verdict = backed_out_by(_landing(row, key), [_landing(other, key) for other in later])
            if verdict.certain is not None:
                return True
            if verdict == Backout():
                continue
            # A backout that only names our bug is ours when it touches all that the commit touched.
            mine = await self._paths(row["id"])
            for other in verdict.possible:
                if mine <= await self._paths(landings[other]):
                    return True
        return False

    async def _paths(self, commit: str) -> set[str]:
        (answer,) = await self._server.ask("paths", commit=commit)
        return set(answer["paths"])


def _landing(row: dict[str, Any], key: str) -> Landing:
    name = row[key] or row["id"]
    return Landing(name, row["author"], row["authored"], row["message"].strip())


def _is_twin(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """As messages tell, or as a graft recorded where it comes from."""
    if one["id"] in other["sources"] or other["id"] in one["sources"]:
        return True
    if set(one["sources"]) & set(other["sources"]):
        return True
    return any(is_twin(_landing(one, key), _landing(other, key)) for key in ("id", "alias") if one[key])
