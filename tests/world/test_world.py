# SPDX-License-Identifier: MPL-2.0
"""The fake world as a whole: it opens, remembers, fails as told, counts, and never tells a key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from shipit.clients.balrog import Balrog
from shipit.clients.bugzilla import Bugzilla, Unreadable
from shipit.clients.http import open_session
from shipit.clients.lando import Lando
from shipit.clients.phabricator import Phabricator
from shipit.clients.task_groups import TaskGroups
from shipit.errors import Missing, Unavailable
from shipit.uplift.types import Bug
from shipit.world.server import Trouble
from shipit.world.world import StandingClock, World

START = datetime(2026, 11, 20, 9, tzinfo=UTC)
ANN, RITA = "ann@example.invalid", "rita@example.invalid"


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(START)


@pytest.fixture
async def world(clock: StandingClock) -> AsyncIterator[World]:
    async with World.open(now=clock) as opened:
        opened.bugzilla.add_user(ANN, "Ann")
        opened.bugzilla.add_user(RITA, "Rita", groups=("editbugs", "release-managers"))
        opened.bugzilla.add_approval("beta")
        yield opened


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


async def test_every_service_answers_the_real_client(world: World, session: aiohttp.ClientSession) -> None:
    token = world.phabricator.token_for(world.phabricator.add_user("ann").name)
    bugzilla = Bugzilla(session, world.bugzilla.url, world.bugzilla.key_for(ANN))
    assert await bugzilla.whoami() == ANN
    assert await Phabricator(session, world.phabricator.url, token).whoami() == "ann"
    assert await TaskGroups(session, world.taskcluster.url).task("AAAAAAAAQ4uidTvc8O-DmQ") is None
    assert await Lando(session, world.lando.url).git_of("a" * 40) is None
    with pytest.raises(Missing):
        await Balrog(session, world.balrog.url).rule(1)
    assert world.calls() | {"schedule": 0} == {
        "bugzilla": 1,
        "phabricator": 1,
        "taskcluster": 1,
        "lando": 1,
        "balrog": 1,
        "schedule": 0,
    }
    world.forget()
    assert set(world.calls().values()) == {0}


async def test_two_worlds_do_not_meet(clock: StandingClock) -> None:
    async with World.open(now=clock) as first, World.open(now=clock) as second:
        assert len({one.url for world in (first, second) for one in world.services}) == 12


async def test_a_closed_world_listens_no_more(clock: StandingClock, session: aiohttp.ClientSession) -> None:
    async with World.open(now=clock) as world:
        client = Bugzilla(session, world.bugzilla.url)
    with pytest.raises(Unavailable):
        await client.search("approval-mozilla-beta")


async def test_the_log_holds_no_key(world: World, session: aiohttp.ClientSession) -> None:
    key = world.bugzilla.key_for(ANN, "key-" + "k" * 36)
    url = f"{world.bugzilla.url}/rest/whoami?api_key={key}&Bugzilla_api_key={key}"
    async with session.get(url) as response:
        assert response.status == 200
    assert world.bugzilla.asked and not world.bugzilla.count(key)


async def test_changes_are_dated_and_recorded(
    world: World, session: aiohttp.ClientSession, clock: StandingClock
) -> None:
    fake = world.bugzilla
    bug = fake.file_bug("Crash", by=ANN, keywords=["crash"])
    patch = fake.attach(bug, b"diff", by=ANN, is_patch=True)
    clock.move(minutes=1)
    fake.request_uplift(patch, "beta", by=ANN, form="form")
    clock.move(minutes=1)
    fake.set_flag("approval-mozilla-beta", "-", by=RITA, attachment=patch)
    clock.move(minutes=1)
    fake.set_flag("approval-mozilla-beta", "X", by=RITA, attachment=patch)
    fake.change(bug, by=RITA, status="RESOLVED", resolution="FIXED", keywords=["crash", "regression"])
    fake.obsolete(patch, by=ANN)
    read = (await Bugzilla(session, fake.url).bugs([bug]))[bug]
    assert isinstance(read, Bug)
    told = [(one.time - START, one.who, one.field, one.removed, one.added) for one in read.history]
    minute = timedelta(minutes=1)
    assert told[:3] == [
        (minute, ANN, "flagtypes.name", "", "approval-mozilla-beta?"),
        (2 * minute, RITA, "flagtypes.name", "approval-mozilla-beta?", "approval-mozilla-beta-"),
        (3 * minute, RITA, "flagtypes.name", "approval-mozilla-beta-", ""),
    ]
    assert (3 * minute, RITA, "keywords", "", "regression") in told
    assert (3 * minute, ANN, "attachments.isobsolete", "0", "1") in told
    assert read.attachments[0].flags == () and read.attachments[0].is_obsolete
    assert read.changed == START + 3 * minute and read.status == "RESOLVED"


async def test_each_key_sees_its_own_bugs(world: World, session: aiohttp.ClientSession) -> None:
    fake = world.bugzilla
    fake.add_user("sec@example.invalid", "Sec", groups=("core-security",))
    bug = fake.file_bug("Secret", by=RITA, groups=["core-security"])
    patch = fake.attach(bug, b"diff", by=RITA, is_patch=True)
    fake.request_uplift(patch, "beta", by=RITA)
    seen = {}
    for login in (None, ANN, RITA, "sec@example.invalid"):
        client = Bugzilla(session, fake.url, fake.key_for(login) if login else None)
        found = await client.search("approval-mozilla-beta")
        read = (await client.bugs([bug]))[bug]
        assert (bug in found) is isinstance(read, Bug)
        assert (await client.attachment_data(patch) is not None) is isinstance(read, Bug)
        seen[login] = isinstance(read, Bug)
        if isinstance(read, Unreadable):
            assert "Secret" not in read.reason
    assert seen == {None: False, ANN: False, RITA: True, "sec@example.invalid": True}


async def test_private_comments_are_for_insiders(world: World, session: aiohttp.ClientSession) -> None:
    fake = world.bugzilla
    fake.add_user("in@example.invalid", "In", groups=("insiders",))
    bug = fake.file_bug("x", by=ANN)
    fake.comment(bug, "between us", by=ANN, is_private=True)
    counts = []
    for login in (ANN, "in@example.invalid"):
        read = (await Bugzilla(session, fake.url, fake.key_for(login)).bugs([bug]))[bug]
        assert isinstance(read, Bug)
        counts.append(len(read.comments))
    assert counts == [1, 2]


async def test_the_rules_on_flags_hold_for_rest_and_not_for_the_worlds_verbs(
    world: World, session: aiohttp.ClientSession
) -> None:
    fake = world.bugzilla
    bug = fake.file_bug("x", by=ANN)
    patch = fake.attach(bug, b"diff", by=ANN)
    url = f"{fake.url}/rest/bug/attachment/{patch}"
    flags = {"flags": [{"name": "approval-mozilla-beta", "status": "+"}]}
    codes = []
    for login in (ANN, RITA):
        headers = {"X-BUGZILLA-API-KEY": fake.key_for(login)}
        async with session.put(url, json=flags, headers=headers) as response:
            codes.append((await response.json()).get("code"))
    assert codes == [130, None]
    fake.set_flag("approval-mozilla-beta", "X", by=ANN, attachment=patch)
    assert fake.attachment(patch).flags == []


async def test_a_fault_strikes_only_what_it_names_and_as_often(
    world: World, session: aiohttp.ClientSession
) -> None:
    world.bugzilla.fail(Trouble.ERROR, containing="/rest/version", times=2)
    statuses = []
    for path in ("/rest/version", "/rest/time", "/rest/version", "/rest/version"):
        async with session.get(world.bugzilla.url + path) as response:
            statuses.append(response.status)
    assert statuses == [500, 200, 500, 200]
    world.bugzilla.fail()
    world.heal()
    async with session.get(world.bugzilla.url + "/rest/version") as response:
        assert response.status == 200
