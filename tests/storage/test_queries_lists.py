# SPDX-License-Identifier: MPL-2.0
"""Lists: one query however many rows, raw JSON right for hostile text, what bots know survives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures_postgres import Database
from fixtures_web import make_bug, make_request, make_train, make_trains, make_trial
from shipit.merge.types import Outcome
from shipit.storage import bugs, compat, people, requests, trains, trials, visibility
from shipit.storage.pool import Connection, open_pool
from shipit.uplift.report import BugsReport, Known, TrialsReport
from shipit.web.answers import RequestsAnswer, TrainsAnswer

EVERYTHING: dict[str, Any] = {"see_restricted": True, "see_addresses": True}


class Counting(psycopg.AsyncConnection[Any]):
    """A connection that counts what it is asked."""

    statements = 0

    async def execute(self, *args: Any, **more: Any) -> Any:
        self.statements += 1
        return await super().execute(*args, **more)

    @classmethod
    async def to(cls, database: Database) -> Self:
        options = f"-c search_path={database.instance} -c timezone=UTC"
        return await cls.connect(database.url, options=options, autocommit=True)


async def fill(connection: Connection, numbers: range) -> None:
    await trains.save(connection, make_trains())
    report = [
        make_bug(n, make_request(n, outcome=Outcome.CLEAN), make_request(n, "release")) for n in numbers
    ]
    taken = await bugs.take(connection, BugsReport(round="r", bugs=tuple(report)))
    assert {each.result for each in taken.bugs} <= {"created", "unchanged"}


async def test_u9_every_list_is_one_query_however_many_rows(database: Database) -> None:
    """The original asked for the contributors of each bug by itself."""
    async with await Counting.to(database) as connection:
        for numbers in (range(1, 3), range(1, 60)):
            await fill(connection, numbers)
            for ask in (
                lambda: requests.listed(connection, **EVERYTHING),
                lambda: trains.listed(connection, count_restricted=False, **EVERYTHING),
                lambda: bugs.known(connection),
                lambda: bugs.detail(connection, 1, see_restricted=True),
                lambda: compat.bugs(connection, see_restricted=True, train="beta"),
                lambda: compat.analyses(connection, see_restricted=True),
                lambda: people.listed(connection, see_private=True, see_restricted=True),
            ):
                before = connection.statements
                await ask()
                assert connection.statements - before == 1


async def test_a_report_that_changes_nothing_is_one_look_and_no_write(database: Database) -> None:
    async with await Counting.to(database) as connection:
        await fill(connection, range(1, 60))
        report = BugsReport(
            round="r",
            bugs=tuple(make_bug(n, make_request(n), make_request(n, "release")) for n in range(1, 60)),
        )
        before, version = connection.statements, await visibility.version(connection)
        taken = await bugs.take(connection, report)
        assert {each.result for each in taken.bugs} == {"unchanged"}
        # The version asked above, the bugs, and what is stored around them; nothing per bug.
        assert connection.statements - before == 3
        assert await visibility.version(connection) == version


@pytest.mark.parametrize("kind", ["bug", "request", "trial", "train", "wish"])
async def test_whatever_people_read_changes_the_version(database: Database, kind: str) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        async with pool.connection() as connection:
            await fill(connection, range(1, 3))
            before = await visibility.version(connection)
        async with pool.connection() as connection:
            statement = {
                "bug": "update bugs set summary = 'x' where id = 1",
                "request": "update requests set state = 'approved' where uid = '1-beta-1'",
                "trial": "update trials set outcome = 'error' where request = '1-beta-1'",
                "train": "update trains set tip = 'x' where name = 'beta'",
                "wish": "insert into wishes (uid, kind, subject) values ('w', 'trial', '1-beta-1')",
            }[kind]
            await connection.execute(statement.encode())
        async with pool.connection() as connection:
            assert await visibility.version(connection) > before


async def test_what_a_bot_told_is_what_the_next_bot_knows(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        told = make_trains(
            make_train("beta", tip=None, tip_at=None, tip_reason="half cloned"),
            make_train("release", requests_unavailable_since=datetime(2026, 1, 1, tzinfo=UTC)),
        )
        request = make_request(1, outcome=Outcome.CONFLICT, reason="why")
        async with pool.connection() as connection:
            await trains.save(connection, told)
            await bugs.take(connection, BugsReport(round="r", bugs=(make_bug(1, request), make_bug(2))))
        async with pool.connection() as connection:
            known = msgspec.json.decode(await bugs.known(connection), type=Known)
    assert known.trains == told.trains
    (bug,) = known.bugs
    (found,) = bug.requests
    assert found.request == request.request
    assert (found.series_digest, found.target_major) == ("s1", 147)
    assert found.trial is not None
    assert request.trial is not None
    assert (found.trial.key, found.trial.result) == ("k1", request.trial.result)


TEXT = st.text(max_size=40).map(lambda text: text.replace("\0", ""))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(summary=TEXT, reason=TEXT, who=TEXT)
async def test_raw_json_is_right_for_any_text(
    database: Database, summary: str, reason: str, who: str
) -> None:
    try:
        summary.encode(), reason.encode(), who.encode()
    except UnicodeEncodeError:
        return
    async with await Counting.to(database) as connection:
        await connection.execute("truncate bugs, requests, trials cascade")
        await trains.save(connection, make_trains(make_train("beta", owner=who)))
        request = make_request(1, outcome=Outcome.ERROR, reason=reason, requested_by=who)
        await bugs.take(connection, BugsReport(round="r", bugs=(make_bug(1, request, summary=summary),)))
        raw = await requests.listed(connection, **EVERYTHING)
        (row,) = msgspec.json.decode(raw, type=RequestsAnswer).requests
        assert (row.summary, row.reason, row.requested_by) == (summary, reason, who)
        listed = await trains.listed(connection, count_restricted=True, **EVERYTHING)
        assert msgspec.json.decode(listed, type=TrainsAnswer).trains[0].owner == who


async def test_a_trial_of_a_request_nobody_has_is_left_out(database: Database) -> None:
    async with await Counting.to(database) as connection:
        await fill(connection, range(1, 2))
        from_nowhere = make_trial("9-beta-1", "beta")
        again = make_trial("1-beta-1", "beta")
        assert await trials.save(connection, TrialsReport(trials=(from_nowhere, again))) == 0
