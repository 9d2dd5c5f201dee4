# SPDX-License-Identifier: MPL-2.0
"""The nouns of a merge trial."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """What a trial says. Only a proven conflict is red; what we could not find out is grey."""

    CLEAN = "clean"
    LANDED = "landed"
    EMPTY = "empty"
    CONFLICT = "conflict"
    SKIPPED = "skipped"
    MISSING = "missing"
    ERROR = "error"


class ConflictKind(StrEnum):
    """Why a path does not merge."""

    CONTENT = "content"
    MODIFY_DELETE = "modify/delete"
    RENAME = "rename"
    ADD_ADD = "add/add"
    MODE = "mode"
    BINARY = "binary"
    SUBMODULE = "submodule"
    OTHER = "other"


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    """A patch that has landed: a commit (or a name for one) of the clone."""

    revision: str


class RawDiff(msgspec.Struct, frozen=True, tag="diff"):
    """A patch that has not landed: a raw diff to be applied on its base.

    revision: how people name it ("D123456", "attachment 9123456"). diff: git-style or plain unified diff.
    base: commit it was made on, None when nobody recorded it.
    """

    revision: str
    diff: bytes
    base: str | None = None


Patch = Commit | RawDiff


class Conflict(msgspec.Struct, frozen=True):
    """One path that does not merge. path: as UTF-8 with surrogate escapes replaced by backslash escapes."""

    path: str
    kind: ConflictKind


class PatchResult(msgspec.Struct, frozen=True):
    """What became of one patch of a series. tree: id of the tree after it (None unless it merged)."""

    revision: str
    outcome: Outcome
    tree: str | None = None
    conflicts: tuple[Conflict, ...] = ()
    reason: str | None = None


class SeriesResult(msgspec.Struct, frozen=True):
    """What became of a series: first of error, conflict, missing that any has; else clean, empty, landed.

    tree: the last tree that merged (the tip's tree when nothing changed), None on conflict, missing, error.
    """

    outcome: Outcome
    tree: str | None
    patches: tuple[PatchResult, ...]
