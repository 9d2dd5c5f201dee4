# SPDX-License-Identifier: MPL-2.0
"""One sweep over every route there is: no word of a security bug for anybody who may not see it.

The bug is marked in every text that reports can carry; new routes are in the sweep by being declared.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from fixtures_postgres import Database
from fixtures_web import NOON, Service, make_bug, make_request, make_round, make_trains, make_trial, running
from shipit.events.heard import hear
from shipit.events.originals import all_routes, default_hooks
from shipit.events.samples import diff_delivery
from shipit.merge.advice import Advice, Prerequisite
from shipit.merge.types import Outcome
from shipit.settings import Decisions, Secret
from shipit.storage import journal, keys
from shipit.storage.pool import open_pool
from shipit.storage.vault import Vault
from shipit.uplift.lists import ListName
from shipit.uplift.plans import PlansReport, Scope
from shipit.uplift.report import BugReport, BugsReport, ListsReport, SearchesReport, TrialsReport
from shipit.uplift.types import PatchRef, PatchSource, Place, RequestState
from shipit.web.app import HANDLERS
from shipit.web.house import Contract
from shipit.web.scopes import Right
from web.test_board_lists import make_listed, make_lists
from web.test_evidence import told_bug
from web.test_plans import found, plan

MARK, BUG = "SECRET", 7316661
# One that only a list shows, and one that a build waits for: their numbers hold the first one's.
LISTED, APPROVED = 73166612, 73166613
# A marked bug that a public one has to do with: commits and Bugzilla give its number away, and nothing else.
RELATED = 7999
UID = f"{BUG}-beta-1"
PEOPLE = {
    "bot": ("project:shipit:bot", "project:shipit:restricted"),
    # everything a person may do, but for seeing restricted bugs
    "insider": (
        "project:shipit:user",
        "project:shipit:admin",
        "project:shipit:decide/*",
        "project:shipit:pipeline/*",
        "project:shipit:sign/*",
        "project:shipit:events/replay",
    ),
    "reader": ("project:shipit:user", "project:shipit:restricted", "project:shipit:decide/*"),
}
BLIND = (None, "insider")
# Where who may see it does see it: so the marks are there to be found.
SEEN = {
    "/api/requests",
    "/api/requests/{uid:str}",
    "/api/requests/{uid:str}/evidence",
    "/api/requests/{uid:str}/audit",
    "/api/bugs/{bug:str}",
    "/api/bugs/{bug:str}/audit",
    "/api/pipelines/{uid:str}/uplifts",
    "/api/board/{train:str}",
    "/api/board/{train:str}/csv",
    "/api/board/{train:str}/json",
    "/api/board/{train:str}/lists",
    "/api/board/{train:str}/lists/{list:str}/csv",
    "/api/board/{train:str}/lists/{list:str}/json",
    "/api/search",
    "/api/plans/{train:str}",
    "/api/people",
    "/api/people/{person:str}",
    "/api/decisions",
    "/api/decisions/{uid:str}",
    "/api/events/{event:str}",
    "/compat/uplift/analysis/{number:str}",
}
SECRET_KEY = "k" * 32


def marked(bug: int = BUG, **more: Any) -> BugReport:
    """A security bug with a mark in each of its texts."""
    series = (PatchRef(source=PatchSource.REVISION, name=f"{MARK}D9", version="11", title=f"{MARK} title"),)
    request = make_request(
        bug,
        outcome=Outcome.CONFLICT,
        reason=f"{MARK}.c differs",
        series=series,
        requested_by=f"{MARK}@example.com",
        places=(Place(attachment=bug * 10, flag=1, status="?", setter=f"{MARK}@example.com"),),
        **more,
    )
    report = told_bug(bug, request)
    text = msgspec.json.encode(report).decode()
    for word in ("An Author", "Bug 101", "Fix it", "dom/a.cpp", "Summary of"):
        text = text.replace(f'"{word}', f'"{MARK} {word}').replace(f" {word}", f" {MARK} {word}")
    text = text.replace("author@example.com", f"{MARK}@example.com").replace("src/a.c", f"{MARK}/a.c")
    facts = json.loads(text)
    return msgspec.convert(
        {**facts, "is_restricted": True, "groups": ["core-security"], "component": f"{MARK} part"},
        BugReport,
        strict=False,
    )


def neighbour() -> BugReport:
    """A public bug that has to do with the marked one."""
    relations = {name: (RELATED,) for name in ("regressions", "regressed_by", "depends_on", "dupe_of")}
    return told_bug(101, make_request(101, outcome=Outcome.CONFLICT), relations=relations)


async def seed(service: Service) -> None:
    """Everything that can be told of the marked bug is told."""
    service.auth.people = service.login.people = PEOPLE
    assert (await service.put("/api/trains", make_trains())).status_code == 204
    approved = marked(APPROVED, state=RequestState.APPROVED)
    taken = await service.put(
        "/api/bugs", BugsReport(round="r1", bugs=(marked(), marked(RELATED), neighbour(), approved))
    )
    assert {each["result"] for each in taken.json()["bugs"]} == {"created"}, taken.text
    # A commit of the repository is what everybody can read; its bug is not.
    named = Prerequisite("b" * 40, RELATED, f"Bug {RELATED} - words", 12, 1, author="Ben <b@example.com>")
    lacking = Advice(
        outcome=Outcome.CONFLICT, prerequisites=(named,), verified=True, reason="merges after it", merges=3
    )
    hidden: dict[str, Any] = {
        "summary": f"{MARK} list",
        "is_restricted": True,
        "assignee": f"{MARK}@example.com",
        "fields": {"cf_status_firefox147": "affected"},
    }
    listed, alone = make_listed(BUG, **hidden), make_listed(LISTED, **hidden)
    for path, body in (
        ("/api/advice", SearchesReport(searches=(found(advice=lacking), found(UID, advice=lacking)))),
        ("/api/plans/beta", PlansReport(plans=(
            plan("101-beta-1"),
            plan(UID, "101-beta-1", sees_restricted=True),
            plan(UID, "101-beta-1", scope=Scope.PENDING, sees_restricted=True),
        ))),
        ("/api/board/lists", make_lists(tracking=[listed, alone], security=[listed], unasked=[listed])),
        (f"/api/mails/secret%2F{BUG}", {"subject": f"{MARK} mail", "recipients": [f"{MARK}@example.com"]}),
        ("/api/rounds/r1", make_round(errors=({"bug": BUG, "reason": f"{MARK} error"},))),
    ):  # fmt: skip
        answer = await service.put(path, body)
        assert answer.status_code < 300, (path, answer.text)
    await service.by("reader").post(f"/api/requests/{UID}/wishes", json={"kind": "conflict"})
    waits = {"steps": [{"uid": "a", "kind": "uplifts", "parameters": {"train": "beta"}}]}
    assert (await service.by("insider").put("/api/pipelines/p", json=waits)).status_code == 201
    await _decided(service)


async def _decided(service: Service) -> None:
    database = service.database
    async with open_pool(database.url, instance=database.instance) as pool, pool.connection() as connection:
        for system in ("bugzilla", "phabricator"):
            await keys.put(
                connection,
                Vault([SECRET_KEY]),
                "reader",
                system,
                key="x" * 40,
                account="reader@example.com",
                account_id="1",
            )
        fields = {
            "revisionPHID": f"PHID-DREV-{MARK}",
            "authorPHID": f"PHID-USER-{MARK}",
            "repositoryPHID": "r",
        }
        diff = diff_delivery({"id": 55, "type": "DIFF", "phid": "PHID-DIFF-a", "fields": fields})
        diffs = [hear(diff, all_routes((), default_hooks("testing")), instance="testing")]
        await journal.record(connection, diffs, instance="testing")
    for uid, wanted in (
        ("decided-1", {"verdict": "reject", "requests": [UID], "comment": f"{MARK} comment"}),
        ("decided-2", {"verdict": "ask", "bugs": [LISTED], "train": "beta", "comment": f"{MARK} question"}),
    ):
        seen = (await service.by("reader").post("/api/decisions/preview", json=wanted)).json()
        body = wanted | {"seen": seen["seen"], "stamps": seen["stamps"]}
        answer = await service.by("reader").put(f"/api/decisions/{uid}", json=body)
        assert answer.status_code in (200, 201), answer.text


@asynccontextmanager
async def house(database: Database, **more: Any) -> AsyncIterator[Service]:
    settings = {"secret_key": (Secret(SECRET_KEY),), "decisions": Decisions(enabled=True)}
    async with running(database, settings=settings, **more) as service:
        await seed(service)
        yield service


def parts(database: Database) -> dict[str, list[str]]:
    """What each part of a path is filled with: whatever there is, the marked things first."""
    with database.connect() as connection:
        people = connection.execute("select id::text from people order by email like 'SECRET%' desc, id")
        events = connection.execute("select id::text from events")
        return {
            "{uid:str}": [UID, "101-beta-1", "decided-1", "decided-2", "p"],
            "{bug:str}": [str(BUG), str(LISTED), "101"],
            "{bugzilla_id:str}": [str(BUG)],
            "{train:str}": ["beta"],
            "{list:str}": list(ListName),
            "{person:str}": [row[0] for row in people.fetchall()],
            "{event:str}": [row[0] for row in events.fetchall()],
            "{number:str}": ["1"],
            "{kind:str}": ["signoff"],
            "{step:str}": ["a"],
            "{name:str}": ["round"],
        }


QUERIES = {
    "/api/requests": ("", "?state=all", "?outcome=conflict", f"?bug={BUG}"),
    "/api/decisions": ("", f"?request={UID}", f"?bug={LISTED}"),
    "/api/events": ("", f"?q={BUG}"),
    "/api/search": (f"?q={MARK}", f"?q={BUG}", "?q=1"),
    "/api/board/{train:str}/csv": ("", "?security=yes", f"?q={BUG}"),
    "/api/board/{train:str}/rss": ("", "?security=yes", f"?q={BUG}"),
}
STREAM = "/api/live"


def addresses(database: Database, *, right: Right | None = None) -> list[tuple[str, str]]:
    """(route, address) of everything that can be read."""
    known, made = parts(database), []
    for each in HANDLERS:
        route, contract = next(iter(each.paths)), each.opt["contract"]
        assert isinstance(contract, Contract)
        if "GET" not in each.http_methods or route == STREAM or contract.right is Right.BOT:
            continue
        filled = [route]
        for part, values in known.items():
            filled = [path.replace(part, value) for path in filled for value in values]
        made += [
            (route, path + query) for path in dict.fromkeys(filled) for query in QUERIES.get(route, ("",))
        ]
    return made


async def all_of(service: Service, who: str | None, asked: list[tuple[str, str]]) -> list[httpx.Response]:
    """The answers, asked for a few at a time."""
    few, client = asyncio.Semaphore(3), service.by(who)

    async def one(path: str) -> httpx.Response:
        async with few:
            return await client.get(path)

    return await asyncio.gather(*(one(path) for _, path in asked))


def names_it(answer: httpx.Response, asked: str) -> bool:
    """Whether an answer says more of the bug than whoever asked said."""
    said = answer.text + str(answer.headers.multi_items())
    for word in (UID, str(BUG)):
        if word in asked:
            said = said.replace(word, "")
    return MARK in said or str(BUG) in said


async def test_no_route_tells_of_it_whoever_asks_without_the_right(database: Database) -> None:
    async with house(database) as service:
        asked = addresses(database)
        with structlog.testing.capture_logs() as logs:
            for who in BLIND:
                answers = await all_of(service, who, asked)
                told = [
                    path for (_, path), answer in zip(asked, answers, strict=True) if names_it(answer, path)
                ]
                assert not told, (who, told)
                assert not [answer for answer in answers if answer.status_code >= 500], who
        assert MARK not in str(logs) and str(BUG) not in str(logs)
        answers = await all_of(service, "reader", asked)
        seen = {route for (route, _), answer in zip(asked, answers, strict=True) if MARK in answer.text}
        assert seen >= SEEN, SEEN - seen
        assert not [route for route in seen if route.endswith(("/rss", "/atom"))]


WRITES: tuple[tuple[str, str, Any], ...] = (
    ("POST", f"/api/requests/{UID}/wishes", {"kind": "trial"}),
    ("POST", f"/api/requests/{UID}/wishes", {"kind": "conflict"}),
    ("POST", "/api/decisions/preview", {"verdict": "reject", "requests": [UID]}),
    ("POST", "/api/decisions/preview", {"verdict": "reject", "requests": [UID, "101-beta-1"]}),
    ("POST", "/api/decisions/preview", {"verdict": "ask", "bugs": [LISTED], "train": "beta", "comment": "?"}),
    ("PUT", "/api/decisions/other-1", {"verdict": "reject", "requests": [UID]}),
    ("PUT", "/api/decisions/other-2", {"verdict": "ask", "bugs": [LISTED], "train": "beta", "comment": "?"}),
    ("DELETE", "/api/decisions/decided-1", None),
    ("DELETE", "/api/decisions/decided-2", None),
    ("POST", "/api/decisions/decided-1/drop", {"reason": "x"}),
    ("POST", "/api/decisions/decided-1/resume", {"reason": "x"}),
    ("PUT", f"/compat/uplift/bugs/{BUG}", []),
    ("PUT", "/api/people/{person}/note", {"karma": 1}),
    ("DELETE", "/api/people/{person}/note", None),
)


async def test_no_write_tells_of_it_or_touches_it(database: Database) -> None:
    async with house(database) as service:
        person = parts(database)["{person:str}"][0]
        with database.connect() as connection:
            before = _rows(connection)
            for who in BLIND:
                for method, path, body in WRITES:
                    path = path.replace("{person}", person)
                    answer = await service.by(who).request(method, path, json=body)
                    allowed = (200, 401, 403) if path.endswith("/preview") else (400, 401, 403, 404, 409)
                    assert answer.status_code in allowed, (who, method, path, answer.text)
                    assert not names_it(answer, path + json.dumps(body)), (who, path, answer.text)
            assert _rows(connection) == before


def _rows(connection: Any) -> list[Any]:
    tables = ("wishes", "decisions", "decision_parts", "decision_audit", "people_notes")
    return [
        connection.execute(f"select to_jsonb(t) from {table} t order by 1").fetchall() for table in tables
    ]


@pytest.mark.parametrize("who", [None, "insider", "reader"])
async def test_the_live_stream_tells_of_it_only_to_those_who_may_see_it(
    database: Database, who: str | None
) -> None:
    async with house(database) as service:

        async def act() -> None:
            later = NOON + timedelta(hours=1)
            trial = make_trial(UID, "beta", Outcome.ERROR, tried_at=later)
            again = make_lists(at=later, security=[make_listed(BUG, summary=MARK, is_restricted=True)])
            assert (await service.put("/api/trials", TrialsReport(trials=(trial,)))).status_code == 204
            assert (await service.put("/api/board/lists", again)).status_code == 204
            await service.by("reader").delete("/api/decisions/decided-1")
            await service.by("reader").delete("/api/decisions/decided-2")
            await service.by("reader").post(f"/api/requests/{UID}/wishes", json={"kind": "bug"})
            report = BugsReport(
                round="r2", bugs=(make_bug(101, make_request(101), digest="d2", read_at=later),)
            )
            assert (await service.put("/api/bugs", report)).status_code == 200

        said = await heard(service, who, act)
        assert MARK not in said
        assert (str(BUG) in said) is (who == "reader")


async def heard(service: Service, who: str | None, act: Any) -> str:
    """What a stream says from before `act` until the public change that it ends with."""
    async with service.by(who).stream("GET", "/api/live") as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        await asyncio.sleep(0.4)
        await act()
        found: list[str] = []
        async with asyncio.timeout(30):
            async for line in lines:
                found.append(line)
                if '"bugs"' in line and "101" in line:
                    return "\n".join(found)
    raise AssertionError("the stream ended")


def test_the_marks_are_in_every_text_of_the_bug() -> None:
    report = msgspec.to_builtins(marked())
    texts = [report["summary"], report["component"], report["requests"][0]["request"]["requested_by"]]
    texts += [each["name"] for each in report["contributors"]]
    texts += [patch["message"] for patch in report["analysis"]["patches"]]
    texts += [file["path"] for patch in report["analysis"]["patches"] for file in patch["files"]]
    assert all(MARK in text for text in texts), texts
    assert isinstance(make_lists(), ListsReport)
