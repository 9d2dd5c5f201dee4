# SPDX-License-Identifier: MPL-2.0
"""libmozdata's reading: its recorded results over its recorded HTTP, and what it must never do to us."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libmozdata import patchanalysis
from libmozdata.bugzilla import Bugzilla, BugzillaUser
from libmozdata.connection import Connection

from shipit.clients.mozdata import analyse, module_of, render_comment
from shipit.clients.mozdata_answers import Answers, bind
from shipit.uplift.analysis import (
    Churn,
    Failed,
    MozdataAnalysis,
    PatchFacts,
    ReadPatch,
    UpliftReading,
    assemble,
)
from shipit.uplift.sizes import is_test, languages, read_diff
from shipit.uplift.types import Attachment, Bug, Change, Comment, Flag, PatchSource, Person

NOW = datetime(2026, 6, 1, tzinfo=UTC)
T0 = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BETA = "approval-mozilla-beta"
RELEASE = "approval-mozilla-release"
ADA = Person(name="Ada Lovelace [:ada]", email="ada@example.org")
BEN = Person(name="Ben [:ben]", email="ben@example.org")
RM = Person(name="Release Manager [:rm]", email="rm@example.org")

RECORDED = (1029098, 1220307, 679509, 699633, 721760, 799266, 843821, 859425, 903475)
# Of each recorded patch these fields are reproduced exactly.
AGREE = {
    *("source", "url", "changes_size", "test_changes_size", "changes_add", "changes_del"),
    *("languages", "modules_num"),
}
# These cannot be: they count the entries of one file log per file touched, and only eight other logs are
# recorded (tests/vcs/test_history.py holds our counts against libmozdata's on these eight).
CANNOT = {
    f"{what}_{span}"
    for what in ("code_churn", "developer_familiarity", "reviewer_familiarity")
    for span in ("overall", "last_3_releases")
}


def as_libmozdata(read: ReadPatch, facts: PatchFacts) -> dict[str, Any]:
    """A patch under libmozdata's keys; those of churn and familiarity cannot agree (CANNOT)."""
    return {
        "source": "mercurial" if read.kind is PatchSource.COMMIT else read.kind.value,
        "url": read.url,
        "changes_size": facts.size(tests=False).lines,
        "test_changes_size": facts.size(tests=True).lines,
        "changes_add": facts.size().added,
        "changes_del": facts.size().deleted,
        "languages": list(read.languages),
        "modules_num": len(read.modules),
    } | dict.fromkeys(CANNOT)


# --- recorded bugs --------------------------------------------------------------------------------------


