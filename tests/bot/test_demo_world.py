# SPDX-License-Identifier: MPL-2.0
"""A round over the demo's invented world finds exactly what was invented."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from fixtures_bot import START, free_port, serving
from fixtures_postgres import Database
from shipit.bot.rounds import run_round
from shipit.cli import demo
from shipit.cli.demo_clients import BOT_CLIENT, BOT_SCOPES
from shipit.cli.opening import bot_doors
from shipit.clients.http import utc_now
from shipit.storage import lists
from shipit.storage.pool import Limits, open_pool
from shipit.web.board_lists import shown
from shipit.web.viewer import Audience
from shipit.world.story import Kind, bugs
from shipit.world.world import StandingClock, World

OUTCOMES = {
    Kind.CLEAN: "clean",
    Kind.CONFLICT: "conflict",
    Kind.NEEDS_ANOTHER: "conflict",
    Kind.FILE_IS_NEW: "conflict",
    Kind.LANDED: "landed",
    Kind.EMPTY: "empty",
    Kind.STACK: "conflict",
    Kind.NOT_LANDED: "clean",
    Kind.REBASED: "clean",
    Kind.ATTACHED_DIFF: "clean",
    Kind.RELANDED: "clean",
    Kind.BACKED_OUT: "clean",
    Kind.BUILDS_ON: "conflict",
}


@pytest.mark.drill
async def test_first_round_of_the_demo_says_what_the_story_says(database: Database) -> None:
    clock = StandingClock(START)
    async with World.open(now=clock) as world:
        with tempfile.TemporaryDirectory(prefix="demo-") as name:
            work = Path(name)
            given = demo._seeded(world, work)
            world.taskcluster.now = utc_now
            world.taskcluster.add_client(BOT_CLIENT, BOT_SCOPES, token=given[1], days=9999)
            settings = demo._settings(world, given, database.url, port=free_port(), work=work)
            settings = msgspec.structs.replace(settings, instance=database.instance)
            async with (
                serving(settings, database),
                bot_doors(settings, told=lambda text: None, now=clock) as doors,
            ):
                result = await run_round(doors)
                again = await run_round(doors)
            limits = Limits(connections=1)
            async with (
                open_pool(database.url, instance=database.instance, limits=limits) as pool,
                pool.connection() as reading,
            ):
                beta = await lists.of_train(reading, "beta")
    assert beta is not None
    # every list has something to show, so that whoever tries the demo sees what it is for
    assert {one.name.value: one.value for one in shown(beta, Audience.TRUSTED).lists} == {
        "tracking": 2,
        "relnote": 2,
        "security": 2,
        "answered": 1,
        "not-landed": 1,
        "not-flagged": 1,
        "unasked": 3,
    }
    assert result.errors == ()
    expected = {(bug.id, train): OUTCOMES[bug.kind] for bug in bugs() for train in bug.requests}
    with database.connect() as connection:
        found = connection.execute(
            "select r.bug, r.train, t.outcome from requests r left join trials t on t.request = r.uid"
        ).fetchall()
        unread = connection.execute(
            "select bug from requests where not (form->>'is_parsed')::boolean"
        ).fetchall()
    assert {(bug, train): outcome for bug, train, outcome in found} == expected
    assert (result.bugs, result.requests) == (len(bugs()), len(expected))
    assert result.trials == len(expected)
    assert Counter(outcome for _, _, outcome in found)["empty"] == 1
    assert unread == [(bug.id,) for bug in bugs() if bug.form == "unreadable"]
    told = {mail.subject.split(":")[0] for mail in world.taskcluster.mails}
    waiting = {
        bug.id for bug in bugs() if OUTCOMES[bug.kind] == "conflict" and set(bug.requests.values()) != {"-"}
    }
    assert told == {f"Bug {number}" for number in waiting}
    assert (again.trials, again.skipped_unchanged, again.errors) == (0, len(bugs()), ())
