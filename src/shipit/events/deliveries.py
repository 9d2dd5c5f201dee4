# SPDX-License-Identifier: MPL-2.0
"""Read a delivery into an event, or say why nobody can."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from shipit.errors import InvalidInput
from shipit.events.types import Delivery, Event, Kind, Unreadable

MAX_BODY = 1 << 20
"""Bytes of the largest delivery that is read; larger ones go to quarantine."""
QUEUE = "exchange/taskcluster-queue/v1/"
GITHUB = "exchange/taskcluster-github/v1/"
DIFFS, REVISIONS, TARGETS = "phabricator/diffs", "phabricator/revisions", "phabricator/targets"
PUSHLOG, WEBHOOK = "pushlog", "github"
_TASK_STATES = ("defined", "pending", "running", "completed", "failed", "exception")
_PRINTABLE = re.compile(r"[^\x21-\x7e]+")
_decode = msgspec.json.Decoder().decode


def read(delivery: Delivery) -> Event | Unreadable:
    """The event, or the reason why there is none. Never raises, whatever the delivery holds."""
    key = delivery.key or natural_key(delivery)
    if len(delivery.body) > MAX_BODY:
        return Unreadable(key=key, reason=f"larger than {MAX_BODY} bytes ({len(delivery.body)})")
    try:
        body = _decode(delivery.body)
    except UnicodeDecodeError as error:
        return Unreadable(key=key, reason=f"not UTF-8 (byte {error.start})")
    except msgspec.DecodeError as error:
        return Unreadable(key=key, reason=f"not JSON: {error}")
    except RecursionError:
        return Unreadable(key=key, reason="nested too deep")
    if not isinstance(body, dict):
        return Unreadable(key=key, reason=f"expected a JSON object, got {type(body).__name__}")
    payload = _unwrapped(body)
    try:
        told = _reader(delivery)(delivery, payload)
    except InvalidInput as error:
        return Unreadable(key=key, reason=error.detail)
    return Event(
        key=key,
        kind=told.kind,
        subject=_short(told.subject),
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        cc=delivery.cc,
        payload=payload,
        values={name: value for name, value in told.values.items() if value is not None},
        group=told.group,
        diff=told.diff,
    )


def natural_key(delivery: Delivery) -> str:
    """The name a delivery is stored once under: readable parts, a digest of exchange, key and body."""
    digest = hashlib.blake2b(digest_size=12)
    for part in (
        delivery.exchange.encode("utf-8", "replace"),
        delivery.routing_key.encode("utf-8", "replace"),
    ):
        digest.update(len(part).to_bytes(4, "big") + part)
    digest.update(delivery.body)
    exchange = delivery.exchange.rstrip("/").rsplit("/", 1)[-1]
    words = delivery.routing_key.split(".", 2)
    about = words[1] if len(words) > 1 and words[0] == "primary" else words[0]
    return f"{delivery.source}:{_plain(exchange)}:{_plain(about)}:{digest.hexdigest()}"


def _plain(text: str) -> str:
    return _PRINTABLE.sub("_", text)[:60]


def _short(text: str) -> str:
    return text.replace("\0", " ").encode("utf-8", "replace").decode()[:200]


def _unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    """Mozilla's own publishers wrap the message as {payload, _meta}; Taskcluster does not."""
    inner = body.get("payload")
    if isinstance(inner, dict) and ("_meta" in body or len(body) == 1):
        return inner
    return body


class _Told(NamedTuple):
    kind: Kind
    subject: str
    values: dict[str, Any]
    group: str | None = None
    diff: str | None = None


def _reader(delivery: Delivery) -> Callable[[Delivery, dict[str, Any]], _Told]:
    exchange = delivery.exchange
    if exchange.startswith(QUEUE):
        name = exchange.removeprefix(QUEUE)
        if name == "task-group-resolved":
            return _group_resolved
        if name.startswith("task-") and name.removeprefix("task-") in _TASK_STATES:
            return _task
    return _READERS.get(exchange.rstrip("/"), _other)


