# SPDX-License-Identifier: MPL-2.0
"""A running web service on a real socket and a real database, a cast of callers, and reports to feed it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import mohawk
import msgspec

from fixtures_postgres import Database
from shipit.errors import NotAuthenticated
from shipit.merge.types import Conflict, ConflictKind, Outcome, PatchResult, SeriesResult
from shipit.settings import Backend, Settings, Steps
from shipit.storage.pool import Limits, open_pool
from shipit.trains.types import Moment, Stage, Train
from shipit.uplift.report import (
    BugReport,
    BugsReport,
    Contributor,
    RequestReport,
    RoundReport,
    TrainReport,
    TrainsReport,
    Trial,
)
from shipit.uplift.types import PatchRef, PatchSource, Request, RequestState
from shipit.web.app import DATABASE_WAIT, create_app
from shipit.web.hawk import Verdict
from shipit.web.serving import serve
from shipit.web.sessions import Granted, LoginService, csrf_token, secret_hash

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PUBLIC_URL = "https://shipit.example.com"
KEY = "a-secret-of-tests"
# The fixed cast: who they are by their scopes.
CAST: dict[str, tuple[str, ...]] = {
    "stranger": ("assume:anonymous", "queue:get-artifact:public/*"),
    "user": ("project:shipit:user",),
    "bot": ("project:shipit:bot",),
    "admin": ("project:shipit:admin",),
    "reader": ("project:shipit:user", "project:shipit:restricted"),
    "replayer": ("project:shipit:user", "project:shipit:events/replay"),
}


class Auth:
    """Stands for Taskcluster's auth service: checks the MAC of what it is asked, as the real one does."""

    def __init__(self, people: dict[str, tuple[str, ...]] | None = None) -> None:
        self.people = people or CAST
        self.asked: list[dict[str, Any]] = []
        self.verdict: Verdict | None = None
        self.failure: Exception | None = None

    async def __call__(
        self, *, method: str, resource: str, host: str, port: int, authorization: str, source_ip: str | None
    ) -> Verdict:
        self.asked.append({"method": method, "resource": resource, "host": host, "port": port})
        if self.failure is not None:
            raise self.failure
        if self.verdict is not None:
            return self.verdict
        given = mohawk.util.parse_authorization_header(authorization)
        if given.get("id") not in self.people:
            return Verdict(
                status="auth-failed", message=f"Client with clientId '{given.get('id')}' not found"
            )
        url = f"https://{host}:{port}{resource}"
        known = mohawk.base.Resource(
            credentials={"id": given["id"], "key": KEY, "algorithm": "sha256"},
            url=url,
            method=method.upper(),
            timestamp=given["ts"],
            nonce=given["nonce"],
            ext=given.get("ext"),
            content="",
            content_type="",
        )
        mac = mohawk.util.calculate_mac("header", known, given.get("hash"))
        if not mohawk.util.strings_match(mac, given["mac"]):
            return Verdict(status="auth-failed", message="Unauthorized: Bad mac")
        return Verdict(
            status="auth-success",
            client_id=given["id"],
            scopes=self.people[given["id"]],
            expires=datetime.now(UTC) + timedelta(hours=1),
            hash=given.get("hash"),
        )


class FakeLogin:
    """Stands for Taskcluster's login: the code "code-<who>" is worth a client of one of the people.

    gone: clients that are disabled. failure: what is raised instead of an answer.
    """

    def __init__(self, people: dict[str, tuple[str, ...]]) -> None:
        self.people = people
        self.gone: set[str] = set()
        self.failure: Exception | None = None
        self.asked: list[str] = []
        self.challenges: set[str] = set()
        self.expires = datetime.now(UTC) + timedelta(hours=6)

    def authorize_url(self, *, redirect_uri: str, state: str, challenge: str) -> str:
        self.challenges.add(challenge)
        return f"https://tc.example.com/login/oauth/authorize?redirect_uri={redirect_uri}&state={state}"

    async def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Granted:
        if self.failure is not None:
            raise self.failure
        who = code.removeprefix("code-")
        digest = hashlib.sha256(verifier.encode()).digest()
        is_ours = base64.urlsafe_b64encode(digest).decode().rstrip("=") in self.challenges
        if who not in self.people or not is_ours or redirect_uri != f"{PUBLIC_URL}/login/callback":
            raise NotAuthenticated("Taskcluster's login answered 403")
        return Granted(client_of(who), self.people[who], self.expires)

    async def granted(self, client_id: str) -> Granted | None:
        self.asked.append(client_id)
        if self.failure is not None:
            raise self.failure
        who = client_id.split("/")[1]
        if client_id in self.gone or who not in self.people:
            return None
        return Granted(client_id, self.people[who], self.expires)


