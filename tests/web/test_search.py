# SPDX-License-Identifier: MPL-2.0
"""GET /api/search: words of bug, people, form and files on every train, and nothing that may not be seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from fixtures_postgres import Database
from fixtures_web import NOON, Service, make_bug, make_request, make_secret, running
from shipit.uplift.lists import ListName
from shipit.uplift.report import ListedBug, ListReport, ListsReport
from shipit.uplift.types import Answer, Form, PatchRef, PatchSource, RequestState

LATER = NOON + timedelta(hours=1)
FILES = {"patches": [{"files": [{"path": "netwerk/protocol/Http3Session.cpp"}, {"path": "tab/Strip.cpp"}]}]}
FORM = Form(
    comment=1,
    author="asks@example.com",
    time=NOON,
    generation="2024",
    train_hint="beta",
    answers=(Answer(question="user_impact", label="Impact", text="Video calls drop"),),
    raw="Impact: Video calls drop",
)


async def found(service: Service, words: str, *, who: str | None = None) -> list[Any]:
    answer = await service.by(who).get("/api/search", params={"q": words})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["hits"])


async def filled(service: Service) -> None:
    patch = PatchRef(source=PatchSource.REVISION, name="D250777", version="1", title="Keep the session")
    asked = make_request(1, "release", form=FORM, series=(patch,), requested_by="rosa.marsh@example.com")
    await service.feed(
        make_bug(1, asked, summary="Idle connection after a change", analysis=FILES),
        make_bug(2, make_request(2, "beta", state=RequestState.APPROVED), summary="Connection to a proxy"),
        make_secret(3, make_request(3, "beta"), analysis=FILES),
    )
    listed = ListedBug(
        bug=4,
        sentence="Tracking for beta is asked for.",
        summary="Sidebar loses its width",
        product="Firefox",
        component="Tabs",
        is_restricted=False,
        changed=NOON,
        url="https://bugzilla.example.com/4",
    )
    hidden = msgspec.structs.replace(listed, bug=5, summary="Sidebar SECRET", is_restricted=True)
    report = ListReport(train="beta", list=ListName.TRACKING, read_at=NOON, bugs=(listed, hidden))
    answer = await service.put("/api/board/lists", ListsReport(lists=(report,)))
    assert answer.status_code == 204, answer.text


FINDS: tuple[tuple[str, list[int], list[str]], ...] = (
    ("connection", [2, 1], ["bug"]),
    ("CONNECT change", [1], ["bug"]),
    ("video calls", [1], ["form"]),
    ("D250777", [1], ["form"]),
    ("Http3Session.cpp", [1], ["files"]),
    ("netwerk/protocol", [1], ["files"]),
    ("rosa.marsh", [1], ["people"]),
    ("author idle", [1], ["bug", "people"]),
    ("sidebar width", [4], ["bug"]),
    ("connection video nowhere", [], []),
    ("' & | ! <-> :* \\ %", [], []),
    # what everybody may see of an address is what stands before its @
    ("example.com", [], []),
)


async def test_every_word_is_looked_for_on_every_train_and_hidden_bugs_are_not_there(
    database: Database,
) -> None:
    async with running(database) as service:
        await filled(service)
        for words, bugs, where in FINDS:
            hits = await found(service, words)
            assert [each["bug"] for each in hits] == bugs, words
            assert [place for each in hits[-1:] for place in each["found_in"]] == where, words
        (hit,) = await found(service, "video calls")
        assert (hit["train"], hit["title"], hit["request"]) == ("release", "Release 147", "1-release-1")
        assert (hit["state"], hit["is_open"]) == ("requested", True)
        (listed,) = await found(service, "sidebar")
        assert (listed["list"], listed["where"], listed["request"]) == ("tracking", "Tracking ?", None)
        for words in ("SECRET", "3", "Http3Session"):
            for who in (None, "user"):
                assert not {3, 5} & {each["bug"] for each in await found(service, words, who=who)}
            assert 3 in {each["bug"] for each in await found(service, words, who="reader")} or words == "3"
        for wrong in ({}, {"q": ""}, {"q": "x" * 301}, {"q": "x", "train": "beta"}):
            assert (await service.client.get("/api/search", params=wrong)).status_code == 400, wrong


async def test_what_changed_is_found_by_its_new_words(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1), summary="Before"))
        await service.feed(make_bug(1, make_request(1), summary="Afterwards", digest="d2", read_at=LATER))
        assert await found(service, "before") == []
        assert [each["bug"] for each in await found(service, "after")] == [1]
