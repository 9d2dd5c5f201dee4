# SPDX-License-Identifier: MPL-2.0
"""The published schema: every route is in it, and what the service answers is what it promises."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from mohawk import Sender
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.modes import GenerationMode

from fixtures_postgres import Database, Server
from fixtures_web import KEY, PUBLIC_URL, make_bug, make_request, make_round, running
from shipit.merge.types import Outcome
from shipit.web.app import HANDLERS

pytestmark = pytest.mark.filterwarnings("ignore")


class Everyone:
    """A service in a thread of its own, for a client that is not async."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))
        self.url = ""

    def __enter__(self) -> Everyone:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _run(self) -> None:
        async with running(self._database) as service:
            # One who may do everything, so that the schema's promises are tried and not the guard.
            service.auth.people = {**service.auth.people, "all": ("project:shipit:*",)}
            await service.feed(make_bug(1, make_request(1, outcome=Outcome.CONFLICT)), make_bug(2))
            await service.put("/api/rounds/r1", make_round())
            self.url = service.url
            self._ready.set()
            await self._stop.wait()


@pytest.fixture(scope="module")
def everyone(postgres: Server) -> Iterator[Everyone]:
    database = postgres.create_migrated()
    with Everyone(database) as service:
        yield service
    postgres.drop(database.url)


class Hawk(requests.auth.AuthBase):
    """Signs what is sent as it is sent."""

    def __call__(self, request: Any) -> Any:
        body = request.body or b""
        sender = Sender(
            {"id": "all", "key": KEY, "algorithm": "sha256"},
            PUBLIC_URL + request.path_url,
            request.method,
            content=body,
            content_type=request.headers.get("Content-Type", ""),
        )
        request.headers["Authorization"] = sender.request_header
        return request


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# A stream has no end to wait for; its own tests read it.
STREAM = "/api/live"


def test_every_route_is_in_the_schema(everyone: Everyone) -> None:
    document = requests.get(f"{everyone.url}/schema/openapi.json", timeout=10).json()
    assert document == requests.get(f"{everyone.url}/schema", timeout=10).json()
    declared = {
        (next(iter(each.http_methods - {"HEAD"})).lower(), re.sub(":[a-z]+}", "}", next(iter(each.paths))))
        for each in HANDLERS
    }
    assert {(method, path) for path, item in document["paths"].items() for method in item} == declared


@pytest.mark.drill
@pytest.mark.timeout(400)
def test_the_service_keeps_what_its_schema_promises(everyone: Everyone) -> None:
    document = requests.get(f"{everyone.url}/schema/openapi.json", timeout=10).json()
    for operation in (each for item in document["paths"].values() for each in item.values()):
        # Each call is signed, so one that should lack its signature would be a false alarm.
        operation.pop("security", None)
    schema = schemathesis.openapi.from_dict(document)
    failures: list[str] = []
    tried: dict[str, int] = {}
    session = requests.Session()

    def keeps(case: schemathesis.Case) -> None:
        tried[case.operation.label] = tried.get(case.operation.label, 0) + 1
        try:
            case.call_and_validate(
                auth=Hawk(), checks=CHECKS, timeout=20, session=session, base_url=everyone.url
            )
        except FailureGroup as found:
            failures.append(
                f"{case.operation.label} {case.query} {case.body!r:.300}: {found.exceptions!r:.600}"
            )

    for result in schema.exclude(path=STREAM).get_all_operations():
        operation = result.ok()
        takes_any = bool(operation.body) or bool(operation.query) or bool(operation.path_parameters)
        modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if takes_any else [])]
        for mode in modes:
            _bounded(given(operation.as_strategy(generation_mode=mode))(lambda case: keeps(case)))()
    assert not failures, "\n".join(failures[:12])
    assert len(tried) == len(HANDLERS) - 1


def _bounded(check: Callable[[], None]) -> Callable[[], None]:
    return settings(
        max_examples=4,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(check)
