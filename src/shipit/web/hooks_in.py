# SPDX-License-Identifier: MPL-2.0
"""Webhooks of GitHub, Herald and Harbormaster: whoever signs well is stored, and a listener does the rest."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shipit.errors import Missing
from shipit.events import signatures
from shipit.events.standing import WEBHOOKS
from shipit.events.types import Delivery
from shipit.settings import Secret
from shipit.storage import journal
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer
from shipit.web.problems import UnsupportedMedia
from shipit.web.scopes import Right

_STATUSES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND)
_Text = Annotated[str, Meta(max_length=300)]


class Stored(msgspec.Struct, frozen=True):
    """The delivery is stored, now or before, under this key."""

    key: str


class TargetQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a build step says of its target: the parameters of its URL."""

    target: _Text = ""
    diff: _Text = ""
    revision: _Text = ""
    repository: _Text = ""


@endpoint(
    "POST",
    "/hooks/github",
    Contract(
        right=Right.PUBLIC,
        summary="GitHub's webhook, signed with its secret; a redelivery is known by its id",
        body=dict[str, Any],
        answer=Stored,
        status=HTTPStatus.ACCEPTED,
        statuses=_STATUSES,
    ),
)
async def github(request: Asked) -> Answer:
    """Store what GitHub tells."""
    keys = _keys(house(request).settings.listener.github_secret)
    headers = {name.lower(): value for name, value in request.headers.items()}
    delivery = signatures.read_github(headers, await request.body(), keys)
    media = headers.get("content-type", "").split(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMedia("the webhook's content type must be application/json")
    return await _store(request, delivery)


@endpoint(
    "POST",
    "/hooks/herald",
    Contract(
        right=Right.PUBLIC,
        summary="Phabricator's Herald webhook, signed with its HMAC key",
        body=dict[str, Any],
        answer=Stored,
        status=HTTPStatus.ACCEPTED,
        statuses=_STATUSES,
    ),
)
async def herald(request: Asked) -> Answer:
    """Store what Herald tells."""
    keys = _keys(house(request).settings.listener.herald_key)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return await _store(request, signatures.read_herald(headers, await request.body(), keys))


@endpoint(
    "POST",
    "/hooks/harbormaster",
    Contract(
        right=Right.PUBLIC,
        summary="A Harbormaster build step's request, its password by HTTP basic authorization",
        query=TargetQuery,
        answer=Stored,
        status=HTTPStatus.ACCEPTED,
        statuses=_STATUSES,
    ),
)
async def harbormaster(request: Asked) -> Answer:
    """Store that a build target waits."""
    keys = _keys(house(request).settings.listener.harbormaster_key)
    query = reading.query(request, TargetQuery)
    given = signatures.read_target(
        msgspec.structs.asdict(query), _password(request.headers.get("authorization", "")), keys
    )
    return await _store(request, given)


HANDLERS = [github, herald, harbormaster]


def _keys(secret: Secret | None) -> list[str]:
    keys = secret.reveal().split() if secret is not None else []
    if not keys:
        raise Missing("this webhook is not set up here")
    return keys


def _password(authorization: str) -> str:
    scheme, _, coded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        plain = base64.b64decode(coded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return plain.partition(":")[2]


async def _store(request: Asked, delivery: Delivery) -> Answer:
    things = house(request)
    async with things.database.connection() as connection:
        heard = await journal.receive(
            connection, delivery, source=WEBHOOKS[delivery.source], instance=things.settings.instance
        )
    return json_answer(Stored(heard.key), HTTPStatus.ACCEPTED)
