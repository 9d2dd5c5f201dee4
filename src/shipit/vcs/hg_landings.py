# SPDX-License-Identifier: MPL-2.0
"""What a Mercurial main knows of bugs: the changesets that name them, and what backed those out."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shipit.errors import CommandFailed
from shipit.merge.standing import Landing, bugs_of, is_backout, is_same_subject, named_by, quoted_by
from shipit.uplift.landings import CommitFact
from shipit.vcs.hg import HgServer
from shipit.vcs.landings import LOOK_BACK_DAYS, MOST_BUGS_AT_ONCE

_REVISION = re.compile(r"^Differential Revision:\s*\S*?/?D(\d+)\s*$", re.MULTILINE | re.IGNORECASE)


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
    found: dict[int, list[Landing]] = {bug: [] for bug in bugs}
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
                text = one.message if is_backout(one) else one.subject
                for bug in bugs_of(text) & chosen:
                    found[bug].append(one)
        backouts = [one for rows in found.values() for one in rows if is_backout(one)]
        names = sorted({name for backout in backouts for name in named_by(backout)})
        answers = await server.ask("look_up", names=names)
    ours = {name: answer["id"] for name, answer in zip(names, answers, strict=True) if "id" in answer}
    return {
        bug: tuple(_fact(one, rows[:place], ours) for place, one in enumerate(rows))
        for bug, rows in found.items()
    }


async def _id(server: HgServer, name: str) -> str:
    (answer,) = await server.ask("look_up", names=[name])
    if "id" not in answer:
        raise CommandFailed(("hg", "log"), None, f"{name!r} {answer['reason']}")
    return str(answer["id"])


def _landing(row: dict[str, Any]) -> Landing:
    return Landing(row["id"], row["author"], row["authored"], row["message"].strip())


def _fact(one: Landing, before: Sequence[Landing], ours: dict[str, str]) -> CommitFact:
    undoes = is_backout(one)
    revision = _REVISION.search(one.message)
    return CommitFact(
        sha=one.id,
        subject=one.subject,
        author=one.author,
        date=datetime.fromtimestamp(one.authored, UTC),
        is_backout=undoes,
        backs_out=_undone(one, before, ours) if undoes else (),
        revision=int(revision[1]) if revision else None,
    )


def _undone(backout: Landing, before: Sequence[Landing], ours: dict[str, str]) -> tuple[str, ...]:
    """The hashes a backout names, or else the last landing before it whose subject it quotes."""
    if named := tuple(ours[name] for name in named_by(backout) if name in ours):
        return named
    quoted = quoted_by(backout)
    same = [one.id for one in before if quoted and is_same_subject(quoted, one.subject)]
    return tuple(same[-1:])
