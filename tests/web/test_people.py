# SPDX-License-Identifier: MPL-2.0
"""What is noted about contributors: by whom, until when, for whose eyes."""

from __future__ import annotations

import psycopg
import pytest

from fixtures_postgres import Database
from fixtures_web import Service, make_bug, make_request, make_secret, running

NOTE = {"karma": 1, "comment_public": "Tests well.", "comment_private": "PRIVATE: slow to answer."}


async def seeded(service: Service) -> str:
    """The path of the one contributor whom everybody may know."""
    await service.feed(make_bug(1, make_request(1)))
    return f"/api/people/{(await service.by('user').get('/api/people')).json()[0]['id']}"


async def test_a_note_has_an_author_a_date_and_an_end(database: Database) -> None:
    async with running(database) as service:
        path = await seeded(service)
        admin = service.logged_in("admin")
        answer = await admin.put(f"{path}/note", json={**NOTE, "days": 30})
        assert answer.status_code == 200
        noted = answer.json()
        assert (noted["karma"], noted["comment_private"], noted["noted_by"]) == (
            1,
            "PRIVATE: slow to answer.",
            "test/admin",
        )
        assert noted["noted_at"][:10] < noted["expires_at"][:10]
        (row,) = (await admin.get(f"{path}/notes")).json()
        assert (row["what"], row["by"], row["is_valid"], row["karma"]) == ("noted", "test/admin", True, 1)


async def test_private_words_are_for_those_who_note(database: Database) -> None:
    async with running(database) as service:
        path = await seeded(service)
        await service.by("admin").put(f"{path}/note", json=NOTE)
        seen = (await service.by("user").get(path)).json()
        assert (seen["comment_public"], seen["comment_private"]) == ("Tests well.", None)
        assert (await service.by("user").get(f"{path}/notes")).status_code == 403
        assert (await service.client.get(path)).status_code == 401


async def test_what_is_left_out_stays_and_what_has_expired_does_not_come_back(database: Database) -> None:
    async with running(database) as service:
        path, admin = await seeded(service), service.by("admin")
        await admin.put(f"{path}/note", json=NOTE)
        changed = (await admin.put(f"{path}/note", json={"karma": -1})).json()
        assert (changed["karma"], changed["comment_public"]) == (-1, "Tests well.")
        with database.connect() as connection:
            connection.execute("update people set expires_at = now() - interval '1 second'")
        later = (await admin.put(f"{path}/note", json={"comment_public": "New."})).json()
        assert (later["karma"], later["comment_public"], later["comment_private"]) == (0, "New.", "")


async def test_a_note_that_is_ended_is_ended_in_its_history_too(database: Database) -> None:
    async with running(database) as service:
        path, admin = await seeded(service), service.by("admin")
        await admin.put(f"{path}/note", json=NOTE)
        for _ in range(2):
            assert (await admin.delete(f"{path}/note")).status_code == 204
        now = (await admin.get(path)).json()
        assert (now["karma"], now["comment_public"], now["noted_by"]) == (0, "", None)
        answer = await admin.get(f"{path}/notes")
        assert [(row["what"], row["by"]) for row in answer.json()] == [
            ("expired", "admin"),
            ("noted", "admin"),
        ]
        assert "PRIVATE" not in answer.text and "Tests well" not in answer.text


async def test_two_who_note_at_once_are_told(database: Database) -> None:
    async with running(database) as service:
        path, admin = await seeded(service), service.by("admin")
        seen = {"If-Match": (await admin.get(path)).headers["etag"]}
        assert (await admin.put(f"{path}/note", json=NOTE, headers=seen)).status_code == 200
        for answer in (
            await admin.put(f"{path}/note", json={"karma": -1}, headers=seen),
            await admin.delete(f"{path}/note", headers=seen),
        ):
            assert answer.status_code == 412
        assert (await admin.get(path)).json()["karma"] == 1


@pytest.mark.parametrize(
    "body", [{"karma": 2}, {"days": 0}, {"days": 366}, {"comment_public": "x" * 4001}, {"other": 1}]
)
async def test_a_bad_note_is_refused(database: Database, body: dict[str, object]) -> None:
    async with running(database) as service:
        path = await seeded(service)
        assert (await service.by("admin").put(f"{path}/note", json=body)).status_code == 422
        assert (await service.by("admin").get(f"{path}/notes")).json() == []


async def test_the_originals_call_is_written_down_as_well(database: Database) -> None:
    async with running(database) as service:
        path, admin = await seeded(service), service.by("admin")
        await admin.put(path.replace("/api/people", "/compat/uplift/contributor"), json={"karma": 1})
        assert len((await admin.get(f"{path}/notes")).json()) == 1


async def test_who_works_on_a_security_bug_is_known_to_those_alone_who_may_see_it(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_secret(7), make_bug(1, make_request(1)))
        both = (await service.by("reader").get("/api/people")).json()
        secret = next(each for each in both if "SECRET" in each["email"])
        assert len(both) == 2
        for who in ("user", "admin"):
            assert "SECRET" not in (await service.by(who).get("/api/people")).text
            assert (await service.by(who).get(f"/api/people/{secret['id']}")).status_code == 404
        for method, path in (("GET", "notes"), ("PUT", "note"), ("DELETE", "note")):
            answer = await service.by("admin").request(
                method, f"/api/people/{secret['id']}/{path}", json=NOTE if method == "PUT" else None
            )
            assert answer.status_code == 404, (method, answer.text)


async def test_the_history_is_only_added_to(database: Database) -> None:
    async with running(database) as service:
        path = await seeded(service)
        await service.by("admin").put(f"{path}/note", json=NOTE)
    with database.connect() as connection:
        for change in ("update people_notes set by = 'x'", "delete from people_notes"):
            with pytest.raises(psycopg.errors.RaiseException):
                connection.execute(change)