def client_of(who: str) -> str:
    """The Taskcluster client that a login of this person makes; "test/<who>" is the person."""
    return f"test/{who}/shipit-abc123"


def log_in(
    database: Database, who: str, *, people: dict[str, tuple[str, ...]] | None = None, **more: Any
) -> str:
    """A session for one of the cast, as a login makes it; the secret that its cookie holds.

    more: columns of the session to be other than a new session's.
    """
    secret = f"session-of-{who}-{secrets.token_urlsafe(24)}"
    now = datetime.now(UTC)
    row = {
        "secret_hash": secret_hash(secret),
        "client_id": client_of(who),
        "person": f"test/{who}",
        "scopes": list((people or CAST)[who]),
        "started_at": now,
        "seen_at": now,
        "checked_at": now,
        "expires_at": now + timedelta(hours=6),
        **more,
    }
    names = ", ".join(row)
    places = ", ".join(f"%({name})s" for name in row)
    with database.connect() as connection:
        connection.execute(f"insert into sessions ({names}) values ({places})", row)
    return secret


def cookie_name(public_url: str = PUBLIC_URL) -> str:
    """The session cookie's name for a service at this address."""
    return "__Host-shipit" if public_url.startswith("https:") else "shipit"


class Signature(httpx.Auth):
    """Signs each request as the person of this name, for the public URL, whatever address it is sent to."""

    requires_request_body = True

    def __init__(self, who: str, *, signs_body: bool = True, public_url: str = PUBLIC_URL) -> None:
        self.who, self.signs_body, self.public_url = who, signs_body, public_url

    def auth_flow(self, request: httpx.Request) -> Any:
        body: dict[str, Any] = {
            "content": request.content,
            "content_type": request.headers.get("content-type", ""),
        }
        if not self.signs_body:
            body = {"always_hash_content": False}
        sender = mohawk.Sender(
            {"id": self.who, "key": KEY, "algorithm": "sha256"},
            self.public_url + request.url.raw_path.decode(),
            request.method,
            **body,
        )
        request.headers["Authorization"] = sender.request_header
        yield request


@dataclass
class Service:
    """A running service. client: speaks as nobody; `by(name)` signs as one of the cast."""

    url: str
    client: httpx.AsyncClient
    auth: Auth
    app: Any
    task: asyncio.Task[None]
    database: Database
    login: FakeLogin
    public_url: str = PUBLIC_URL
    clients: dict[object, httpx.AsyncClient] = field(default_factory=dict)

    def logged_in(self, who: str, *, has_csrf: bool = True, **session: Any) -> httpx.AsyncClient:
        """A browser's client of one of the cast, logged in: cookie, and the header that its writes bring.

        session: columns of the session to be other than a new session's.
        """
        secret = log_in(self.database, who, people=self.auth.people, **session)
        headers = {"Cookie": f"{cookie_name(self.public_url)}={secret}"}
        if has_csrf:
            headers["X-Csrf-Token"] = csrf_token(secret)
        client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, verify=False)
        self.clients[secret] = client
        return client

    def by(self, who: str | None, **how: Any) -> httpx.AsyncClient:
        """A client of somebody; None is nobody."""
        if who is None:
            return self.client
        key = (who, *how.items())
        if key not in self.clients:
            auth = Signature(who, **how)
            self.clients[key] = httpx.AsyncClient(base_url=self.url, auth=auth, timeout=30, verify=False)
        return self.clients[key]

    async def put(self, path: str, report: object, *, who: str = "bot") -> httpx.Response:
        """PUT a struct as the bot."""
        return await self.by(who).put(
            path, content=msgspec.json.encode(report), headers={"Content-Type": "application/json"}
        )

    async def feed(self, *bugs: BugReport, trains: TrainsReport | None = None) -> httpx.Response:
        """Report the trains and then these bugs."""
        answer = await self.put("/api/trains", trains or make_trains())
        assert answer.status_code == 204, answer.text
        return await self.put("/api/bugs", BugsReport(round="r1", bugs=bugs))


