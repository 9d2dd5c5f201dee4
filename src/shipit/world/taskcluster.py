# SPDX-License-Identifier: MPL-2.0
"""A fake Taskcluster that remembers: auth with real Hawk signatures, notify, secrets, hooks and the queue."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from shipit.world.server import Clock, Fake, utc_now
from shipit.world.taskcluster_auth import Client, Roles, Signatures, satisfies
from shipit.world.taskcluster_login import Logins

Body = dict[str, Any]

ANONYMOUS = (
    "auth:current-scopes",
    "auth:expand-scopes",
    "auth:get-client:*",
    "hooks:get:*",
    "queue:get-task:*",
    "queue:status:*",
)


class Says(Exception):
    """An error in Taskcluster's words."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Mail(msgspec.Struct, frozen=True):
    """A mail as sent."""

    address: str
    subject: str
    content: str
    link: tuple[str, str] | None
    reply_to: str | None
    at: datetime


class Fired(msgspec.Struct, frozen=True):
    """A hook that was triggered, and the task it made."""

    group: str
    hook: str
    payload: Mapping[str, Any]
    task: str
    by: str | None
    at: datetime


class FakeTaskcluster(Fake):
    """Taskcluster with its services below one root URL."""

    name = "taskcluster"

    def __init__(self, now: Clock = utc_now) -> None:
        super().__init__(now)
        self.clients: dict[str, Client] = {}
        self.roles = Roles({"anonymous": list(ANONYMOUS)})
        self.mails: list[Mail] = []
        self.denied: set[str] = set()
        self.undeliverable: set[str] = set()
        self.secrets: dict[str, Body] = {}
        self.hooks: set[tuple[str, str]] = set()
        self.fired: list[Fired] = []
        self.tasks: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.logins = Logins(self.clients, self.roles, lambda: self.now())
        self._signatures = Signatures(self.clients, self.roles, lambda: self.now())
        self._sent: set[str] = set()

    # --- verbs ------------------------------------------------------------------------------------

    def add_client(
        self, client_id: str, scopes: Sequence[str], *, token: str | None = None, days: float = 30
    ) -> str:
        """A client that may sign for `days`; its access token, random where none is given."""
        made = token or secrets.token_urlsafe(32)
        self.clients[client_id] = Client(client_id, made, list(scopes), self.now() + timedelta(days=days))
        return made

    def remove_client(self, client_id: str) -> None:
        """Its signatures are no longer good."""
        del self.clients[client_id]

    def add_role(self, name: str, scopes: Sequence[str]) -> None:
        """A role that `assume:<name>` brings."""
        self.roles.scopes[name] = list(scopes)

    def deny(self, address: str) -> None:
        """This address wants no mail."""
        self.denied.add(address)

    def break_mail(self, address: str) -> None:
        """Whoever delivers the mail refuses this address: HTTP 500."""
        self.undeliverable.add(address)

    def set_secret(self, name: str, secret: Body) -> None:
        """A secret by name."""
        self.secrets[name] = secret

    def add_hook(self, group: str, hook: str) -> None:
        """A hook that may be triggered."""
        self.hooks.add((group, hook))

    def set_task(self, task: str, state: str, reason: str | None = None) -> None:
        """A hook's task comes along, or ends. reason: why, where it is not the state itself."""
        self.tasks[task] = state
        if state in ("completed", "failed", "exception"):
            self.reasons[task] = reason or state

    # --- HTTP -------------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        """The services' methods; those that read nothing private need no scopes."""
        table: list[tuple[str, str, str, Callable[[web.Request, Body, Body], Any]]] = [
            ("POST", "/api/auth/v1/authenticate-hawk", "authenticateHawk", self._authenticate),
            ("POST", "/api/auth/v1/scopes/expand", "expandScopes", self._expand),
            ("GET", "/api/auth/v1/scopes/current", "currentScopes", self._current),
            ("GET", "/api/auth/v1/clients/{clientId:.+}", "client", self._client),
            ("GET", "/api/auth/v1/ping", "ping", self._ping),
            ("POST", "/api/notify/v1/email", "email", self._email),
            ("GET", "/api/secrets/v1/secret/{name:.+}", "get", self._secret),
            ("POST", "/api/hooks/v1/hooks/{hookGroupId}/{hookId}/trigger", "triggerHook", self._trigger),
            ("GET", "/api/queue/v1/task/{taskId}/status", "status", self._status),
            ("GET", "/api/queue/v1/ping", "ping", self._ping),
        ]
        services = [web.route(verb, path, self._handler(method, call)) for verb, path, method, call in table]
        return services + self.logins.routes()

    def error_page(self) -> web.Response:
        """HTTP 500 as Taskcluster words an error it does not explain."""
        info = {"method": "", "params": {}, "payload": {}, "time": self.now().isoformat()}
        message = "Internal Server Error, incidentId 0."
        body = {"code": "InternalServerError", "message": message, "requestInfo": info}
        return web.json_response(body, status=500)

    def _handler(
        self, method: str, call: Callable[[web.Request, Body, Body], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            text = await request.text()
            try:
                body = json.loads(text) if text else {}
                who = {} if method == "authenticateHawk" else self._who(request, method)
                answer = call(request, body, who)
            except Says as error:
                return self._said(request, method, text, error)
            if isinstance(answer, web.StreamResponse):
                return answer
            return web.json_response(answer, headers={"Access-Control-Allow-Origin": "*"})

        return handle

    def _said(self, request: web.Request, method: str, text: str, error: Says) -> web.Response:
        time = self.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
        tail = f"* method: {method}\n* errorCode: {error.code}\n* statusCode: {int(error.status)}\n* time: "
        info = {"method": method, "params": dict(request.match_info), "payload": json.loads(text or "{}")}
        body = {
            "code": error.code,
            "message": f"{error.message}\n\n---\n\n{tail}{time}",
            "requestInfo": info | {"time": time},
        }
        return web.json_response(body, status=error.status)

    def _who(self, request: web.Request, method: str) -> Body:
        """Who signed this request, as the services ask auth. Raises Says 401."""
        host, _, port = request.host.partition(":")
        answer = self._signatures.judged(
            {
                "method": request.method.lower(),
                "resource": request.raw_path,
                "host": host,
                "port": port or "80",
                "authorization": request.headers.get("Authorization"),
            }
        )
        if answer["status"] == "auth-failed":
            raise Says(HTTPStatus.UNAUTHORIZED, "AuthenticationFailed", answer["message"])
        return answer

    def _need(self, who: Body, scope: str) -> None:
        if satisfies(who["scopes"], [scope]):
            return
        words = f"satisfy the following scope expression:\n\n```\n{scope}\n```"
        if "clientId" in who:
            message = f"Client ID {who['clientId']} does not have sufficient scopes. It must {words}"
        else:
            message = f"This request requires Taskcluster credentials that {words}"
        raise Says(HTTPStatus.FORBIDDEN, "InsufficientScopes", message)

    # --- auth -------------------------------------------------------------------------------------

    def _authenticate(self, request: web.Request, body: Body, who: Body) -> Body:
        lacking = [name for name in ("method", "resource", "host", "port") if name not in body]
        if lacking:
            message = f"data must have required property '{lacking[0]}'"
            raise Says(HTTPStatus.BAD_REQUEST, "InputValidationError", message)
        return self._signatures.judged(body)

    def _expand(self, request: web.Request, body: Body, who: Body) -> Body:
        return {"scopes": self.roles.expanded(body.get("scopes", []))}

    def _current(self, request: web.Request, body: Body, who: Body) -> Body:
        return {"scopes": who["scopes"]}

    def _client(self, request: web.Request, body: Body, who: Body) -> Body:
        name = request.match_info["clientId"]
        self._need(who, f"auth:get-client:{name}")
        client = self.clients.get(name)
        if client is None:
            raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", "Client not found!")
        day = self.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return {
            "clientId": name,
            "description": "",
            "expires": client.expires.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "created": day,
            "lastModified": day,
            "lastDateUsed": day,
            "lastRotated": day,
            "deleteOnExpiration": True,
            "scopes": client.scopes,
            "expandedScopes": self.roles.expanded(client.scopes),
            "disabled": client.is_disabled,
        }

    def _ping(self, request: web.Request, body: Body, who: Body) -> Body:
        return {"alive": True, "uptime": 1}

    # --- notify -----------------------------------------------------------------------------------

    def _email(self, request: web.Request, body: Body, who: Body) -> web.Response:
        address = str(body.get("address", ""))
        for name in ("address", "subject", "content"):
            if name not in body:
                message = f"data must have required property '{name}'"
                raise Says(HTTPStatus.BAD_REQUEST, "InputValidationError", message)
        if "@" not in address or len(str(body["subject"])) > 255:
            message = 'data/address must match format "email", data/subject must be short'
            raise Says(HTTPStatus.BAD_REQUEST, "InputValidationError", message)
        self._need(who, f"notify:email:{address}")
        if address in self.denied:
            raise Says(HTTPStatus.BAD_REQUEST, "DenylistedAddress", f"Email {address} is denylisted")
        if address in self.undeliverable:
            message = "Internal Server Error, incidentId 0."
            raise Says(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalServerError", message)
        stamp = json.dumps(body, sort_keys=True)
        if stamp in self._sent:
            return web.Response(status=204)
        self._sent.add(stamp)
        link = body.get("link")
        self.mails.append(
            Mail(
                address=address,
                subject=str(body["subject"]),
                content=str(body["content"]),
                link=(link["text"], link["href"]) if link else None,
                reply_to=body.get("replyTo"),
                at=self.now(),
            )
        )
        return web.Response(text="OK", content_type="text/plain")

    # --- secrets, hooks, queue --------------------------------------------------------------------

    def _secret(self, request: web.Request, body: Body, who: Body) -> Body:
        name = request.match_info["name"]
        self._need(who, f"secrets:get:{name}")
        if name not in self.secrets:
            raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", "Secret not found")
        expires = self.now() + timedelta(days=1)
        return {"secret": self.secrets[name], "expires": expires.strftime("%Y-%m-%dT%H:%M:%S.000Z")}

    def _trigger(self, request: web.Request, body: Body, who: Body) -> Body:
        group, hook = request.match_info["hookGroupId"], request.match_info["hookId"]
        self._need(who, f"hooks:trigger-hook:{group}/{hook}")
        if (group, hook) not in self.hooks:
            raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", "No such hook")
        task = str(body.get("taskId") or secrets.token_urlsafe(16))
        if task in self.tasks:
            raise Says(HTTPStatus.BAD_REQUEST, "InputError", "While firing hook: duplicate key")
        self.tasks[task] = "pending"
        self.fired.append(Fired(group, hook, body, task, who.get("clientId"), self.now()))
        return {"taskId": task, "status": {"taskId": task}}

    def group_of(self, task: str) -> str:
        """The group a task is in: its own, as hooks have it."""
        return task

    def _status(self, request: web.Request, body: Body, who: Body) -> Body:
        task = request.match_info["taskId"]
        self._need(who, f"queue:status:{task}")
        if task not in self.tasks:
            message = f"`{task}` does not correspond to a task that exists.\nAre you sure this task exists?"
            raise Says(HTTPStatus.NOT_FOUND, "ResourceNotFound", message)
        day = (self.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        state = self.tasks[task]
        run = {"runId": 0, "state": state, "reasonCreated": "scheduled", "scheduled": day}
        if state == "exception":
            run["reasonResolved"] = "canceled"
        if task in self.reasons:
            run["reasonResolved"] = self.reasons[task]
        status = {
            "taskId": task,
            "provisionerId": "proj-shipit",
            "workerType": "ci",
            "taskQueueId": "proj-shipit/ci",
            "schedulerId": "-",
            "projectId": "none",
            "taskGroupId": self.group_of(task),
            "priority": "lowest",
            "deadline": day,
            "expires": day,
            "retriesLeft": 1,
            "state": state,
            "runs": [run],
        }
        return {"status": status}
