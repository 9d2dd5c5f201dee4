# SPDX-License-Identifier: MPL-2.0
"""The nouns of the listener: a delivery as it came, the event it tells, the facts a route asks for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a source handed over, as it came.

    exchange, routing_key: the broker's, or the name of the source and what it is about.
    cc: further routing keys (header CC). via: the queue or poll it came by.
    key: given by sources whose things have a name of their own; "" for a broker's.
    """

    source: str
    exchange: str
    body: bytes
    routing_key: str = ""
    cc: tuple[str, ...] = ()
    redelivered: bool = False
    via: str = ""
    key: str = ""


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery nobody can read; it goes to quarantine with its reason."""

    key: str
    reason: str


class Kind(StrEnum):
    """What an event tells."""

    GROUP_RESOLVED = "task-group-resolved"
    TASK = "task"
    MOZREVIEW = "mozreview-commits"
    HG_PUSH = "hg-push"
    DIFF = "diff"
    REVISION = "revision"
    BUILD_TARGET = "build-target"
    GIT_PUSH = "git-push"
    PULL_REQUEST = "pull-request"
    OTHER = "other"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, read.

    key: its natural name, by which it is stored once. subject: its name for humans.
    values: what templates and matches may name; only what the kind promises.
    group, diff: what may have to be looked up before a route can decide; None: nothing. A diff is named by
    its PHID, its number, or the PHID of the revision whose newest it is.
    """

    key: str
    kind: Kind
    subject: str
    exchange: str
    routing_key: str
    cc: tuple[str, ...]
    payload: dict[str, Any]
    values: dict[str, Any]
    group: str | None = None
    diff: str | None = None


class GroupTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task of a task group, as far as routes ask. env: of its payload, {} when it has none."""

    task_id: str
    name: str
    state: str
    env: Mapping[str, str]


class DiffFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A diff and its revision as Phabricator shows them to us now. revision: None until it is attached."""

    phid: str
    id: int
    revision: str | None
    author: str | None
    repository: str | None
    repository_names: tuple[str, ...] = ()


class NeedKind(StrEnum):
    """What kind of fact is wanted."""

    GROUP = "group"
    DIFF = "diff"


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that must be fetched before a route can decide."""

    kind: NeedKind
    name: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched. groups: tasks by group id, None: there is no such group; diffs: by PHID, None: not
    visible to us."""

    groups: Mapping[str, tuple[GroupTask, ...] | None] = {}
    diffs: Mapping[str, DiffFacts | None] = {}


NO_FACTS = Facts()
