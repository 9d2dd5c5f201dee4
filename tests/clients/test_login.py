# SPDX-License-Identifier: MPL-2.0
"""The login's client against the fake Taskcluster: what comes of a code, and what each failure becomes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import yarl

from shipit.clients.login import TaskclusterLogin
from shipit.clients.taskcluster import Taskcluster
from shipit.errors import NotAuthenticated, Unavailable
from shipit.world.server import Trouble, served
from shipit.world.taskcluster import FakeTaskcluster

CALLBACK = "https://shipit.example.com/login/callback"
PERSON = "mozilla-auth0/ad|Mozilla-LDAP|ryan"
SCOPES = ("project:shipit:*",)
# of RFC 7636, appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.fixture
async def fake() -> AsyncIterator[FakeTaskcluster]:
    made = FakeTaskcluster()
    made.add_role("relman", ["project:shipit:decide/beta", "queue:create-task:*"])
    made.logins.register("shipit", [CALLBACK], SCOPES, hours=24)
    made.logins.add_person(PERSON, "Ryan", ["project:shipit:user", "assume:relman"])
    made.logins.signed_in = PERSON
    async with served(made):
        yield made


@pytest.fixture
def login(session: aiohttp.ClientSession, fake: FakeTaskcluster) -> TaskclusterLogin:
    taskcluster = Taskcluster(session, fake.url, attempts=1)
    return TaskclusterLogin(session, taskcluster, client_id="shipit", scopes=SCOPES, hours=2)


async def came_back(session: aiohttp.ClientSession, url: str) -> dict[str, list[str]]:
    """What Taskcluster sends the browser back with."""
    async with session.get(yarl.URL(url, encoded=True), allow_redirects=False) as answer:
        assert answer.status == 302
        to = urlsplit(answer.headers["Location"])
    assert f"{to.scheme}://{to.netloc}{to.path}" == CALLBACK
    return parse_qs(to.query)


async def code_of(session: aiohttp.ClientSession, login: TaskclusterLogin) -> str:
    back = await came_back(
        session, login.authorize_url(redirect_uri=CALLBACK, state="s", challenge=CHALLENGE)
    )
    assert back["state"] == ["s"]
    return back["code"][0]


async def test_a_code_is_worth_the_persons_scopes_as_far_as_they_were_asked_for(
    session: aiohttp.ClientSession, fake: FakeTaskcluster, login: TaskclusterLogin
) -> None:
    granted = await login.redeem(await code_of(session, login), redirect_uri=CALLBACK, verifier=VERIFIER)
    assert granted.client_id.startswith(f"{PERSON}/shipit-")
    assert sorted(granted.scopes) == ["project:shipit:decide/beta", "project:shipit:user"]
    assert abs(granted.expires - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)


async def test_what_a_client_may_is_asked_anew(
    session: aiohttp.ClientSession, fake: FakeTaskcluster, login: TaskclusterLogin
) -> None:
    client = (
        await login.redeem(await code_of(session, login), redirect_uri=CALLBACK, verifier=VERIFIER)
    ).client_id
    assert await login.granted(client) is not None
    fake.logins.add_person(PERSON, "Ryan", ["project:shipit:user"])
    fake.logins.scan()
    assert await login.granted(client) is None
    fake.remove_client(client)
    assert await login.granted(client) is None


async def test_a_bad_code_and_another_callback_are_worth_nothing(
    session: aiohttp.ClientSession, login: TaskclusterLogin
) -> None:
    with pytest.raises(NotAuthenticated):
        await login.redeem("made-up", redirect_uri=CALLBACK, verifier=VERIFIER)
    code = await code_of(session, login)
    with pytest.raises(NotAuthenticated):
        await login.redeem(code, redirect_uri="https://evil.example.com/login/callback", verifier=VERIFIER)


async def test_scopes_other_than_the_registered_are_refused(
    session: aiohttp.ClientSession, fake: FakeTaskcluster
) -> None:
    greedy = TaskclusterLogin(
        session, Taskcluster(session, fake.url), client_id="shipit", scopes=("*",), hours=2
    )
    back = await came_back(
        session, greedy.authorize_url(redirect_uri=CALLBACK, state="s", challenge=CHALLENGE)
    )
    assert back == {"error": ["invalid_scope"], "state": ["s"]}


@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.DROP, Trouble.GARBAGE, Trouble.BUSY])
@pytest.mark.parametrize("where", ["/login/oauth/token", "/login/oauth/credentials", "/api/auth/v1/clients"])
async def test_a_taskcluster_in_trouble_is_unavailable_and_no_secret_is_said(
    session: aiohttp.ClientSession,
    fake: FakeTaskcluster,
    login: TaskclusterLogin,
    trouble: Trouble,
    where: str,
) -> None:
    code = await code_of(session, login)
    fake.fail(trouble, containing=where)
    with pytest.raises(Unavailable) as said:
        await login.redeem(code, redirect_uri=CALLBACK, verifier=VERIFIER)
    assert code not in str(said.value)


async def test_without_the_scope_to_look_clients_up_it_says_so(
    session: aiohttp.ClientSession, fake: FakeTaskcluster, login: TaskclusterLogin
) -> None:
    code = await code_of(session, login)
    fake.roles.scopes["anonymous"] = []
    with pytest.raises(Unavailable, match="auth:get-client:"):
        await login.redeem(code, redirect_uri=CALLBACK, verifier=VERIFIER)


async def test_a_code_is_worth_nothing_without_the_verifier_of_its_browser(
    session: aiohttp.ClientSession, login: TaskclusterLogin
) -> None:
    code = await code_of(session, login)
    with pytest.raises(NotAuthenticated):
        await login.redeem(code, redirect_uri=CALLBACK, verifier="another" * 7)
