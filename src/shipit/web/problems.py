# SPDX-License-Identifier: MPL-2.0
"""Errors on the wire: RFC 9457 problem documents, whatever went wrong and wherever."""

from __future__ import annotations

import math
import secrets
import traceback
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from shipit.errors import InvalidInput, NotAuthenticated, ShipitError, Unavailable
from shipit.web.returning import login_path

MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger(__name__)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. instance: names this one occurrence, so that it is found in our log."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str | None = None
    instance: str | None = None
    field: str | None = None


class UnsupportedMedia(ShipitError):
    """The body is of a kind we do not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class WrongShape(InvalidInput):
    """The body is JSON, but not the JSON that is wanted here."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class Stale(ShipitError):
    """Somebody changed it meanwhile; read it again."""

    status = HTTPStatus.PRECONDITION_FAILED


class TooLate(ShipitError):
    """It took longer than a request may take."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


def of_ours(request: Request[Any, Any, Any], error: ShipitError) -> Response[bytes]:
    """One of our own errors; its class knows the status and its detail is fit for whoever asked."""
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, (Unavailable, TooLate)):
        return of_surprise(request, error)
    headers: dict[str, str] = {}
    if isinstance(error, NotAuthenticated) and (place := _login_place(request)):
        return Response(b"", status_code=int(HTTPStatus.SEE_OTHER), headers=place)
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Hawk"
    if isinstance(error, Unavailable) and error.retry_at is not None:
        seconds = (error.retry_at - datetime.now(UTC)).total_seconds()
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    field = error.field if isinstance(error, InvalidInput) else None
    return _answer(error.status, detail=error.detail, headers=headers, field=field)


def of_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What the framework refuses by itself: 404, 405, 413 and their kind."""
    headers = {key.title(): value for key, value in (error.headers or {}).items()}
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return of_surprise(request, error)
    detail = None if error.detail == status.phrase else error.detail
    return _answer(status, detail=detail, headers=headers)


def of_surprise(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A defect: the log has it whole, whoever asked gets only its number."""
    instance = f"urn:shipit:problem:{secrets.token_hex(8)}"
    # The route's template, never the path: a path may name a bug that not everybody may see.
    log.error(
        "request failed",
        route=request.scope.get("path_template"),
        instance=instance,
        error=type(error).__name__,
        trail=trail(error),
    )
    return _answer(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        detail="Something went wrong here; it has been written down.",
        instance=instance,
    )


def _login_place(request: Request[Any, Any, Any]) -> dict[str, str] | None:
    """Where a browser that opens a page is sent to log in; None for all who are no browser, or have tried."""
    things = request.app.state.house
    wants_page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")
    if things.sessions is None or request.method not in ("GET", "HEAD") or not wants_page:
        return None
    if "authorization" in request.headers:
        return None
    query = request.scope.get("query_string", b"").decode("latin-1")
    path = request.scope["path"] + (f"?{query}" if query else "")
    return {"Location": login_path(path), "Cache-Control": "no-store"}


def trail(error: BaseException) -> list[str]:
    """Where an error comes from, for the log: kinds and places, without messages.

    A message may quote a row, and so a bug that not everybody may see; the log is read by more people.
    """
    found: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(found) < 60:
        found.append(type(seen).__qualname__)
        frames = traceback.extract_tb(seen.__traceback__)[-12:]
        found += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return found


def _answer(
    status: HTTPStatus,
    *,
    detail: str | None,
    headers: dict[str, str] | None = None,
    field: str | None = None,
    instance: str | None = None,
) -> Response[bytes]:
    problem = Problem(title=status.phrase, status=int(status), detail=detail, field=field, instance=instance)
    return Response(
        msgspec.json.encode(problem),
        status_code=int(status),
        media_type=MEDIA_TYPE,
        headers={**(headers or {}), "Cache-Control": "no-store"},
    )
