# SPDX-License-Identifier: MPL-2.0
"""Webhooks: whether a request is from who it claims, and the delivery it makes."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

import msgspec

from shipit.errors import InvalidInput, NotAuthenticated
from shipit.events.deliveries import REVISIONS, TARGETS, WEBHOOK
from shipit.events.types import Delivery

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,100}")
_TARGET = re.compile(r"PHID-HMBT-[A-Za-z0-9]{1,40}")


def read_github(headers: Mapping[str, str], body: bytes, keys: Sequence[str]) -> Delivery:
    """The delivery of a GitHub webhook. headers: names in lower case; keys: the current one and a former.

    Raises NotAuthenticated without a good X-Hub-Signature-256, InvalidInput without its other headers.
    """
    given = headers.get("x-hub-signature-256", "")
    _check(given.removeprefix("sha256=") if given.startswith("sha256=") else "", body, keys)
    event = _header(headers, "x-github-event")
    return Delivery(
        source="github",
        exchange=WEBHOOK,
        routing_key=event,
        body=body,
        via="webhook",
        key=f"github:{_header(headers, 'x-github-delivery')}",
    )


def read_herald(headers: Mapping[str, str], body: bytes, keys: Sequence[str]) -> Delivery:
    """The delivery of a Herald webhook. Raises NotAuthenticated without a good signature."""
    _check(headers.get("x-phabricator-webhook-signature", ""), body, keys)
    return Delivery(source="herald", exchange=REVISIONS, routing_key="herald", body=body, via="webhook")


def read_target(query: Mapping[str, str], password: str, keys: Sequence[str]) -> Delivery:
    """The delivery of a Harbormaster build step's request.

    query: of its URL: target, diff, revision, repository. password: of HTTP basic authorization.
    Raises NotAuthenticated, InvalidInput.
    """
    if not any(hmac.compare_digest(password.encode(), key.encode()) for key in keys if key):
        raise NotAuthenticated("the build step's password is wrong")
    target = query.get("target", "")
    if not _TARGET.fullmatch(target):
        raise InvalidInput("target", expected="the PHID of a build target", got=target)
    told = {
        name: query[name][:200] for name in ("target", "diff", "revision", "repository") if query.get(name)
    }
    return Delivery(
        source="harbormaster",
        exchange=TARGETS,
        routing_key="target",
        body=msgspec.json.encode(told),
        via="webhook",
        key=f"harbormaster:{target}",
    )


def sign(body: bytes, key: str) -> str:
    """Hex HMAC-SHA256 of a body, as GitHub (after "sha256=") and Herald send it."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def _check(given: str, body: bytes, keys: Sequence[str]) -> None:
    for key in keys:
        if key and hmac.compare_digest(given.lower().encode("utf-8", "replace"), sign(body, key).encode()):
            return
    raise NotAuthenticated("the signature of the request is missing or wrong")


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not _NAME.fullmatch(value):
        raise InvalidInput(name, expected="a short name", got=value)
    return value
