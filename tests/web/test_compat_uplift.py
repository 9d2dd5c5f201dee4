# SPDX-License-Identifier: MPL-2.0
"""The original uplift API: its clients still work, and each of its known defects is mended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from fixtures_postgres import Database
from fixtures_web import (
    NOON,
    Service,
    make_bug,
    make_request,
    make_result,
    make_secret,
    make_train,
    make_trains,
    make_trial,
    running,
)
from shipit.merge.types import Outcome, PatchResult, SeriesResult
from shipit.uplift.report import Contributor, TrialsReport
from shipit.uplift.types import PatchRef, PatchSource, RequestState
from shipit.web.compat.shapes import OldAnalysis, OldBug, PatchRow

ROOT = "/compat/uplift"


async def old_bug(service: Service, number: int = 101, who: str = "user") -> OldBug:
    answer = await service.by(who).get(f"{ROOT}/analysis/1")
    analysis = msgspec.json.decode(answer.content, type=OldAnalysis)
    return next(bug for bug in analysis.bugs if bug.id == number)


def old_payload(number: int = 101, **more: Any) -> dict[str, Any]:
    """What the original bot sent."""
    versions = {"beta ?": {"name": "approval-mozilla-beta", "attachments": ["1010"], "status": "?"}}
    return {
        "bugzilla_id": number,
        "analysis": [1],
        "payload_hash": "h1",
        "payload": {
            "url": f"https://bugzilla.example.com/{number}",
            "bug": {
                "id": number,
                "summary": "An old bug",
                "product": "Core",
                "component": "DOM",
                "status": "NEW",
                "keywords": ["crash"],
                "cf_status_firefox147": "affected",
                "cf_tracking_firefox_relnote": "?",
                "flags": [{"id": 1, "name": "qe-verify", "status": "+", "setter": "qa@example.com"}],
                "last_change_time": "2026-11-20T10:00:00Z",
                "groups": [],
            },
            "analysis": {
                "uplift_comment": {"id": 7, "text": "please <b>uplift</b>", "author": "author@example.com"},
                "patches": {
                    "abc123": {"source": "mercurial", "changes_add": 3, "changes_del": 2, "url": "u"}
                },
                "landings": {"nightly": "2026-11-19"},
            },
            "users": {"creator": {"email": "creator@example.com", "real_name": "Crea Tor"}},
            "versions": versions,
        },
        **more,
    }


@pytest.mark.parametrize("patches", [["abc"], {"abc": 5}, "abc", {"abc": {"changes_add": "x"}}])
async def test_patches_of_another_shape_count_for_nothing(database: Database, patches: Any) -> None:
    async with running(database) as service:
        await service.feed()
        body = old_payload()
        body["payload"]["analysis"]["patches"] = patches
        answer = await service.by("bot").post(f"{ROOT}/bugs", json=body)
        assert answer.status_code == 200, answer.text
        assert msgspec.json.decode(answer.content, type=OldBug).changes_size == 0


async def test_the_original_bots_cycle_works(database: Database) -> None:
    async with running(database) as service:
        await service.feed()
        bot = service.by("bot")
        assert (await bot.get(f"{ROOT}/ping")).json() == "pong"
        analyses = msgspec.json.decode((await bot.get(f"{ROOT}/analysis")).content, type=list[OldAnalysis])
        assert [(each.id, each.name, each.count, each.bugs) for each in analyses] == [
            (1, "beta", 0, []),
            (2, "release", 0, []),
        ]
        answer = await bot.post(f"{ROOT}/bugs", json=old_payload())
        assert answer.status_code == 200, answer.text
        bug = msgspec.json.decode(answer.content, type=OldBug)
        assert bug.flags_status == {"firefox147": "affected"}
        assert bug.flags_tracking == {"firefox_relnote": "?"}
        assert bug.flags_generic == {"qe-verify": "+"}
        assert bug.versions["beta ?"].attachments == ["1010"]
        assert (bug.patches["abc123"].changes_add, bug.patches["abc123"].merge) == (3, {})
        assert [person.roles for person in bug.contributors] == [("creator",)]
        assert bug.uplift is not None
        assert bug.uplift.comment == "please &lt;b&gt;uplift&lt;/b&gt;"
        status: dict[str, Any] = {
            "group": 4,
            "revision": "abc123",
            "revision_parent": "t1",
            "branch": "branch-beta",
        }
        told = await bot.post(
            f"{ROOT}/bugs/101/patches", json={**status, "status": "merged", "message": None}
        )
        assert told.status_code == 200, told.text
        assert (await old_bug(service)).patches["abc123"].merge == {"branch-beta": True}
        assert (await bot.put(f"{ROOT}/analysis/1", json={"version": 148})).json()["version"] == 148
        assert (await bot.delete(f"{ROOT}/bugs/101")).status_code == 200
        assert (await bot.delete(f"{ROOT}/bugs/101")).status_code == 404
        assert (await bot.get(f"{ROOT}/analysis/1")).json()["bugs"] == []


async def test_u1_facts_are_columns_and_json_that_can_be_queried(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        with database.connect() as connection:
            kinds = {
                row[0]
                for row in connection.execute(
                    "select data_type from information_schema.columns "
                    "where table_name in ('bugs', 'requests', 'trials', 'people')"
                )
            }
            found = connection.execute(
                "select facts->'contributors'->0->>'email' from bugs "
                "where fields->>'cf_status_firefox147' = 'affected'"
            ).fetchone()
        assert "bytea" not in kinds
        assert found == ("author@example.com",)


async def test_u2_a_report_without_a_trial_keeps_the_last_one(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101, outcome=Outcome.CLEAN)))
        later = NOON + timedelta(hours=1)
        await service.feed(make_bug(101, make_request(101), summary="rewritten", digest="d2", read_at=later))
        bug = await old_bug(service)
        assert (bug.summary, bug.patches["D1"].merge) == ("rewritten", {"branch-beta": True})


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_u3_only_a_conflict_is_false_and_what_is_grey_is_absent(
    database: Database, outcome: Outcome
) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101, outcome=outcome)))
        expected = {Outcome.CLEAN: {"branch-beta": True}, Outcome.CONFLICT: {"branch-beta": False}}
        assert (await old_bug(service)).patches["D1"].merge == expected.get(outcome, {})


async def test_u4_what_a_client_says_of_bugzilla_is_not_believed_but_asked_again(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        before = await old_bug(service)
        lie = [
            {
                "bugzilla_id": 101,
                "target": "bug",
                "changes": {"cf_status_firefox147": {"added": "fixed", "removed": "affected"}},
            }
        ]
        answer = await service.by("user").put(f"{ROOT}/bugs/101", json=lie)
        assert answer.status_code == 200
        assert await old_bug(service) == before
        wishes = (await service.by("bot").get("/api/wishes")).json()
        assert [(each["kind"], each["subject"]) for each in wishes] == [("bug", "101")]


@pytest.mark.parametrize(
    "changes",
    [
        {"cf_status_firefox147": {"added": "fixed", "removed": "affected"}},
        {"flagtypes.name": {"added": "approval-mozilla-beta+", "removed": ""}},
        {"flagtypes.name": {"added": "review+, approval-mozilla-beta+", "removed": "approval-mozilla-beta?"}},
        {},
    ],
)
async def test_u5_no_edit_of_bugzilla_is_a_defect_here(database: Database, changes: dict[str, Any]) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        for target in ("bug", "attachment"):
            body = [{"bugzilla_id": 101, "target": target, "changes": changes}]
            assert (await service.by("user").put(f"{ROOT}/bugs/101", json=body)).status_code == 200
            assert (await service.by("user").put(f"{ROOT}/bugs/999", json=body)).status_code == 404
        assert "flagtypes.name" not in (await service.client.get("/api/bugs/101")).text


async def test_u5_one_decided_attachment_leaves_the_others_requested(database: Database) -> None:
    async with running(database) as service:
        decided = make_request(101, uid="101-beta-2", state=RequestState.APPROVED, attachments=(1011,))
        await service.feed(make_bug(101, make_request(101), decided))
        versions = (await old_bug(service)).versions
        assert versions["beta ?"].attachments == ["1010"]
        assert versions["beta +"].attachments == ["1011"]


async def test_u6_an_edit_upon_an_old_reading_is_refused(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        later = NOON + timedelta(hours=1)
        await service.feed(make_bug(101, make_request(101), digest="d2", read_at=later))
        answer = await service.by("user").put(f"{ROOT}/bugs/101", json=[], headers={"If-Match": '"1"'})
        assert answer.status_code == 412
        person = (await service.by("user").get("/api/people")).json()[0]
        path, seen = f"{ROOT}/contributor/{person['id']}", {"If-Match": f'"{person["revision"]}"'}
        assert (await service.by("admin").put(path, json={"karma": 1}, headers=seen)).status_code == 200
        assert (await service.by("admin").put(path, json={"karma": 2}, headers=seen)).status_code == 412


async def test_u6_an_older_reading_never_overwrites_a_newer(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101), summary="new"))
        old = make_bug(101, summary="old", digest="d0", read_at=NOON - timedelta(hours=1))
        answer = (await service.feed(old)).json()["bugs"][0]
        assert (answer["result"], "read before" in answer["reason"]) == ("refused", True)
        assert (await old_bug(service)).summary == "new"


async def test_u7_people_are_refreshed_and_those_no_longer_involved_are_unlinked(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        later = NOON + timedelta(hours=1)
        people = (
            Contributor(email="author@example.com", name="A New Name", roles=("author", "assignee")),
            Contributor(email="other@example.com", name="Other", roles=("reviewer",)),
        )
        await service.feed(make_bug(101, make_request(101), digest="d2", read_at=later, contributors=people))
        found = {each.email: each for each in (await old_bug(service)).contributors}
        assert found["author@example.com"].name == "A New Name"
        assert found["author@example.com"].roles == ("uplift_author", "assignee")
        await service.feed(
            make_bug(101, make_request(101), digest="d3", read_at=later, contributors=people[1:])
        )
        assert [each.email for each in (await old_bug(service)).contributors] == ["other@example.com"]


async def test_u7_a_note_has_an_author_a_time_and_an_end(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        person = (await service.by("user").get("/api/people")).json()[0]
        note = {"karma": 3, "comment_public": "helps", "comment_private": "PRIVATE"}
        answer = await service.by("admin").put(f"{ROOT}/contributor/{person['id']}", json=note)
        assert answer.json()["karma"] == 3
        noted = (await service.by("admin").get("/api/people")).json()[0]
        assert noted["noted_by"] == "admin"
        assert noted["noted_at"] < noted["expires_at"]
        with database.connect() as connection:
            connection.execute("update people set expires_at = now() - interval '1 second'")
        assert (await service.by("admin").get("/api/people")).json()[0]["comment_public"] == ""
        assert (await service.by("admin").put(f"{ROOT}/contributor/999", json=note)).status_code == 404


async def test_u8_a_deleted_bug_leaves_its_history_and_no_loose_ends(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101, outcome=Outcome.CLEAN)))
        assert (await service.by("bot").delete(f"{ROOT}/bugs/101")).status_code == 200
        request = (await service.client.get("/api/requests/101-beta-1")).json()
        assert request["history"][-1]["what"] == "closed"
        assert len(request["trials"]) == 1
        assert (await service.client.get("/api/requests")).json()["requests"] == []
        with database.connect() as connection:
            loose = connection.execute(
                "select count(*) from requests where bug is null or bug not in (select id from bugs)"
            ).fetchone()
        assert loose == (0,)


async def test_u10_a_trial_made_again_keeps_the_earlier_and_the_newest_counts(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101, outcome=Outcome.ERROR, reason="disk full")))
        again = make_trial("101-beta-1", "beta", Outcome.CLEAN, tried_at=NOON + timedelta(minutes=5))
        await service.put("/api/trials", TrialsReport(trials=(again,)))
        rows = await patches(service)
        assert [(row.status, row.message) for row in rows] == [("skipped", "disk full"), ("merged", None)]
        assert rows[0].created < rows[1].created
        assert (await old_bug(service)).patches["D1"].merge == {"branch-beta": True}


@pytest.mark.parametrize("who", ["user", "bot", "admin"])
async def test_u11_a_security_bug_is_not_for_every_user(database: Database, who: str) -> None:
    async with running(database) as service:
        await service.feed(make_secret(101, make_request(101)))
        analysis = (await service.by(who).get(f"{ROOT}/analysis/1")).json()
        assert (analysis["bugs"], analysis["count"]) == ([], 0)
        if who == "bot":
            assert (await service.by(who).get(f"{ROOT}/bugs/101/patches")).status_code == 404
        assert (await old_bug(service, who="reader")).id == 101


async def test_u12_statuses_are_words_and_messages_come_out_and_lists_have_tags(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101, outcome=Outcome.CONFLICT, reason="a.c differs")))
        (row,) = await patches(service)
        assert (row.status.value, row.message) == ("failed", "a.c differs")
        answer = await service.client.get(f"{ROOT}/analysis")
        tag = {"If-None-Match": answer.headers["etag"]}
        assert (await service.client.get(f"{ROOT}/analysis", headers=tag)).status_code == 304
        assert (await service.by("user").delete(f"{ROOT}/bugs/101")).status_code == 403
        assert (await service.client.delete(f"{ROOT}/bugs/101")).status_code == 401


async def test_u13_any_number_of_esrs_are_trains_like_others(database: Database) -> None:
    async with running(database) as service:
        names = ["beta", "release", "esr115", "esr140", "aurora"]
        trains = make_trains(*[make_train(name) for name in names])
        await service.feed(
            make_bug(101, make_request(101, "esr115"), make_request(101, "esr140")), trains=trains
        )
        analyses = (await service.client.get(f"{ROOT}/analysis")).json()
        assert [each["name"] for each in analyses] == names
        assert [each["count"] for each in analyses] == [0, 0, 1, 1, 0]
        # A train nobody knows spoils its own report only.
        answer = await service.by("bot").post(f"{ROOT}/bugs", json=old_payload(102, analysis=[99]))
        assert answer.status_code == 422
        assert (await service.by("bot").post(f"{ROOT}/bugs", json=old_payload(103))).status_code == 200


async def test_the_stack_of_an_old_bot_is_one_trial_that_grows(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101)))
        for revision, status in (("r1", "merged"), ("r2", "failed"), ("r3", "skipped"), ("r2", "failed")):
            body = {
                "group": 1,
                "revision": revision,
                "revision_parent": "t1",
                "branch": "branch-beta",
                "status": status,
                "message": f"{revision} {status}",
            }
            assert (await service.by("bot").post(f"{ROOT}/bugs/101/patches", json=body)).status_code == 200
        request = (await service.client.get("/api/requests/101-beta-1")).json()
        newest = request["trials"][0]
        assert newest["outcome"] == "conflict"
        assert [patch["outcome"] for patch in newest["patches"]] == ["clean", "conflict", "skipped"]
        body = {"revision": "r1", "revision_parent": "t1", "branch": "nowhere", "status": "merged"}
        assert (await service.by("bot").post(f"{ROOT}/bugs/101/patches", json=body)).status_code == 404


async def test_a_series_is_shown_by_patch_with_each_branch(database: Database) -> None:
    async with running(database) as service:
        series = tuple(PatchRef(source=PatchSource.REVISION, name=f"D{n}", version="1") for n in (1, 2))
        request = make_request(101, series=series)
        result = SeriesResult(
            Outcome.CONFLICT, None, (PatchResult("D1", Outcome.CLEAN), PatchResult("D2", Outcome.CONFLICT))
        )
        await service.feed(make_bug(101, request))
        await service.put(
            "/api/trials", TrialsReport(trials=(make_trial("101-beta-1", "beta", result=result),))
        )
        merges = {name: patch.merge for name, patch in (await old_bug(service)).patches.items()}
        assert merges == {"D1": {"branch-beta": True}, "D2": {"branch-beta": False}}
        assert make_result().outcome is Outcome.CLEAN


async def test_a_report_without_the_uplift_comment_is_refused(database: Database) -> None:
    async with running(database) as service:
        await service.feed()
        body = old_payload()
        del body["payload"]["analysis"]["uplift_comment"]
        answer = await service.by("bot").post(f"{ROOT}/bugs", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, "payload.analysis.uplift_comment")


async def patches(service: Service) -> list[PatchRow]:
    answer = await service.by("bot").get(f"{ROOT}/bugs/101/patches")
    return msgspec.json.decode(answer.content, type=list[PatchRow])
