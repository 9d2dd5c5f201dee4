# SPDX-License-Identifier: MPL-2.0
"""Trials on a Mercurial clone: never its working copy, never its configuration, nothing written into it."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType

from shipit.errors import CommandFailed, InvalidInput, Missing, Unavailable
from shipit.merge.conflicts import shown_path
from shipit.merge.hunks import MOST_HUNKS, PathHunks, Sides, cut_hunks, whole
from shipit.merge.keys import digest
from shipit.merge.series import Request
from shipit.merge.store import Applied, Known, Merge, Merged, Unknown
from shipit.merge.types import ConflictKind
from shipit.vcs.engine import Engine
from shipit.vcs.hg import ANSWER_SECONDS, EXTENSION, HgServer, is_hg
from shipit.vcs.hg_ancestry import Ancestry
from shipit.vcs.hg_applying import HgApplier
from shipit.vcs.hg_differences import HgDifferences
from shipit.vcs.hg_merging import HgMerger
from shipit.vcs.kept_trials import KeptTrials
from shipit.vcs.objects import is_name
from shipit.vcs.proving import Incremental
from shipit.vcs.trials import Timed, run_timed

LARGEST_SIDE = 8 << 20
_BY_LINES = frozenset((ConflictKind.CONTENT, ConflictKind.ADD_ADD, ConflictKind.RENAME))
_NAMES = {1: "base", 2: "ours", 3: "theirs"}

Pair = tuple[str, str]


class HgStore:
    """A Mercurial clone as `shipit.merge.store.Store`."""

    def __init__(self, server: HgServer, merger: HgMerger) -> None:
        self._server = server
        self._merger = merger
        self._applier = HgApplier(server)
        self._ancestry = Ancestry(server)

    async def look_up(self, names: Collection[str]) -> dict[str, Known | Unknown]:
        """The commits that revisions name. See `Store`; raises CommandFailed on an unreadable clone."""
        asked = [name for name in names if is_name(name)]
        answers = await self._server.ask("look_up", names=asked)
        found: dict[str, Known | Unknown] = {name: Unknown("is not a name of a commit") for name in names}
        for name, answer in zip(asked, answers, strict=True):
            if "reason" in answer:
                found[name] = Unknown(answer["reason"], is_broken=bool(answer.get("broken")))
                continue
            found[name] = Known(
                id=answer["id"],
                tree=answer["tree"],
                base=answer["base"],
                parents=tuple(answer["parents"]),
                author=answer["author"],
                authored=answer["authored"],
                message=answer["message"],
            )
            self._ancestry.remember(answer)
        return found

    async def ancestors(self, pairs: Collection[Pair]) -> set[Pair]:
        """See `Store`; raises CommandFailed on an unreadable history."""
        return await self._ancestry.ancestors(pairs)

    async def backed_out(self, pairs: Collection[Pair]) -> set[Pair]:
        """See `Store`; raises CommandFailed on an unreadable history."""
        return await self._ancestry.backed_out(pairs)

    async def twins(self, pairs: Collection[Pair]) -> dict[Pair, str]:
        """See `Store`; raises CommandFailed on an unreadable history."""
        return await self._ancestry.twins(pairs)

    async def merge(self, merges: Sequence[Merge]) -> list[Merged]:
        """See `Store`."""
        return await self._merger.merge(merges)

    async def apply(self, diff: bytes, *, base: str | None, before: str | None, tip: str) -> Applied:
        """See `Store`; raises CommandFailed when the clone cannot be read."""
        return await self._applier.apply(diff, base=base, before=before, tip=tip)

    async def hunks(self, merge: Merge, merged: Merged, path: str) -> PathHunks:
        """What a merge's conflict in one path looks like. Raises Missing when the path does not conflict."""
        kinds = {conflict.path: conflict.kind for conflict in merged.conflicts}
        raw = next((name for name in merged.sides if shown_path(name) == path), None)
        if path not in kinds or raw is None:
            raise Missing(f"{path} does not conflict")
        # The labels are hashes that no content can foresee.
        labels = (merge.ours, merge.theirs)
        (answer,) = await self._server.ask(
            "sides",
            merge=(merge.base, merge.ours, merge.theirs),
            path=raw.decode("latin-1"),
            labels=labels,
            most=LARGEST_SIDE,
        )
        kind = kinds[path]
        if "sides" not in answer:
            sizes = ", ".join(f"{_NAMES[int(stage)]} {size}" for stage, size in answer["sizes"].items())
            return PathHunks(path, kind, reason=f"binary or very long content (bytes: {sizes})")
        contents = {int(stage): base64.b64decode(side) for stage, side in answer["sides"].items()}
        sides = Sides(contents.get(1), contents.get(2), contents.get(3))
        hunks = []
        if kind in _BY_LINES and "marked" in answer:
            hunks = cut_hunks(base64.b64decode(answer["marked"]), sides, ours=labels[0], theirs=labels[1])
        if not hunks:
            return PathHunks(path, kind, (whole(sides),))
        reason = f"{len(hunks)} hunks, the first {MOST_HUNKS} are here" if len(hunks) > MOST_HUNKS else None
        return PathHunks(path, kind, tuple(hunks[:MOST_HUNKS]), reason)


