# SPDX-License-Identifier: MPL-2.0
"""The journal on a real PostgreSQL: stored once, judged once, claimed by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from event_builders import GROUP, build, commit, coverage, delivery, group_of, published, resolved
from fixtures_postgres import Database as Scratch
from shipit.errors import Missing
from shipit.events.effects import Again, ErrorClass
from shipit.events.heard import Heard, hear
from shipit.events.originals import all_routes, default_hooks
from shipit.events.report import make_notice
from shipit.events.routes import parse_routes
from shipit.events.samples import diff_delivery
from shipit.events.states import EVENT_MOVES, EffectState, EventState
from shipit.events.types import Delivery, Facts
from shipit.storage import effects, journal, journal_pages, sources
from shipit.storage.pool import Database, open_pool

ROUTES = all_routes((), default_hooks("testing"))
LEASE = timedelta(seconds=30)


@pytest.fixture
async def db(database: Scratch) -> AsyncIterator[Database]:
    async with open_pool(database.url, instance=database.instance) as opened:
        yield opened


def heard(one: Delivery, facts: Facts | None = None, **more: Any) -> Heard:
    return hear(one, more.pop("routes", ROUTES), facts or Facts(), instance="testing")


async def stored(db: Database) -> list[dict[str, Any]]:
    async with db.connection() as connection:
        found: list[dict[str, Any]] = msgspec.json.decode(await journal_pages.list_events(connection))
    return found


async def record(db: Database, *some: Heard, cursor: tuple[str, Any] | None = None) -> journal.Recorded:
    async with db.connection() as connection:
        return await journal.record(connection, some, instance="testing", cursor=cursor)


async def test_a_delivery_is_stored_once_however_often_it_comes(db: Database) -> None:
    one = heard(published(commit(1, "a"), commit(2, "b")))
    assert await record(db, one, one) == journal.Recorded(1, 1, 2)
    assert await record(db, one) == journal.Recorded(0, 1, 0)
    (row,) = await stored(db)
    assert (row["state"], row["told"], len(row["effects"])) == ("matched", 2, 2)
    assert row["effects"][0]["payload"]["ANALYSIS_ID"] == 1


async def test_L3_malformed_deliveries_are_kept_with_their_reason_and_block_nobody(db: Database) -> None:
    bad = [heard(delivery("exchange/\0x", "k\ud800", body)) for body in (b"\xff", b"[", b"{" * 9999)]
    assert (await record(db, *bad, heard(published(commit(1, "a"))))).new == 4
    rows = await stored(db)
    assert sorted(row["state"] for row in rows) == ["matched", "quarantined", "quarantined", "quarantined"]
    assert all(row["reason"] for row in rows if row["state"] == "quarantined")


async def test_the_cursor_moves_only_with_what_it_brought(db: Database) -> None:
    one = heard(
        diff_delivery({"id": 1, "type": "DIFF", "phid": "PHID-DIFF-1", "fields": {"revisionPHID": "r"}})
    )
    broken = msgspec.structs.replace(one, key="x", kind="\0")
    with pytest.raises(Exception, match=r"store|NUL|0x00|insert"):
        await record(db, one, broken, cursor=("phabricator", 1))
    async with db.connection() as connection:
        assert await sources.read_cursor(connection, "phabricator") is None
    assert await stored(db) == []
    await record(db, one, cursor=("phabricator", 1))
    async with db.connection() as connection:
        assert await sources.read_cursor(connection, "phabricator") == 1


async def look(db: Database) -> journal.Look | None:
    async with db.connection() as connection:
        found = await journal.claim_looks(connection, limit=1, lease=LEASE)
    return found[0] if found else None


async def judged(db: Database, one: journal.Look, facts: Facts) -> int:
    async with db.connection() as connection:
        return await journal.judge(connection, one, heard(one.delivery, facts), instance="testing")


async def test_a_group_that_resolves_twice_is_looked_at_twice_and_triggers_once(db: Database) -> None:
    await record(db, heard(resolved()))
    first = await look(db)
    assert first is not None
    assert await judged(db, first, group_of(build("build-linux64/opt"))) == 0
    assert (await stored(db))[0]["state"] == "ignored"
    await record(db, heard(resolved()))
    second = await look(db)
    assert second is not None
    assert await judged(db, second, group_of(build())) == 1
    await record(db, heard(resolved()))
    third = await look(db)
    assert third is not None
    assert await judged(db, third, group_of(build(), build(task="B"))) == 0
    (row,) = await stored(db)
    assert (row["state"], row["told"], len(row["effects"])) == ("matched", 3, 1)


async def test_told_again_during_a_look_it_is_looked_at_once_more(db: Database) -> None:
    await record(db, heard(resolved()))
    first = await look(db)
    assert first is not None
    await record(db, heard(resolved()))
    await judged(db, first, group_of(build("build-linux64/opt")))
    assert (await stored(db))[0]["state"] == "stored"
    assert await look(db) is not None


async def test_a_copy_by_another_queue_of_ours_is_no_repetition(db: Database) -> None:
    await record(db, heard(resolved()))
    first = await look(db)
    assert first is not None
    await judged(db, first, group_of(build()))
    await record(db, heard(msgspec.structs.replace(resolved(), via="other queue")))
    assert (await stored(db))[0]["state"] == "matched"


async def test_a_group_with_more_tasks_is_triggered_again_only_where_the_route_says_so(db: Database) -> None:
    routes = (coverage(again="more"),)
    for tasks in ((build(),), (build(),), (build(), build(task="B"))):
        await record(db, heard(resolved(), routes=routes))
        one = await look(db)
        assert one is not None
        async with db.connection() as connection:
            found = heard(one.delivery, group_of(*tasks), routes=routes)
            await journal.judge(connection, one, found, instance="testing")
    (row,) = await stored(db)
    assert [effect["generation"] for effect in row["effects"]] == [0, 1]
    assert len({effect["task_id"] for effect in row["effects"]}) == 2


async def test_two_listeners_never_claim_the_same(db: Database) -> None:
    await record(db, *(heard(published(commit(number, "a"))) for number in range(40)))

    async def claim() -> list[int]:
        async with db.connection() as connection:
            return [one.id for one in await effects.claim(connection, limit=15, lease=LEASE)]

    found = await asyncio.gather(*(claim() for _ in range(4)))
    taken = [one for some in found for one in some]
    assert len(taken) == len(set(taken)) == 40


async def test_L10_what_a_killed_listener_held_is_claimed_again_with_the_same_task_id(db: Database) -> None:
    await record(db, heard(published(commit(1, "a"))))
    async with db.connection() as connection:
        (first,) = await effects.claim(connection, limit=9, lease=timedelta(milliseconds=50))
    await asyncio.sleep(0.1)
    async with db.connection() as connection:
        (second,) = await effects.claim(connection, limit=9, lease=LEASE)
    assert (second.id, second.task_id) == (first.id, first.task_id)
    assert (first.was_firing, second.was_firing, second.attempts) == (False, True, 2)


def diff(number: int) -> Delivery:
    fields = {"revisionPHID": "PHID-DREV-a", "repositoryPHID": "r"}
    return diff_delivery({"id": number, "type": "DIFF", "phid": f"PHID-DIFF-{number}", "fields": fields})


SUPERSEDING = parse_routes(
    [
        {
            "name": "analysis",
            "source": "phabricator",
            "sink": {"kind": "hook", "hook": "g/h"},
            "supersede": "${revision}",
            "payload": {"ID": "${diff}"},
        }
    ]
)


async def test_a_newer_diff_supersedes_what_waits_and_cancels_what_runs(db: Database) -> None:
    await record(db, heard(diff(5), routes=SUPERSEDING))
    async with db.connection() as connection:
        (running,) = await effects.claim(connection, limit=1, lease=LEASE)
        await effects.fired(connection, running.id, running.task_id, is_followed=True, look_in=LEASE)
    await record(db, heard(diff(6), routes=SUPERSEDING))
    await record(db, heard(diff(8), routes=SUPERSEDING))
    await record(db, heard(diff(7), routes=SUPERSEDING))
    rows = {row["subject"]: row["effects"][0]["state"] for row in await stored(db)}
    assert rows == {"diff 5": "fired", "diff 6": "superseded", "diff 7": "superseded", "diff 8": "due"}
    async with db.connection() as connection:
        (found,) = await effects.claim_followed(connection, limit=9, lease=LEASE)
        assert (found.task_id, found.wants_cancel) == (running.task_id, True)
        assert await effects.task_resolved(connection, found.id, "exception", "canceled")
    assert [row["effects"][0]["state"] for row in await stored(db)][-1] == "superseded"


async def test_replay_tries_refused_effects_again_and_never_triggers_twice(db: Database) -> None:
    one = heard(published(commit(1, "a"), commit(2, "b")))
    await record(db, one)
    async with db.connection() as connection:
        first, second = await effects.claim(connection, limit=9, lease=LEASE)
        await effects.quarantined(connection, first.id, ErrorClass.FORBIDDEN, "missing scope")
        await effects.fired(connection, second.id, second.task_id, is_followed=True, look_in=LEASE)
        assert await journal.replay(connection, one.key) == 1
        (again,) = await effects.claim(connection, limit=9, lease=LEASE)
        assert (again.id, again.task_id, again.attempts) == (first.id, first.task_id, 1)
        with pytest.raises(Missing):
            await journal.replay(connection, "unknown")


async def test_skip_ends_what_waits(db: Database) -> None:
    one = heard(published(commit(1, "a")))
    await record(db, one)
    async with db.connection() as connection:
        assert await journal.skip(connection, one.key, reason="not wanted")
        assert not await journal.skip(connection, one.key, reason="again")
        assert await effects.claim(connection, limit=9, lease=LEASE) == []
        with pytest.raises(Missing):
            await journal.skip(connection, "unknown", reason="x")


async def test_an_effect_waits_its_turn(db: Database) -> None:
    await record(db, heard(published(commit(1, "a"))))
    async with db.connection() as connection:
        (one,) = await effects.claim(connection, limit=9, lease=LEASE)
        later = Again(datetime.now(UTC) + timedelta(minutes=1), ErrorClass.TRANSIENT, "down")
        await effects.again(connection, one.id, later)
        assert await effects.claim(connection, limit=9, lease=LEASE) == []
    assert (await stored(db))[0]["effects"][0]["error"] == "down"


async def test_observed_triggers_are_never_claimed(db: Database) -> None:
    routes = all_routes((), default_hooks("testing"), observe_only=True)
    await record(db, heard(published(commit(1, "a")), routes=routes))
    async with db.connection() as connection:
        assert await effects.claim(connection, limit=9, lease=LEASE) == []
    assert (await stored(db))[0]["effects"][0]["state"] == "observed"


async def test_old_events_are_deleted_and_those_with_open_effects_kept(
    db: Database, database: Scratch
) -> None:
    await record(db, heard(published(commit(1, "a"))), heard(resolved(scheduler="x")), heard(resolved()))
    with database.connect() as own:
        own.execute("update events set received_at = now() - interval '31 days'")
    async with db.connection() as connection:
        assert await journal.purge(connection, age=timedelta(days=30)) == 1
    assert sorted(row["state"] for row in await stored(db)) == ["matched", "stored"]


async def test_a_list_is_filtered_and_paged(db: Database) -> None:
    await record(db, heard(published(commit(1, "a"))), heard(resolved(scheduler="x")), heard(resolved("B")))
    async with db.connection() as connection:

        async def listed(**filters: Any) -> list[str]:
            return [
                row["subject"]
                for row in msgspec.json.decode(await journal_pages.list_events(connection, **filters))
            ]

        everything = await listed()
        assert len(everything) == 3
        assert await listed(state="ignored") == [GROUP]
        assert await listed(state="due") == ["review request 1"]
        assert await listed(route="static-analysis-mozreview") == ["review request 1"]
        first = msgspec.json.decode(await journal_pages.list_events(connection, limit=2))
        assert await listed(before=first[-1]["id"]) == everything[2:]


async def test_a_report_is_claimed_once_and_its_mails_are_separate(db: Database) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    async with db.connection() as connection:
        assert await sources.take_report(connection, next_at=past) in (None, [])
        assert await sources.take_report(connection, next_at=datetime.now(UTC) + timedelta(hours=7)) == []
        assert await sources.take_report(connection, next_at=datetime.now(UTC)) is None
        for _ in range(2):
            await sources.add_mail(
                connection, "alarm 1", ["a@x.example", "b@x.example"], make_notice("dead", "x")
            )
        one, two = await sources.claim_mails(connection)
        await sources.mail_done(connection, one.id, "denied", is_sent=False)
        await sources.mail_again(connection, two.id, delay=timedelta())
        (left,) = await sources.claim_mails(connection)
        assert left.recipient == two.recipient


def test_the_database_knows_the_same_states(database: Scratch) -> None:
    with database.connect() as own:
        for table, states in (("events", EventState), ("effects", EffectState)):
            row = own.execute(
                "select pg_get_constraintdef(oid) from pg_constraint where conname = %s",
                [f"{table}_state_check"],
            ).fetchone()
            assert row is not None
            found = {word for word in str(row[0]).split("'")[1::2]}
            assert found == {state.value for state in states}
    assert EventState.STORED in EVENT_MOVES


async def test_a_webhook_is_stored_for_a_listener_to_judge(db: Database) -> None:
    async with db.connection() as connection:
        found = await journal.receive(
            connection, published(commit(1, "a")), source="webhook:github", instance="testing"
        )
        assert found.state is EventState.STORED
        (look,) = await journal.claim_looks(connection, limit=9, lease=LEASE)
        judged = hear(look.delivery, ROUTES, instance="testing")
        assert await journal.judge(connection, look, judged, instance="testing") == 1
        assert len(await effects.claim(connection, limit=9, lease=LEASE)) == 1


async def test_an_unreadable_webhook_goes_to_quarantine(db: Database) -> None:
    async with db.connection() as connection:
        broken = delivery("github", "push", b"no JSON")
        found = await journal.receive(connection, broken, source="webhook:github", instance="testing")
        assert found.state is EventState.QUARANTINED
        assert await journal.claim_looks(connection, limit=9, lease=LEASE) == []
