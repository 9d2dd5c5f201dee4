# SPDX-License-Identifier: MPL-2.0
"""The fake Phabricator is asked what the recorded Phorge was asked, and must answer in the same shape."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from shapes import differences

from shipit.clients.http import open_session
from shipit.world.phabricator import FakePhabricator
from shipit.world.server import Trouble, served
from shipit.world.world import StandingClock

NOT_FAKED_METHODS = {
    "conduit.query": "a catalogue of methods",
    "conduit.getcapabilities": "a catalogue of encodings",
    "diffusion.repository.edit": "the lab's set-up of its repositories",
    "diffusion.uri.edit": "the lab's set-up of its repositories",
    "diffusion.commit.search": "commits are read from the clone",
    "differential.createrawdiff": "diffs are made by the world's verbs",
    "differential.creatediff": "diffs are made by the world's verbs",
    "differential.setdiffproperty": "diffs are made by the world's verbs",
    "differential.createinline": "the analysis' part of Conduit, another issue",
    "differential.createcomment": "the analysis' part of Conduit, another issue",
    "differential.query": "frozen; differential.revision.search is read instead",
    "differential.getcommitmessage": "nobody asks for it",
    "differential.changeset.search": "raw diffs are read instead",
    "phid.query": "nobody asks for it",
    "harbormaster.buildable.search": "the analysis' part of Conduit, another issue",
    "harbormaster.build.search": "the analysis' part of Conduit, another issue",
    "harbormaster.target.search": "the analysis' part of Conduit, another issue",
    "harbormaster.sendmessage": "the analysis' part of Conduit, another issue",
    "harbormaster.createartifact": "the analysis' part of Conduit, another issue",
    "harbormaster.artifact.search": "the analysis' part of Conduit, another issue",
    "harbormaster.queryautotargets": "the analysis' part of Conduit, another issue",
}
NOT_FAKED = {
    "015": "asked of a lab without any diff; the test below asks an empty fake",
    "046": "PHP's own spelling of a list in a form",
    "124": "PHP's own spelling of a list in a form",
    "006": "tokens of another length fail as unknown ones do, with the same code",
    "129": "after and before at once: what it means is unclear even there",
    "161": "diffs are made by the world's verbs",
    "301": "the lab's read-only mode",
    "040": "revisions are made by the world's verbs",
    "040a": "revisions are made by the world's verbs",
    "040b": "revisions are made by the world's verbs",
    "041": "revisions are made by the world's verbs",
    "042": "revisions are made by the world's verbs",
    "061": "new diffs are made by the world's verbs",
    "201": "builds are the analysis' part, another issue",
    "202": "builds are the analysis' part, another issue",
    "127": "saved queries: nobody uses one",
    "155": "addresses of repositories come from our settings",
}
DIFF = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
TOKENS = ("reviewbot", "author", "reviewer", "admin")


def recorded(shared: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every exchange in its order; a few were recorded again after the last, as the diffs they show tell."""
    folder = shared / "recorded" / "phorge"
    again = {"162": "2991", "163": "2992"}
    paths = sorted(folder.glob("*.json"), key=lambda path: again.get(path.name[:3], path.name))
    return [(path.name, json.loads(path.read_text())) for path in paths]


def prepared() -> FakePhabricator:
    """A fake with as many things as the lab had at first: 7 revisions, 142 diffs, one of them with a base."""
    fake = FakePhabricator(StandingClock(datetime(2026, 11, 20, 9, tzinfo=UTC)), has_bugzilla=False)
    for name in ("admin", "author", "reviewer", "reviewbot"):
        fake.add_user(name, token=f"api-REDACTED-{name}")
    fake.add_repository("lab-git")
    fake.add_repository("mozilla-central", "hg")
    for number in range(1, 8):
        repository = "mozilla-central" if number == 2 else "lab-git"
        fake.revise(
            f"Bug {number} - x", DIFF, by="author", repository=repository, status="needs-review", view="users"
        )
    commit = {
        "identifier": "a" * 40,
        "tree": None,
        "parents": ["b" * 40],
        "message": "Bug 3",
        "author": {"name": "A", "email": "a@x", "raw": "A <a@x>", "epoch": 1},
    }
    while max(fake.diffs) < 142:
        fake.update(2 + len(fake.diffs) % 6, DIFF)
    fake.diffs[6].base, fake.diffs[6].commits = "b" * 40, [commit]
    return fake


