# SPDX-License-Identifier: MPL-2.0
"""Answers: problem documents for whatever goes wrong, entity tags, compression, headers, deadlines."""

from __future__ import annotations

import gzip
from datetime import timedelta
from typing import Any

import httpx
import msgspec

from fixtures_postgres import Database
from fixtures_web import NOON, make_bug, make_request, make_round, make_train, make_trains, running
from shipit.merge.types import Outcome
from shipit.uplift.report import BugsReport, Known
from shipit.web import guards
from shipit.web.answers import PersonAnswer, RequestsAnswer
from shipit.web.bodies import Bodies
from shipit.web.problems import Problem

JSON = {"Content-Type": "application/json"}


async def problem(answer: httpx.Response, status: int) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = msgspec.json.decode(answer.content, type=Problem)
    assert found.status == status
    assert found.title
    return found


async def test_every_refusal_is_a_problem_document(database: Database) -> None:
    async with running(database) as service:
        bot = service.by("bot")
        await problem(await service.client.get("/nothing/here"), 404)
        wrong_method = await service.client.delete("/api/trains")
        await problem(wrong_method, 405)
        assert set(wrong_method.headers["allow"].split(", ")) >= {"GET", "PUT"}
        await problem(await bot.put("/api/trains", content=b"x", headers={"Content-Type": "text/plain"}), 415)
        await problem(await bot.put("/api/trains", content=b"{", headers=JSON), 400)
        shape = await problem(await bot.put("/api/trains", content=b'{"trains": 1}', headers=JSON), 422)
        assert "$.trains" in str(shape.detail)
        await problem(await bot.put("/api/trains", content=b'{"trains": []}', headers=JSON), 409)
        large = b'{"trains": "' + b"x" * guards.LARGEST_BODY + b'"}'
        await problem(await bot.put("/api/trains", content=large, headers=JSON), 413)
        await problem(await service.client.get("/api/bugs/0"), 400)
        for odd in ("9" * 40, "0" * 19 + "1" + "9" * 5000, "\xb2", "-1"):
            await problem(await service.client.get(f"/api/bugs/{odd}"), 400)
        await problem(await service.client.get("/api/requests?limit=0"), 400)
        await problem(await service.client.get("/api/requests?colour=red"), 400)
        await problem(await service.client.get("/api/requests?limit=1&limit=2"), 400)
        await problem(await service.client.get("/api/requests?after=%00"), 400)
        await problem(await service.client.get("/api/known"), 401)
        await problem(await service.by("user").get("/api/known"), 403)


async def test_a_deep_or_strange_body_is_refused_not_a_defect(database: Database) -> None:
    async with running(database) as service:
        for body in (
            b"[" * 100_000,
            b'"\\ud800"',
            b"\xff",
            b"",
            b"1e999",
            b'{"trains": [' + b"9" * 5000 + b"]}",
        ):
            answer = await service.by("bot").put("/api/trains", content=body, headers=JSON)
            assert answer.status_code in (400, 422), (body[:20], answer.text)


async def test_a_nul_in_a_text_does_not_keep_a_bug_from_being_stored(database: Database) -> None:
    async with running(database) as service:
        answer = await service.feed(make_bug(101, make_request(101), summary="a\0b and \\u0000 as written"))
        assert answer.json()["bugs"][0]["result"] == "created"
        stored = (await service.client.get("/api/bugs/101")).json()["summary"]
        assert stored == "a\ufffdb and \\u0000 as written"


async def test_one_bug_that_cannot_be_stored_leaves_the_others_alone(database: Database) -> None:
    async with running(database) as service:
        answer = await service.feed(
            make_bug(101, make_request(101)),
            make_bug(2**70, digest="x"),
            make_bug(-5),
            make_bug(103, make_request(103, "no such train")),
            make_bug(104, make_request(105)),
            make_bug(106, make_request(106)),
        )
        results = [(each["bug"], each["result"]) for each in answer.json()["bugs"]]
        assert [result for _, result in results] == [
            "created",
            "refused",
            "refused",
            "refused",
            "refused",
            "created",
        ]
        assert all(each["reason"] for each in answer.json()["bugs"] if each["result"] == "refused")


