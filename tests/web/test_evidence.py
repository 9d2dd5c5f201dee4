# SPDX-License-Identifier: MPL-2.0
"""The evidence of a request over REST: what is in it, who sees what, and what pages ask of workers for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fixtures_postgres import Database
from fixtures_web import NOON, Service, make_bug, make_request, make_secret, make_trial, running
from shipit.merge.conflict_view import ConflictView
from shipit.merge.types import Outcome
from shipit.uplift.analysis import (
    Analysis,
    Churn,
    Failed,
    MozdataAnalysis,
    PatchFacts,
    ReadPatch,
    Relations,
    Size,
    Source,
)
from shipit.uplift.evidence import Evidence
from shipit.uplift.forms import forms_in
from shipit.uplift.landings import CommitFact
from shipit.uplift.people import Deed, Did
from shipit.uplift.report import BugsReport, Contributor, TrialsReport
from shipit.uplift.sizes import FileChange
from shipit.uplift.types import Comment, Flag, Form, PatchRef, PatchSource, Person, RequestState

UID = "101-beta-1"
EVIDENCE = f"/api/requests/{UID}/evidence"
AUTHOR = "author@example.com"
CHURN = Churn(
    since=None,
    commits=12,
    by_author=5,
    by_reviewers=0,
    reviewed_by_reviewers=2,
    backouts=1,
    last=NOON - timedelta(days=9),
)


def form(**more: str) -> Form:
    answers = {"Risk to taking this patch": "Low", "String changes made/needed": "none", **more}
    said = "\n".join(f"* **{question}**: {text}" for question, text in answers.items())
    text = f"### Beta Uplift Approval Request\n* **User impact if declined**: crash\n{said}"
    (found,) = forms_in(Comment(id=7, number=1, creator=AUTHOR, time=NOON, text=text))
    return found


def patch(*files: FileChange, name: str = "D1") -> PatchFacts:
    return PatchFacts(
        name=name,
        kind=PatchSource.REVISION,
        author=Person(name="An Author", email=AUTHOR),
        message="Bug 101 - Fix it. r=rev",
        authored_at=NOON,
        landed_at=None,
        reviewers=("rev",),
        files=files or (FileChange(path="dom/a.cpp", added=4, deleted=1),),
        languages=("C++",),
        components=("Core :: DOM",),
        overall=CHURN,
        recent=CHURN,
        tests_near=2,
        source=Source.PHABRICATOR,
        read_at=NOON,
    )


def analysis(bug: int, *patches: PatchFacts | Failed) -> dict[str, Any]:
    made = Analysis(
        bug=bug,
        patches=patches or (patch(),),
        reading=MozdataAnalysis(
            patches=(ReadPatch(name="D1", kind=PatchSource.REVISION, url="", modules=("Core: DOM",)),),
            backouts=0,
            comments=1,
            refused_patches=0,
            in_testsuite="",
            authors=(),
            reviewers=(),
            landings={},
            read_at=NOON,
        ),
        people=(),
        relations=Relations(),
        size=Size(),
        test_size=Size(),
        bug_read_at=NOON,
        analysed_at=NOON,
    )
    return msgspec.to_builtins(made)  # type: ignore[no-any-return]


def landing(sha: str, days: int, **more: Any) -> dict[str, Any]:
    fact = CommitFact(
        sha=sha,
        subject="Bug 101 - Fix it",
        author=f"An Author <{AUTHOR}>",
        date=NOON - timedelta(days=days),
        **more,
    )
    return msgspec.to_builtins(fact)  # type: ignore[no-any-return]


def told_bug(number: int = 101, *requests: Any, **more: Any) -> Any:
    asked = requests or (make_request(number, form=form(), outcome=Outcome.CONFLICT),)
    facts: dict[str, Any] = {
        "analysis": analysis(number),
        "landings": (landing("a" * 40, 5), landing("b" * 40, 4, is_backout=True), landing("c" * 40, 2)),
        "relations": {"regressions": (55,), "regressed_by": (), "dupe_of": ()},
        "contributors": (
            Contributor(
                email=AUTHOR,
                name="An Author",
                roles=("author", "uplift requester"),
                deeds=(
                    Deed(who=AUTHOR, did=Did.REQUESTED, at=_ago(1), bug=number),
                    Deed(who=AUTHOR, did=Did.LANDED, at=_ago(3), bug=number),
                    Deed(who=AUTHOR, did=Did.LANDED, at=_ago(900), bug=number),
                ),
            ),
        ),
        "flags": (Flag(id=1, name="qe-verify", status="+", setter="qe@example.com", created=NOON),),
        **more,
    }
    return make_bug(number, *asked, **facts)


def _ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


async def read(service: Service, who: str | None = "user", uid: str = UID) -> dict[str, Any]:
    answer = await service.by(who).get(f"/api/requests/{uid}/evidence")
    assert answer.status_code == 200, answer.text
    msgspec.json.decode(answer.content, type=Evidence)
    return answer.json()  # type: ignore[no-any-return]


async def test_answers_stand_beside_facts_with_what_disagrees_first(database: Database) -> None:
    async with running(database) as service:
        words = FileChange(path="browser/locales/en-US/browser/menu.ftl", added=1, words=1)
        await service.feed(told_bug(analysis=analysis(101, patch(words))))
        told = await read(service)
    first, second = told["checks"][:2]
    assert {first["question"], second["question"]} == {"strings", "risk_level"}
    assert first["verdict"] == second["verdict"] == "disagrees"
    assert told["disagreements"] == 2
    strings = next(row for row in told["checks"] if row["question"] == "strings")
    assert (strings["says"], strings["paths"], strings["source"]) == ("none", [words.path], "clone")
    risk = next(row for row in told["checks"] if row["question"] == "risk_level")
    assert risk["kind"] == "says low risk, was backed out before"
    assert told["form"]["raw"].startswith("### Beta Uplift")


async def test_a_request_is_told_whole(database: Database) -> None:
    async with running(database) as service:
        await service.feed(told_bug())
        told = await read(service)
    assert told["standing"]["word"] == "Conflict, 1 file"
    (shown,) = told["patches"]
    assert (shown["files"], shown["added"], shown["outcome"]) == (1, 4, "conflict")
    (bake,) = [row["sentence"] for row in told["facts"] if row["key"] == "bake"]
    assert bake.startswith("On main again for ")
    assert [row["bugs"] for row in told["facts"] if row["key"] == "regressions"] == [[55]]
    assert [row["sentence"] for row in told["facts"] if row["key"] == "modules"] == ["Core: DOM."]
    (person,) = told["people"]
    assert person["name"] == "An Author"
    assert person["sentences"][0].startswith(
        "1 uplift asked for, 1 commit landed, none of them backed out, of bugs"
    )
    assert person["sentences"][1] == "Wrote 5 of the 12 earlier commits to these files."
    assert [row["count"] for row in person["records"]] == [1, 1], "what is older than a year is not counted"
    kinds = [row["kind"] for row in told["timeline"]]
    assert kinds == ["landed", "backed out", "landed", "requested", "trial", "flag"]
    assert told["timeline"][-1]["sentence"] == "qe sets qe-verify to +."
    assert told["conflict"]["state"] == "offered"
    assert told["interdiff"]["state"] == "none"
    assert [one["is_current"] for one in told["versions"]] == [True]


async def test_what_was_decided_here_is_in_the_timeline(database: Database) -> None:
    line = (
        "insert into decision_audit (at, requests, actor, what, object, before, after, why, answer) values "
    )
    rows = [
        ("approve", "", "approval-mozilla-beta ?", "approval-mozilla-beta +", "SECRET words", ""),
        ("written", "attachment 1010", "?", "+", "", "200 SECRET"),
    ]
    async with running(database) as service:
        await service.feed(told_bug())
        with database.connect() as connection:
            for row in rows:
                values = (NOON, [UID], "rosa@example.com", *row)
                connection.execute(line + "(%s, %s, %s, %s, %s, %s, %s, %s, %s)", values)  # type: ignore[arg-type]
        said = {
            who: [
                one["sentence"] for one in (await read(service, who))["timeline"] if one["source"] == "board"
            ]
            for who in (None, "user")
        }
    assert said[None] == [
        "rosa approves it here: approval-mozilla-beta ? to approval-mozilla-beta +.",
        "rosa: written attachment 1010: ? to +.",
    ]
    assert said["user"][0].endswith(" (SECRET words).")
    assert said["user"][1].endswith(" Answer: 200 SECRET.")


async def test_strangers_see_no_address_and_no_note(database: Database) -> None:
    async with running(database) as service:
        await service.feed(told_bug())
        await _note(service, public="helpful", private="SECRET note")
        stranger, user, admin = [await read(service, who) for who in (None, "user", "admin")]
    assert "@" not in str(stranger["people"]) + str(stranger["timeline"])
    assert (stranger["people"][0]["note"], stranger["people"][0]["id"]) == (None, None)
    assert user["people"][0]["email"] == AUTHOR
    assert (user["people"][0]["note"]["public"], user["people"][0]["note"]["private"]) == ("helpful", None)
    assert admin["people"][0]["note"]["private"] == "SECRET note"


async def _note(service: Service, *, public: str, private: str) -> None:
    (person,) = (await service.by("admin").get("/api/people")).json()
    answer = await service.by("admin").put(
        f"/compat/uplift/contributor/{person['id']}",
        json={"karma": 1, "comment_public": public, "comment_private": private},
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("who", [None, "stranger", "user", "admin", "bot"])
async def test_a_security_bug_is_told_to_nobody_without_the_right(
    database: Database, who: str | None
) -> None:
    async with running(database) as service:
        secret = make_secret(7316661, make_request(7316661, form=form(), outcome=Outcome.CONFLICT))
        assert (await service.feed(secret)).status_code == 200
        detail = _detail("7316661-beta-1")
        assert (
            await service.by("bot").put("/api/requests/7316661-beta-1/details", json=detail)
        ).status_code == 204
        for path, absent in (("7316661-beta-1", "999-beta-1"),):
            one = await service.by(who).get(f"/api/requests/{path}/evidence")
            other = await service.by(who).get(f"/api/requests/{absent}/evidence")
            assert (one.status_code, one.text.replace("7316661", "999")) == (other.status_code, other.text)
        seen = await read(service, "reader", "7316661-beta-1")
        assert seen["conflict"]["state"] == "ready"


async def test_what_people_did_in_security_bugs_is_not_counted_for_others(database: Database) -> None:
    async with running(database) as service:
        deeds = (Deed(who=AUTHOR, did=Did.REQUESTED, at=_ago(1), bug=102),)
        person = Contributor(email=AUTHOR, name="An Author", roles=("author",), deeds=deeds)
        await service.feed(told_bug(), make_secret(102, make_request(102), contributors=(person,)))
        counted = {
            who: next(
                r["count"]
                for r in (await read(service, who))["people"][0]["records"]
                if r["did"] == "requested"
            )
            for who in ("user", "reader")
        }
    assert counted == {"user": 1, "reader": 2}


async def test_a_named_bug_is_told_as_far_as_it_may_be_seen(database: Database) -> None:
    asked = form(**{"List of other uplifts needed": "bug 1000102 and bug 1000103"})
    async with running(database) as service:
        await service.feed(
            told_bug(101, make_request(101, form=asked)),
            make_bug(1000102, make_request(1000102, state=RequestState.APPROVED, decided_at=NOON)),
            make_secret(1000103, make_request(1000103)),
        )
        said = {
            who: next(
                r["measured"]
                for r in (await read(service, who))["checks"]
                if r["question"] == "other_uplifts"
            )
            for who in ("user", "reader")
        }
    assert said["user"] == "bug 1000102: approved for beta; bug 1000103: no request for beta is known."
    assert said["reader"] == "bug 1000102: approved for beta; bug 1000103: requested for beta."


# --- what pages ask for -------------------------------------------------------------------------------


def _detail(uid: str = UID, *, tip: str = "a" * 40, digest: str = "s1") -> dict[str, Any]:
    return {
        "request": uid,
        "kind": "conflict",
        "key": f"{digest}/{tip}",
        "content": msgspec.to_builtins(ConflictView(tip=tip, patch="D1")),
        "made_at": NOON.isoformat(),
    }


async def ask(service: Service, **body: Any) -> Any:
    return await service.by("user").post(f"/api/requests/{UID}/wishes", json=body)


async def test_a_conflict_is_asked_for_made_once_and_not_asked_again(database: Database) -> None:
    async with running(database) as service:
        await service.feed(told_bug())
        first, second = [(await ask(service, kind="conflict")).json() for _ in range(2)]
        assert first["uid"] == second["uid"]
        waiting = (await read(service))["conflict"]
        assert (waiting["state"], waiting["view"]) == ("asked", None)
        assert "The hunks: asked for" in waiting["sentence"]
        for _ in range(2):
            answer = await service.by("bot").put(f"/api/requests/{UID}/details", json=_detail())
            assert answer.status_code == 204
        await service.by("bot").put(f"/api/wishes/{first['uid']}", json={"result": {}})
        ready = (await read(service))["conflict"]
        assert (ready["state"], ready["view"]["patch"], ready["is_old"]) == ("ready", "D1", False)
        again = (await ask(service, kind="conflict")).json()
        assert again["done_at"] is not None
        assert (await service.by("bot").get("/api/wishes")).json() == []
        # the train moves on: what was made is old, and may be asked for again
        moved = make_trial(UID, "beta", Outcome.CONFLICT, tip="b" * 40, tried_at=NOON + timedelta(hours=1))
        await service.put("/api/trials", TrialsReport(trials=(moved,)))
        old = (await read(service))["conflict"]
        assert (old["state"], old["is_old"], old["view"]["tip"]) == ("offered", True, "a" * 40)
        assert (await ask(service, kind="conflict")).json()["done_at"] is None


async def test_what_does_not_conflict_cannot_be_shown(database: Database) -> None:
    async with running(database) as service:
        await service.feed(told_bug(101, make_request(101, outcome=Outcome.CLEAN)))
        assert (await ask(service, kind="conflict")).status_code == 404
        assert (await ask(service, kind="interdiff", since="s0")).status_code == 404
        assert (await ask(service, kind="interdiff")).status_code == 422
        assert (await ask(service, kind="conflict", since="s0")).status_code == 422
        assert (await read(service))["conflict"]["state"] == "none"


async def test_a_new_version_after_the_approval_reopens_the_question(database: Database) -> None:
    def version(diff: str, state: RequestState) -> Any:
        series = (PatchRef(source=PatchSource.REVISION, name="D1", version=diff),)
        decided = {"decided_at": NOON, "decided_by": "manager@example.com"} if state != "requested" else {}
        return make_request(101, state=state, series=series, series_digest=f"s{diff}", **decided)

    async with running(database) as service:
        for place, (diff, state) in enumerate(
            (("1", RequestState.REQUESTED), ("2", RequestState.APPROVED), ("3", RequestState.APPROVED))
        ):
            bug = told_bug(
                101, version(diff, state), digest=f"d{place}", read_at=NOON + timedelta(hours=place)
            )
            assert (await service.feed(bug)).json()["bugs"][0]["result"] != "refused"
        told = await read(service)
        part = told["interdiff"]
        assert (part["state"], part["since"], part["is_since_approval"]) == ("offered", "s2", True)
        assert part["sentence"].startswith("The patches changed after the approval. ")
        assert [(one["digest"], one["is_decided"], one["is_current"]) for one in told["versions"]] == [
            ("s1", False, False),
            ("s2", True, False),
            ("s3", False, True),
        ]
        wish = (await ask(service, kind="interdiff", since="s2")).json()
        known = (await service.by("bot").get("/api/known")).json()["wishes"]
        assert [(one["uid"], one["detail"], one["series"][0]["version"]) for one in known] == [
            (wish["uid"], "s2", "2")
        ]
        assert (await read(service))["interdiff"]["state"] == "asked"
        assert "The patches change to D1, diff 3." in [row["sentence"] for row in told["timeline"]]


async def test_a_new_version_before_the_decision_reopens_nothing(database: Database) -> None:
    async with running(database) as service:
        for place, diff in enumerate("12"):
            series = (PatchRef(source=PatchSource.REVISION, name="D1", version=diff),)
            asked = make_request(101, series=series, series_digest=f"s{diff}")
            await service.feed(
                told_bug(101, asked, digest=f"d{place}", read_at=NOON + timedelta(hours=place))
            )
        part = (await read(service))["interdiff"]
    assert (part["state"], part["since"], part["is_since_approval"]) == ("offered", "s1", False)


async def test_a_detail_of_another_request_or_kind_is_refused(database: Database) -> None:
    async with running(database) as service:
        await service.feed(told_bug())
        bot = service.by("bot")
        wrong = {**_detail(), "request": "102-beta-1"}
        assert (await bot.put(f"/api/requests/{UID}/details", json=wrong)).status_code == 422
        assert (
            await bot.put(f"/api/requests/{UID}/details", json={**_detail(), "kind": "x"})
        ).status_code == 422
        gone = await bot.put("/api/requests/1-beta-1/details", json=_detail("1-beta-1"))
        assert gone.status_code == 204, "a request that is gone needs nothing"


async def test_what_an_older_version_stored_is_left_out_and_said(database: Database) -> None:
    async with running(database) as service:
        await service.feed(told_bug(analysis={"patches": [{"type": "novel"}]}, landings=({"sha": 1},)))
        told = await read(service)
    assert told["analysis_error"] == "the stored analysis and landings cannot be read"
    assert {row["verdict"] for row in told["checks"]} == {"cannot tell"}


async def test_what_disappears_from_bugzilla_disappears_here(database: Database) -> None:
    async with running(database) as service:
        await service.feed(told_bug())
        assert (await service.by(None).get(EVIDENCE)).status_code == 200
        await service.put("/api/bugs", BugsReport(round="r2", bugs=(), hidden=(101,)))
        assert (await service.by("user").get(EVIDENCE)).status_code == 404
