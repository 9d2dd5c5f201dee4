# SPDX-License-Identifier: MPL-2.0
"""What is on a train already: ancestors in bulk, backouts, and twins of a patch under another id."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

from shipit.merge.standing import Backout, Landing, backed_out_by, is_twin
from shipit.vcs.shadow import Shadow

FEW_TIPS = 24
MOST_COMMITS = 20_000
MOST_PATCH_IDS = 400

Pair = tuple[str, str]

# Words a backout has in its message; git greps with them so that a long history is not read by us.
_BACKOUT_GREP = ("--extended-regexp", "--regexp-ignore-case", "--grep=revert|back(ed|ing|s)?[ -]?out")


async def ancestors(shadow: Shadow, pairs: Collection[Pair]) -> set[Pair]:
    """Those (commit, tip) pairs whose commit is the tip or an ancestor of it. All are full ids of commits.

    One process for each of few tips, one for all together when they are many. Raises CommandFailed.
    """
    by_tip: dict[str, set[str]] = defaultdict(set)
    for commit, tip in pairs:
        by_tip[tip].add(commit)
    if len(by_tip) > FEW_TIPS:
        return await _ancestors_of_many(shadow, by_tip)
    found: set[Pair] = set()
    for tip, commits in by_tip.items():
        lines = "".join(f"{commit}\n" for commit in sorted(commits)) + f"^{tip}\n"
        answer = await shadow.git("rev-list", "--stdin", stdin=lines.encode())
        outside = set(answer.stdout.decode().split())
        found |= {(commit, tip) for commit in commits - outside}
    return found


async def _ancestors_of_many(shadow: Shadow, by_tip: dict[str, set[str]]) -> set[Pair]:
    """One walk from all tips; each commit learns, from its parents up, which asked commits are below it."""
    asked = {commit: 1 << place for place, commit in enumerate(sorted(set().union(*by_tip.values())))}
    answer = await shadow.git(
        "rev-list", "--parents", "--topo-order", "--reverse", "--stdin", stdin="\n".join(by_tip).encode()
    )
    below: dict[str, int] = {}
    for line in answer.stdout.decode().splitlines():
        commit, *parents = line.split(" ")
        reach = asked.get(commit, 0)
        for parent in parents:
            reach |= below.get(parent, 0)
        below[commit] = reach
    return {
        (commit, tip) for tip, commits in by_tip.items() for commit in commits if below[tip] & asked[commit]
    }


async def backed_out(shadow: Shadow, landings: dict[Pair, Landing]) -> set[Pair]:
    """Those (commit, tip) pairs, each commit an ancestor of its tip, that were backed out below the tip.

    landings: the pair's commit as read.
    """
    found: set[Pair] = set()
    by_tip: dict[str, list[str]] = defaultdict(list)
    for commit, tip in landings:
        by_tip[tip].append(commit)
    for tip, commits in by_tip.items():
        low = commits[0] if len(commits) == 1 else await _common(shadow, commits)
        backouts = await _log(shadow, tip, low, *_BACKOUT_GREP)
        for commit in commits:
            landing = landings[commit, tip]
            if backed_out_by(landing, backouts) == Backout():
                continue
            # An older landing of the same patch may be what was undone: look only above this one.
            above = backouts if commit == low else await _log(shadow, tip, commit, *_BACKOUT_GREP)
            if await _is_backed_out(shadow, landing, above):
                found.add((commit, tip))
    return found


async def twins(shadow: Shadow, landings: dict[Pair, Landing]) -> dict[Pair, str]:
    """For each (commit, tip) the id of a standing twin of the commit on the tip, where there is one."""
    found: dict[Pair, str] = {}
    for (commit, tip), landing in landings.items():
        there = await _log(shadow, tip, commit, f"--max-count={MOST_COMMITS}")
        same = [other for other in there if other.id != commit and is_twin(landing, other)]
        same = same or await _same_patch(shadow, commit, tip, there)
        for other in same:
            if not await _is_backed_out(shadow, other, there):
                found[commit, tip] = other.id
                break
    return found


async def _common(shadow: Shadow, commits: Sequence[str]) -> str | None:
    answer = await shadow.git("merge-base", "--octopus", *commits[:200], check=False)
    if answer.code != 0 or len(commits) > 200:
        return None
    return answer.stdout.decode().split()[0]


async def _log(shadow: Shadow, tip: str, low: str | None, *options: str) -> list[Landing]:
    """Commits of the tip that are not below `low`, newest first."""
    bounds = (tip,) if low is None else (tip, f"^{low}")
    shape = ("-z", "--topo-order", "--encoding=UTF-8", "--format=%H%n%an <%ae>%n%at%n%B")
    answer = await shadow.git("log", *shape, *options, *bounds, "--")
    return [_landing(record) for record in answer.stdout.split(b"\0") if record]


def _landing(record: bytes) -> Landing:
    name, author, authored, message = record.decode("utf-8", "replace").split("\n", 3)
    return Landing(name, author, int(authored or 0), message.strip())


async def _is_backed_out(shadow: Shadow, landing: Landing, later: Sequence[Landing]) -> bool:
    verdict = backed_out_by(landing, later)
    if verdict.certain is not None:
        return True
    # A backout that only names our bug is ours when it touches all that the commit touched.
    for other in verdict.possible:
        if await _paths(shadow, landing.id) <= await _paths(shadow, other):
            return True
    return False


async def _paths(shadow: Shadow, commit: str) -> set[bytes]:
    answer = await shadow.git(
        "diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only", "--no-renames", commit
    )
    return {path for path in answer.stdout.split(b"\0") if path}


async def _same_patch(shadow: Shadow, commit: str, tip: str, there: Sequence[Landing]) -> list[Landing]:
    """Commits of the tip since the base whose change, whitespace and place aside, is the commit's."""
    paths = await _paths(shadow, commit)
    if not there or not paths or len(paths) > 100:
        return []
    mine = await _patch_ids(shadow, "diff-tree", "-p", "--root", commit)
    if not mine:
        return []
    chosen = [":(literal)" + path.decode("utf-8", "surrogateescape") for path in sorted(paths)]
    most = f"--max-count={MOST_PATCH_IDS}"
    theirs = await _patch_ids(shadow, "log", "-p", "--full-diff", most, tip, f"^{commit}", "--", *chosen)
    own = set(mine.values())
    return [landing for landing in there if landing.id != commit and theirs.get(landing.id) in own]


async def _patch_ids(shadow: Shadow, *args: str) -> dict[str, str]:
    """Commit id to patch id."""
    changes = await shadow.git(*args, check=False)
    if changes.code != 0:
        return {}
    answer = await shadow.git("patch-id", "--stable", stdin=changes.stdout, check=False)
    pairs = re.findall(r"^(\S+) (\S+)$", answer.stdout.decode(), re.MULTILINE)
    return {commit: patch for patch, commit in pairs}
