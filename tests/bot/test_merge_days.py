# SPDX-License-Identifier: MPL-2.0
"""Merge day from end to end: requests move with their version, nobody is asked twice, history is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from fixtures_bot import CALENDAR, START, Scene


def to_merge_day(scene: Scene) -> None:
    """The day after the next merge day, when every provider has caught up."""
    when = CALENDAR.merge_day(CALENDAR.nightly(scene.clock()))
    scene.clock.time = when + timedelta(days=3)


async def test_open_request_moves_with_its_version_and_keeps_its_history(scene: Scene) -> None:
    bug, other = scene.ask("beta", kind="revision", on="release"), scene.ask("release")
    await scene.round()
    (uid,) = scene.rows("select uid from requests where bug = %s", bug)[0]
    assert scene.rows("select train, target_major from requests where uid = %s", uid) == [("beta", 149)]
    flags = [list(one.flags) for one in scene.world.bugzilla.state.attachments.values()]
    to_merge_day(scene)
    result = await scene.round()
    assert result.errors == ()
    assert scene.rows("select train, target_major from requests where uid = %s", uid) == [("release", 149)]
    assert scene.outcomes(bug) == {(bug, "release"): "conflict"}, "tried on the train it is on now"
    assert set(scene.outcomes(other)) == {(other, "release")}, "148 is over, release carries 149"
    assert [list(one.flags) for one in scene.world.bugzilla.state.attachments.values()] == flags
    ((history,),) = scene.rows("select history from requests where uid = %s", uid)
    assert [(one["what"], one["from"], one["to"]) for one in history if one["what"] == "retarget"] == [
        ("retarget", "beta", "release")
    ]


async def test_days_after_merge_day_change_nothing_more(scene: Scene) -> None:
    bug = scene.ask("beta")
    await scene.round()
    to_merge_day(scene)
    await scene.round()
    before = scene.rows("select uid, train, target_major, history from requests")
    for _ in range(6):
        scene.clock.move(hours=8)
        result = await scene.round()
        assert result.plan == (), "no flapping"
    assert scene.rows("select uid, train, target_major, history from requests") == before
    # the bug changes and is read again: its flag still says beta, and it stays where its version is
    scene.world.bugzilla.change(bug, by="mira@people.example", priority="P1")
    await scene.round()
    assert scene.rows("select uid, train, target_major, history from requests") == before


async def test_schedule_that_lags_on_merge_day_moves_nothing_early(scene: Scene) -> None:
    bug = scene.ask("beta")
    await scene.round()
    scene.clock.time = CALENDAR.merge_day(CALENDAR.nightly(START)) + timedelta(hours=1)
    await scene.round()
    first = scene.rows("select train, target_major from requests where bug = %s", bug)
    scene.clock.move(days=3)
    await scene.round()
    assert scene.rows("select train, target_major from requests where bug = %s", bug) == [("release", 149)]
    assert first in ([("beta", 149)], [("release", 149)])


async def test_who_also_asked_for_the_next_train_is_not_listed_twice(scene: Scene) -> None:
    bug = scene.ask("beta", "release", kind="revision")
    await scene.round()
    assert len(scene.outcomes()) == 2
    to_merge_day(scene)
    await scene.round()
    assert scene.rows(
        "select train, target_major from requests where bug = %s and closed_at is null", bug
    ) == [("release", 149)]


async def test_request_made_after_merge_day_aims_at_the_new_version(scene: Scene) -> None:
    old = scene.ask("beta")
    await scene.round()
    to_merge_day(scene)
    await scene.round()
    new = scene.ask("beta")
    await scene.round()
    rows = scene.rows("select bug, train, target_major from requests where closed_at is null order by bug")
    assert rows == [(old, "release", 149), (new, "beta", 150)]


async def test_ended_esr_closes_its_requests_and_nothing_else(scene: Scene) -> None:
    bug = scene.ask("esr128", "esr140")
    await scene.round()
    assert set(scene.outcomes()) == {(bug, "esr128"), (bug, "esr140")}
    scene.world.schedule.calendar = msgspec.structs.replace(CALENDAR, overlap=7)
    assert [major for major, _ in scene.world.schedule.calendar.living_esr(scene.clock())] == [140]
    await scene.round()
    assert set(scene.outcomes()) == {(bug, "esr128"), (bug, "esr140")}, "one silence does not end a train"
    scene.clock.move(days=3)
    result = await scene.round()
    assert result.errors == ()
    assert set(scene.outcomes()) == {(bug, "esr140")}
    assert scene.rows("select stage from trains where name = 'esr128'") == [("ended",)]
    for _ in range(3):
        scene.clock.move(hours=12)
        assert (await scene.round()).trials == 0
    assert set(scene.outcomes()) == {(bug, "esr140")}


async def test_every_day_of_two_cycles_keeps_each_request_once(scene: Scene) -> None:
    asked = [scene.ask("beta"), scene.ask("release"), scene.ask("esr140")]
    await scene.round()
    moves = 0
    end = datetime(2026, 5, 1, tzinfo=UTC)
    while scene.clock() < end:
        scene.clock.move(days=3)
        result = await scene.round()
        assert result.errors == ()
        rows = scene.rows("select bug from requests where closed_at is null order by bug")
        assert [row[0] for row in rows] == asked
        moves = sum(
            entry["what"] == "retarget"
            for (history,) in scene.rows("select history from requests")
            for entry in history
        )
    assert moves == 1, "beta's to release; the others stayed where they were"
