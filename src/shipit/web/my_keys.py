# SPDX-License-Identifier: MPL-2.0
"""One's own keys over HTTP: a key goes in and never comes out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from shipit.actions import my_keys
from shipit.storage.keys import Kept
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer, nothing
from shipit.web.pipelines import part, person
from shipit.web.scopes import Right

PARTS = ("system",)


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key, as the service gave it to its owner."""

    key: Annotated[str, Meta(max_length=1000)]

    def __repr__(self) -> str:
        return "KeyBody(…)"


@endpoint(
    "GET",
    "/api/me/keys",
    Contract(right=Right.USER, summary="Which keys one has here, and as whom they write", answer=list[Kept]),
)
async def list_keys(request: Asked) -> Answer:
    """One's keys, without the keys."""
    return json_answer(await my_keys.listed(house(request).database, person(request)))


@endpoint(
    "PUT",
    "/api/me/keys/{system:str}",
    Contract(
        right=Right.USER,
        summary="Keep a key to write with as oneself; the service is asked whose it is",
        body=KeyBody,
        answer=Kept,
        statuses=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
        parts=PARTS,
    ),
)
async def put_key(request: Asked) -> Answer:
    """Keep a key, encrypted."""
    body = await reading.body(request, KeyBody)
    things = house(request)
    kept = await my_keys.enter(
        things.database, things.vault, things.whose, person(request), part(request, "system"), body.key
    )
    return json_answer(kept)


@endpoint(
    "DELETE",
    "/api/me/keys/{system:str}",
    Contract(
        right=Right.USER,
        summary="Forget a key",
        status=HTTPStatus.NO_CONTENT,
        statuses=(HTTPStatus.NOT_FOUND,),
        parts=PARTS,
    ),
)
async def drop_key(request: Asked) -> Answer:
    """Forget a key."""
    await my_keys.forget(house(request).database, person(request), part(request, "system"))
    return nothing()


HANDLERS = [list_keys, put_key, drop_key]
