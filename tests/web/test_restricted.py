# SPDX-License-Identifier: MPL-2.0
"""Security bugs are seen only by those who may, on every channel; strangers do not even see a number."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import httpx
import pytest
import structlog

from fixtures_postgres import Database
from fixtures_web import (
    NOON,
    Service,
    make_bug,
    make_request,
    make_round,
    make_secret,
    make_trial,
    running,
)
from shipit.merge.types import Outcome
from shipit.uplift.report import BugsReport, TrialsReport
from shipit.web.lists import without_hosts

UNTRUSTED = (None, "stranger", "user", "admin", "bot")
SECRET_BUG = 7316661
# Everything that names the secret: its words, its number as a word of its own, its request.
NAMES = ("SECRET", "7316661")


async def seed(service: Service) -> None:
    answer = await service.feed(
        make_bug(101, make_request(101, outcome=Outcome.CLEAN)),
        make_secret(
            SECRET_BUG, make_request(SECRET_BUG, outcome=Outcome.CONFLICT, reason="SECRET.c differs")
        ),
    )
    assert {each["result"] for each in answer.json()["bugs"]} == {"created"}
    await service.put("/api/rounds/r1", make_round())


def names_it(text: str) -> bool:
    return any(name in text for name in NAMES)


CHANNELS = [
    "/",
    "/api/board/beta",
    "/api/trains",
    "/api/requests",
    "/api/requests?state=all&limit=1000",
    "/api/requests?outcome=conflict",
    "/compat/uplift/analysis",
    "/compat/uplift/analysis/1",
    "/metrics",
    "/__heartbeat__",
]


@pytest.mark.parametrize("who", UNTRUSTED)
async def test_no_list_page_or_count_names_it(database: Database, who: str | None) -> None:
    async with running(database) as service:
        await seed(service)
        for path in CHANNELS:
            answer = await service.by(who).get(path)
            assert answer.status_code == 200, path
            assert not names_it(answer.text), (path, who)


@pytest.mark.parametrize("who", UNTRUSTED)
async def test_asking_for_it_is_as_asking_for_what_does_not_exist(
    database: Database, who: str | None
) -> None:
    async with running(database) as service:
        await seed(service)
        for there, absent in (
            ("/api/bugs/7316661", "/api/bugs/999"),
            ("/api/requests/7316661-beta-1", "/api/requests/999-beta-1"),
            ("/api/requests?bug=7316661", "/api/requests?bug=999"),
        ):
            one, other = await service.by(who).get(there), await service.by(who).get(absent)
            assert one.status_code == other.status_code
            assert one.text.replace("7316661", "999") == other.text


@pytest.mark.parametrize("who", ["user", "admin"])
async def test_no_write_of_a_person_finds_it(database: Database, who: str) -> None:
    async with running(database) as service:
        await seed(service)
        for method, path, body in (
            ("POST", "/api/requests/7316661-beta-1/wishes", {"kind": "trial"}),
            ("PUT", "/compat/uplift/bugs/7316661", []),
        ):
            answer = await service.by(who).request(method, path, json=body)
            other = await service.by(who).request(method, path.replace("7316661", "999"), json=body)
            assert (answer.status_code, answer.text.replace("7316661", "999")) == (404, other.text)


async def test_whoever_may_see_it_sees_it(database: Database) -> None:
    async with running(database) as service:
        await seed(service)
        reader = service.by("reader")
        for path in (
            "/",
            "/api/board/beta",
            "/api/requests",
            "/api/bugs/7316661",
            "/api/requests/7316661-beta-1",
            "/compat/uplift/analysis/1",
        ):
            assert names_it((await reader.get(path)).text), path
        beta = (await reader.get("/api/trains")).json()["trains"][0]
        assert (beta["open"], beta["restricted"]) == (2, None)


async def test_a_logged_in_person_sees_a_number_and_a_stranger_not_even_that(database: Database) -> None:
    async with running(database) as service:
        await seed(service)
        for who, number in ((None, None), ("stranger", None), ("user", 1)):
            beta = (await service.by(who).get("/api/trains")).json()["trains"][0]
            assert (beta["open"], beta["restricted"]) == (1, number)
            assert ('"restricted":1' in (await service.by(who).get("/")).text) is (number == 1)


async def test_its_changes_change_no_tag_that_strangers_get(database: Database) -> None:
    async with running(database) as service:
        await seed(service)
        before = {path: (await service.client.get(path)).headers["etag"] for path in CHANNELS[1:8]}
        assert (
            await service.put(
                "/api/trials",
                TrialsReport(
                    trials=(
                        make_trial(
                            "7316661-beta-1", "beta", Outcome.ERROR, tried_at=NOON + timedelta(minutes=1)
                        ),
                    )
                ),
            )
        ).status_code == 204
        assert {path: (await service.client.get(path)).headers["etag"] for path in CHANNELS[1:8]} == before


async def test_a_bug_in_a_group_is_restricted_whatever_the_report_says(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_secret(SECRET_BUG, make_request(SECRET_BUG), is_restricted=False))
        assert not names_it((await service.client.get("/api/requests")).text)


async def lines_of(answer: httpx.Response) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        yield line


async def heard(service: Service, who: str | None, act: object) -> str:
    """Everything a stream says from before `act` until a public change after it."""
    async with service.by(who).stream("GET", "/api/live") as answer:
        lines = lines_of(answer)
        await anext(lines)
        await asyncio.sleep(0.5)
        await act()  # type: ignore[operator]
        await asyncio.sleep(0.5)
        await service.put("/api/bugs", bug_report_101())
        found = []
        async with asyncio.timeout(30):
            async for line in lines:
                found.append(line)
                if "101" in line:
                    return "\n".join(found)
    raise AssertionError("the stream ended")


def bug_report_101() -> BugsReport:
    later = NOON + timedelta(hours=1)
    return BugsReport(round="r2", bugs=(make_bug(101, make_request(101), digest="d2", read_at=later),))


@pytest.mark.parametrize("who", [None, "user", "reader"])
async def test_the_live_stream_names_it_only_to_those_who_may_see_it(
    database: Database, who: str | None
) -> None:
    async with running(database) as service:
        await seed(service)

        async def retry_the_secret() -> None:
            trial = make_trial("7316661-beta-1", "beta", Outcome.ERROR, tried_at=NOON + timedelta(minutes=1))
            await service.put("/api/trials", TrialsReport(trials=(trial,)))

        said = await heard(service, who, retry_the_secret)
        assert names_it(said) is (who == "reader")
        events = [line for line in said.splitlines() if line.startswith("data:") and "trials" in line]
        # A person who is told a number hears that the number may have changed; a stranger hears nothing.
        assert len(events) == (0 if who is None else 1)


async def test_a_bug_that_becomes_restricted_vanishes_from_open_pages(database: Database) -> None:
    async with running(database) as service:
        await seed(service)
        async with service.client.stream("GET", "/api/live") as answer:
            lines = lines_of(answer)
            await anext(lines)
            await asyncio.sleep(0.5)
            # what comes after this one is not of the seed any more, however late that is told
            await service.feed(make_bug(105, make_request(105)))
            async with asyncio.timeout(30):
                async for line in lines:
                    if line.startswith("data:") and '"bugs"' in line and '"105"' in line:
                        break
            later = NOON + timedelta(hours=1)
            hidden = make_secret(101, make_request(101), digest="d2", read_at=later)
            await service.feed(hidden)
            async with asyncio.timeout(30):
                async for line in lines:
                    if line.startswith("data:") and '"bugs"' in line:
                        break
        assert "101" not in line
        assert "101" not in (await service.client.get("/api/requests")).text


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    written, before = io.StringIO(), structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(written),
        cache_logger_on_first_use=False,
    )
    yield written
    structlog.configure(**before)


async def test_a_defect_names_it_neither_in_the_answer_nor_in_the_log(
    database: Database, logged: io.StringIO
) -> None:
    async with running(database) as service:
        await seed(service)
        # A defect that we bring about: a constraint that only the secret breaks, whose error quotes the row.
        with database.connect() as connection:
            connection.execute("alter table bugs add constraint no_new check (priority <> 'P9')")
        later = NOON + timedelta(hours=1)
        answer = await service.feed(make_secret(SECRET_BUG, digest="d9", read_at=later, priority="P9"))
        assert answer.status_code == 500
        assert not names_it(answer.text)
        instance = answer.json()["instance"]
        assert instance in logged.getvalue()
        assert not names_it(logged.getvalue())


def test_addresses_are_cut_for_strangers_wherever_they_are() -> None:
    value = {"a": ["x@example.com", {"b": "say x@example.com twice"}], "c": 1, "d": None}
    assert without_hosts(value) == {"a": ["x", {"b": "say x@example.com twice"}], "c": 1, "d": None}


async def test_strangers_see_no_addresses(database: Database) -> None:
    async with running(database) as service:
        await seed(service)
        for path in (
            "/",
            "/api/trains",
            "/api/requests",
            "/api/bugs/101",
            "/api/requests/101-beta-1",
            "/compat/uplift/analysis/1",
        ):
            assert "@example.com" not in (await service.client.get(path)).text, path
            assert "@example.com" in (await service.by("user").get(path)).text, path


def test_the_names_would_be_found() -> None:
    assert names_it(json.dumps({"id": 7316661}))
