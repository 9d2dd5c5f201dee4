# SPDX-License-Identifier: MPL-2.0
"""Show a conflict for people: run the trial, cut out its hunks, and name who wrote each side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from shipit.errors import CommandFailed, Missing
from shipit.merge.conflict_view import (
    MOST_FILES,
    Blame,
    ConflictView,
    FileView,
    Wrote,
    bounded,
    file_view,
    named_commits,
    wanted_lines,
)
from shipit.merge.conflict_view import Blamed as BothBlamed
from shipit.merge.conflicts import shown_path
from shipit.merge.hunks import PathHunks
from shipit.merge.series import Request
from shipit.merge.store import Known, Merge, Merged
from shipit.merge.types import Commit, ConflictKind, Outcome, Patch
from shipit.vcs.blame import Blamed, GitBlamer, Lines
from shipit.vcs.git_store import GitTrials
from shipit.vcs.hg_blame import HgBlamer
from shipit.vcs.opening import Trials

_NO_BLAME = frozenset((ConflictKind.SUBMODULE, ConflictKind.BINARY))
_UNKNOWN_BASE = "nobody recorded what the patch was made on"
_EARLIER = "earlier patches of the series changed it"


class Blamer(Protocol):
    """Who wrote lines of a file at a commit."""

    async def after(self, commit: str, tree: str) -> str | None:
        """A commit with another tree upon a commit, None where such cannot be made."""

    async def blame(self, commit: str, path: bytes, blob: str | None, lines: Sequence[Lines]) -> Blamed:
        """Blame of some lines of a file; never raises."""


class _Sides(NamedTuple):
    """Where the two sides that others wrote have their history; a reason where they have none."""

    ours: str | None
    ours_reason: str | None
    base: str | None
    base_reason: str | None


async def conflict_view(trials: Trials, onto: str, series: Sequence[Patch]) -> ConflictView:
    """What of a series does not merge onto a tip, with blame. Raises CommandFailed on an unreadable clone."""
    timed = await trials.fresh(Request(onto, tuple(series)))
    if timed.conflict is None:
        outcome = timed.result.outcome
        why = next((one.reason for one in timed.result.patches if one.reason), None)
        said = f"It does not conflict there now ({outcome.value}{f': {why}' if why else ''})."
        return ConflictView(tip=onto, reason=said)
    merge, merged = timed.conflict
    stopped = next(one for one in timed.result.patches if one.outcome is Outcome.CONFLICT)
    patch = next(one for one in series if one.revision == stopped.revision)
    blamer = GitBlamer(trials.shadow) if isinstance(trials, GitTrials) else HgBlamer(trials.servers[0])
    sides = await _sides(trials, blamer, onto, patch, merge)
    files: list[FileView] = []
    commits: dict[str, Wrote] = {}
    for conflict in merged.conflicts[:MOST_FILES]:
        try:
            shown = await trials.store.hunks(merge, merged, conflict.path)
        except (Missing, CommandFailed) as error:
            shown = PathHunks(conflict.path, conflict.kind, reason=error.detail[:200])
        blamed = await _blamed(blamer, sides, shown, merged, commits)
        files.append(file_view(shown, blamed))
    shown_files = bounded(files)
    wanted = named_commits(shown_files)
    return ConflictView(
        tip=onto,
        patch=patch.revision,
        base=sides.base,
        files=shown_files,
        commits={name: one for name, one in commits.items() if name in wanted},
        more=max(0, len(merged.conflicts) - MOST_FILES),
    )


async def _sides(trials: Trials, blamer: Blamer, onto: str, patch: Patch, merge: Merge) -> _Sides:
    name = patch.revision if isinstance(patch, Commit) else patch.base
    known = await trials.store.look_up([one for one in (onto, name) if one is not None])
    tip, found = known[onto], known.get(name or "")
    ours = tip.id if isinstance(tip, Known) else None
    ours_reason = None if ours is not None else "its tip cannot be read"
    if isinstance(tip, Known) and tip.tree != merge.ours:
        ours = await blamer.after(tip.id, merge.ours)
        ours_reason = None if ours is not None else _EARLIER
    base = await _below(trials, patch, found) if isinstance(found, Known) else None
    if base is None or base.tree != merge.base:
        return _Sides(ours, ours_reason, None, _UNKNOWN_BASE)
    return _Sides(ours, ours_reason, base.id, None)


async def _below(trials: Trials, patch: Patch, found: Known) -> Known | None:
    """The commit that a patch expects below it."""
    if not isinstance(patch, Commit):
        return found
    if len(found.parents) != 1:
        return None
    parent = (await trials.store.look_up(found.parents))[found.parents[0]]
    return parent if isinstance(parent, Known) else None


async def _blamed(
    blamer: Blamer, sides: _Sides, shown: PathHunks, merged: Merged, commits: dict[str, Wrote]
) -> BothBlamed:
    raw = next((name for name in merged.sides if shown_path(name) == shown.path), None)
    if raw is None or shown.kind in _NO_BLAME or not shown.hunks:
        return BothBlamed()
    blobs = {side.stage: side.id for side in merged.sides[raw]}
    our_lines, base_lines = wanted_lines(shown)
    ours, base = Blame(reason=sides.ours_reason), Blame(reason=sides.base_reason)
    if sides.ours is not None:
        found = await blamer.blame(sides.ours, raw, blobs.get(2), our_lines)
        ours = found.blame
        commits.update(found.commits)
    if 1 not in blobs:
        base = Blame()
    elif sides.base is not None:
        found = await blamer.blame(sides.base, raw, blobs[1], base_lines)
        base = found.blame
        commits.update(found.commits)
    return BothBlamed(ours=ours, base=base)
