# SPDX-License-Identifier: MPL-2.0
"""The fake Taskcluster in the recorded situations: the same statuses, codes and keys.

The recorded signatures are cut out of the recordings, so each situation is signed anew.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import mohawk
import pytest
from shapes import differences
from taskcluster import createTemporaryCredentials

from shipit.clients.http import open_session
from shipit.world.server import served
from shipit.world.taskcluster import FakeTaskcluster

NOT_FAKED = {
    "queue": "creating, claiming and listing tasks: the original's step, another issue",
    "hooks": "definitions of hooks and their history: another issue",
    "index": "nobody asks for it",
    "login": "replayed in their order in test_recorded_login",
    "pulse": "deliveries by AMQP: the listener's issue",
    "secrets": "writing and listing secrets: nobody does",
    "auth": "administration of clients and roles: the world's verbs do it",
    "notify": "denylist and Pulse: nobody uses them",
    "ses": "mails as Amazon got them",
}
REPLAYED = (
    "011",
    "015",
    "019",
    "021",
    "047",
    "051",
    "130",
    "131",
    "132",
    "133",
    "134",
    "135",
    "136",
    "137",
    "138",
    "139",
    "140",
    "141",
    "142",
    "143",
    "144",
    "145",
    "150",
    "152",
    "154",
    "174",
    "176",
    "179",
    "181",
    "185",
    "177",
)
TOKEN = "t" * 43
TASK = "NyH_FQ0EQ4uidTvc8O-DmQ"


def recorded(shared: Path, number: str) -> dict[str, Any]:
    folder = shared / "recorded" / "taskcluster"
    (path,) = [path for path in folder.glob(f"{number}-*.json") if "--inner" not in path.name]
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def client_of(shared: Path) -> str:
    return str(recorded(shared, "003")["response"]["body"]["clientId"])


@pytest.fixture
async def fake(shared: Path) -> AsyncIterator[FakeTaskcluster]:
    made = FakeTaskcluster()
    created = recorded(shared, "003")["response"]["body"]
    made.add_client(created["clientId"], recorded(shared, "130")["response"]["body"]["scopes"], token=TOKEN)
    made.roles.scopes["anonymous"] = [
        scope
        for scope in recorded(shared, "145")["response"]["body"]["scopes"]
        if scope != "assume:anonymous"
    ]
    made.add_hook("project-releng", "shipit-code-coverage")
    made.set_secret("project/releng/acceptance", {"EXAMPLE": "x", "n": 1})
    made.deny("blocked@example.com")
    made.tasks[TASK] = "pending"
    async with served(made):
        yield made


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


def header(
    client: str,
    token: str,
    url: str,
    method: str,
    *,
    ext: str | None = None,
    age: int = 0,
    content: str | None = None,
) -> str:
    has_content = content is not None
    sender = mohawk.Sender(
        {"id": client, "key": token, "algorithm": "sha256"},
        url,
        method,
        ext=ext,
        content=content if has_content else mohawk.base.EmptyValue,
        content_type="application/json" if has_content else mohawk.base.EmptyValue,
        always_hash_content=has_content,
        _timestamp=int(datetime.now(UTC).timestamp()) - age,
    )
    return str(sender.request_header)


def certificate(client: str, name: str | None, scopes: list[str], hours: float) -> tuple[str, str, str]:
    now = datetime.now(UTC)
    made = createTemporaryCredentials(
        client, TOKEN, now - timedelta(hours=2), now + timedelta(hours=hours), scopes, name
    )
    text = {key: value.decode() if isinstance(value, bytes) else value for key, value in made.items()}
    ext = json.dumps({"certificate": json.loads(text["certificate"])})
    return text["clientId"], text["accessToken"], base64.b64encode(ext.encode()).decode()


def situation(number: str, client: str) -> str | None:
    """The Authorization header of a recorded authenticateHawk question, signed anew."""
    url = "https://uplift.example.com/bugs?x=1"
    temporary = {
        "138": ("tempo/user@example.com", ["auth:current-scopes"], 1.0),
        "139": (None, ["auth:current-scopes"], 1.0),
        "140": ("other/user@example.com", ["auth:current-scopes"], 1.0),
        "141": (None, ["auth:current-scopes"], -1.0),
        "142": (None, ["other:scope"], 1.0),
    }
    if number in temporary:
        signer, token, ext = certificate(client, *temporary[number])
        return header(signer, token, url, "PUT", ext=ext)
    restricted = base64.b64encode(json.dumps({"authorizedScopes": ["auth:current-scopes"]}).encode()).decode()
    return {
        "130": header(client, TOKEN, url, "PUT"),
        "131": header(client, TOKEN, url, "PUT", content="{}"),
        "132": header(client, "w" * 43, url, "PUT"),
        "133": header("nobody/here", TOKEN, url, "PUT"),
        "134": header(client, TOKEN, url, "PUT", age=3600),
        "135": header(client, TOKEN, url, "PUT"),
        "136": None,
        "137": "Bearer something",
        "143": header(client, TOKEN, url, "PUT", ext=restricted),
    }[number]


async def replayed(
    session: aiohttp.ClientSession, fake: FakeTaskcluster, shared: Path, number: str
) -> tuple[int, Any]:
    request, client = recorded(shared, number)["request"], client_of(shared)
    body = request["body"]
    if number.startswith("1") and 130 <= int(number) <= 143:
        given = situation(number, client)
        body = {key: value for key, value in body.items() if key != "authorization"}
        body |= {"authorization": given} if given is not None else {}
    url = fake.url + request["path"]
    data = None if body is None else json.dumps(body)
    headers = {"Content-Type": "application/json"} if data is not None else {}
    if request["authorization"]:
        token = "w" * 43 if number == "021" else TOKEN
        headers["Authorization"] = header(client, token, url, request["method"], content=data)
    async with session.request(
        request["method"], aiohttp.client.URL(url, encoded=True), data=data, headers=headers
    ) as response:
        text = await response.text()
        if response.content_type == "application/json":
            return response.status, json.loads(text)
        return response.status, text or None


@pytest.mark.parametrize("number", REPLAYED)
async def test_the_fake_answers_as_the_recorded_deployment(
    shared: Path, session: aiohttp.ClientSession, fake: FakeTaskcluster, number: str
) -> None:
    if number == "176":
        await replayed(session, fake, shared, "174")
    if number == "181":
        fake.break_mail("release@example.com")
    theirs = recorded(shared, number)["response"]
    status, ours = await replayed(session, fake, shared, number)
    assert status == theirs["status"], ours
    if not isinstance(theirs["body"], dict):
        assert ours == theirs["body"]
        return
    found = differences(theirs["body"], ours, maps=frozenset({".requestInfo.payload", ".requestInfo.params"}))
    assert not found
    for key in ("status", "code", "message"):
        if isinstance(theirs["body"].get(key), str) and number != "177":
            assert ours[key][:8] == theirs["body"][key][:8]


async def test_scopes_come_expanded_with_the_anonymous_roles(
    shared: Path, session: aiohttp.ClientSession, fake: FakeTaskcluster
) -> None:
    _, ours = await replayed(session, fake, shared, "136")
    assert ours["scopes"] == recorded(shared, "136")["response"]["body"]["scopes"]
    _, ours = await replayed(session, fake, shared, "130")
    assert ours["scopes"] == recorded(shared, "130")["response"]["body"]["scopes"]


def test_every_recording_is_replayed_or_left_out_with_a_reason(shared: Path) -> None:
    left = []
    for path in (shared / "recorded" / "taskcluster").glob("*.json"):
        number, _, rest = path.name.partition("-")
        service = number if number in ("pulse", "ses") else rest.split("-")[0].split(".")[0]
        if path.name == "steps.json" or number in REPLAYED or "--inner" in path.name:
            continue
        if service not in NOT_FAKED:
            left.append(path.name)
    assert not left