def _group_resolved(delivery: Delivery, payload: dict[str, Any]) -> _Told:
    group = text(payload, "taskGroupId")
    return _Told(
        Kind.GROUP_RESOLVED,
        group,
        {"group": group, "scheduler": optional_text(payload, "schedulerId")},
        group=group,
    )


def _task(delivery: Delivery, payload: dict[str, Any]) -> _Told:
    status = table(payload, "status")
    task_id = text(status, "taskId", "status.")
    task = payload.get("task")
    tags = task.get("tags") if isinstance(task, dict) else None
    tags = tags if isinstance(tags, dict) else {}
    label = tags.get("label")
    runs = status.get("runs")
    last = runs[-1] if isinstance(runs, list) and runs and isinstance(runs[-1], dict) else {}
    return _Told(
        Kind.TASK,
        task_id,
        {
            "task": task_id,
            "run": payload.get("runId"),
            "group": optional_text(status, "taskGroupId"),
            "scheduler": optional_text(status, "schedulerId"),
            "state": text(status, "state", "status."),
            "reason": optional_text(last, "reasonResolved"),
            "task_name": label if isinstance(label, str) else None,
            "project": tags.get("project"),
            "author": tags.get("createdForUser"),
        },
    )


def _mozreview(delivery: Delivery, payload: dict[str, Any]) -> _Told:
    if delivery.routing_key != "mozreview.commits.published":
        return _other(delivery, payload)
    # a message without repository is nobody's, but no reason to stop
    repository = optional_text(payload, "repository_url")
    request = payload.get("parent_review_request_id")
    return _Told(Kind.MOZREVIEW, f"review request {request}", {"repository": repository, "request": request})


def _hg_push(delivery: Delivery, payload: dict[str, Any]) -> _Told:
    data = payload.get("data") if delivery.exchange.endswith("/v2") else payload
    if not isinstance(data, dict):
        raise InvalidInput("data", expected="a table", got=data)
    if delivery.exchange.endswith("/v2") and payload.get("type") != "changegroup.1":
        return _other(delivery, payload)
    repository = text(data, "repo_url")
    heads = texts(data, "heads")
    pushes = data.get("pushlog_pushes")
    pushes = [push for push in pushes if isinstance(push, dict)] if isinstance(pushes, list) else []
    last = pushes[-1] if pushes else {}
    push, user = last.get("pushid"), last.get("user")
    return _Told(
        Kind.HG_PUSH,
        f"{repository.rsplit('/', 1)[-1]}, push {push}",
        {
            "repository": repository,
            "revision": heads[-1] if heads else None,
            "heads": heads,
            "push": push,
            "author": user.strip() if isinstance(user, str) else None,
            "paths": texts(data, "paths") or None,
        },
    )


def _diff(delivery: Delivery, payload: dict[str, Any]) -> _Told:
    phid, number = text(payload, "phid"), payload.get("id")
    if not isinstance(number, int):
        raise InvalidInput("id", expected="a whole number", got=number)
    fields = table(payload, "fields")
    return _Told(
        Kind.DIFF,
        f"diff {number}",
        {
            "diff": phid,
            "diff_id": number,
            "type": payload.get("type"),
            "revision": optional_text(fields, "revisionPHID"),
            "author": optional_text(fields, "authorPHID"),
            "repository": optional_text(fields, "repositoryPHID"),
        },
        diff=phid,
    )


def _herald(delivery: Delivery, payload: dict[str, Any]) -> _Told:
    thing = table(payload, "object")
    phid = text(thing, "phid", "object.")
    action = payload.get("action")
    action = action if isinstance(action, dict) else {}
    return _Told(
        Kind.REVISION,
        phid,
        {"revision": phid, "type": optional_text(thing, "type"), "is_test": bool(action.get("test"))},
        diff=phid,
    )


