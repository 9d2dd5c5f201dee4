# SPDX-License-Identifier: MPL-2.0
"""Matrix rooms and Slack channels are told through Taskcluster notify, as its API reference asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fixtures_postgres import Database as Scratch
from shipit.clients.hooks import Hooks
from shipit.clients.http import open_session
from shipit.events.report import make_notice
from shipit.listener.supervision import Health
from shipit.listener.telling import Recipients, Teller, Terms
from shipit.storage import sources
from shipit.storage.pool import Database, open_pool
from shipit.world.notices import FakeNotices
from shipit.world.server import served

ROOM, CHANNEL = "!room:people.example", "C0123456"
SCOPES = (f"notify:matrix-room:{ROOM}", f"notify:slack-channel:{CHANNEL}", "notify:email:*")


class Stage:
    """A listener's teller beside the fake notify."""

    def __init__(self, fake: FakeNotices, hooks: Hooks, db: Database) -> None:
        self.fake, self.hooks, self.db = fake, hooks, db
        self.teller = Teller(
            db,
            hooks,
            None,
            Health(),
            root_url=fake.url,
            recipients=Recipients(mail=("ann@people.example",), matrix=(ROOM,), slack=(CHANNEL,)),
            terms=Terms(),
            uid="one",
            now=lambda: datetime(2026, 11, 20, tzinfo=UTC),
        )

    async def outcomes(self) -> dict[str, str | None]:
        async with self.db.connection() as connection:
            found = await connection.execute("select recipient, outcome from listener_mails")
            return {recipient: outcome for recipient, outcome in await found.fetchall()}


@pytest.fixture
async def stage(database: Scratch) -> AsyncIterator[Stage]:
    fake = FakeNotices()
    token = fake.add_client("listener", SCOPES)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(fake))
        session = await stack.enter_async_context(open_session())
        hooks = Hooks(session, url, {"clientId": "listener", "accessToken": token}, attempts=1)
        db = await stack.enter_async_context(open_pool(database.url, instance=database.instance))
        yield Stage(fake, hooks, db)


async def test_an_alarm_reaches_room_and_channel_and_mail(stage: Stage) -> None:
    async with stage.db.connection() as connection:
        await sources.ill(connection, "phabricator", "down")
        await connection.execute("update event_sources set since = since - interval '1 hour'")
    await stage.teller.once()
    told = {(notice.service, notice.to): notice.text for notice in stage.fake.notices}
    assert set(told) == {("matrix", ROOM), ("slack", CHANNEL)}
    assert all("phabricator is out of reach" in text for text in told.values())
    assert [mail.address for mail in stage.fake.mails] == ["ann@people.example"]
    assert set((await stage.outcomes()).values()) == {"sent"}


async def test_a_source_that_is_back_is_told_once_and_the_teller_goes_on(stage: Stage) -> None:
    async with stage.db.connection() as connection:
        await sources.ill(connection, "phabricator", "down")
        await connection.execute("update event_sources set since = since - interval '1 hour'")
    await stage.teller.once()
    async with stage.db.connection() as connection:
        await sources.well(connection, "phabricator")
    for _ in range(3):
        await stage.teller.once()
    subjects = [mail.subject for mail in stage.fake.mails]
    assert subjects == ["phabricator is out of reach", "phabricator is back"]
    assert "the alarm was raised 20" in stage.fake.mails[-1].content


async def test_a_room_that_cannot_be_told_holds_up_nobody_and_is_told_again(stage: Stage) -> None:
    stage.fake.unknown.add(ROOM)
    async with stage.db.connection() as connection:
        everyone = stage.teller._recipients.of_alarms
        await sources.add_mail(connection, "alarm", everyone, make_notice("Alarm", "detail"))
    await stage.teller.once()
    assert [notice.to for notice in stage.fake.notices] == [CHANNEL]
    assert await stage.outcomes() == {
        "ann@people.example": "sent",
        f"matrix:{ROOM}": None,
        f"slack:{CHANNEL}": "sent",
    }
    stage.fake.unknown.clear()
    async with stage.db.connection() as connection:
        await connection.execute("update listener_mails set due_at = now(), claimed_until = null")
    await stage.teller.once()
    assert [notice.to for notice in stage.fake.notices] == [CHANNEL, ROOM]


async def test_without_the_scope_it_is_refused_with_its_name(stage: Stage) -> None:
    answer = await stage.hooks.tell("matrix", "!other:people.example", "hello")
    assert answer.status == 403
    assert "notify:matrix-room:!other:people.example" in answer.detail


@pytest.mark.parametrize(("channel", "target"), [("matrix", ROOM), ("slack", CHANNEL)])
async def test_the_request_fulfils_the_published_schema(channel: str, target: str, shared: Path) -> None:
    references = msgspec.json.decode(
        (shared / "data" / "taskcluster" / "generated-references-v106.json").read_bytes()
    )
    files: dict[str, Any] = {one["filename"]: one["content"] for one in references}
    entries = {entry["name"]: entry for entry in files["references/notify/v1/api.json"]["entries"]}
    schema = files[f"schemas/notify/v1/{channel}-request.json"]
    sent: list[dict[str, Any]] = []

    class Watched(FakeNotices):
        def _notice(self, request: Any, body: dict[str, Any], who: dict[str, Any]) -> Any:
            assert request.path == "/api/notify/v1" + entries[channel]["route"]
            sent.append(body)
            return super()._notice(request, body, who)

    fake = Watched()
    token = fake.add_client("listener", SCOPES)
    async with served(fake) as url, open_session() as session:
        hooks = Hooks(session, url, {"clientId": "listener", "accessToken": token}, attempts=1)
        assert (await hooks.tell(channel, target, "hello")).is_good
    (body,) = sent
    assert set(schema["required"]) <= body.keys() <= schema["properties"].keys()
    assert all(
        isinstance(value, str) and schema["properties"][name]["type"] == "string"
        for name, value in body.items()
    )
    assert body.get("msgtype", "m.notice") in schema["properties"].get("msgtype", {}).get(
        "enum", ["m.notice"]
    )
    scope = entries[channel]["scopes"].replace("<roomId>", target).replace("<channelId>", target)
    assert scope in SCOPES
