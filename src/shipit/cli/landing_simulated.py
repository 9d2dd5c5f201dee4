# SPDX-License-Identifier: MPL-2.0
"""A landing plan simulated on a clone, and written there as a new branch or as patches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shipit.merge.history import Entry, read_message
from shipit.merge.landing_order import Memory, Plan, Uplift, plan
from shipit.merge.left_behind import LeftBehind, carried, left_behind
from shipit.merge.store import Known
from shipit.merge.types import Commit, Patch, RawDiff
from shipit.vcs.drafts import Drafts
from shipit.vcs.ground import GitGround, kept_index
from shipit.vcs.objects import look_up
from shipit.vcs.picking import Pick, write_branch, write_patches

# Where main may be in a clone in which nobody says so, the likeliest first.
MAINS = ("refs/remotes/origin/HEAD", "HEAD", "main", "master", "origin/main", "origin/master")
_SUBJECT = re.compile(rb"^Subject:[ \t]*(?:\[[^\]\n]*\][ \t]*)?(.+)$", re.MULTILINE)
_NO_WORDS = (b"#", b"diff ", b"From ", b"From:", b"Date:", b"---", b"Index: ")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a plan is simulated and written. onto, main: revisions; main None: it is guessed.

    branch: name of the new branch (or bookmark); patches: folder for patches; index: file of the index of
    commits, None for the usual one.
    """

    repo: Path
    onto: str
    main: str | None
    branch: str | None
    patches: Path | None
    index: Path | None


class Simulated(msgspec.Struct, frozen=True):
    """A plan with what it leaves behind. already: what is on the train and does not land again."""

    plan: Plan
    behind: tuple[LeftBehind, ...]
    already: tuple[Entry, ...]
    tip: str
    written: str | None


async def simulate(place: Place, series: Sequence[Patch]) -> Simulated:
    """Plan patches, each an uplift of its own, and write the plan where the place says so.

    Raises InvalidInput for a revision that is none, Refused for a branch that is there already,
    CommandFailed when the clone cannot be read or written.
    """
    async with GitGround(place.repo, index=place.index or kept_index(place.repo)) as ground:
        commits = [one.revision for one in series if isinstance(one, Commit)]
        fields = {**dict.fromkeys(commits, "REV"), place.onto: "--onto"}
        tip, *named = await ground.entries([place.onto, *commits], fields=fields)
        main = await _main(ground, place.main, tip, named)
        drafts = Drafts(ground, main)
        rest = [one for one in series if isinstance(one, RawDiff)]
        told = {one.revision: _told(one) for one in rest}
        diffs = [
            entry
            for one in rest
            for entry in await drafts.entries([one], tip=tip, bug=_bug_of(told[one.revision]))
        ]
        there = ground.history.apart([entry.position for entry in named], [tip.position])[0]
        wanted = list(dict.fromkeys(entry for entry in named if entry.position in there)) + diffs
        made = await plan(Memory(ground), [Uplift(entry.id, (entry,)) for entry in wanted], tip)
        picks = [
            Pick(entry, step.tree, told.get(entry.id))
            for step in made.steps
            for entry in step.uplift.entries
            if not step.is_empty
        ]
        written = []
        if place.branch is not None:
            written.append(await write_branch(ground.shadow, place.repo, tip.id, picks, place.branch))
        if place.patches is not None:
            written.append(await write_patches(ground.shadow, tip.id, picks, place.patches))
        return Simulated(
            made,
            _behind(ground, tip, main, made, named),
            tuple(dict.fromkeys(entry for entry in named if entry.position not in there)),
            tip.id,
            "; ".join(written) or None,
        )


def _behind(
    ground: GitGround, tip: Entry, main: Entry, made: Plan, named: Sequence[Entry]
) -> tuple[LeftBehind, ...]:
    on_train, missing = carried(ground.history, tip.position, main.position)
    waiting = {entry.position for entry in named}
    landing = {step.uplift.position for step in made.steps} & waiting
    return tuple(left_behind(ground.history, on_train | landing, missing - landing - waiting))


async def _main(ground: GitGround, name: str | None, tip: Entry, named: Sequence[Entry]) -> Entry:
    """The head of main: as told, else the likeliest that holds the most of what is to land."""
    if name is not None:
        (main,) = await ground.entries([name], fields={name: "--main"})
        return main
    found = await look_up(ground.shadow, MAINS)
    ids = [one.id for each in MAINS if isinstance(one := found[each], Known)]
    heads = await ground.entries(list(dict.fromkeys(ids)))
    wanted = {entry.position for entry in named}
    held = [len(ground.history.apart([head.position], [tip.position])[0] & wanted) for head in heads]
    return heads[held.index(max(held))] if heads else tip


def _told(patch: RawDiff) -> str:
    """What a patch says it does (as `git format-patch` and Mercurial write it), else its name."""
    head = (b"\n" + patch.diff).partition(b"\ndiff --git ")[0]
    if match := _SUBJECT.search(head):
        return match[1].decode("utf-8", "replace").strip()[:300]
    said = (line.strip() for line in head.splitlines())
    words = next((line for line in said if line and not line.startswith(_NO_WORDS)), b"")
    return words.decode("utf-8", "replace")[:300] or patch.revision


def _bug_of(message: str) -> int:
    """The bug that a patch is for, as its words say; 0 when they do not."""
    return next(iter(read_message(message).bugs), 0)
