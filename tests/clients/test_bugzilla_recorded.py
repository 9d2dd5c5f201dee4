# SPDX-License-Identifier: MPL-2.0
"""The Bugzilla client over real bugs as recorded, served again as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from shipit.clients.bugzilla import Bugzilla, Unreadable
from shipit.clients.http import CallCounter
from shipit.errors import Unavailable
from shipit.uplift.types import Bug
from shipit.world.server import Fake, served


class Recorded(Fake):
    """Bugs by number, each as one object with all its parts, or part by part."""

    name = "recorded"

    def __init__(self, bugs: dict[int, dict[str, Any]], parts: dict[int, dict[str, Any]]) -> None:
        super().__init__()
        self._bugs = bugs
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/rest/bug", self._several),
            web.get("/rest/bug/{bug}", self._one),
            web.get("/rest/bug/{bug}/{part}", self._part),
        ]

    async def _several(self, request: web.Request) -> web.Response:
        ids = [int(one) for one in request.query["id"].split(",")]
        return web.json_response({"bugs": [self._bugs[one] for one in ids if one in self._bugs]})

    async def _one(self, request: web.Request) -> web.Response:
        return web.json_response({"bugs": [self._bugs[int(request.match_info["bug"])]], "faults": []})

    async def _part(self, request: web.Request) -> web.Response:
        """Only for the bug of the path: a server that knows no ids= must not lose the others."""
        part = self._parts[int(request.match_info["bug"])].get(request.match_info["part"])
        if part is None:
            body = {"error": True, "code": 101, "message": "not recorded"}
            return web.json_response(body, status=404)
        return web.json_response(part)


async def test_every_whole_bug_recorded_is_read_whole(
    shared: Path, session: aiohttp.ClientSession, calls: CallCounter
) -> None:
    text = (shared / "data" / "bugzilla" / "bugs-full.jsonl").read_text()
    bugs = {one["id"]: one for one in map(json.loads, text.splitlines())}
    fake = Recorded(bugs, {})
    async with served(fake):
        found = await Bugzilla(session, fake.url, calls=calls).bugs(bugs)
    assert len(found) == len(bugs) == 33 and calls.total == 2
    for number, raw in bugs.items():
        bug = found[number]
        assert isinstance(bug, Bug), bug
        assert len(bug.attachments) == len(raw["attachments"])
        assert [one.text for one in bug.comments] == [one["text"] for one in raw["comments"]]
        assert len(bug.history) == sum(len(entry["changes"]) for entry in raw["history"])
        assert set(bug.fields) == {
            name for name in raw if name.startswith(("cf_status_", "cf_tracking_")) and raw[name] is not None
        }
        flags = [flag for one in raw["attachments"] for flag in one["flags"]]
        assert [(flag.name, flag.status) for one in bug.attachments for flag in one.flags] == [
            (flag["name"], flag["status"]) for flag in flags
        ]


async def test_bugs_recorded_part_by_part_are_put_together(
    shared: Path, session: aiohttp.ClientSession
) -> None:
    """Those recorded with every field; of the others only some fields were asked for."""
    bugs, parts = {}, {}
    for number in (12345, 547914, 1234567):
        folder = shared / "data" / "bugzilla" / "rest" / "bug" / str(number)
        read = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
        bugs[number] = read.pop("bug")["bugs"][0]
        parts[number] = read
    fake = Recorded(bugs, parts)
    async with served(fake):
        found = await Bugzilla(session, fake.url).bugs(bugs)
    for number, bug in found.items():
        assert isinstance(bug, Bug), bug
        assert len(bug.attachments) == len(parts[number]["attachment"]["bugs"][str(number)])
        assert len(bug.comments) == len(parts[number]["comment"]["bugs"][str(number)]["comments"]) >= 5
        entries = parts[number]["history"]["bugs"][0]["history"]
        assert len(bug.history) == sum(len(entry["changes"]) for entry in entries) >= 3
    assert {one.is_obsolete for bug in found.values() if isinstance(bug, Bug) for one in bug.attachments} == {
        True,
        False,
    }


class Refusing(Fake):
    """Answers everything with one recorded error."""

    name = "refusing"

    def __init__(self, status: int, body: Any) -> None:
        super().__init__()
        self._status = status
        self._body = body

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{anything:.*}", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        if isinstance(self._body, str):
            return web.Response(status=self._status, text=self._body, content_type="text/html")
        return web.json_response(self._body, status=self._status)


async def test_no_recorded_error_looks_like_an_empty_answer(
    shared: Path, session: aiohttp.ClientSession
) -> None:
    """Whatever BMO says is wrong, with HTTP 200 or not: a search fails, and a bug carries the reason."""
    seen: dict[int, int] = {}
    for path in sorted((shared / "recorded" / "bugzilla").glob("*.json")):
        response = json.loads(path.read_text())["response"]
        if response is None or not isinstance(response["body"], dict) or not response["body"].get("error"):
            continue
        seen[response["status"]] = seen.get(response["status"], 0) + 1
        async with served(Refusing(response["status"], response["body"])) as url:
            client = Bugzilla(session, url)
            for question in (client.search("approval-mozilla-beta"), client.changed([1])):
                with pytest.raises(Unavailable):
                    await question
            try:
                found = await client.bugs([1])
            except Unavailable:
                continue
            assert isinstance(found[1], Unreadable) and found[1].reason
    assert seen.keys() == {200, 400, 401, 404} and sum(seen.values()) > 50
