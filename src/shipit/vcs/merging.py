# SPDX-License-Identifier: MPL-2.0
"""Many three-way merges of trees in few git processes, with the conflicts of each."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from shipit.errors import CommandFailed
from shipit.merge.store import Merge, Merged
from shipit.vcs.answers import Unreadable, read_answers
from shipit.vcs.git import GitAnswer, command, git
from shipit.vcs.packs import Object, object_id, write_named
from shipit.vcs.shadow import Shadow
from shipit.vcs.workers import Workers

# Merges of one process: its start is paid once, its memory stays bounded (what it has read it keeps).
BATCH = 512
START_SECONDS = 20.0
SECONDS_EACH = 5.0
# So many merges may all be slow; the rest of a long batch lives on their average.
SLOW_ONES = 128

# All synthetic commits are of one moment, so git never walks beyond them to find the base.
_COMMIT = "tree %s\n%sauthor - <-> 1 +0000\ncommitter - <-> 1 +0000\n\n"


# Our commits are in no clone's graph: searching it for each costs the more the longer the history is.
_MERGE_TREE = ("-c", "core.commitGraph=false", "merge-tree", "--write-tree", "-z", "--stdin")
_VERSIONS: dict[str, str] = {}


async def git_version() -> str:
    """The version of the git on this machine ("2.39.5"). Raises CommandFailed."""
    found = _which_git()
    if found not in _VERSIONS:
        answer = await git(None, "version")
        _VERSIONS[found] = answer.stdout.decode("utf-8", "replace").removeprefix("git version ").split()[0]
    return _VERSIONS[found]


def _which_git() -> str:
    """The program and its age: another git may be installed while we run."""
    found = shutil.which("git") or ""
    with contextlib.suppress(OSError):
        return f"{found} {Path(found).stat().st_mtime_ns}"
    return found


def accepts_trees(version: str) -> bool:
    """Whether that git merges bare trees with a base we name (2.45 and newer); older ones need commits."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= (2, 45)


