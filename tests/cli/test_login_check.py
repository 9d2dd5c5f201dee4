# SPDX-License-Identifier: MPL-2.0
"""`shipit check` says what would keep people from logging in."""

from __future__ import annotations

from typing import Any

import pytest

from shipit.cli import login_check
from shipit.clients.http import open_session
from shipit.errors import Unavailable
from shipit.settings import Backend, Login, Settings, Taskcluster
from shipit.world.server import served
from shipit.world.taskcluster import FakeTaskcluster


def settings(**more: Any) -> Settings:
    login = Login(client_id=more.pop("client_id", "shipit"), scopes=more.pop("scopes", ("project:shipit:*",)))
    root = more.pop("root_url", "https://tc.example.com")
    return Settings(
        login=login,
        taskcluster=Taskcluster(root_url=root),
        backend=Backend(**{"url": "https://shipit.example.com", **more}),
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, []),
        ({"client_id": None, "root_url": None, "url": None}, []),
        ({"root_url": None}, ["taskcluster.root_url"]),
        ({"url": None}, ["backend.url"]),
        ({"url": "http://127.0.0.1:8000"}, []),
        ({"url": "http://localhost:8000"}, []),
        ({"url": "http://shipit.example.com"}, ["https"]),
        ({"scopes": ("project:shipit:user",)}, ["project:shipit:restricted"]),
        ({"restricted_scopes": ("security:see",)}, ["security:see"]),
        ({"restricted_scopes": ("security:see",), "scopes": ("project:shipit:*", "security:*")}, []),
    ],
)
def test_what_does_not_fit_together_is_named(more: dict[str, Any], words: list[str]) -> None:
    found = login_check.problems(settings(**more))
    assert len(found) == len(words)
    assert all(word in problem for word, problem in zip(words, found, strict=True))


async def test_whether_clients_may_be_looked_up_is_found_out() -> None:
    fake = FakeTaskcluster()
    async with served(fake), open_session() as session:
        given = settings(root_url=fake.url)
        assert "lets us look up" in await login_check.answers(given, session)
        fake.roles.scopes["anonymous"] = []
        with pytest.raises(Unavailable, match="auth:get-client"):
            await login_check.answers(given, session)