async def test_a_tag_saves_the_body_until_something_changes(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        lists = ("/api/board/beta", "/api/trains", "/api/requests")
        for path in (*lists, "/api/bugs/101", "/api/requests/101-beta-1"):
            first = await service.client.get(path)
            tag = {"If-None-Match": first.headers["etag"]}
            again = await service.client.get(path, headers=tag)
            assert (again.status_code, again.content) == (304, b""), path
            assert again.headers["etag"] == first.headers["etag"]
        later = NOON + timedelta(hours=1)
        changed = make_bug(101, make_request(101), summary="changed", digest="d2", read_at=later)
        await service.put("/api/bugs", BugsReport(round="r2", bugs=(changed,)))
        answer = await service.client.get("/api/requests", headers={"If-None-Match": first.headers["etag"]})
        assert (answer.status_code, "changed" in answer.text) == (200, True)


async def test_lists_are_compressed_once_and_only_for_those_who_understand(database: Database) -> None:
    async with running(database) as service:
        await service.feed(*[make_bug(n, make_request(n)) for n in range(1, 60)])
        plain = await service.client.get("/api/requests", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        async with service.client.stream(
            "GET", "/api/requests", headers={"Accept-Encoding": "br, gzip;q=0.5"}
        ) as packed:
            raw = b"".join([part async for part in packed.aiter_raw()])
            assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(raw) == plain.content
        assert len(raw) < len(plain.content) / 5
        never = await service.client.get("/api/requests", headers={"Accept-Encoding": "gzip;q=0"})
        assert "content-encoding" not in never.headers


async def test_pages_follow_each_other_without_gap_or_repetition(database: Database) -> None:
    async with running(database) as service:
        bugs = [make_bug(n, make_request(n), make_request(n, "release")) for n in range(100, 125)]
        await service.feed(*bugs)
        seen: list[str] = []
        after: str | None = None
        while True:
            params: dict[str, Any] = {"limit": 7, **({"after": after} if after else {})}
            answer = await service.client.get("/api/requests", params=params)
            page = msgspec.json.decode(answer.content, type=RequestsAnswer)
            seen += [row.uid for row in page.requests]
            after = page.next
            if after is None:
                break
        expected = [f"{n}-{train}-1" for train in ("beta", "release") for n in range(124, 99, -1)]
        assert seen == expected


async def test_lists_are_filtered_by_what_the_query_says(database: Database) -> None:
    async with running(database) as service:
        await service.feed(
            make_bug(1, make_request(1, outcome=Outcome.CLEAN)),
            make_bug(2, make_request(2, outcome=Outcome.CONFLICT), make_request(2, "release")),
            make_bug(3, make_request(3, state="approved", decided_by="manager@example.com")),
        )

        async def uids(query: str) -> set[str]:
            answer = await service.client.get(f"/api/requests?{query}")
            return {row["uid"] for row in answer.json()["requests"]}

        assert await uids("train=release") == {"2-release-1"}
        assert await uids("outcome=clean") == {"1-beta-1"}
        assert await uids("untried=true") == {"2-release-1", "3-beta-1"}
        assert await uids("state=approved") == {"3-beta-1"}
        assert await uids("bug=2&train=beta") == {"2-beta-1"}
        assert await uids("state=closed") == set()


async def test_unavailable_is_never_zero(database: Database) -> None:
    async with running(database) as service:
        trains = make_trains(
            make_train("beta"),
            make_train("release", requests_read_at=None),
            make_train("esr140", requests_unavailable_since=NOON, requests_unavailable_reason="429"),
        )
        await service.feed(make_bug(1, make_request(1)), trains=trains)
        found = {each["name"]: each for each in (await service.client.get("/api/trains")).json()["trains"]}
        assert (found["beta"]["open"], found["release"]["open"], found["esr140"]["open"]) == (1, None, None)
        assert found["release"]["counts"] is None


async def test_security_headers_are_on_every_answer(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1)))
        for path in ("/", "/api/trains", "/nothing", "/assets/none.js", "/schema", "/api/known"):
            headers = (await service.client.get(path)).headers
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["strict-transport-security"]
        assert "server" not in headers


