# SPDX-License-Identifier: MPL-2.0
"""Tell the author of a Step service, sentence by sentence, what of the Step API holds and what does not.

Works on uids of its own and removes them. What a service offers beyond the Step API is not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from shipit.clients.http import Answer
from shipit.errors import ShipitError, Unavailable
from shipit.pipeline.states import Status
from shipit.steps.conformance_answers import Broken, expect, is_time, object_of, others, text

STATUSES = tuple(status.value for status in Status)
MOST_PAGES = 50
ENDS_WITHIN = 5.0


class Fault(msgspec.Struct, frozen=True):
    """A rule that does not hold."""

    rule: str
    expected: str
    got: str


class Report(msgspec.Struct, frozen=True):
    """Which rules hold, and which do not."""

    holds: tuple[str, ...]
    fails: tuple[Fault, ...]


class Service(Protocol):
    """How a service is asked; raises ShipitError when there is no answer."""

    async def ask(
        self, method: str, api_url: str, path: str, body: object = None, *, query: str = ""
    ) -> Answer:
        """One call below its URL."""


async def check(
    service: Service, api_url: str, parameters: Mapping[str, Any], *, patience: float = ENDS_WITHIN
) -> Report:
    """Try every rule on the service below `api_url`.

    parameters: of a step it can create. patience: seconds in which a deleted step must end. Raises
    InvalidInput for a URL that may not be asked.
    """
    suite = _Suite(service, api_url.rstrip("/"), dict(parameters), patience)
    if (silence := await suite.silence()) is not None:
        return Report((), (Fault("the service answers", "an answer", silence[:300]),))
    holds: list[str] = []
    fails: list[Fault] = []
    try:
        for rule, test in suite.rules():
            try:
                await test()
                holds.append(rule)
            except Broken as broken:
                fails.append(Fault(rule, broken.expected, broken.got[:300]))
            except ShipitError as error:
                fails.append(Fault(rule, "an answer", error.detail[:300]))
    finally:
        await suite.clean()
    return Report(tuple(holds), tuple(fails))


class _Suite:
    def __init__(self, service: Service, url: str, parameters: dict[str, Any], patience: float) -> None:
        self._service, self._url, self._parameters = service, url, parameters
        self._patience = patience
        self._prefix = f"check-{secrets.token_hex(5)}"
        # As a runner spells them: pipeline, step, try.
        self._first, self._second = f"{self._prefix}.a.1", f"{self._prefix}.b.1"
        self._made: set[str] = set()

    def rules(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """Every rule with its test, in an order in which each finds what it needs."""
        return [
            ("PUT /{uid} creates a step and answers 201 or 200 with {uid, status}", self._creates),
            ("PUT of the same body again answers 200 and is no second step", self._is_idempotent),
            ("PUT of another body under the same uid answers 409", self._refuses_another),
            ("PUT of the same body twice at once makes one step", self._is_safe_at_once),
            ("PUT of something else than {parameters: {…}} makes no step", self._refuses_nonsense),
            ("GET /{uid}/definition answers {uid, parameters} as they were put", self._defines),
            ("GET /{uid}/status answers {uid, status, message, details}", self._tells),
            (f"status is one of {', '.join(STATUSES)}", self._has_known_status),
            ("GET / answers {steps: [{uid, status, updated}], next} with every step once", self._lists),
            ("GET /?limit=1 answers one step, and next leads to the others", self._pages),
            ("GET /?status=… answers the steps of that status and no others", self._filters),
            ("an unknown uid answers 404", self._knows_no_stranger),
            ("DELETE /{uid} answers 200 with {uid, status}", self._deletes),
            ("a deleted step is gone (404) or has ended", self._ends),
            ("DELETE of what is gone answers 404", self._deletes_once),
        ]

    async def silence(self) -> str | None:
        """Why nothing answers at all; None where something does."""
        said = None
        for path in ("/", f"/{self._prefix}-nobody/status"):
            try:
                await self._ask("GET", path)
            except Unavailable as error:
                said = error.detail
            else:
                return None
        return said

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
        expect(answer, 200, 201)
        self._is_of(object_of(answer), self._first)

    async def _is_idempotent(self) -> None:
        answer = await self._put(self._first)
        expect(answer, 200)
        self._is_of(object_of(answer), self._first)

    async def _refuses_another(self) -> None:
        found = [(await self._put(self._first, other)).status for other in others(self._parameters)]
        if any(status < 300 for status in found) or 409 not in found:
            raise Broken("409", f"{sorted(set(found))}")

    async def _is_safe_at_once(self) -> None:
        answers = await asyncio.gather(*(self._put(self._second) for _ in range(4)))
        found = sorted(answer.status for answer in answers)
        if any(status not in (200, 201) for status in found) or found.count(201) > 1:
            raise Broken("200 for all, and 201 for one at most", str(found))

    async def _refuses_nonsense(self) -> None:
        uid = f"{self._prefix}-nonsense"
        self._made.add(uid)
        # How it refuses is its own: a 4xx is kind, no answer at all is rude and harms nobody.
        with contextlib.suppress(Unavailable):
            answer = await self._ask("PUT", f"/{uid}", ["no", "parameters"])
            if answer.status < 400:
                raise Broken("a refusal (4xx)", str(answer.status))
        expect(await self._ask("GET", f"/{uid}/status"), 404)

    async def _defines(self) -> None:
        answer = await self._ask("GET", f"/{self._first}/definition")
        expect(answer, 200)
        found = object_of(answer)
        if found.get("uid") != self._first or found.get("parameters") != self._parameters:
            raise Broken(text({"uid": self._first, "parameters": self._parameters}), text(found))

    async def _tells(self) -> None:
        found = await self._status()
        if found.get("uid") != self._first or not isinstance(found.get("message"), str):
            raise Broken("the uid, and a message that is text", text(found))
        if not isinstance(found.get("details"), dict):
            raise Broken("details, an object", text(found))

    async def _has_known_status(self) -> None:
        word = (await self._status()).get("status")
        if word not in STATUSES:
            raise Broken(f"one of {', '.join(STATUSES)}", repr(word))

    async def _lists(self) -> None:
        ours = await self._ours("")
        for row in ours:
            if not is_time(row["updated"]):
                raise Broken("updated, a time", repr(row["updated"]))
        found = sorted(row["uid"] for row in ours)
        if found != [self._first, self._second]:
            raise Broken(f"{self._first} and {self._second}, each once", ", ".join(found) or "neither")
        said = (await self._status()).get("status")
        listed = next(row["status"] for row in ours if row["uid"] == self._first)
        # It may have moved between the two calls.
        if listed != said and listed != (await self._status()).get("status"):
            raise Broken(f"the status that GET /{{uid}}/status tells: {said!r}", repr(listed))

    async def _pages(self) -> None:
        rows, after = await self._page("limit=1")
        if len(rows) != 1 or after is None:
            raise Broken("one step, and a next", f"{len(rows)} steps, next {after!r}")
        behind, _ = await self._page(f"limit=1&after={quote(after, safe='')}")
        if len(behind) != 1 or behind[0]["uid"] == rows[0]["uid"]:
            raise Broken("another step", text(behind))
        await self._ends_some_time()

    async def _ends_some_time(self) -> None:
        after, seen = "", set()
        for _ in range(MOST_PAGES):
            rows, following = await self._page(f"limit=1000&after={quote(after, safe='')}")
            if following is None or not rows:
                return
            if following in seen:
                raise Broken("a next that leads on, and null at the end", repr(following))
            seen.add(following)
            after = following

    async def _filters(self) -> None:
        found: set[str] = set()
        for status in STATUSES:
            rows, _ = await self._page(f"status={status}&limit=50")
            wrong = [row for row in rows if row["status"] != status]
            if wrong:
                raise Broken(f"only steps that are {status}", text(wrong[0]))
            found |= {row["uid"] for row in await self._ours(f"status={status}&")}
        lacking = {self._first, self._second} - found
        if lacking:
            raise Broken("every step under the status that it has", f"without {', '.join(sorted(lacking))}")

    async def _ours(self, filtered: str) -> list[dict[str, Any]]:
        """Our own lines of the list, as often as they are there."""
        ours: list[dict[str, Any]] = []
        after = ""
        for _ in range(MOST_PAGES):
            rows, following = await self._page(f"{filtered}limit=1000&after={quote(after, safe='')}")
            ours += [row for row in rows if row["uid"] in (self._first, self._second)]
            if following is None or following == after:
                break
            after = following
        return ours

    async def _knows_no_stranger(self) -> None:
        for path in ("status", "definition"):
            expect(await self._ask("GET", f"/{self._prefix}-nobody/{path}"), 404)

    async def _deletes(self) -> None:
        answer = await self._ask("DELETE", f"/{self._first}")
        expect(answer, 200)
        self._is_of(object_of(answer), self._first)

    async def _ends(self) -> None:
        for _ in range(max(1, round(self._patience / 0.1))):
            answer = await self._ask("GET", f"/{self._first}/status")
            if answer.status == 404:
                return
            expect(answer, 200)
            word = object_of(answer).get("status")
            if word != Status.IN_PROGRESS.value:
                return
            await asyncio.sleep(0.1)
        raise Broken(f"404, or success, failure or cancelled within {self._patience:g} s", "in_progress")

    async def _deletes_once(self) -> None:
        expect(await self._ask("DELETE", f"/{self._prefix}-nobody"), 404)

    async def _status(self) -> dict[str, Any]:
        answer = await self._ask("GET", f"/{self._first}/status")
        expect(answer, 200)
        return object_of(answer)

    async def _page(self, query: str) -> tuple[list[dict[str, Any]], str | None]:
        answer = await self._ask("GET", "/", query=query)
        expect(answer, 200)
        found = object_of(answer)
        rows, after = found.get("steps"), found.get("next", "absent")
        if not isinstance(rows, list) or not (after is None or isinstance(after, str)) or after == "absent":
            raise Broken("{steps: […], next: text or null}", text(found))
        for row in rows:
            if not isinstance(row, dict) or not {"uid", "status", "updated"} <= set(row):
                raise Broken("{uid, status, updated} for each", text(row))
            if not isinstance(row["uid"], str):
                raise Broken("a uid that is text", text(row))
        return rows, after

    async def _put(self, uid: str, parameters: dict[str, Any] | None = None) -> Answer:
        self._made.add(uid)
        body = {"parameters": self._parameters if parameters is None else parameters}
        return await self._ask("PUT", f"/{uid}", body)

    async def _ask(self, method: str, path: str, body: object = None, *, query: str = "") -> Answer:
        return await self._service.ask(method, self._url, path, body, query=query)

    def _is_of(self, found: dict[str, Any], uid: str) -> None:
        if found.get("uid") != uid or found.get("status") not in STATUSES:
            raise Broken(f"{{uid: {uid!r}, status: one of {', '.join(STATUSES)}}}", text(found))
