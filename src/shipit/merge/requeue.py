# SPDX-License-Identifier: MPL-2.0
"""Which trials a train's new commits can touch: one difference of tips against all that waits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

import msgspec

from shipit.merge.keys import Change, above

Name = TypeVar("Name", bound=Hashable)


class Reach(msgspec.Struct, frozen=True):
    """What of a tip a trial's result hangs on. is_all: on anything (renames may be involved).

    paths: its patches' own. folders: where files are added; they must not vanish.
    """

    paths: frozenset[bytes]
    folders: frozenset[bytes] = frozenset()
    is_all: bool = False


def touched(waiting: Mapping[Name, Reach], moved: Collection[Change]) -> set[Name]:
    """Those trials that have to be run again after a tip moved so; the others are proved unchanged."""
    if not moved:
        return set()
    own: dict[bytes, set[Name]] = defaultdict(set)
    over: dict[bytes, set[Name]] = defaultdict(set)
    homes: dict[bytes, set[Name]] = defaultdict(set)
    found: set[Name] = set()
    for name, reach in waiting.items():
        if reach.is_all:
            found.add(name)
            continue
        for path in reach.paths:
            own[path].add(name)
            for folder in above(path):
                over[folder].add(name)
        for folder in reach.folders:
            homes[folder].add(name)
    none: set[Name] = set()
    for change in moved:
        # Its own path; or a file where it has a folder.
        found |= own.get(change.path, none) | over.get(change.path, none)
        for folder in above(change.path):
            # A folder where it has a file; or less in a folder that must not vanish.
            found |= own.get(folder, none)
            if change.after is None:
                found |= homes.get(folder, none)
    return found