async def test_only_origins_of_the_settings_may_read_across(database: Database) -> None:
    async with running(database, allowed_origins=("https://front.example.com",)) as service:
        for origin, allowed in (("https://front.example.com", True), ("https://evil.example.net", False)):
            answer = await service.client.get("/api/trains", headers={"Origin": origin})
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


async def test_a_request_that_takes_too_long_is_ended_in_words(database: Database) -> None:
    assert guards.LONGEST_SECONDS < 30
    async with running(database, longest_seconds=0.5) as service:
        await service.feed(make_bug(1, make_request(1)))
        with database.connect() as connection, connection.transaction():
            connection.execute("lock table requests in access exclusive mode")
            answer = await service.client.get("/api/requests")
        await problem(answer, 503)
        assert (await service.client.get("/api/requests")).status_code == 200


async def test_the_heartbeat_says_what_is_wrong(database: Database) -> None:
    async with running(database) as service:

        async def checks() -> tuple[int, dict[str, str]]:
            answer = await service.client.get("/__heartbeat__")
            return answer.status_code, answer.json()["checks"]

        assert await checks() == (503, {"database": "ok", "schema": "ok", "rounds": "no round yet"})
        await service.put("/api/rounds/r1", make_round("r1", finished=None))
        assert (await checks())[0] == 503
        await service.put("/api/rounds/r1", make_round("r1", finished=NOON - timedelta(days=9)))
        status, found = await checks()
        assert (status, "minutes ago" in found["rounds"]) == (503, True)
        for number, kind in enumerate(("full", "look")):
            blind = make_round(f"blind{number}", kind=kind, counts={"trains_read": 0})
            await service.put(f"/api/rounds/blind{number}", blind)
            assert (await checks())[0] == 503, "a round that could read nothing keeps nothing current"
        seeing = make_round("seeing", kind="look", counts={"trains_read": 1})
        await service.put("/api/rounds/seeing", seeing)
        assert (await checks())[0] == 200
        await service.put("/api/rounds/r2", make_round("r2"))
        assert (await checks())[0] == 200
        with database.connect() as connection:
            connection.execute("update alembic_version set version_num = '0001_uplift'")
        status, found = await checks()
        assert (status, "shipit db upgrade" in found["schema"]) == (503, True)
        with database.connect() as connection:
            connection.execute("drop table alembic_version")
        assert (await checks())[0] == 503
        assert (await service.client.get("/__lbheartbeat__")).status_code == 200
        assert (await service.client.get("/__version__")).json()["version"]


async def test_metrics_name_routes_and_never_what_was_asked_for(database: Database) -> None:
    async with running(database) as service:
        await service.client.get("/api/bugs/4242")
        await service.client.request("TRACE", "/api/bugs/4242")
        await service.client.get("/made/up/4242")
        text = (await service.client.get("/metrics")).text
        assert 'route="/api/bugs/{bug}",status="404"' in text
        assert "4242" not in text
        assert 'method="other"' in text


async def test_a_wish_is_one_however_many_ask_and_is_fulfilled_once(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1)))
        path = "/api/requests/1-beta-1/wishes"
        first = (await service.by("user").post(path, json={"kind": "trial"})).json()
        again = (await service.by("admin").post(path, json={"kind": "trial"})).json()
        assert first == again
        open_ones = (await service.by("bot").get("/api/wishes")).json()
        assert [each["uid"] for each in open_ones] == [first["uid"]]
        known = msgspec.json.decode((await service.by("bot").get("/api/known")).content, type=Known)
        assert [each.uid for each in known.wishes] == [first["uid"]]
        done = f"/api/wishes/{first['uid']}"
        for _ in range(2):
            assert (
                await service.by("bot").put(done, json={"result": {"outcome": "clean"}})
            ).status_code == 204
        assert (await service.by("bot").put("/api/wishes/none", json={"result": {}})).status_code == 404
        assert (await service.by("bot").get("/api/wishes")).json() == []
        assert (await service.by("user").post(path, json={"kind": "trial"})).json()["uid"] != first["uid"]