def when(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def body(file: Path) -> Any:
    return json.loads(file.read_text())


def recorded_flags(flags: Iterable[dict[str, Any]]) -> tuple[Flag, ...]:
    return tuple(Flag(id=0, name=f["name"], status=f["status"], setter=f["setter"]) for f in flags)


def recorded_person(person: dict[str, Any]) -> Person:
    return Person(name=person["real_name"], email=person.get("email") or person["name"])


def recorded_bug(shared: Path, number: int) -> tuple[Bug, list[Person]]:
    """A bug as our Bugzilla client would have read it, and the people on its CC list."""
    folder = shared / "data/bugzilla/rest/bug" / str(number)
    raw = body(folder / "bug.json")["bugs"][0]
    (comments,) = (b["comments"] for b in body(folder / "comment.json")["bugs"].values())
    (attachments,) = body(folder / "attachment.json")["bugs"].values()
    history = body(folder / "history.json")["bugs"][0]["history"]
    bug = Bug(
        id=number,
        summary=raw["summary"],
        product=raw["product"],
        component=raw["component"],
        status=raw["status"],
        changed=NOW,
        read_at=NOW,
        blocks=tuple(raw["blocks"]),
        depends_on=tuple(raw["depends_on"]),
        flags=recorded_flags(raw["flags"]),
        creator=recorded_person(raw["creator_detail"]),
        assignee=recorded_person(raw["assigned_to_detail"]),
        comments=tuple(
            Comment(id=c["id"], number=n, creator=c["author"], time=when(c["time"]), text=c["text"])
            for n, c in enumerate(comments)
        ),
        attachments=tuple(
            Attachment(
                id=n,
                bug=number,
                file_name="",
                content_type=a["content_type"],
                summary="",
                creator=a["creator"],
                is_patch=bool(a["is_patch"]),
                flags=recorded_flags(a["flags"]),
            )
            for n, a in enumerate(attachments)
        ),
        history=tuple(
            Change(
                time=when(h["when"]),
                who=h["who"],
                field=c["field_name"],
                removed=c["removed"],
                added=c["added"],
            )
            for h in history
            for c in h["changes"]
        ),
    )
    return bug, [recorded_person(person) for person in raw["cc_detail"]]


@cache
def recorded_commits(shared: Path) -> dict[str, PatchFacts]:
    """Every recorded json-rev with its recorded raw-rev, as facts; central's diff before inbound's."""
    found: dict[str, PatchFacts] = {}
    for repository in ("integration/mozilla-inbound", "mozilla-central"):
        for file in sorted((shared / "data/hgmo" / repository / "json-rev").glob("*.json")):
            raw = body(file)
            diff = shared / "data/hgmo" / repository / "raw-rev" / f"{file.stem}.diff"
            if "user" in raw:
                found[raw["node"]] = facts(
                    raw["node"],
                    author=hg_person(raw["user"]),
                    message=raw["desc"],
                    at=datetime.fromtimestamp(raw["date"][0], UTC),
                    diff=diff.read_bytes() if diff.exists() else b"",
                    parents=tuple(raw["parents"]),
                )
    return found


@cache
def recorded_people(shared: Path) -> tuple[Person, ...]:
    files = sorted((shared / "data/bugzilla/rest/user").glob("*.json"))
    return tuple(recorded_person(user) for file in files for user in body(file)["users"])


def hg_person(user: str) -> Person:
    name, found, email = user.partition(" <")
    return Person(name=name, email=email.rstrip(">") if found else None)


def facts(
    name: str,
    *,
    author: Person = ADA,
    message: str = "Bug 1 - work r=ben",
    at: datetime = T0,
    diff: bytes = b"",
    kind: PatchSource = PatchSource.COMMIT,
    on_main: bool = True,
    parents: tuple[str, ...] = (),
) -> PatchFacts:
    files = read_diff(diff)
    return PatchFacts(
        name=name,
        kind=kind,
        author=author,
        message=message,
        authored_at=at,
        parents=parents,
        landed_at=at if on_main else None,
        files=files,
        languages=languages(files),
        overall=Churn(
            since=None,
            commits=0,
            by_author=0,
            by_reviewers=0,
            reviewed_by_reviewers=0,
            backouts=0,
            last=None,
        ),
        read_at=NOW,
    )


@pytest.mark.parametrize("number", RECORDED)
async def test_recorded_results_come_out_of_the_recorded_conversation(shared: Path, number: int) -> None:
    bug, cc = recorded_bug(shared, number)
    commits = recorded_commits(shared)
    reading = await analyse(
        bug, commits=commits, flags={}, releases=(), now=NOW, people=(*cc, *recorded_people(shared))
    )
    assert isinstance(reading, MozdataAnalysis), reading
    expected = body(shared / f"data/bugzilla/patch-analysis-expected/{number}.json")
    assert {patch.name[:12] for patch in reading.patches} == set(expected)
    for patch in reading.patches:
        ours = as_libmozdata(patch, commits[patch.name])
        theirs = expected[patch.name[:12]]
        assert set(theirs) == AGREE | CANNOT
        assert {field: ours[field] for field in AGREE} == {field: theirs[field] for field in AGREE}
        assert commits[patch.name].languages == tuple(theirs["languages"])


async def test_a_bug_backed_out_twice_by_unnamed_changesets_is_read_as_recorded(shared: Path) -> None:
    bug, cc = recorded_bug(shared, 1220307)
    people = (*cc, *recorded_people(shared))
    reading = await analyse(
        bug, commits=recorded_commits(shared), flags={}, releases=(), now=NOW, people=people
    )
    assert isinstance(reading, MozdataAnalysis)
    assert (reading.backouts, reading.comments, reading.refused_patches) == (2, 42, 0)
    assert len(bug.blocks) == 4 and len(bug.depends_on) == 1
    assert "Revision da10eecd0e76 doesn't exist." in reading.doubts


@pytest.mark.parametrize("number", [859425, 909494, 1230065, 1270916, 1319554])
def test_recorded_comments_are_rendered_as_recorded(shared: Path, number: int) -> None:
    folder = shared / "data/bugzilla/uplift-comments"
    text = (folder / f"{number}.txt").read_text()
    assert render_comment(text, bug=number).strip() == (folder / f"{number}.html").read_text().strip()


def test_a_comment_cannot_bring_markup_with_it() -> None:
    html = render_comment(
        '[User impact if declined]: <script>alert("x")</script> http://a.b/"onclick=x', bug=1
    )
    assert "<script" not in html
    assert '"onclick' not in html


# --- a bug of today -------------------------------------------------------------------------------------

LANDED = "a1" * 20
BACKOUT = "b2" * 20
RELANDED = "c3" * 20
HG_LANDED = "d4" * 20
GITHUB = "https://github.com/mozilla-firefox/firefox/commit/"
CENTRAL = "https://hg.mozilla.org/mozilla-central/rev/"
DIFF = b"diff --git a/dom/x.cpp b/dom/x.cpp\n--- a/dom/x.cpp\n+++ b/dom/x.cpp\n@@ -1 +1 @@\n-a\n+b\n"


def said(number: int, text: str, *, by: Person = ADA, at: datetime, private: bool = False) -> Comment:
    creator = by.email or ""
    return Comment(id=number, number=number, creator=creator, time=at, text=text, is_private=private)


def asked(flag: str, at: datetime, status: str = "?", by: Person = ADA) -> Change:
    return Change(time=at, who=by.email or "", field="flagtypes.name", removed="", added=f"{flag}{status}")


def attachment(number: int, *flags: tuple[str, str], **more: Any) -> Attachment:
    return Attachment(
        id=number,
        bug=1,
        file_name="phabricator-D1-url.txt",
        content_type=more.pop("content_type", "text/x-phabricator-request"),
        summary="",
        creator="ada@example.org",
        flags=tuple(Flag(id=0, name=n, status=s, setter="rm@example.org") for n, s in flags),
        created=T0,
        **more,
    )


def a_bug(**more: Any) -> Bug:
    given: dict[str, Any] = {
        "id": 1,
        "summary": "crash",
        "product": "Core",
        "component": "DOM",
        "status": "RESOLVED",
        "changed": NOW,
        "read_at": NOW,
        "creator": BEN,
        "assignee": ADA,
    }
    return Bug(**{**given, **more})


async def read(bug: Bug, **more: Any) -> MozdataAnalysis:
    given: dict[str, Any] = {
        "commits": {},
        "flags": {},
        "releases": (),
        "now": NOW,
        "people": (ADA, BEN, RM),
    }
    reading = await analyse(bug, **{**given, **more})
    assert isinstance(reading, MozdataAnalysis), reading
    return reading


async def test_l12_a_landing_on_git_is_read_with_its_own_address() -> None:
    bug = a_bug(comments=(said(1, f"{GITHUB}{LANDED}", at=T0),))
    reading = await read(bug, commits={LANDED: facts(LANDED, diff=DIFF)})
    (patch,) = reading.patches
    assert (patch.name, patch.kind, patch.url) == (LANDED, PatchSource.COMMIT, GITHUB + LANDED)
    assert patch.reviewers == ("ben@example.org",)
    assert patch.languages == ("C++",)
    assert reading.landings == {"nightly": T0}


async def test_a_landing_told_by_both_of_its_names_is_one_patch() -> None:
    text = f"{GITHUB}{LANDED}\n{CENTRAL}{HG_LANDED[:12]}"
    commit = facts(LANDED)
    reading = await read(a_bug(comments=(said(1, text, at=T0),)), commits={LANDED: commit, HG_LANDED: commit})
    assert [patch.name for patch in reading.patches] == [LANDED]


async def test_every_reviewer_of_a_list_is_read() -> None:
    commit = facts(LANDED, message="Bug 1 - work r=rm,ben,#dom-reviewers")
    commit = msgspec.structs.replace(commit, reviewers=("rm", "ben", "#dom-reviewers"))
    reading = await read(a_bug(comments=(said(1, GITHUB + LANDED, at=T0),)), commits={LANDED: commit})
    assert reading.patches[0].reviewers == ("ben@example.org", "rm@example.org")


async def test_what_was_reverted_and_landed_again_stands_once() -> None:
    commits = {
        LANDED: facts(LANDED),
        BACKOUT: facts(
            BACKOUT, message=f'Revert "Bug 1 - work" for bustage\n\nThis reverts commit {LANDED}.'
        ),
        RELANDED: facts(RELANDED),
    }
    comments = tuple(said(n, f"{GITHUB}{sha}", at=T0 + n * HOUR) for n, sha in enumerate(commits))
    reading = await read(a_bug(comments=comments), commits=commits)
    assert [patch.name for patch in reading.patches] == [RELANDED]
    assert reading.backouts == 1


async def test_a_commit_that_is_not_on_main_is_not_a_landing_there() -> None:
    bug = a_bug(comments=(said(1, f"{GITHUB}{LANDED}", at=T0),))
    reading = await read(bug, commits={LANDED: facts(LANDED, on_main=False)})
    assert reading.patches == ()
    assert reading.landings == {}


async def test_reviewed_attachments_stand_for_what_has_not_landed() -> None:
    attachments = (
        attachment(11, ("review", "+"), is_patch=True, content_type="text/plain"),
        attachment(12, ("review", "+"), is_patch=True, is_obsolete=True, content_type="text/plain"),
        attachment(13, ("review", "+"), content_type="text/x-review-board-request"),
        attachment(14, ("review", "-"), is_patch=True, content_type="text/plain"),
    )
    known = facts("attachment 11", diff=DIFF, kind=PatchSource.ATTACHMENT)
    reading = await read(a_bug(attachments=attachments), commits={"attachment 11": known})
    (patch,) = reading.patches
    assert (patch.name, patch.kind, patch.languages) == ("attachment 11", PatchSource.ATTACHMENT, ("C++",))
    assert patch.url == "https://bugzilla.mozilla.org/attachment.cgi?id=11"
    assert reading.refused_patches == 1


# --- B11: each train its own request --------------------------------------------------------------------


def two_requests() -> Bug:
    return a_bug(
        attachments=(attachment(11, (BETA, "+"), (RELEASE, "-")),),
        comments=(
            said(1, "Approval Request Comment\n[User impact if declined]: beta", at=T0),
            said(
                2, "Approval Request Comment\n[User impact if declined]: release", by=BEN, at=T0 + 50 * HOUR
            ),
        ),
        history=(
            asked(BETA, T0),
            asked(BETA, T0 + 5 * HOUR, "+", RM),
            asked(RELEASE, T0 + 50 * HOUR),
            asked(RELEASE, T0 + 51 * HOUR, "-", RM),
        ),
    )


async def test_b11_each_train_shows_its_own_request_and_dates() -> None:
    reading = await read(two_requests(), flags={BETA: None, RELEASE: None})
    beta, release = reading.uplifts
    assert isinstance(beta, UpliftReading) and isinstance(release, UpliftReading)
    assert (beta.comment, beta.author, beta.is_accepted, beta.response) == (1, ADA, True, 5 * HOUR)
    assert (release.comment, release.author, release.is_accepted, release.response) == (2, BEN, False, HOUR)
    assert beta.reviewer == RM
    assert "beta" in (beta.html or "") and "release" not in (beta.html or "")


async def test_b11_a_comment_that_we_found_ourselves_is_the_one_shown() -> None:
    bug = msgspec.structs.replace(
        two_requests(), comments=(*two_requests().comments, said(3, "A form in new words", at=T0 + 9 * HOUR))
    )
    reading = await read(bug, flags={BETA: 3})
    (beta,) = reading.uplifts
    assert isinstance(beta, UpliftReading)
    assert beta.comment == 3


async def test_a_flag_asked_again_without_a_new_form_keeps_the_last_form() -> None:
    bug = two_requests()
    bug = msgspec.structs.replace(bug, history=(*bug.history, asked(BETA, T0 + 90 * HOUR)))
    (beta,) = (await read(bug, flags={BETA: None})).uplifts
    assert isinstance(beta, UpliftReading)
    assert beta.comment == 2


async def test_a_flag_with_another_products_name_is_read_too() -> None:
    bug = a_bug(
        attachments=(attachment(11, ("approval-comm-beta", "+")),),
        history=(asked("approval-comm-beta", T0), asked("approval-comm-beta", T0 + HOUR, "+", RM)),
    )
    (reading,) = (await read(bug, flags={"approval-comm-beta": None})).uplifts
    assert isinstance(reading, UpliftReading)
    assert (reading.flag, reading.is_accepted, reading.response) == ("approval-comm-beta", True, HOUR)


# --- B12: what libmozdata cannot read loses nothing -----------------------------------------------------


async def test_b12_both_answers_on_one_bug_fail_that_train_alone() -> None:
    bug = a_bug(attachments=(attachment(11, (BETA, "+")), attachment(12, (BETA, "-"))))
    reading = await read(bug, flags={BETA: None, RELEASE: None})
    beta, release = reading.uplifts
    assert isinstance(beta, Failed)
    assert beta.subject == BETA
    assert "either accepted or rejected" in beta.reason
    assert isinstance(release, UpliftReading)


async def test_b12_an_answer_on_an_obsolete_attachment_contradicts_nothing() -> None:
    bug = a_bug(attachments=(attachment(11, (BETA, "-"), is_obsolete=True), attachment(12, (BETA, "+"))))
    (beta,) = (await read(bug, flags={BETA: None})).uplifts
    assert isinstance(beta, UpliftReading) and beta.is_accepted


async def test_b12_a_request_after_the_last_known_release_is_read() -> None:
    bug = a_bug(history=(asked(BETA, T0),))
    (late,) = (await read(bug, flags={BETA: None}, releases=[T0 - HOUR])).uplifts
    (early,) = (await read(bug, flags={BETA: None}, releases=[T0 - HOUR, T0 + 30 * HOUR])).uplifts
    assert isinstance(late, UpliftReading) and isinstance(early, UpliftReading)
    assert (late.release, early.release) == (None, 30 * HOUR)


async def test_b12_names_that_several_people_fit_are_a_doubt_and_lose_no_bug() -> None:
    twins = [Person(name="Cyd [:cyd]", email=f"cyd{number}@example.org") for number in (1, 2)]
    commit = facts(LANDED, message="Bug 1 - work r=cyd")
    bug = a_bug(comments=(said(1, GITHUB + LANDED, at=T0),))
    reading = await read(bug, commits={LANDED: commit}, people=twins)
    assert [patch.name for patch in reading.patches] == [LANDED]
    assert reading.patches[0].reviewers == ()
    assert any("Too many matching reviewers" in doubt for doubt in reading.doubts)


@pytest.mark.parametrize(
    ("number", "author"), [(846986, "jwalden@mit.edu"), (1114040, "dtownsend@oxymoronical.com")]
)
async def test_b12_recorded_bugs_that_libmozdata_drops_are_read(
    shared: Path, number: int, author: str
) -> None:
    bug, cc = recorded_bug(shared, number)
    reading = await read(bug, commits=recorded_commits(shared), people=(*cc, *recorded_people(shared)))
    assert any("Too many matching authors" in doubt for doubt in reading.doubts)
    assert author in {email for patch in reading.patches for email in patch.authors}


async def test_b12_a_bug_whose_analysis_fails_is_kept_with_the_reason() -> None:
    # No client of ours hands this out: it stands for whatever libmozdata will stumble over next.
    commit = msgspec.structs.replace(facts(LANDED), authored_at=None)
    bug = a_bug(comments=(said(1, GITHUB + LANDED, at=T0),))
    reading = await analyse(bug, commits={LANDED: commit}, flags={}, releases=(), now=NOW)
    assert isinstance(reading, Failed)
    assert reading.subject == "bug 1"
    assert reading.reason.startswith("libmozdata stopped: AttributeError")
    kept = assemble(bug, reading=reading, patches=[commit], now=NOW)
    assert kept.reading == reading
    assert kept.patches == (commit,)


async def test_a_reading_that_does_not_end_is_given_up() -> None:
    bug = a_bug(comments=tuple(said(n, GITHUB + LANDED, at=T0) for n in range(2000)))
    reading = await analyse(
        bug, commits={LANDED: facts(LANDED)}, flags={}, releases=(), now=NOW, within=0.0001
    )
    assert isinstance(reading, Failed)
    assert "0.0001 s" in reading.reason


@pytest.mark.parametrize(
    "person",
    [
        Person(name="", email="ada@example.org"),
        Person(name="  ", email="nobody"),
        Person(name="Ada", email=None),
        Person(name=" x y", email="a@b"),
        Person(name="Ada", email="ada@localhost", nick="ada"),
    ],
)
async def test_people_without_name_or_address_do_not_stop_it(person: Person) -> None:
    bug = a_bug(comments=(said(1, GITHUB + LANDED, at=T0),), creator=person, assignee=None)
    commit = facts(LANDED, author=Person(name="Somebody Else", email=None), message="Bug 1 - x r=zed")
    reading = await read(bug, commits={LANDED: commit}, people=(person,))
    assert len(reading.patches) == 1


# --- what it must never do ------------------------------------------------------------------------------


async def test_b9_it_asks_nobody_so_no_failing_service_reads_as_empty(
    monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    unknown = "Approval Request\n" + "\n".join(f"{CENTRAL}{digit * 12}" for digit in "0123456789abcdef")
    bug = msgspec.structs.replace(
        two_requests(), comments=(said(1, unknown, by=Person(name="x", email="x@y.zz"), at=T0),)
    )
    reading = await read(bug, flags={BETA: None, RELEASE: None}, people=())
    assert len(reading.doubts) == 16
    for number in RECORDED:
        recorded, _ = recorded_bug(shared, number)
        await analyse(
            recorded,
            commits=recorded_commits(shared),
            flags={BETA: None, RELEASE: None},
            releases=(),
            now=NOW,
        )


async def test_nothing_of_the_library_is_changed_or_remembered() -> None:
    def state() -> list[object]:
        functions = (patchanalysis.bug_analysis, patchanalysis.author_match, patchanalysis.reviewer_match)
        return [
            dict(vars(patchanalysis)),
            *(dict(vars(thing)) for thing in (Bugzilla, BugzillaUser, Connection)),
            *(repr(function.__defaults__) for function in functions),
        ]

    before = state()
    bug = a_bug(comments=(said(1, GITHUB + LANDED, at=T0),))
    await read(bug, commits={LANDED: facts(LANDED)}, flags={BETA: None})
    assert state() == before


async def test_l12_release_dates_are_those_given_each_time() -> None:
    bug = a_bug(history=(asked(BETA, T0),))
    found = []
    for days in (3, 5):
        (uplift,) = (await read(bug, flags={BETA: None}, releases=[T0 + timedelta(days=days)])).uplifts
        assert isinstance(uplift, UpliftReading)
        found.append(uplift.release)
    assert found == [timedelta(days=3), timedelta(days=5)]


def test_l12_l13_what_guesses_flags_and_what_writes_for_ever_is_out_of_reach() -> None:
    library = bind(patchanalysis, Answers(bugzilla_url="https://bugzilla.example.org"))
    assert {"put", "get_status_flags"}.isdisjoint(dir(library["Bugzilla"]))
    assert not hasattr(library["versions"], "get")
    with pytest.raises(ConnectionRefusedError):
        library["HGFileInfo"]("dom/x.cpp")


async def test_two_readings_at_once_do_not_meet() -> None:
    def one(number: int) -> tuple[Bug, dict[str, PatchFacts], Person]:
        sha = f"{number:02x}" * 20
        reviewer = Person(name=f"Reviewer {number} [:ben]", email=f"ben{number}@example.org")
        bug = a_bug(comments=(said(1, GITHUB + sha, at=T0),), creator=None)
        return bug, {sha: facts(sha)}, reviewer

    worlds = [one(number) for number in range(1, 21)]
    readings = await asyncio.gather(*(read(bug, commits=c, people=(ADA, who)) for bug, c, who in worlds))
    assert [reading.patches[0].reviewers for reading in readings] == [(who.email,) for _, _, who in worlds]


async def test_private_comments_and_attachments_are_not_read() -> None:
    bug = a_bug(
        comments=(
            said(1, f"{GITHUB}{LANDED} Approval Request", at=T0, private=True),
            said(2, "hello", at=T0),
        ),
        attachments=(attachment(11, (BETA, "+"), is_private=True),),
        history=(asked(BETA, T0),),
    )
    reading = await read(bug, commits={LANDED: facts(LANDED)}, flags={BETA: None})
    (beta,) = reading.uplifts
    assert isinstance(beta, UpliftReading)
    assert (reading.comments, reading.patches, beta.comment, beta.is_accepted) == (1, (), None, False)


# --- rules of ours that are libmozdata's ----------------------------------------------------------------

PATHS = st.lists(
    st.sampled_from(
        ["test", "tests", "dom", "a.cpp", "b.py", "browser.ini", "x.list", "moz.build", "y.json"]
    ),
    min_size=1,
    max_size=4,
).map("/".join)


@given(PATHS)
def test_what_is_a_test_is_what_libmozdata_calls_one(path: str) -> None:
    assert is_test(path) == patchanalysis._is_test(path)


def test_modules_are_those_of_mozillas_table() -> None:
    assert module_of("js/src/jit/Ion.cpp") == "JavaScript JIT"
    assert module_of("no/such/place") is None
