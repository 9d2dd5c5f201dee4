# SPDX-License-Identifier: MPL-2.0
"""Decisions and keys over HTTP: who may, what is told to whom, and that a key never comes out again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fixtures_decisions import DECIDES, MIRA, ROSA, SECURITY, Desk, desked
from fixtures_postgres import Server
from fixtures_web import CAST, Service, running
from shipit.cli.writing import whose_of
from shipit.merge.advice import Advice, Prerequisite
from shipit.merge.types import Outcome
from shipit.uplift.report import Searched, SearchesReport

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = {
    **CAST,
    ROSA: (*DECIDES, "project:shipit:restricted"),
    "theo": ("project:shipit:user", "project:shipit:restricted"),
    "beta-only": ("project:shipit:user", "project:shipit:decide/beta"),
}


class Both:
    """A desk with the web service before it."""

    def __init__(self, desk: Desk, service: Service) -> None:
        self.desk, self.service = desk, service

    async def ask(
        self, method: str, path: str, body: Any = None, *, who: str | None = ROSA
    ) -> httpx.Response:
        if body is None:
            return await self.service.by(who).request(method, path)
        return await self.service.by(who).request(method, path, json=body)

    async def previewed(self, verdict: str, bug: int, *, who: str = ROSA, **more: Any) -> dict[str, Any]:
        body = {"verdict": verdict, "requests": self.desk.uids(bug), **more}
        answer = await self.ask("POST", "/api/decisions/preview", body, who=who)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def decide(
        self, uid: str, verdict: str, bug: int, *, who: str = ROSA, **more: Any
    ) -> httpx.Response:
        seen = await self.previewed(verdict, bug, who=who, **more)
        body = {"verdict": verdict, "requests": self.desk.uids(bug), **more}
        given = body | {"seen": seen["seen"], "stamps": seen["stamps"]}
        return await self.ask("PUT", f"/api/decisions/{uid}", given, who=who)


@contextlib.asynccontextmanager
async def house(postgres: Server, **more: Any) -> AsyncIterator[Both]:
    database = postgres.create_migrated()
    async with desked(database) as desk:
        given = {
            "bugzilla": desk.settings.bugzilla,
            "phabricator": desk.settings.phabricator,
            "decisions": desk.settings.decisions,
            "secret_key": desk.settings.secret_key,
            **more,
        }
        whose = whose_of(desk.settings, desk.session)
        async with running(database, settings=given, whose=whose) as service:
            service.auth.people = PEOPLE
            yield Both(desk, service)
    postgres.drop(database.url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_house(postgres: Server) -> AsyncIterator[Both]:
    async with house(postgres) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def both(one_house: Both) -> Both:
    await one_house.desk.begin()
    return one_house


async def test_from_preview_to_written_and_read_again(both: Both) -> None:
    bug = both.desk.file("beta")
    await both.desk.read()
    answer = await both.decide("from-preview", "approve", bug, template="approve")
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["can"], made["verb"]) == ("held", ["undo"], "Approve")
    assert (await both.decide("from-preview", "approve", bug, template="approve")).status_code == 200
    both.desk.query("update decision_parts set due_at = now()")
    await both.desk.settle("from-preview")
    shown = (await both.ask("GET", "/api/decisions/from-preview")).json()
    assert (shown["state"], shown["parts"][0]["writes"][0]["word"]) == ("done", "done")
    (uid,) = both.desk.uids(bug)
    listed = (await both.ask("GET", f"/api/decisions?request={uid}")).json()
    assert [one["uid"] for one in listed] == ["from-preview"]
    audit = (await both.ask("GET", f"/api/requests/{uid}/audit")).json()
    assert [line["what"] for line in audit] == ["approve", "written", "written", "done"]
    undo = await both.ask("DELETE", "/api/decisions/from-preview")
    assert (undo.status_code, undo.json()["title"]) == (409, "Conflict")


async def test_a_mismatch_answers_with_what_changed_and_a_new_preview(both: Both) -> None:
    bug = both.desk.file("beta")
    await both.desk.read()
    seen = await both.previewed("approve", bug)
    both.desk.query("update trains set next_build = jsonb_set(next_build, '{name}', '\"beta_5\"')")
    body = {
        "verdict": "approve",
        "requests": both.desk.uids(bug),
        "seen": seen["seen"],
        "stamps": seen["stamps"],
    }
    answer = await both.ask("PUT", "/api/decisions/a-mismatch", body)
    both.desk.query("update trains set next_build = jsonb_set(next_build, '{name}', '\"beta_4\"')")
    assert answer.status_code == 409
    told = answer.json()
    assert [(one["before"], one["after"]) for one in told["differences"]] == [("118.0b4", "118.0b5")]
    assert told["preview"]["stamps"][both.desk.uids(bug)[0]]["build"] == "118.0b5"
    unseen = await both.ask(
        "PUT", "/api/decisions/without-a-look", {"verdict": "approve", "requests": both.desk.uids(bug)}
    )
    assert (unseen.status_code, unseen.json()["field"]) == (400, "seen")


async def test_an_approval_whose_prerequisite_is_not_approved_says_so(both: Both) -> None:
    first, bug = both.desk.file("beta"), both.desk.file("beta")
    await both.desk.read()
    ((uid, digest, tip),) = both.desk.query(
        "select r.uid, r.series_digest, t.tip from requests r"
        " join trains t on t.name = r.train where r.bug = %s",
        bug,
    )
    need = Prerequisite("b" * 40, first, "First", 3, 0)
    words = {"outcome": Outcome.CONFLICT, "verified": True, "reason": "why", "merges": 1}
    facts = {"request": uid, "train": "beta", "key": "k", "searched_at": datetime.now(UTC)}

    async def warned(tip: str, *more: str) -> list[str]:
        advice = Advice(prerequisites=(need,), **words)
        searched = Searched(advice=advice, tip=tip, series_digest=digest, **facts)
        told = await both.service.put("/api/advice", SearchesReport(searches=(searched,)))
        assert told.status_code == 204, told.text
        body = {"verdict": "approve", "requests": [uid, *more]}
        shown = (await both.ask("POST", "/api/decisions/preview", body)).json()
        return [one["text"] for one in shown["warnings"] if one["request"] == uid]

    (text,) = await warned(tip)
    assert text.startswith(f"It merges cleanly only with bug {first} landed first")
    # of another tip it proves nothing, and only an approval is warned of
    assert await warned("f" * 40) == []
    await warned(tip)
    assert (await both.previewed("reject", bug))["warnings"] == []


async def test_deciding_needs_the_scope_of_the_train(both: Both) -> None:
    bug = both.desk.file("release")
    await both.desk.read()
    answer = await both.decide("not-his-train", "approve", bug, who="beta-only")
    assert answer.status_code == 403 and "project:shipit:decide/release" in answer.json()["detail"]
    assert (await both.decide("no-train-at-all", "approve", bug, who="user")).status_code == 403


async def test_a_restricted_bug_is_not_there_for_those_without_the_right(both: Both) -> None:
    bug = both.desk.file("beta", groups=(SECURITY,))
    await both.desk.read()
    assert (await both.decide("of-a-secret", "approve", bug, comment="SECRET")).status_code == 201
    (uid,) = both.desk.uids(bug)
    for who in (None, "user", "beta-only"):
        for path in ("/api/decisions", f"/api/decisions?request={uid}", "/api/decisions/of-a-secret"):
            found = await both.ask("GET", path, who=who)
            assert "SECRET" not in found.text and 'of-a-secret"' not in found.text, (who, path)
        assert (await both.ask("GET", f"/api/requests/{uid}/audit", who=who)).status_code == 404
    body = {"verdict": "approve", "requests": [uid]}
    hidden = await both.ask("POST", "/api/decisions/preview", body, who="beta-only")
    assert hidden.json()["refusals"][0]["reason"] == "there is no such request"
    assert str(bug) not in hidden.text.replace(uid, "")
    assert (await both.ask("DELETE", "/api/decisions/of-a-secret", who="beta-only")).status_code == 404


async def test_of_a_batch_only_what_may_be_seen_is_told(both: Both) -> None:
    secret, public = both.desk.file("beta", groups=(SECURITY,)), both.desk.file("beta")
    await both.desk.read()
    uids = both.desk.uids(secret, public)
    seen = (await both.ask("POST", "/api/decisions/preview", {"verdict": "approve", "requests": uids})).json()
    given = {"verdict": "approve", "requests": uids, "reason": "both are crashes"}
    body = given | {"seen": seen["seen"], "stamps": seen["stamps"]}
    assert (await both.ask("PUT", "/api/decisions/half-a-secret", body)).status_code == 201
    told = (await both.ask("GET", "/api/decisions/half-a-secret", who="user")).json()
    assert ([part["bug"] for part in told["parts"]], told["reason"]) == ([public], "")
    assert both.desk.uids(secret)[0] not in str(told)
    whole = (await both.ask("GET", "/api/decisions/half-a-secret", who="theo")).json()
    assert (len(whole["parts"]), whole["reason"]) == (2, "both are crashes")


async def test_nobody_in_particular_reads_no_addresses_answers_or_reasons(both: Both) -> None:
    bug = both.desk.file("beta")
    await both.desk.read()
    asked = await both.decide("for-everybody", "ask", bug, comment="Verified?", reason="between us")
    assert asked.status_code == 201
    both.desk.query("update decision_parts set due_at = now()")
    await both.desk.settle("for-everybody")
    (uid,) = both.desk.uids(bug)
    for path in (
        "/api/decisions/for-everybody",
        f"/api/decisions?request={uid}",
        f"/api/requests/{uid}/audit",
        f"/api/requests/{uid}/evidence",
        "/api/board/beta",
    ):
        public = (await both.ask("GET", path, who=None)).text
        assert MIRA not in public and ROSA not in public and "between us" not in public
    member = (await both.ask("GET", "/api/decisions/for-everybody", who="theo")).json()
    assert (member["person"], member["can"]) == (ROSA, [])


async def test_a_decision_about_a_restricted_bug_is_told_live_to_those_alone_who_see_it(both: Both) -> None:
    bug, public = both.desk.file("beta", groups=(SECURITY,)), both.desk.file("beta")
    await both.desk.read()
    (secret,), (open_one,) = both.desk.uids(bug), both.desk.uids(public)
    heard: dict[str | None, str] = {}

    async def listen(who: str | None) -> None:
        async with both.service.by(who).stream("GET", "/api/live") as answer:
            ready.release()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3):
                    async for line in answer.aiter_lines():
                        heard[who] = heard.get(who, "") + line

    ready = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(listen(who)) for who in (None, "user", "theo")]
    for _ in listeners:
        await ready.acquire()
    await asyncio.sleep(0.7)
    assert (await both.decide("secret-and-live", "approve", bug)).status_code == 201
    assert (await both.decide("public-and-live", "approve", public)).status_code == 201
    await asyncio.gather(*listeners)
    assert all(open_one in heard[who] for who in (None, "user", "theo")), heard
    assert secret in heard["theo"]
    for who in (None, "user"):
        assert secret not in heard[who]


async def test_an_undone_decision_is_over_and_only_its_maker_undoes_it(both: Both) -> None:
    bug = both.desk.file("beta")
    await both.desk.read()
    await both.decide("soon-undone", "approve", bug)
    assert (await both.ask("DELETE", "/api/decisions/soon-undone", who="beta-only")).status_code == 403
    assert (await both.ask("DELETE", "/api/decisions/soon-undone")).json()["state"] == "undone"
    assert (await both.ask("POST", "/api/decisions/soon-undone/resume", {})).status_code == 409
    assert (await both.ask("GET", "/api/decisions/no-such-one")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"verdict": "maybe", "requests": ["x"]}, "body"),
        ({"verdict": "approve", "requests": []}, "body"),
        ({"verdict": "approve", "requests": ["x"], "nonsense": 1}, "body"),
        ({"verdict": "approve", "requests": ["x"], "comment": 7}, "body"),
        ({"verdict": "approve", "requests": ["x"] * 201}, "body"),
    ],
)
async def test_a_body_of_another_shape_is_refused_by_name(both: Both, body: Any, field: str) -> None:
    answer = await both.ask("POST", "/api/decisions/preview", body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_hostile_words_are_carried_as_words(both: Both) -> None:
    bug = both.desk.file("beta")
    await both.desk.read()
    words = "<script>alert(1)</script> {build} \u202e'; drop table requests; -- {nonsense} %s \x07"
    answer = await both.decide("hostile-words", "reject", bug, comment=words)
    assert answer.status_code == 201, answer.text
    both.desk.query("update decision_parts set due_at = now()")
    await both.desk.settle("hostile-words")
    assert both.desk.said(bug) == [words.replace("{build}", "118.0b4").strip()]


# --- keys ---------------------------------------------------------------------------------------------


async def test_a_key_goes_in_is_checked_and_never_comes_out(
    both: Both, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    desk = both.desk
    key = desk.world.bugzilla.key_for(MIRA, "a-key-that-nobody-else-may-ever-see")
    kept = await both.ask("PUT", "/api/me/keys/bugzilla", {"key": key}, who="theo")
    assert (kept.status_code, kept.json()["account"]) == (200, MIRA)
    me = (await both.ask("GET", "/api/me", who="theo")).json()
    assert me["keys"] == {"bugzilla": True, "phabricator": False} and me["shadow"] is False
    listed = await both.ask("GET", "/api/me/keys", who="theo")
    stored = desk.query("select * from person_keys where person = 'theo'")
    captured = capsys.readouterr()
    for text in (kept.text, listed.text, str(stored), caplog.text, captured.out, captured.err):
        assert key not in text
    assert (await both.ask("DELETE", "/api/me/keys/bugzilla", who="theo")).status_code == 204
    assert (await both.ask("DELETE", "/api/me/keys/bugzilla", who="theo")).status_code == 404
    assert (await both.ask("GET", "/api/me/keys", who="theo")).json() == []


async def test_a_wrong_key_is_not_kept_and_only_a_few_are_tried(both: Both) -> None:
    answers = []
    for number in range(6):
        body = {"key": f"a-wrong-key-{number}"}
        answers.append(await both.ask("PUT", "/api/me/keys/bugzilla", body, who="theo"))
    assert {answer.status_code for answer in answers} == {409}
    assert "does not take" in answers[0].json()["detail"] and "a-wrong-key" not in answers[0].text
    assert "within a minute" in answers[-1].json()["detail"]
    # A sixth wrong key, and the real one shuts this address out for an hour.
    assert both.desk.world.bugzilla.rest.closed_until is None
    assert (await both.ask("GET", "/api/me/keys", who="theo")).json() == []
    both.desk.query("delete from key_tries")
    short = await both.ask("PUT", "/api/me/keys/bugzilla", {"key": "x"}, who="theo")
    assert (short.status_code, short.json()["field"]) == (400, "key")
    assert (await both.ask("PUT", "/api/me/keys/twitter", {"key": "x" * 9}, who="theo")).status_code == 404
    wrong = await both.ask("PUT", "/api/me/keys/phabricator", {"key": "api-" + "x" * 28}, who="theo")
    assert wrong.status_code == 409 and "xxxx" not in wrong.text


async def test_in_shadow_mode_no_key_is_taken_and_nothing_is_stored(postgres: Server) -> None:
    async with house(postgres, secret_key=()) as both:
        bug = both.desk.file("beta")
        await both.desk.read()
        shown = await both.previewed("approve", bug)
        assert shown["changes"] == 1 and "shadow" in [one["field"] for one in shown["blockers"]]
        refused = await both.decide("in-the-shadow", "approve", bug)
        assert refused.status_code == 409 and "shadow mode" in refused.json()["detail"]
        key = await both.ask("PUT", "/api/me/keys/bugzilla", {"key": "x" * 20})
        assert key.status_code == 409 and "shadow mode" in key.json()["detail"]
        assert (await both.ask("GET", "/api/me")).json()["shadow"] is True
