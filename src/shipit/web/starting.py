# SPDX-License-Identifier: MPL-2.0
"""Starting releases over HTTP: which kinds there are, and one of them by its version and revision."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shipit.actions import starting
from shipit.actions.showing import described_pipeline
from shipit.actions.starting import KindView
from shipit.actions.steps import Described
from shipit.pipeline.definition import InvalidDefinition
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer
from shipit.web.pipelines import BOTH, hosts, now, person, refusal
from shipit.web.scopes import Right

Word = Annotated[str, Meta(max_length=64)]


class StartBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which kind, of which version, out of which revision. values: others of its template."""

    kind: Word
    version: Word = ""
    revision: Word = ""
    values: dict[str, Any] = {}


@endpoint(
    "GET",
    "/api/release-kinds",
    Contract(right=Right.READ, summary="Kinds of releases that may be started", answer=list[KindView]),
)
async def list_kinds(request: Asked) -> Answer:
    """The kinds, and whether you may start each."""
    kinds = house(request).settings.releases
    async with house(request).database.connection() as connection:
        return json_answer(await starting.kinds_for(connection, kinds, person(request)))


@endpoint(
    "POST",
    "/api/releases",
    Contract(
        right=Right.USER,
        summary="Start a release: its build number and uid are given out here",
        body=StartBody,
        answer=Described,
        statuses=(HTTPStatus.CREATED, *BOTH),
    ),
)
async def start_release(request: Asked) -> Answer:
    """Start it; a revision that is being built already is answered with that build (200)."""
    body = await reading.body(request, StartBody)
    said = {name: value for name in starting.ASKED if (value := getattr(body, name).strip())}
    try:
        async with house(request).database.connection() as connection:
            stored, is_new = await starting.start(
                connection,
                house(request).settings.releases,
                body.kind,
                {**body.values, **said},
                person(request),
                check_url=hosts(request).refusal,
                now=now(),
            )
    except InvalidDefinition as error:
        return refusal(error)
    return json_answer(described_pipeline(stored, now()), HTTPStatus.CREATED if is_new else HTTPStatus.OK)


HANDLERS = [list_kinds, start_release]
