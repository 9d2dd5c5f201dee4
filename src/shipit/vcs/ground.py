# SPDX-License-Identifier: MPL-2.0
"""A git clone as searches see it: the index of its commits, merges one upon the other, contents of files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from shipit.errors import CommandFailed, InvalidInput
from shipit.merge.history import Entry
from shipit.merge.regions import Change, Span, differing
from shipit.merge.store import Known, Merge, Merged, Unknown
from shipit.vcs.candidates import MOST_COMMITS, Candidates
from shipit.vcs.change_stream import count_lines
from shipit.vcs.merging import accepts_trees, git_version
from shipit.vcs.objects import look_up
from shipit.vcs.packs import write_pack
from shipit.vcs.pipes import BlobPipe, MergePipe
from shipit.vcs.shadow import Shadow, git_directory
from shipit.vcs.trees import NoFolder, entry_at, folder_names, parse_tree, write_tree

# Differing places of changes that the index does not hold.
MOST_REMEMBERED = 20_000


def kept_index(repo: Path) -> Path:
    """Where the index of a clone is kept when nobody names a place: never inside of the clone."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shipit"
    name = hashlib.sha256(str(git_directory(repo)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return folder / f"candidates-{name}"


class GitGround:
    """A git clone as `shipit.merge.searches.Ground`. Use as an async context manager."""

    def __init__(
        self,
        repo: Path,
        *,
        index: Path | Candidates | None,
        scratch: Path | None = None,
        most_commits: int = MOST_COMMITS,
    ) -> None:
        """repo: a clone, only read.

        index: the file that keeps the index of commits, or the index itself; None: only in memory.
        """
        self._shadow = Shadow(repo, scratch=scratch)
        if not isinstance(index, Candidates):
            index = Candidates(kept=index, most_commits=most_commits)
        self._history = index
        self._spans: dict[tuple[bytes, bytes], tuple[Span, ...] | None] = {}
        self._lines: dict[str, int] = {}
        self._stack = AsyncExitStack()
        self.version = ""

    async def __aenter__(self) -> GitGround:
        self.version = await git_version()
        await self._stack.enter_async_context(self._shadow)
        trees = accepts_trees(self.version)
        self._merges = await self._stack.enter_async_context(MergePipe(self._shadow, trees=trees))
        self._blobs = await self._stack.enter_async_context(BlobPipe(self._shadow))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def history(self) -> Candidates:
        """The index of commits."""
        return self._history

    @property
    def shadow(self) -> Shadow:
        """The clone without its configuration, where merges write."""
        return self._shadow

    async def merge(self, merge: Merge) -> Merged:
        """The outcome of a merge of trees."""
        return await self._merges.merge(merge)

    async def read(self, names: Sequence[str]) -> list[bytes | None]:
        """Contents of files by id; None for what cannot be read."""
        return await self._blobs.read(names)

    async def settled(self, merged: Merged, contents: Mapping[bytes, bytes]) -> str | None:
        """The tree of a conflicting merge with these contents in the places of its conflicts; None if not."""
        if merged.marked is None:
            return None
        try:
            wanted = folder_names(merged.marked, contents)
            trees = await self._blobs.read(list(wanted.values()), kind=b"tree")
            folders = {
                folder: parse_tree(content, id_bytes=len(merged.marked) // 2)
                for folder, content in zip(wanted, trees, strict=True)
                if content is not None
            }
            names = write_pack(
                self._shadow.objects / "pack",
                [("blob", content) for content in contents.values()],
                hash_name=self._shadow.hash_name,
            )
            changes: dict[bytes, tuple[str, str] | None] = {}
            for path, name in zip(contents, names, strict=True):
                there = entry_at(folders, path)
                if there is None:
                    return None
                changes[path] = (there[0], name)
            return write_tree(self._shadow, folders, changes)
        except (CommandFailed, NoFolder, OSError):
            return None

    async def spans(self, change: Change) -> Sequence[Span] | None:
        """The differing places of a change, read now if the index has not; None when nobody can know them."""
        if change.spans is not None or change.status in "XT":
            return change.spans
        key = (change.old, change.new)
        if key not in self._spans:
            if len(self._spans) >= MOST_REMEMBERED:
                self._spans.clear()
            old, new = await self._sides(change)
            is_text = old is not None and new is not None and b"\0" not in old[:8000] + new[:8000]
            self._spans[key] = differing(old or b"", new or b"") if is_text else None
        return self._spans[key]

    async def _sides(self, change: Change) -> tuple[bytes | None, bytes | None]:
        names = [side.hex() for side in (change.old, change.new) if any(side)]
        found = iter(await self._blobs.read(names))
        old, new = (next(found) if any(side) else b"" for side in (change.old, change.new))
        return old, new

    async def weight(self, entries: Sequence[Entry]) -> list[int]:
        """How many lines each commit adds and removes; 0 for what cannot be read."""
        unknown = {one.id for one in entries if one.lines is None and one.id not in self._lines}
        if unknown:
            self._lines |= await count_lines(self._shadow, sorted(unknown))
        return [self._lines.get(one.id, 0) if one.lines is None else one.lines for one in entries]

    async def entries(
        self, names: Sequence[str], *, also: Collection[str] = (), fields: Mapping[str, str] | None = None
    ) -> list[Entry]:
        """The commits that revisions name, after a look at what is new below them (and below `also`).

        fields: where a name was given, for errors. Raises InvalidInput for a name that leads to no commit,
        CommandFailed when the clone cannot be read.
        """
        found = await look_up(self._shadow, {*names, *also})
        for name, known in found.items():
            if isinstance(known, Unknown):
                said = f"{name!r} {known.reason}"
                if known.reason.startswith("its parent "):
                    said = f"{name!r} is cut off: {known.reason} (`git fetch --unshallow` gets the rest)"
                raise InvalidInput(
                    (fields or {}).get(name, name), expected=f"a commit of the clone; {said[:600]}"
                )
        ids = {name: known.id for name, known in found.items() if isinstance(known, Known)}
        await self._history.follow(self._shadow, set(ids.values()))
        entries = [self._history.find(ids[name]) for name in names]
        return [entry for entry in entries if entry is not None]

    def cpu_ms(self) -> float:
        """CPU milliseconds that the running git processes have used; 0.0 where the system does not say."""
        return sum(_cpu_ms(pid) for pid in (self._merges.pid, self._blobs.pid) if pid is not None)


def _cpu_ms(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
    except (OSError, ValueError, IndexError):
        return 0.0
