# SPDX-License-Identifier: MPL-2.0
"""The original pipeline service's own words, below /compat/pipeline, over the same rows."""

from __future__ import annotations

from typing import Any

import msgspec

from shipit.actions import pipelines as pipeline_acts
from shipit.actions.reconciling import reconcile
from shipit.actions.showing import described_pipeline
from shipit.errors import InvalidInput
from shipit.storage import pipelines
from shipit.web import reading
from shipit.web.compat.old_steps import MOST, OLD_WORD, reads, writes
from shipit.web.house import Answer, Asked, endpoint, house, json_answer
from shipit.web.pipelines import ABSENT, UID, now, part, person, put

PIPELINE = "/compat/pipeline"


class PipelineBody(msgspec.Struct, frozen=True):
    """A pipeline as the original took it."""

    parameters: dict[str, Any]
    uid: str | None = None


class OldStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pipeline's state."""

    state: str
    message: str = ""
    output: dict[str, Any] = {}


@endpoint("GET", PIPELINE, reads("Uids of pipelines", list[str]))
async def list_pipelines(request: Asked) -> Answer:
    """The first thousand."""
    async with house(request).database.connection() as connection:
        rows = await pipelines.page(connection, status=None, product=None, after="", limit=MOST)
    return json_answer([row.uid for row in rows])


@endpoint("PUT", f"{PIPELINE}/{{uid:str}}", writes("Create a pipeline", body=PipelineBody, parts=UID))
async def put_pipeline(request: Asked) -> Answer:
    """Create; the original's clients expect 200 whether it is new or not."""
    body = await reading.body(request, PipelineBody)
    uid = part(request)
    if body.uid not in (None, uid):
        raise InvalidInput("uid", expected=f"{uid!r}, as in the path", got=body.uid)
    answer = await put(request, uid, body.parameters)
    return answer if (answer.status_code or 0) >= 400 else json_answer({})


@endpoint("DELETE", f"{PIPELINE}/{{uid:str}}", writes("Cancel or remove a pipeline", parts=UID))
async def delete_pipeline(request: Asked) -> Answer:
    """Cancel what runs, remove what has ended."""
    async with house(request).database.connection() as connection:
        await pipeline_acts.delete(connection, part(request), person(request), now=now())
    return json_answer({})


@endpoint(
    "GET",
    f"{PIPELINE}/{{uid:str}}/definition",
    reads("A pipeline as it was put", PipelineBody, statuses=ABSENT, parts=UID),
)
async def pipeline_definition(request: Asked) -> Answer:
    """The definition."""
    uid = part(request)
    async with house(request).database.connection() as connection:
        given = await pipeline_acts.put_as(connection, uid)
    return json_answer(PipelineBody(given, uid))


@endpoint(
    "GET",
    f"{PIPELINE}/{{uid:str}}/status",
    reads("A pipeline's state", OldStatus, statuses=ABSENT, parts=UID),
)
async def pipeline_status(request: Asked) -> Answer:
    """The state in the original's words, with the message it promised."""
    async with house(request).database.connection() as connection:
        stored = await pipeline_acts.load(connection, part(request))
    shown = described_pipeline(stored, now())
    return json_answer(OldStatus(OLD_WORD[shown.status], shown.message, shown.output))


@endpoint("PUT", f"{PIPELINE}/ticktock", writes("Decide what is due; the runner does so by itself"))
async def ticktock(request: Asked) -> Answer:
    """Two at once, or beside the runner, start nothing twice."""
    async with house(request).database.connection() as connection:
        await reconcile(connection, now())
    return json_answer({})


HANDLERS = [list_pipelines, put_pipeline, delete_pipeline, pipeline_definition, pipeline_status, ticktock]
