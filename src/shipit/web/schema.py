# SPDX-License-Identifier: MPL-2.0
"""The OpenAPI document, made from what the routes declare, so that it cannot say anything else."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from shipit.web.house import Answer, Asked, Contract, endpoint, json_answer
from shipit.web.problems import MEDIA_TYPE, Problem
from shipit.web.scopes import REQUIRED, Right

_REFERENCE = "#/components/schemas/{name}"
_EVERYWHERE = (HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
_WITH_LOGIN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_WITH_BODY = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@endpoint("GET", "/schema", Contract(right=Right.PUBLIC, summary="This document", answer=dict[str, Any]))
async def show(request: Asked) -> Answer:
    """The OpenAPI document."""
    return _cached(request)


@endpoint(
    "GET",
    "/schema/openapi.json",
    Contract(right=Right.PUBLIC, summary="This document, by its usual name", answer=dict[str, Any]),
)
async def show_json(request: Asked) -> Answer:
    """The OpenAPI document."""
    return _cached(request)


HANDLERS = [show, show_json]


def _cached(request: Asked) -> Answer:
    state = request.app.state
    if "schema" not in state:
        state["schema"] = msgspec.json.encode(document(contracts(request.app.routes)))
    return json_answer(state["schema"])


def contracts(routes: Any) -> list[tuple[str, str, Contract, str]]:
    """(method, path, contract, function's name) of every route of ours."""
    found = []
    for route in routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and "contract" in handler.opt:
                method = next(iter(handler.http_methods - {HttpMethod.HEAD}))
                found.append((method, route.path, handler.opt["contract"], handler.handler_name))
    return sorted(found, key=lambda each: (each[1], each[0]))


def document(routes: list[tuple[str, str, Contract, str]]) -> dict[str, Any]:
    """OpenAPI 3.1 of these routes; pure."""
    kinds = [
        kind for _, _, contract, _ in routes for kind in (contract.body, contract.answer) if kind is not None
    ]
    schemas, components = msgspec.json.schema_components([*kinds, Problem], ref_template=_REFERENCE)
    by_kind = list(zip([*kinds, Problem], schemas, strict=True))
    paths: dict[str, Any] = {}
    for method, path, contract, _ in routes:
        plain = path
        for part in contract.parts:
            plain = plain.replace(f"{{{part}:str}}", f"{{{part}}}").replace(f"{{{part}:path}}", f"{{{part}}}")
        paths.setdefault(plain, {})[method.lower()] = _operation(contract, _name(method, plain), by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ship It", "version": "1", "description": "Uplift requests and where they stand."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "hawk": {
                    "type": "http",
                    "scheme": "hawk",
                    "description": "Taskcluster credentials; path, query and body are signed",
                }
            },
        },
    }


def _name(method: str, path: str) -> str:
    # of the path, since two modules may well call their functions the same
    return "_".join(re.findall(r"\w+", f"{method.lower()} {path}"))


def _operation(contract: Contract, name: str, by_kind: list[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": name,
        "summary": contract.summary,
        "parameters": _parameters(contract),
        "responses": _responses(contract, by_kind),
    }
    if contract.body is not None:
        content = {"application/json": {"schema": _schema(contract.body, by_kind)}}
        found["requestBody"] = {"required": True, "content": content}
    if contract.right is not Right.PUBLIC:
        found["security"] = [{"hawk": []}] + ([{}] if contract.right is Right.READ else [])
        found["x-scopes"] = [list(wanted) for wanted in REQUIRED[contract.right]]
    return found


def _parameters(contract: Contract) -> list[dict[str, Any]]:
    text = {"type": "string", "minLength": 1, "maxLength": 300}
    found: list[dict[str, Any]] = [
        {"name": part, "in": "path", "required": True, "schema": _PARTS.get(part, text)}
        for part in contract.parts
    ]
    if contract.query is not None:
        (schema,), components = msgspec.json.schema_components([contract.query], ref_template="{name}")
        inner = components[schema["$ref"]]
        for name, each in inner["properties"].items():
            if "$ref" in each:
                each = {
                    **components[each["$ref"]],
                    **{key: value for key, value in each.items() if key != "$ref"},
                }
            found.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in inner.get("required", ()),
                    "schema": _without_null(each, components),
                }
            )
    return found


_PARTS: dict[str, dict[str, Any]] = {
    name: {"type": "integer", "minimum": 1, "maximum": 2**53 - 1}
    for name in ("bug", "bugzilla_id", "number", "person")
}


def _without_null(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    # A query has no null: an optional parameter is left out.
    if "anyOf" not in schema:
        return schema
    kept = [each for each in schema["anyOf"] if each != {"type": "null"}]
    resolved = [components[each["$ref"]] if "$ref" in each else each for each in kept]
    return resolved[0] if len(resolved) == 1 else {"anyOf": resolved}


def _responses(contract: Contract, by_kind: list[tuple[Any, Any]]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": contract.summary}
    if contract.answer is not None:
        success["content"] = {contract.media: {"schema": _schema(contract.answer, by_kind)}}
    found: dict[str, Any] = {str(int(contract.status)): success}
    errors = {*_EVERYWHERE, *contract.statuses}
    if contract.right is not Right.PUBLIC:
        errors |= {*_WITH_LOGIN}
    if contract.parts:
        errors.add(HTTPStatus.NOT_FOUND)
    if contract.body is not None:
        errors |= {*_WITH_BODY, HTTPStatus.PRECONDITION_FAILED}
    if contract.right is Right.READ:
        found["304"] = {"description": "What you have is still what is there"}
    problem = {MEDIA_TYPE: {"schema": _schema(Problem, by_kind)}}
    for status in sorted(errors):
        content = dict(problem)
        if status in contract.statuses and contract.media == "text/html":
            # a page says it in a page
            content[contract.media] = {"schema": _schema(contract.answer, by_kind)}
        found[str(int(status))] = {"description": status.phrase, "content": content}
    if HTTPStatus.SERVICE_UNAVAILABLE in contract.statuses and contract.answer is not None:
        found["503"]["content"] = {**problem, contract.media: {"schema": _schema(contract.answer, by_kind)}}
    return found


def _schema(kind: Any, by_kind: list[tuple[Any, Any]]) -> Any:
    return next(schema for each, schema in by_kind if each == kind)
