# SPDX-License-Identifier: MPL-2.0
"""Hawk: what is signed is what counts; each defect of the original's login is a test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import mohawk.util
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures_postgres import Database
from fixtures_web import CAST, PUBLIC_URL, Auth, Signature, make_trains, running
from shipit.errors import Unavailable
from shipit.web.hawk import Verdict, payload_hash

JSON = {"Content-Type": "application/json"}
TRAINS = msgspec.json.encode(make_trains())


@given(
    st.binary(max_size=60),
    st.sampled_from(["application/json", "Application/JSON; charset=utf-8", "", "text/plain"]),
)
def test_the_payload_hash_is_mohawks(body: bytes, kind: str) -> None:
    assert payload_hash(body, kind) == mohawk.util.calculate_payload_hash(body, "sha256", kind).decode()


async def test_path_and_query_are_signed_as_they_are_sent(database: Database) -> None:
    """A1: the original signed the path alone, so that every call with a query failed."""
    async with running(database) as service:
        answer = await service.by("bot").get("/api/rounds?limit=%35")
        assert answer.status_code == 200
        assert service.auth.asked[-1]["resource"] == "/api/rounds?limit=%35"
        signed = Signature("bot").auth_flow(httpx.Request("GET", f"{service.url}/api/rounds?limit=5"))
        header = next(signed).headers["Authorization"]
        other = await service.client.get("/api/rounds?limit=6", headers={"Authorization": header})
        assert other.status_code == 401


async def test_a_body_that_is_not_the_signed_one_is_refused(database: Database) -> None:
    """A2: the original never compared the payload hash with the body."""
    async with running(database) as service:
        request = httpx.Request("PUT", f"{service.url}/api/trains", content=TRAINS, headers=JSON)
        header = next(Signature("bot").auth_flow(request)).headers["Authorization"]
        tampered = TRAINS.replace(b"beta", b"evil")
        answer = await service.client.put(
            "/api/trains", content=tampered, headers={**JSON, "Authorization": header}
        )
        assert (answer.status_code, answer.json()["status"]) == (401, 401)
        good = await service.client.put(
            "/api/trains", content=TRAINS, headers={**JSON, "Authorization": header}
        )
        assert good.status_code == 204


async def test_a_write_whose_body_is_not_signed_is_refused(database: Database) -> None:
    async with running(database) as service:
        lax = service.by("bot", signs_body=False)
        assert (await lax.get("/api/known")).status_code == 200
        answer = await lax.put("/api/trains", content=TRAINS, headers=JSON)
        assert answer.status_code == 401
        assert "body" in answer.json()["detail"]


async def test_host_and_port_are_the_public_ones_whatever_the_headers_say(database: Database) -> None:
    """A3: the original took them from Host and X-Forwarded-Port."""
    async with running(database) as service:
        evil = {"Host": "evil.example.net", "X-Forwarded-Port": "1", "X-Forwarded-Host": "evil.example.net"}
        assert (await service.by("bot").get("/api/known", headers=evil)).status_code == 200
        asked = service.auth.asked[-1]
        assert (asked["host"], asked["port"]) == ("shipit.example.com", 443)
        elsewhere = service.by("bot", public_url="https://evil.example.net")
        assert (await elsewhere.get("/api/known", headers=evil)).status_code == 401


async def test_a_public_url_with_a_path_is_part_of_what_is_signed(database: Database) -> None:
    async with running(database, url=f"{PUBLIC_URL}/ship") as service:
        inside = service.by("bot", public_url=f"{PUBLIC_URL}/ship")
        assert (await inside.get("/api/known")).status_code == 200
        assert (await service.by("bot").get("/api/known")).status_code == 401


@pytest.mark.parametrize("header", ["", "Hawk", "Bearer x", "Basic dTpw", "hawk", "Hawk\tid"])
async def test_a_header_that_is_not_hawks_is_refused_without_asking(database: Database, header: str) -> None:
    """A4: no bearer tokens; A6: an empty header was an IndexError."""
    async with running(database) as service:
        answer = await service.client.get("/api/trains", headers={"Authorization": header})
        assert answer.status_code == 401
        assert service.auth.asked == []


async def test_a_token_in_the_query_is_no_login(database: Database) -> None:
    """A4: the original took a token out of query and form."""
    async with running(database, public_read=False) as service:
        assert (await service.client.get("/api/trains?access_token=x")).status_code == 401


async def test_a_bad_signature_is_not_an_anonymous_visitor(database: Database) -> None:
    async with running(database) as service:
        assert (await service.client.get("/api/trains")).status_code == 200
        assert (await service.by("nobody we know").get("/api/trains")).status_code == 401


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(status="no-auth", scopes=("project:shipit:bot",), client_id="x"),
        Verdict(status="auth-failed", scopes=("project:shipit:bot",), client_id="x"),
        Verdict(status="AUTH-SUCCESS", scopes=("project:shipit:bot",), client_id="x"),
        Verdict(status="auth-success", scopes=("project:shipit:bot",)),
        Verdict(
            status="auth-success",
            scopes=("project:shipit:bot",),
            client_id="x",
            expires=datetime.now(UTC) - timedelta(seconds=1),
        ),
    ],
    ids=["no-auth", "auth-failed", "misspelt", "nameless", "expired"],
)
async def test_only_an_unexpired_success_with_a_name_counts(database: Database, verdict: Verdict) -> None:
    async with running(database) as service:
        service.auth.verdict = verdict
        assert (await service.by("bot").get("/api/known")).status_code == 401


async def test_a_signature_is_asked_about_each_time(database: Database) -> None:
    async with running(database) as service:
        for _ in range(3):
            await service.by("bot").get("/api/known")
        assert len(service.auth.asked) == 3
        service.auth.people = {**CAST, "bot": ()}
        assert (await service.by("bot").get("/api/known")).status_code == 403


async def test_when_the_auth_service_is_away_the_answer_is_503_and_never_yes(database: Database) -> None:
    async with running(database) as service:
        service.auth.failure = Unavailable("Taskcluster", "no answer")
        answer = await service.by("bot").get("/api/known")
        assert (answer.status_code, answer.json()["detail"]) == (503, "Taskcluster: no answer")
        assert (await service.client.get("/api/trains")).status_code == 200


async def test_what_is_per_person_is_not_kept_by_proxies(database: Database) -> None:
    """A5: the original let proxies share an answer that differs per user."""
    async with running(database) as service:
        for path in ("/api/trains", "/api/requests", "/", "/compat/uplift/analysis"):
            answer = await service.client.get(path)
            assert answer.headers["cache-control"] == "private, no-cache"
            assert "Authorization" in answer.headers["vary"]


async def test_who_signs_is_for_logs_and_only_scopes_decide(database: Database) -> None:
    """A8: a client id may be called anything."""
    async with running(database) as service:
        service.auth.people = {"project:shipit:bot": ("assume:anonymous",)}
        assert (await service.by("project:shipit:bot").get("/api/known")).status_code == 403


def test_the_stand_in_checks_signatures() -> None:
    assert Auth().people is CAST
