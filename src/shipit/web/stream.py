# SPDX-License-Identifier: MPL-2.0
"""The route of live updates: server-sent events that end when the process is asked to."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from litestar import Response
from litestar.enums import HttpMethod
from litestar.response import Stream

from shipit.errors import ShipitError
from shipit.web.house import Answer, Asked, Contract, House, endpoint, house, viewer
from shipit.web.scopes import Right
from shipit.web.viewer import Audience

_MEDIA = "text/event-stream"


@endpoint(
    "GET",
    "/api/live",
    Contract(
        right=Right.READ,
        summary="Server-sent events: change, and resync after a gap",
        answer=str,
        media=_MEDIA,
    ),
)
async def live(request: Asked) -> Answer:
    """A stream of changes; a comment at least every 15 s, so that proxies keep it."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if request.method == HttpMethod.HEAD:
        # without a body nobody reads, and so nobody would ever end it
        return Response(b"", media_type=_MEDIA, headers=headers)
    last = request.headers.get("last-event-id")
    audience = viewer(request).audience
    events = house(request).hub.events(audience, last)
    if audience is not Audience.PUBLIC and "authorization" not in request.headers:
        events = _while_allowed(request, audience, events)
    return Stream(events, media_type=_MEDIA, headers=headers)


async def _while_allowed(
    request: Asked, audience: Audience, events: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """The events for as long as the session allows them; then the page comes back, as whoever it is then."""
    things = house(request)
    checked = time.monotonic()
    async for event in events:
        if time.monotonic() - checked >= things.hub.idle_seconds:
            if await _audience(request, things) is not audience:
                return
            checked = time.monotonic()
        yield event


async def _audience(request: Asked, things: House) -> Audience | None:
    """Of the session now; None when that cannot be found out."""
    if things.sessions is None:
        return None
    try:
        # An open page that nobody looks at is no use of the session.
        return (await things.sessions.viewer(request, is_use=False)).audience
    except ShipitError:
        return None


HANDLERS = [live]
