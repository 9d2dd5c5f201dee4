# SPDX-License-Identifier: MPL-2.0
"""Where the things of the journal are looked at; only what looks exactly as it should becomes an address."""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec

from shipit.events.told import EffectRow, EventRow
from shipit.events.types import Kind

_TASK_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_NUMBER = re.compile(r"diff ([0-9]{1,18})")
_GITHUB = re.compile(r"([A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100})(?:#([0-9]{1,18})| (\S{1,200}))")
_PHID = re.compile(r"PHID-[A-Z]{4}-[A-Za-z0-9]{1,40}")
_MOST = 200


class Places(msgspec.Struct, frozen=True):
    """The addresses of the services, None where the settings name none."""

    taskcluster: str | None
    phabricator: str | None

    def of_event(self, row: EventRow) -> str | None:
        """Where the thing an event tells of is looked at."""
        subject = row.subject
        if self.taskcluster and _TASK_ID.fullmatch(subject):
            root = self.taskcluster.rstrip("/")
            if row.event == Kind.GROUP_RESOLVED:
                return f"{root}/tasks/groups/{subject}"
            if row.event == Kind.TASK:
                return f"{root}/tasks/{subject}"
        if self.phabricator:
            root = self.phabricator.rstrip("/")
            if row.event == Kind.DIFF and (found := _NUMBER.fullmatch(subject)):
                return f"{root}/differential/diff/{found[1]}/"
            if row.event in (Kind.REVISION, Kind.BUILD_TARGET) and _PHID.fullmatch(subject):
                return f"{root}/search/query/?query={subject}"
        if row.event in (Kind.GIT_PUSH, Kind.PULL_REQUEST) and (found := _GITHUB.fullmatch(subject)):
            if found[2]:
                return f"https://github.com/{found[1]}/pull/{found[2]}"
            return f"https://github.com/{found[1]}/commits/{quote(found[3])}"
        return None

    def of_task(self, effect: EffectRow) -> str | None:
        """Where the task of an effect is looked at, once there is one."""
        if effect.fired_at is None or not self.taskcluster or not _TASK_ID.fullmatch(effect.task_id):
            return None
        return f"{self.taskcluster.rstrip('/')}/tasks/{effect.task_id}"


def named(row: EventRow) -> str:
    """What an event is about, for people; bounded."""
    name = row.subject or row.routing_key or row.key
    if row.event is None:
        words = row.routing_key.split(".")
        about = words[1] if len(words) > 1 and words[0] == "primary" else words[0]
        name = ", ".join(filter(None, (row.exchange.rstrip("/").rsplit("/", 1)[-1], about))) or row.key
    return name if len(name) <= _MOST else name[: _MOST - 1] + "…"
