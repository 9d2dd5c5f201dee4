# SPDX-License-Identifier: MPL-2.0
"""Who is asking: people by their session, machines by Hawk.

Hawk: what was signed is checked by Taskcluster's auth service, the body against the signed hash here.

An answer is never kept: the signature of each request is checked by itself, so nothing outlives its expiry.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from litestar import Request

from shipit.errors import NotAuthenticated, Unavailable
from shipit.web.sessions import Sessions
from shipit.web.viewer import ANONYMOUS, Viewer

_WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the auth service said about a signature.

    status: "auth-success", "auth-failed" or "no-auth"; only the first counts. client_id: for logs. scopes:
    expanded. expires: until when it holds. hash: of the payload as it was signed, None when none was.
    """

    status: str
    client_id: str | None = None
    scopes: tuple[str, ...] = ()
    expires: datetime | None = None
    hash: str | None = None
    message: str | None = None


class Authenticator(Protocol):
    """Asks the auth service about one signed request; raises Unavailable when it cannot be asked."""

    async def __call__(
        self, *, method: str, resource: str, host: str, port: int, authorization: str, source_ip: str | None
    ) -> Verdict:
        """The verdict."""


class Gate:
    """Tells who is asking. public_url: how the outside calls us; what was signed is compared with it alone.

    The Host header is whatever the caller likes, and so is never asked.
    """

    def __init__(
        self,
        authenticator: Authenticator | None,
        *,
        public_url: str | None,
        restricted_scopes: tuple[str, ...],
        sessions: Sessions | None = None,
    ) -> None:
        self._ask = authenticator
        self._sessions = sessions
        self._restricted_scopes = restricted_scopes
        self._public = urlsplit(public_url) if public_url else None

    async def viewer(self, request: Request[Any, Any, Any]) -> Viewer:
        """The viewer behind a request: by its signature, else by its session, else nobody.

        Raises NotAuthenticated, NotAllowed, Unavailable.
        """
        authorization = request.headers.get("authorization")
        if authorization is None:
            return ANONYMOUS if self._sessions is None else await self._sessions.viewer(request)
        scheme, _, rest = authorization.strip().partition(" ")
        if scheme.lower() != "hawk" or not rest.strip():
            raise NotAuthenticated("the Authorization header is not Hawk's")
        if self._ask is None or self._public is None or self._public.hostname is None:
            raise Unavailable(
                "login", "no Taskcluster or no public URL is configured, so signatures cannot be checked"
            )
        answer = await self._ask(
            method=request.method.lower(),
            resource=self._public.path.rstrip("/") + _resource(request),
            host=self._public.hostname,
            port=self._public.port or _DEFAULT_PORTS[self._public.scheme],
            authorization=authorization,
            source_ip=request.client.host if request.client else None,
        )
        _check(answer, now=datetime.now(UTC))
        await _check_payload(request, answer.hash)
        return Viewer(answer.client_id, answer.scopes, self._restricted_scopes)


def payload_hash(body: bytes, content_type: str) -> str:
    """Hawk's hash of a body (SHA-256, base64); parameters of the content type do not count."""
    kind = content_type.split(";")[0].strip().lower()
    digest = hashlib.sha256(b"hawk.1.payload\n" + kind.encode() + b"\n" + body + b"\n").digest()
    return base64.b64encode(digest).decode()


def _resource(request: Request[Any, Any, Any]) -> str:
    # The raw bytes: decoding and encoding again would change what was signed.
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope.get("query_string", b"")
    path = raw.partition(b"?")[0]
    return (path + b"?" + query if query else path).decode("latin-1")


def _check(answer: Verdict, *, now: datetime) -> None:
    if answer.status != "auth-success" or not answer.client_id:
        raise NotAuthenticated(f"the signature was not accepted: {answer.message or answer.status}"[:300])
    if answer.expires is not None and answer.expires <= now:
        raise NotAuthenticated("the credentials have expired")


async def _check_payload(request: Request[Any, Any, Any], signed: str | None) -> None:
    if signed is None:
        if request.method in _WRITES:
            raise NotAuthenticated("the signature does not cover the body; sign the payload hash")
        return
    found = payload_hash(await request.body(), request.headers.get("content-type", ""))
    if not hmac.compare_digest(found.encode(), signed.encode()):
        raise NotAuthenticated("the body is not the one that was signed")
