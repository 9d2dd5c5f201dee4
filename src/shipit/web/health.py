# SPDX-License-Identifier: MPL-2.0
"""Is it well: Dockerflow's three questions, and the numbers for Prometheus."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.metadata import version

import msgspec
from litestar import Response

from shipit.errors import ShipitError
from shipit.storage import rounds, visibility
from shipit.web.house import Answer, Asked, Contract, House, endpoint, house, json_answer
from shipit.web.metrics import CONTENT_TYPE
from shipit.web.scopes import Right

_SECONDS = 5
_WELL = "ok"


class Version(msgspec.Struct, frozen=True):
    """What is deployed. commit: null when nobody told."""

    source: str
    version: str
    commit: str | None
    build: str | None


class Heartbeat(msgspec.Struct, frozen=True):
    """status: "ok" or "error". checks: each "ok", or the sentence that says why not."""

    status: str
    checks: dict[str, str]


@endpoint("GET", "/__version__", Contract(right=Right.PUBLIC, summary="What is deployed", answer=Version))
async def tell_version(request: Asked) -> Answer:
    """What is deployed."""
    return json_answer(
        Version(
            source="https://github.com/mozilla-releng/services",
            version=version("shipit"),
            commit=house(request).commit,
            build=None,
        )
    )


@endpoint(
    "GET",
    "/__lbheartbeat__",
    Contract(right=Right.PUBLIC, summary="The process lives", answer=dict[str, str]),
)
async def tell_alive(request: Asked) -> Answer:
    """The process lives; asks nobody."""
    return json_answer({"status": _WELL})


@endpoint(
    "GET",
    "/__heartbeat__",
    Contract(
        right=Right.PUBLIC,
        summary="The database answers at the right schema, and the bot's rounds end",
        answer=Heartbeat,
        statuses=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
)
async def tell_heartbeat(request: Asked) -> Answer:
    """200 when all is well, else 503 with the reasons."""
    checks = await checked(house(request), now=datetime.now(UTC))
    is_well = all(each == _WELL for each in checks.values())
    return json_answer(
        Heartbeat(_WELL if is_well else "error", checks),
        HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE,
    )


@endpoint(
    "GET",
    "/metrics",
    Contract(
        right=Right.PUBLIC, summary="Numbers for Prometheus", answer=str, media=CONTENT_TYPE.split(";")[0]
    ),
)
async def tell_metrics(request: Asked) -> Answer:
    """Numbers for Prometheus; none names a bug, a train or a person."""
    things = house(request)
    things.metrics.streams.set(things.hub.streams)
    return Response(things.metrics.page(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


async def checked(things: House, *, now: datetime) -> dict[str, str]:
    """Each check with "ok" or what is wrong."""
    try:
        async with asyncio.timeout(_SECONDS), things.database.connection() as connection:
            found = await visibility.revision(connection)
            last = await rounds.last_finished(connection) if found == things.revision else None
    except TimeoutError:
        return {"database": f"no answer within {_SECONDS} s"}
    except ShipitError as error:
        # The sentence of the driver may name hosts and users; who asks here is anybody.
        return {"database": f"does not answer ({type(error).__name__})"}
    if found != things.revision:
        return {
            "database": _WELL,
            "schema": f"is at {found or 'nothing'}, needs {things.revision}: run `shipit db upgrade`",
        }
    return {
        "database": _WELL,
        "schema": _WELL,
        "rounds": _round(last, now, timedelta(minutes=things.settings.bot.stale_minutes), things),
    }


def _round(last: datetime | None, now: datetime, longest: timedelta, things: House) -> str:
    if last is None:
        return "no round yet"
    age = now - last
    things.metrics.round_age.set(age.total_seconds())
    if age > longest:
        return f"the last round that could read requests ended {round(age.total_seconds() / 60)} minutes ago"
    return _WELL


HANDLERS = [tell_version, tell_alive, tell_heartbeat, tell_metrics]
