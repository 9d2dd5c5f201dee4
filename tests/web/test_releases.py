# SPDX-License-Identifier: MPL-2.0
"""What the pages of releases show, over HTTP: lists, forecasts, what one may do, uplifts, rollbacks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fixtures_pipelines import Bench, benched, step
from fixtures_postgres import Database
from fixtures_web import CAST, Service, running

USER = "project:shipit:user"
PEOPLE = {
    **CAST,
    "engineer": (USER, "project:shipit:pipeline/*", "project:shipit:sign/releng"),
    "manager": (USER, "project:shipit:sign/relman"),
    "shipper": (USER, "project:shipit:pipeline/firefox/ship"),
    "signer": (USER, "project:shipit:sign/releng"),
}
Both = tuple[Service, Bench]


@pytest.fixture
async def both(database: Database) -> AsyncIterator[Both]:
    async with running(database, allow_loopback=True) as service, benched(database) as bench:
        service.auth.people = PEOPLE
        yield service, bench


async def create(service: Service, uid: str, *steps: dict[str, Any], **more: Any) -> None:
    answer = await service.by("engineer").put(f"/api/pipelines/{uid}", json={"steps": list(steps), **more})
    assert answer.status_code == 201, answer.text


async def get(service: Service, path: str, who: str | None = None) -> Any:
    answer = await (service.client if who is None else service.by(who)).get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_list_has_the_newest_first_in_pages(both: Both) -> None:
    service, _ = both
    for number in range(5):
        await create(service, f"p{number}", step("a"), product="firefox", version="147.0", build=number + 1)
    await create(service, "outer", step("in", kind="pipeline", parameters={"steps": [step("x")]}))
    first = await get(service, "/api/releases?limit=3&product=firefox")
    assert [each["uid"] for each in first["releases"]] == ["p4", "p3", "p2"]
    assert first["releases"][0]["tally"] == "1 waiting for a person"
    assert first["releases"][0]["waits"] == "a: waits for a person to do it"
    assert first["releases"][0]["headline"] == {"word": "waits for a person", "tone": "warn"}
    rest = await get(service, f"/api/releases?limit=3&product=firefox&after={first['next']}")
    assert ([each["uid"] for each in rest["releases"]], rest["next"]) == (["p1", "p0"], None)
    every = await get(service, "/api/releases")
    assert "outer.in.1" not in {each["uid"] for each in every["releases"]}, "a step of another is no release"


async def test_a_release_says_what_each_of_us_may_do_and_why_not(both: Both) -> None:
    service, _ = both
    signed = {"policy": [{"releng": 1, "relman": 1}], "subject": "ship it", "requester": "shipper"}
    await create(
        service,
        "p",
        step("sign", kind="signoff", phase="ship", parameters={**signed, "exclude_requester": True}),
        step("push", "sign", phase="push"),
        product="firefox",
    )
    you = {
        who: (await get(service, "/api/releases/p", who))["you"]
        for who in ("engineer", "signer", "user", "shipper")
    }
    assert you["engineer"]["phases"] == ["ship", "push"]
    excluded = (await get(service, "/api/releases/p"))["steps"][0]["details"]["excluded"]
    assert excluded == ["engineer", "shipper"]
    # Who put it asks for it, whoever it says asks for it too.
    assert you["engineer"]["signs"] == {"sign": "whoever asks for it does not sign it"}
    assert you["signer"]["signs"] == {"sign": ""}
    assert you["user"]["phases"] == [] and "in no group" in you["user"]["signs"]["sign"]
    assert you["shipper"]["phases"] == ["ship"]
    assert you["shipper"]["signs"]["sign"] == "whoever asks for it does not sign it"
    assert (await get(service, "/api/releases/p"))["you"]["signs"] == {"sign": "log in to sign"}
    answer = await service.by("signer").put("/steps/signoff/p.sign.1/sign", json={})
    assert answer.status_code == 200, answer.text
    after = (await get(service, "/api/releases/p", "signer"))["you"]
    assert (after["has_signed"], after["signs"]["sign"]) == (["sign"], "you have signed; a person signs once")


async def test_a_release_says_who_may_tick_off_and_who_may_sign_what_is_beside_the_steps(both: Both) -> None:
    service, bench = both
    tested = step("qa", kind="manual", parameters={"group": "relman"})
    await create(service, "p", tested, step("by_hand"), product="firefox")
    await bench.turn()
    stop = await service.by("engineer").post(
        "/api/stops", json={"product": "firefox", "phase": "", "reason": "x"}
    )
    asked = {"policy": [{"relman": 1}]}
    answer = await service.by("engineer").post(f"/api/stops/{stop.json()['uid']}/restart", json=asked)
    restart = answer.json()["signoff"]
    you = {who: (await get(service, "/api/releases/p", who))["you"] for who in ("manager", "user")}
    phase = "to tick it off you need project:shipit:pipeline/firefox/none"
    assert you["manager"]["ticks"] == {"qa": "", "by_hand": phase}
    group = "to tick it off you need project:shipit:sign/relman"
    assert you["user"]["ticks"] == {"qa": group, "by_hand": phase}
    assert (await get(service, "/api/releases/p", "engineer"))["you"]["ticks"]["by_hand"] == ""
    assert you["manager"]["signs"] == {restart: ""}
    assert "in no group" in you["user"]["signs"][restart]
    assert (await get(service, "/api/releases/p"))["you"]["ticks"]["by_hand"] == "log in to tick it off"


async def test_the_end_is_forecast_from_history_or_honestly_unknown(both: Both) -> None:
    service, bench = both
    for number in range(4):
        await create(service, f"p{number}", step("a"), step("b", "a"), product="firefox")
    found = (await get(service, "/api/releases/p3"))["forecast"]
    assert (found["likely"], found["unknown"]) == (None, ["a", "b"])
    bench.query(
        "update pipeline_steps set state = 'success', attempt = 1, started_at = now() - interval '2 hours',"
        " finished_at = now() - interval '1 hour' where pipeline <> 'p3'"
    )
    found = (await get(service, "/api/releases/p3"))["forecast"]
    assert found["likely"] is not None and (found["based_on"], found["unknown"]) == (3, [])


async def test_every_try_of_a_step_is_shown(both: Both) -> None:
    service, bench = both
    await create(service, "p", step("a", parameters={"instructions": "try"}), product="firefox")
    engineer = service.by("engineer")
    await engineer.put("/steps/manual/p.a.1/done", json={"done": False, "comment": "the server is ill"})
    await bench.turn()
    answer = await engineer.post("/api/pipelines/p/steps/a/retry", json={})
    assert answer.status_code == 200, answer.text
    found = await get(service, "/api/pipelines/p/steps/a")
    assert [(each["attempt"], each["status"]) for each in found] == [(2, "in_progress"), (1, "failure")]
    assert "the server is ill" in found[1]["message"]
    assert (await service.client.get("/api/pipelines/p/steps/zzz")).status_code == 404


# --- uplifts of a build -------------------------------------------------------------------------------


def uplift(bench: Bench, bug: int, *, landed: bool, restricted: bool = False) -> None:
    bench.query(
        "insert into bugs (id, summary, is_restricted) values (%s, %s, %s)", bug, f"bug {bug}", restricted
    )
    bench.query(
        "insert into requests (uid, bug, train, state, target_major)"
        " values (%s, %s, 'beta', 'approved', 147)",
        f"r{bug}",
        bug,
    )
    if landed:
        land(bench, bug)


def land(bench: Bench, bug: int) -> None:
    bench.query(
        "insert into trials (request, train, series_digest, tip, key, outcome)"
        " values (%s, 'beta', 'd', 't', %s, 'landed')",
        f"r{bug}",
        f"k{bug}",
    )


async def test_a_build_says_what_it_will_contain_and_what_missed_it(both: Both) -> None:
    service, bench = both
    bench.query("insert into trains (name, channel, repository, branch) values ('beta', 'beta', 'r', 'b')")
    wait = step("uplifts", kind="uplifts", phase="promote", parameters={"train": "beta"})
    uplift(bench, 1, landed=True)
    await create(service, "b6", wait, product="firefox", version="147.0b3", build=6)
    await bench.turn()
    uplift(bench, 2, landed=True)
    uplift(bench, 3, landed=False)
    uplift(bench, 4, landed=False, restricted=True)
    await create(service, "b7", wait, product="firefox", version="147.0b3", build=7)
    await bench.turn()
    found = await get(service, "/api/pipelines/b7/uplifts")
    assert found["sentence"] == (
        "Build 7 will contain 2 uplifts, 1 of them new; 1 is approved and not landed"
    )
    assert [(each["bug"], each["state"], each["is_new"]) for each in found["uplifts"]] == [
        (1, "in_build", False),
        (2, "in_build", True),
        (3, "waited_for", False),
    ]
    assert (
        found["restricted"] is None
        and b"bug 4" not in (await service.client.get("/api/pipelines/b7/uplifts")).content
    )
    assert (await get(service, "/api/pipelines/b7/uplifts", "user"))["restricted"] == 1
    trusted = await get(service, "/api/pipelines/b7/uplifts", "reader")
    assert [each["bug"] for each in trusted["uplifts"]] == [1, 2, 3, 4]
    shown = (await service.client.get("/api/pipelines/b7/status")).text
    assert "restricted" not in shown and "4" not in str(
        (await get(service, "/api/pipelines/b7/status"))["message"]
    )
    for bug in (3, 4):
        land(bench, bug)
    bench.query("update steps set due_at = now() where kind = 'uplifts'")
    await bench.turn()
    uplift(bench, 5, landed=False)
    found = await get(service, "/api/pipelines/b7/uplifts")
    assert found["sentence"] == "Build 7 contains 3 uplifts, 2 of them new; 1 is approved and missed it"
    assert found["uplifts"][-1]["sentence"] == "Approved, missed it"
    await create(service, "none", step("a"))
    assert (await service.client.get("/api/pipelines/none/uplifts")).status_code == 404


async def test_a_build_that_goes_on_without_what_has_not_landed_contains_the_rest(both: Both) -> None:
    service, bench = both
    bench.query("insert into trains (name, channel, repository, branch) values ('beta', 'beta', 'r', 'b')")
    uplift(bench, 1, landed=True)
    uplift(bench, 2, landed=False)
    await create(service, "p", step("uplifts", kind="uplifts", parameters={"train": "beta"}), build=1)
    await bench.turn()
    for verb in ("cancel", "skip"):
        path = f"/api/pipelines/p/steps/uplifts/{verb}"
        answer = await service.by("engineer").post(path, json={"reason": "bug 2 goes into the next one"})
        assert answer.status_code == 200, answer.text
        await bench.turn()
    found = await get(service, "/api/pipelines/p/uplifts")
    assert found["sentence"] == "Build 1 contains 1 uplift; 1 is approved and missed it"


async def test_what_landed_after_the_commit_that_is_built_is_not_in_the_build(both: Both) -> None:
    service, bench = both
    bench.query("insert into trains (name, channel, repository, branch) values ('beta', 'beta', 'r', 'b')")
    uplift(bench, 1, landed=True)
    uplift(bench, 2, landed=True)
    waits = step("uplifts", kind="uplifts", parameters={"train": "beta"})
    await create(service, "p", waits, build=1, revision="abc123")
    found = await get(service, "/api/pipelines/p/uplifts")
    assert found["sentence"] == (
        "Build 1 will contain 2 uplifts; as the train's tip has it, for nothing was tried on abc123"
    )
    tried = (
        "insert into trials (request, train, series_digest, tip, key, outcome, tried_at)"
        " values (%s, 'beta', 'd', 'abc123def456', %s, %s, now() - interval '1 hour')"
    )
    bench.query(tried, "r1", "k1-before", "landed")
    bench.query(tried, "r2", "k2-before", "clean")
    told = ["In this build", "Approved, landed too late for this build"]
    for verb in ("will contain", "contains"):
        found = await get(service, "/api/pipelines/p/uplifts")
        assert found["sentence"] == f"Build 1 {verb} 1 uplift; 1 is approved and missed it"
        assert [each["sentence"] for each in found["uplifts"]] == told
        await bench.turn()


# --- rollback, merge day ------------------------------------------------------------------------------

PLAN = {"ship": {"description": "back to 146.0", "steps": [step("undo")]}}


async def test_a_phase_is_taken_back_by_its_plan_once_and_on_record(both: Both) -> None:
    service, _ = both
    more = {"product": "firefox", "version": "147.0", "rollbacks": PLAN}
    await create(service, "p", step("a", phase="ship"), step("b", "a", phase="ship"), **more)
    because = {"reason": "crashes at start"}
    path = "/api/pipelines/p/rollback/ship"
    assert (await service.by("manager").post(path, json=because)).status_code == 403
    assert (await service.by("shipper").post(path, json={})).status_code == 400
    assert (
        await service.by("engineer").post("/api/pipelines/p/rollback/push", json=because)
    ).status_code == 404
    for _ in range(2):
        answer = await service.by("shipper").post(path, json=because)
        assert answer.status_code == 200, answer.text
        assert answer.json()["uid"] == "p.rollback-ship"
    shown = await get(service, "/api/releases/p")
    assert shown["hold"] == "rolled back: crashes at start"
    assert [(each["phase"], each["uid"], each["status"]) for each in shown["rollbacks"]] == [
        ("ship", "p.rollback-ship", "in_progress")
    ]
    history = await get(service, "/api/pipelines/p/history")
    assert [each["what"] for each in history].count("rolled back ship") == 1


async def test_a_bad_plan_is_told_when_the_pipeline_is_created(both: Both) -> None:
    service, _ = both
    bad = {
        "steps": [step("a", phase="ship")],
        "rollbacks": {"ship": {"steps": [step("x", kind="nonsense")]}, "sail": {"steps": [step("y", "z")]}},
    }
    answer = await service.by("engineer").put("/api/pipelines/p", json=bad)
    assert {each["pointer"] for each in answer.json()["problems"]} == {
        "/rollbacks/ship/steps/0/kind",
        "/rollbacks/sail",
        "/rollbacks/sail/steps/0/requires/0",
    }


async def test_the_merge_day_comes_from_the_trains_as_the_schedule_has_them(both: Both) -> None:
    service, bench = both
    assert (await service.client.get("/api/merge-day")).status_code == 404
    insert = (
        "insert into trains (name, channel, repository, branch, major, stage, deadlines)"
        " values (%s, %s, 'r', 'b', %s, %s, %s::jsonb)"
    )
    day = '[{"name": "merge_day", "at": "2026-12-07T13:00:00Z"}]'
    for name, channel, major, stage, deadlines in (
        ("nightly", "nightly", 154, "nightly", day),
        ("beta", "beta", 153, "late-beta", day),
        ("esr153", "esr", 153, "esr", "[]"),
        ("esr140", "esr", 140, "esr", "[]"),
        ("esr128", "esr", 128, "ended", "[]"),
    ):
        bench.query(insert, name, channel, major, stage, deadlines)
    found = await get(service, "/api/merge-day")
    assert (found["version"], found["at"]) == ("155", "2026-12-07T13:00:00Z")
    assert [each["behavior"] for each in found["merges"]] == [
        "beta-to-release",
        "release-to-esr153",
        "main-to-beta",
        "bump-main",
        "bump-esr140",
    ]
    values = {
        "product": "firefox",
        "hook": {"group": "g", "id": "merge"},
        "signers": [{"releng": 1}],
        **{name: found[name] for name in ("version", "merges", "at")},
    }
    definition = (await service.client.post("/api/templates/merge-day", json=values)).json()
    answer = await service.by("engineer").put("/api/pipelines/merge-155", json=definition)
    assert answer.status_code == 201, answer.text
    merges = [each for each in definition["steps"] if each["kind"] == "taskcluster"]
    assert {each["not_before"] for each in merges} == {"2026-12-07T13:00:00Z"}
