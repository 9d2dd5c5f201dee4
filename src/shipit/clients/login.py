# SPDX-License-Identifier: MPL-2.0
"""Taskcluster's OAuth2 login: a code becomes a bearer token, that a client, whose scopes are asked for.

Token and credentials are used for nothing else and kept nowhere; only the client's name is, since anybody
may ask auth what a named client may do.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from shipit.clients.http import Answer, CallCounter, Door, Session
from shipit.clients.taskcluster import Client, Taskcluster
from shipit.errors import NotAuthenticated, Unavailable

SERVICE = "Taskcluster's login"
_LIMIT = 1 << 20


class TaskclusterLogin:
    """The login of one deployment for one OAuth2 client.

    client_id: under which Taskcluster registered us; scopes: exactly the registered ones, of which a person
    is granted those they have; hours: for which the granted client is asked to live.
    """

    def __init__(
        self,
        session: Session,
        taskcluster: Taskcluster,
        *,
        client_id: str,
        scopes: tuple[str, ...],
        hours: float,
        calls: CallCounter | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._taskcluster = taskcluster
        self._root = taskcluster.root_url
        self._client_id = client_id
        self._scopes = scopes
        self._minutes = max(1, round(hours * 60))
        self._door = Door(session, SERVICE, calls=calls, timeout=timeout, attempts=2)

    def authorize_url(self, *, redirect_uri: str, state: str, challenge: str) -> str:
        """Where a browser asks Taskcluster to let its person in.

        challenge: of PKCE; deployments that do not know it ignore it.
        """
        question = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._scopes),
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "expires": f"{self._minutes} minutes",
        }
        return f"{self._root}/login/oauth/authorize?{urlencode(question)}"

    async def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Client:
        """The client that a code stands for. Raises NotAuthenticated when it stands for none, Unavailable."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._client_id,
            "code_verifier": verifier,
        }
        answer = await self._door.ask("POST", f"{self._root}/login/oauth/token", form=form, limit=_LIMIT)
        token = _text(_judged(answer), "access_token")
        bearer = {"Authorization": f"Bearer {token}"}
        # Asked once: each question makes a client.
        answer = await self._door.ask(
            "GET", f"{self._root}/login/oauth/credentials", headers=bearer, limit=_LIMIT, is_idempotent=False
        )
        credentials = _judged(answer).get("credentials")
        granted = await self.granted(_text(credentials, "clientId"))
        if granted is None:
            raise NotAuthenticated("the client that Taskcluster made for this login is disabled")
        return granted

    async def granted(self, client_id: str) -> Client | None:
        """What a client of a login may do now; None when it is disabled or gone. Raises Unavailable."""
        client = await self._taskcluster.client(client_id)
        return None if client is None or client.is_disabled else client


def _judged(answer: Answer) -> dict[str, Any]:
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unavailable(SERVICE, f"answered {answer.status}")
    if answer.status != HTTPStatus.OK:
        raise NotAuthenticated(f"{SERVICE} answered {answer.status}")
    body = answer.json()
    if not isinstance(body, dict):
        raise Unavailable(SERVICE, "answered with JSON of another shape")
    return body


def _text(body: object, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise Unavailable(SERVICE, f"answered without {name}")
    return value
