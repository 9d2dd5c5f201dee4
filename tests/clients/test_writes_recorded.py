# SPDX-License-Identifier: MPL-2.0
"""What recorded answers of Bugzilla and Phorge to a write mean: written, denied, unsure, or not now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from shipit.clients.bugzilla_writes import BugzillaWrites
from shipit.clients.http import KeyRefused
from shipit.clients.phabricator_writes import PhabricatorWrites
from shipit.uplift.decision_outcomes import Denied, NotNow, Outcome, Unsure, Written
from shipit.uplift.decision_types import Kind, Write
from shipit.world.server import Fake, hang_up, served


class Replayed(Fake):
    """Gives one recorded answer to whatever is asked, and remembers how often it was asked."""

    name = "replayed"

    def __init__(self, response: dict[str, Any] | None) -> None:
        super().__init__()
        self._response = response

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{anything:.*}", self._give)]

    async def _give(self, request: web.Request) -> web.StreamResponse:
        if self._response is None:
            return hang_up(request)
        body, kind = self._response["body"], self._response["headers"].get("Content-Type", "text/html")
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(
            status=self._response["status"], text=text, content_type=kind.split(";")[0].strip()
        )


def response(shared: Path, service: str, number: str) -> dict[str, Any]:
    (path,) = (shared / "recorded" / service).glob(f"{number}-*.json")
    found = json.loads(path.read_text())["response"]
    assert isinstance(found, dict)
    return found


def write(kind: Kind) -> Write:
    body: dict[str, Any] = {"flags": [{"id": 2, "status": "+"}]}
    if kind is Kind.REVISION:
        body = {"transactions": [{"type": "accept", "value": True}]}
    return Write(kind=kind, id=2, object="it", rows=(), body=body)


async def put(session: aiohttp.ClientSession, answer: dict[str, Any] | None) -> tuple[Outcome, int]:
    fake = Replayed(answer)
    async with served(fake):
        outcome = await BugzillaWrites(session, fake.url, timeout=5).write(write(Kind.ATTACHMENT), "a-key")
    return outcome, fake.count()


async def edit(session: aiohttp.ClientSession, answer: dict[str, Any] | None) -> tuple[Outcome, int]:
    fake = Replayed(answer)
    async with served(fake):
        writes = PhabricatorWrites(session, fake.url, timeout=5)
        outcome = await writes.write(write(Kind.REVISION), "api-" + "x" * 28)
    return outcome, fake.count()


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        ("061", Written, "approval-mozilla-beta+"),
        ("074", Written, "{}"),
        ("080", Written, "needinfo?"),
        ("060", Denied, "required permissions"),
        ("062", Denied, "required permissions"),
        ("067", Denied, "is invalid"),
        ("070", Denied, "invalid"),
        ("075", Denied, "no flag with the id"),
        ("082", Denied, "There is no user named"),
        ("171", Denied, "not authorized to access bug"),
        ("173", Denied, "private"),
        # An error with HTTP 200.
        ("178", Denied, "answered 200"),
        ("004", Denied, "does not take our API key"),
        ("085", Denied, "does not take our API key"),
        ("190", NotNow, "asked too often"),
    ],
)
async def test_what_bugzilla_said(
    shared: Path, session: aiohttp.ClientSession, number: str, kind: type, words: str
) -> None:
    outcome, asked = await put(session, response(shared, "bugzilla", number))
    assert isinstance(outcome, kind) and asked == 1
    assert words in str(outcome)
    assert "a-key" not in str(outcome)
    if isinstance(outcome, Denied):
        assert outcome.is_key == (number in ("004", "085"))


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        ("136", Written, "PHID-XACT-DREV"),
        ("137", Denied, "you are the revision author"),
        ("043", Denied, "No object exists"),
        ("005", Denied, "does not take our token"),
        ("008", Denied, "does not take our token"),
        ("300", NotNow, "429"),
        ("301", NotNow, "read-only mode"),
    ],
)
async def test_what_phabricator_said(
    shared: Path, session: aiohttp.ClientSession, number: str, kind: type, words: str
) -> None:
    outcome, asked = await edit(session, response(shared, "phorge", number))
    assert isinstance(outcome, kind) and asked == 1, outcome
    assert words in str(outcome) and "x" * 28 not in str(outcome)


async def test_a_connection_that_breaks_says_nothing_and_is_not_tried_again(
    session: aiohttp.ClientSession,
) -> None:
    for once in (put, edit):
        # aiohttp of itself sends a PUT twice when a connection that was used before breaks.
        outcome, asked = await once(session, None)
        assert isinstance(outcome, Unsure) and asked == 1


async def test_a_service_that_nobody_reached_surely_did_nothing(session: aiohttp.ClientSession) -> None:
    writes = BugzillaWrites(session, "http://127.0.0.1:9", timeout=5)
    assert isinstance(await writes.write(write(Kind.BUG), "a-key"), NotNow)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failing_service_may_have_done_it(session: aiohttp.ClientSession, status: int) -> None:
    for once in (put, edit):
        outcome, asked = await once(session, {"status": status, "headers": {}, "body": "<html>"})
        assert isinstance(outcome, Unsure) and asked == 1


async def test_whose_a_key_is(shared: Path, session: aiohttp.ClientSession) -> None:
    fake = Replayed(response(shared, "bugzilla", "002"))
    async with served(fake):
        assert await BugzillaWrites(session, fake.url).account("k") == "upliftbot@example.invalid"
    fake = Replayed(response(shared, "phorge", "002"))
    async with served(fake):
        account = await PhabricatorWrites(session, fake.url).account("t")
    assert account == ("reviewbot", "PHID-USER-3zg6kr4molxytg3xfw7b")
    fake = Replayed(response(shared, "bugzilla", "004"))
    async with served(fake):
        with pytest.raises(KeyRefused):
            await BugzillaWrites(session, fake.url).account("k")