@contextlib.asynccontextmanager
async def running(database: Database, **more: Any) -> AsyncIterator[Service]:
    """A service on a free port; more: backend settings by name, is_demo, has_login, idle_seconds,
    longest_seconds, whose, settings: other sections by name."""
    is_demo, has_login = more.pop("is_demo", False), more.pop("has_login", True)
    timing = {name: more.pop(name) for name in ("idle_seconds", "longest_seconds", "whose") if name in more}
    steps = Steps(allow_loopback=more.pop("allow_loopback", False))
    sections = more.pop("settings", {})
    backend = {"url": PUBLIC_URL, "public_read": True, **more}
    settings = Settings(instance=database.instance, backend=Backend(**backend), steps=steps, **sections)
    auth = Auth()
    login = FakeLogin(auth.people)
    limits = Limits(connections=3, wait=DATABASE_WAIT)
    async with open_pool(database.url, instance=database.instance, limits=limits) as pool:
        app = create_app(
            settings,
            database=pool,
            database_url=database.url,
            authenticator=auth,
            login_service=login if has_login else None,
            is_demo=is_demo,
            **timing,
        )
        taken: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=taken.set_result))
        await asyncio.wait({taken, task}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        url = f"http://127.0.0.1:{taken.result()}"
        async with httpx.AsyncClient(base_url=url, timeout=30, verify=False) as client:
            service = Service(
                url, client, auth, app, task, database, login=login, public_url=str(backend["url"])
            )
            try:
                yield service
            finally:
                for each in service.clients.values():
                    await each.aclose()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def running_at(
    database: Database, made: Callable[[str], tuple[Settings, LoginService | None]]
) -> AsyncIterator[str]:
    """A service whose settings are made for its own address, as a browser needs; yields the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings, login = made(url)
    limits = Limits(connections=3, wait=DATABASE_WAIT)
    async with open_pool(database.url, instance=database.instance, limits=limits) as pool:
        app = create_app(
            settings, database=pool, database_url=database.url, authenticator=None, login_service=login
        )
        listening = asyncio.Event()
        task = asyncio.create_task(serve(app, "127.0.0.1", port, ready=lambda _: listening.set()))
        try:
            async with asyncio.timeout(20):
                await listening.wait()
            yield url
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


# --- reports ------------------------------------------------------------------------------------------


def make_train(name: str = "beta", **more: Any) -> TrainReport:
    """A train as the bot reports it."""
    report = {
        key: more.pop(key)
        for key in (
            "tip",
            "tip_at",
            "tip_reason",
            "requests_read_at",
            "requests_unavailable_since",
            "requests_unavailable_reason",
        )
        if key in more
    }
    facts: dict[str, Any] = {
        "name": name,
        "channel": "esr" if name.startswith("esr") else name,
        "repository": "app",
        "branch": f"branch-{name}",
        "version": "147.0b3",
        "major": 147,
        "approval_flag": f"approval-mozilla-{name}",
        "status_flag": "cf_status_firefox147",
        "tracking_flag": "cf_tracking_firefox147",
        "stage": Stage.EARLY_BETA,
        "next_build": Moment("beta_4", NOON + timedelta(days=1)),
        "deadlines": (Moment("merge_day", NOON + timedelta(days=20)),),
        "owner": "manager@example.com",
        "source": "tests",
        "read_at": NOON,
        **more,
    }
    return TrainReport(
        train=Train(**facts), **{"tip": "a" * 40, "tip_at": NOON, "requests_read_at": NOON, **report}
    )


def make_trains(*reports: TrainReport) -> TrainsReport:
    """Beta and release, or what is given."""
    return TrainsReport(trains=reports or (make_train("beta"), make_train("release")))


def make_result(outcome: Outcome = Outcome.CLEAN, *, reason: str | None = None) -> SeriesResult:
    """The result of a series of one patch."""
    conflicts = (Conflict("src/a.c", ConflictKind.CONTENT),) if outcome is Outcome.CONFLICT else ()
    tree = "7" * 40 if outcome is Outcome.CLEAN else None
    patch = PatchResult("D1", outcome, tree, conflicts, reason)
    return SeriesResult(outcome, tree, (patch,))


def make_trial(uid: str, train: str, outcome: Outcome = Outcome.CLEAN, **more: Any) -> Trial:
    """A trial on the tip that make_train reports."""
    return Trial(
        **{
            "request": uid,
            "train": train,
            "tip": "a" * 40,
            "series_digest": "s1",
            "key": "k1",
            "result": make_result(outcome, reason=more.pop("reason", None)),
            "tried_at": NOON,
            "took_ms": 12.4,
            "engine": "git",
            **more,
        }
    )


def make_request(
    bug: int, train: str = "beta", *, outcome: Outcome | None = None, **more: Any
) -> RequestReport:
    """A request with one patch, and a trial when an outcome is given."""
    uid = more.pop("uid", f"{bug}-{train}-1")
    digest = more.pop("series_digest", "s1")
    reason = more.pop("reason", None)
    major = more.pop("target_major", 147)
    retargets = more.pop("retargets", ())
    request = Request(
        **{
            "uid": uid,
            "bug": bug,
            "train": train,
            "state": RequestState.REQUESTED,
            "attachments": (bug * 10,),
            "series": (PatchRef(source=PatchSource.REVISION, name="D1", version="11"),),
            "requested_by": "author@example.com",
            "requested_at": NOON - timedelta(hours=3),
            **more,
        }
    )
    trial = None
    if outcome is not None:
        trial = make_trial(uid, train, outcome, series_digest=digest, reason=reason)
    return RequestReport(
        request=request, target_major=major, series_digest=digest, retargets=retargets, trial=trial
    )


def make_bug(number: int, *requests: RequestReport, **more: Any) -> BugReport:
    """A bug as the bot reports it."""
    facts: dict[str, Any] = {
        "bug": number,
        "summary": f"Summary of {number}",
        "product": "Core",
        "component": "DOM",
        "status": "RESOLVED",
        "resolution": "FIXED",
        "severity": "S2",
        "priority": "P1",
        "keywords": ("regression",),
        "is_restricted": False,
        "fields": {"cf_status_firefox147": "affected", "cf_tracking_firefox147": "+"},
        "url": f"https://bugzilla.example.com/show_bug.cgi?id={number}",
        "changed": NOON,
        "read_at": NOON,
        "source": "bugzilla",
        "digest": "d1",
        "contributors": (Contributor(email="author@example.com", name="An Author", roles=("author",)),),
        "requests": requests,
        **more,
    }
    return BugReport(**facts)


def make_secret(number: int, *requests: RequestReport, **more: Any) -> BugReport:
    """A security bug; every text of it holds the word SECRET."""
    return make_bug(
        number,
        *requests,
        **{
            "summary": "SECRET overflow",
            "component": "SECRET part",
            "groups": ("core-security",),
            "is_restricted": True,
            "contributors": (Contributor(email="SECRET@example.com", name="SECRET", roles=("author",)),),
            **more,
        },
    )


def make_round(uid: str = "r1", **more: Any) -> RoundReport:
    """A finished round."""
    now = datetime.now(UTC)
    facts: dict[str, Any] = {
        "uid": uid,
        "kind": "full",
        "holder": "bot-1",
        "started": now - timedelta(minutes=1),
        "finished": now,
        **more,
    }
    return RoundReport(**facts)
