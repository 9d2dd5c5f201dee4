# SPDX-License-Identifier: MPL-2.0
"""Taskcluster as the listener needs it: triggers whose every answer is a value, tasks, groups, notices.

Each call is one signed request with a bounded wait; a trigger is never repeated here, since only who asked
knows whether it may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from shipit.clients.hawk import signature
from shipit.clients.http import Answer as HttpAnswer
from shipit.clients.http import CallCounter, Door, checked_url, moment, url_part
from shipit.errors import Unavailable
from shipit.events.deliveries import part
from shipit.events.effects import Answer
from shipit.events.groups import tasks_of
from shipit.events.types import GroupTask

SERVICE = "Taskcluster"
ENDED = ("completed", "failed", "exception")
"""States of a task that is resolved."""
_JSON = "application/json"
_MAX_PAGES = 1000


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A task as the queue knows it. reason: of its last run, when it is resolved."""

    task_id: str
    state: str
    reason: str | None


class Fire(msgspec.Struct, frozen=True, kw_only=True):
    """A time a hook fired. at: when its task was made."""

    task_id: str
    at: datetime
    is_good: bool


class Hooks:
    """The deployment at `root_url`; credentials: {clientId, accessToken, certificate?}, {} for anonymous."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        root_url: str,
        credentials: Mapping[str, str],
        *,
        calls: CallCounter | None = None,
        timeout: float = 20.0,
        attempts: int = 2,
    ) -> None:
        self.root_url = checked_url("taskcluster.root_url", root_url)
        self._credentials = credentials
        # its pause after "too many requests" would also hold back what other routes may do
        self._door = Door(
            session,
            SERVICE,
            calls=calls,
            timeout=timeout,
            attempts=attempts,
            penalty=timedelta(seconds=20),
        )

    async def trigger(self, group: str, hook: str, payload: Mapping[str, Any]) -> Answer:
        """Fire a hook. Every answer is a value; status 0 when none came."""
        path = f"hooks/v1/hooks/{url_part(group)}/{url_part(hook)}/trigger"
        return await self._told("POST", path, dict(payload))

    async def create_task(self, task_id: str, definition: Mapping[str, Any]) -> Answer:
        """Create a task; the same one again is a success."""
        return await self._told("PUT", f"queue/v1/task/{url_part(task_id)}", dict(definition))

    async def cancel_task(self, task_id: str) -> Answer:
        """Cancel a task."""
        return await self._told("POST", f"queue/v1/task/{url_part(task_id)}/cancel", None)

    async def status(self, task_id: str) -> TaskStatus | None:
        """A task's state, None when the queue knows no such task. Raises Unavailable."""
        answer = await self._ask("GET", f"queue/v1/task/{url_part(task_id)}/status")
        if answer.status == 404:
            return None
        status = part(self._good(answer), "status")
        state, runs = status.get("state"), status.get("runs")
        if not isinstance(state, str):
            raise Unavailable(SERVICE, "a task without state")
        last = runs[-1] if isinstance(runs, list) and runs and isinstance(runs[-1], dict) else {}
        reason = last.get("reasonResolved")
        return TaskStatus(task_id=task_id, state=state, reason=reason if isinstance(reason, str) else None)

    async def environment(self, task_id: str) -> dict[str, str]:
        """The environment in a task's definition, {} when it has none or is unknown. Raises Unavailable."""
        answer = await self._ask("GET", f"queue/v1/task/{url_part(task_id)}")
        if answer.status == 404:
            return {}
        env = part(part(self._good(answer), "payload"), "env")
        return {name: value for name, value in env.items() if isinstance(value, str)}

    async def group_tasks(self, group: str) -> tuple[GroupTask, ...] | None:
        """The tasks of a group, each once; None when there is no such group. Raises Unavailable.

        A page may be empty and still have a successor.
        """
        pages: list[dict[str, Any]] = []
        token: str | None = None
        for _ in range(_MAX_PAGES):
            params = [("limit", "1000"), *([("continuationToken", token)] if token else [])]
            answer = await self._ask("GET", f"queue/v1/task-group/{url_part(group)}/list", params=params)
            if answer.status == 404 and not pages:
                return None
            pages.append(self._good(answer))
            following = pages[-1].get("continuationToken")
            if not isinstance(following, str) or not following:
                return tasks_of(pages)
            token = following
        raise Unavailable(SERVICE, f"task group {group} has more than {_MAX_PAGES} pages")

    async def indexed_group(self, namespace: str) -> str | None:
        """The group of the task that the index holds there, None when it holds none. Raises Unavailable."""
        answer = await self._ask("GET", f"index/v1/task/{url_part(namespace)}")
        if answer.status == 404:
            return None
        task = self._good(answer).get("taskId")
        if not isinstance(task, str):
            raise Unavailable(SERVICE, "an index entry without task")
        answer = await self._ask("GET", f"queue/v1/task/{url_part(task)}/status")
        if answer.status == 404:
            return None
        group = part(self._good(answer), "status").get("taskGroupId")
        return group if isinstance(group, str) else None

    async def trigger_schema(self, group: str, hook: str) -> dict[str, Any] | None:
        """The schema of a hook's payload; None when there is no such hook. Raises Unavailable."""
        answer = await self._ask("GET", f"hooks/v1/hooks/{url_part(group)}/{url_part(hook)}")
        return None if answer.status == 404 else part(self._good(answer), "triggerSchema")

    async def last_fires(self, group: str, hook: str) -> list[Fire]:
        """The last times a hook fired, [] when it never did. Raises Unavailable."""
        answer = await self._ask("GET", f"hooks/v1/hooks/{url_part(group)}/{url_part(hook)}/last-fires")
        if answer.status == 404:
            return []
        fires = self._good(answer).get("lastFires")
        found = []
        for row in fires if isinstance(fires, list) else ():
            try:
                at = moment(row["taskCreateTime"])
                fire = Fire(task_id=str(row["taskId"]), at=at, is_good=row.get("result") == "success")
            except (KeyError, TypeError, ValueError):
                continue
            found.append(fire)
        return found

    async def mail(self, address: str, subject: str, content: str, *, template: str = "fullscreen") -> Answer:
        """Send Markdown by mail; status 204 means that it was not sent (denied, limited, or told already)."""
        body = {"address": address, "subject": subject[:255], "content": content, "template": template}
        return await self._told("POST", "notify/v1/email", body)

    async def tell(self, channel: str, target: str, text: str) -> Answer:
        """Tell a "matrix" room or a "slack" channel."""
        if channel == "matrix":
            body = {"roomId": target, "body": text, "msgtype": "m.notice"}
        else:
            body = {"channelId": target, "text": text}
        return await self._told("POST", f"notify/v1/{channel}", body)

    async def post(self, url: str, payload: Mapping[str, Any], *, key: str) -> Answer:
        """POST JSON to somebody else, unsigned, with an Idempotency-Key."""
        headers = {"Content-Type": _JSON, "Idempotency-Key": key}
        try:
            answer = await self._door.ask(
                "POST", url, headers=headers, body=msgspec.json.encode(payload), limit=1 << 20
            )
        except Unavailable as error:
            return Answer(status=0, detail=error.detail, retry_at=error.retry_at)
        return Answer(status=answer.status, detail=answer.text[:500])

    async def ping(self) -> None:
        """Whether the queue answers. Raises Unavailable."""
        self._good(await self._ask("GET", "queue/v1/ping"))

    async def _told(self, method: str, path: str, body: Any) -> Answer:
        try:
            answer = await self._ask(method, path, body)
        except Unavailable as error:
            return Answer(status=0, detail=error.detail, retry_at=error.retry_at)
        said: Any = {}
        if answer.status != 204 and "json" in answer.content_type:
            try:
                said = answer.json()
            except Unavailable as error:
                return Answer(status=0, detail=error.detail)
        said = said if isinstance(said, dict) else {}
        if answer.status < 300:
            task = said.get("taskId", part(said, "status").get("taskId"))
            declined = path.endswith("/trigger") and not isinstance(task, str)
            return Answer(
                status=answer.status,
                task_id=task if isinstance(task, str) else None,
                is_declined=declined,
            )
        return Answer(status=answer.status, detail=_words(answer, said))

    async def _ask(
        self, method: str, path: str, body: Any = None, *, params: list[tuple[str, str]] | None = None
    ) -> HttpAnswer:
        query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params or ())
        url = f"{self.root_url}/api/{path}" + (f"?{query}" if query else "")
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"Accept": _JSON}
        if content:
            headers["Content-Type"] = _JSON
        if self._credentials:
            headers["Authorization"] = signature(
                self._credentials, method, url, content, _JSON if content else ""
            )
        return await self._door.ask(method, url, headers=headers, body=content or None)

    def _good(self, answer: HttpAnswer) -> dict[str, Any]:
        said = answer.json()
        if answer.status >= 400 or not isinstance(said, dict):
            words = _words(answer, said if isinstance(said, dict) else {})
            raise Unavailable(SERVICE, f"answered {answer.status}: {words}")
        return said


def takes_task_id(schema: Mapping[str, Any]) -> bool:
    """Whether a hook's trigger schema lets a `taskId` through, as far as its outermost level tells."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and "taskId" in properties:
        return True
    if schema.get("type", "object") != "object":
        return False
    return schema.get("additionalProperties", True) is not False


def _words(answer: HttpAnswer, said: Mapping[str, Any]) -> str:
    """What the service said, without the repetition of our request below its rule."""
    message = str(said.get("message") or f"answered {answer.status}")
    return f"{said.get('code', answer.status)}: {message.split(chr(10) + '---', 1)[0].strip()}"[:1500]
