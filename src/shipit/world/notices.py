# SPDX-License-Identifier: MPL-2.0
"""The fake Taskcluster's notices to Matrix rooms and Slack channels, as its API reference describes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus

import msgspec
from aiohttp import web

from shipit.world.looking import task_pages
from shipit.world.server import Clock, utc_now
from shipit.world.task_groups import FakeTaskGroups
from shipit.world.taskcluster import Body, Says

# service -> the field that names who is told, its scope, and every other field with whether it must be there
_SHAPES: dict[str, tuple[str, str, Mapping[str, bool]]] = {
    "matrix": (
        "roomId",
        "notify:matrix-room:",
        {"body": True, "msgtype": False, "format": False, "formattedBody": False},
    ),
    "slack": (
        "channelId",
        "notify:slack-channel:",
        {"text": True, "blocks": False, "attachments": False, "unfurlLinks": False, "unfurlMedia": False},
    ),
}
_KINDS = ("m.notice", "m.text", "m.emote")


class Notice(msgspec.Struct, frozen=True):
    """A notice as told. service: matrix or slack; to: the room or channel."""

    service: str
    to: str
    text: str
    at: datetime


class FakeNotices(FakeTaskGroups):
    """Everything of the fake Taskcluster. unknown: rooms and channels it cannot tell: HTTP 500."""

    def __init__(self, now: Clock = utc_now) -> None:
        super().__init__(now)
        self.notices: list[Notice] = []
        self.unknown: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        """notify's methods for rooms and channels, beside the others, and pages for people."""
        return [
            *super().routes(),
            *task_pages(self),
            *(
                web.post(f"/api/notify/v1/{service}", self._handler(service, self._notice))
                for service in _SHAPES
            ),
        ]

    def _notice(self, request: web.Request, body: Body, who: Body) -> web.Response:
        service = request.path.rsplit("/", 1)[-1]
        target, scope, fields = _SHAPES[service]
        for name in (target, *(name for name, is_needed in fields.items() if is_needed)):
            if name not in body:
                raise _refused(f"data must have required property '{name}'")
        if body.keys() - {target, *fields}:
            raise _refused("data must NOT have additional properties")
        if body.get("msgtype", _KINDS[0]) not in _KINDS:
            raise _refused("data/msgtype must be equal to one of the allowed values")
        to = str(body[target])
        self._need(who, scope + to)
        if to in self.unknown:
            raise Says(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "InternalServerError",
                "Internal Server Error, incidentId 0.",
            )
        text = str(body["body" if service == "matrix" else "text"])
        self.notices.append(Notice(service, to, text, self.now()))
        return web.Response(text="OK", content_type="text/plain")


def _refused(message: str) -> Says:
    return Says(HTTPStatus.BAD_REQUEST, "InputValidationError", message)
