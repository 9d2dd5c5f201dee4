# SPDX-License-Identifier: MPL-2.0
"""What routes make of events: the original's three hooks, and what they did wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from event_builders import (
    CENTRAL,
    GROUP,
    RESOLVED,
    REVISION,
    build,
    commit,
    coverage,
    delivery,
    event,
    group_of,
    published,
    resolved,
)
from shipit.events import originals
from shipit.events.deliveries import DIFFS, read
from shipit.events.matching import Broken, Ignored, Trigger, Verdict, judge, judge_all
from shipit.events.routes import Route, parse_routes
from shipit.events.samples import deliveries_of, diff_delivery, facts_of
from shipit.events.types import DiffFacts, Facts, Need, NeedKind


def ask(route: Route, heard: Any, facts: Facts | None = None) -> Verdict:
    return judge(event(heard), route, facts or Facts(), instance="testing")


def triggers(verdict: Verdict) -> tuple[Trigger, ...]:
    assert isinstance(verdict, tuple), verdict
    return verdict


def made(kind: str, **more: Any) -> Route:
    rows = originals.routes_of([{"type": kind, "hookId": "shipit-static-analysis", **more}])
    return parse_routes(rows)[0]


def test_a_resolved_group_with_a_coverage_build_of_central_triggers_its_revision() -> None:
    (found,) = triggers(ask(coverage(), resolved(), group_of(build("test"), build())))
    assert found.payload == {"REVISION": REVISION}
    assert found.sink == "hook:project-releng/shipit-code-coverage"
    assert found.dedup == GROUP


def test_the_group_must_be_listed_before_its_route_can_decide() -> None:
    assert ask(coverage(), resolved()) == Need(kind=NeedKind.GROUP, name=GROUP)


def test_L14_a_task_without_environment_is_no_accident() -> None:
    odd = build(repository=None, revision=None)
    assert ask(coverage(), resolved(), group_of(odd)) == Ignored(f"{odd.name} is of no repository")


def test_L15_every_coverage_build_is_looked_at_not_only_the_first() -> None:
    tasks = [
        build(task="A", repository="https://hg.mozilla.org/try"),
        build("build-win64-ccov/opt", task="B"),
    ]
    (found,) = triggers(ask(coverage(), resolved(), group_of(*tasks)))
    assert found.payload == {"REVISION": REVISION}


def test_L18_a_reserved_word_that_grows_does_not_make_the_route_deaf() -> None:
    payload = {"taskGroupId": GROUP, "schedulerId": "gecko-level-3", "version": 1}
    grown = delivery(RESOLVED, f"primary.{GROUP}.gecko-level-3.more.words", payload)
    assert triggers(ask(coverage(), grown, group_of(build())))


def test_another_scheduler_is_ignored_with_its_name() -> None:
    verdict = ask(coverage(), resolved(scheduler="gecko-level-1"))
    assert isinstance(verdict, Ignored)
    assert "gecko-level-1" in verdict.reason


def test_L11_a_group_told_again_with_more_tasks_weighs_more() -> None:
    first = triggers(ask(coverage(), resolved(), group_of(build(task="A"))))[0]
    second = triggers(ask(coverage(), resolved(), group_of(build(task="A"), build(task="B"))))[0]
    assert (first.weight, second.weight) == (1, 2)
    assert first.task_id == second.task_id, "the same effect, whatever the group grows to"


def test_a_group_without_coverage_tasks_first_and_with_them_later_triggers_the_second_time() -> None:
    assert isinstance(ask(coverage(), resolved(), group_of(build("build-linux64/opt"))), Ignored)
    assert triggers(ask(coverage(), resolved(), group_of(build("build-linux64/opt"), build(task="B"))))


@pytest.mark.parametrize("url", ["https://github.com/mozilla-firefox/firefox", "https://github.com/o/r.git"])
@pytest.mark.parametrize("project", ["GECKO", "FIREFOX"])
def test_the_coverage_route_works_for_a_main_repository_in_git(url: str, project: str) -> None:
    route = coverage(match={"repositories": [url.removesuffix(".git")]})
    task = build(repository=url, revision="a" * 40, project=project)
    assert triggers(ask(route, resolved(), group_of(task)))[0].payload == {"REVISION": "a" * 40}


def test_a_mozreview_message_triggers_once_for_each_commit_with_the_original_names_and_types() -> None:
    found = triggers(
        ask(made("static-analysis-mozreview"), published(commit(7, "aa", 3), commit(8, "bb", 1)))
    )
    assert [trigger.payload for trigger in found] == [
        {
            "ANALYSIS_SOURCE": "mozreview",
            "ANALYSIS_ID": 7,
            "MOZREVIEW_REVISION": "aa",
            "MOZREVIEW_DIFFSET": 3,
        },
        {
            "ANALYSIS_SOURCE": "mozreview",
            "ANALYSIS_ID": 8,
            "MOZREVIEW_REVISION": "bb",
            "MOZREVIEW_DIFFSET": 1,
        },
    ]


def test_L13_each_commit_has_an_identity_of_its_own() -> None:
    route = made("static-analysis-mozreview")
    both = triggers(ask(route, published(commit(7, "aa"), commit(8, "bb"))))
    again = triggers(ask(route, published(commit(8, "bb"), commit(7, "aa"))))
    assert len({trigger.task_id for trigger in both}) == 2
    assert {trigger.task_id for trigger in both} == {trigger.task_id for trigger in again}


@pytest.mark.parametrize("repository", [None, "https://hg.example/else", ""])
def test_L16_a_mozreview_message_of_another_or_no_repository_is_ignored(repository: str | None) -> None:
    assert isinstance(
        ask(made("static-analysis-mozreview"), published(commit(1, "a"), repository=repository)), Ignored
    )


def test_a_commit_without_revision_is_told_and_not_triggered() -> None:
    broken = ask(
        made("static-analysis-mozreview"), published({"review_request_id": 1, "diffset_revision": 1})
    )
    assert isinstance(broken, Broken)
    assert "item.rev" in broken.reason


def row(number: int = 7, **fields: Any) -> dict[str, Any]:
    known = {"revisionPHID": "PHID-DREV-a", "authorPHID": "PHID-USER-a", "repositoryPHID": "PHID-REPO-a"}
    return {"id": number, "type": "DIFF", "phid": f"PHID-DIFF-{number}", "fields": {**known, **fields}}


def test_a_diff_triggers_with_the_original_names() -> None:
    (found,) = triggers(ask(made("static-analysis-phabricator"), diff_delivery(row())))
    assert found.payload == {"ANALYSIS_SOURCE": "phabricator", "ANALYSIS_ID": "PHID-DIFF-7"}
    assert found.weight == 7


def test_L7_a_diff_without_revision_waits_until_it_has_one() -> None:
    route = made("static-analysis-phabricator")
    heard = diff_delivery(row(revisionPHID=None))
    assert ask(route, heard) == Need(kind=NeedKind.DIFF, name="PHID-DIFF-7")
    attached = DiffFacts(phid="PHID-DIFF-7", id=7, revision="PHID-DREV-a", author=None, repository=None)
    waiting = msgspec.structs.replace(attached, revision=None)
    assert isinstance(ask(route, heard, Facts(diffs={"PHID-DIFF-7": waiting})), Need)
    assert triggers(ask(route, heard, Facts(diffs={"PHID-DIFF-7": attached})))


def test_L8_diffs_of_other_repositories_and_unwanted_authors_are_ignored() -> None:
    route = made("static-analysis-phabricator", repositories=["mozilla-central"])
    heard = diff_delivery(row())
    assert isinstance(ask(route, heard), Need), "its repository has only a PHID yet"
    named = DiffFacts(
        phid="PHID-DIFF-7",
        id=7,
        revision="PHID-DREV-a",
        author="PHID-USER-a",
        repository="PHID-REPO-a",
        repository_names=("mozilla-central", "MOZILLACENTRAL"),
    )
    assert triggers(ask(route, heard, Facts(diffs={"PHID-DIFF-7": named})))
    other = msgspec.structs.replace(named, repository_names=("version-control-tools",))
    assert isinstance(ask(route, heard, Facts(diffs={"PHID-DIFF-7": other})), Ignored)
    barred = msgspec.structs.replace(
        route, match=msgspec.structs.replace(route.match, not_authors=("PHID-USER-a",))
    )
    assert isinstance(ask(barred, heard, Facts(diffs={"PHID-DIFF-7": named})), Ignored)


def test_two_hooks_on_one_exchange_each_have_a_task_of_their_own() -> None:
    rows = originals.routes_of([{"type": "code-coverage", "hookId": name} for name in ("one", "two")])
    judged = judge_all(event(resolved()), parse_routes(rows), group_of(build()), instance="testing")
    assert [trigger.route for trigger in judged.triggers] == ["code-coverage", "code-coverage-2"]
    assert len({trigger.task_id for trigger in judged.triggers}) == 2


def test_instances_never_share_a_task_id() -> None:
    ids = {
        triggers(judge(event(resolved()), coverage(), group_of(build()), instance=instance))[0].task_id
        for instance in ("production", "staging", "testing")
    }
    assert len(ids) == 3


def test_a_task_matches_by_a_route_in_its_cc_header() -> None:
    rows = [
        {
            "name": "done",
            "sink": {"kind": "hook", "hook": "g/h"},
            "match": {
                "exchange": "exchange/taskcluster-queue/v1/task-completed",
                "keys": ["route.index.releng.#"],
            },
            "payload": {"TASK": "${task}"},
        }
    ]
    (route,) = parse_routes(rows)
    payload = {"status": {"taskId": "T", "state": "completed", "runs": []}, "runId": 0}
    exchange = "exchange/taskcluster-queue/v1/task-completed"
    by_route = delivery(exchange, "primary.T.0", payload, cc=("route.index.releng.latest",))
    assert triggers(ask(route, by_route))[0].payload == {"TASK": "T"}
    assert isinstance(ask(route, delivery(exchange, "primary.T.0", payload)), Ignored)


def test_conditions_look_into_the_payload() -> None:
    where = [{"path": "payload.status.runs.0.reasonResolved", "one_of": ["failed"]}]
    (route,) = parse_routes(
        [
            {
                "name": "failures",
                "sink": {"kind": "hook", "hook": "g/h"},
                "match": {"exchange": "exchange/taskcluster-queue/v1/task-failed", "where": where},
            }
        ]
    )
    run = {"state": "failed", "reasonResolved": "failed"}
    payload = {"status": {"taskId": "T", "state": "failed", "runs": [run]}, "runId": 0}
    assert triggers(ask(route, delivery("exchange/taskcluster-queue/v1/task-failed", "k", payload)))
    run["reasonResolved"] = "canceled"
    verdict = ask(route, delivery("exchange/taskcluster-queue/v1/task-failed", "k", payload))
    assert verdict == Ignored("payload.status.runs.0.reasonResolved is 'canceled'")


def test_every_recorded_group_triggers_what_its_upstream_test_expects(shared: Any) -> None:
    from_files = shared / "data" / "taskcluster" / "queue" / "list-task-group"
    pages = [
        (file.name, msgspec.json.decode(file.read_bytes()))
        for file in sorted(from_files.glob("*.json"))
        if "badformat" not in file.name
    ]
    facts = facts_of(pages)
    told = shared / "data" / "pulse" / "DERIVED-task-group-resolved.json"
    heard = [event(found) for found in deliveries_of(msgspec.json.decode(told.read_bytes()), told.name)]
    wide = coverage(
        match={"keys": ["primary.#"], "repositories": [CENTRAL, "https://hg.mozilla.org/try"]},
        payload={"REPOSITORY": "${repository}", "REVISION": "${revision}"},
    )
    expected = {
        "MibGDsa4Q7uFNzDf7EV6nw": {"REPOSITORY": CENTRAL, "REVISION": REVISION},
        "FG3goVnCQfif8ZEOaM_4IA": {
            "REPOSITORY": "https://hg.mozilla.org/try",
            "REVISION": "066cb18ba95a7efe144e729713c429e422d9f95b",
        },
    }
    for resolved_group in heard:
        verdict = judge(resolved_group, wide, facts, instance="testing")
        if resolved_group.group in expected:
            assert triggers(verdict)[0].payload == expected[resolved_group.group]
        else:
            assert isinstance(verdict, Ignored)
    original = {e.group: judge(e, coverage(), facts, instance="testing") for e in heard}
    assert triggers(original["MibGDsa4Q7uFNzDf7EV6nw"])[0].payload == {"REVISION": REVISION}
    assert isinstance(original["FG3goVnCQfif8ZEOaM_4IA"], Ignored)


def test_every_recorded_delivery_is_read(shared: Any) -> None:
    files = [
        *(shared / "recorded" / "taskcluster").glob("pulse-*.json"),
        shared / "data/mozreview/pulse-messages.json",
    ]
    files += [
        file
        for file in (shared / "data" / "pulse").glob("*.json")
        if "tasks" not in file.name and "answer" not in file.name
    ]
    count = 0
    for file in files:
        for heard in deliveries_of(msgspec.json.decode(file.read_bytes()), file.name):
            event(heard)
            count += 1
    assert count > 120


def test_a_recorded_page_of_diffs_is_read(shared: Any) -> None:
    page = msgspec.json.decode((shared / "recorded/phorge/100-diffsearch-newest-limit3.json").read_bytes())
    rows = page["response"]["body"]["result"]["data"]
    found = [read(diff_delivery(item)) for item in rows]
    assert [getattr(item, "exchange", None) for item in found] == [DIFFS] * 3
    assert [item.key for item in found] == [
        "phabricator:diff:142",
        "phabricator:diff:141",
        "phabricator:diff:140",
    ]
