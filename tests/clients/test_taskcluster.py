# SPDX-License-Identifier: MPL-2.0
"""The Taskcluster client against the fake Taskcluster, which checks real Hawk signatures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import mohawk
import pytest
from aiohttp import web
from mohawk.util import calculate_payload_hash
from taskcluster import createTemporaryCredentials

from shipit.clients.hooks import Hooks
from shipit.clients.http import CallCounter
from shipit.clients.task_groups import TaskGroups
from shipit.clients.taskcluster import Credentials, HawkFailed, HawkNone, HawkSuccess, Taskcluster
from shipit.errors import Missing, Refused, Unavailable
from shipit.world.server import Trouble, served
from shipit.world.taskcluster import FakeTaskcluster

BOT = "project/releng/services/bot"
TOKEN = "t" * 43
URL = "https://uplift.example.com/api/bugs?x=1&y=2"


@pytest.fixture
async def fake() -> AsyncIterator[FakeTaskcluster]:
    made = FakeTaskcluster()
    made.add_client(
        BOT,
        [
            "project:shipit:bot",
            "notify:email:*",
            "secrets:get:project/releng/*",
            "auth:create-client:tempo/*",
            "hooks:trigger-hook:project-releng/*",
            "assume:relman",
        ],
        token=TOKEN,
    )
    made.add_role("relman", ["project:shipit:decide/*"])
    async with served(made):
        yield made


@pytest.fixture
def client(session: aiohttp.ClientSession, fake: FakeTaskcluster, calls: CallCounter) -> Taskcluster:
    return Taskcluster(session, fake.url, Credentials(BOT, TOKEN), calls=calls)


def signed(
    *,
    client_id: str = BOT,
    token: str = TOKEN,
    url: str = URL,
    body: str | None = None,
    ext: str | None = None,
    age: int = 0,
    method: str = "PUT",
) -> str:
    """An Authorization header as a caller of ours would send it."""
    sender = mohawk.Sender(
        {"id": client_id, "key": token, "algorithm": "sha256"},
        url,
        method,
        content=body if body is not None else mohawk.base.EmptyValue,
        content_type="application/json" if body is not None else mohawk.base.EmptyValue,
        always_hash_content=body is not None,
        ext=ext,
        _timestamp=int(datetime.now(UTC).timestamp()) - age,
    )
    return str(sender.request_header)


async def asked(client: Taskcluster, header: str | None, resource: str = "/api/bugs?x=1&y=2") -> object:
    return await client.authenticate_hawk(
        method="PUT", resource=resource, host="uplift.example.com", port=443, authorization=header
    )


async def test_a_good_signature_names_its_client_and_expanded_scopes(client: Taskcluster) -> None:
    who = await asked(client, signed())
    assert isinstance(who, HawkSuccess)
    assert who.client_id == BOT
    assert {"project:shipit:bot", "project:shipit:decide/*", "assume:anonymous"} <= set(who.scopes)
    assert who.hash is None and who.expires > datetime.now(UTC)


async def test_a_signed_payload_comes_back_as_its_hash(client: Taskcluster) -> None:
    body = '{"bug": 1}'
    who = await asked(client, signed(body=body))
    assert isinstance(who, HawkSuccess)
    assert who.hash == calculate_payload_hash(body, "sha256", "application/json").decode()


@pytest.mark.parametrize(
    ("header", "resource", "words"),
    [
        (signed(token="x" * 43), "/api/bugs?x=1&y=2", "Bad mac"),
        (signed(), "/api/bugs?x=1", "Bad mac"),
        (signed(), "/api/other?x=1&y=2", "Bad mac"),
        (signed(method="GET"), "/api/bugs?x=1&y=2", "Bad mac"),
        (signed(age=3600), "/api/bugs?x=1&y=2", "Stale timestamp"),
        (signed(client_id="nobody/here"), "/api/bugs?x=1&y=2", "not found"),
        ("Bearer abc", "/api/bugs?x=1&y=2", "Unauthorized"),
        ("Hawk", "/api/bugs?x=1&y=2", "Unauthorized"),
    ],
)
async def test_a_bad_signature_is_a_failure_with_its_reason(
    client: Taskcluster, header: str, resource: str, words: str
) -> None:
    who = await asked(client, header, resource)
    assert isinstance(who, HawkFailed) and words in who.message


async def test_nobody_signing_is_nobody_though_anonymous_has_scopes(client: Taskcluster) -> None:
    assert await asked(client, None) == HawkNone()


async def test_a_removed_client_is_refused(client: Taskcluster, fake: FakeTaskcluster) -> None:
    fake.remove_client(BOT)
    assert isinstance(await asked(client, signed()), HawkFailed)


def temporary(name: str | None, scopes: list[str], hours: float = 1) -> tuple[str, str, str]:
    """Client id, token and Hawk ext of temporary credentials, as the official library makes them."""
    now = datetime.now(UTC)
    made = createTemporaryCredentials(
        BOT, TOKEN, now - timedelta(hours=2), now + timedelta(hours=hours), scopes, name
    )
    plain = {key: value.decode() if isinstance(value, bytes) else value for key, value in made.items()}
    library = Taskcluster(
        None,  # type: ignore[arg-type]
        "https://tc.example",
        Credentials(plain["clientId"], plain["accessToken"], plain["certificate"]),
    )
    ext = library._auth.makeHawkExt()
    return plain["clientId"], plain["accessToken"], ext.decode() if isinstance(ext, bytes) else ext


@pytest.mark.parametrize(
    ("name", "scopes", "hours", "outcome"),
    [
        (None, ["project:shipit:bot"], 1, None),
        ("tempo/ann", ["project:shipit:bot"], 1, None),
        ("other/ann", ["project:shipit:bot"], 1, "auth:create-client:other/ann"),
        (None, ["project:shipit:bot"], -1, "expiry < now"),
        (None, ["other:scope"], 1, "doesn't satisfy all certificate scopes"),
    ],
)
async def test_temporary_credentials_are_judged(
    client: Taskcluster, name: str | None, scopes: list[str], hours: float, outcome: str | None
) -> None:
    client_id, token, ext = temporary(name, scopes, hours)
    who = await asked(client, signed(client_id=client_id, token=token, ext=ext))
    if outcome is None:
        assert isinstance(who, HawkSuccess) and who.client_id == client_id
        assert "project:shipit:bot" in who.scopes and "project:shipit:decide/*" not in who.scopes
    else:
        assert isinstance(who, HawkFailed) and outcome in who.message


async def test_a_mail_goes_out_once(client: Taskcluster, fake: FakeTaskcluster, calls: CallCounter) -> None:
    mail = ("ann@example.com", "Uplift of bug 1\r\nBcc: x", "It **conflicts**.")
    assert await client.mail(*mail) is True
    assert await client.mail(*mail) is False
    assert [(one.address, one.subject) for one in fake.mails] == [
        ("ann@example.com", "Uplift of bug 1 Bcc: x")
    ]
    assert calls.by_service() == {"Taskcluster": 2}


async def test_an_address_that_wants_no_mail_is_a_refusal(client: Taskcluster, fake: FakeTaskcluster) -> None:
    fake.deny("ann@example.com")
    with pytest.raises(Refused):
        await client.mail("ann@example.com", "s", "c")


async def test_missing_scopes_are_said_without_what_we_sent(
    session: aiohttp.ClientSession, fake: FakeTaskcluster
) -> None:
    fake.add_client("poor", [], token=TOKEN)
    with pytest.raises(Unavailable, match=r"notify:email:ann@example\.com") as raised:
        await Taskcluster(session, fake.url, Credentials("poor", TOKEN)).mail(
            "ann@example.com", "s", "hidden words"
        )
    assert "hidden words" not in str(raised.value)


async def test_without_credentials_none_are_taken_from_the_environment(
    session: aiohttp.ClientSession, fake: FakeTaskcluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", BOT)
    monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", TOKEN)
    with pytest.raises(Unavailable, match="403"):
        await Taskcluster(session, fake.url).mail("ann@example.com", "s", "c")


async def test_secrets_are_read_or_missing(client: Taskcluster, fake: FakeTaskcluster) -> None:
    fake.set_secret("project/releng/shipit", {"KEY": "value"})
    assert await client.secret("project/releng/shipit") == {"KEY": "value"}
    with pytest.raises(Missing):
        await client.secret("project/releng/none")
    with pytest.raises(Unavailable, match="403"):
        await client.secret("other/x")


async def test_a_hook_is_fired_once_and_its_task_is_known(
    session: aiohttp.ClientSession, fake: FakeTaskcluster
) -> None:
    client = TaskGroups(session, fake.url, Credentials(BOT, TOKEN))
    fake.add_hook("project-releng", "bot")
    made = await client.make_by_hook("project-releng", "bot", {"bug": 1})
    assert made is not None
    task = await client.task(made.task_id)
    assert task is not None and task.state == "pending"
    assert await client.task("NfpE4jmuRlWhodwP6X6rYw") is None
    fake.fail(Trouble.DROP, containing="trigger")
    with pytest.raises(Unavailable):
        await client.make_by_hook("project-releng", "bot", {})
    assert fake.count("trigger") == 2


async def test_odd_rows_among_a_hooks_last_fires_are_passed_over(
    session: aiohttp.ClientSession, fake: FakeTaskcluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"taskId": "NfpE4jmuRlWhodwP6X6rYw", "taskCreateTime": "2026-03-01T10:00:00Z", "result": "success"}
    rows = ["odd", None, {}, {**good, "taskCreateTime": "soon"}, {**good, "taskCreateTime": None}, good]

    async def odd(_: web.Request) -> web.Response:
        return web.json_response({"lastFires": rows})

    monkeypatch.setattr(fake, "answer", lambda request, _: odd(request))
    since = datetime(2026, 3, 1, tzinfo=UTC)
    assert await TaskGroups(session, fake.url, Credentials(BOT, TOKEN)).fires("g", "h", since) == [
        good["taskId"]
    ]
    (fire,) = await Hooks(session, fake.url, {"clientId": BOT, "accessToken": TOKEN}).last_fires("g", "h")
    assert fire.task_id == good["taskId"] and fire.is_good


@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.DROP])
async def test_a_passing_failure_is_asked_again(
    client: Taskcluster, fake: FakeTaskcluster, trouble: Trouble
) -> None:
    fake.fail(trouble, times=1)
    assert await client.mail("ann@example.com", "s", "c") is True
    assert len(fake.mails) == 1


@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.DROP, Trouble.BUSY, Trouble.GARBAGE])
async def test_a_failing_taskcluster_authenticates_nobody(
    client: Taskcluster, fake: FakeTaskcluster, trouble: Trouble
) -> None:
    fake.fail(trouble)
    with pytest.raises(Unavailable) as raised:
        await asked(client, signed())
    assert "Hawk" not in repr(raised.value.__cause__)


async def test_an_unknown_status_authenticates_nobody(session: aiohttp.ClientSession) -> None:
    class Odd(FakeTaskcluster):
        async def answer(self, request: web.Request, handler: object) -> web.StreamResponse:
            return web.json_response({"status": "auth-maybe", "scopes": ["*"], "clientId": "x"})

    fake = Odd()
    async with served(fake):
        with pytest.raises(Unavailable, match="unknown status"):
            await asked(Taskcluster(session, fake.url), signed())


def test_credentials_show_no_token() -> None:
    assert TOKEN not in repr(Credentials(BOT, TOKEN, "cert"))
