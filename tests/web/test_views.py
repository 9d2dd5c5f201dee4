# SPDX-License-Identifier: MPL-2.0
"""Saved views: one's own and shared ones, never lost by two who change them, never another's to change."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures_postgres import Database
from fixtures_web import running

VIEW = {"name": "To decide", "train": "beta", "query": "state=requested&sort=deadline"}


async def test_a_view_is_kept_for_its_owner_and_shared_when_they_say_so(database: Database) -> None:
    async with running(database) as service:
        mine, other = service.logged_in("user"), service.logged_in("reader")
        saved = (await mine.put("/api/views/v1", json=VIEW)).json()
        assert {**VIEW, "uid": "v1", "is_mine": True, "revision": 1}.items() <= saved.items()
        assert (await other.get("/api/views")).json() == []
        shared = (await mine.put("/api/views/v1", json={**VIEW, "is_shared": True})).json()
        assert shared["revision"] == 2
        (seen,) = (await other.get("/api/views")).json()
        assert (seen["name"], seen["is_mine"], seen["owner"]) == ("To decide", False, "test/user")


async def test_views_outlive_sessions(database: Database) -> None:
    async with running(database) as service:
        first = service.logged_in("user")
        await first.put("/api/views/v1", json=VIEW)
        await first.post("/logout")
        assert len((await service.logged_in("user").get("/api/views")).json()) == 1


async def test_nobody_changes_anothers_view(database: Database) -> None:
    async with running(database) as service:
        mine, other = service.logged_in("user"), service.logged_in("admin")
        await mine.put("/api/views/private", json=VIEW)
        await mine.put("/api/views/shared", json={**VIEW, "name": "S", "is_shared": True})
        for uid, status in (("private", 404), ("shared", 403)):
            changed = {**VIEW, "name": "Changed"}
            assert (await other.put(f"/api/views/{uid}", json=changed)).status_code == status
            assert (await other.delete(f"/api/views/{uid}")).status_code == status
        assert {each["name"] for each in (await mine.get("/api/views")).json()} == {"To decide", "S"}


async def test_of_two_who_change_a_view_the_second_is_told(database: Database) -> None:
    async with running(database) as service:
        mine = service.logged_in("user")
        await mine.put("/api/views/v1", json=VIEW)
        seen = {"If-Match": '"1"'}
        for query, status in (("q=a", 200), ("q=b", 412)):
            answer = await mine.put("/api/views/v1", json={**VIEW, "query": query}, headers=seen)
            assert answer.status_code == status
        assert (await mine.delete("/api/views/v1", headers=seen)).status_code == 412
        assert (await mine.get("/api/views")).json()[0]["query"] == "q=a"
        assert (await mine.delete("/api/views/v1", headers={"If-Match": '"2"'})).status_code == 204
        assert (await mine.delete("/api/views/v1")).status_code == 404


async def test_two_views_of_one_person_have_two_names(database: Database) -> None:
    async with running(database) as service:
        mine, other = service.logged_in("user"), service.logged_in("reader")
        await mine.put("/api/views/v1", json=VIEW)
        answer = await mine.put("/api/views/v2", json={**VIEW, "name": "  to  DECIDE "})
        assert (answer.status_code, "already" in answer.json()["detail"]) == (409, True)
        assert (await other.put("/api/views/v3", json=VIEW)).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": " "},
        {"name": "a\u0007"},
        {"name": "x" * 81},
        {"query": "a b"},
        {"query": "x" * 2001},
        {"query": "\u00e9"},
        {"other": 1},
    ],
)
async def test_a_bad_view_is_refused(database: Database, change: dict[str, Any]) -> None:
    async with running(database) as service:
        answer = await service.logged_in("user").put("/api/views/v1", json={**VIEW, **change})
        assert answer.status_code == 422
        assert (await service.logged_in("user").get("/api/views")).json() == []
