# SPDX-License-Identifier: MPL-2.0
"""The route of live updates: server-sent events that end when the process is asked to."""

from __future__ import annotations

from litestar import Response
from litestar.enums import HttpMethod
from litestar.response import Stream

from shipit.web.house import Answer, Asked, Contract, endpoint, house, viewer
from shipit.web.scopes import Right

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
    events = house(request).hub.events(viewer(request).audience, last)
    return Stream(events, media_type=_MEDIA, headers=headers)


HANDLERS = [live]