class HgTrials(Engine):
    """Runs trials on one Mercurial clone. Use as an async context manager; it cleans up when left."""

    def __init__(
        self,
        repo: Path,
        *,
        scratch: Path | None = None,
        workers: int = 1,
        remembers: bool = True,
        progress: Callable[[int], None] | None = None,
        patience: float = ANSWER_SECONDS,
        kept: KeptTrials | None = None,
    ) -> None:
        """repo: a clone, only read. scratch: where trials write. workers: command servers at a time.

        remembers: equal merges, and equal trials while this is open, are done once. progress: told how many
        merges were just done. patience: seconds until a silent server is taken for hung. kept: results of
        earlier trials; see `GitTrials`.
        """
        super().__init__(remembers=remembers, kept=kept)
        if not is_hg(repo):
            raise InvalidInput("repository", expected="a Mercurial repository", got=str(repo))
        self._repo = repo
        self._scratch = scratch
        self._workers = workers
        self._remembers = remembers
        self._progress = progress
        self._patience = patience
        self._servers: list[HgServer] = []
        self._folder: Path | None = None
        self._store: HgStore | None = None

    async def __aenter__(self) -> HgTrials:
        self._folder = Path(tempfile.mkdtemp(prefix="shipit-hg-", dir=self._scratch))
        self._servers = [
            HgServer(self._repo, self._folder, patience=self._patience) for _ in range(self._workers)
        ]
        try:
            # The first shows at once whether the clone can be opened at all.
            await self._servers[0].ask("look_up", names=[])
        except CommandFailed as error:
            await self._close()
            raise Unavailable("clone", f"{self._repo.name} cannot be opened: {error.stderr}") from error
        merger = HgMerger(self._servers, remembers=self._remembers, progress=self._progress)
        self._store = HgStore(self._servers[0], merger)
        if self._kept is not None:
            self._incremental = self._proving(self._kept)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for server in self._servers:
            await server.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._servers, self._folder, self._store, self._incremental = [], None, None, None

    @property
    def name(self) -> str:
        """What ran the trials, in words for people."""
        return f"hg {self._servers[0].version}" if self._servers else "hg"

    @property
    def servers(self) -> Sequence[HgServer]:
        """The command servers, while open."""
        return self._servers

    @property
    def store(self) -> HgStore:
        """The store that trials run on, while open."""
        assert self._store is not None, "HgTrials is used as an async context manager"
        return self._store

    async def _run(self, requests: Sequence[Request]) -> list[Timed]:
        return await run_timed(self.store, requests)

    def _proving(self, kept: KeptTrials) -> Incremental:
        # How merges are made here is the extension's word as much as Mercurial's.
        engine = f"{self.name} {digest(EXTENSION.read_bytes())}"
        return Incremental(HgDifferences(self._servers[0]), self.store, kept, engine)
