# SPDX-License-Identifier: MPL-2.0
"""Logging in and out, and what a session lets a browser do: nothing that another site could make it do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures_postgres import Database
from fixtures_web import PUBLIC_URL, Service, client_of, make_bug, make_request, running
from shipit.errors import Unavailable
from shipit.settings import Login
from shipit.storage.sessions import Session
from shipit.web import returning
from shipit.web.returning import Begun, own_path
from shipit.web.sessions import Standing, csrf_token, standing

SESSION, LOGIN = "__Host-shipit", "__Host-shipit-login"
HTML = {"Accept": "text/html,application/xhtml+xml", "Host": "shipit.example.com"}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def cookies_of(answer: httpx.Response) -> SimpleCookie:
    found: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        found.load(header)
    return found


async def begun(
    service: Service, path: str = "/login?next=/requests/101-beta-1", cookie: str = ""
) -> tuple[str, str]:
    """(state, cookie value) of a login that was begun."""
    answer = await service.client.get(path, headers={**HTML, "Cookie": cookie})
    assert answer.status_code == 303, answer.text
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return query["state"][0], cookies_of(answer)[LOGIN].value


async def come_back(service: Service, query: str, cookie: str) -> httpx.Response:
    return await service.client.get(
        f"/login/callback?{query}", headers={**HTML, "Cookie": f"{LOGIN}={cookie}"}
    )


async def test_a_person_logs_in_sees_who_they_are_and_logs_out(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        state, cookie = await begun(service)
        answer = await come_back(service, f"code=code-reader&state={state}", cookie)
        assert (answer.status_code, answer.headers["location"]) == (303, "/requests/101-beta-1")
        session = cookies_of(answer)[SESSION]
        assert all((session["httponly"], session["secure"], session["path"] == "/", not session["domain"]))
        assert session["samesite"].lower() == "lax"
        assert 0 < int(session["max-age"]) <= 6 * 3600
        browser = {"Cookie": f"{SESSION}={session.value}"}
        me = (await service.client.get("/api/me", headers=browser)).json()
        assert (me["client_id"], me["name"], me["audience"]) == ("test/reader", "reader", "trusted")
        assert (me["rights"], me["login_url"]) == (["read", "user"], None)
        gone = await service.client.post("/logout", headers={**browser, "X-Csrf-Token": me["csrf"]})
        assert gone.status_code == 204
        assert (cookies_of(gone)[SESSION].value, cookies_of(gone)[SESSION]["max-age"]) == ("", "0")
        me = (await service.client.get("/api/me", headers=browser)).json()
        assert (me["client_id"], me["csrf"], me["login_url"]) == (None, None, "/login")


async def test_the_database_holds_nothing_that_lets_anybody_log_in(database: Database) -> None:
    async with running(database) as service:
        state, cookie = await begun(service)
        answer = await come_back(service, f"code=code-user&state={state}", cookie)
        secret = cookies_of(answer)[SESSION].value
        with database.connect() as connection:
            stored = str(connection.execute("select row_to_json(s) from sessions s").fetchall())
        assert "test/user" in stored
        assert secret not in stored and csrf_token(secret) not in stored


@pytest.mark.parametrize(
    ("query", "cookie"),
    [
        ("code=code-user&state={other}", "{cookie}"),
        ("code=code-user&state={state}", ""),
        ("code=code-user", "{cookie}"),
        ("code=code-user&state={state}", "{state}.Lw"),
        ("code=stolen&state={state}", "{cookie}"),
        ("error=access_denied&state={state}", "{cookie}"),
        ("state={state}", "{cookie}"),
    ],
    ids=["of another", "no cookie", "no state", "made of the state", "bad code", "refused", "no code"],
)
async def test_a_login_that_was_not_begun_here_or_came_to_nothing_makes_no_session(
    database: Database, query: str, cookie: str
) -> None:
    async with running(database) as service:
        state, value = await begun(service)
        other, _ = await begun(service)
        given = {"state": state, "cookie": value, "other": other}
        answer = await come_back(service, query.format(**given), cookie.format(**given))
        assert answer.status_code == 401
        assert SESSION not in cookies_of(answer)
        assert "code-user" not in answer.text and "/login?next=" in answer.text


async def test_each_of_several_tabs_that_log_in_at_once_gets_where_it_wanted(database: Database) -> None:
    async with running(database) as service:
        first, cookie = await begun(service, "/login?next=/a")
        second, cookie = await begun(service, "/login?next=/b", f"{LOGIN}={cookie}")
        answer = await come_back(service, f"code=code-user&state={first}", cookie)
        assert answer.headers["location"] == "/a"
        left = cookies_of(answer)[LOGIN].value
        # a login is finished once
        again = await come_back(service, f"code=code-user&state={first}", left)
        assert again.status_code == 401
        answer = await come_back(service, f"code=code-user&state={second}", left)
        assert answer.headers["location"] == "/b"


async def test_logging_in_again_ends_the_session_before(database: Database) -> None:
    async with running(database) as service:
        old = service.logged_in("user")
        state, cookie = await begun(service)
        both = f"{old.headers['Cookie']}; {LOGIN}={cookie}"
        await service.client.get(
            f"/login/callback?code=code-user&state={state}", headers={**HTML, "Cookie": both}
        )
        assert (await old.get("/api/me")).json()["client_id"] is None


async def test_a_browser_at_another_address_is_sent_to_ours_first_and_never_in_circles(
    database: Database,
) -> None:
    async with running(database) as service:
        answer = await service.client.get("/login?next=/a%3Fb=c", headers={"Host": "localhost:8000"})
        assert answer.headers["location"] == f"{PUBLIC_URL}/login?at=public&next=%2Fa%3Fb%3Dc"
        answer = await service.client.get("/login?at=public&next=/a", headers={"Host": "inner"})
        assert answer.headers["location"].startswith("https://tc.example.com/")


async def test_no_login_is_offered_where_none_is_configured(database: Database) -> None:
    async with running(database, has_login=False) as service:
        assert (await service.client.get("/login", headers=HTML)).status_code == 503
        assert (await service.client.get("/api/me")).json()["login_url"] is None
        assert (await service.client.post("/logout")).status_code == 204
        forged = service.logged_in("admin")
        assert (await forged.get("/api/me")).json()["client_id"] is None


async def test_a_private_instance_sends_browsers_to_the_login_and_programs_a_problem(
    database: Database,
) -> None:
    async with running(database, public_read=False) as service:
        page = await service.client.get("/steps/signoff?a=b", headers=HTML)
        assert (page.status_code, page.headers["location"]) == (303, "/login?next=%2Fsteps%2Fsignoff%3Fa%3Db")
        for path, headers in (("/api/trains", HTML), ("/steps/signoff", {"Accept": "*/*"})):
            answer = await service.client.get(path, headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        # Somebody without the scope is told so; sending them to log in again would lead in circles.
        for who, status in (("stranger", 403), ("user", 200)):
            answer = await service.logged_in(who).get("/steps/signoff", headers={"Accept": "text/html"})
            assert answer.status_code == status


# --- writes ------------------------------------------------------------------------------------------------


async def test_a_write_needs_what_only_a_page_of_ours_knows(database: Database) -> None:
    async with running(database, allowed_origins=("https://board.example.com",)) as service:
        await service.feed(make_bug(101, make_request(101)))
        path, body = "/api/requests/101-beta-1/wishes", {"kind": "trial"}
        good, bare = service.logged_in("user"), service.logged_in("user", has_csrf=False)
        other = service.logged_in("user")
        assert (await good.post(path, json=body)).status_code == 200
        assert (await bare.get("/api/requests/101-beta-1")).status_code == 200
        for client, headers, status in (
            (bare, {}, 403),
            (bare, {"X-Csrf-Token": ""}, 403),
            (bare, {"X-Csrf-Token": other.headers["X-Csrf-Token"]}, 403),
            (bare, {"X-Csrf-Token": "\N{LATIN SMALL LETTER E WITH ACUTE}".encode()}, 403),
            (good, {"Origin": "https://evil.example.com"}, 403),
            (good, {"Origin": "null"}, 403),
            (good, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
            (good, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 200),
            (good, {"Origin": PUBLIC_URL}, 200),
            (good, {"Origin": "https://board.example.com"}, 200),
        ):
            answer = await client.post(path, json=body, headers=headers)
            assert answer.status_code == status, (headers, answer.text)


async def test_another_site_can_not_even_log_somebody_out(database: Database) -> None:
    async with running(database) as service:
        bare = service.logged_in("user", has_csrf=False)
        assert (await bare.post("/logout")).status_code == 403
        assert (await bare.get("/api/me")).json()["client_id"] == "test/user"


async def test_hawk_goes_on_as_before_beside_a_cookie(database: Database) -> None:
    async with running(database) as service:
        cookie = service.logged_in("user").headers["Cookie"]
        me = (await service.by("admin").get("/api/me", headers={"Cookie": cookie})).json()
        assert (me["client_id"], me["csrf"], me["rights"]) == (
            "admin",
            None,
            ["read", "user", "admin", "replay"],
        )


# --- how long a session holds -----------------------------------------------------------------------------


def session(**more: datetime) -> Session:
    facts = {"started_at": NOW, "seen_at": NOW, "checked_at": NOW, "expires_at": NOW + timedelta(hours=6)}
    return Session(client_id="a/b/c", person="a/b", scopes=(), **{**facts, **more})


@pytest.mark.parametrize(
    ("minutes", "stands"),
    [
        ({}, Standing.FRESH),
        ({"checked_at": -4}, Standing.FRESH),
        ({"checked_at": -5}, Standing.DUE),
        ({"checked_at": -20}, Standing.OVERDUE),
        ({"seen_at": -119, "checked_at": -119}, Standing.OVERDUE),
        ({"seen_at": -120}, Standing.ENDED),
        ({"expires_at": 0}, Standing.ENDED),
        ({"expires_at": 1}, Standing.FRESH),
    ],
)
def test_where_a_session_stands(minutes: dict[str, float], stands: Standing) -> None:
    moved = {name: NOW + timedelta(minutes=number) for name, number in minutes.items()}
    assert standing(session(**moved), Login(), now=NOW) is stands


def ago(**how: float) -> datetime:
    return datetime.now(UTC) - timedelta(**how)


async def test_whoever_loses_a_scope_loses_the_right(database: Database) -> None:
    async with running(database) as service:
        service.auth.people = service.login.people = {
            **service.login.people,
            "reader": ("project:shipit:user",),
        }
        client = service.logged_in("reader", checked_at=ago(minutes=6), scopes=["project:shipit:restricted"])
        me = (await client.get("/api/me")).json()
        assert (me["audience"], service.login.asked) == ("member", [client_of("reader")])
        await client.get("/api/me")
        assert len(service.login.asked) == 1


async def test_a_disabled_client_ends_the_session(database: Database) -> None:
    async with running(database) as service:
        client = service.logged_in("admin", checked_at=ago(minutes=6))
        service.login.gone.add(client_of("admin"))
        assert (await client.get("/api/people")).status_code == 401
        service.login.gone.clear()
        assert (await client.get("/api/people")).status_code == 401


async def test_what_taskcluster_said_holds_a_while_when_it_cannot_be_asked_and_no_longer(
    database: Database,
) -> None:
    async with running(database) as service:
        service.login.failure = Unavailable("Taskcluster", "answered 503")
        recent = service.logged_in("user", checked_at=ago(minutes=6))
        assert (await recent.get("/api/people")).status_code == 200
        old = service.logged_in("user", checked_at=ago(minutes=21))
        answer = await old.get("/api/people")
        assert (answer.status_code, "Taskcluster" in answer.json()["detail"]) == (503, True)
        service.login.failure = None
        assert (await old.get("/api/people")).status_code == 200


@pytest.mark.parametrize("past", [{"seen_at": 121}, {"expires_at": 1}], ids=["idle", "expired"])
async def test_a_session_ends_by_idleness_and_with_its_credentials(
    database: Database, past: dict[str, float]
) -> None:
    async with running(database) as service:
        ((name, minutes),) = past.items()
        client = service.logged_in("user", **{name: ago(minutes=minutes)})
        assert (await client.get("/api/people")).status_code == 401
        with database.connect() as connection:
            assert connection.execute("select count(*) from sessions").fetchone() == (0,)


async def test_a_session_ends_no_later_than_its_credentials(database: Database) -> None:
    async with running(database) as service:
        service.login.expires = datetime.now(UTC) + timedelta(minutes=30)
        state, cookie = await begun(service)
        answer = await come_back(service, f"code=code-user&state={state}", cookie)
        assert int(cookies_of(answer)[SESSION]["max-age"]) <= 1800
        with database.connect() as connection:
            row = connection.execute("select expires_at from sessions").fetchone()
        assert row == (service.login.expires,)


async def end_of(answer: httpx.Response) -> str:
    """Everything a stream says until the service ends it."""
    async with asyncio.timeout(20):
        return "".join([text async for text in answer.aiter_text()])


@pytest.mark.parametrize("how", ["logout", "lost right", "disabled"])
async def test_an_open_stream_ends_with_the_right_to_it(database: Database, how: str) -> None:
    async with running(database, idle_seconds=0.2) as service:
        client = service.logged_in("reader", checked_at=ago(minutes=4.99))
        async with client.stream("GET", "/api/live") as answer:
            assert answer.status_code == 200
            match how:
                case "logout":
                    await client.post("/logout")
                case "lost right":
                    service.login.people = {**service.login.people, "reader": ("project:shipit:user",)}
                case "disabled":
                    service.login.gone.add(client_of("reader"))
            assert "connected" in await end_of(answer)


async def test_a_stream_without_use_neither_keeps_a_session_alive_nor_ends_while_it_holds(
    database: Database,
) -> None:
    async with running(database, idle_seconds=0.1) as service:
        seen = ago(minutes=30)
        client = service.logged_in("reader", seen_at=seen)
        with pytest.raises(TimeoutError):
            async with client.stream("GET", "/api/live") as answer, asyncio.timeout(1.5):
                with database.connect() as connection:
                    connection.execute("update sessions set seen_at = %s", [seen])
                await end_of(answer)
        with database.connect() as connection:
            assert connection.execute("select seen_at from sessions").fetchone() == (seen,)


# --- where a browser comes back to -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/requests/101-beta-1?a=b#c", "/plans/beta", "/?q=%22a%20b%22&sort=age", "/loginfo"],
)
def test_own_paths_are_kept(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "https://evil.example.com/",
        "//evil.example.com/",
        "/\\evil.example.com",
        "/\t/evil.example.com",
        "/\n/evil.example.com",
        "javascript:alert(1)",
        "evil",
        "/login",
        "/login?next=/",
        "/login/callback?code=x",
        "/logout",
        "/a b",
        "/\u00e9",
        "/" + "a" * 1500,
        '/"><script>',
    ],
)
def test_what_could_lead_away_leads_home(path: str | None) -> None:
    assert own_path(path) == "/"


@given(st.text(max_size=40))
def test_no_text_leads_to_another_host(text: str) -> None:
    path = own_path("/" + text)
    assert re.fullmatch(r"/(?!/)[!-~]*", path) and "\\" not in path


@given(st.lists(st.integers(0, 10**6).map(lambda n: Begun(f"{n:032d}", f"/p/{n}")), max_size=6))
def test_logins_under_way_are_read_as_they_were_written(under_way: list[Begun]) -> None:
    assert returning.read(returning.written(under_way)) == under_way


def test_the_challenge_is_that_of_rfc_7636() -> None:
    begun = Begun("n" * 43, "/")
    digest = hashlib.sha256(begun.verifier.encode()).digest()
    assert begun.challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert len(begun.verifier) == 43 and len({begun.state, begun.verifier, begun.challenge, begun.nonce}) == 4


def test_the_cookie_of_logins_never_grows_beyond_what_browsers_keep() -> None:
    many = [Begun(f"{number:043d}", "/" + "x" * 1400) for number in range(9)]
    value = returning.written(many)
    assert len(value) <= 3000
    assert returning.read(value)[-1] == many[-1]


@given(st.text(max_size=60))
def test_no_cookie_is_too_strange_to_be_read(value: str) -> None:
    assert all(own_path(each.path) == each.path for each in returning.read(value))
