# SPDX-License-Identifier: MPL-2.0
"""A step service of somebody else, which remembers; its faults come before or after the effect happened."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from shipit.world.server import Clock, Fake, hang_up, utc_now

Body = dict[str, Any]


@dataclass
class Kept:
    """A step of the service."""

    parameters: Body
    status: str = "in_progress"
    message: str = ""
    output: Body = field(default_factory=dict)
    updated: str = ""


class FakeSteps(Fake):
    """Speaks the Step API below /steps. effects: how often each uid's work was really begun."""

    name = "steps"

    def __init__(self, now: Clock = utc_now) -> None:
        super().__init__(now)
        self.steps: dict[str, Kept] = {}
        self.effects: Counter[str] = Counter()
        self.deleted: list[str] = []
        self.ends_at_once: str | None = None
        self.is_forgetful = False
        self.cancels_slowly = False
        self._late: list[str] = []

    @property
    def api_url(self) -> str:
        """What a pipeline's step names."""
        return f"{self.url}/steps"

    def end(self, uid: str, status: str = "success", message: str = "", **output: Any) -> None:
        """A step ends, or (in_progress) runs again."""
        kept = self.steps[uid]
        kept.status, kept.message, kept.output = status, message, output

    def fail_after_effect(self, how: str, times: int = 1) -> None:
        """The next creations take effect, and then "error", "drop" or "hang" is all the caller hears."""
        self._late += [how] * times

    def routes(self) -> list[web.RouteDef]:
        """The Step API."""
        table: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
            ("GET", "/steps/", self._list),
            ("PUT", "/steps/{uid}", self._put),
            ("DELETE", "/steps/{uid}", self._delete),
            ("GET", "/steps/{uid}/definition", self._definition),
            ("GET", "/steps/{uid}/status", self._status),
        ]
        return [web.route(method, path, call) for method, path, call in table]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        limit, after = int(request.query.get("limit", 100)), request.query.get("after", "")
        wanted = request.query.get("status")
        uids = [uid for uid in sorted(self.steps) if uid > after and wanted in (None, self.steps[uid].status)]
        rows = [
            {"uid": uid, "status": self.steps[uid].status, "updated": self.steps[uid].updated}
            for uid in uids[:limit]
        ]
        return web.json_response({"steps": rows, "next": uids[limit - 1] if len(uids) > limit else None})

    async def _put(self, request: web.Request) -> web.StreamResponse:
        uid = request.match_info["uid"]
        try:
            parameters = json.loads(await request.text())["parameters"]
        except (ValueError, KeyError, TypeError):
            return web.json_response({"title": "expected {parameters: …}"}, status=400)
        known = self.steps.get(uid)
        if known is not None and not self.is_forgetful:
            if known.parameters != parameters:
                return web.json_response({"title": "another definition"}, status=409)
            return web.json_response({"uid": uid, "status": known.status})
        self.effects[uid] += 1
        status = self.ends_at_once or "in_progress"
        self.steps[uid] = Kept(parameters, status, updated=self.now().isoformat())
        match self._late.pop(0) if self._late else None:
            case "error":
                return self.error_page()
            case "drop":
                return hang_up(request)
            case "hang":
                await asyncio.sleep(3600)
        return web.json_response({"uid": uid, "status": status}, status=201)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        uid = request.match_info["uid"]
        known = self.steps.get(uid)
        if known is None:
            return web.json_response({"title": "no such step"}, status=404)
        self.deleted.append(uid)
        if self.cancels_slowly and known.status == "in_progress":
            return web.json_response({"uid": uid, "status": known.status})
        del self.steps[uid]
        status = "cancelled" if known.status == "in_progress" else known.status
        return web.json_response({"uid": uid, "status": status})

    async def _definition(self, request: web.Request) -> web.StreamResponse:
        uid = request.match_info["uid"]
        if uid not in self.steps:
            return web.json_response({"title": "no such step"}, status=404)
        return web.json_response({"uid": uid, "parameters": self.steps[uid].parameters})

    async def _status(self, request: web.Request) -> web.StreamResponse:
        uid = request.match_info["uid"]
        known = self.steps.get(uid)
        if known is None:
            return web.json_response({"title": "no such step"}, status=404)
        shown = {"uid": uid, "status": known.status, "message": known.message, "output": known.output}
        return web.json_response({**shown, "details": {"by": "the fake"}})
