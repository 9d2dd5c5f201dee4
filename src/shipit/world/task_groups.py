# SPDX-License-Identifier: MPL-2.0
"""Task groups in the fake Taskcluster: listed in pages, cancelled, sealed; hooks that make them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

from shipit.world.server import Clock, utc_now
from shipit.world.taskcluster import Body, FakeTaskcluster, Says


class FakeTaskGroups(FakeTaskcluster):
    """As the queue answers: a group is unknown until its first task, and cancelled only when sealed."""

    def __init__(self, now: Clock = utc_now, *, page: int = 1000) -> None:
        super().__init__(now)
        self.page = page
        self.groups: dict[str, list[Body]] = {}
        self.sealed: set[str] = set()
        self.cancelled: list[str] = []

    def add_task(self, group: str, task: str, state: str = "pending", **more: Any) -> None:
        """A task of a group; more: label, kind, reason, retries, env."""
        run = {"runId": 0, "state": state, "reasonResolved": more.get("reason")}
        status = {
            "taskId": task,
            "taskGroupId": group,
            "state": state,
            "runs": [run],
            "retriesLeft": more.get("retries", 0),
        }
        label = more.get("label", task)
        definition = {
            "tags": {"label": label, "kind": more.get("kind", "")},
            "metadata": {"name": label},
            "payload": {"env": more["env"]} if "env" in more else {},
        }
        self.groups.setdefault(group, []).append({"status": status, "task": definition})

    def resolve(self, group: str, task: str, state: str, reason: str | None = None) -> None:
        """A task ends, or (pending) is rerun."""
        for each in self.groups[group]:
            if each["status"]["taskId"] == task:
                each["status"]["state"] = state
                each["status"]["runs"].append({"state": state, "reasonResolved": reason or state})

    def routes(self) -> list[web.RouteDef]:
        """The queue's methods for groups, and auth's for clients, beside the others."""
        more = [
            ("GET", "/api/queue/v1/task-group/{group}/list", "listTaskGroup", self._list),
            ("POST", "/api/queue/v1/task-group/{group}/seal", "sealTaskGroup", self._seal),
            ("POST", "/api/queue/v1/task-group/{group}/cancel", "cancelTaskGroup", self._cancel_group),
            ("POST", "/api/queue/v1/task/{task}/cancel", "cancelTask", self._cancel_task),
            ("GET", "/api/auth/v1/clients/{client:.+}", "client", self._client),
        ]
        return [
            *super().routes(),
            *(web.route(verb, path, self._handler(method, call)) for verb, path, method, call in more),
        ]

    def _list(self, request: web.Request, body: Body, who: Body) -> Body:
        group = request.match_info["group"]
        if group not in self.groups:
            raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", f"No task-group with taskGroupId: {group}")
        start = int(request.query.get("continuationToken", 0))
        limit = min(self.page, int(request.query.get("limit", 1000)))
        tasks = self.groups[group]
        answer: Body = {
            "taskGroupId": group,
            "schedulerId": "releng",
            "tasks": tasks[start : start + limit],
        }
        if group in self.sealed:
            answer["sealed"] = self.now().isoformat()
        if start + limit < len(tasks):
            answer["continuationToken"] = str(start + limit)
        return answer

    def _seal(self, request: web.Request, body: Body, who: Body) -> Body:
        group = request.match_info["group"]
        self._need(who, f"queue:seal-task-group:releng/{group}")
        self.sealed.add(group)
        return {"taskGroupId": group, "schedulerId": "releng", "sealed": self.now().isoformat()}

    def _cancel_group(self, request: web.Request, body: Body, who: Body) -> Body:
        group = request.match_info["group"]
        self._need(who, f"queue:cancel-task-group:releng/{group}")
        if group not in self.sealed:
            raise Says(HTTPStatus.CONFLICT, "RequestConflict", "The task group is not sealed")
        for each in self.groups.get(group, ()):
            if each["status"]["state"] in ("unscheduled", "pending", "running"):
                self.resolve(group, each["status"]["taskId"], "exception", "canceled")
        self.cancelled.append(group)
        return {"taskGroupId": group, "cancelledCount": 0, "taskIds": []}

    def _cancel_task(self, request: web.Request, body: Body, who: Body) -> Body:
        task = request.match_info["task"]
        self._need(who, f"queue:cancel-task:releng/{task}")
        for group, tasks in self.groups.items():
            if any(each["status"]["taskId"] == task for each in tasks):
                self.resolve(group, task, "exception", "canceled")
                self.cancelled.append(task)
                return {"status": {"taskId": task}}
        if task in self.tasks:
            self.set_task(task, "exception", "canceled")
            self.cancelled.append(task)
            return {"status": {"taskId": task}}
        raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", "No such task")

    def _client(self, request: web.Request, body: Body, who: Body) -> Body:
        name = request.match_info["client"]
        found = self.clients.get(name)
        if found is None:
            raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", "Client not found")
        scopes = self.roles.expanded(found.scopes)
        return {"clientId": name, "disabled": False, "expandedScopes": scopes}
