# SPDX-License-Identifier: MPL-2.0
"""Taskcluster: who signed a request, what a client may do, mail through notify, secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import aiohttp
import msgspec
import stamina
from taskcluster import aio
from taskcluster.exceptions import TaskclusterFailure, TaskclusterRestFailure

from shipit.clients.http import CallCounter, Passing, checked_url, moment
from shipit.errors import InvalidInput, Missing, Refused, Unavailable

SERVICE = "Taskcluster"
MAX_SUBJECT, MAX_CONTENT = 255, 102_400


class HawkSuccess(msgspec.Struct, frozen=True):
    """The signature is good. scopes: expanded. hash: of the payload, as signed; the service compares it."""

    client_id: str
    scopes: tuple[str, ...]
    expires: datetime
    hash: str | None = None


class HawkFailed(msgspec.Struct, frozen=True):
    """There was a signature, and it is not good; why."""

    message: str


class HawkNone(msgspec.Struct, frozen=True):
    """Nobody signed."""


Hawk = HawkSuccess | HawkFailed | HawkNone


class Credentials(msgspec.Struct, frozen=True):
    """A Taskcluster client. certificate: JSON of temporary credentials. Its repr shows only the id."""

    client_id: str
    access_token: str
    certificate: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.client_id!r})"


class Client(msgspec.Struct, frozen=True):
    """A client as auth knows it. scopes: expanded. is_disabled: it may sign nothing any more."""

    client_id: str
    scopes: tuple[str, ...]
    expires: datetime
    is_disabled: bool


class Taskcluster:
    """The deployment at `root_url`; without credentials only what the anonymous may do."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        root_url: str,
        credentials: Credentials | None = None,
        *,
        calls: CallCounter | None = None,
        timeout: float = 25.0,
        attempts: int = 3,
    ) -> None:
        self.root_url = checked_url("taskcluster.root_url", root_url)
        self.calls = calls if calls is not None else CallCounter()
        self._timeout = timeout
        self._attempts = attempts
        # An explicit empty credential keeps the library from taking one out of the environment.
        signed: dict[str, Any] = {}
        if credentials is not None:
            signed = {"clientId": credentials.client_id, "accessToken": credentials.access_token}
            if credentials.certificate:
                signed["certificate"] = credentials.certificate

        def options() -> dict[str, Any]:
            # The library encodes credentials in place, so each service gets its own.
            return {"rootUrl": self.root_url, "credentials": dict(signed), "maxRetries": 0}

        self._auth = aio.Auth(options(), session=session)
        self._notify = aio.Notify(options(), session=session)
        self._secrets = aio.Secrets(options(), session=session)
        self._hooks = aio.Hooks(options(), session=session)
        self._queue = aio.Queue(options(), session=session)

    async def authenticate_hawk(
        self,
        *,
        method: str,
        resource: str,
        host: str,
        port: int,
        authorization: str | None,
        source_ip: str | None = None,
    ) -> Hawk:
        """Who signed a request. resource: path and query exactly as signed; host, port: the public ones.

        Only HawkSuccess names somebody: no-auth has scopes too, the anonymous role's, and is HawkNone here.
        """
        question: dict[str, Any] = {
            "method": method.lower(),
            "resource": resource,
            "host": host,
            "port": port,
        }
        if authorization is not None:
            question["authorization"] = authorization
        if source_ip is not None:
            question["sourceIp"] = source_ip
        answer = await self._call(lambda: self._auth.authenticateHawk(question))
        match answer.get("status"):
            case "auth-success":
                return _success(answer)
            case "auth-failed":
                return HawkFailed(str(answer.get("message", ""))[:500])
            case "no-auth":
                return HawkNone()
            case other:
                raise Unavailable(SERVICE, f"authenticated with an unknown status {str(other)[:40]!r}")

    async def client(self, client_id: str) -> Client | None:
        """What auth knows of a client; None when there is none. Needs `auth:get-client:` of it."""
        try:
            answer = await self._call(lambda: self._auth.client(client_id))
        except Missing:
            return None
        try:
            return Client(
                client_id=str(answer["clientId"]),
                scopes=tuple(str(scope) for scope in answer["expandedScopes"]),
                expires=moment(answer["expires"]),
                is_disabled=answer["disabled"] is not False,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(SERVICE, "described a client in another shape") from error

    async def mail(self, address: str, subject: str, content: str) -> bool:
        """Send a mail. content: Markdown. False when the same mail went out before.

        Repeating is safe: notify sends an identical mail once. Raises Refused for an address that wants none.
        """
        if len(content) > MAX_CONTENT:
            raise InvalidInput("content", expected=f"at most {MAX_CONTENT} characters", got=len(content))
        question: dict[str, Any] = {
            "address": address,
            "subject": " ".join(subject.split())[:MAX_SUBJECT],
            "content": content,
            "template": "simple",
        }
        return await self._call(lambda: self._notify.email(question)) is not None

    async def secret(self, name: str) -> dict[str, Any]:
        """A secret's content. Raises Missing when there is none."""
        answer = await self._call(lambda: self._secrets.get(name))
        secret = answer.get("secret")
        if not isinstance(secret, dict):
            raise Unavailable(SERVICE, f"secret {name!r} is no object")
        return secret

    async def _call(self, ask: Callable[[], Awaitable[Any]], *, is_idempotent: bool = True) -> Any:
        attempts = self._attempts if is_idempotent else 1
        retrying = stamina.retry_context(
            on=Passing, attempts=attempts, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.1
        )
        async for attempt in retrying:
            with attempt:
                return await self._call_once(ask)
        raise AssertionError("stamina ends by value or error")

    async def _call_once(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        self.calls.count(SERVICE)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await ask()
        except TaskclusterRestFailure as error:
            raise _refusal(error) from error
        except TimeoutError as error:
            raise Passing(SERVICE, f"did not answer in {self._timeout:g} s") from error
        except aiohttp.ClientResponseError as error:
            # Its words would bring along the request's headers, and so our signature.
            raise Passing(SERVICE, f"answered {error.status}") from None
        except (TaskclusterFailure, aiohttp.ClientError) as error:
            raise Passing(SERVICE, f"cannot be reached ({type(error).__name__})") from error
        if answer is not None and not isinstance(answer, dict):
            raise Unavailable(SERVICE, "answered with JSON of another shape")
        return answer


def _refusal(error: TaskclusterRestFailure) -> Exception:
    body = error.body if isinstance(error.body, dict) else {}
    # Below the rule stands the whole request again, with what we sent.
    words = str(error).split("\n\n---", 1)[0].strip()[:300]
    if body.get("code") == "DenylistedAddress":
        return Refused("this address wants no mail from Taskcluster")
    if error.status_code == 404:
        return Missing(words or "Taskcluster knows no such thing")
    return Unavailable(SERVICE, f"refused ({error.status_code}): {words}")


def _success(answer: Mapping[str, Any]) -> HawkSuccess:
    try:
        expires = moment(answer["expires"])
        return HawkSuccess(
            client_id=str(answer["clientId"]),
            scopes=tuple(str(scope) for scope in answer["scopes"]),
            expires=expires,
            hash=None if answer.get("hash") is None else str(answer["hash"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(SERVICE, "said auth-success in another shape") from error
