# SPDX-License-Identifier: MPL-2.0
"""`shipit decide`, `shipit decisions` and `shipit keys` against a running service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import click
from click.testing import CliRunner, Result

from fixtures_decisions import DECIDES, HUGO, ROSA, desked
from fixtures_postgres import Database
from fixtures_web import KEY, running
from shipit.cli.decide import decide, decisions
from shipit.cli.keys import keys
from shipit.cli.writing import whose_of
from shipit.errors import InvalidInput, Refused


async def test_preview_decide_undo_and_keys(database: Database) -> None:
    async with desked(database) as desk:
        await desk.begin()
        bug = desk.file("beta", attachments=2)
        await desk.read()
        (uid,) = desk.uids(bug)
        given = {
            "bugzilla": desk.settings.bugzilla,
            "phabricator": desk.settings.phabricator,
            "decisions": desk.settings.decisions,
            "secret_key": desk.settings.secret_key,
        }
        whose = whose_of(desk.settings, desk.session)
        async with running(database, settings=given, whose=whose) as service:
            service.auth.people = {ROSA: DECIDES, HUGO: DECIDES}
            service.app.state.house.gate._public = urlsplit(service.url)

            async def run(
                command: click.Command, *words: str, who: str = ROSA, typed: str | None = None, **more: str
            ) -> Result:
                environ = {
                    "SHIPIT_URL": service.url,
                    "TASKCLUSTER_ROOT_URL": "https://tc.example.com",
                    "TASKCLUSTER_CLIENT_ID": who,
                    "TASKCLUSTER_ACCESS_TOKEN": KEY,
                    "SHIPIT_CONFIG": "",
                    **more,
                }
                invoke: Callable[..., Result] = CliRunner().invoke
                return await asyncio.to_thread(invoke, command, list(words), input=typed, env=environ)

            shown = await run(decide, "approve", uid, "--template", "approve", "--dry-run")
            assert "approval-mozilla-beta: ? -> +" in shown.output
            assert "comment: Approved for 118.0b4." in shown.output and f"as {ROSA}" in shown.output
            declined = await run(decide, "approve", uid, typed="n\n")
            assert declined.exit_code != 0 and desk.query("select 1 from decisions") == []
            lacking = await run(decide, "approve", uid, "--yes", who=HUGO)
            assert isinstance(lacking.exception, Refused) and "Bugzilla key" in str(lacking.exception)
            wrong = await run(decide, "flags", uid, "--set", "status", "--yes")
            assert isinstance(wrong.exception, InvalidInput) and "NAME=VALUE" in str(wrong.exception)
            nowhere = await run(decide, "flags", "--bug", "7", "--set", "tracking=+")
            assert nowhere.exit_code == 2 and "--train" in nowhere.output
            listed_bug = await run(
                decide, "flags", "--bug", str(bug), "--train", "beta", "--set", "tracking=+", "--dry-run"
            )
            assert "cf_tracking_firefox_beta: --- -> +" in listed_bug.output, listed_bug.output
            unworded = await run(decide, "reject", uid, "--yes")
            assert isinstance(unworded.exception, Refused) and "comment" in unworded.output

            sent = await run(decide, "reject", uid, "--comment", "Late.", "--yes", "--format", "json")
            made = _json(sent)
            assert made["state"] == "held"
            undone = await run(decisions, "undo", made["uid"])
            assert "Taken back" in undone.output
            listed = _json(await run(decisions, "list", "--request", uid, "--format", "json"))
            assert [each["state"] for each in listed] == ["undone"]
            assert "Approved for {build}." in (await run(decisions, "templates")).output

            entered = await run(keys, "set", "bugzilla", who=HUGO, typed=desk.world.bugzilla.key_for(HUGO))
            assert f"written as {HUGO}" in entered.output, entered.output
            assert HUGO in (await run(keys, "list", who=HUGO)).output
            lost = {"DATABASE_URL": database.url, "SHIPIT_SECRET_KEY": "another-secret-than-before"}
            rotated = await run(keys, "rotate", **lost)
            assert isinstance(rotated.exception, Refused) and "3 keys open with none" in str(
                rotated.exception
            )
            assert (await run(keys, "forget", "bugzilla", who=HUGO)).exit_code == 0


def _json(result: Result) -> Any:
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)
