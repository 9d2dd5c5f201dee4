# SPDX-License-Identifier: MPL-2.0
"""Live updates: heard soon, kept open by proxies, complete after a gap, no hindrance to stopping."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator

import httpx

from fixtures_postgres import Database
from fixtures_web import Service, make_bug, make_request, running
from shipit.storage.notify import Change
from shipit.web.live import Stream, merged
from shipit.web.viewer import Audience


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Each event with its fields; comments are events with only ":"."""
    found: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            yield found
            found = {}
            continue
        name, _, value = line.partition(":")
        found[name or ":"] = value.strip()


async def next_event(stream: AsyncIterator[dict[str, str]], name: str) -> dict[str, str]:
    async with asyncio.timeout(30):
        async for event in stream:
            if event.get("event") == name:
                return event
    raise AssertionError("the stream ended")


async def opened(service: Service, answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    stream = events(answer)
    await anext(stream)
    # The listening connection is its own; wait until it listens.
    await asyncio.sleep(0.5)
    return stream


async def streams_are(service: Service, wanted: int) -> None:
    for _ in range(200):
        if f"shipit_live_streams {wanted}.0" in (await service.client.get("/metrics")).text:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"there are never {wanted} streams")


async def test_a_change_is_heard_at_once_with_a_number_for_coming_back(database: Database) -> None:
    async with running(database) as service, service.client.stream("GET", "/api/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        stream = await opened(service, answer)
        began = time.monotonic()
        await service.feed(make_bug(1, make_request(1)))
        event = await next_event(stream, "change")
        assert time.monotonic() - began < 10
        assert event["id"]


async def test_a_stop_and_its_way_on_are_heard_at_once_by_whichever_release(database: Database) -> None:
    async with running(database) as service, service.client.stream("GET", "/api/live") as answer:
        service.auth.people = {"engineer": ("project:shipit:user", "project:shipit:pipeline/*")}
        engineer = service.by("engineer")
        stream = await opened(service, answer)
        made = await engineer.post("/api/stops", json={"product": "firefox", "phase": "", "reason": "x"})
        assert json.loads((await next_event(stream, "change"))["data"])["table"] == "pipelines"
        asked = {"policy": [{"relman": 1}]}
        restart = await engineer.post(f"/api/stops/{made.json()['uid']}/restart", json=asked)
        assert restart.status_code == 200
        told = json.loads((await next_event(stream, "change"))["data"])
        assert (told["table"], told["ids"]) == ("pipelines", [])


async def test_a_silent_stream_says_that_it_is_there(database: Database) -> None:
    async with (
        running(database, idle_seconds=0.2) as service,
        service.client.stream("GET", "/api/live") as answer,
    ):
        stream = events(answer)
        async with asyncio.timeout(30):
            comments = 0
            async for event in stream:
                comments += ":" in event
                if comments == 3:
                    break


async def test_whoever_comes_back_after_a_gap_is_told_to_read_afresh(database: Database) -> None:
    async with running(database) as service:
        async with service.client.stream("GET", "/api/live") as answer:
            stream = await opened(service, answer)
            await service.feed(make_bug(1, make_request(1)))
            last = (await next_event(stream, "change"))["id"]
            await asyncio.sleep(0.6)
        await service.feed(make_bug(2, make_request(2)))
        await asyncio.sleep(0.6)
        async with service.client.stream("GET", "/api/live", headers={"Last-Event-ID": last}) as answer:
            await next_event(events(answer), "resync")


async def test_what_changes_between_a_page_and_its_stream_is_not_missed(database: Database) -> None:
    async with running(database) as service:
        await asyncio.sleep(0.6)  # it listens from now on
        newest = re.findall(r'"live":"([^"]+)"', (await service.client.get("/")).text)[0]
        async with service.client.stream("GET", "/api/live", headers={"Last-Event-ID": newest}) as answer:
            stream = await opened(service, answer)
            await service.feed(make_bug(1, make_request(1)))
            # nothing had changed before: it is told of what changes, and not to read afresh
            assert (await anext(stream))["event"] == "change"
        async with service.client.stream("GET", "/api/live", headers={"Last-Event-ID": newest}) as answer:
            await next_event(events(answer), "resync")


async def test_when_the_database_comes_back_everybody_reads_afresh(database: Database) -> None:
    async with running(database) as service, service.client.stream("GET", "/api/live") as answer:
        stream = await opened(service, answer)
        await service.feed(make_bug(1, make_request(1)))
        # Behind this change lies the resync that every stream may hear at the service's own beginning.
        await next_event(stream, "change")
        with database.connect() as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name like 'shipit listen%' and datname = current_database()"
            )
        await next_event(stream, "resync")
        await service.feed(make_bug(2, make_request(2)))
        await next_event(stream, "change")


async def test_it_stops_within_four_seconds_with_many_streams_open(database: Database) -> None:
    async with running(database) as service:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=service.url, limits=limits, verify=False) as many:

            async def follow() -> None:
                async with many.stream("GET", "/api/live") as answer:
                    async for _ in answer.aiter_lines():
                        pass

            readers = [asyncio.create_task(follow()) for _ in range(60)]
            await streams_are(service, 60)
            began = time.monotonic()
            service.task.cancel()
            await asyncio.gather(service.task, return_exceptions=True)
            assert time.monotonic() - began < 4
            ended = await asyncio.gather(*readers, return_exceptions=True)
            assert ended == [None] * 60, "each stream was ended, none was cut"


async def test_a_page_that_goes_away_leaves_nothing_behind(database: Database) -> None:
    async with running(database, idle_seconds=0.2) as service:
        async with service.client.stream("GET", "/api/live") as answer:
            await anext(events(answer))
        await streams_are(service, 0)


def test_a_reader_that_is_far_behind_gets_one_resync_for_all_it_missed() -> None:
    stream = Stream(Audience.PUBLIC)
    for number in range(200):
        stream.put(b"%d" % number, b"resync")
    found = [stream.queue.get_nowait() for _ in range(stream.queue.qsize())]
    assert found[0] == b"resync"
    assert found[-1] == b"199"


def test_changes_of_one_table_are_told_as_one() -> None:
    changes = [
        Change("bugs", ("beta",), ("1",)),
        Change("trials", ("beta",), ("1-beta",)),
        Change("bugs", ("beta", "release"), ("2", "1")),
        Change("trials", (), None),
    ]
    assert merged(changes) == [
        Change("bugs", ("beta", "release"), ("1", "2")),
        Change("trials", ("beta",), None),
    ]
