# SPDX-License-Identifier: MPL-2.0
"""The routes of logging in and out: there and back through Taskcluster."""

from __future__ import annotations

import secrets
from html import escape
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, urlsplit

import msgspec
import structlog
from litestar import Response
from litestar.datastructures import Cookie
from msgspec import Meta

from shipit.errors import NotAuthenticated, ShipitError, Unavailable
from shipit.web import reading, returning
from shipit.web.house import Answer, Asked, Contract, House, endpoint, house, nothing
from shipit.web.returning import Begun
from shipit.web.scopes import Right
from shipit.web.sessions import LoginService, Sessions

log = structlog.get_logger(__name__)

CALLBACK = "/login/callback"
_MINUTES = 10
_Text = Annotated[str, Meta(max_length=2000)]


class LoginQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """next: path of ours to return to. at: "public" once the browser was sent to our public address."""

    next: _Text = "/"
    at: Annotated[str, Meta(pattern="^(public)?$")] = ""


class CallbackQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What Taskcluster sends the browser back with: a code, or an error; other parameters do not matter."""

    state: _Text = ""
    code: _Text = ""
    error: _Text = ""


@endpoint(
    "GET",
    "/login",
    Contract(
        right=Right.PUBLIC,
        summary="Begin to log in: sends the browser to Taskcluster",
        query=LoginQuery,
        status=HTTPStatus.SEE_OTHER,
        statuses=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
)
async def begin(request: Asked) -> Answer:
    """Send the browser to Taskcluster; it remembers where it wants to return to."""
    query = reading.query(request, LoginQuery)
    things = house(request)
    sessions, service = _open(things)
    path = returning.own_path(query.next)
    public = things.settings.backend.url or ""
    if request.url.netloc != urlsplit(public).netloc and not query.at:
        # The cookies must be those of the address that Taskcluster sends the browser back to.
        return _away(f"{public.rstrip('/')}/login?at=public&next={quote(path, safe='')}")
    begun = Begun(secrets.token_urlsafe(32), path)
    under_way = [*_under_way(request, sessions), begun]
    to = service.authorize_url(
        redirect_uri=_callback_url(things), state=begun.state, challenge=begun.challenge
    )
    return _away(to, _login_cookie(sessions, returning.written(under_way)))


@endpoint(
    "GET",
    CALLBACK,
    Contract(
        right=Right.PUBLIC,
        summary="Where Taskcluster sends the browser back to",
        query=CallbackQuery,
        answer=str,
        media="text/html",
        status=HTTPStatus.SEE_OTHER,
        statuses=(HTTPStatus.UNAUTHORIZED,),
    ),
)
async def finish(request: Asked) -> Answer:
    """Turn Taskcluster's code into a session, for the browser that began this login and no other."""
    query = reading.query(request, CallbackQuery)
    things = house(request)
    sessions, service = _open(things)
    under_way = _under_way(request, sessions)
    begun = returning.matching(under_way, query.state)
    if begun is None:
        return _failed(HTTPStatus.UNAUTHORIZED, "This login was not begun in this browser, or too long ago.")
    left = _login_cookie(sessions, returning.written([each for each in under_way if each is not begun]))
    if query.error or not query.code:
        return _failed(HTTPStatus.UNAUTHORIZED, _said(query.error), begun.path, left)
    try:
        granted = await service.redeem(
            query.code, redirect_uri=_callback_url(things), verifier=begun.verifier
        )
    except (NotAuthenticated, Unavailable) as error:
        log.warning("login failed", error=type(error).__name__, detail=error.detail)
        return _failed(HTTPStatus(error.status), _sentence(error), begun.path, left)
    cookie = await sessions.begin(granted, instead_of=request.cookies.get(sessions.cookie))
    return _away(begun.path, cookie, left)


@endpoint(
    "POST",
    "/logout",
    Contract(right=Right.PUBLIC, summary="End this browser's session", status=HTTPStatus.NO_CONTENT),
)
async def logout(request: Asked) -> Answer:
    """End the session; without one there is nothing to do."""
    things = house(request)
    if things.sessions is None:
        return nothing()
    # Raises NotAllowed for another site's request, which must not log anybody out.
    await things.sessions.viewer(request)
    answer = nothing()
    answer.set_cookie(await things.sessions.end(request))
    return answer


HANDLERS = [begin, finish, logout]


def _open(things: House) -> tuple[Sessions, LoginService]:
    if things.sessions is None or things.login is None:
        raise Unavailable("login", "no OAuth2 client of Taskcluster is configured, so no person can log in")
    return things.sessions, things.login


def _callback_url(things: House) -> str:
    return (things.settings.backend.url or "").rstrip("/") + CALLBACK


def _under_way(request: Asked, sessions: Sessions) -> list[Begun]:
    return returning.read(request.cookies.get(f"{sessions.cookie}-login", ""))


def _login_cookie(sessions: Sessions, value: str) -> Cookie:
    return Cookie(
        key=f"{sessions.cookie}-login",
        value=value,
        max_age=_MINUTES * 60 if value else 0,
        path="/",
        secure=sessions.is_secure,
        httponly=True,
        samesite="lax",
    )


def _away(to: str, *cookies: Cookie) -> Answer:
    headers = {"Location": to, "Cache-Control": "no-store"}
    return Response(None, status_code=int(HTTPStatus.SEE_OTHER), headers=headers, cookies=list(cookies))


def _said(error: str) -> str:
    known = {"access_denied": "You, or Taskcluster for you, did not agree to it."}
    return known.get(error, "Taskcluster did not say who you are.")


def _sentence(error: ShipitError) -> str:
    if isinstance(error, Unavailable):
        return "Taskcluster cannot be asked who you are just now."
    return "Taskcluster did not accept this login."


def _failed(status: HTTPStatus, sentence: str, path: str = "/", *cookies: Cookie) -> Answer:
    again = returning.login_path(path)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Ship It: not logged in</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"></head><body><main>'
        f"<h1>You are not logged in</h1><p>{escape(sentence)}</p>"
        f'<p><a href="{escape(again)}">Log in again</a> or <a href="/">go on without</a>.</p>'
        "</main></body></html>"
    )
    return Response(
        page,
        status_code=int(status),
        media_type="text/html",
        headers={"Cache-Control": "no-store"},
        cookies=list(cookies),
    )
