# SPDX-License-Identifier: MPL-2.0
"""The runner: the alarm when rounds stop, once, to everybody who can be reached, and that it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from fixtures_postgres import Database as Fresh
from shipit.errors import Unavailable
from shipit.runner.loop import run, tick
from shipit.settings import Backend, Bot, Listener, Settings
from shipit.storage import rounds, sources
from shipit.storage.pool import Database, open_pool
from shipit.uplift.report import RoundReport

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=3)
PEOPLE = ("rosa@people.example", "uplifts@people.example")
SETTINGS = Settings(instance="testing", backend=Backend(url="https://shipit.example"), bot=Bot(notify=PEOPLE))


class Post:
    """Keeps what is sent; refuses the addresses it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.refused: set[str] = set()

    async def __call__(self, address: str, subject: str, text: str) -> None:
        if address in self.refused:
            raise Unavailable("Taskcluster", f"refuses {address}")
        self.sent.append((address, subject))


@pytest.fixture
async def pool(database: Fresh) -> AsyncIterator[Database]:
    async with open_pool(database.url, instance=database.instance) as opened:
        yield opened


async def ended(pool: Database, at: datetime, **counts: float) -> None:
    """A round ended."""
    uid = f"{at:%Y%m%dT%H%M%S}"
    began = at - timedelta(minutes=1)
    report = RoundReport(uid=uid, kind="full", holder="bot", started=began, finished=at, counts=counts)
    async with pool.connection() as connection:
        await rounds.save(connection, report)


async def test_silence_is_told_once_and_so_is_its_end(pool: Database) -> None:
    post = Post()
    await ended(pool, NOW)
    for minutes in (10, 74, 76, 77, 200):
        await tick(SETTINGS, pool, post, since=SINCE, now=NOW + timedelta(minutes=minutes))
    silent = "Ship It (testing): the uplift bot is silent"
    assert post.sent == [(one, silent) for one in PEOPLE]
    await ended(pool, NOW + timedelta(minutes=210))
    for minutes in (211, 212):
        await tick(SETTINGS, pool, post, since=SINCE, now=NOW + timedelta(minutes=minutes))
    back = "Ship It (testing): the uplift bot is back"
    assert post.sent[2:] == [(one, back) for one in PEOPLE]


async def test_second_runner_tells_nobody_again(pool: Database) -> None:
    first, second = Post(), Post()
    await ended(pool, NOW)
    later = NOW + timedelta(hours=3)
    await asyncio.gather(
        tick(SETTINGS, pool, first, since=SINCE, now=later),
        tick(SETTINGS, pool, second, since=SINCE, now=later),
    )
    assert len(first.sent) + len(second.sent) == len(PEOPLE)


async def test_return_from_a_silence_nobody_heard_of_is_not_told(pool: Database) -> None:
    post = Post()
    await ended(pool, NOW)
    await ended(pool, NOW + timedelta(hours=3))
    await tick(SETTINGS, pool, post, since=SINCE, now=NOW + timedelta(hours=3, minutes=1))
    assert post.sent == []


async def test_one_bad_address_does_not_silence_the_others(pool: Database, database: Fresh) -> None:
    post = Post()
    post.refused = {PEOPLE[0]}
    await ended(pool, NOW)
    await tick(SETTINGS, pool, post, since=SINCE, now=NOW + timedelta(hours=2))
    assert [address for address, _ in post.sent] == [PEOPLE[1]]
    with database.connect() as connection:
        rows = connection.execute("select outcome, sent_at is not null from mails").fetchall()
    assert rows == [(f"Taskcluster: refuses {PEOPLE[0]}", True)]


async def test_alarm_that_reached_nobody_is_tried_again(pool: Database, database: Fresh) -> None:
    post = Post()
    post.refused = set(PEOPLE)
    await ended(pool, NOW)
    await tick(SETTINGS, pool, post, since=SINCE, now=NOW + timedelta(hours=2))
    assert post.sent == []
    post.refused = set()
    with database.connect() as connection:
        connection.execute("update mails set claimed_at = claimed_at - interval '6 minutes'")
    await tick(SETTINGS, pool, post, since=SINCE, now=NOW + timedelta(hours=3))
    assert [address for address, _ in post.sent] == list(PEOPLE)


async def test_rounds_that_can_read_no_train_are_silence(pool: Database) -> None:
    post = Post()
    await ended(pool, NOW, trains_read=4)
    for minutes in (30, 60, 90):
        await ended(pool, NOW + timedelta(minutes=minutes), trains_read=0)
    await tick(SETTINGS, pool, post, since=SINCE, now=NOW + timedelta(minutes=91))
    assert [subject for _, subject in post.sent] == ["Ship It (testing): the uplift bot is silent"] * 2
    await ended(pool, NOW + timedelta(minutes=92), trains_read=1)
    await tick(SETTINGS, pool, post, since=SINCE, now=NOW + timedelta(minutes=93))
    assert [subject for _, subject in post.sent[2:]] == ["Ship It (testing): the uplift bot is back"] * 2


async def test_alarm_that_nobody_could_send_stays_to_be_sent(pool: Database, database: Fresh) -> None:
    await ended(pool, NOW)
    await tick(SETTINGS, pool, None, since=SINCE, now=NOW + timedelta(hours=2))
    with database.connect() as connection:
        assert connection.execute("select outcome, sent_at from mails").fetchall() == [(None, None)]
        connection.execute("update mails set claimed_at = claimed_at - interval '6 minutes'")
    post = Post()
    await tick(SETTINGS, pool, post, since=SINCE, now=NOW + timedelta(hours=3))
    assert [address for address, _ in post.sent] == list(PEOPLE)


async def lived(pool: Database, database: Fresh, at: datetime) -> None:
    """A listener was alive."""
    async with pool.connection() as connection:
        await sources.live(connection, "one")
    with database.connect() as connection:
        connection.execute("update listener_memory set noted_at = %s where name = 'alive'", [at])


async def test_listener_that_falls_silent_is_told_once_and_so_is_its_return(
    pool: Database, database: Fresh
) -> None:
    post = Post()
    settings = msgspec.structs.replace(SETTINGS, listener=Listener(notify=("ops@people.example",)))

    async def look(minutes: float) -> None:
        await ended(pool, NOW + timedelta(minutes=minutes))
        await tick(settings, pool, post, since=SINCE, now=NOW + timedelta(minutes=minutes))

    await look(0)
    assert post.sent == [], "no listener ever lived"
    silent = ("ops@people.example", "Ship It (testing): the listener is silent")
    back = ("ops@people.example", "Ship It (testing): the listener is back")
    for died, returns in ((0, 60), (61, 120)):
        await lived(pool, database, NOW + timedelta(minutes=died))
        for minutes in (died + 1, died + 14, died + 16, died + 30):
            await look(minutes)
        assert post.sent[-1] == silent
        await lived(pool, database, NOW + timedelta(minutes=returns))
        for minutes in (returns, returns + 1):
            await look(minutes)
        assert post.sent[-1] == back
    assert post.sent == [silent, back, silent, back]


async def test_trouble_in_a_tick_does_not_end_the_loop(pool: Database) -> None:
    stop = asyncio.Event()
    asked = 0

    def clock() -> datetime:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise RuntimeError("a clock that stumbles")
        if asked > 3:
            stop.set()
        return NOW

    await asyncio.wait_for(run(SETTINGS, pool, Post(), stop, every=0.01, now=clock), 10)
    assert asked > 3
