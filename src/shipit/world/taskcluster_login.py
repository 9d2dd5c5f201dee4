# SPDX-License-Identifier: MPL-2.0
"""How people log in at a fake Taskcluster: registered OAuth2 clients, consent, codes, tokens, credentials.

Where the real one asks a login provider who somebody is, this one lets them choose.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from shipit.world.taskcluster_auth import Client, Roles, satisfies

CODE_LIFE = timedelta(minutes=10)
# The real one moves the end that it tells, so that nobody uses credentials up to their last second.
EARLIER = timedelta(seconds=30)
UNKNOWN_CLIENT = {"code": "unauthorized_client", "name": "AuthorizationError"}
_UNITS = {"minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}


@dataclass(frozen=True)
class Person:
    """Somebody who may log in. identity: "provider/user"; words: what the page says of them."""

    identity: str
    words: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Registered:
    """An OAuth2 client as the deployment's settings have it."""

    client_id: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    longest: timedelta


@dataclass(frozen=True)
class _Code:
    registered: Registered
    redirect_uri: str
    identity: str
    client_id: str
    scopes: tuple[str, ...]
    ends: datetime
    expires: datetime
    challenge: str


class Logins:
    """The login's state and its routes. signed_in: whose browser it is; None: the page asks."""

    def __init__(self, clients: dict[str, Client], roles: Roles, now: Callable[[], datetime]) -> None:
        self.people: dict[str, Person] = {}
        self.registered: dict[str, Registered] = {}
        self.signed_in: str | None = None
        self._clients = clients
        self._roles = roles
        self._now = now
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, _Code] = {}

    def add_person(self, identity: str, words: str, scopes: Sequence[str]) -> None:
        """Somebody who may log in, or has other scopes from now on."""
        self.people[identity] = Person(identity, words, tuple(scopes))

    def register(
        self, client_id: str, redirect_uris: Iterable[str], scopes: Iterable[str], *, hours: float = 24
    ) -> None:
        """Register an OAuth2 client, whose people are let in without being asked for consent."""
        self.registered[client_id] = Registered(
            client_id, tuple(redirect_uris), tuple(scopes), timedelta(hours=hours)
        )

    def scan(self) -> None:
        """Disable the clients that may do more than their person still may, as the real one does."""
        for person in self.people.values():
            held = self._roles.expanded(person.scopes)
            for client in self._clients.values():
                if client.client_id.startswith(person.identity + "/"):
                    client.is_disabled = not satisfies(held, client.scopes)

    def routes(self) -> list[web.RouteDef]:
        """The routes below /login, and the page of the user interface that asks for consent."""
        return [
            web.get("/login/oauth/authorize", self._authorize),
            web.get("/third-party", self._page),
            web.post("/login/oauth/authorize/decision", self._decide),
            web.post("/login/oauth/token", self._token),
            web.get("/login/oauth/credentials", self._credentials),
        ]

    async def _authorize(self, request: web.Request) -> web.Response:
        if self._client_of(request.query) is None:
            return web.json_response(UNKNOWN_CLIENT, status=500)
        if self.signed_in is None:
            return _found(f"/third-party?{request.rel_url.raw_query_string}")
        return self._let_in(request.query, self.signed_in)

    async def _page(self, request: web.Request) -> web.Response:
        fields = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in request.query.items()
        )
        people = "".join(
            f'<p><button name="person" value="{escape(each.identity)}">{escape(each.words)}</button><br>'
            f"<small>{escape(each.identity)}: {escape(', '.join(each.scopes) or 'no scopes')}</small></p>"
            for each in self.people.values()
        )
        page = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Fake Taskcluster</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="icon" href="data:,">'
            "<style>body{font:16px system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}"
            "button{font:inherit;padding:.4rem .8rem}small{color:#555}</style></head><body>"
            "<h1>Log in to Ship It as…</h1><p>This Taskcluster is a fake. The real one asks your login "
            "provider who you are; here you choose.</p>"
            '<form method="post" action="/login/oauth/authorize/decision">'
            f"{fields}{people}"
            '<p><button name="person" value="">Nobody: refuse</button></p></form></body></html>'
        )
        return web.Response(text=page, content_type="text/html")

    async def _decide(self, request: web.Request) -> web.Response:
        given = {name: str(value) for name, value in (await request.post()).items()}
        if self._client_of(given) is None:
            return web.json_response(UNKNOWN_CLIENT, status=500)
        person = given.get("person", "")
        if person not in self.people:
            return _back(given, error="access_denied")
        return self._let_in(given, person)

    def _let_in(self, query: Mapping[str, str], identity: str) -> web.Response:
        registered = self.registered[query["client_id"]]
        asked = query.get("scope", "").split(" ")
        if query.get("response_type") != "code":
            return _back(query, error="unsupported_response_type")
        if sorted(asked) != sorted(registered.scopes):
            return _back(query, error="invalid_scope")
        now, code = self._now(), secrets.token_urlsafe(16)
        lasts = min(_from_now(query.get("expires", "")) or registered.longest, registered.longest)
        self._codes[code] = _Code(
            registered=registered,
            redirect_uri=query["redirect_uri"],
            identity=identity,
            client_id=f"{identity}/{registered.client_id}-{secrets.token_urlsafe(16)[:6]}",
            scopes=intersection(asked, self._roles.expanded(self.people[identity].scopes)),
            ends=now + CODE_LIFE,
            expires=now + lasts,
            challenge=query.get("code_challenge", ""),
        )
        return _back(query, code=code)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        code = self._codes.get(str(form.get("code", "")))
        is_good = (
            code is not None
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == code.redirect_uri
            and form.get("client_id") == code.registered.client_id
            and self._now() < code.ends
            and (not code.challenge or code.challenge == _s256(str(form.get("code_verifier", ""))))
        )
        if code is None or not is_good:
            body = {"error": "invalid_grant", "error_description": "Invalid authorization code"}
            return web.json_response(body, status=403)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = code
        return web.json_response({"access_token": token, "token_type": "Bearer"})

    async def _credentials(self, request: web.Request) -> web.Response:
        code = self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if code is None or self._now() >= code.expires:
            message = "Could not generate credentials for this access token"
            return web.json_response({"code": "InputError", "message": message}, status=400)
        client = Client(code.client_id, secrets.token_urlsafe(32), list(code.scopes), code.expires)
        self._clients[code.client_id] = client
        return web.json_response(
            {
                "expires": (code.expires - EARLIER).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "credentials": {"clientId": client.client_id, "accessToken": client.access_token},
            }
        )

    def _client_of(self, query: Mapping[str, Any]) -> Registered | None:
        registered = self.registered.get(str(query.get("client_id", "")))
        if registered is None or query.get("redirect_uri") not in registered.redirect_uris:
            return None
        return registered


def intersection(asked: Iterable[str], held: Iterable[str]) -> tuple[str, ...]:
    """The scopes that both sets satisfy."""
    found: dict[str, None] = {}
    for one in asked:
        for other in held:
            for narrow, wide in ((one, other), (other, one)):
                if narrow == wide or (wide.endswith("*") and narrow.startswith(wide[:-1])):
                    found[narrow] = None
                    break
    return tuple(found)


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _from_now(text: str) -> timedelta | None:
    found = re.fullmatch(r"\s*(\d+)\s*(minute|hour|day|week)s?\s*", text)
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else None


def _back(query: Mapping[str, str], **said: str) -> web.Response:
    answer = said | ({"state": query["state"]} if "state" in query else {})
    return _found(f"{query['redirect_uri']}?{urlencode(answer)}")


def _found(to: str) -> web.Response:
    return web.Response(status=302, headers={"Location": to}, text=f"Found. Redirecting to {to}")