def between(name: str, fake: FakePhabricator) -> None:
    """What happened in the lab besides the recorded questions."""
    if name.startswith("200-"):
        fake.revise(
            "Bug 4 - x",
            DIFF,
            by="author",
            repository="mozilla-central",
            status="changes-planned",
            view="users",
        )
    if name.startswith("250-"):
        fake.revise("Bug 9 - hidden", DIFF, by="author", view=frozenset({"author"}))
        assert max(fake.diffs) == 144


def renamed(value: Any, names: dict[str, str]) -> Any:
    """A recorded question with the lab's PHIDs replaced by ours."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, list):
        return [renamed(one, names) for one in value]
    if isinstance(value, dict):
        return {key: renamed(one, names) for key, one in value.items()}
    return value


def lab_names(exchanges: list[tuple[str, dict[str, Any]]], fake: FakePhabricator) -> dict[str, str]:
    """The lab's PHIDs that its answers tell of, by the fake's."""
    names: dict[str, str] = {}
    kinds = {
        "DREV": {one.id: one.phid for one in fake.revisions.values()},
        "DIFF": {one.id: one.phid for one in fake.diffs.values()},
        "REPO": {one.id: one.phid for one in fake.repositories.values()},
    }
    for _, exchange in exchanges:
        body = (exchange["response"] or {}).get("body")
        result = body.get("result") if isinstance(body, dict) else None
        for one in result.get("data", []) if isinstance(result, dict) else []:
            if one.get("type") in kinds and one["id"] in kinds[one["type"]]:
                names[one["phid"]] = kinds[one["type"]][one["id"]]
            if one.get("type") == "USER" and one["fields"]["username"] in fake.users:
                names[one["phid"]] = fake.users[one["fields"]["username"]].phid
    return names


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


async def test_the_fake_answers_what_the_recorded_phorge_was_asked(
    shared: Path, session: aiohttp.ClientSession
) -> None:
    exchanges = recorded(shared)
    fake = prepared()
    wrong, replayed = [], 0
    async with served(fake):
        for name, exchange in exchanges:
            between(name, fake)
            method = exchange["request"]["path"].removeprefix("/api/")
            if method in NOT_FAKED_METHODS or name.split("-")[0] in NOT_FAKED:
                continue
            fake.heal()
            if exchange["response"]["status"] != 200:
                fake.fail({429: Trouble.BUSY, 500: Trouble.ERROR}[exchange["response"]["status"]])
            names = lab_names(exchanges, fake)
            status, body = await asked(session, fake.url, exchange["request"], names)
            wrong += [f"{name}: {one}" for one in compared(exchange["response"], status, body)]
            replayed += 1
    assert not wrong, "\n".join(wrong)
    assert replayed >= 70


async def test_an_empty_fake_answers_as_the_empty_lab_did(
    shared: Path, session: aiohttp.ClientSession
) -> None:
    exchange = dict(recorded(shared))["015-diffsearch-empty.json"]
    fake = FakePhabricator(has_bugzilla=False)
    fake.add_user("admin", token="api-REDACTED-admin")
    async with served(fake):
        status, body = await asked(session, fake.url, exchange["request"], {})
    assert not compared(exchange["response"], status, body)


async def asked(
    session: aiohttp.ClientSession, url: str, request: dict[str, Any], names: dict[str, str]
) -> tuple[int, Any]:
    target = url + request["path"] + (f"?{request['query']}" if request["query"] else "")
    body = request["body"]
    if body is not None and "params=%7B%22" in body:
        params = renamed(request["params"], names)
        if request["token"]:
            params = params | {"__conduit__": {"token": request["token"]}}
        body = urlencode({"params": json.dumps(params), "output": "json"})
    headers = {"Content-Type": request["content_type"]} if request["content_type"] else {}
    async with session.request(request["method"], target, data=body, headers=headers) as response:
        text = await response.text()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text


def compared(theirs: dict[str, Any], status: int, ours: Any) -> list[str]:
    if status != theirs["status"]:
        return [f"HTTP {status} instead of {theirs['status']}"]
    if not isinstance(theirs["body"], dict):
        return []
    if theirs["body"]["error_code"] != ours["error_code"]:
        return [f"{ours['error_code']} ({ours['error_info']}) instead of {theirs['body']['error_code']}"]
    found = differences(theirs["body"], ours)
    left, right = (body["result"] for body in (theirs["body"], ours))
    if isinstance(left, dict) and "data" in left:
        if bool(left["data"]) != bool(right["data"]):
            found.append(f"{len(right['data'])} entries instead of {len(left['data'])}")
        if left["cursor"]["limit"] != right["cursor"]["limit"]:
            found.append("another limit")
        if (left["cursor"]["after"] is None) != (right["cursor"]["after"] is None):
            found.append(f"cursor {right['cursor']} instead of {left['cursor']}")
    return found
