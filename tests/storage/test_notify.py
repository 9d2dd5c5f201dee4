# SPDX-License-Identifier: MPL-2.0
"""Changes: who hears of what, versions that tell states apart, writers that pass each other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from fixtures_postgres import Database, make_url
from shipit.storage import migrate, notify
from shipit.storage.notify import Change, Resync
from shipit.storage.pool import open_pool

BUG = "insert into bugs (id, summary) values (%s, 'x')"
REQUEST = "insert into requests (uid, bug, train, state) values (%s, %s, %s, 'requested')"
TRIAL = """insert into trials (request, train, series_digest, tip, key, outcome)
    values (%s, %s, 'd', 't', 'k', 'clean')"""


@pytest.fixture
def filled(database: Database) -> Database:
    """Trains beta and esr; bug 1 with a request on beta."""
    with database.connect() as connection:
        for name in ("beta", "esr"):
            connection.execute(
                "insert into trains (name, channel, repository, branch) values (%s, 'beta', 'f', 'b')", [name]
            )
        connection.execute(BUG, [1])
        connection.execute(REQUEST, ["1-beta", 1, "beta"])
    return database


@contextlib.asynccontextmanager
async def listening(
    database: Database, *, look_every: float = 30
) -> AsyncIterator[AsyncIterator[Change | Resync]]:
    async with contextlib.aclosing(
        notify.changes(database.url, instance=database.instance, look_every=look_every)
    ) as heard:
        assert await next_of(heard) == Resync(), "what was before is unknown"
        yield heard


async def next_of(heard: AsyncIterator[Change | Resync]) -> Change | Resync:
    return await asyncio.wait_for(anext(heard), 30)


def versions(connection: psycopg.Connection) -> dict[str, int]:
    rows = connection.execute("select name, version_of(name) from unnest('{beta,esr,*}'::text[]) name")
    return dict(rows.fetchall())


def bumped(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("statement", "told", "trains"),
    [
        ("update trains set tip = 'abc' where name = 'esr'", Change("trains", ("esr",), ("esr",)), {"esr"}),
        ("update bugs set summary = 'y'", Change("bugs", ("beta",), ("1",)), {"beta"}),
        (
            "update requests set train = 'esr'",
            Change("requests", ("beta", "esr"), ("1-beta",)),
            {"beta", "esr"},
        ),
        (TRIAL % ("'1-beta'", "'beta'"), Change("trials", ("beta",), ("1-beta",)), {"beta"}),
        ("delete from requests", Change("requests", ("beta",), ("1-beta",)), {"beta"}),
        (BUG % 2, Change("bugs", (), ("2",)), set()),
    ],
    ids=["train", "bug", "re-targeted request", "trial", "deleted request", "bug without request"],
)
async def test_each_change_is_told_and_counted_for_the_trains_it_touches(
    filled: Database, statement: str, told: Change, trains: set[str]
) -> None:
    async with listening(filled) as heard:
        with filled.connect() as connection:
            before = versions(connection)
            connection.execute(statement)
            assert bumped(before, versions(connection)) == trains | {"*"}
        assert await next_of(heard) == told


async def test_writing_a_row_again_as_it_was_is_no_change(filled: Database) -> None:
    async with listening(filled) as heard:
        with filled.connect() as connection:
            before = versions(connection)
            connection.execute("update requests set state = state")
            connection.execute("update trains set tip = tip")
            connection.execute("delete from trials")
            assert versions(connection) == before
            connection.execute("update bugs set summary = 'y'")
        assert await next_of(heard) == Change("bugs", ("beta",), ("1",)), "and nothing before it"


async def test_what_is_rolled_back_is_neither_told_nor_counted(filled: Database) -> None:
    async with listening(filled) as heard:
        with filled.connect() as connection:
            before = versions(connection)
            with connection.transaction(force_rollback=True):
                connection.execute("update bugs set summary = 'y'")
            assert versions(connection) == before
            connection.execute("update bugs set summary = 'z'")
        assert await next_of(heard) == Change("bugs", ("beta",), ("1",))


async def test_many_rows_are_told_without_their_ids(filled: Database) -> None:
    async with listening(filled) as heard:
        with filled.connect() as connection:
            connection.execute(
                "insert into bugs (id, summary) select n, 'x' from generate_series(100, 150) n"
            )
            assert await next_of(heard) == Change("bugs", (), None)
            connection.execute(REQUEST, ["1-" + "é" * 5000, 1, "esr"])
            assert await next_of(heard) == Change("requests", ("esr",), None), "too long for a notification"


async def test_what_no_trigger_sees_is_told_when_asked_to(filled: Database) -> None:
    async with (
        listening(filled) as heard,
        open_pool(filled.url, instance=filled.instance) as pool,
    ):
        async with pool.connection() as connection:
            await notify.changed(connection, ["esr", "beta", "esr"])
        told = await next_of(heard)
        assert isinstance(told, Change)
        assert told.trains == ("beta", "esr")


async def test_an_instance_does_not_hear_another(filled: Database) -> None:
    migrate.upgrade(filled.url, instance="staging")
    staging = replace(filled, instance="staging")
    async with listening(filled) as heard:
        with staging.connect() as elsewhere, filled.connect() as here:
            elsewhere.execute(BUG, [7])
            here.execute(BUG, [8])
        assert await next_of(heard) == Change("bugs", (), ("8",))


async def test_a_lost_connection_is_made_again_and_the_gap_is_said(filled: Database) -> None:
    async with listening(filled) as heard:
        with filled.connect() as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'shipit listen testing' and datname = current_database()"
            )
            assert await next_of(heard) == Resync()
            connection.execute(BUG, [2])
        assert await next_of(heard) == Change("bugs", (), ("2",))


async def test_silence_is_tried_so_that_a_dead_connection_is_noticed(filled: Database) -> None:
    async with listening(filled, look_every=0.05) as heard:
        waiting = asyncio.ensure_future(anext(heard))
        await asyncio.sleep(0.3)
        assert not waiting.done(), "silence alone is no news"
        with filled.connect() as connection:
            connection.execute(BUG, [2])
        assert await asyncio.wait_for(waiting, 30) == Change("bugs", (), ("2",))


async def test_an_unreadable_notification_is_a_reason_to_read_afresh(filled: Database) -> None:
    async with listening(filled) as heard:
        with filled.connect() as connection:
            connection.execute("select pg_notify('testing_live', 'from newer code')")
        assert await next_of(heard) == Resync()


async def test_a_database_that_is_away_is_waited_for(filled: Database) -> None:
    later = make_url(filled.url, "comes_later")
    heard = notify.changes(later, instance="testing")
    waiting = asyncio.ensure_future(anext(heard))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    with filled.connect() as connection:
        connection.execute("create database comes_later")
        assert await asyncio.wait_for(waiting, 30) == Resync()
        await heard.aclose()
        connection.execute("drop database comes_later with (force)")


def test_writers_on_one_train_pass_each_other_and_every_commit_gives_a_new_version(filled: Database) -> None:
    with filled.connect() as first, filled.connect() as second, filled.connect() as reader:
        seen = [versions(reader)["beta"]]
        first.autocommit = second.autocommit = False
        first.execute("set lock_timeout = '2s'")
        second.execute("set lock_timeout = '2s'")
        first.execute(REQUEST, ["a", 1, "beta"])
        first.execute(REQUEST, ["b", 1, "esr"])
        second.execute(REQUEST, ["c", 1, "esr"])
        second.execute(REQUEST, ["d", 1, "beta"])
        second.commit()
        seen.append(versions(reader)["beta"])
        first.commit()
        seen.append(versions(reader)["beta"])
    assert sorted(set(seen)) == seen, "began earlier, committed later: new nevertheless"


def test_folding_keeps_every_version_and_most_rows_go(filled: Database) -> None:
    with filled.connect() as connection, filled.connect() as other:
        for number in range(50):
            connection.execute("update bugs set summary = %s", [str(number)])
        before = versions(connection)
        other.autocommit = False
        other.execute(BUG, [2])
        connection.execute("select fold_changes()")
        assert versions(connection) == before
        row = connection.execute("select count(*) from changes").fetchone()
        assert row is not None and row[0] <= 4
        other.commit()
        assert bumped(before, versions(connection)) == {"*"}


def test_the_rows_of_changes_stay_few_by_themselves(filled: Database) -> None:
    with filled.connect() as connection:
        connection.execute("select setseed(0.5)")
        for number in range(1500):
            connection.execute("update bugs set summary = %s", [str(number)])
        row = connection.execute("select count(*) from changes").fetchone()
        assert row is not None and row[0] < 2000, "of 3000 that were added"
        version = versions(connection)
    assert version["beta"] - version["esr"] >= 1500
