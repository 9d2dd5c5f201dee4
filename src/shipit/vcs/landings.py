# SPDX-License-Identifier: MPL-2.0
"""What main knows of bugs: the commits whose subjects name them, and what backed those out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipit.errors import CommandFailed
from shipit.merge.standing import Landing, bugs_of, is_backout, is_same_subject, named_by, quoted_by
from shipit.uplift.landings import CommitFact
from shipit.vcs.commits import seconds
from shipit.vcs.git import git

MOST_BUGS_AT_ONCE = 400
# Far longer than anything that waits for uplift; a whole history of a million commits is not read for it.
LOOK_BACK_DAYS = 730

_REVISION = re.compile(r"^Differential Revision:\s*\S*?/?D(\d{1,9})\s*$", re.MULTILINE | re.IGNORECASE)
_FORMAT = "--format=%H%n%an <%ae>%n%at%n%ct%n%B"


class Found(msgspec.Struct, frozen=True):
    """A commit that names a bug. landed_at: seconds since 1970."""

    landing: Landing
    landed_at: int


async def commits_of_bugs(
    repo: Path,
    branch: str,
    bugs: Collection[int],
    *,
    since: datetime | None = None,
    until: str | None = None,
) -> dict[int, tuple[CommitFact, ...]]:
    """The commits of a branch that name each bug in their first line, or undo one that does, oldest first.

    branch: ref or commit. until: a commit below which nothing is read. since: the same as a time; two years
    back by default. One process for every few hundred bugs. Raises CommandFailed.
    """
    found: dict[int, list[Found]] = {bug: [] for bug in bugs}
    wanted = sorted(found)
    for start in range(0, len(wanted), MOST_BUGS_AT_ONCE):
        chosen = set(wanted[start : start + MOST_BUGS_AT_ONCE])
        for one in await _read(repo, branch, chosen, since=since, until=until):
            text = one.landing.message if is_backout(one.landing) else one.landing.subject
            for bug in bugs_of(text) & chosen:
                found[bug].append(one)
    backouts = [one.landing for rows in found.values() for one in rows if is_backout(one.landing)]
    ours = await _in_clone(repo, {name for backout in backouts for name in named_by(backout)})
    return {bug: facts_of(rows, ours) for bug, rows in found.items()}


def facts_of(rows: Sequence[Found], ours: Mapping[str, str]) -> tuple[CommitFact, ...]:
    """Each commit with what it undoes of those before it. ours: full ids of the hashes that backouts name."""
    landings = [one.landing for one in rows]
    return tuple(_fact(one, landings[:place], ours) for place, one in enumerate(rows))


async def _read(
    repo: Path, branch: str, bugs: Collection[int], *, since: datetime | None, until: str | None
) -> list[Found]:
    if branch.startswith("-") or (until or "").startswith("-"):
        raise CommandFailed(("git", "log"), None, f"{branch!r} is not a name of a commit")
    numbers = "|".join(str(bug) for bug in bugs)
    bounds = [f"^{until}"] if until else []
    if since is not None:
        bounds.append(f"--since={int(since.timestamp())}")
    elif until is None:
        bounds.append(f"--since={LOOK_BACK_DAYS}.days.ago")
    answer = await git(
        repo,
        "log",
        "-z",
        "--topo-order",
        "--reverse",
        "--encoding=UTF-8",
        _FORMAT,
        "--extended-regexp",
        "--regexp-ignore-case",
        f"--grep=bugs?[[:space:]:#]*({numbers})([^0-9]|$)",
        branch,
        *bounds,
        "--",
    )
    return [_landing(record) for record in answer.stdout.split(b"\0") if record]


def _landing(record: bytes) -> Found:
    name, author, authored, landed, message = record.decode("utf-8", "replace").split("\n", 4)
    return Found(Landing(name, author, seconds(authored), message.strip()), seconds(landed))


async def _in_clone(repo: Path, names: Collection[str]) -> dict[str, str]:
    """Those hashes that the clone knows, as they are named; the others are of another system."""
    asked = sorted(names)
    if not asked:
        return {}
    lines = "".join(f"{name}^{{commit}}\n" for name in asked)
    answer = await git(repo, "cat-file", "--batch-check=%(objecttype)", stdin=lines.encode())
    said = answer.stdout.decode("utf-8", "replace").splitlines()
    return {name: name for name, word in zip(asked, said, strict=False) if word == "commit"}


def _fact(one: Found, before: Sequence[Landing], ours: Mapping[str, str]) -> CommitFact:
    landing = one.landing
    undoes = is_backout(landing)
    revision = _REVISION.search(landing.message)
    return CommitFact(
        sha=landing.id,
        subject=landing.subject,
        author=landing.author,
        date=datetime.fromtimestamp(one.landed_at, UTC),
        is_backout=undoes,
        backs_out=_undone(landing, before, ours) if undoes else (),
        revision=int(revision[1]) if revision else None,
    )


def _undone(backout: Landing, before: Sequence[Landing], ours: Mapping[str, str]) -> tuple[str, ...]:
    """The hashes a backout names, or else the last commit before it whose subject it quotes."""
    if named := tuple(ours[name] for name in named_by(backout) if name in ours):
        return named
    quoted = quoted_by(backout)
    same = [one.id for one in before if quoted and is_same_subject(quoted, one.subject)]
    return tuple(same[-1:])
