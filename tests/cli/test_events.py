# SPDX-License-Identifier: MPL-2.0
"""`shipit events` from the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from event_builders import commit, published, resolved
from fixtures_postgres import Database as Scratch
from shipit.cli.events import events
from shipit.events.heard import hear
from shipit.events.originals import all_routes, default_hooks
from shipit.storage import journal
from shipit.storage.pool import open_pool


def run(*words: str | Path, **environ: str) -> Any:
    done = CliRunner().invoke(events, [str(word) for word in words], env=environ, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def store(database: Scratch, *some: Any) -> None:
    routes = all_routes((), default_hooks("testing"))

    async def record() -> None:
        async with open_pool(database.url, instance=database.instance) as db, db.connection() as connection:
            await journal.record(
                connection, [hear(one, routes, instance="testing") for one in some], instance="testing"
            )

    asyncio.run(record())


def test_simulate_prints_what_each_recorded_delivery_would_trigger(shared: Path) -> None:
    facts = shared / "data" / "taskcluster" / "queue" / "list-task-group"
    told = run(
        "simulate",
        shared / "data/pulse/DERIVED-task-group-resolved.json",
        "--facts",
        facts,
        "--format",
        "json",
    )
    assert [(row["event"], bool(row["ignored"]), len(row["triggers"])) for row in told] == [
        ("task-group-resolved", False, 1),
        ("task-group-resolved", True, 0),
        ("task-group-resolved", True, 0),
    ]
    (trigger,) = told[0]["triggers"]
    assert trigger["payload"] == {"REVISION": "63519bfd42ee379f597c0357af2e712ec3cd9f50"}
    assert trigger["route"] == "code-coverage"


def test_simulate_over_everything_recorded_triggers_what_its_provenance_says(
    shared: Path, tmp_path: Path
) -> None:
    """The trigger results that PROVENANCE.md gives for the recorded groups, and none of all the rest."""
    known = (shared / "data" / "PROVENANCE.md").read_text()
    central, pushed = "63519bfd42ee379f597c0357af2e712ec3cd9f50", "066cb18ba95a7efe144e729713c429e422d9f95b"
    assert f"REVISION: {central}" in known
    assert f"REVISION: {pushed}" in known
    recorded = [
        shared / "recorded",
        *(shared / "data" / part for part in ("pulse", "mozreview", "phabricator")),
    ]
    facts = shared / "data" / "taskcluster"
    told = run("simulate", *recorded, "--facts", facts, "--format", "json")
    assert len(told) > 400
    assert all(row.keys() >= {"key", "event", "ignored", "triggers"} for row in told)
    assert all(bool(row["triggers"]) != bool(row["ignored"]) for row in told), "each triggers or says why not"
    triggers = [t for row in told if row["event"] != "diff" for t in row["triggers"]]
    assert [(t["route"], t["payload"]) for t in triggers] == [("code-coverage", {"REVISION": central})]
    for row in told:
        for trigger in row["triggers"] if row["event"] == "diff" else ():
            assert trigger["payload"]["ANALYSIS_SOURCE"] == "phabricator"
            assert trigger["payload"]["ANALYSIS_ID"].startswith("PHID-DIFF-")
    config = tmp_path / "shipit.toml"
    config.write_text(WIDE)
    wide = run("simulate", *recorded, "--facts", facts, "--format", "json", SHIPIT_CONFIG=str(config))
    assert {
        t["payload"]["REVISION"]: t["payload"]["REPOSITORY"] for row in wide for t in row["triggers"]
    } == {
        central: "https://hg.mozilla.org/mozilla-central",
        pushed: "https://hg.mozilla.org/try",
    }


WIDE = """
[[routes]]
name = "coverage"
sink = { kind = "hook", hook = "project-releng/coverage" }
payload = { REPOSITORY = "${repository}", REVISION = "${revision}" }
[routes.match]
exchange = "exchange/taskcluster-queue/v1/task-group-resolved"
task_names = ["build-linux64-ccov*", "build-win64-ccov*"]
repositories = ["https://hg.mozilla.org/mozilla-central", "https://hg.mozilla.org/try"]
"""


def test_simulate_takes_the_routes_of_the_settings(tmp_path: Path) -> None:
    config = tmp_path / "shipit.toml"
    config.write_text(
        """
        [[routes]]
        name = "mine"
        sink = { kind = "hook", hook = "g/h" }
        match = { exchange = "exchange/x" }
        payload = { N = "${payload.n}" }
        """
    )
    file = tmp_path / "one.json"
    file.write_text(
        json.dumps({"exchange": "exchange/x", "routingKey": "k", "properties": {}, "payload": {"n": 7}})
    )
    (row,) = run("simulate", file, "--format", "json", SHIPIT_CONFIG=str(config))
    assert [(t["route"], t["sink"], t["payload"]) for t in row["triggers"]] == [
        ("mine", "hook:g/h", {"N": 7})
    ]


def test_list_show_replay_and_skip(database: Scratch) -> None:
    store(database, published(commit(1, "a")), resolved())
    where = {"DATABASE_URL": database.url, "SHIPIT_INSTANCE": database.instance}
    rows = run("list", "--format", "json", **where)
    assert sorted(row["state"] for row in rows) == ["matched", "stored"]
    (row,) = run("list", "--route", "static-analysis-mozreview", "--format", "json", **where)
    assert row["effects"][0]["payload"]["ANALYSIS_ID"] == 1
    shown = run("show", row["key"], "--why", "--format", "json", **where)
    assert "mozreview" in shown["body"] or "commits" in shown["body"]
    assert shown["why"]["static-analysis-mozreview"].startswith("triggers hook:")
    assert run("skip", row["key"], "--format", "json", **where) == [{"key": row["key"], "skipped": True}]
    assert run("replay", row["key"], "--format", "json", **where) == [{"key": row["key"], "effects": 1}]


def test_the_original_list_is_imported_without_its_token(tmp_path: Path) -> None:
    file = tmp_path / "hooks.json"
    hooks = [
        {"type": "static-analysis-phabricator", "hookId": "sa", "phabricator_token": "api-secret"},
        {"type": "code-coverage", "hookId": "cov"},
    ]
    file.write_text(json.dumps({"HOOKS": hooks}))
    done = CliRunner().invoke(events, ["import-hooks", str(file)], catch_exceptions=False)
    assert "api-secret" not in done.output
    config = tmp_path / "shipit.toml"
    config.write_text(done.stdout)
    rows = run("import-hooks", file, "--format", "json")
    assert [row["sink"]["hook"] for row in rows] == ["project-releng/sa", "project-releng/cov"]
    group = tmp_path / "g.json"
    group.write_text(json.dumps({"exchange": "exchange/y", "routingKey": "", "payload": {}}))
    (row,) = run("simulate", group, "--format", "json", SHIPIT_CONFIG=str(config))
    assert row["ignored"] == "no route listens to it"


@pytest.mark.parametrize("content", ["[]", "nonsense", '{"a": 1}'])
def test_a_file_without_deliveries_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    done = CliRunner().invoke(events, ["simulate", str(file)])
    assert done.exit_code != 0
