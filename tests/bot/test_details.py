# SPDX-License-Identifier: MPL-2.0
"""A page asks, the next look makes it, the page hears of it: conflicts with blame, and interdiffs."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from fixtures_bot import MANAGER, SECURITY, Scene
from shipit.bot.details import paired
from shipit.clients.hawk import signature
from shipit.uplift.types import PatchRef, PatchSource


class Person:
    """Somebody at a page: asks for things and reads the evidence."""

    def __init__(self, scene: Scene, *scopes: str) -> None:
        taskcluster = scene.world.taskcluster
        token = taskcluster.add_client("tests/person", ("project:shipit:user", *scopes), days=365)
        self._credentials = {"clientId": "tests/person", "accessToken": token}
        self.url = scene.settings.backend.url or ""

    async def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        content = b"" if body is None else msgspec.json.encode(body)
        kind = "application/json" if content else ""
        header = signature(self._credentials, method, self.url + path, content, kind)
        headers = {"Authorization": header} | ({"Content-Type": kind} if content else {})
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.request(method, self.url + path, content=content, headers=headers)

    async def ask(self, uid: str, **body: Any) -> dict[str, Any]:
        answer = await self.call("POST", f"/api/requests/{uid}/wishes", body)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def evidence(self, uid: str) -> dict[str, Any]:
        answer = await self.call("GET", f"/api/requests/{uid}/evidence")
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]


def uid_of(scene: Scene, bug: int, train: str = "beta") -> str:
    ((uid,),) = scene.rows("select uid from requests where bug = %s and train = %s", bug, train)
    return str(uid)


async def test_a_conflict_is_shown_when_a_page_asks(scene: Scene) -> None:
    bug = scene.ask("beta", on="beta")
    await scene.round()
    person, uid = Person(scene), uid_of(scene, bug)
    assert (await person.evidence(uid))["conflict"]["state"] == "offered"
    await person.ask(uid, kind="conflict")
    assert (await person.evidence(uid))["conflict"]["state"] == "asked"
    asked_before = scene.asked()
    async with (
        httpx.AsyncClient(trust_env=False, timeout=20) as client,
        client.stream("GET", f"{person.url}/api/live") as stream,
    ):
        heard = asyncio.create_task(_hears(stream, uid))
        await scene.look()
        await asyncio.wait_for(heard, 20)
    assert scene.asked() - asked_before <= 2, "the bug is not read again for it"
    part = (await person.evidence(uid))["conflict"]
    assert part["state"] == "ready"
    (file,) = part["view"]["files"]
    (hunk,) = file["hunks"]
    assert hunk["ours"]["lines"] == ["only beta"]
    (span,) = hunk["ours"]["blame"]
    assert part["view"]["commits"][span["commit"]]["bug"] == 1001
    again = await person.ask(uid, kind="conflict")
    assert again["done_at"] is not None
    assert scene.rows("select count(*) from wishes") == [(1,)]


async def _hears(stream: httpx.Response, uid: str) -> None:
    event = ""
    async for line in stream.aiter_lines():
        event = line.removeprefix("data: ")
        if '"wishes"' in event and uid in event:
            return


async def test_a_new_diff_is_compared_with_the_approved_one(scene: Scene) -> None:
    bug = scene.ask("beta", kind="revision")
    await scene.round()
    scene.decide(bug, "beta", "+")
    await scene.round()
    scene.revise(bug, 25)
    await scene.round()
    person, uid = Person(scene), uid_of(scene, bug)
    part = (await person.evidence(uid))["interdiff"]
    assert (part["state"], part["is_since_approval"]) == ("offered", True)
    await person.ask(uid, kind="interdiff", since=part["since"])
    await scene.look()
    part = (await person.evidence(uid))["interdiff"]
    assert part["state"] == "ready"
    assert part["sentence"].startswith("The patches changed after the approval. D")
    (patch,) = part["view"]["patches"]
    marks = {(line["mark"], line["text"]) for line in patch["files"][0]["lines"]}
    assert ("added", "+line 25, fixed") in marks
    assert ("removed", "+line 20, fixed") in marks
    assert (await person.ask(uid, kind="interdiff", since=part["since"]))["done_at"] is not None


@pytest.mark.drill
async def test_what_cannot_be_made_says_why_and_is_not_waited_for(scene: Scene) -> None:
    bug = scene.ask("beta", on="beta")
    await scene.round()
    person, uid = Person(scene), uid_of(scene, bug)
    wish = await person.ask(uid, kind="conflict")
    scene.rows("update requests set closed_at = now(), state = 'cleared' where uid = %s returning 1", uid)
    await scene.look()
    rows = scene.rows("select result->>'error' from wishes where uid = %s", wish["uid"])
    assert rows == [("the request is no longer open",)]
    part = (await person.evidence(uid))["conflict"]
    assert part["state"] == "offered"
    assert part["sentence"].endswith(": the request is no longer open.")


@pytest.mark.drill
async def test_a_wish_that_surprises_us_ends_no_round(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def surprising(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    bug = scene.ask("beta", on="beta")
    await scene.round()
    person, uid = Person(scene), uid_of(scene, bug)
    await person.ask(uid, kind="conflict")
    monkeypatch.setattr("shipit.bot.details.conflict_view", surprising)
    assert (await scene.look()).is_ours
    assert scene.rows("select result->>'error' from wishes") == [("it cannot be made (RuntimeError)",)]


async def test_a_page_without_the_right_asks_for_nothing_of_a_security_bug(scene: Scene) -> None:
    bug = scene.ask("beta", on="beta", groups=(SECURITY,))
    await scene.round()
    uid = uid_of(scene, bug)
    stranger = Person(scene)
    answer = await stranger.call("POST", f"/api/requests/{uid}/wishes", {"kind": "conflict"})
    assert answer.status_code == 404
    assert scene.rows("select count(*) from wishes") == [(0,)]
    trusted = Person(scene, "project:shipit:restricted")
    await trusted.ask(uid, kind="conflict")
    await scene.look()
    assert (await trusted.evidence(uid))["conflict"]["state"] == "ready"


async def test_facts_of_the_round_stand_beside_the_form(scene: Scene) -> None:
    bug = scene.ask("beta")
    scene.product.patch("beta", 0, 20, f"Bug {bug} - Mend part 0. r=tbrand a=rlind")
    await scene.round()
    told = await Person(scene).evidence(uid_of(scene, bug))
    by_question = {row["question"]: row for row in told["checks"]}
    assert by_question["strings"]["verdict"] == "agrees"
    assert by_question["tests"]["measured"] == "No test is touched, and no program code."
    assert by_question["tests"]["verdict"] == "cannot tell"
    assert by_question["risk_level"]["measured"].startswith("1 file and 2 lines outside tests.")
    records = {(one["name"], row["did"], row["count"]) for one in told["people"] for row in one["records"]}
    assert ("Mira Anand [:mira]", "requested", 1) in records
    assert ("Mira Anand [:mira]", "landed", 1) in records
    assert ("Tomas Brand [:tbrand]", "reviewed", 1) in records
    assert MANAGER.email not in str(told)
    assert {row["kind"] for row in told["timeline"]} >= {"landed", "requested", "trial"}
    landings = [row["sentence"].partition(":")[0] for row in told["timeline"] if row["kind"] == "landed"]
    assert landings == ["Lands on main", "Lands on beta"]


@pytest.mark.parametrize(
    ("older", "newer", "expected"),
    [
        ("a b", "a b", ["a a", "b b"]),
        ("a b", "b c", ["b b", "a c"]),
        ("a", "a b", ["a a", "- b"]),
        ("a b", "b", ["b b", "a -"]),
        ("", "a", ["- a"]),
    ],
)
def test_patches_are_paired_by_name_then_by_place(older: str, newer: str, expected: list[str]) -> None:
    one, other = (
        [PatchRef(source=PatchSource.REVISION, name=name, version="1") for name in names.split()]
        for names in (older, newer)
    )
    found = [f"{a.name if a else '-'} {b.name if b else '-'}" for a, b in paired(one, other)]
    assert found == expected