def _target(delivery: Delivery, payload: dict[str, Any]) -> _Told:
    target, diff = text(payload, "target"), payload.get("diff")
    number = None
    if isinstance(diff, int) or (isinstance(diff, str) and diff.isdecimal() and len(diff) < 20):
        number = int(diff)
    return _Told(
        Kind.BUILD_TARGET,
        target,
        {
            "target": target,
            "diff_id": number,
            "diff": optional_text(payload, "diff_phid"),
            "revision": optional_text(payload, "revision"),
            "repository": optional_text(payload, "repository"),
        },
        diff=None if number is None else str(number),
    )


def _github(delivery: Delivery, payload: dict[str, Any]) -> _Told:
    """taskcluster-github's messages hold GitHub's own body below `body`; the webhook is that body."""
    body = payload.get("body") if delivery.exchange.startswith(GITHUB) else payload
    body = body if isinstance(body, dict) else {}
    repo, pull, sender = (part(body, name) for name in ("repository", "pull_request", "sender"))
    full = optional_text(repo, "full_name")
    if full is None and isinstance(payload.get("organization"), str):
        full = f"{payload['organization']}/{payload.get('repository')}"
    if full is None:
        return _other(delivery, payload)
    values: dict[str, Any] = {
        "repository": f"https://github.com/{full}",
        "author": optional_text(part(pull, "user") or sender, "login"),
        "action": optional_text(body, "action"),
    }
    if pull:
        head = part(pull, "head")
        values |= {"number": pull.get("number"), "revision": optional_text(head, "sha")}
        values["branch"] = optional_text(part(pull, "base"), "ref")
        return _Told(Kind.PULL_REQUEST, f"{full}#{pull.get('number')}", values)
    reference = optional_text(body, "ref")
    if reference is None:
        return _other(delivery, payload)
    commits = body.get("commits")
    commits = [item for item in commits if isinstance(item, dict)] if isinstance(commits, list) else []
    values |= {
        "branch": reference.removeprefix("refs/heads/"),
        "revision": optional_text(body, "after"),
        "paths": sorted(
            {
                path
                for commit in commits
                for change in ("added", "modified", "removed")
                for path in texts(commit, change)
            }
        ),
    }
    return _Told(Kind.GIT_PUSH, f"{full} {values['branch']}", values)


def _other(delivery: Delivery, payload: dict[str, Any]) -> _Told:
    return _Told(Kind.OTHER, delivery.routing_key or delivery.exchange, {})


_READERS: dict[str, Callable[[Delivery, dict[str, Any]], _Told]] = {
    "exchange/mozreview": _mozreview,
    "exchange/hgpushes/v1": _hg_push,
    "exchange/hgpushes/v2": _hg_push,
    PUSHLOG: _hg_push,
    DIFFS: _diff,
    REVISIONS: _herald,
    TARGETS: _target,
    WEBHOOK: _github,
    GITHUB + "push": _github,
    GITHUB + "pull-request": _github,
}


def text(table: dict[str, Any], name: str, below: str = "") -> str:
    """The text of that name. Raises InvalidInput where it is something else, absent or empty."""
    value = table.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput(below + name, expected="text", got=value)
    return value


def optional_text(table: dict[str, Any], name: str) -> str | None:
    """The text of that name, None where it is something else or absent."""
    value = table.get(name)
    return value if isinstance(value, str) and value else None


def table(payload: dict[str, Any], name: str) -> dict[str, Any]:
    """The table of that name. Raises InvalidInput where it is something else or absent."""
    value = payload.get(name)
    if not isinstance(value, dict):
        raise InvalidInput(name, expected="a table", got=value)
    return value


def part(payload: dict[str, Any], name: str) -> dict[str, Any]:
    """The table of that name, {} where it is something else or absent."""
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def texts(payload: dict[str, Any], name: str) -> list[str]:
    """The texts in the array of that name, [] where it is something else or absent."""
    value = payload.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
