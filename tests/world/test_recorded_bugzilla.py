# SPDX-License-Identifier: MPL-2.0
"""The fake Bugzilla lives through the recorded conversation and must answer as the recorded BMO did."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from shapes import differences

from shipit.clients.http import open_session
from shipit.world.bugzilla import RELEASE_MANAGERS, FakeBugzilla
from shipit.world.server import Trouble, served
from shipit.world.world import StandingClock

NOT_FAKED = {
    "144": "products as a whole: no reader of ours asks for them",
    "148": "field values: no reader of ours asks for them",
    "149": "the list of installed extensions",
    "155": "aliases: nobody writes one",
    "195": "no answer at all, which has no shape; the client's tests hang up",
}
PEOPLE = {
    "admin": ("admin@mozilla.bugs", "Admin", "admin"),
    "author": ("author@example.invalid", "Ann Author [:ann]", "ann"),
    "relman": ("relman@example.invalid", "Rel Man [:relman]", "relman"),
    "upliftbot": ("upliftbot@example.invalid", "Uplift Bot", "upliftbot"),
    "newbie": ("newbie@example.invalid", "Newbie", "newbie"),
    "disabled": ("disabled@example.invalid", "Disabled", "disabled"),
}


def conversation(shared: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every recorded exchange in its order; two were recorded again later, as the bugs they show tell."""
    folder = shared / "recorded" / "bugzilla"
    again = {"042": "1190", "045": "1191"}
    paths = sorted(folder.glob("*.json"), key=lambda path: again.get(path.name[:3], path.name))
    return [(path.name, json.loads(path.read_text())) for path in paths]


def prepared(shared: Path, clock: StandingClock) -> FakeBugzilla:
    """A fake with the recorded server's people, flags and fields."""
    fake = FakeBugzilla(clock)
    for name, (login, real_name, nick) in PEOPLE.items():
        groups = {
            "newbie": [],
            "relman": ["editbugs", RELEASE_MANAGERS],
            "admin": ["editbugs", "core-security"],
        }
        fake.add_user(login, real_name, nick, groups=groups.get(name, ["editbugs"]))
        fake.key_for(login, f"REDACTED-KEY-{name}")
    fake.state.users[PEOPLE["disabled"][0]].is_disabled = True
    for train in ("beta", "release", "esr60", "esr68"):
        fake.add_approval(train)
    exchange = json.loads((shared / "recorded" / "bugzilla" / "040-bug-get-by-id.json").read_text())
    for name, value in exchange["response"]["body"]["bugs"][0].items():
        if name.startswith("cf_") and name != "cf_last_resolved":
            fake.add_field(name, value)
    return fake


async def between(
    name: str, fake: FakeBugzilla, session: aiohttp.ClientSession, clock: StandingClock
) -> None:
    """What happened on the recorded server besides the recorded calls."""
    if name.startswith("120-"):
        for number in range(12):
            bug = fake.file_bug(f"Bulk bug {number}", by=PEOPLE["author"][0])
            patch = fake.attach(bug, b"diff", by=PEOPLE["author"][0], is_patch=True)
            fake.set_flag("approval-mozilla-beta", "?", by=PEOPLE["author"][0], attachment=patch)
    if name.startswith("161-"):
        fake.attachments_named("phabricator-D2-url.txt")[-1].content_type = "text/x-phabricator-request"
    if name.startswith("190-"):
        clock.move(minutes=2)
        for _ in range(75):
            async with session.get(f"{fake.url}/rest/bug/1") as response:
                assert response.status == 200
    if name.startswith("192-"):
        fake.reopen()
        for _ in range(5):
            async with session.get(
                f"{fake.url}/rest/whoami", headers={"X-BUGZILLA-API-KEY": "z"}
            ) as response:
                assert response.status == 400


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


async def test_the_fake_answers_the_recorded_conversation_as_the_real_one_did(
    shared: Path, session: aiohttp.ClientSession
) -> None:
    clock = StandingClock(datetime(2026, 11, 20, 9, 23, tzinfo=UTC))
    fake = prepared(shared, clock)
    wrong: list[str] = []
    replayed = 0
    async with served(fake):
        for name, exchange in conversation(shared):
            at_its_time(exchange, clock)
            await between(name, fake, session, clock)
            if name[:3] in NOT_FAKED or exchange.get("response") is None:
                continue
            status, body = await asked(session, fake.url, exchange["request"])
            recorded = exchange["response"]
            wrong += [f"{name}: {one}" for one in compared(recorded, status, body)]
            replayed += 1
    assert not wrong, "\n".join(wrong)
    assert replayed == len(conversation(shared)) - len(NOT_FAKED) > 130


def at_its_time(exchange: dict[str, Any], clock: StandingClock) -> None:
    """Set the clock by what a change answered: changes of the same second share an entry of the history."""
    told = re.search(r'"last_change_time": "([^"]+)"', json.dumps(exchange["response"]))
    if told and exchange["request"]["method"] in ("PUT", "POST"):
        clock.time = datetime.fromisoformat(told.group(1).replace("Z", "+00:00"))


async def asked(session: aiohttp.ClientSession, url: str, request: dict[str, Any]) -> tuple[int, Any]:
    body = request["body"]
    data = None if body is None else body if isinstance(body, str) else json.dumps(body)
    query = [(str(key), str(value)) for key, value in request["query"] or []]
    async with session.request(
        request["method"], url + request["path"], params=query, headers=request["headers"], data=data
    ) as response:
        return response.status, await response.json(content_type=None)


def compared(recorded: dict[str, Any], status: int, body: Any) -> list[str]:
    if status != recorded["status"]:
        return [f"HTTP {status} instead of {recorded['status']}: {json.dumps(body)[:150]}"]
    theirs = recorded["body"]
    found = differences(theirs, body)
    if isinstance(theirs, dict) and theirs.get("code") != body.get("code"):
        found.append(f"code {body.get('code')} instead of {theirs.get('code')}")
    if isinstance(theirs, dict) and isinstance(theirs.get("bugs"), list):
        found += [] if ids(theirs) == ids(body) else [f"bugs {ids(body)} instead of {ids(theirs)}"]
    if isinstance(theirs, dict) and "attachments" in theirs and isinstance(theirs["attachments"], list):
        ours = [one["changes"] for one in body["attachments"]]
        found += [] if ours == [one["changes"] for one in theirs["attachments"]] else [f"changes {ours}"]
    return found


def ids(body: dict[str, Any]) -> list[int]:
    return [one["id"] for one in body["bugs"]]


async def test_the_fake_drops_the_connection_when_told(shared: Path, session: aiohttp.ClientSession) -> None:
    fake = prepared(shared, StandingClock(datetime(2026, 11, 20, tzinfo=UTC)))
    fake.fail(Trouble.DROP)
    async with served(fake):
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{fake.url}/rest/version")
