# SPDX-License-Identifier: MPL-2.0
"""Who changed which file of main, and when: an index in memory that follows the branch."""

from __future__ import annotations

import asyncio
import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from shipit.errors import CommandFailed
from shipit.uplift.analysis import Churn
from shipit.uplift.facts import TEST_FOLDERS, is_test_file
from shipit.vcs.commits import MESSAGE_LIMIT, is_backout, resolve, reviewers_of, seconds, text
from shipit.vcs.git import git
from shipit.vcs.kept_history import Kept, load, save

_CHUNK = 2000
_SHORT_NAME = 3


class History:
    """The newest commits of one branch: path to commits, commit to author, reviewers and time.

    Merge commits are left out: what they bring is counted by the commits they merge.
    """

    def __init__(self, repo: Path, *, most_commits: int = 200_000, kept: Path | None = None) -> None:
        """repo: the clone, bare or not, complete or without blobs (an index needs trees only).

        kept: file in which the index outlives the process; what is unreadable in it is made anew.
        """
        self.repo = repo
        self.most_commits = most_commits
        self.kept = kept
        self._following = asyncio.Lock()
        self._forget()
        self._is_loaded = kept is None

    def _forget(self) -> None:
        self.tip: str | None = None
        self.is_complete = True
        self._positions: dict[bytes, int] = {}
        self._times = array("q")
        self._authors = array("I")
        self._reviewers: list[tuple[int, ...]] = []
        self._backouts = bytearray()
        self._names: dict[str, int] = {}
        self._touched: dict[str, array[int]] = {}
        self._tests: dict[str, set[str]] = {}
        self._tests_seen = 0

    def __len__(self) -> int:
        return len(self._times)

    async def follow(self, tip: str) -> int:
        """Read what is new up to `tip` (a commit hash) and say how many commits that was.

        A tip that does not descend from the last one (a rewritten branch) makes it read anew, as does an
        index that has outgrown its bound by half. Raises CommandFailed; the index is then empty.
        """
        async with self._following:
            return await self._follow(tip)

    async def _follow(self, tip: str) -> int:
        if self.kept is not None and not self._is_loaded:
            self._restore(await asyncio.to_thread(load, self.kept, most_commits=self.most_commits))
        if tip == self.tip:
            return 0
        found = (await resolve(self.repo, [tip]))[tip]
        if found != tip:
            raise CommandFailed(("git", "rev-list"), None, f"the clone has no commit {tip[:80]!r}")
        if len(self) > self.most_commits * 3 // 2 or not await self._descends(tip):
            self._forget()
        span = [tip] if self.tip is None else [tip, f"^{self.tip}"]
        new = (await git(self.repo, "rev-list", "--no-merges", "--date-order", *self._bound(), *span)).stdout
        commits = new.split()
        if self.tip is None:
            self.is_complete = len(commits) <= self.most_commits and not await self._is_shallow()
            commits = commits[: self.most_commits]
        commits.reverse()
        is_whole = False
        try:
            for start in range(0, len(commits), _CHUNK):
                await self._append(commits[start : start + _CHUNK])
            is_whole = True
        finally:
            # Half a span, failed or cancelled, cannot be continued from any one commit.
            if not is_whole:
                self._forget()
        self.tip = tip
        if self.kept is not None:
            await asyncio.to_thread(save, self.kept, self._as_kept(tip))
        return len(commits)

    def _as_kept(self, tip: str) -> Kept:
        return Kept(
            tip=tip,
            most_commits=self.most_commits,
            is_complete=self.is_complete,
            hashes=tuple(self._positions),
            times=self._times.tobytes(),
            authors=self._authors.tobytes(),
            reviewers=tuple(self._reviewers),
            backouts=bytes(self._backouts),
            names=tuple(self._names),
            touched={path: positions.tobytes() for path, positions in self._touched.items()},
        )

    def _restore(self, kept: Kept | None) -> None:
        self._is_loaded = True
        if kept is None:
            return
        self.tip, self.is_complete = kept.tip, kept.is_complete
        self._positions = {name: position for position, name in enumerate(kept.hashes)}
        self._times, self._authors = array("q", kept.times), array("I", kept.authors)
        self._reviewers, self._backouts = list(kept.reviewers), bytearray(kept.backouts)
        self._names = {name: number for number, name in enumerate(kept.names)}
        self._touched = {path: array("I", positions) for path, positions in kept.touched.items()}
        self._tests, self._tests_seen = {}, 0

    def _bound(self) -> list[str]:
        return [f"--max-count={self.most_commits + 1}"] if self.tip is None else []

    async def _is_shallow(self) -> bool:
        answer = await git(self.repo, "rev-parse", "--is-shallow-repository")
        return answer.stdout.strip() == b"true"

    async def _descends(self, tip: str) -> bool:
        if self.tip is None:
            return True
        answer = await git(self.repo, "merge-base", "--is-ancestor", self.tip, tip, check=False)
        return answer.code == 0

    async def _append(self, commits: Sequence[bytes]) -> None:
        answer = await git(
            self.repo,
            *("diff-tree", "--stdin", "--always", "-r", "--root", "--no-renames", "--name-only", "-z"),
            "--format=%H%x00%ct%x00%ae%x00%B",
            stdin=b"\n".join(commits) + b"\n",
        )
        for commit, time, author, message, names in _records(answer.stdout, commits):
            position = len(self._times)
            self._positions[bytes.fromhex(commit.decode())] = position
            self._times.append(seconds(time))
            self._authors.append(self._number(text(author).lower()))
            said = text(message[:MESSAGE_LIMIT])
            self._reviewers.append(tuple(self._number(nick) for nick in reviewers_of(said)))
            self._backouts.append(is_backout(said))
            for name in names:
                self._touched.setdefault(text(name), array("I")).append(position)

    def _number(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def position(self, commit: str) -> int | None:
        """Where a commit (full hash) stands in the index, the oldest at 0; None when it is not there."""
        return self._positions.get(bytes.fromhex(commit))

    def churn(
        self,
        paths: Iterable[str],
        *,
        before: int | datetime,
        since: datetime | None = None,
        authors: Iterable[str] = (),
        reviewers: Iterable[str] = (),
        reviewer_addresses: Iterable[str] = (),
    ) -> Churn:
        """The earlier commits that touched any of the paths.

        before: a position (commits below it count) or a time (commits before it count). authors and
        reviewer_addresses: e-mails; reviewers: nicks.
        """
        floor = None if since is None else int(since.timestamp())
        touched = {position for path in paths for position in self._touched.get(path, ())}
        if isinstance(before, datetime):
            limit = int(before.timestamp())
            earlier = [p for p in touched if self._times[p] < limit]
        else:
            earlier = [p for p in touched if p < before]
        if floor is not None:
            earlier = [p for p in earlier if self._times[p] >= floor]
        wrote, addresses, nicks = (self._numbers(group) for group in (authors, reviewer_addresses, reviewers))
        last = max((self._times[p] for p in earlier), default=None)
        reaches = self.is_complete or (floor is not None and bool(self._times) and min(self._times) <= floor)
        return Churn(
            since=since,
            commits=len(earlier),
            by_author=sum(self._authors[p] in wrote for p in earlier),
            by_reviewers=sum(self._authors[p] in addresses for p in earlier),
            reviewed_by_reviewers=sum(not nicks.isdisjoint(self._reviewers[p]) for p in earlier),
            backouts=sum(self._backouts[p] for p in earlier),
            last=None if last is None else datetime.fromtimestamp(last, UTC),
            is_complete=reaches,
        )

    def tests_near(self, paths: Iterable[str]) -> int:
        """How many test files lie beside these files, as far as commits touched them: in their folders, below
        them, in the tests of the folder above, or anywhere under the file's own name ("MenuTest" of "Menu").
        """
        # paths are only ever added, so that only the new ones are looked at
        for path in itertools.islice(self._touched, self._tests_seen, None):
            if is_test_file(path):
                for owner in (*_owners_of_test(path), _subject_of_test(path)):
                    self._tests.setdefault(owner, set()).add(path)
        self._tests_seen = len(self._touched)
        code = [path for path in paths if not is_test_file(path)]
        owners = {path.rpartition("/")[0] for path in code} | {_named(path) for path in code}
        return len(set().union(*(self._tests.get(owner, ()) for owner in owners)))

    def _numbers(self, names: Iterable[str]) -> set[int]:
        return {number for name in names if (number := self._names.get(name.lower())) is not None}


def _owners_of_test(path: str) -> Iterator[str]:
    """The folders whose code a test is taken to cover: its own, and the one that its folder of tests is in.

    Where test sources mirror the code's folders ("src/test/java/…", "src/main/java/…"), also the mirror.
    """
    parts = path.split("/")[:-1]
    yield "/".join(parts)
    tests = next((place for place, part in enumerate(parts) if part.lower() in TEST_FOLDERS), None)
    if tests is None:
        return
    yield "/".join(parts[:tests])
    if parts[:tests] and parts[tests - 1] == "src":
        yield "/".join([*parts[:tests], "main", *parts[tests + 1 :]])


def _subject_of_test(path: str) -> str:
    """What a test's name says it tests, spelled as `_named` spells it."""
    stem = path.rpartition("/")[2].partition(".")[0].lower()
    for mark in ("tests", "test", "_", "-", "browser_", "it"):
        stem = stem.removesuffix(mark).removeprefix(mark)
    return f"={stem.replace('_', '').replace('-', '')}"


def _named(path: str) -> str:
    """A file's own name, "=?" for one too short to say anything; no folder is called so."""
    stem = path.rpartition("/")[2].partition(".")[0].lower().replace("_", "").replace("-", "")
    return f"={stem}" if len(stem) > _SHORT_NAME else "=?"


def _records(
    answer: bytes, commits: Sequence[bytes]
) -> Iterator[tuple[bytes, bytes, bytes, bytes, list[bytes]]]:
    """Cut the pass into commits; no file is called as the next commit, whose hash depends on its name."""
    fields = answer.split(b"\0")
    at = 0
    for number, commit in enumerate(commits):
        following = commits[number + 1] if number + 1 < len(commits) else None
        if fields[at] != commit or len(fields) < at + 4:
            raise CommandFailed(("git", "diff-tree"), 0, f"expected commit {commit.decode()} in its answer")
        time, author, message = fields[at + 1 : at + 4]
        at += 4
        names: list[bytes] = []
        while at < len(fields) and fields[at] != following:
            if fields[at]:
                names.append(fields[at].removeprefix(b"\n") if not names else fields[at])
            at += 1
        yield commit, time, author, message, names
