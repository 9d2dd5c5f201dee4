# SPDX-License-Identifier: MPL-2.0
"""The journal over HTTP: webhooks that come in, lists with words and links, replay and skip."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from event_builders import GROUP, commit, published, resolved
from fixtures_postgres import Database as Scratch
from fixtures_web import Service, running
from shipit.events.effects import ErrorClass
from shipit.events.heard import hear
from shipit.events.originals import all_routes, default_hooks
from shipit.events.samples import diff_delivery
from shipit.events.signatures import sign
from shipit.events.types import Delivery
from shipit.settings import Listener, Phabricator, Secret, Taskcluster
from shipit.storage import effects, journal, sources
from shipit.storage.pool import Connection, Database, open_pool

ROUTES = all_routes((), default_hooks("testing"))
LEASE = timedelta(seconds=30)
SECRETS = Listener(
    github_secret=Secret("now before"), herald_key=Secret("heralds"), harbormaster_key=Secret("builds")
)
ROOT = "https://taskcluster.example"
SETTINGS = {
    "listener": SECRETS,
    "taskcluster": Taskcluster(root_url=ROOT),
    "phabricator": Phabricator(url="https://phabricator.example"),
}
PUSH = json.dumps(
    {"ref": "refs/heads/main", "after": "a" * 40, "repository": {"full_name": "people/app"}, "commits": []}
).encode()
TARGET = "PHID-HMBT-abcdefghijklmnopqrst"


@pytest.fixture
async def db(database: Scratch) -> AsyncIterator[Database]:
    async with open_pool(database.url, instance=database.instance) as opened:
        yield opened


@pytest.fixture
async def service(database: Scratch) -> AsyncIterator[Service]:
    async with running(database, settings=SETTINGS) as found:
        yield found


def diff(number: int) -> Delivery:
    """A diff that only we may see."""
    fields = {
        "revisionPHID": "PHID-DREV-secret",
        "authorPHID": "PHID-USER-a",
        "repositoryPHID": "PHID-REPO-a",
    }
    return diff_delivery({"id": number, "type": "DIFF", "phid": f"PHID-DIFF-{number}", "fields": fields})


async def record(db: Database, *deliveries: Delivery) -> None:
    async with db.connection() as connection:
        heard = [hear(one, ROUTES, instance="testing") for one in deliveries]
        await journal.record(connection, heard, instance="testing")


async def rows(service: Service, query: str = "", *, who: str = "user") -> list[dict[str, Any]]:
    answer = await service.by(who).get(f"/api/events{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


async def refuse(connection: Connection, error: str) -> None:
    """The one due effect is refused for good."""
    (claimed,) = await effects.claim(connection, limit=1, lease=LEASE)
    await effects.quarantined(connection, claimed.id, ErrorClass.PERMANENT, error)


def github(
    body: bytes, secret: str = "now", *, delivery: str = "d-1", media: str = "application/json"
) -> dict[str, str]:
    return {
        "Content-Type": media,
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": f"sha256={sign(body, secret)}",
    }


# --- webhooks ---


@pytest.mark.parametrize("secret", ["now", "before"])
async def test_a_signed_push_is_stored_once_and_waits_for_a_listener(service: Service, secret: str) -> None:
    for _ in range(2):
        answer = await service.client.post("/hooks/github", content=PUSH, headers=github(PUSH, secret))
        assert (answer.status_code, answer.json()) == (202, {"key": "github:d-1"})
    (row,) = await rows(service)
    assert (row["state"], row["event"], row["told"]) == ("stored", "git-push", 2)
    assert row["subject"] == "people/app main"


@pytest.mark.parametrize(
    "headers",
    [
        github(PUSH, "wrong"),
        github(b"another body"),
        {"X-GitHub-Event": "push", "X-GitHub-Delivery": "d-1"},
        github(PUSH) | {"X-Hub-Signature-256": sign(PUSH, "now")},
    ],
    ids=["wrong secret", "other body", "unsigned", "no prefix"],
)
async def test_a_badly_signed_request_is_refused_and_stored_nowhere(
    service: Service, headers: dict[str, str]
) -> None:
    answer = await service.client.post("/hooks/github", content=PUSH, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert await rows(service) == []


async def test_a_form_is_told_to_be_json(service: Service) -> None:
    headers = github(PUSH, media="application/x-www-form-urlencoded")
    assert (await service.client.post("/hooks/github", content=PUSH, headers=headers)).status_code == 415


async def test_a_signed_body_that_nobody_can_read_is_quarantined_with_its_reason(service: Service) -> None:
    answer = await service.client.post("/hooks/github", content=b"{", headers=github(b"{"))
    assert answer.status_code == 202
    (row,) = await rows(service)
    assert (row["state"], "not JSON" in row["reason"]) == ("quarantined", True)


async def test_herald_and_harbormaster_are_heard(service: Service) -> None:
    body = json.dumps({"object": {"type": "DREV", "phid": "PHID-DREV-1"}, "action": {"test": False}}).encode()
    signed = {"X-Phabricator-Webhook-Signature": sign(body, "heralds")}
    assert (await service.client.post("/hooks/herald", content=body, headers=signed)).status_code == 202
    assert (
        await service.client.post("/hooks/herald", content=body + b" ", headers=signed)
    ).status_code == 401
    path = f"/hooks/harbormaster?target={TARGET}&diff=12"
    assert (await service.client.post(path, auth=("ship", "builds"))).status_code == 202
    assert (await service.client.post(path, auth=("ship", "guess"))).status_code == 401
    assert (await service.client.post(path)).status_code == 401
    bad = await service.client.post("/hooks/harbormaster?target=x", auth=("ship", "builds"))
    assert bad.status_code == 400
    assert {row["source"] for row in await rows(service)} == {"herald", "harbormaster"}
    named = {row["name"] for row in (await service.by("user").get("/api/sources")).json()["sources"]}
    assert named == {"webhook:herald", "webhook:harbormaster"}


async def test_a_webhook_without_a_secret_is_not_there(database: Scratch) -> None:
    async with running(database) as service:
        for path in ("github", "herald", "harbormaster"):
            answer = await service.client.post(f"/hooks/{path}", content=PUSH, headers=github(PUSH, ""))
            assert answer.status_code == 404


# --- lists ---


async def test_events_are_listed_newest_first_by_page_state_route_source_and_key(
    service: Service, db: Database
) -> None:
    await record(db, published(commit(1, "a")), resolved(), diff(7))
    found = await rows(service)
    assert sorted(row["source"] for row in found) == ["phabricator", "pulse", "pulse"]
    assert [row["id"] for row in found] == sorted((row["id"] for row in found), reverse=True)
    first = (await service.by("user").get("/api/events?limit=2")).json()
    rest = (await service.by("user").get(f"/api/events?limit=2&before={first['next']}")).json()
    assert [row["id"] for row in first["events"] + rest["events"]] == [row["id"] for row in found]
    assert rest["next"] is None
    assert len(await rows(service, "?state=due")) == 2
    assert len(await rows(service, "?state=stored")) == 1
    assert len(await rows(service, "?route=static-analysis-mozreview")) == 1
    assert len(await rows(service, "?source=phabricator")) == 1
    assert len(await rows(service, "?key=phabricator:diff:7")) == 1
    assert (await service.by("user").get("/api/events?state=odd")).status_code == 400


async def test_what_a_private_delivery_held_is_shown_to_nobody_else(service: Service, db: Database) -> None:
    await record(db, published(commit(1, "a")))
    await service.client.post("/hooks/github", content=PUSH, headers=github(PUSH))
    keys = {row["source"]: row["key"] for row in await rows(service)}
    for who, sees in (("user", False), ("reader", True)):
        shown = (await service.by(who).get(f"/api/events/{keys['github']}")).json()
        assert (shown["body"] is not None) is sees
    public = (await service.by("user").get(f"/api/events/{keys['pulse']}")).json()
    assert json.loads(public["body"])["payload"]["commits"][0]["rev"] == "a"
    page = (await service.client.get("/events")).text
    assert "review request" in page
    assert "people/app" not in page
    assert "people/app" in (await service.by("user").get("/events")).text


async def test_an_event_is_found_by_key_or_id_and_else_is_missing(service: Service, db: Database) -> None:
    await record(db, published(commit(1, "a")))
    (row,) = await rows(service)
    for name in (row["key"], str(row["id"])):
        assert (await service.by("user").get(f"/api/events/{name}")).json()["event"]["id"] == row["id"]
    for name in ("none", str(row["id"] + 1), "0", "9" * 30):
        assert (await service.by("user").get(f"/api/events/{name}")).status_code == 404


async def test_sources_say_how_far_behind_they_are(service: Service, db: Database) -> None:
    await record(db, resolved())
    async with db.connection() as connection:
        await sources.well(connection, "pulse:code-coverage", depth=3)
        await sources.ill(connection, "phabricator/diffs", "no route to host")
        await sources.live(connection, "one")
    found = (await service.by("user").get("/api/sources")).json()
    by_name = {row["name"]: row for row in found["sources"]}
    assert by_name["pulse:code-coverage"]["depth"] == 3
    assert 0 <= by_name["pulse:code-coverage"]["lag_seconds"] < 60
    assert by_name["phabricator/diffs"]["lag_seconds"] is None
    assert (found["stored"], found["oldest_event_seconds"] >= 0) == (1, True)
    assert found["alive_at"] is not None


# --- replay and skip ---


async def test_who_may_replays_and_skips_what_is_in_quarantine(service: Service, db: Database) -> None:
    await record(db, published(commit(1, "a")))
    async with db.connection() as connection:
        await refuse(connection, "403, missing scope")
    (row,) = await rows(service, "?state=quarantined")
    path = f"/api/events/{row['key']}"
    assert (await service.by("user").post(f"{path}/replay")).status_code == 403
    done = await service.by("replayer").post(f"{path}/replay")
    assert done.json() == {"key": row["key"], "effects": 1}
    assert await rows(service, "?state=quarantined") == []
    skipped = await service.by("replayer").post(f"{path}/skip", json={"reason": "known"})
    assert skipped.json() == {"key": row["key"], "waited": True}
    again = await service.by("replayer").post(f"{path}/skip", json={"reason": "known"})
    assert again.json()["waited"] is False
    assert (await service.by("replayer").post(f"{path}/skip", json={})).status_code == 422
    assert (await service.by("replayer").post("/api/events/none/replay")).status_code == 404


# --- what pages show ---


async def test_an_event_tells_route_task_and_result_with_links(service: Service, db: Database) -> None:
    await record(db, published(commit(1, "a")), resolved(), diff(7))
    async with db.connection() as connection:
        (claimed,) = await effects.claim(connection, limit=1, lease=LEASE)
        await effects.fired(connection, claimed.id, claimed.task_id, is_followed=True, look_in=LEASE)
    found = {row["subject"]: row for row in await rows(service)}
    assert found[GROUP]["link"] == f"{ROOT}/tasks/groups/{GROUP}"
    assert found["diff 7"]["link"] == "https://phabricator.example/differential/diff/7/"
    (fired,) = (effect for row in found.values() for effect in row["effects"] if effect["state"] == "fired")
    assert fired["link"] == f"{ROOT}/tasks/{claimed.task_id}"
    assert fired["standing"]["word"] == "Running"
    assert [hop["name"] for hop in fired["hops"]] == ["Received", "Stored", "Routed", "Triggered", "Running"]
    assert fired["took"] >= 0
    assert found[GROUP]["standing"]["word"] == "Waiting"
    assert found[GROUP]["label"] == "Pulse: queue"


async def test_a_list_shows_a_kind_of_events_and_those_of_a_source(service: Service, db: Database) -> None:
    other = published(commit(2, "b"), repository="https://else.example")
    await record(db, published(commit(1, "a")), other, diff(7), resolved())
    async with db.connection() as connection:
        await refuse(connection, "403")

    async def count(query: str) -> int:
        return len(await rows(service, query))

    assert await count("?show=all") == 4
    assert await count("?show=triggered") == 2
    assert await count("?show=ignored") == 1
    assert await count("?show=waiting") == 2
    assert (await count("?show=failed"), await count("?show=quarantined")) == (1, 1)
    assert await count("?source=phabricator") == 1
    assert await count("?source=phabricator:sweep") == 0
    assert (await count("?source=pulse:queue"), await count("?source=pulse:other")) == (3, 0)
    first = (await service.by("user").get("/api/events?show=triggered&limit=1")).json()
    rest = (await service.by("user").get(f"/api/events?show=triggered&limit=5&before={first['next']}")).json()
    assert (len(first["events"]), len(rest["events"]), rest["next"]) == (1, 1, None)
    assert (await service.by("user").get("/api/events?show=odd")).status_code == 400


async def test_strangers_hear_of_open_sources_only_and_no_reasons(service: Service, db: Database) -> None:
    await record(db, published(commit(1, "a")), diff(7))
    async with db.connection() as connection:
        await refuse(connection, "SECRET scope")
        await sources.ill(connection, "pulse:x", "SECRET host")
    for path in ("/api/events", "/api/quarantine", "/api/sources", "/api/events/phabricator:diff:7"):
        told = await service.client.get(path)
        assert told.status_code == (404 if path.endswith("diff:7") else 200)
        assert "SECRET" not in told.text
        assert "diff 7" not in told.text
    member = [(await service.by("user").get(path)).text for path in ("/api/quarantine", "/api/sources")]
    assert all("SECRET" in text for text in member)


async def test_quarantine_says_why_and_what_a_replay_would_do(service: Service, db: Database) -> None:
    await record(db, published(commit(1, "a")), published(commit(2, "b")))
    await service.client.post("/hooks/github", content=b"{", headers=github(b"{"))
    async with db.connection() as connection:
        await refuse(connection, "403, missing scope")
    answer = (await service.by("user").get("/api/quarantine")).json()
    assert (answer["total"], answer["may_replay"]) == (2, False)
    by_source = {row["event"]["source"]: row for row in answer["held"]}
    refused = by_source["pulse"]
    assert refused["reasons"] == ["static-analysis-mozreview: 403, missing scope"]
    assert (refused["tried"], refused["outlook"]["can_work"]) == (1, True)
    assert by_source["github"]["reasons"][0].startswith("not JSON")
    assert (await service.by("replayer").get("/api/quarantine")).json()["may_replay"] is True


async def test_a_replay_that_must_fail_is_known_by_the_routes_in_force(database: Scratch) -> None:
    settings = {**SETTINGS, "hooks": tuple(default_hooks("testing"))}
    async with running(database, settings=settings) as service:
        await service.client.post("/hooks/github", content=b"{", headers=github(b"{"))
        (row,) = (await service.by("user").get("/api/quarantine")).json()["held"]
    assert row["outlook"]["can_work"] is False
    assert "not JSON" in row["outlook"]["sentence"]


async def test_a_source_counts_what_it_brings(service: Service) -> None:
    for delivery in ("d-1", "d-2", "d-2"):
        await service.client.post("/hooks/github", content=PUSH, headers=github(PUSH, delivery=delivery))
    (row,) = (await service.by("user").get("/api/sources")).json()["sources"]
    assert (row["label"], row["today"], row["repeated"]) == ("GitHub webhook", 2, 1)
    assert (len(row["recent"]), sum(row["recent"])) == (30, 2)
    assert row["standing"]["word"] == "In time"


async def test_of_two_events_that_trigger_the_same_the_second_is_a_duplicate(
    service: Service, db: Database
) -> None:
    await record(db, published(commit(1, "a")))
    await record(db, published(commit(1, "a"), commit(1, "a")))
    second, first = await rows(service)
    assert second["effects"] == []
    assert second["standing"] == {
        "word": "Duplicate, dropped",
        "icon": "copy",
        "colour": "mute",
        "note": f"same as event {first['id']}",
    }


async def test_an_open_page_hears_of_what_comes_and_not_of_claims(service: Service, db: Database) -> None:
    heard: list[dict[str, Any]] = []

    async def listen() -> None:
        async with service.client.stream("GET", "/api/live") as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: ") and "table" in line:
                    heard.append(msgspec.json.decode(line[6:]))

    async def until(number: int) -> None:
        async with asyncio.timeout(10):
            while len(heard) < number:
                await asyncio.sleep(0.05)

    task = asyncio.create_task(listen())
    try:
        await asyncio.sleep(1)
        heard.clear()
        await record(db, resolved())
        await until(1)
        assert heard == [{"table": "events", "trains": [], "ids": []}]
        async with db.connection() as connection:
            (look,) = await journal.claim_looks(connection, limit=1, lease=LEASE)
        await asyncio.sleep(1)
        assert len(heard) == 1
        async with db.connection() as connection:
            judged = hear(look.delivery, (), instance="testing")
            await journal.judge(connection, look, judged, instance="testing")
        await until(2)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
