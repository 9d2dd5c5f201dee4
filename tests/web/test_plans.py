# SPDX-License-Identifier: MPL-2.0
"""What is missing and what lands first, told by the bot and read by people."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fixtures_postgres import Database
from fixtures_web import NOON, Service, make_bug, make_request, make_secret, make_trains, running
from shipit.merge.advice import Advice, InTheWay, Prerequisite
from shipit.merge.left_behind import Why
from shipit.merge.types import Outcome
from shipit.uplift.plans import Behind, PlannedUplift, PlansReport, Scope, TrainPlan, Waiting
from shipit.uplift.report import Searched, SearchesReport
from shipit.uplift.types import PatchRef, PatchSource, RequestState

MISSING = "b" * 40
OTHER = "c" * 40


def commit(sha: str) -> tuple[PatchRef, ...]:
    return (PatchRef(source=PatchSource.COMMIT, name=sha[:12], version=sha),)


def found(uid: str = "101-beta-1", **more: Any) -> Searched:
    """A search that found one verified prerequisite, of bug 102."""
    named = Prerequisite(MISSING, 102, "Bug 102 - first", 12, 1, author="Ben <ben@example.com>")
    facts: dict[str, Any] = {
        "request": uid,
        "train": "beta",
        "tip": "a" * 40,
        "series_digest": "s1",
        "key": "k1",
        "advice": Advice(
            outcome=Outcome.CONFLICT,
            prerequisites=(named,),
            verified=True,
            reason="merges cleanly with 1 commit (bug 102) tried first",
            merges=3,
        ),
        "searched_at": NOON,
        "engine": "git 2.39.5",
        **more,
    }
    return Searched(**facts)


async def tell(service: Service, *searches: Searched) -> None:
    answer = await service.put("/api/advice", SearchesReport(searches=searches))
    assert answer.status_code == 204, answer.text


async def advice(service: Service, uid: str = "101-beta-1", who: str | None = "user") -> dict[str, Any]:
    answer = await service.by(who).get(f"/api/requests/{uid}")
    return answer.json()["trials"][0]["advice"]


def plan(*uids: str, scope: Scope = Scope.APPROVED, sees_restricted: bool = False, **more: Any) -> TrainPlan:
    facts: dict[str, Any] = {
        "train": "beta",
        "scope": scope,
        "sees_restricted": sees_restricted,
        "key": "p1",
        "made_at": NOON,
        "tip": "a" * 40,
        "main": "9" * 40,
        "order": tuple(
            PlannedUplift(request=uid, bug=int(uid.partition("-")[0]), revisions=(MISSING,), subject="words")
            for uid in uids
        ),
        **more,
    }
    return TrainPlan(**facts)


async def test_a_verified_prerequisite_stands_with_its_state_on_this_train(database: Database) -> None:
    async with running(database) as service:
        conflict = make_bug(101, make_request(101, outcome=Outcome.CONFLICT))
        await service.feed(conflict)
        await tell(service, found())
        one = await advice(service)
        assert [(each["bug"], each["state"]) for each in one["prerequisites"]] == [(102, "unasked")]
        assert one["next_step"].startswith("Ask for bug 102 on beta as well (12 lines, 1 further file)")
        # another patch of that bug is asked for; then this very commit is; then it is approved
        for series, state, expected in (
            (commit(OTHER), RequestState.REQUESTED, "pending"),
            (commit(MISSING), RequestState.REQUESTED, "requested"),
            (commit(MISSING), RequestState.APPROVED, "approved"),
        ):
            later = NOON + timedelta(minutes=1)
            asked = make_request(102, series=series, state=state)
            await service.feed(make_bug(102, asked, read_at=later, digest=expected), conflict)
            assert (await advice(service))["prerequisites"][0]["state"] == expected
        assert (await advice(service))["next_step"] == "Land bug 102 first: it merges cleanly with it."


async def test_the_standing_of_a_bug_a_row_and_a_badge_name_the_bug(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101, outcome=Outcome.CONFLICT)))
        await tell(service, found())
        rows = (await service.client.get("/api/requests")).json()["requests"]
        bug = (await service.client.get("/api/bugs/101")).json()
        assert (rows[0]["needs"], bug["requests"][0]["trial"]["needs"]) == ([102], [102])
        # of another tip it says nothing
        await tell(service, found(tip="f" * 40, key="k2", searched_at=NOON + timedelta(minutes=1)))
        rows = (await service.client.get("/api/requests")).json()["requests"]
        assert rows[0]["needs"] == []


async def test_an_older_search_never_replaces_a_newer_and_a_gone_request_is_dropped(
    database: Database,
) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101, outcome=Outcome.CONFLICT)))
        await tell(service, found(key="new"), found("999-beta-1"))
        await tell(service, found(key="old", searched_at=NOON - timedelta(minutes=1)))
        known = (await service.by("bot").get("/api/known")).json()
        assert [one["searched"] for bug in known["bugs"] for one in bug["requests"]] == ["new"]


async def test_what_could_not_be_looked_for_says_why(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101, outcome=Outcome.CONFLICT)))
        await tell(service, found(advice=None, reason="not for this repository, which is Mercurial's"))
        one = await advice(service)
        assert (one["verified"], one["prerequisites"]) == (False, [])
        assert "not for this repository" in one["next_step"]


async def test_strangers_see_no_address_and_no_request_of_a_restricted_bug(database: Database) -> None:
    async with running(database) as service:
        secret = make_secret(102, make_request(102, series=commit(MISSING), state=RequestState.APPROVED))
        await service.feed(make_bug(101, make_request(101, outcome=Outcome.CONFLICT)), secret)
        way = InTheWay("d" * 40, 7, "own", "a.c", "Cy <cy@example.com>", "owns the lines")
        given = found()
        assert given.advice is not None
        content = Advice(
            outcome=Outcome.CONFLICT,
            prerequisites=given.advice.prerequisites,
            verified=True,
            reason="r",
            merges=1,
            in_the_way=(way,),
        )
        await tell(service, found(advice=content))
        public = await advice(service, who=None)
        assert public["in_the_way"][0]["author"] == "Cy"
        (needed,) = public["prerequisites"]
        assert (needed["bug"], needed["author"], needed["state"], needed["request"]) == (
            None,
            "",
            "unasked",
            None,
        )
        trusted = await advice(service, who="reader")
        assert trusted["prerequisites"][0]["state"] == "approved"
        assert trusted["prerequisites"][0]["request"] == "102-beta-1"


async def test_a_restricted_prerequisite_is_named_only_to_those_who_may_see_it(database: Database) -> None:
    async with running(database) as service:
        secret = make_secret(102, make_request(102, series=commit(MISSING)))
        await service.feed(make_bug(101, make_request(101, outcome=Outcome.CONFLICT)), secret)
        await tell(service, found())
        behind = Behind(revision=OTHER, bug=102, subject="f", of=MISSING, of_bug=101, why=Why.REGRESSION)
        told = (plan("101-beta-1", left_behind=(behind,)), plan("101-beta-1", sees_restricted=True))
        assert (await service.put("/api/plans/beta", PlansReport(plans=told))).status_code == 204
        pages = (
            "/api/requests/101-beta-1",
            "/api/requests",
            "/api/bugs/101",
            "/api/board/beta",
            "/api/requests/101-beta-1/evidence",
            "/api/plans/beta",
        )
        for who in (None, "user"):
            for page in pages:
                answer = await service.by(who).get(page)
                assert answer.status_code == 200, page
                # the plan's own step has this commit in the tests
                commits = () if page == "/api/plans/beta" else (MISSING[:12],)
                for word in ("102", "Bug 102 - first", "Ben", OTHER[:12], *commits):
                    assert word not in answer.text, (page, word)
        shown = await advice(service, who=None)
        assert "a security bug" in shown["next_step"] and shown["verified"] is True
        rows = (await service.client.get("/api/requests")).json()["requests"]
        assert rows[0]["needs"] == [0]
        assert "Needs a security bug" in (await service.client.get("/api/board/beta")).text
        trusted = await advice(service, who="reader")
        needed = trusted["prerequisites"][0]
        assert (needed["bug"], needed["state"]) == (102, "requested")


async def test_a_plan_is_shown_with_titles_states_and_what_waits(database: Database) -> None:
    async with running(database) as service:
        approved = {"state": RequestState.APPROVED}
        await service.feed(make_bug(101, make_request(101, **approved)), make_bug(102, make_request(102)))
        made = plan(
            "101-beta-1",
            "102-beta-1",
            conflicts=(
                Waiting(request="102-beta-1", bug=102, after=("101-beta-1",), reason="why", lands=True),
            ),
            left_behind=(
                Behind(revision=OTHER, bug=102, subject="Fix it", of=MISSING, of_bug=101, why=Why.REGRESSION),
            ),
        )
        assert (await service.put("/api/plans/beta", PlansReport(plans=(made,)))).status_code == 204
        shown = (await service.client.get("/api/plans/beta")).json()
        assert [(one["bug"], one["state"], one["after"]) for one in shown["order"]] == [
            (101, "approved", []),
            (102, "requested", ["101-beta-1"]),
        ]
        assert shown["order"][0]["summary"] == "Summary of 101"
        assert (shown["is_current"], shown["left_behind"][0]["state"]) == (True, "pending")
        none = (await service.client.get("/api/plans/beta?scope=pending")).json()
        assert (none["order"], none["made_at"]) == ([], None) and "next round" in none["reason"]
        assert (await service.client.get("/api/plans/nowhere")).status_code == 404
        wrong = await service.put("/api/plans/release", PlansReport(plans=(made,)))
        assert wrong.status_code == 422


async def test_a_plan_with_restricted_bugs_is_for_those_who_may_see_them(database: Database) -> None:
    async with running(database) as service:
        approved = {"state": RequestState.APPROVED}
        secret = make_secret(102, make_request(102, **approved))
        await service.feed(make_bug(101, make_request(101, **approved)), secret)
        both = plan("101-beta-1", "102-beta-1", sees_restricted=True)
        report = PlansReport(plans=(both, plan("101-beta-1")))
        assert (await service.put("/api/plans/beta", report)).status_code == 204
        for who, bugs, restricted in ((None, [101], None), ("user", [101], 1), ("reader", [101, 102], None)):
            shown = (await service.by(who).get("/api/plans/beta")).json()
            assert ([one["bug"] for one in shown["order"]], shown["restricted"]) == (bugs, restricted)
        assert "SECRET" not in (await service.client.get("/api/plans/beta")).text
        # what became restricted since is not shown by the plan that names it
        later = make_secret(
            101, make_request(101, **approved), read_at=NOON + timedelta(minutes=1), digest="x"
        )
        await service.feed(later, trains=make_trains())
        shown = (await service.client.get("/api/plans/beta")).json()
        assert shown["order"] == [] and "101" not in (await service.client.get("/api/plans/beta")).text
