# SPDX-License-Identifier: MPL-2.0
"""Logging in with everything real but Taskcluster: our web service, our client, and a browser's jar."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import structlog

from fixtures_postgres import Database, Server
from fixtures_web import running_at
from shipit.cli.serve import login_service
from shipit.clients.http import open_session
from shipit.settings import Backend, Login, Settings, Taskcluster
from shipit.web.sessions import LoginService
from shipit.world import people
from shipit.world.server import served
from shipit.world.taskcluster import FakeTaskcluster
from shipit.world.taskcluster_login import Person


@pytest.fixture
def database(postgres: Server) -> Database:
    return postgres.create_migrated()


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[tuple[str, FakeTaskcluster]]:
    """A web service and the Taskcluster its people log in at."""
    fake = FakeTaskcluster()
    async with served(fake), open_session() as session:

        def made(url: str) -> tuple[Settings, LoginService | None]:
            people.settle(fake, backend_url=url)
            settings = Settings(
                instance=database.instance,
                backend=Backend(url=url, public_read=False),
                taskcluster=Taskcluster(root_url=fake.url),
                login=Login(client_id=people.LOGIN_CLIENT, scopes=people.LOGIN_SCOPES),
            )
            return settings, login_service(settings, session)

        async with running_at(database, made) as url:
            yield url, fake


async def logged_in(url: str, person: Person) -> httpx.AsyncClient:
    """A browser in which this person has logged in, by the same pages as a person would."""
    browser = httpx.AsyncClient(base_url=url, follow_redirects=True, timeout=30)
    page = await browser.get("/", headers={"Accept": "text/html"})
    assert page.url.path == "/third-party"
    fields = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page.text))
    decision = {name: value.replace("&amp;", "&") for name, value in fields.items()}
    to = page.url.join("/login/oauth/authorize/decision")
    await browser.post(to, data={**decision, "person": person.identity})
    return browser


async def test_each_of_the_demos_people_gets_their_rights_and_loses_them(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(database) as (url, fake):
        expected = {
            people.MANAGER: ("trusted", ["read", "user"]),
            people.TRAINEE: ("trusted", ["read", "user"]),
            people.OBSERVER: ("member", ["read", "user"]),
            people.ENGINEER: ("member", ["read", "user", "replay"]),
            people.ADMIN: ("member", ["read", "user", "admin", "replay"]),
            people.STRANGER: ("public", []),
        }
        with structlog.testing.capture_logs() as logs:
            for person, (audience, rights) in expected.items():
                browser = await logged_in(url, person)
                me = (await browser.get("/api/me")).json()
                assert (me["client_id"], me["audience"], me["rights"]) == (person.identity, audience, rights)
                assert bool(me["csrf"])
                await browser.aclose()
        assert "code=" not in str(logs) + caplog.text
        refused = await logged_in(url, Person("nobody", "", ()))
        assert (await refused.get("/api/me")).json()["client_id"] is None
        with database.connect() as connection:
            connection.execute("update sessions set checked_at = now() - interval '10 minutes'")
        browser = await logged_in(url, people.MANAGER)
        fake.logins.add_person(people.MANAGER.identity, "", ["project:shipit:user"])
        fake.logins.scan()
        assert (await browser.get("/api/me")).json()["audience"] == "trusted"
        with database.connect() as connection:
            connection.execute("update sessions set checked_at = now() - interval '10 minutes'")
        assert (await browser.get("/api/me")).json()["client_id"] is None
        await browser.aclose()
        await refused.aclose()
