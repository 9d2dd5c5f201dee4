# SPDX-License-Identifier: MPL-2.0
"""One request to a fake Bugzilla, and how its answers and errors are headed."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from shipit.world.bugzilla_json import Wanted
from shipit.world.bugzilla_state import Says, User

Body = dict[str, Any]


class Call:
    """One request: who asks, with which parameters and JSON body."""

    def __init__(self, request: web.Request, viewer: User | None, body: Any) -> None:
        self.query: Sequence[tuple[str, str]] = list(request.query.items())
        self.path = request.match_info
        self.viewer = viewer
        self.body = body

    def wanted(self) -> Wanted:
        """Which fields the answer shall have."""
        return Wanted(self.query)

    def all(self, name: str) -> list[str]:
        """Every value of a parameter; commas separate too."""
        return [part for key, value in self.query if key == name for part in value.split(",") if part]

    def login(self) -> User:
        """Who asks. Raises Says 410 when nobody says so."""
        if self.viewer is None:
            raise Says(410, "You must log in before using this part of Bugzilla.", HTTPStatus.UNAUTHORIZED)
        return self.viewer

    def object(self) -> Body:
        """The JSON body as an object, empty when there is none. Raises Says 100500, which has HTTP 200."""
        if self.body in (None, ""):
            return {}
        if not isinstance(self.body, dict):
            raise Says(100500, None, HTTPStatus.OK)
        return self.body

    def number(self) -> int:
        """The bug number of the path. Raises Says 100."""
        text = self.path["bug"]
        if not text.isdigit():
            raise Says(
                100,
                f"'{text}' is neither the number nor the alias of a bug.",
            )
        return int(text)


def answered(body: Any, status: int = 200) -> web.Response:
    """A JSON answer as Bugzilla heads it."""
    return web.json_response(body, status=status, headers={"Access-Control-Allow-Origin": "*"})


def said(error: Says) -> web.Response:
    """An error as Bugzilla words it."""
    body = {
        "error": True,
        "code": error.code,
        "message": error.message,
        "documentation": "docs/%lang%/html/api/",
    }
    return answered(body, error.status)