class Merger:
    """Runs merges in a shadow: `workers` processes at a time, each with a batch of at most `BATCH` merges."""

    def __init__(
        self,
        shadow: Shadow,
        *,
        trees: bool,
        workers: int = 1,
        batch: int = BATCH,
        remembers: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """trees: see `accepts_trees`. remembers: equal merges asked for together are run once.

        progress: told after each process how many merges it has done.
        """
        self._shadow = shadow
        self._trees = trees
        self._batch = batch
        self._remembers = remembers
        self._progress = progress
        self._slots = asyncio.Semaphore(workers)
        self._pool: Workers | None = None
        if trees:
            argv = command(shadow.path, *_MERGE_TREE)
            self._pool = Workers(argv, count=workers, progress=progress)
        self._workers = workers
        self._written: set[str] = set()

    async def rest(self) -> None:
        """End every process; the next merge starts them again."""
        if self._pool is not None:
            await self._pool.stop()

    def forget(self) -> None:
        """The shadow was emptied: nothing we wrote is there any more."""
        self._written.clear()

    async def merge(self, merges: Sequence[Merge]) -> list[Merged]:
        """The outcome of each merge in order. Never raises for what one merge cannot do."""
        chosen = list(dict.fromkeys(merges)) if self._remembers else list(merges)
        try:
            lines = self.lines(chosen)
        except OSError as error:
            return [Merged(reason=f"cannot write to the scratch folder: {error.strerror}")] * len(merges)
        if self._pool is not None:
            done = await self._pool.merge(lines)
        else:
            done = await self._in_batches(chosen, dict(zip(chosen, lines, strict=True)))
        if not self._remembers:
            return done
        known = dict(zip(chosen, done, strict=True))
        return [known[merge] for merge in merges]

    async def _in_batches(self, merges: Sequence[Merge], lines: dict[Merge, bytes]) -> list[Merged]:
        size = max(1, min(self._batch, -(-len(merges) // self._workers)))
        batches = [merges[start : start + size] for start in range(0, len(merges), size)]
        answers = await asyncio.gather(*(self._one_batch(batch, lines) for batch in batches))
        return [merged for answer in answers for merged in answer]

    def labels(self, merge: Merge) -> tuple[str, str]:
        """What the conflict markers of a merge call ours and theirs."""
        if self._trees:
            return merge.ours, merge.theirs
        base = self._commit({}, merge.base)
        return self._commit({}, merge.ours, base), self._commit({}, merge.theirs, base)

    def lines(self, merges: Sequence[Merge]) -> list[bytes]:
        """The input line of each merge. Raises OSError when the scratch folder cannot be written."""
        if self._trees:
            return [f"{merge.base} -- {merge.ours} {merge.theirs}\n".encode() for merge in merges]
        commits: dict[str, Object] = {}
        lines = []
        bases: dict[str, str] = {}
        for merge in merges:
            base = bases.get(merge.base)
            if base is None:
                base = bases[merge.base] = self._commit(commits, merge.base)
            ours = self._commit(commits, merge.ours, base)
            theirs = self._commit(commits, merge.theirs, base)
            lines.append(f"{ours} {theirs}\n".encode())
        new = {name: commits[name] for name in commits.keys() - self._written}
        write_named(self._shadow.objects / "pack", new, hash_name=self._shadow.hash_name)
        self._written.update(new)
        return lines

    def _commit(self, commits: dict[str, Object], tree: str, parent: str | None = None) -> str:
        content = (_COMMIT % (tree, f"parent {parent}\n" if parent else "")).encode()
        name = object_id("commit", content, hash_name=self._shadow.hash_name)
        commits[name] = ("commit", content)
        return name

    async def _one_batch(self, merges: Sequence[Merge], lines: dict[Merge, bytes]) -> list[Merged]:
        async with self._slots:
            results: list[Merged] = []
            # Stretches of the batch still to be run, the next one last.
            waiting = [merges]
            while waiting:
                stretch = waiting.pop()
                done, answer = await self._process(stretch, lines)
                results += done
                if self._progress is not None:
                    self._progress(len(done))
                rest = stretch[len(done) :]
                if not rest:
                    continue
                if len(rest) == 1 and not done:
                    results.append(Merged(reason=_why(answer)))
                elif answer.code is not None and answer.code > 0 and done:
                    waiting.append(rest)
                elif answer.code is not None and answer.code > 0:
                    # git says all it has before it dies by itself: it died of the first in line.
                    waiting += [rest[1:], rest[:1]]
                else:
                    # Killed or hung, what it had said may be lost with it: halve until the one is alone.
                    half = -(-len(rest) // 2)
                    waiting += [part for part in (rest[half:], rest[:half]) if part]
            return results

    async def _process(
        self, batch: Sequence[Merge], lines: dict[Merge, bytes]
    ) -> tuple[list[Merged], GitAnswer]:
        started = time.perf_counter()
        try:
            answer = await self._shadow.git(
                *_MERGE_TREE,
                stdin=b"".join(lines[merge] for merge in batch),
                timeout=START_SECONDS + SECONDS_EACH * min(len(batch), SLOW_ONES),
                check=False,
            )
        except CommandFailed as error:
            return [], GitAnswer(1, b"", error.stderr.encode())
        seconds = (time.perf_counter() - started) / len(batch)
        try:
            done = read_answers(answer.stdout, seconds=seconds, whole=answer.code == 0)
        except Unreadable as error:
            return [], GitAnswer(1, b"", f"unreadable answer of git merge-tree: {error}".encode())
        if b"error: " in answer.stderr:
            # git 2.39 takes a root tree that it cannot read for an empty one, complains and goes on.
            return [], GitAnswer(None if len(batch) > 1 else 1, b"", answer.stderr)
        if answer.code == 0 and len(done) != len(batch):
            return [], GitAnswer(1, b"", b"git merge-tree did not answer every merge")
        return done, answer


def _why(answer: GitAnswer) -> str:
    if answer.code is None:
        return f"the merge hung: {answer.complaint}"
    if answer.code < 0:
        return f"the merge was killed by signal {-answer.code}"
    return f"git could not merge: {answer.complaint or f'exit code {answer.code}'}"
