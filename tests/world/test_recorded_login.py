# SPDX-License-Identifier: MPL-2.0
"""The login of the fake Taskcluster beside a recorded one of the real: the same places and shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import yarl
from shapes import differences

from shipit.clients.http import open_session
from shipit.world.server import served
from shipit.world.taskcluster import FakeTaskcluster


def recorded(shared: Path, number: str) -> dict[str, Any]:
    folder = shared / "recorded" / "taskcluster"
    (path,) = [path for path in folder.glob(f"{number}-*.json") if "--inner" not in path.name]
    return json.loads(path.read_text())  # type: ignore[no-any-return]


async def asked(
    session: aiohttp.ClientSession, fake: FakeTaskcluster, request: dict[str, Any], **more: Any
) -> tuple[int, str, str]:
    """Status, place it sends to, body."""
    url = yarl.URL(fake.url + request["path"], encoded=True)
    headers = {"Content-Type": request["contentType"]} if request["contentType"] else {}
    headers |= more.pop("headers", {})
    data = more.pop("body", request["body"])
    async with session.request(
        request["method"], url, data=data, headers=headers, allow_redirects=False
    ) as answer:
        return answer.status, answer.headers.get("Location", ""), await answer.text()


def without_code(text: str) -> str:
    return re.sub(r"code=[^&]+", "code=<redacted>", text)


async def test_a_login_goes_as_the_recorded_one(shared: Path) -> None:
    fake = FakeTaskcluster()
    begin, token, credentials, elsewhere, logged_out = (
        recorded(shared, number) for number in ("199", "200", "202", "204", "205")
    )
    query = {name: values[0] for name, values in parse_qs(urlsplit(begin["request"]["path"]).query).items()}
    fake.logins.register(query["client_id"], [query["redirect_uri"]], [query["scope"]])
    fake.logins.add_person("test/test", "The test strategy", [query["scope"]])
    async with served(fake), open_session() as session:
        status, place, _ = await asked(session, fake, logged_out["request"])
        assert (status, place) == (302, logged_out["response"]["headers"]["Location"])
        fake.logins.signed_in = "test/test"
        status, _, text = await asked(session, fake, elsewhere["request"])
        assert (status, json.loads(text)) == (
            elsewhere["response"]["status"],
            elsewhere["response"]["body"],
        )
        status, place, text = await asked(session, fake, begin["request"])
        theirs = begin["response"]
        assert (status, without_code(place)) == (302, theirs["headers"]["Location"])
        assert without_code(text) == theirs["body"]
        code = parse_qs(urlsplit(place).query)["code"][0]
        form = token["request"]["body"].replace("<redacted>", code)
        status, _, text = await asked(session, fake, token["request"], body=form)
        got = json.loads(text)
        assert (status, got["token_type"]) == (200, "Bearer")
        assert not differences(token["response"]["body"], got)
        bearer = {"Authorization": f"Bearer {got['access_token']}"}
        status, _, text = await asked(session, fake, credentials["request"], headers=bearer)
        given = json.loads(text)
        assert status == 200
        assert not differences(credentials["response"]["body"], given)
        assert re.fullmatch(r"test/test/shipit-[\w-]{6}", given["credentials"]["clientId"])
        made = recorded_client(shared)
        assert fake.clients[given["credentials"]["clientId"]].scopes == made["scopes"]


def recorded_client(shared: Path) -> dict[str, Any]:
    """What the real one asked its auth service to make for this login."""
    (path,) = (shared / "recorded" / "taskcluster").glob("201-*--inner-auth-createClient.json")
    return json.loads(path.read_text())["request"]["body"]  # type: ignore[no-any-return]
