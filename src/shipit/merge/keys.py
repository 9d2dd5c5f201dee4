# SPDX-License-Identifier: MPL-2.0
"""The key of a trial: while it is equal the result is, whatever else moved on the train."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

import msgspec

from shipit.merge.types import Outcome, SeriesResult

FOLDER = "40000"
_FORMAT = 1
_KEPT = frozenset((Outcome.CLEAN, Outcome.CONFLICT, Outcome.SKIPPED))
_FILES = ("10", "12")

Entry = tuple[str, str]
"""Mode as git's trees spell it ("100644", "40000") and id."""
View = Mapping[bytes, Entry]
"""Entries of a tree at paths that were asked for; what is not there is left out."""


class Change(msgspec.Struct, frozen=True):
    """What a patch does to one path; None is absence."""

    path: bytes
    before: Entry | None
    after: Entry | None


class Tried(msgspec.Struct, frozen=True):
    """One patch as tried: its name, the trees before and after it, its changes.

    folders: the folders of its base on the way to what it adds. left: those of its result on the way to what
    it removes.
    """

    revision: str
    base: str
    theirs: str
    changes: tuple[Change, ...]
    folders: frozenset[bytes] = frozenset()
    left: frozenset[bytes] = frozenset()


def above(path: bytes) -> list[bytes]:
    """The folders that hold a path, innermost first, without the root."""
    parts = path.split(b"/")[:-1]
    return [b"/".join(parts[:depth]) for depth in range(len(parts), 0, -1)]


def key_of(engine: str, again: bool, series: Sequence[Tried], tip: View, tip_tree: str) -> str:
    """The key of a trial of commits. engine: version and options. tip: at all paths of `asked`."""
    if is_local(series, tip):
        paths = sorted({change.path for patch in series for change in patch.changes})
        proof: object = [(path, tip.get(path)) for path in paths]
    else:
        proof = tip_tree
    patches = [(patch.revision, patch.base, patch.theirs) for patch in series]
    return digest(engine, again, patches, proof)


def homes(series: Sequence[Tried]) -> set[bytes]:
    """The folders that may not vanish from the tip, because something is added in them."""
    return set().union(*(above(c.path) for patch in series for c in patch.changes if c.before is None))


def digest(*facts: object) -> str:
    """A key of facts made of plain values."""
    return hashlib.sha256(msgspec.msgpack.encode((_FORMAT, *facts))).hexdigest()


def asked(series: Sequence[Tried]) -> set[bytes]:
    """The paths of the tip that a key looks at."""
    paths = {change.path for patch in series for change in patch.changes}
    return paths.union(*(above(path) for path in paths))


def is_local(series: Sequence[Tried], tip: View) -> bool:
    """Whether the tip's entries at the patches' own paths decide the result alone.

    They do not where a rename on either side may carry a change to another path: a file that the tip does
    not have (any more), a folder that it has no more, a patch that may have renamed a whole folder. A file
    that the patch renamed is as good as any while the train has it under its old name.
    """
    if len(series) > 1 and any(change.after is None for patch in series for change in patch.changes):
        return False
    made: set[bytes] = set()
    for patch in series:
        if _may_rename_folder(patch):
            return False
        if not all(_is_local(change, patch.folders, tip, made) for change in patch.changes):
            return False
        for change in patch.changes:
            if change.before is None:
                made.update((change.path, *above(change.path)))
    return True


def _may_rename_folder(patch: Tried) -> bool:
    """Whether it adds files and empties a folder of others: what the train adds there would move as well."""
    gone = {change.path.rpartition(b"/")[0] for change in patch.changes if change.after is None}
    is_adding = any(change.before is None for change in patch.changes)
    return is_adding and not gone - {b""} <= patch.left


def _is_local(change: Change, folders: Collection[bytes], tip: View, made: Collection[bytes]) -> bool:
    if b"\n" in change.path:
        # Nobody can ask for it line by line.
        return False
    there = tip.get(change.path)
    if change.before is None:
        is_file = change.after is not None and change.after[0][:2] in _FILES
        return is_file and there is None and change.path not in made and _has_home(change, folders, tip, made)
    # What an earlier patch of the series made, the tip cannot have.
    ours = change.before if change.path in made else there
    kinds = {entry[0][:2] for entry in (change.before, change.after, ours) if entry is not None}
    return ours is not None and len(kinds) == 1 and kinds <= set(_FILES)


def _has_home(change: Change, folders: Collection[bytes], tip: View, made: Collection[bytes]) -> bool:
    """Whether no folder above an added file can have been renamed on the train."""
    for folder in above(change.path):
        if folder in made:
            return True
        entry = tip.get(folder)
        if entry is not None:
            return entry[0] == FOLDER
        if folder in folders:
            return False
    return True


def is_kept(result: SeriesResult) -> bool:
    """Whether a result is proven by trees alone: what history says (landed, a twin) is asked every time."""
    return result.outcome in (Outcome.CLEAN, Outcome.CONFLICT) and all(
        patch.outcome in _KEPT for patch in result.patches
    )
