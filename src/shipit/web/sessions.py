# SPDX-License-Identifier: MPL-2.0
"""People who logged in: a cookie that only the browser holds, a session that only the database holds.

The cookie's secret is stored nowhere but as its hash. What a person may do is what Taskcluster last said, and
it is asked again every few minutes, so that whoever loses a scope loses the right.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from litestar import Request
from litestar.datastructures import Cookie

from shipit.actions.persons import person_of
from shipit.errors import NotAllowed, Unavailable
from shipit.settings import Backend, Login
from shipit.storage import sessions
from shipit.storage.pool import Database
from shipit.storage.sessions import Session
from shipit.web.viewer import ANONYMOUS, Viewer

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-Csrf-Token"
# Seen is written at most this often, so that reading a page writes nothing.
_SEEN_EVERY = timedelta(minutes=1)
# While Taskcluster cannot be asked, what it said before holds this many times as long as usual.
_PATIENCE = 4


class Granted(msgspec.Struct, frozen=True):
    """What Taskcluster says of a client made by a login: whose it is, its scopes (expanded), its end."""

    client_id: str
    scopes: tuple[str, ...]
    expires: datetime


class LoginService(Protocol):
    """Taskcluster's OAuth2 login, as the web service needs it."""

    def authorize_url(self, *, redirect_uri: str, state: str, challenge: str) -> str:
        """Where the browser is sent to. challenge: of PKCE, S256."""

    async def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Granted:
        """What a code is worth. Raises NotAuthenticated when nothing, Unavailable."""

    async def granted(self, client_id: str) -> Granted | None:
        """What a client may do now; None when it is disabled or gone. Raises Unavailable."""


class Standing(StrEnum):
    """Where a session stands."""

    FRESH = "fresh"
    DUE = "due"
    OVERDUE = "overdue"
    ENDED = "ended"


def standing(session: Session, limits: Login, *, now: datetime) -> Standing:
    """Whether a session holds; DUE: holds, but Taskcluster should be asked; OVERDUE: must be asked. Pure."""
    if now >= session.expires_at or now - session.seen_at >= timedelta(minutes=limits.idle_minutes):
        return Standing.ENDED
    age, interval = now - session.checked_at, timedelta(minutes=limits.recheck_minutes)
    if age >= interval * _PATIENCE:
        return Standing.OVERDUE
    return Standing.DUE if age >= interval else Standing.FRESH


class Sessions:
    """Finds out who holds a cookie, begins sessions and ends them."""

    def __init__(
        self,
        database: Database,
        login: LoginService,
        *,
        backend: Backend,
        limits: Login,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._login = login
        self._limits = limits
        self._now = now
        self._restricted_scopes = backend.restricted_scopes
        public = backend.url or ""
        self.is_secure = public.startswith("https:")
        self._origins = frozenset((_origin(public), *map(_origin, backend.allowed_origins)))

    @property
    def cookie(self) -> str:
        """The cookie's name. __Host- keeps other hosts of the domain from setting it; it needs https."""
        return "__Host-shipit" if self.is_secure else "shipit"

    async def viewer(self, request: Request[Any, Any, Any], *, is_use: bool = True) -> Viewer:
        """Who sent this request, ANONYMOUS without a session. is_use: counts against idleness.

        Raises NotAllowed for a write that may be forged, Unavailable.
        """
        secret = request.cookies.get(self.cookie)
        session = await self._session(secret, is_use) if secret else None
        if secret is None or session is None:
            return ANONYMOUS
        if request.method not in _SAFE:
            self._check_origin(request, secret)
        return Viewer(session.person, session.scopes, self._restricted_scopes, session.client_id)

    def csrf(self, request: Request[Any, Any, Any]) -> str | None:
        """What a write of this browser must bring in its header; another site cannot know it."""
        secret = request.cookies.get(self.cookie)
        return csrf_token(secret) if secret else None

    async def begin(self, granted: Granted, *, instead_of: str | None) -> Cookie:
        """A session for somebody; the cookie for it. instead_of: the cookie's value before, which ends."""
        now, secret = self._now(), secrets.token_urlsafe(32)
        longest = now + timedelta(hours=self._limits.hours)
        session = Session(
            client_id=granted.client_id,
            person=person_of(granted.client_id),
            scopes=granted.scopes,
            started_at=now,
            seen_at=now,
            checked_at=now,
            expires_at=min(granted.expires, longest),
        )
        async with self._database.connection() as connection:
            if instead_of:
                await sessions.end(connection, secret_hash(instead_of))
            await sessions.begin(connection, secret_hash(secret), session)
        return self._made(secret, seconds=int((session.expires_at - now).total_seconds()))

    async def end(self, request: Request[Any, Any, Any]) -> Cookie:
        """End this browser's session; the cookie that takes its cookie away."""
        secret = request.cookies.get(self.cookie)
        if secret:
            async with self._database.connection() as connection:
                await sessions.end(connection, secret_hash(secret))
        return self._made("", seconds=0)

    def _made(self, value: str, *, seconds: int) -> Cookie:
        return Cookie(
            key=self.cookie,
            value=value,
            max_age=max(0, seconds),
            path="/",
            secure=self.is_secure,
            httponly=True,
            samesite="lax",
        )

    def _check_origin(self, request: Request[Any, Any, Any], secret: str) -> None:
        origin = request.headers.get("origin")
        # Our pages send no referrer, and a browser may then name no origin either; whose page it was it says.
        is_ours = origin == "null" and request.headers.get("sec-fetch-site") == "same-origin"
        if origin is not None and origin not in self._origins and not is_ours:
            raise NotAllowed("this write comes from another site")
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), csrf_token(secret).encode()):
            raise NotAllowed(f"this write lacks the {CSRF_HEADER} that GET /api/me gives")

    async def _session(self, secret: str, is_use: bool) -> Session | None:
        key, now = secret_hash(secret), self._now()
        async with self._database.connection() as connection:
            session = await sessions.read(connection, key)
            if session is None:
                return None
            stands = standing(session, self._limits, now=now)
            if stands is Standing.ENDED:
                await sessions.end(connection, key)
                return None
            if is_use and now - session.seen_at >= _SEEN_EVERY:
                await sessions.seen(connection, key, now=now)
            is_mine = stands is not Standing.FRESH and await sessions.claim_check(connection, key, now=now)
        # Taskcluster is asked with no connection held.
        if is_mine or stands is Standing.OVERDUE:
            return await self._checked(key, session, stands)
        return session

    async def _checked(self, key: bytes, session: Session, stands: Standing) -> Session | None:
        try:
            granted = await self._login.granted(session.client_id)
        except Unavailable:
            if stands is Standing.OVERDUE:
                raise
            return session
        async with self._database.connection() as connection:
            if granted is None:
                await sessions.end(connection, key)
                return None
            return await sessions.checked(
                connection, key, scopes=granted.scopes, expires_at=granted.expires, now=self._now()
            )


def secret_hash(secret: str) -> bytes:
    """Under which a cookie's secret is stored; it is long and random, so a plain hash does."""
    return hashlib.sha256(secret.encode()).digest()


def csrf_token(secret: str) -> str:
    """What a page shows with each write: follows from the cookie's secret, which does not follow from it."""
    made = hmac.new(secret.encode(), b"shipit csrf", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
