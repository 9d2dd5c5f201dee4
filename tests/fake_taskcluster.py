# SPDX-License-Identifier: MPL-2.0
"""A Taskcluster and a Conduit that remember, over real HTTP, answering triggers as the recorded ones do."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

SLUG = re.compile(r"[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]")


@dataclass
class FakeTaskcluster:
    """Hooks, queue and notify. `misbehave` may answer in their place; `tasks` is the truth."""

    url: str = ""
    groups: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    fires: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    schemas: dict[str, dict[str, Any]] = field(default_factory=dict)
    index: dict[str, str] = field(default_factory=dict)
    declines: bool = False
    forbidden: bool = False
    mails: list[dict[str, Any]] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    triggered: asyncio.Event = field(default_factory=asyncio.Event)
    times: list[float] = field(default_factory=list)
    misbehave: Callable[[web.Request], web.StreamResponse | float | None] = lambda request: None
    page_size: int = 1000

    def payloads(self) -> list[dict[str, Any]]:
        """What every task was triggered with, without its id."""
        return [task["payload"]["env"] for task in self.tasks.values()]

    def resolve(self, task: str, state: str, reason: str | None = None) -> None:
        """A task ends."""
        self.tasks[task]["state"] = state
        self.tasks[task]["runs"] = [{"runId": 0, "state": state, "reasonResolved": reason or state}]

    def app(self) -> web.Application:
        """Its routes."""
        app = web.Application(middlewares=[self._watch])
        api = "/api/{service}/v1"
        app.router.add_post("/api/hooks/v1/hooks/{group}/{hook}/trigger", self._trigger)
        app.router.add_get("/api/hooks/v1/hooks/{group}/{hook}/last-fires", self._last_fires)
        app.router.add_get("/api/hooks/v1/hooks/{group}/{hook}", self._hook)
        app.router.add_get("/api/queue/v1/task-group/{group}/list", self._list)
        app.router.add_get("/api/queue/v1/task/{task}/status", self._status)
        app.router.add_post("/api/queue/v1/task/{task}/cancel", self._cancel)
        app.router.add_get("/api/queue/v1/task/{task}", self._definition)
        app.router.add_put("/api/queue/v1/task/{task}", self._create)
        app.router.add_get(api + "/ping", self._ping)
        app.router.add_get("/api/index/v1/task/{namespace}", self._indexed)
        app.router.add_post("/api/notify/v1/{kind}", self._notify)
        return app

    @web.middleware
    async def _watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls[request.path.rsplit("/", 1)[-1]] += 1
        spoilt = self.misbehave(request)
        if isinstance(spoilt, float):
            await asyncio.sleep(spoilt)
        elif spoilt is not None:
            return spoilt
        response: web.StreamResponse = await handler(request)
        return response

    async def _indexed(self, request: web.Request) -> web.Response:
        task = self.index.get(request.match_info["namespace"])
        return web.json_response({"taskId": task}) if task else refused(404, "ResourceNotFound", "no task")

    async def _ping(self, request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _trigger(self, request: web.Request) -> web.Response:
        self.times.append(asyncio.get_running_loop().time())
        name = f"{request.match_info['group']}/{request.match_info['hook']}"
        payload = await request.json()
        schema = self.schemas.get(name, {})
        allowed = schema.get("properties", {})
        if schema.get("additionalProperties", True) is False and set(payload) - set(allowed):
            return refused(400, "InputError", "data must NOT have additional properties")
        task = payload.pop("taskId", None) or fresh_slug()
        if not SLUG.fullmatch(task):
            return refused(400, "InputError", f"Invalid taskId format: {task}")
        fires = self.fires.setdefault(name, [])
        known = any(fire["taskId"] == task for fire in fires)
        if self.forbidden:
            if not known:
                fires.append(fire_row(task, "error"))
            return refused(
                403, "InsufficientScopes", f"The role `hook-id:{name}` does not have sufficient scopes"
            )
        if self.declines:
            return web.json_response({})
        if task in self.tasks and not known:
            return refused(400, "InputError", "While calling createTask: RequestConflict")
        is_new = task not in self.tasks
        if is_new:
            self.tasks[task] = {"hook": name, "payload": {"env": payload}, "state": "pending", "runs": []}
        if known:
            return refused(400, "InputError", 'violates unique constraint "hooks_last_fires_pkey"')
        fires.append(fire_row(task, "success"))
        self.triggered.set()
        return web.json_response({"taskId": task, "status": {"taskId": task}})

    async def _last_fires(self, request: web.Request) -> web.Response:
        name = f"{request.match_info['group']}/{request.match_info['hook']}"
        if name not in self.fires:
            return refused(404, "ResourceNotFound", "No such hook")
        return web.json_response({"lastFires": self.fires[name]})

    async def _hook(self, request: web.Request) -> web.Response:
        name = f"{request.match_info['group']}/{request.match_info['hook']}"
        if name not in self.schemas:
            return refused(404, "ResourceNotFound", "No such hook")
        return web.json_response({"triggerSchema": self.schemas[name]})

    async def _list(self, request: web.Request) -> web.Response:
        rows = self.groups.get(request.match_info["group"])
        if rows is None:
            return refused(404, "ResourceNotFound", "no task group")
        start = int(request.query.get("continuationToken", "0"))
        size = min(self.page_size, int(request.query.get("limit", "1000")))
        answer: dict[str, Any] = {
            "taskGroupId": request.match_info["group"],
            "tasks": rows[start : start + size],
        }
        if start + size < len(rows):
            answer["continuationToken"] = str(start + size)
        return web.json_response(answer)

    async def _status(self, request: web.Request) -> web.Response:
        task = self.tasks.get(request.match_info["task"])
        if task is None:
            return refused(404, "ResourceNotFound", "no such task")
        status = {"taskId": request.match_info["task"], "state": task["state"], "runs": task["runs"]}
        status["taskGroupId"] = task.get("group", status["taskId"])
        return web.json_response({"status": status})

    async def _cancel(self, request: web.Request) -> web.Response:
        self.resolve(request.match_info["task"], "exception", "canceled")
        return web.json_response({"status": {}})

    async def _definition(self, request: web.Request) -> web.Response:
        task = self.tasks.get(request.match_info["task"])
        return web.json_response(task) if task else refused(404, "ResourceNotFound", "no such task")

    async def _create(self, request: web.Request) -> web.Response:
        task, definition = request.match_info["task"], await request.json()
        if task in self.tasks and self.tasks[task]["definition"] != definition:
            return refused(409, "RequestConflict", "already used by another task")
        row = {**definition, "definition": definition, "state": "pending", "runs": []}
        self.tasks.setdefault(task, row)
        return web.json_response({"status": {"taskId": task}})

    async def _notify(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("address") in self.denied:
            return refused(400, "DenylistedAddress", "denied")
        if any(mail == body for mail in self.mails):
            return web.Response(status=204)
        self.mails.append(body)
        return web.Response(text="OK")


@dataclass
class FakeConduit:
    """The parts of Differential and Harbormaster that the listener asks."""

    url: str = ""
    diffs: dict[int, dict[str, Any]] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    revisions: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    down: bool = False
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def add(
        self, number: int, *, revision: str | None = "PHID-DREV-a", repository: str = "PHID-REPO-a"
    ) -> str:
        """A new diff; its PHID."""
        fields = {"revisionPHID": revision, "repositoryPHID": repository, "authorPHID": "PHID-USER-a"}
        self.diffs[number] = {"id": number, "type": "DIFF", "phid": f"PHID-DIFF-{number}", "fields": fields}
        return f"PHID-DIFF-{number}"

    def app(self) -> web.Application:
        """Its routes."""
        app = web.Application()
        app.router.add_post("/api/{method}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = json.loads(str(form["params"]))
        method = request.match_info["method"]
        self.asked.append((method, asked))
        if self.down:
            return web.Response(status=500, text="<html>broken</html>")
        try:
            result = self._said(method, asked)
        except ValueError as error:
            return web.json_response(
                {"result": None, "error_code": "ERR-CONDUIT-CORE", "error_info": str(error)}
            )
        return web.json_response({"result": result, "error_code": None, "error_info": None})

    def _said(self, method: str, asked: dict[str, Any]) -> Any:
        match method:
            case "differential.diff.search":
                return self._search(asked)
            case "differential.revision.search":
                return {"data": self.revisions, "cursor": {"after": None}}
            case "diffusion.repository.search":
                (phid,) = asked["constraints"]["phids"]
                fields = {"name": "mozilla-central", "shortName": None, "callsign": "MC"}
                return {
                    "data": [{"phid": phid, "fields": fields, "attachments": {}}],
                    "cursor": {"after": None},
                }
            case "harbormaster.sendmessage":
                self.messages.append(asked)
                return None
        raise ValueError(f"no method {method}")

    def _search(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "constraints" in asked:
            wanted = asked["constraints"].get("phids", []) + asked["constraints"].get("ids", [])
            rows = [row for _, row in sorted(self.diffs.items()) if {row["phid"], row["id"]} & set(wanted)]
            return {"data": [row for row in rows if row["id"] not in self.hidden], "cursor": {"after": None}}
        oldest = asked["order"] == "oldest"
        numbers = sorted(self.diffs, reverse=not oldest)
        if (after := asked.get("after")) is not None:
            if int(after) not in self.diffs:
                raise ValueError(f'Cursor "{after}" does not identify a valid object')
            if int(after) in self.hidden:
                raise ValueError("You Shall Not Pass: Restricted Differential Diff")
            numbers = [n for n in numbers if (n > int(after) if oldest else n < int(after))]
        rows = [self.diffs[n] for n in numbers if n not in self.hidden]
        page = rows[: asked["limit"]]
        return {"data": page, "cursor": {"after": str(page[-1]["id"]) if len(rows) > len(page) else None}}


@asynccontextmanager
async def served(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """The app on loopback; its URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def group_row(name: str, *, task: str, env: dict[str, str] | None) -> dict[str, Any]:
    """A task as listTaskGroup shows it; env None: of a worker that has none."""
    payload: dict[str, Any] = {} if env is None else {"env": env}
    return {
        "status": {"taskId": task, "state": "completed", "runs": []},
        "task": {"metadata": {"name": name}, "payload": payload},
    }


def fire_row(task: str, result: str) -> dict[str, Any]:
    """A row of last-fires."""
    return {"taskId": task, "taskCreateTime": datetime.now(UTC).isoformat(), "result": result, "firedBy": "x"}


def fresh_slug() -> str:
    """A random task id."""
    while not SLUG.fullmatch(slug := secrets.token_urlsafe(16)):
        pass
    return slug


def refused(status: int, code: str, message: str) -> web.Response:
    """An error as Taskcluster words it."""
    said = f"{message}\n\n---\n\n* method:     x\n* errorCode:  {code}\n* statusCode: {status}"
    return web.json_response({"code": code, "message": said, "requestInfo": {}}, status=status)