async def test_a_write_upon_an_old_reading_is_refused(database: Database) -> None:
    """U6: the original had no lock, and the last writer won."""
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1)))
        seen = {"If-Match": (await service.by("user").get("/api/bugs/1")).headers["etag"]}
        path = "/api/requests/1-beta-1/wishes"
        assert (await service.by("user").post(path, json={}, headers=seen)).status_code == 200
        later = NOON + timedelta(hours=1)
        await service.feed(make_bug(1, make_request(1), digest="d2", read_at=later))
        await problem(await service.by("user").post(path, json={}, headers=seen), 412)
        nonsense = {"If-Match": '"whatever"'}
        await problem(await service.by("user").post(path, json={}, headers=nonsense), 400)


async def test_a_lease_is_one_holders_until_it_is_given_back_or_expires(database: Database) -> None:
    async with running(database) as service:
        bot = service.by("bot")

        async def take(holder: str) -> dict[str, Any]:
            answer = await bot.put("/api/leases/round", json={"holder": holder, "seconds": 60})
            assert answer.status_code == 200
            return dict(answer.json())

        first = await take("a")
        assert (first["is_ours"], first["fence"]) == (True, 1)
        assert (await take("b"))["is_ours"] is False
        assert (await take("a"))["fence"] == 1
        assert (await bot.delete("/api/leases/round?holder=b")).status_code == 204
        assert (await take("b"))["is_ours"] is False
        await service.put("/api/rounds/r1", make_round("r1", holder="a", lease="round"))
        second = await take("b")
        assert (second["is_ours"], second["fence"]) == (True, 2)
        with database.connect() as connection:
            connection.execute("update leases set expires = now() - interval '1 second'")
        assert (await take("c"))["fence"] == 3
        await problem(await bot.put("/api/leases/x", json={"holder": "a", "seconds": 99999}), 422)


async def test_a_mail_is_claimed_once(database: Database) -> None:
    async with running(database) as service:
        mail = {"subject": "s", "recipients": ["a@example.com"]}
        path = "/api/mails/fails%2F1-beta-1%2Fconflict"
        answers = [(await service.by("bot").put(path, json=mail)).json()["claimed"] for _ in range(3)]
        assert answers == [True, False, False]


async def test_people_are_for_users_and_private_notes_for_admins(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1)))
        person = msgspec.json.decode(
            (await service.by("user").get("/api/people")).content, type=list[PersonAnswer]
        )[0]
        note = {"comment_public": "kind", "comment_private": "PRIVATE"}
        path = f"/compat/uplift/contributor/{person.id}"
        assert (await service.by("admin").put(path, json=note)).status_code == 200
        assert "PRIVATE" not in (await service.by("user").get("/api/people")).text
        assert "PRIVATE" in (await service.by("admin").get("/api/people")).text
        assert "kind" in (await service.by("user").get("/api/people")).text


async def test_many_who_ask_at_once_wait_for_one_maker() -> None:
    made = 0
    bodies = Bodies(most=100)

    async def make() -> bytes:
        nonlocal made
        made += 1
        return b"x" * 60

    for version in (1, 2):
        for key in ("a", "b"):
            body = await bodies.get(key, version, make)
            assert body.content == b"x" * 60
    assert made == 4
    await bodies.get("b", 2, make)
    assert made == 4
    await bodies.get("a", 2, make)
    assert made == 5, "the longest unused went when there was no room"


async def test_the_same_report_again_changes_nothing(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1)))
        before = (await service.client.get("/api/bugs/1")).content
        answer = await service.feed(make_bug(1, make_request(1)))
        assert answer.json()["bugs"][0]["result"] == "unchanged"
        assert (await service.client.get("/api/bugs/1")).content == before
