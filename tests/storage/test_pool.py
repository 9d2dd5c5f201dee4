# SPDX-License-Identifier: MPL-2.0
"""The pool: few connections, inside one schema, bounded in time, errors in our words."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import msgspec
import psycopg
import pytest
from psycopg.types.json import Jsonb

from fixtures_postgres import Database
from shipit.errors import InvalidInput, Unavailable
from shipit.storage.pool import Limits, conninfo, open_pool
from shipit.trains.types import Moment

TRAIN = "insert into trains (name, channel, repository, branch, next_build) values (%s, 'beta', 'f', 'b', %s)"


async def test_what_is_written_is_committed_at_the_end_and_rolled_back_on_an_exception(
    database: Database,
) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        async with pool.connection() as connection:
            await connection.execute(TRAIN, ["beta", None])
        with pytest.raises(ZeroDivisionError):
            async with pool.connection() as connection:
                await connection.execute(TRAIN, ["release", None])
                raise ZeroDivisionError
        async with pool.connection() as connection:
            names = await (await connection.execute("select name from trains")).fetchall()
    assert names == [("beta",)]


async def test_json_goes_in_as_our_types_and_comes_out_as_plain_values(database: Database) -> None:
    build = Moment("beta_3 — «b3»", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    async with (
        open_pool(database.url, instance=database.instance) as pool,
        pool.connection() as connection,
    ):
        await connection.execute(TRAIN, ["beta", Jsonb(build)])
        row = await (await connection.execute("select next_build from trains")).fetchone()
    assert row is not None
    assert msgspec.convert(row[0], Moment) == build


async def test_never_more_connections_than_allowed_and_waiting_ends(database: Database) -> None:
    limits = Limits(connections=2, wait=0.2)
    async with open_pool(database.url, instance=database.instance, limits=limits) as pool:
        async with pool.connection() as first, pool.connection():
            count = "select count(*) from pg_stat_activity where application_name = 'shipit testing'"
            assert await (await first.execute(count)).fetchone() == (2,)
            with pytest.raises(Unavailable, match="database"):
                async with pool.connection():
                    pytest.fail("a third connection")
        async with pool.connection():
            pass


async def test_a_statement_that_takes_too_long_is_ended_and_the_pool_serves_on(database: Database) -> None:
    limits = Limits(connections=1, statement=0.1)
    async with open_pool(database.url, instance=database.instance, limits=limits) as pool:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="statement timeout"):
            async with pool.connection() as connection:
                await connection.execute("select pg_sleep(20)")
        assert time.monotonic() - began < 15
        async with pool.connection() as connection:
            await connection.execute("select 1")


async def test_a_lock_that_is_not_given_is_not_waited_for_for_ever(database: Database) -> None:
    limits = Limits(lock=0.1)
    with database.connect() as other:
        other.autocommit = False
        other.execute("lock table trains")
        async with open_pool(database.url, instance=database.instance, limits=limits) as pool:
            with pytest.raises(Unavailable, match="lock timeout"):
                async with pool.connection() as connection:
                    await connection.execute("select * from trains")


async def test_a_stuck_transaction_is_ended(database: Database) -> None:
    limits = Limits(connections=1, idle=0.1)
    async with open_pool(database.url, instance=database.instance, limits=limits) as pool:
        with pytest.raises(Unavailable):
            async with pool.connection() as connection:
                await connection.execute("select 1")
                await asyncio.sleep(0.5)
                await connection.execute("select 1")
        async with pool.connection() as connection:
            await connection.execute("select 1")


async def test_after_lost_connections_one_request_fails_and_no_more(database: Database) -> None:
    limits = Limits(connections=3)
    async with open_pool(database.url, instance=database.instance, limits=limits) as pool:
        async with pool.connection(), pool.connection(), pool.connection():
            pass
        with database.connect() as killer:
            killer.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'shipit testing' and datname = current_database()"
            )
        failures = 0
        for _ in range(6):
            try:
                async with pool.connection() as connection:
                    await connection.execute("select 1")
            except Unavailable:
                failures += 1
        assert failures == 1


@pytest.mark.drill
async def test_a_database_that_was_away_for_long_is_found_again_soon(database: Database) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database.url)["dbname"]
    elsewhere = psycopg.conninfo.make_conninfo(database.url, dbname="postgres")
    limits = Limits(connections=3, wait=0.5)
    async with open_pool(database.url, instance=database.instance, limits=limits) as pool:
        with psycopg.connect(elsewhere, autocommit=True) as other:
            other.execute(f'alter database "{name}" with allow_connections false')
            other.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
            ends = time.monotonic() + 17
            while time.monotonic() < ends:
                with pytest.raises(Unavailable):
                    async with pool.connection() as connection:
                        await connection.execute("select 1")
            other.execute(f'alter database "{name}" with allow_connections true')
        back = time.monotonic()
        while True:
            try:
                async with pool.connection() as connection:
                    await connection.execute("select 1")
                break
            except Unavailable:
                assert time.monotonic() - back < 10, "pauses grew as long as it was away"


async def test_values_that_cannot_be_stored_are_bad_input_not_a_crash(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        for bad in (["nul \x00 byte", None], ["beta", Jsonb({"nul": "\x00"})]):
            with pytest.raises(InvalidInput, match="value: expected"):
                async with pool.connection() as connection:
                    await connection.execute(TRAIN, bad)
        with pytest.raises(InvalidInput):
            async with pool.connection() as connection:
                await connection.execute("select * from bugs where id = %s::bigint", [10**30])


async def test_a_mistake_of_ours_is_not_called_unavailable(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with pool.connection() as connection:
                await connection.execute("select * from nonsense")


async def test_a_database_that_is_not_there_is_unavailable_and_the_password_unsaid() -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        async with open_pool(
            "postgres://u:hunter2@127.0.0.1:1/x", instance="testing", limits=Limits(opening=0.3)
        ):
            pytest.fail("opened")
    assert time.monotonic() - began < 25
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_both_schemes_are_read_and_what_the_url_says_is_kept(scheme: str) -> None:
    url = f"{scheme}://u:p%40ss@db.example:5433/ship?sslmode=require&connect_timeout=9&options=-c%20jit%3Doff"
    read = psycopg.conninfo.conninfo_to_dict(conninfo(url, instance="staging"))
    wanted = {"host": "db.example", "port": "5433", "user": "u", "password": "p@ss", "dbname": "ship"}
    assert read.items() >= wanted.items()
    assert (read["sslmode"], read["connect_timeout"]) == ("require", "9")
    assert str(read["options"]).startswith("-c jit=off -c search_path=staging")


def test_a_url_that_cannot_be_read_is_refused_without_showing_it() -> None:
    for bad in ("postgresql://u:hunter2@h:port/x?nonsense=1", "hunter2"):
        with pytest.raises(InvalidInput, match="DATABASE_URL") as caught:
            conninfo(bad, instance="testing")
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
