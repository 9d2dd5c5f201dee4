# SPDX-License-Identifier: MPL-2.0
"""Many three-way merges in few command servers, with the conflicts of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from shipit.errors import CommandFailed
from shipit.merge.conflicts import Message, Side, conflicts
from shipit.merge.store import Merge, Merged
from shipit.vcs.hg import Died, HgServer

MOST_KEPT = 50_000
BATCH = 256
TRIES = 2
MOST_LOST = 4
MOST_MEMORY = 260 << 20


class HgMerger:
    """Runs merges on the servers, each server one at a time."""

    def __init__(
        self,
        servers: Sequence[HgServer],
        *,
        remembers: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """remembers: equal merges are run once. progress: told how many merges were just done."""
        self._servers = servers
        self._remembers = remembers
        self._progress = progress
        self._known: dict[Merge, Merged] = {}

    async def merge(self, merges: Sequence[Merge]) -> list[Merged]:
        """The outcome of each merge in order. Never raises for what one merge cannot do."""
        if not self._remembers:
            return await self._run(merges)
        chosen = [merge for merge in dict.fromkeys(merges) if merge not in self._known]
        found = dict(zip(chosen, await self._run(chosen), strict=True))
        answers = [found.get(merge) or self._known[merge] for merge in merges]
        if len(self._known) > MOST_KEPT:
            self._known.clear()
        # Names of trees say what is in them, so an answer stays true; what failed may not fail again.
        self._known |= {merge: merged for merge, merged in found.items() if merged.reason is None}
        return answers

    async def _run(self, merges: Sequence[Merge]) -> list[Merged]:
        size = max(1, -(-len(merges) // len(self._servers)))
        stretches = [merges[start : start + size] for start in range(0, len(merges), size)]
        answers = await asyncio.gather(
            *(self._stretch(server, part) for server, part in zip(self._servers, stretches, strict=False))
        )
        return [merged for part in answers for merged in part]

    async def _stretch(self, server: HgServer, merges: Sequence[Merge]) -> list[Merged]:
        results: list[Merged] = []
        tries = lost = 0
        while len(results) < len(merges):
            before = len(results)
            try:
                await self._ask(server, merges[before : before + BATCH], results)
                tries = lost = 0
            except CommandFailed as error:
                if len(results) > before:
                    tries = lost = 0
                tries += 1
                # One that was killed with its server may do no harm itself: it gets a second server.
                if tries < TRIES:
                    continue
                tries, lost = 0, lost + 1
                reason = "the merge hung or was killed" if isinstance(error, Died) else "hg could not merge"
                # When one after another is lost, it is not the merges: no more servers are spent on them.
                count = len(merges) - len(results) if lost >= MOST_LOST else 1
                results += [Merged(reason=f"{reason}: {error}")] * count
            if server.memory > MOST_MEMORY:
                await server.close()
        return results

    async def _ask(self, server: HgServer, merges: Sequence[Merge], results: list[Merged]) -> None:
        asked = [(merge.base, merge.ours, merge.theirs) for merge in merges]
        started = time.perf_counter()
        async for answer in server.stream("merge", merges=asked):
            now = time.perf_counter()
            results.append(read_answer(answer, now - started))
            started = now
            if self._progress is not None:
                self._progress(1)


def read_answer(answer: dict[str, Any], seconds: float) -> Merged:
    """What the extension said of one merge."""
    if "reason" in answer:
        return Merged(reason=f"hg could not merge: {answer['reason']}", seconds=seconds)
    if "tree" in answer:
        return Merged(tree=answer["tree"], seconds=seconds)
    sides: dict[bytes, list[Side]] = {}
    messages = []
    for path, kind, rows in answer["conflicts"]:
        raw = path.encode("latin-1")
        sides[raw] = [Side(stage, mode, name) for stage, mode, name in rows]
        messages.append(Message((raw,), f"CONFLICT ({kind})"))
    return Merged(
        conflicts=conflicts(sides, messages), sides=sides, messages=tuple(messages), seconds=seconds
    )
