# SPDX-License-Identifier: MPL-2.0
"""A tiny language for deliveries, task groups and routes."""

from __future__ import annotations

import os
import random
from typing import Any

import msgspec

from shipit.events import deliveries, originals
from shipit.events.deliveries import DIFFS, MAX_BODY
from shipit.events.routes import Route, parse_routes
from shipit.events.types import Delivery, Event, Facts, GroupTask

RESOLVED = "exchange/taskcluster-queue/v1/task-group-resolved"
CENTRAL = "https://hg.mozilla.org/mozilla-central"
GROUP = "MibGDsa4Q7uFNzDf7EV6nw"
REVISION = "63519bfd42ee379f597c0357af2e712ec3cd9f50"


def delivery(
    exchange: str, key: str, payload: Any, *, cc: tuple[str, ...] = (), via: str = "queue"
) -> Delivery:
    """A broker's delivery."""
    body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return Delivery(source="pulse", exchange=exchange, routing_key=key, body=body, cc=cc, via=via)


def resolved(group: str = GROUP, scheduler: str = "gecko-level-3") -> Delivery:
    """A task group is resolved."""
    payload = {"taskGroupId": group, "schedulerId": scheduler, "version": 1}
    return delivery(RESOLVED, f"primary.{group}.{scheduler}._", payload)


def published(*commits: dict[str, Any], repository: str | None = originals.MOZREVIEW) -> Delivery:
    """MozReview published commits, as on the wire."""
    payload = {"repository_url": repository, "parent_review_request_id": 1, "commits": list(commits)}
    if repository is None:
        del payload["repository_url"]
    wrapped = {"payload": payload, "_meta": {"exchange": "exchange/mozreview/"}}
    return delivery("exchange/mozreview/", "mozreview.commits.published", wrapped)


def commit(request: int, revision: str, diffset: int = 1) -> dict[str, Any]:
    """One commit of such a message."""
    return {"review_request_id": request, "rev": revision, "diffset_revision": diffset}


def event(heard: Delivery) -> Event:
    """The event of a readable delivery."""
    found = deliveries.read(heard)
    assert isinstance(found, Event), found
    return found


def build(
    name: str = "build-linux64-ccov/debug",
    *,
    task: str = "A",
    state: str = "completed",
    repository: str | None = CENTRAL,
    revision: str | None = REVISION,
    project: str = "GECKO",
) -> GroupTask:
    """One task of a group."""
    env = {f"{project}_HEAD_REPOSITORY": repository, f"{project}_HEAD_REV": revision}
    return GroupTask(
        task_id=task, name=name, state=state, env={k: v for k, v in env.items() if v is not None}
    )


def group_of(*tasks: GroupTask, group: str = GROUP) -> Facts:
    """Facts: the group holds these tasks."""
    return Facts(groups={group: tasks})


def coverage(**more: Any) -> Route:
    """The original's code coverage hook as a route, with changes."""
    (row,) = originals.routes_of([{"type": "code-coverage", "hookId": "shipit-code-coverage"}])
    match = {**row["match"], **more.pop("match", {})}
    (route,) = parse_routes([{**row, **more, "match": match}])
    return route


EXCHANGES = [
    RESOLVED,
    "exchange/taskcluster-queue/v1/task-completed",
    "exchange/mozreview/",
    "exchange/hgpushes/v1",
    "exchange/hgpushes/v2",
    "exchange/taskcluster-github/v1/push",
    "exchange/unknown",
    DIFFS,
    "phabricator/revisions",
    "phabricator/targets",
    "github",
    "pushlog",
]


def spoilt(rolls: random.Random) -> Delivery:
    """A delivery broken in one of many ways; one in two thousand is huge or nested without end."""
    good = rolls.choice(
        [
            resolved().body,
            published({"rev": "a", "review_request_id": 1, "diffset_revision": 1}).body,
            b'{"status":{"taskId":"T","state":"completed","runs":[{}]},"runId":0}',
            b'{"id":1,"phid":"PHID-DIFF-a","type":"DIFF","fields":{"revisionPHID":null}}',
            b'{"repository":{"full_name":"o/r"},"ref":"refs/heads/a","commits":[{"added":["x"]}],"after":"b"}',
        ]
    )
    match rolls.randrange(7):
        case 0:
            body = good[: rolls.randrange(len(good))]
        case 1:
            place = rolls.randrange(len(good))
            body = good[:place] + os.urandom(rolls.randrange(1, 4)) + good[place:]
        case 2:
            body = msgspec.json.encode(mangled(msgspec.json.decode(good), rolls))
        case 3:
            body = b'{"a":' * rolls.randrange(1, 2000)
        case 4:
            body = rolls.randbytes(rolls.randrange(200))
        case 5:
            body = b'{"taskGroupId":"' + b"x" * rolls.randrange(3000) + b'"}'
        case _:
            body = msgspec.json.encode({"payload": mangled(msgspec.json.decode(good), rolls), "_meta": 1})
    match rolls.randrange(4000):
        case 0:
            body = b'{"taskGroupId":"' + b"x" * (MAX_BODY + rolls.randrange(1000)) + b'"}'
        case 1:
            body = b"[" * rolls.randrange(100_000, MAX_BODY)
    key = "".join(rolls.choice("ab.*#\0\ud800é") for _ in range(rolls.randrange(12)))
    return Delivery(source="pulse", exchange=rolls.choice(EXCHANGES), routing_key=key, body=body, cc=(key,))


def mangled(value: object, rolls: random.Random) -> object:
    """The value with some parts of a wrong type."""
    if rolls.random() < 0.3:
        return rolls.choice([None, 7, -1.5, [], {}, "", "text", True, [[]], {"a": None}, 10**30])
    if isinstance(value, dict):
        return {key: mangled(item, rolls) for key, item in value.items()}
    if isinstance(value, list):
        return [mangled(item, rolls) for item in value]
    return value
