# SPDX-License-Identifier: MPL-2.0
"""What every route needs, handed down once; who may call it; and how a route is declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from shipit.actions.my_keys import Whose
from shipit.errors import NotAllowed, NotAuthenticated
from shipit.settings import Settings
from shipit.storage.pool import Database
from shipit.storage.vault import Vault
from shipit.web.bodies import Bodies
from shipit.web.hawk import Gate
from shipit.web.live import Hub
from shipit.web.metrics import Metrics
from shipit.web.scopes import REQUIRED, Right
from shipit.web.sessions import LoginService, Sessions
from shipit.web.viewer import Viewer

Asked = Request[Any, Any, Any]
Answer = Response[Any]


@dataclass(frozen=True, kw_only=True)
class House:
    """The web service's things. login, sessions: None where no person can log in.

    revision: of the schema it needs. commit: what is deployed, if known. vault, whose: encrypt a person's
    key, and ask whose it is; None in shadow mode.
    """

    settings: Settings
    database: Database
    gate: Gate
    login: LoginService | None
    sessions: Sessions | None
    hub: Hub
    bodies: Bodies
    metrics: Metrics
    revision: str
    is_demo: bool
    commit: str | None
    longest_seconds: float
    vault: Vault | None = None
    whose: Whose | None = None


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a route promises: the schema, the guard and the tests read it.

    right: who may. body, query, answer: msgspec types (query: a struct). statuses: what it may answer beside
    the success and the errors that every route may answer.
    """

    right: Right
    summary: str
    body: Any = None
    query: type[msgspec.Struct] | None = None
    answer: Any = None
    media: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK
    statuses: tuple[HTTPStatus, ...] = ()
    parts: tuple[str, ...] = ()


def endpoint(
    method: str, path: str, contract: Contract
) -> Callable[[Callable[[Asked], Awaitable[Answer]]], HTTPRouteHandler]:
    """Declare a route; the function gets the request and nothing else. Where GET is, HEAD is as well."""

    def declare(function: Callable[[Asked], Awaitable[Answer]]) -> HTTPRouteHandler:
        made = HTTPRouteHandler(
            path,
            http_method=["GET", "HEAD"] if method == "GET" else method,  # type: ignore[arg-type]
            # The answer carries its own status; the framework wants none without a body here.
            status_code=int(HTTPStatus.OK),
            media_type=contract.media,
            guards=[admit],
            opt={"contract": contract},
        )(function)
        # Read here once and remembered, or every application would read it again for its copy.
        _ = made.parsed_fn_signature
        return made

    return declare


def house(request: ASGIConnection[Any, Any, Any, Any]) -> House:
    """The things of the app that serves this request."""
    found = request.app.state.house
    assert isinstance(found, House)
    return found


def viewer(request: Asked) -> Viewer:
    """Who is asking, as the guard found out."""
    found = request.state.viewer
    assert isinstance(found, Viewer)
    return found


async def admit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every route: finds out who asks, and whether they may. 401: who are you; 403: not you."""
    contract: Contract = handler.opt["contract"]
    if contract.right is Right.PUBLIC:
        connection.state.viewer = Viewer()
        return
    assert isinstance(connection, Request)
    things = house(connection)
    who = await things.gate.viewer(connection)
    connection.state.viewer = who
    if who.has(contract.right) or (contract.right is Right.READ and things.settings.backend.public_read):
        return
    if who.is_anonymous:
        raise NotAuthenticated("this needs a login")
    scopes = " or ".join(" and ".join(wanted) for wanted in REQUIRED[contract.right])
    raise NotAllowed(f"this needs the scope {scopes}")


def json_answer(value: object, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """A small answer made for this request alone."""
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Response(
        raw, status_code=int(status), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def nothing() -> Answer:
    """Done, and nothing to say."""
    return Response(None, status_code=int(HTTPStatus.NO_CONTENT), headers={"Cache-Control": "no-store"})
