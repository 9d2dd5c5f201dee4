# SPDX-License-Identifier: MPL-2.0
"""Open the engine, the clone and the history that fit a repository: git or Mercurial."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from shipit.errors import CommandFailed
from shipit.merge.store import Unknown
from shipit.uplift.analysis import Failed, PatchFacts
from shipit.uplift.landings import CommitFact
from shipit.vcs import facts, hg_history, hg_landings, landings
from shipit.vcs.clone import Clone
from shipit.vcs.commits import LARGEST_DIFF, read_diff, resolve
from shipit.vcs.git_store import GitTrials
from shipit.vcs.hg import is_hg
from shipit.vcs.hg_clone import HgClone
from shipit.vcs.hg_history import HgHistory
from shipit.vcs.hg_store import HgTrials
from shipit.vcs.history import History
from shipit.vcs.kept_trials import KeptTrials
from shipit.vcs.objects import read_objects

Trials = GitTrials | HgTrials

_OBJECT = re.compile(r"\b(?:[0-9a-f]{40}|[0-9a-f]{64})\b")


def trials_for(
    folder: Path,
    *,
    kind: str | None = None,
    workers: int = 1,
    remembers: bool = True,
    progress: Callable[[int], None] | None = None,
    keeps_in: Path | None = None,
) -> Trials:
    """An engine on a clone, to be used as an async context manager.

    kind: "git" or "hg"; seen from the folder when None. keeps_in: folder where results are kept between
    processes. The rest: see `GitTrials`.
    """
    engine = HgTrials if kind == "hg" or (kind is None and is_hg(folder)) else GitTrials
    kept = KeptTrials(keeps_in / f"{folder.name}-trials") if keeps_in is not None else None
    return engine(folder, workers=workers, remembers=remembers, progress=progress, kept=kept)


async def lost_object(trials: Trials, reason: str) -> str | None:
    """Which object that an error's reason names is not readable in the clone, in words; None when all are."""
    names = sorted(set(_OBJECT.findall(reason)))
    if isinstance(trials, HgTrials):
        # Mercurial's own words, kept as they are: they name the file's history and the version in it.
        return reason if names and "no match found" in reason else None
    for name, read in zip(names, await read_objects(trials.shadow, names), strict=True):
        if isinstance(read, Unknown):
            return f"object {name} {read.reason}"
    return None


def clone_for(
    folder: Path,
    url: str,
    *,
    kind: str = "git",
    main: str,
    timeout: float,
    told: Callable[[str], None] | None = None,
) -> Clone:
    """Our clone of a repository of that kind; see `Clone`. told: of git alone."""
    if kind == "hg":
        return HgClone(folder, url, main=main, timeout=timeout)
    return Clone(folder, url, main=main, timeout=timeout, told=told)


def history_for(folder: Path, *, kind: str = "git", kept: Path | None = None) -> History:
    """The history of a clone's main; see `History`."""
    engine = HgHistory if kind == "hg" else History
    return engine(folder, kept=kept)


async def read_patches(
    history: History,
    revisions: Sequence[str],
    *,
    now: datetime,
    recent_since: datetime | None = None,
    addresses: Mapping[str, str] | None = None,
) -> dict[str, PatchFacts | Failed]:
    """The facts of commits of a clone, whichever kind it is; see `facts.read_patches`."""
    if isinstance(history, HgHistory):
        return await hg_history.read_patches(
            history, revisions, now=now, recent_since=recent_since, addresses=addresses
        )
    return await facts.read_patches(
        history, revisions, now=now, recent_since=recent_since, addresses=addresses
    )


async def commit_diff(folder: Path, commit: str) -> bytes | str:
    """The git-style diff of a commit to its first parent, or the reason why it cannot be had."""
    try:
        if is_hg(folder):
            async with hg_landings.server_on(folder) as server:
                (row,) = await server.ask("look_up", names=[commit])
                if "id" not in row:
                    return f"{commit[:12]} {row['reason']}"
                (answer,) = await server.ask("diff", commit=row["id"], most=LARGEST_DIFF)
            return b64decode(answer["diff"]) if "diff" in answer else str(answer["reason"])
        full = (await resolve(folder, [commit]))[commit]
        return f"{commit[:12]} is not in this clone" if full is None else await read_diff(folder, full)
    except CommandFailed as error:
        return f"the diff of {commit[:12]} cannot be read: {error.detail[:200]}"


async def commits_of_bugs(
    repo: Path,
    branch: str,
    bugs: Collection[int],
    *,
    since: datetime | None = None,
    until: str | None = None,
) -> dict[int, tuple[CommitFact, ...]]:
    """What a clone's branch knows of bugs, whichever kind it is; see `landings.commits_of_bugs`."""
    known = hg_landings.commits_of_bugs if is_hg(repo) else landings.commits_of_bugs
    return await known(repo, branch, bugs, since=since, until=until)
