# SPDX-License-Identifier: MPL-2.0
"""Pipelines and steps over HTTP: the contract, the originals' defects, our kinds against our suite."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import mohawk
import pytest

from fixtures_pipelines import Bench, benched, step
from fixtures_postgres import Database
from fixtures_web import CAST, KEY, PUBLIC_URL, Service, running
from shipit.clients.http import open_session
from shipit.clients.steps import StepServices
from shipit.settings import Login
from shipit.steps import conformance
from shipit.steps.kinds import KINDS
from shipit.world.server import served
from shipit.world.steps import FakeSteps

USER = "project:shipit:user"
PEOPLE = {
    **CAST,
    "engineer": (USER, "project:shipit:pipeline/*", "project:shipit:sign/releng"),
    "manager": (USER, "project:shipit:sign/relman"),
    "colleague": (USER, "project:shipit:sign/releng"),
    "laptop": (USER, "project:shipit:sign/releng", "assume:login-identity:ann@x"),
    "desktop": (USER, "project:shipit:sign/releng", "assume:login-identity:ann@x"),
    "shipper": (USER, "project:shipit:pipeline/firefox/ship"),
}


@contextlib.asynccontextmanager
async def house(database: Database) -> AsyncIterator[tuple[Service, Bench]]:
    async with running(database, allow_loopback=True) as service, benched(database) as bench:
        service.auth.people = PEOPLE
        yield service, bench


@pytest.fixture
async def both(database: Database) -> AsyncIterator[tuple[Service, Bench]]:
    async with house(database) as made:
        yield made


async def put(service: Service, path: str, body: Any, who: str = "engineer") -> httpx.Response:
    return await service.by(who).put(path, json=body)


async def status(service: Service, path: str) -> dict[str, Any]:
    answer = await service.client.get(f"{path}/status")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_contract_of_a_pipeline(both: tuple[Service, Bench]) -> None:
    service, _ = both
    body = {"steps": [step("a"), step("b", "a")]}
    first = await put(service, "/api/pipelines/p1", body)
    assert (first.status_code, first.json()["uid"], first.json()["status"]) == (201, "p1", "in_progress")
    assert (await put(service, "/api/pipelines/p1", body)).status_code == 200
    assert (await put(service, "/steps/pipeline/p1", {"parameters": body})).status_code == 200
    assert (await put(service, "/api/pipelines/p1", {"steps": [step("a")]})).status_code == 409
    shown = (await service.client.get("/api/pipelines/p1/definition")).json()
    assert shown == {"uid": "p1", "parameters": body}
    await put(service, "/api/pipelines/p2", {"parameters": body})
    listed = (await service.client.get("/api/pipelines?status=in_progress&limit=1")).json()
    assert [row["uid"] for row in listed["steps"]] == ["p1"] and listed["next"] == "p1"
    rest = (await service.client.get("/api/pipelines/?limit=1&after=p1")).json()
    assert [row["uid"] for row in rest["steps"]] == ["p2"] and rest["next"] is None
    literal = (await service.client.get("/api/pipelines/?status=&limit=&after=")).json()
    assert [row["uid"] for row in literal["steps"]] == ["p1", "p2"]
    assert (await service.client.get("/api/pipelines/?colour=")).status_code == 400
    found = await status(service, "/api/pipelines/p1")
    assert [each["state"] for each in found["details"]["steps"]] == ["in_progress", "blocked"]
    assert found["details"]["steps"][1]["message"] == "waits for a"
    gone = await service.by("engineer").delete("/api/pipelines/p1")
    assert (gone.status_code, gone.json()["status"]) == (200, "cancelled")
    assert (await status(service, "/api/pipelines/p1"))["status"] == "cancelled"
    assert (await service.by("engineer").delete("/api/pipelines/p1")).json()["message"] == "removed"
    assert (await service.by("engineer").delete("/api/pipelines/p1")).status_code == 404


async def test_p7_an_unknown_uid_is_a_404_everywhere(both: tuple[Service, Bench]) -> None:
    service, _ = both
    for path in ("/api/pipelines/no", "/steps/timer/no", "/steps/nonsense/no", "/compat/pipeline/no"):
        assert (await service.client.get(f"{path}/status")).status_code == 404
        assert (await service.by("engineer").delete(path)).status_code in (404, 405)


async def test_every_problem_of_a_definition_is_told_at_once(both: tuple[Service, Bench]) -> None:
    service, _ = both
    bad = {
        "steps": [step("a", "zzz", api_url="https://evil.example.com/x"), step("a"), step("t", kind="timer")]
    }
    answer = await put(service, "/api/pipelines/p", bad)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert {each["pointer"] for each in answer.json()["problems"]} == {
        "/steps/0/requires/0",
        "/steps/0/api_url",
        "/steps/1/uid",
        "/steps/2/parameters",
    }


async def test_only_who_has_the_phase_of_the_product_may_create_and_change(
    both: tuple[Service, Bench],
) -> None:
    service, _ = both
    ship = {"product": "firefox", "steps": [step("a", phase="ship")]}
    both_phases = {"product": "firefox", "steps": [step("a", phase="ship"), step("b", phase="push")]}
    assert (await put(service, "/api/pipelines/p", ship, "user")).status_code == 403
    refused = await put(service, "/api/pipelines/p", both_phases, "shipper")
    assert (refused.status_code, "pipeline/firefox/push" in refused.text) == (403, True)
    assert (await put(service, "/api/pipelines/p", ship, "shipper")).status_code == 201
    assert (await service.by("user").delete("/api/pipelines/p")).status_code == 403
    skip = await service.by("user").post("/api/pipelines/p/steps/a/skip", json={"reason": "x"})
    assert skip.status_code == 403
    assert (await service.by("shipper").post("/api/pipelines/p/steps/a/skip", json={})).status_code == 400
    cancelled = await service.by("shipper").post("/api/pipelines/p/steps/a/cancel", json={"reason": "x"})
    assert cancelled.json()["details"]["steps"][0]["state"] == "cancelled"
    skipped = await service.by("shipper").post("/api/pipelines/p/steps/a/skip", json={"reason": "waived"})
    assert skipped.json()["status"] == "success"
    history = (await service.client.get("/api/pipelines/p/history")).json()
    assert {"created", "cancel_asked", "skip_asked"} <= {each["what"] for each in history}
    assert {each["actor"] for each in history} == {"shipper", "runner"}


async def test_only_who_may_act_on_its_phase_ticks_off_a_step_of_no_group(
    both: tuple[Service, Bench],
) -> None:
    service, _ = both
    qa = step("qa", phase="ship", parameters={"group": "relman"})
    await put(service, "/api/pipelines/p", {"product": "firefox", "steps": [step("a", phase="ship"), qa]})
    refused = await put(service, "/steps/manual/p.a.1/done", {}, "user")
    assert (refused.status_code, "pipeline/firefox/ship" in refused.text) == (403, True)
    assert (await put(service, "/steps/manual/p.a.1/done", {}, "shipper")).status_code == 200
    assert (await put(service, "/steps/manual/p.qa.1/done", {}, "shipper")).status_code == 403
    assert (await put(service, "/steps/manual/p.qa.1/done", {}, "manager")).status_code == 200
    await put(service, "/steps/manual/alone", {"parameters": {}})
    assert (await put(service, "/steps/manual/alone/done", {}, "user")).status_code == 200
    stop = {"reason": "it crashes", "product": "firefox"}
    assert (await service.by("user").post("/api/stops", json=stop)).status_code == 403
    assert (await service.by("admin").post("/api/stops", json=stop)).status_code == 200


async def test_a_signoff_ships_exactly_what_it_said(both: tuple[Service, Bench]) -> None:
    service, bench = both
    bench.start_runner()
    sign = step("sign", kind="signoff", parameters={"policy": [{"releng": 1, "relman": 1}], "digest": "d1"})
    await put(service, "/api/pipelines/p", {"steps": [sign, step("ship", "sign")]})
    waiting = await status(service, "/steps/signoff/p.sign.1")
    assert waiting["message"].endswith("the last signature starts ship")
    path = "/steps/signoff/p.sign.1/sign"
    assert (await put(service, path, {}, "user")).status_code == 403
    assert (await put(service, path, {"digest": "d0"}, "manager")).status_code == 409
    assert (await put(service, path, {"comment": "go", "digest": "d1"}, "manager")).status_code == 200
    assert (await put(service, path, {}, "manager")).status_code == 409
    assert (await put(service, path, {}, "engineer")).status_code == 200
    await bench.eventually(lambda: started(service, "ship"))


async def started(service: Service, name: str) -> bool:
    found = await status(service, "/api/pipelines/p")
    return any(each["uid"] == name and each["state"] == "in_progress" for each in found["details"]["steps"])


async def test_the_last_signature_is_not_said_to_start_what_waits_for_more(
    both: tuple[Service, Bench],
) -> None:
    service, _ = both
    sign = step("sign", kind="signoff", parameters={"policy": [{"releng": 1, "relman": 1}], "digest": "d1"})
    then = [step("a", "sign"), step("b", "sign", needs_release=True)]
    then.append(step("c", "sign", not_before="2099-01-01T00:00:00Z"))
    await put(service, "/api/pipelines/p", {"steps": [sign, *then]})
    exact = "the last signature starts a, b once a person releases it, c at 2099-01-01 00:00:00 UTC"
    path = "/steps/signoff/p.sign.1"
    told = [
        await service.client.get(f"{path}/status"),
        await put(service, f"{path}/sign", {}, "manager"),
        await service.by("manager").delete(f"{path}/sign"),
        await put(service, f"{path}/content", {"digest": "d2"}),
    ]
    for each in told:
        assert each.json()["message"].endswith(exact), each.text
        assert each.json()["details"]["starts"] == ["a", "b", "c"]
    await service.by("engineer").post("/api/pipelines/p/hold", json={"reason": "wait"})
    held = (await status(service, path))["message"]
    assert held.endswith(
        "a once engineer holds the pipeline no more, b once engineer holds the pipeline no "
        "more, c once engineer holds the pipeline no more"
    )


async def test_s2_one_person_with_two_clients_signs_once(both: tuple[Service, Bench]) -> None:
    service, _ = both
    await put(service, "/steps/signoff/s", {"parameters": {"policy": [{"releng": 2}]}})
    assert (await put(service, "/steps/signoff/s/sign", {}, "laptop")).status_code == 200
    again = await put(service, "/steps/signoff/s/sign", {}, "desktop")
    assert (again.status_code, "signed already" in again.text) == (409, True)


async def test_s2_a_login_and_a_client_of_ones_own_are_one_person(database: Database) -> None:
    login = Login(aliases={"project/releng/bob": "github/2|bob"}, only_people_sign=True)
    signs = (USER, "project:shipit:sign/releng")
    async with running(database, settings={"login": login}) as service:
        service.auth.people = {
            "engineer": PEOPLE["engineer"],
            "github/1|ann/login-x1": signs,
            "github/1|ann/laptop": signs,
            "github/2|bob/phone": signs,
            "project/releng/bob": signs,
            "project/shipit/monitor": signs,
        }
        await put(service, "/steps/signoff/s", {"parameters": {"policy": [{"releng": 3}], "digest": "1"}})
        for who, status_code in (
            ("github/1|ann/login-x1", 200),
            ("github/1|ann/laptop", 409),
            ("github/2|bob/phone", 200),
            ("project/releng/bob", 409),
            ("project/shipit/monitor", 403),
        ):
            answer = await service.by(who).put("/steps/signoff/s/sign", json={})
            assert answer.status_code == status_code, (who, answer.text)


async def test_s8_of_many_last_signers_at_once_exactly_one_completes(both: tuple[Service, Bench]) -> None:
    service, bench = both
    await put(service, "/steps/signoff/s", {"parameters": {"policy": [{"releng": 1}]}})
    people = ("engineer", "colleague", "laptop") * 2
    answers = await asyncio.gather(*(put(service, "/steps/signoff/s/sign", {}, who) for who in people))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]
    await bench.turn()
    assert (await status(service, "/steps/signoff/s"))["status"] == "success"
    assert (await put(service, "/steps/signoff/s/sign", {}, "colleague")).status_code == 409
    assert (await service.by("engineer").delete("/steps/signoff/s/sign")).status_code == 409


async def test_d_si1_the_signoff_that_is_signed_is_the_one_in_the_path(both: tuple[Service, Bench]) -> None:
    service, _ = both
    for name in ("s1", "s2"):
        await put(service, f"/steps/signoff/{name}", {"parameters": {"policy": [{"releng": 2}]}})
    assert (await put(service, "/steps/signoff/s1/sign", {"uid": "s2"})).status_code == 422
    await put(service, "/steps/signoff/s1/sign", {})
    assert (await status(service, "/steps/signoff/s2"))["details"]["signatures"] == []


async def test_d_si16_build_numbers_are_given_out_once(both: tuple[Service, Bench]) -> None:
    service, _ = both
    wanted = {"product": "firefox", "version": "147.0"}
    answers = await asyncio.gather(
        *(service.by("engineer").post("/api/builds", json=wanted) for _ in range(5))
    )
    assert sorted(answer.json()["build"] for answer in answers) == [1, 2, 3, 4, 5]


async def test_a_policy_is_judged_also_for_whether_anybody_can_meet_it(both: tuple[Service, Bench]) -> None:
    service, _ = both
    body = {"policy": [{"releng": 2}], "members": {"releng": ["ann@x"]}}
    judged = (await service.client.post("/api/policies", json=body)).json()
    assert judged["is_valid"] is False and "has 1" in judged["problems"][0]["got"]


async def test_a_template_makes_a_definition_that_can_be_put(both: tuple[Service, Bench]) -> None:
    service, _ = both
    assert "merge-day" in (await service.client.get("/api/templates")).json()
    values = {
        "product": "firefox",
        "version": "147.0b3",
        "build": 1,
        "revision": "abc",
        "hook": {"group": "g", "id": "h"},
        "signers": [{"releng": 1}],
    }
    made = await service.client.post("/api/templates/beta", json=values)
    assert (await put(service, "/api/pipelines/firefox-147.0b3-build1", made.json())).status_code == 201
    assert (await service.client.post("/api/templates/beta", json={})).status_code == 400


# --- the originals' dialects --------------------------------------------------------------------------


async def test_the_original_pipeline_dialect(both: tuple[Service, Bench]) -> None:
    service, _ = both
    old = {
        "uid": "a",
        "kind": "manual",
        "parameters_schema": "x",
        "parameters": {},
        "description": "",
        "requires": [],
    }
    body = {"uid": "p", "parameters": {"steps": [old]}}
    assert (await put(service, "/compat/pipeline/p", body)).json() == {}
    assert (await service.client.get("/compat/pipeline/")).json() == ["p"]
    assert (await service.client.get("/compat/pipeline/p/definition")).json()["parameters"]["steps"] == [old]
    shown = (await service.client.get("/compat/pipeline/p/status")).json()
    assert shown["state"] == "running" and shown["message"]
    assert (await put(service, "/compat/pipeline/ticktock", {})).status_code == 200
    assert (await service.by("engineer").delete("/compat/pipeline/p")).status_code == 200
    assert (await service.client.get("/compat/pipeline/p/status")).json()["state"] == "exception"


async def test_the_original_signoff_dialect_completes_revokes_and_lists(both: tuple[Service, Bench]) -> None:
    """S1: it never completed. S3: a second list. S7: signees and created were promised."""
    service, bench = both
    policy = {"method": "local", "definition": [{"releng": 1, "relman": 1}, {"releng": 2}]}
    path = "/compat/signoff/step/s"
    assert (await put(service, path, {"policy": policy, "parameters": {}})).json() == {}
    assert (await put(service, path, {"policy": {**policy, "definition": [{"x": 1}]}})).status_code == 409
    assert (await service.client.get(path)).json()["policy"] == policy
    assert (await put(service, f"{path}/sign", {"group": "relman"})).status_code == 403
    assert (await put(service, f"{path}/sign", {"group": "releng"})).status_code == 200
    assert (
        await service.by("engineer").request("DELETE", f"{path}/sign", json={"group": "releng"})
    ).status_code == 200
    assert (await service.by("engineer").delete(f"{path}/sign")).json()["error_title"] == "Conflict"
    for who in ("engineer", "colleague"):
        assert (await put(service, f"{path}/sign", {"group": "releng"}, who)).status_code == 200
    await bench.turn()
    shown = (await service.client.get(f"{path}/status")).json()
    assert (shown["state"], [each["email"] for each in shown["signees"]]) == (
        "completed",
        ["engineer", "colleague"],
    )
    assert (await service.client.get("/compat/signoff/step?state=completed")).json()[0]["uid"] == "s"
    assert (await service.client.get("/compat/signoff/step?state=nonsense")).status_code == 400
    assert (await service.by("engineer").delete(path)).status_code == 403
    bad = {"method": "local", "definition": [{}]}
    assert (await put(service, "/compat/signoff/validate_policy", bad)).status_code == 422
    assert (await put(service, "/compat/signoff/validate_policy", policy)).status_code == 200


async def test_the_original_taskcluster_dialect_lets_two_steps_watch_one_group(
    both: tuple[Service, Bench],
) -> None:
    """T4: a group could be watched once, and reading wrote."""
    service, _ = both
    body = {"taskGroupId": "A" * 22, "schedulerAPI": False}
    for name in ("a", "b", "a"):
        assert (await put(service, f"/compat/taskcluster/steps/{name}", body)).status_code == 200
    assert (await service.client.get("/compat/taskcluster/steps")).json() == ["a", "b"]
    shown = (await service.client.get("/compat/taskcluster/steps/a/status")).json()
    assert (shown["state"], shown["task_group_id"], shown["finished"]) == ("running", "A" * 22, None)
    other = {**body, "taskGroupId": "B" * 22}
    conflict = await put(service, "/compat/taskcluster/steps/a", other)
    assert (conflict.status_code, "error_message" in conflict.json()) == (409, True)


# --- conformance --------------------------------------------------------------------------------------

PARAMETERS: dict[str, dict[str, Any]] = {
    "signoff": {"policy": [{"releng": 1}], "subject": "s", "digest": "d"},
    "taskcluster": {"task_group_id": "A" * 22},
    "remote": {},
    "timer": {"seconds": 3600},
    "manual": {"instructions": "do"},
    "uplifts": {"train": "beta"},
    "balrog": {"object": "rules", "sc_id": 7},
    "rollout": {"rule": 42, "percents": [25, 100], "pause_seconds": 3600},
    "shutoff": {"product": "Firefox", "channel": "release"},
    "pipeline": {"steps": [step("a")]},
}


class Signed(StepServices):
    """Signs as the engineer for the public URL, whatever address is called."""

    def _signature(self, method: str, url: str, content: bytes) -> str:
        parts = urlsplit(url)
        public = PUBLIC_URL + parts.path + (f"?{parts.query}" if parts.query else "")
        who = {"id": "engineer", "key": KEY, "algorithm": "sha256"}
        kind = "application/json" if content else ""
        return str(mohawk.Sender(who, public, method, content=content, content_type=kind).request_header)


async def test_every_kind_of_ours_passes_our_own_suite(both: tuple[Service, Bench]) -> None:
    service, bench = both
    bench.start_runner()
    assert set(PARAMETERS) == {*KINDS, "pipeline"}
    async with open_session() as session:
        services = Signed(session, lambda _: None, credentials={"clientId": "engineer", "accessToken": KEY})
        for kind, parameters in PARAMETERS.items():
            if kind == "remote":
                parameters = {"api_url": bench.service.api_url}
            report = await conformance.check(services, f"{service.url}/steps/{kind}", parameters)
            assert report.fails == (), kind
            assert len(report.holds) == 15
        report = await conformance.check(services, f"{service.url}/api/pipelines", PARAMETERS["pipeline"])
        assert report.fails == ()


async def test_the_suite_names_what_a_service_does_not_keep() -> None:
    fake = FakeSteps()
    async with open_session() as session, served(fake):
        services = StepServices(session, lambda _: None)
        assert (await conformance.check(services, fake.api_url, {"a": 1})).fails == ()
        assert fake.steps == {}
        fake.is_forgetful = True
        report = await conformance.check(services, fake.api_url, {"a": 1})
        assert {fault.rule.split(" ")[0] + " " + fault.expected for fault in report.fails} >= {
            "PUT 200",
            "PUT 409",
        }
        away = await conformance.check(services, "http://127.0.0.1:9/steps", {})
        assert (away.holds, [fault.rule for fault in away.fails]) == ((), ["the service answers"])


async def test_a_running_step_tells_when_it_is_expected_to_end(both: tuple[Service, Bench]) -> None:
    service, bench = both
    for number in range(4):
        await put(service, f"/api/pipelines/p{number}", {"product": "firefox", "steps": [step("a")]})
        if number < 3:
            await put(service, f"/steps/manual/p{number}.a.1/done", {})
    await bench.turn()
    bench.query(
        "update pipeline_steps set finished_at = started_at + interval '60 s' where state = 'success'"
    )
    shown = (await status(service, "/api/pipelines/p3"))["details"]["steps"][0]
    begun, expected = (datetime.fromisoformat(shown[name]) for name in ("started_at", "expected_at"))
    assert (expected - begun).total_seconds() == 60
