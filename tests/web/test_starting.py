# SPDX-License-Identifier: MPL-2.0
"""A release is started by its kind, version and revision; number and uid come from the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from fixtures_postgres import Database
from fixtures_web import CAST, NOON, Service, make_train, make_trains, running
from shipit.actions import starting
from shipit.settings import ReleaseKind

USER = "project:shipit:user"
PEOPLE = {
    **CAST,
    "engineer": (USER, "project:shipit:pipeline/*"),
    "promoter": (USER, "project:shipit:pipeline/firefox/promote"),
}
HOOK = {"group": "g", "id": "h"}
BETA = ReleaseKind(
    name="beta", template="beta", product="firefox", values={"hook": HOOK, "signers": [{"relman": 2}]}
)
DAY = ReleaseKind(
    name="merge day",
    template="merge-day",
    product="firefox",
    values={"hook": HOOK, "signers": [{"relman": 1}]},
)
ASKED = {"kind": "beta", "version": "147.0b3", "revision": "abc123"}


@pytest.fixture
async def service(database: Database) -> AsyncIterator[Service]:
    async with running(database, settings={"releases": (BETA, DAY)}) as made:
        made.auth.people = PEOPLE
        yield made


async def start(service: Service, who: str = "engineer", **body: Any) -> httpx.Response:
    return await service.by(who).post("/api/releases", json={**ASKED, **body})


async def test_number_and_uid_are_given_out_and_asking_again_starts_nothing_twice(service: Service) -> None:
    first = await start(service)
    assert (first.status_code, first.json()["uid"]) == (201, "firefox-147.0b3-build1"), first.text
    again = await start(service)
    assert (again.status_code, again.json()["uid"]) == (200, "firefox-147.0b3-build1")
    other = await start(service, revision="def456")
    assert (other.status_code, other.json()["uid"]) == (201, "firefox-147.0b3-build2")
    definition = (await service.client.get("/api/pipelines/firefox-147.0b3-build2/definition")).json()
    told = {name: definition["parameters"][name] for name in ("product", "version", "build", "revision")}
    assert told == {"product": "firefox", "version": "147.0b3", "build": 2, "revision": "def456"}
    shown = (await service.client.get("/api/releases/firefox-147.0b3-build2")).json()
    assert (shown["revision"], shown["build"]) == ("def456", 2)
    # Of a cancelled build the same revision is built again.
    await service.by("engineer").delete("/api/pipelines/firefox-147.0b3-build1")
    assert (await start(service)).json()["uid"] == "firefox-147.0b3-build3"


async def test_two_who_start_at_once_start_one_build(service: Service) -> None:
    answers = await asyncio.gather(*(start(service) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201]
    assert {answer.json()["uid"] for answer in answers} == {"firefox-147.0b3-build1"}


async def test_a_number_that_somebody_took_by_hand_is_passed_over(service: Service) -> None:
    by_hand = {"steps": [{"uid": "a", "kind": "manual", "parameters": {"instructions": "x"}}]}
    await service.by("engineer").put("/api/pipelines/firefox-147.0b3-build1", json=by_hand)
    assert (await start(service)).json()["uid"] == "firefox-147.0b3-build2"


async def test_what_is_wrong_costs_no_number(service: Service) -> None:
    assert (await start(service, "promoter")).status_code == 403
    assert (await start(service, version=" ")).status_code == 400
    assert (await start(service, version="../etc")).status_code == 400
    assert (await start(service, kind="nightly")).status_code == 404
    # Who signs, what is triggered and which build it is are not for whoever starts it to say.
    own = {"signers": [{"releng": 1}], "hook": HOOK, "build": 7, "product": "fenix", "phase_hours": "x"}
    refused = (await start(service, values=own)).json()["problems"]
    assert [each["pointer"] for each in refused] == ["/hook", "/signers", "/product", "/build"]
    wrong = await start(service, values={"phase_hours": "x"}, revision="no commit")
    assert [each["pointer"] for each in wrong.json()["problems"]] == ["/phase_hours", "/revision"]
    assert (await start(service)).json()["uid"] == "firefox-147.0b3-build1"


async def test_the_kinds_say_what_happens_and_why_one_may_not(service: Service) -> None:
    await start(service)
    beta, day = (await service.by("promoter").get("/api/release-kinds")).json()
    assert (beta["wants"], beta["has_build"]) == (["version", "revision"], True)
    assert beta["last"] == {"uid": "firefox-147.0b3-build1", "version": "147.0b3", "build": 1}
    assert "Signoff for Push, by 2 of relman" in beta["steps"]
    assert beta["why_not"] == (
        "this needs project:shipit:pipeline/firefox/push, project:shipit:pipeline/firefox/ship"
    )
    assert (day["wants"], day["has_build"], day["last"]) == (["version"], False, None)
    assert day["steps"] == [], "the calendar was not read: nobody knows which merges there are"
    mine = (await service.by("engineer").get("/api/release-kinds")).json()
    assert [kind["why_not"] for kind in mine] == ["", ""]


async def test_what_a_kind_says_before_is_what_happens_then(service: Service) -> None:
    trains = [make_train("nightly", channel="nightly", major=148), make_train("beta", major=147)]
    await service.feed(trains=make_trains(*trains))
    for name, more in (("beta", {}), ("merge day", {"version": "149", "revision": ""})):
        kind = next(
            each
            for each in (await service.by("engineer").get("/api/release-kinds")).json()
            if each["name"] == name
        )
        uid = (await start(service, kind=name, **more)).json()["uid"]
        shown = (await service.client.get(f"/api/releases/{uid}")).json()
        assert [words.split(", by ")[0] for words in kind["steps"]] == [
            each["title"] for each in shown["steps"]
        ]
        assert len(kind["steps"]) > 2


async def test_a_kind_of_a_train_names_the_commit_that_its_tip_was(database: Database) -> None:
    kind = replace(BETA, train="beta")
    async with running(database, settings={"releases": (kind,)}) as service:
        service.auth.people = PEOPLE
        assert (await service.client.get("/api/release-kinds")).json()[0]["tip"] is None
        await service.feed(trains=make_trains(make_train("beta", major=147, tip="4f2c" * 10, tip_at=NOON)))
        found = (await service.client.get("/api/release-kinds")).json()[0]["tip"]
        assert found == {"commit": "4f2c" * 10, "at": "2026-11-20T12:00:00Z"}


def test_kinds_that_could_never_be_started_are_told_when_the_service_starts() -> None:
    bad = ReleaseKind(name="x", template="beta", product="firefox", values={"hook": HOOK})
    unknown = ReleaseKind(name="y", template="weekly", product="firefox")
    assert starting.problems([BETA, DAY]) == []
    first, second = starting.problems([bad, unknown])
    assert first == "releases[0].values/signers: expected to be given"
    assert second.startswith("releases[1].template: expected one of release, beta")
