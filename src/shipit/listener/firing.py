# SPDX-License-Identifier: MPL-2.0
"""One try of one effect: the call, the question whether the task exists, the decision."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shipit.clients.hooks import Hooks
from shipit.errors import Unavailable
from shipit.events import effects as rules
from shipit.events.effects import Answer
from shipit.events.routes import Hook, Http, Mail, Sink, Task
from shipit.storage import effects
from shipit.storage.effects import Claimed
from shipit.storage.pool import Database

_SKEW = timedelta(seconds=60)
_WEAK_LEASE = timedelta(minutes=3)


class Firing:
    """Fires effects. `stirred` is set when there may be one to fire."""

    def __init__(
        self,
        db: Database,
        hooks: Hooks | None,
        *,
        stirred: asyncio.Event,
        deadline: timedelta,
        roll: Callable[[], float] = random.random,
    ) -> None:
        self.stirred = stirred
        self._db = db
        self._hooks = hooks
        self._deadline = deadline
        self._roll = roll

    async def fire(self, one: Claimed, sink: Sink) -> rules.Next:
        """Try once, and say what is to be stored. Raises Unavailable only for our own database."""
        if self._hooks is None:
            detail = "no Taskcluster root URL in the settings"
            return rules.Again(datetime.now(UTC) + rules.LONGEST_WAIT, rules.ErrorClass.TRANSIENT, detail)
        match sink:
            case Hook(task_id="never"):
                return await self._fire_weakly(self._hooks, one, sink)
            case Hook() if one.is_weak:
                return await self._fire_weakly(self._hooks, one, sink)
            case Hook():
                answer = await self._hooks.trigger(
                    sink.group, sink.name, {**one.payload, "taskId": one.task_id}
                )
                verdict = await self._settled(self._hooks, one, answer)
                if isinstance(verdict, rules.WithoutTaskId):
                    return await self._fire_weakly(self._hooks, one, sink)
                return verdict
            case Task():
                answer = await self._hooks.create_task(one.task_id, _definition(one, sink))
                return await self._settled(self._hooks, one, answer)
            case Http():
                answer = await self._hooks.post(sink.url, one.payload, key=one.task_id)
                return self._decided(one, answer, exists=False, carried_id=False)
            case Mail():
                answer = await self._hooks.mail(
                    sink.address, str(one.payload["subject"]), str(one.payload["content"]), template="simple"
                )
                return self._decided(one, answer, exists=False, carried_id=False)

    async def _settled(self, hooks: Hooks, one: Claimed, answer: Answer) -> rules.Next:
        """Only the queue knows whether a task exists whose trigger was not answered with success."""
        exists: bool | None = None
        if not answer.is_good:
            try:
                exists = await hooks.status(one.task_id) is not None
            except Unavailable:
                exists = None
        return self._decided(one, answer, exists=exists, carried_id=True)

    def _decided(self, one: Claimed, answer: Answer, *, exists: bool | None, carried_id: bool) -> rules.Next:
        return rules.settle(
            answer,
            exists=exists,
            task_id=one.task_id,
            carried_id=carried_id,
            attempts=one.attempts,
            first_try=one.first_try_at,
            now=datetime.now(UTC),
            deadline=self._deadline,
            roll=self._roll(),
        )

    async def _fire_weakly(self, hooks: Hooks, one: Claimed, sink: Hook) -> rules.Next:
        """The weaker promise, for a hook that takes no task id.

        That a call goes out is written before; after a crash or a lost answer the hook's last fires tell
        whether it came through. Two tasks are possible only where those cannot tell our fire from another's.
        """
        if one.is_weak and (one.was_firing or one.attempts > 1):
            try:
                if (task := await self._our_fire(hooks, one, sink)) is not None:
                    return rules.Fired(task)
            except Unavailable as error:
                return self._decided(
                    one, Answer(status=0, detail=error.detail), exists=None, carried_id=False
                )
        async with self._db.connection() as connection:
            await effects.extend_weak(connection, one.id, lease=_WEAK_LEASE)
        answer = await hooks.trigger(sink.group, sink.name, one.payload)
        return self._decided(one, answer, exists=False if answer.status else None, carried_id=False)

    async def _our_fire(self, hooks: Hooks, one: Claimed, sink: Hook) -> str | None:
        """The task a former try made, if it did."""
        for fire in await hooks.last_fires(sink.group, sink.name):
            if not fire.is_good or fire.at < one.first_try_at - _SKEW:
                continue
            async with self._db.connection() as connection:
                if await effects.is_known_task(connection, fire.task_id):
                    continue
            if _is_ours(await hooks.environment(fire.task_id), one.payload):
                return fire.task_id
        return None


def _is_ours(env: Mapping[str, str], payload: Mapping[str, Any]) -> bool:
    return bool(payload) and all(env.get(name) == str(value) for name, value in payload.items())


def _definition(one: Claimed, sink: Task) -> dict[str, Any]:
    """The same at every try, since only the same task is taken twice."""
    created = one.first_try_at.replace(microsecond=0)

    def spelled(when: datetime) -> str:
        return when.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    return {
        "created": spelled(created),
        "deadline": spelled(created + timedelta(hours=sink.deadline_hours)),
        "expires": spelled(created + timedelta(days=sink.expires_days)),
        **one.payload,
    }
