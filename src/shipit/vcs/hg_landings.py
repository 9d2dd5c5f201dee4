# SPDX-License-Identifier: MPL-2.0
"""What a Mercurial main knows of bugs: the changesets that name them, and what backed those out."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from shipit.errors import CommandFailed
from shipit.merge.standing import Landing, bugs_of, is_backout, named_by
from shipit.uplift.landings import CommitFact
from shipit.vcs.commits import seconds
from shipit.vcs.hg import HgServer
from shipit.vcs.landings import LOOK_BACK_DAYS, MOST_BUGS_AT_ONCE, Found, facts_of


@asynccontextmanager
async def server_on(repo: Path) -> AsyncIterator[HgServer]:
    """A command server for some questions about a clone. Raises InvalidInput where there is none."""
    with tempfile.TemporaryDirectory(prefix="shipit-hg-") as scratch:
        server = HgServer(repo, Path(scratch))
        try:
            yield server
        finally:
            await server.close()


async def commits_of_bugs(
    repo: Path,
    branch: str,
    bugs: Collection[int],
    *,
    since: datetime | None = None,
    until: str | None = None,
) -> dict[int, tuple[CommitFact, ...]]:
    """The changesets of a branch that name each bug in their first line, or undo one that does, oldest first.

    branch: name or hash. until: a hash below which nothing is read. since: the same as a time; two years back
    by default. Raises CommandFailed.
    """
    found: dict[int, list[Found]] = {bug: [] for bug in bugs}
    wanted = sorted(found)
    if not wanted:
        return {}
    async with server_on(repo) as server:
        tip = await _id(server, branch)
        low = await _id(server, until) if until is not None else None
        floor = None if low is not None else time.time() - LOOK_BACK_DAYS * 86400
        if since is not None:
            floor = since.timestamp()
        for start in range(0, len(wanted), MOST_BUGS_AT_ONCE):
            chosen = set(wanted[start : start + MOST_BUGS_AT_ONCE])
            rows = await server.ask("bugs", tip=tip, until=low, since=floor, bugs=sorted(chosen))
            for one in map(_landing, rows):
                text = one.landing.message if is_backout(one.landing) else one.landing.subject
                for bug in bugs_of(text) & chosen:
                    found[bug].append(one)
        backouts = [one.landing for rows in found.values() for one in rows if is_backout(one.landing)]
        names = sorted({name for backout in backouts for name in named_by(backout)})
        answers = await server.ask("look_up", names=names)
    ours = {name: answer["id"] for name, answer in zip(names, answers, strict=True) if "id" in answer}
    return {bug: facts_of(rows, ours) for bug, rows in found.items()}


async def _id(server: HgServer, name: str) -> str:
    (answer,) = await server.ask("look_up", names=[name])
    if "id" not in answer:
        raise CommandFailed(("hg", "log"), None, f"{name!r} {answer['reason']}")
    return str(answer["id"])


def _landing(row: dict[str, Any]) -> Found:
    # Mercurial notes one time only: when it was written
    written = seconds(str(row["authored"]))
    return Found(Landing(row["id"], row["author"], written, row["message"].strip()), written)
