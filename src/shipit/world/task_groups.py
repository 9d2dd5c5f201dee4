# SPDX-License-Identifier: MPL-2.0
"""Task groups in the fake Taskcluster: listed in pages, cancelled, sealed; hooks and actions make them."""

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
        self.actions: dict[str, Body] = {}

    def add_decision(
        self, task: str, *names: str, hook: tuple[str, str] = ("project-gecko", "action")
    ) -> None:
        """A decision task of its own group, done, with actions of these names, all through one hook."""
        self.add_hook(*hook)
        self.add_task(task, task, "completed", kind="decision-task")
        self.tasks[task] = "completed"
        user = {name: {"$eval": name} for name in ("input", "taskId", "taskGroupId")}
        self.actions[task] = {
            "version": 1,
            "variables": {},
            "actions": [
                {
                    "name": name,
                    "kind": "hook",
                    "context": [],
                    "hookGroupId": hook[0],
                    "hookId": hook[1],
                    "hookPayload": {
                        "decision": {"action": {"name": name, "taskGroupId": task}},
                        "user": user,
                    },
                }
                for name in names
            ],
        }

    def group_of(self, task: str) -> str:
        """The group a task is in: an action's task is in that of its decision task."""
        for fired in self.fired:
            if fired.task == task and "user" in fired.payload:
                return str(fired.payload["user"]["taskGroupId"])
        return next((name for name, tasks in self.groups.items() if _has(tasks, task)), task)

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
            ("GET", "/api/hooks/v1/hooks/{group}/{hook}/last-fires", "listLastFires", self._fires),
            ("GET", "/api/queue/v1/task/{task}/artifact-content/{name:.+}", "artifact", self._artifact),
            ("GET", "/api/queue/v1/task/{task}", "task", self._definition),
            ("GET", "/artifacts/{task}", "content", self._content),
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
            self.tasks[task] = "exception"
            self.cancelled.append(task)
            return {"status": {"taskId": task}}
        if task in self.tasks:
            self.set_task(task, "exception", "canceled")
            self.cancelled.append(task)
            return {"status": {"taskId": task}}
        raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", "No such task")

    def _fires(self, request: web.Request, body: Body, who: Body) -> Body:
        group, hook = request.match_info["group"], request.match_info["hook"]
        self._need(who, f"hooks:list-last-fires:{group}/{hook}")
        made = [each for each in self.fired if (each.group, each.hook) == (group, hook)]
        rows = [
            {
                "taskId": each.task,
                "taskCreateTime": each.at.isoformat(),
                "firedBy": "triggerHook",
                "result": "success",
            }
            for each in reversed(made)
        ]
        return {"lastFires": rows}

    def _artifact(self, request: web.Request, body: Body, who: Body) -> Body:
        task, name = request.match_info["task"], request.match_info["name"]
        if task not in self.actions or name != "public/actions.json":
            raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", "Artifact not found")
        return {"storageType": "s3", "url": f"{self.url}/artifacts/{task}"}

    def _content(self, request: web.Request, body: Body, who: Body) -> Body:
        return self.actions[request.match_info["task"]]

    def _definition(self, request: web.Request, body: Body, who: Body) -> Body:
        task = request.match_info["task"]
        for each in self.fired:
            if each.task == task:
                noted = each.payload.get("decision", {}).get("action", {})
                context = each.payload.get("user", {})
                extra = {"action": {"name": noted.get("name"), "context": context}}
                return {"taskGroupId": self.group_of(task), "extra": extra, "metadata": {}, "tags": {}}
        raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", "No such task")


def _has(tasks: list[Body], task: str) -> bool:
    return any(each["status"]["taskId"] == task for each in tasks)
