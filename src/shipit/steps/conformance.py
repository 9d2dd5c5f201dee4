# SPDX-License-Identifier: MPL-2.0
"""Tell the author of a Step service, sentence by sentence, what of the Step API holds and what does not.

Works on uids of its own and removes them. What a service offers beyond the Step API is not looked at.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from shipit.clients.http import Answer
from shipit.clients.steps import StepServices
from shipit.errors import ShipitError
from shipit.pipeline.states import Status

STATUSES = tuple(status.value for status in Status)
MOST_PAGES = 50


class Fault(msgspec.Struct, frozen=True):
    """A rule that does not hold."""

    rule: str
    expected: str
    got: str


class Report(msgspec.Struct, frozen=True):
    """Which rules hold, and which do not."""

    holds: tuple[str, ...]
    fails: tuple[Fault, ...]


class _Broken(Exception):
    def __init__(self, expected: str, got: str) -> None:
        super().__init__(expected)
        self.expected, self.got = expected, got


async def check(services: StepServices, api_url: str, parameters: Mapping[str, Any]) -> Report:
    """Try every rule on the service below `api_url`. parameters: of a step it can create."""
    suite = _Suite(services, api_url.rstrip("/"), dict(parameters))
    holds: list[str] = []
    fails: list[Fault] = []
    try:
        for rule, test in suite.rules():
            try:
                await test()
                holds.append(rule)
            except _Broken as broken:
                fails.append(Fault(rule, broken.expected, broken.got[:300]))
            except ShipitError as error:
                fails.append(Fault(rule, "an answer", error.detail[:300]))
    finally:
        await suite.clean()
    return Report(tuple(holds), tuple(fails))


class _Suite:
    def __init__(self, services: StepServices, url: str, parameters: dict[str, Any]) -> None:
        self._services, self._url, self._parameters = services, url, parameters
        self._prefix = f"check-{secrets.token_hex(5)}"
        self._first, self._second = f"{self._prefix}-a", f"{self._prefix}-b"
        self._made: set[str] = set()

    def rules(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """Every rule with its test, in an order in which each finds what it needs."""
        return [
            ("PUT /{uid} creates a step and answers 201 or 200 with {uid, status}", self._creates),
            ("PUT of the same body again answers 200 and is no second step", self._is_idempotent),
            ("PUT of another body under the same uid answers 409", self._refuses_another),
            ("PUT of the same body twice at once makes one step", self._is_safe_at_once),
            ("PUT without parameters answers 4xx and makes no step", self._refuses_nonsense),
            ("GET /{uid}/definition answers {uid, parameters} as they were put", self._defines),
            ("GET /{uid}/status answers {uid, status, message, details}", self._tells),
            (f"status is one of {', '.join(STATUSES)}", self._has_known_status),
            ("GET / answers {steps: [{uid, status, updated}], next} with every step", self._lists),
            ("GET /?limit=1 answers one step, and next leads to the others", self._pages),
            ("GET /?status=… answers only steps of that status", self._filters),
            ("an unknown uid answers 404", self._knows_no_stranger),
            ("DELETE /{uid} answers 200 with {uid, status}", self._deletes),
            ("a deleted step is gone (404) or has ended", self._ends),
            ("DELETE of what is gone answers 404", self._deletes_once),
        ]

    async def clean(self) -> None:
        """Remove what we made: deleting may first cancel and only then remove."""
        for uid in self._made:
            for _ in range(3):
                try:
                    if (await self._ask("DELETE", f"/{uid}")).status == 404:
                        break
                except ShipitError:
                    break

    async def _creates(self) -> None:
        answer = await self._put(self._first)
        _expect(answer, 200, 201)
        self._is_of(_json(answer), self._first)

    async def _is_idempotent(self) -> None:
        answer = await self._put(self._first)
        _expect(answer, 200)
        self._is_of(_json(answer), self._first)

    async def _refuses_another(self) -> None:
        found = [(await self._put(self._first, other)).status for other in _others(self._parameters)]
        if any(status < 300 for status in found) or 409 not in found:
            raise _Broken("409", f"{sorted(set(found))}")

    async def _is_safe_at_once(self) -> None:
        answers = await asyncio.gather(*(self._put(self._second) for _ in range(4)))
        found = sorted(answer.status for answer in answers)
        if any(status not in (200, 201) for status in found) or found.count(201) > 1:
            raise _Broken("200 for all, and 201 for one at most", str(found))

    async def _refuses_nonsense(self) -> None:
        uid = f"{self._prefix}-nonsense"
        self._made.add(uid)
        answer = await self._ask("PUT", f"/{uid}", ["no", "parameters"])
        if not 400 <= answer.status < 500:
            raise _Broken("4xx", str(answer.status))
        _expect(await self._ask("GET", f"/{uid}/status"), 404)

    async def _defines(self) -> None:
        answer = await self._ask("GET", f"/{self._first}/definition")
        _expect(answer, 200)
        found = _json(answer)
        if found.get("uid") != self._first or found.get("parameters") != self._parameters:
            raise _Broken(_text({"uid": self._first, "parameters": self._parameters}), _text(found))

    async def _tells(self) -> None:
        found = await self._status()
        if found.get("uid") != self._first or not isinstance(found.get("message"), str):
            raise _Broken("the uid, and a message that is text", _text(found))
        if not isinstance(found.get("details"), dict):
            raise _Broken("details, an object", _text(found))

    async def _has_known_status(self) -> None:
        word = (await self._status()).get("status")
        if word not in STATUSES:
            raise _Broken(f"one of {', '.join(STATUSES)}", repr(word))

    async def _lists(self) -> None:
        left = {self._first, self._second}
        after = ""
        for _ in range(MOST_PAGES):
            rows, after_that = await self._page(f"limit=1000&after={after}")
            for row in rows:
                if row["uid"] in left and not _is_time(row["updated"]):
                    raise _Broken("updated, a time (RFC 3339)", repr(row["updated"]))
            left -= {row["uid"] for row in rows}
            if not left:
                return
            if after_that is None:
                break
            after = after_that
        raise _Broken("the steps that were put", f"without {', '.join(sorted(left))}")

    async def _pages(self) -> None:
        rows, after = await self._page("limit=1")
        if len(rows) != 1 or after is None:
            raise _Broken("one step, and a next", f"{len(rows)} steps, next {after!r}")
        others, _ = await self._page(f"limit=1&after={after}")
        if len(others) != 1 or others[0]["uid"] == rows[0]["uid"]:
            raise _Broken("another step", _text(others))

    async def _filters(self) -> None:
        for status in STATUSES:
            rows, _ = await self._page(f"status={status}&limit=50")
            wrong = [row for row in rows if row["status"] != status]
            if wrong:
                raise _Broken(f"only steps that are {status}", _text(wrong[0]))

    async def _knows_no_stranger(self) -> None:
        for path in ("status", "definition"):
            _expect(await self._ask("GET", f"/{self._prefix}-nobody/{path}"), 404)

    async def _deletes(self) -> None:
        answer = await self._ask("DELETE", f"/{self._first}")
        _expect(answer, 200)
        self._is_of(_json(answer), self._first)

    async def _ends(self) -> None:
        for _ in range(50):
            answer = await self._ask("GET", f"/{self._first}/status")
            if answer.status == 404:
                return
            _expect(answer, 200)
            word = _json(answer).get("status")
            if word != Status.IN_PROGRESS.value:
                return
            await asyncio.sleep(0.1)
        raise _Broken("404, or success, failure or cancelled within 5 s", "in_progress")

    async def _deletes_once(self) -> None:
        _expect(await self._ask("DELETE", f"/{self._prefix}-nobody"), 404)

    async def _status(self) -> dict[str, Any]:
        answer = await self._ask("GET", f"/{self._first}/status")
        _expect(answer, 200)
        return _json(answer)

    async def _page(self, query: str) -> tuple[list[dict[str, Any]], str | None]:
        answer = await self._ask("GET", "/", query=query)
        _expect(answer, 200)
        found = _json(answer)
        rows, after = found.get("steps"), found.get("next", "absent")
        if not isinstance(rows, list) or not (after is None or isinstance(after, str)) or after == "absent":
            raise _Broken("{steps: […], next: text or null}", _text(found))
        for row in rows:
            if not isinstance(row, dict) or not {"uid", "status", "updated"} <= set(row):
                raise _Broken("{uid, status, updated} for each", _text(row))
        return rows, after

    async def _put(self, uid: str, parameters: dict[str, Any] | None = None) -> Answer:
        self._made.add(uid)
        body = {"parameters": self._parameters if parameters is None else parameters}
        return await self._ask("PUT", f"/{uid}", body)

    async def _ask(self, method: str, path: str, body: object = None, *, query: str = "") -> Answer:
        return await self._services.ask(method, self._url, path, body, query=query)

    def _is_of(self, found: dict[str, Any], uid: str) -> None:
        if found.get("uid") != uid or found.get("status") not in STATUSES:
            raise _Broken(f"{{uid: {uid!r}, status: one of {', '.join(STATUSES)}}}", _text(found))


def _others(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Other parameters, some of which the service should find readable: it must compare all the same."""
    others: list[dict[str, Any]] = []
    for name, value in parameters.items():
        if isinstance(value, str):
            others.append({**parameters, name: f"{value}x"})
        elif isinstance(value, int | float) and not isinstance(value, bool):
            others.append({**parameters, name: value + 1})
    return [*others[:3], {**parameters, "other": 1}]


def _expect(answer: Answer, *statuses: int) -> None:
    if answer.status not in statuses:
        raise _Broken(" or ".join(map(str, statuses)), f"{answer.status} {answer.text[:200]}")


def _json(answer: Answer) -> dict[str, Any]:
    if "json" not in answer.content_type:
        raise _Broken("application/json", answer.content_type)
    found = answer.json()
    if not isinstance(found, dict):
        raise _Broken("an object", _text(found))
    return found


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
