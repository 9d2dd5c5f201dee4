# SPDX-License-Identifier: MPL-2.0
"""A request's evidence out of what is stored: parts that wait, versions, people, one timeline. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shipit.merge.conflict_view import ConflictView
from shipit.merge.interdiff import InterdiffView
from shipit.merge.types import Conflict, ConflictKind, Outcome, PatchResult
from shipit.uplift.evidence import AskState, MomentKind
from shipit.uplift.evidence_making import evidence
from shipit.uplift.evidence_subject import named_bugs, subject_of
from shipit.uplift.forms import forms_in
from shipit.uplift.landings import CommitFact
from shipit.uplift.told import (
    Entry,
    Told,
    ToldAudit,
    ToldBug,
    ToldDetail,
    ToldRecord,
    ToldRequest,
    ToldTrain,
    ToldTrial,
    ToldVersion,
    ToldWish,
    conflict_key,
    facts_of,
    interdiff_key,
)
from shipit.uplift.types import Comment, Flag, PatchRef, PatchSource, RequestState
from shipit.uplift.wording import Names, count, listed, span, version_of

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
TIP, OTHER_TIP = "a" * 40, "b" * 40
MIRA = "mira@people.example"


def ago(**how: int) -> datetime:
    return NOW - timedelta(**how)


def patch(version: str = "2") -> PatchRef:
    return PatchRef(source=PatchSource.REVISION, name="D1", version=version)


def trial(outcome: Outcome = Outcome.CONFLICT, *, tip: str = TIP, at: datetime | None = None) -> ToldTrial:
    conflicts = (Conflict("a.c", ConflictKind.CONTENT),) if outcome is Outcome.CONFLICT else ()
    result = PatchResult("D1", outcome, None, conflicts)
    return ToldTrial(
        tip=tip, series_digest="s2", outcome=outcome, patches=(result,), tried_at=at or ago(hours=1)
    )


def told(*, facts: dict[str, Any] | None = None, **more: Any) -> Told:
    asked = ToldRequest(
        uid="1-beta-x",
        bug=1,
        train="beta",
        state=more.pop("state", RequestState.REQUESTED),
        series=(patch(),),
        series_digest="s2",
        requested_by=MIRA,
        requested_at=ago(days=2),
        decided_by=more.pop("decided_by", None),
        decided_at=more.pop("decided_at", None),
        form=more.pop("form", None),
        first_seen=ago(days=2),
        history=more.pop("history", ()),
    )
    people = ({"email": MIRA, "name": "Mira Anand [:mira]", "roles": ["author"]},)
    bug = ToldBug(summary="s", facts={"contributors": people, "landings": (), **(facts or {})})
    parts = {"trials": (trial(),), "train": ToldTrain(name="beta", tip=TIP), **more}
    return Told(request=asked, bug=bug, **parts)


def landing(sha: str, days: int, **more: Any) -> dict[str, Any]:
    fact = CommitFact(sha=sha, subject=f"Bug 1 - {sha}", author=f"Mira <{MIRA}>", date=ago(days=days), **more)
    return msgspec.to_builtins(fact)  # type: ignore[no-any-return]


# --- what a worker makes ------------------------------------------------------------------------------


def detail(kind: str, key: str, view: ConflictView | InterdiffView, days: int = 0) -> ToldDetail:
    return ToldDetail(kind=kind, key=key, content=msgspec.to_builtins(view), made_at=ago(days=days))


def test_a_conflict_is_offered_asked_shown_and_old() -> None:
    view = ConflictView(tip=TIP, patch="D1")
    here = detail("conflict", conflict_key("s2", TIP), view)
    there = detail("conflict", conflict_key("s2", OTHER_TIP), view, days=1)
    wish = ToldWish(kind="conflict", asked_at=ago(minutes=2))
    cases = (
        ({}, AskState.OFFERED, False, False),
        ({"wishes": (wish,)}, AskState.ASKED, False, False),
        ({"details": (here,)}, AskState.READY, True, False),
        ({"details": (there,)}, AskState.OFFERED, True, True),
        ({"details": (there,), "wishes": (wish,)}, AskState.ASKED, True, True),
        ({"trials": (trial(Outcome.CLEAN),), "details": (here,)}, AskState.NONE, False, False),
        ({"trials": ()}, AskState.NONE, False, False),
    )
    for more, state, has_view, is_old in cases:
        part = evidence(told(**more), now=NOW).conflict
        assert (part.state, part.view is not None, part.is_old) == (state, has_view, is_old), more


def test_who_waits_is_told_how_old_the_last_look_is() -> None:
    wish = ToldWish(kind="conflict", asked_at=ago(minutes=2))
    part = evidence(told(wishes=(wish,), last_look=ago(minutes=9)), now=NOW).conflict
    assert part.sentence == (
        "The hunks: asked for 2026-03-03 11:58 UTC, made at the bot's next look; "
        "a bot last finished 2026-03-03 11:51 UTC."
    )


@pytest.mark.parametrize(("failed", "state_says"), [(30, True), (90, False)])
def test_what_could_not_be_made_says_why_until_a_new_trial(failed: int, state_says: bool) -> None:
    wish = ToldWish(kind="conflict", asked_at=ago(days=1), done_at=ago(minutes=failed), error="no tip")
    part = evidence(told(wishes=(wish,)), now=NOW).conflict
    assert part.state is AskState.OFFERED
    assert part.sentence.endswith(": no tip.") is state_says


def versions(*days: int) -> tuple[ToldVersion, ...]:
    return tuple(
        ToldVersion(digest=f"s{number}", series=(patch(str(number)),), seen_at=ago(days=each))
        for number, each in enumerate(days, 1)
    )


def test_a_version_after_the_approval_reopens_the_question() -> None:
    approved = Entry(at=ago(days=3), what="state", before="requested", after="approved")
    about: dict[str, Any] = {
        "state": RequestState.APPROVED,
        "decided_at": ago(days=3),
        "history": (approved,),
    }
    part = evidence(told(versions=versions(5, 1), **about), now=NOW).interdiff
    assert (part.state, part.since, part.is_since_approval) == (AskState.OFFERED, "s1", True)
    # seen together: which came first cannot be told, and nothing is reopened by a guess
    together = evidence(told(versions=versions(5, 3), **about), now=NOW)
    assert not together.interdiff.is_since_approval
    assert [one.is_decided for one in together.versions] == [False, True]


def test_an_interdiff_is_shown_once_made() -> None:
    view = InterdiffView(older="s1", newer="s2", sentence="D1 changed in 1 file.")
    made = detail("interdiff", interdiff_key("s1", "s2"), view)
    part = evidence(told(versions=versions(5, 1), details=(made,)), now=NOW).interdiff
    assert (part.state, part.sentence) == (AskState.READY, "D1 changed in 1 file.")
    assert evidence(told(), now=NOW).interdiff.state is AskState.NONE


# --- facts --------------------------------------------------------------------------------------------


def test_bake_time_counts_from_the_last_relanding() -> None:
    landings = (landing("c1", 9), landing("c2", 8, is_backout=True), landing("c3", 3))
    found = evidence(told(facts={"landings": landings}), now=NOW)
    by_key = {one.key: one.sentence for one in found.facts}
    assert by_key["bake"] == "On main again for 3 d, since 2026-02-28 12:00 UTC."
    assert by_key["backouts"] == "Backed out on main 1 time: 2026-02-23 12:00 UTC."
    assert subject_of(*_with_facts(told(facts={"landings": landings}))).backed_out_at == (ago(days=8),)


def _with_facts(about: Told) -> tuple[Told, Any]:
    return about, facts_of(about.bug)


def test_what_was_backed_out_and_never_came_back_is_not_on_main() -> None:
    landings = (landing("c" * 40, 9), landing("d" * 40, 8, is_backout=True, backs_out=("c" * 12,)))
    found = evidence(told(facts={"landings": landings}), now=NOW)
    assert next(one.sentence for one in found.facts if one.key == "bake") == "Nothing of it stands on main."


def test_the_needed_bugs_are_told_in_standing_and_check() -> None:
    head = "### Beta Uplift Approval Request\n* **User impact if declined**: x\n"
    text = f"{head}* **List of other uplifts needed**: None"
    (form,) = forms_in(Comment(id=1, number=1, creator=MIRA, time=NOW, text=text))
    found = evidence(told(form=form, needs=(1850673,)), now=NOW)
    assert found.standing.word == "Needs bug 1850673"
    assert found.checks[0].measured == "It merges on beta only after bug 1850673."
    assert found.disagreements == 1
    assert named_bugs(told(form=form)) == ()


# --- people and timeline ------------------------------------------------------------------------------


def test_counts_have_their_span_and_no_score() -> None:
    records = (
        ToldRecord(who=MIRA, did="requested", count=21, first=ago(days=300), last=ago(days=1)),
        ToldRecord(who=MIRA, did="landed", count=30, first=ago(days=310), last=ago(days=2)),
        ToldRecord(who=MIRA, did="was backed out", count=2, first=ago(days=20), last=ago(days=9)),
    )
    (person,) = evidence(told(records=records), now=NOW).people
    assert person.name == "Mira Anand [:mira]"
    assert person.sentences == (
        "21 uplifts asked for, 30 commits landed, 2 of them backed out, of bugs with uplift requests, "
        "2025-04-27 to 2026-03-03.",
    )


def test_everything_is_in_one_list_oldest_first() -> None:
    history = (
        Entry(at=ago(days=2), what="seen", after="requested"),
        Entry(
            at=ago(hours=20), what="retarget", before="beta", after="release", major=148, reason="merge day"
        ),
        Entry(at=ago(hours=10), what="series", before="s1", after="s2"),
        Entry(at=ago(hours=5), what="state", before="requested", after="approved"),
    )
    found = evidence(
        told(
            state=RequestState.APPROVED,
            decided_by="rosa@people.example",
            decided_at=ago(hours=6),
            history=history,
            versions=versions(2, 0),
            turns=(trial(Outcome.CLEAN, at=ago(hours=30)), trial(at=ago(hours=1))),
            audit=(ToldAudit(at=ago(hours=7), actor="rosa@people.example", what="approve", after="+"),),
            facts={
                "landings": (
                    landing("c1", 1),
                    landing("c9", 0, on_main=False, train="beta"),
                    landing("c8", 0, on_main=False),
                )
            },
        ),
        now=NOW,
    ).timeline
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert [one.sentence for one in found] == [
        "Mira Anand [:mira] asks for beta without a form that we found.",
        "Trial on beta at aaaaaaaaaaaa: clean.",
        "Lands on main: Bug 1 - c1",
        "Carried from beta to release (148): merge day.",
        "The patches change to D1, diff 2.",
        "rosa approves it here: +.",
        "The flag is approved by rosa.",
        "Trial on beta at aaaaaaaaaaaa: conflict in a.c, before clean.",
        "Lands on beta: Bug 1 - c9",
    ]
    assert {one.kind for one in found} >= {MomentKind.DECISION, MomentKind.DECIDED, MomentKind.RETARGETED}


def test_no_sentence_holds_an_address() -> None:
    flags = (Flag(id=1, name="qe-verify", status="?", setter="qe@people.example", modified=NOW),)
    needinfos = (
        {"requestee": MIRA, "asked_by": "rosa@people.example", "asked_at": NOW.isoformat()},
        {
            "requestee": None,
            "asked_by": "rosa@people.example",
            "asked_at": NOW.isoformat(),
            "cleared_by": MIRA,
            "cleared_at": NOW.isoformat(),
        },
    )
    about = told(
        state=RequestState.REJECTED,
        decided_by="rosa@people.example",
        decided_at=NOW,
        facts={"needinfos": needinfos, "landings": (landing("c1", 1),)},
    )
    about = msgspec.structs.replace(about, bug=msgspec.structs.replace(about.bug, flags=flags))
    found = msgspec.to_builtins(evidence(about, now=NOW))
    for person in found["people"]:
        person["email"] = ""
    assert "@" not in str(found)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (MIRA, "Mira"),
        (MIRA.upper(), "Mira"),
        ("other@people.example", "other"),
        ("Ada <ada@people.example>", "Ada"),
        ("<ada@people.example>", "ada"),
        (None, "somebody"),
        ("plain", "plain"),
    ],
)
def test_people_are_called_by_name(address: str | None, name: str) -> None:
    assert Names([(MIRA, "Mira"), ("x@y.z", "x@y.z")]).of(address).strip(">") == name


def test_words_for_spans_and_lists() -> None:
    assert [span(timedelta(minutes=m)) for m in (-5, 59, 60, 47 * 60, 48 * 60)] == [
        "0 min",
        "59 min",
        "1 h",
        "47 h",
        "2 d",
    ]
    assert (count(1, "bug"), count(2, "bug")) == ("1 bug", "2 bugs")
    assert (listed([]), listed("a"), listed("abc")) == ("", "a", "a, b and c")
    commit = PatchRef(source=PatchSource.COMMIT, name="c" * 40, version="c" * 40)
    assert (version_of(patch()), version_of(commit)) == ("D1, diff 2", "c" * 12)
