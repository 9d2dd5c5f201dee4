# SPDX-License-Identifier: MPL-2.0
"""The suite for Step services finds every broken rule, and nothing in a service that keeps them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest

from shipit.clients.http import Answer
from shipit.errors import InvalidInput, Unavailable
from shipit.steps.conformance import check

WHEN = "2026-11-20T12:00:00+00:00"
Row = dict[str, Any]


class Sample:
    """A step service in memory that keeps every rule but one. breaks: that one."""

    def __init__(self, breaks: str = "") -> None:
        self.breaks = breaks
        self.steps: dict[str, Row] = {
            f"older.{number}.1": _row(f"older.{number}.1", {}) for number in range(3)
        }

    async def ask(self, method: str, api_url: str, path: str, body: Any = None, *, query: str = "") -> Answer:
        uid, _, what = unquote(path).strip("/").partition("/")
        if self.breaks == "slow to begin" and isinstance(body, dict) and uid not in self.steps:
            await asyncio.sleep(0)
            status, found = self._begin(uid, body)
        elif method == "PUT":
            status, found = self._put(uid, body)
        elif not uid:
            status, found = 200, self._list(dict(parse_qsl(query)))
        else:
            status, found = self._of(uid, what, method)
        content = b"" if self.breaks == "empty delete" and method == "DELETE" else json.dumps(found).encode()
        content = b"<html>" if self.breaks == "no JSON" else content
        return Answer(
            service="sample", url=api_url, status=status, content_type="application/json", body=content
        )

    def _put(self, uid: str, body: Any) -> tuple[int, Any]:
        match self.breaks:
            case "no dots" if "." in uid:
                return 400, {}
            case "takes anything":
                return self._begin(uid, body if isinstance(body, dict) else {"parameters": {}})
            case "begins again":
                return self._begin(uid, body) if isinstance(body, dict) else (400, {})
        if not isinstance(body, dict) or "parameters" not in body:
            return 400, {"title": "no"}
        known = self.steps.get(uid)
        if known is None:
            return self._begin(uid, body)
        if known["parameters"] == body["parameters"]:
            return (409 if self.breaks == "409 for the same" else 200), _shown(known)
        if self.breaks == "overwrites":
            known["parameters"] = body["parameters"]
        return (200 if self.breaks in ("overwrites", "never 409") else 409), _shown(known)

    def _begin(self, uid: str, body: Any) -> tuple[int, Any]:
        self.steps[uid] = _row(uid, body["parameters"])
        if self.breaks == "other words":
            self.steps[uid]["status"] = "running"
        if self.breaks == "no uid":
            return 201, {"status": "in_progress"}
        return (202 if self.breaks == "202" else 201), _shown(self.steps[uid])

    def _of(self, uid: str, what: str, method: str) -> tuple[int, Any]:
        row = self.steps.get(uid)
        if row is None:
            strange = self.breaks == "knows everybody" and method == "GET"
            twice = self.breaks == "deletes nothing" and method == "DELETE"
            return (200, {"uid": uid, "status": "success"}) if strange or twice else (404, {})
        if method == "DELETE":
            if self.breaks != "runs on":
                del self.steps[uid]
            return (204 if self.breaks == "204" else 200), {"uid": uid, "status": "cancelled"}
        if what == "definition":
            lost = self.breaks == "forgets parameters"
            return 200, {"uid": uid, "parameters": {} if lost else row["parameters"]}
        shown = {name: value for name, value in row.items() if name != "parameters"}
        if self.breaks == "no message":
            del shown["message"]
        if self.breaks == "details are text":
            shown["details"] = "none"
        return 200, shown

    def _list(self, query: dict[str, str]) -> Any:
        if self.breaks == "a bare list":
            return list(self.steps)
        after = "" if self.breaks == "ignores after" else query.get("after", "")
        wanted = None if self.breaks == "ignores status" else query.get("status")
        limit = 1000 if self.breaks == "ignores limit" else int(query.get("limit", 100))
        rows = [_shown(row) for uid, row in sorted(self.steps.items()) if uid > after]
        rows = [row for row in rows if wanted in (None, row["status"])]
        if self.breaks == "filters everything away" and wanted:
            rows = []
        if self.breaks == "doubles":
            rows = [row for row in rows for _ in range(2)]
        if self.breaks == "leaves the newest out":
            rows = [row for row in rows if not row["uid"].startswith("check")]
        if self.breaks == "stale list":
            rows = [{**row, "status": "success"} for row in rows]
        page = rows[:limit]
        if self.breaks == "updated is nothing":
            page = [{**row, "updated": None} for row in page]
        if self.breaks == "uid is a number":
            page = [{**row, "uid": 7} for row in page]
        following = page[-1]["uid"] if len(rows) > limit else None
        if self.breaks == "goes in circles" and limit > 1:
            page, following = rows[:1] or [_shown(_row("older.0.1", {}))], "older.0.1"
        return {"steps": page} if self.breaks == "no next" else {"steps": page, "next": following}


def _row(uid: str, parameters: Row) -> Row:
    return {
        "uid": uid,
        "status": "in_progress",
        "message": "",
        "details": {},
        "updated": WHEN,
        "parameters": parameters,
    }


def _shown(row: Row) -> Row:
    return {name: row[name] for name in ("uid", "status", "updated")}


async def test_a_service_that_keeps_every_rule_is_told_so_and_left_as_it_was() -> None:
    sample = Sample()
    before = dict(sample.steps)
    report = await check(sample, "http://x", {"rate": 1, "name": "n"})
    assert (report.fails, len(report.holds)) == ((), 15)
    assert sample.steps == before


@pytest.mark.parametrize(
    ("breaks", "rule"),
    [
        ("no dots", "PUT /{uid} creates"),
        ("no uid", "PUT /{uid} creates"),
        ("202", "PUT /{uid} creates"),
        ("no JSON", "PUT /{uid} creates"),
        ("begins again", "PUT of the same body again"),
        ("409 for the same", "PUT of the same body again"),
        ("never 409", "PUT of another body"),
        ("overwrites", "PUT of another body"),
        ("overwrites", "GET /{uid}/definition"),
        ("slow to begin", "PUT of the same body twice at once"),
        ("takes anything", "PUT of something else"),
        ("forgets parameters", "GET /{uid}/definition"),
        ("no message", "GET /{uid}/status"),
        ("details are text", "GET /{uid}/status"),
        ("other words", "status is one of"),
        ("a bare list", "GET / answers"),
        ("no next", "GET / answers"),
        ("doubles", "GET / answers"),
        ("leaves the newest out", "GET / answers"),
        ("stale list", "GET / answers"),
        ("updated is nothing", "GET / answers"),
        ("uid is a number", "GET / answers"),
        ("ignores limit", "GET /?limit=1"),
        ("ignores after", "GET /?limit=1"),
        ("goes in circles", "GET /?limit=1"),
        ("ignores status", "GET /?status"),
        ("filters everything away", "GET /?status"),
        ("knows everybody", "an unknown uid"),
        ("204", "DELETE /{uid} answers"),
        ("empty delete", "DELETE /{uid} answers"),
        ("runs on", "a deleted step"),
        ("deletes nothing", "DELETE of what is gone"),
    ],
)
async def test_every_broken_rule_is_found(breaks: str, rule: str) -> None:
    report = await check(Sample(breaks), "http://x", {"rate": 1, "name": "n"}, patience=0.1)
    assert any(fault.rule.startswith(rule) for fault in report.fails), report.fails
    assert all(fault.expected and fault.got for fault in report.fails)


async def test_what_the_step_api_leaves_open_is_left_to_the_service() -> None:
    class Own(Sample):
        async def ask(
            self, method: str, api_url: str, path: str, body: Any = None, *, query: str = ""
        ) -> Answer:
            if isinstance(body, list):
                raise Unavailable("sample", "hung up")
            answer = await super().ask(method, api_url, path, body, query=query)
            found = json.loads(answer.body)
            for row in found.get("steps", ()):
                row["updated"] = 1763726400.5
            more = json.dumps({**found, "colour": "blue"}).encode()
            status = 200 if answer.status == 201 else answer.status
            return Answer(service="own", url=api_url, status=status, content_type="", body=more)

    assert (await check(Own(), "http://x", {})).fails == ()


async def test_of_a_service_that_is_away_no_rule_is_tried() -> None:
    class Away(Sample):
        async def ask(self, *args: Any, **more: Any) -> Answer:
            raise Unavailable("sample", "is away")

    report = await check(Away(), "http://x", {})
    assert report.holds == () and [(each.rule, each.got) for each in report.fails] == [
        ("the service answers", "sample: is away")
    ]


async def test_a_url_that_may_not_be_asked_is_an_error_and_no_broken_rule() -> None:
    class Refusing(Sample):
        async def ask(self, *args: Any, **more: Any) -> Answer:
            raise InvalidInput("api_url", expected="an http or https URL")

    with pytest.raises(InvalidInput, match="api_url"):
        await check(Refusing(), "nowhere", {})


async def test_what_answers_is_told_from_what_is_silent() -> None:
    class Mute(Sample):
        async def ask(
            self, method: str, api_url: str, path: str, body: Any = None, *, query: str = ""
        ) -> Answer:
            if path == "/":
                raise Unavailable("sample", "took too long")
            return await super().ask(method, api_url, path, body, query=query)

    report = await check(Mute(), "http://x", {})
    assert len(report.holds) == 12 and all(each.rule.startswith("GET /") for each in report.fails)
