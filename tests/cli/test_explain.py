# SPDX-License-Identifier: MPL-2.0
"""`shipit explain` says in words what a request's page shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from fixtures_postgres import Database, Server
from fixtures_web import NOON, make_bug, make_request, make_secret, running
from shipit.cli.explain import explain as command
from shipit.merge.conflict_view import ConflictView, FileView, HunkView, SideView, Span, Wrote
from shipit.merge.types import ConflictKind, Outcome
from shipit.uplift.forms import forms_in
from shipit.uplift.types import Comment, Flag


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    made = postgres.create_migrated()
    yield made
    postgres.drop(made.url)


async def explain(url: str, *words: str) -> Result:
    env = {"SHIPIT_URL": url, "SHIPIT_CONFIG": "", "NO_PROXY": "*", "COLUMNS": "100"}
    return await asyncio.to_thread(CliRunner(env=env).invoke, command, words)


def asked(bug: int) -> Any:
    text = (
        "### Beta Uplift Approval Request\n* **User impact if declined**: crash\n"
        "* **Needs manual test from QE?**: Yes\n* **If yes, steps to reproduce**: N/A\n"
        "* **Risk to taking this patch**: Low\n"
    )
    (form,) = forms_in(Comment(id=7, number=1, creator="author@example.com", time=NOON, text=text))
    return make_request(bug, form=form, outcome=Outcome.CONFLICT)


def view() -> ConflictView:
    one = Wrote(commit="c" * 40, author="Ada", at=NOON - timedelta(days=2), subject="Bug 4 - Other", bug=4)
    hunk = HunkView(
        base=SideView(first=10, lines=("expected",)),
        ours=SideView(first=11, lines=("ours",), blame=(Span(first=11, last=11, commit=one.commit),)),
        theirs=SideView(first=10, lines=("theirs",), more=3),
    )
    file = FileView(
        path="src/a.c",
        kind=ConflictKind.CONTENT,
        sentence="Both sides changed the same lines.",
        hunks=(hunk,),
        notes=("A note.",),
    )
    return ConflictView(tip="a" * 40, patch="D1", files=(file,), commits={one.commit: one})


async def test_it_says_what_the_page_shows_in_the_same_words(database: Database) -> None:
    async with running(database) as service:
        flag = Flag(id=1, name="qe-verify", status="?", setter="qe@example.com", created=NOON)
        await service.feed(make_bug(101, asked(101), flags=(flag,)), make_secret(102, make_request(102)))
        detail = {
            "request": "101-beta-1",
            "kind": "conflict",
            "key": f"s1/{'a' * 40}",
            "content": msgspec.to_builtins(view()),
            "made_at": NOON.isoformat(),
        }
        await service.by("bot").put("/api/requests/101-beta-1/details", json=detail)
        url = str(service.client.base_url)
        text, data = await explain(url, "101"), await explain(url, "101", "--format", "json")
        secret, absent = await explain(url, "102"), await explain(url, "999")
        page = (await service.client.get("/api/requests/101-beta-1/evidence")).json()
    assert text.exit_code == 0, text.output
    said = " ".join(text.output.split())
    for words in (
        "Bug 101: Summary of 101",
        "beta, requested: Conflict, 1 file",
        "! Manual test by QE: says “Yes”. No steps are given; qe-verify is ?. (form,",
        "src/a.c: Both sides changed the same lines.",
        "the train has, from line 11: ours by Ada, 2026-11-18 12:00 UTC: Bug 4 - Other",
        "theirs … 3 more",
        "An Author asks for beta. (bugzilla)",
    ):
        assert words in said
    for row in (*page["checks"], *page["facts"]):
        assert (row.get("measured") or row["sentence"]) in said
    told = json.loads(data.output)
    (request,) = told["requests"]
    assert (told["bug"], request["train"], request["checks"]) == (101, "beta", page["checks"])
    assert secret.exit_code != 0
    assert str(secret.exception or secret.output).replace("102", "999") == str(
        absent.exception or absent.output
    )
