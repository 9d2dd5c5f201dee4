# SPDX-License-Identifier: MPL-2.0
"""Answers beside facts: what disagrees, what agrees, and what nobody can tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shipit.uplift.analysis import Churn
from shipit.uplift.check_types import Check, FileTrouble, Kind, Subject, Verdict
from shipit.uplift.checks import bugs_named, checks, disagreements
from shipit.uplift.facts import measure
from shipit.uplift.forms import forms_in
from shipit.uplift.questions import Question
from shipit.uplift.sizes import FileChange
from shipit.uplift.types import Comment, Form

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
QUESTIONS = {
    "tests": "Is this code covered by automated tests?",
    "nightly": "Has the fix been verified in Nightly?",
    "manual": "Needs manual test from QE?",
    "steps": "If yes, steps to reproduce",
    "others": "List of other uplifts needed",
    "risk": "Risk to taking this patch",
    "strings": "String changes made/needed",
    "android": "Is Android affected?",
    "cause": "Bug caused by (feature/regressing bug #)",
    "done": "Testing completed (on m-c, etc.)",
}
CODE = FileChange(path="dom/base/a.cpp", added=10, deleted=2)
TEST = FileChange(path="dom/base/test/test_a.html", added=30)
WORDS = FileChange(path="browser/locales/en-US/browser/menu.ftl", added=2, words=2)


def form(**answers: str) -> Form:
    said = "\n".join(f"* **{QUESTIONS[name]}**: {text}" for name, text in answers.items())
    text = f"### Beta/Release Uplift Approval Request\n* **User impact if declined**: some\n{said}"
    (found,) = forms_in(Comment(id=1, number=1, creator="mira@people.example", time=NOON, text=text))
    return found


def subject(*files: FileChange, **more: object) -> Subject:
    made = Subject(
        measured=measure(files or (CODE,)),
        measured_at=NOON,
        tests_near=3,
        landed_at=NOON - timedelta(days=3),
        bug_read_at=NOON,
        trial_at=NOON,
        train="beta",
    )
    return msgspec.structs.replace(made, **more)


def row(question: Question, asked: Form | None, about: Subject) -> Check:
    (found,) = [one for one in checks(asked, about) if one.question is question]
    return found


@pytest.mark.parametrize(
    ("says", "files", "verdict", "kind"),
    [
        ("none", (CODE, WORDS), Verdict.DISAGREES, Kind.STRINGS),
        ("none", (CODE,), Verdict.AGREES, None),
        ("yes, two", (WORDS,), Verdict.AGREES, None),
        ("yes", (CODE,), Verdict.CANT_TELL, None),
        ("only comments", (WORDS,), Verdict.CANT_TELL, None),
        ("none", (msgspec.structs.replace(WORDS, words=0, deleted=2),), Verdict.AGREES, None),
    ],
)
def test_strings(says: str, files: tuple[FileChange, ...], verdict: Verdict, kind: Kind | None) -> None:
    found = row(Question.STRINGS, form(strings=says), subject(*files))
    assert (found.verdict, found.kind) == (verdict, kind)
    assert found.paths == ((WORDS.path,) if "en-US" in files[-1].path else ())
    assert (found.source, found.at) == ("clone", NOON)


@pytest.mark.parametrize(
    ("says", "files", "near", "verdict", "kind"),
    [
        ("Yes", (CODE, TEST), 3, Verdict.AGREES, None),
        ("Yes", (CODE,), 3, Verdict.CANT_TELL, None),
        ("Yes", (CODE,), 0, Verdict.DISAGREES, Kind.TESTS_NONE),
        ("Yes", (CODE,), None, Verdict.CANT_TELL, None),
        ("Yes, with a new mochitest and other tests", (CODE,), 3, Verdict.DISAGREES, Kind.TESTS_CLAIMED),
        ("Yes, but no new tests", (CODE,), 3, Verdict.CANT_TELL, None),
        ("No", (CODE,), 3, Verdict.AGREES, None),
        ("No", (TEST,), 3, Verdict.CANT_TELL, None),
        ("Yes", (WORDS,), 0, Verdict.CANT_TELL, None),
    ],
)
def test_tests(
    says: str, files: tuple[FileChange, ...], near: int | None, verdict: Verdict, kind: Kind | None
) -> None:
    found = row(Question.TESTS, form(tests=says), subject(*files, tests_near=near))
    assert (found.verdict, found.kind) == (verdict, kind), found.measured


@pytest.mark.parametrize(
    ("says", "path", "verdict", "kind"),
    [
        ("no", "mobile/android/fenix/A.kt", Verdict.DISAGREES, Kind.ANDROID),
        ("yes", "mobile/android/fenix/A.kt", Verdict.AGREES, None),
        ("no", "mobile/android/fenix/src/test/ATest.kt", Verdict.CANT_TELL, None),
        ("no", "dom/base/a.cpp", Verdict.CANT_TELL, None),
        ("yes", "browser/base/a.js", Verdict.DISAGREES, Kind.DESKTOP),
        ("no", "browser/base/a.js", Verdict.AGREES, None),
        ("unknown", "widget/android/a.cpp", Verdict.CANT_TELL, None),
    ],
)
def test_android(says: str, path: str, verdict: Verdict, kind: Kind | None) -> None:
    found = row(Question.ANDROID, form(android=says), subject(FileChange(path=path, added=1)))
    assert (found.verdict, found.kind) == (verdict, kind)


@pytest.mark.parametrize(
    ("says", "more", "verdict", "kind"),
    [
        ("Low", {}, Verdict.AGREES, None),
        ("Low", {"backed_out_at": (NOON,)}, Verdict.DISAGREES, Kind.BACKED_OUT),
        (
            "Low",
            {"troubled": (FileTrouble(path="a.cpp", commits=5, backouts=2),)},
            Verdict.DISAGREES,
            Kind.BACKOUTS,
        ),
        ("High", {"backed_out_at": (NOON,)}, Verdict.CANT_TELL, None),
        ("see above", {"backed_out_at": (NOON,)}, Verdict.CANT_TELL, None),
    ],
)
def test_risk(says: str, more: dict[str, object], verdict: Verdict, kind: Kind | None) -> None:
    found = row(Question.RISK_LEVEL, form(risk=says), subject(**more))
    assert (found.verdict, found.kind) == (verdict, kind)
    assert "1 file and 12 lines outside tests" in found.measured


@pytest.mark.parametrize(
    "files",
    [
        tuple(FileChange(path=f"dom/{n}.cpp", added=1) for n in range(40)),
        (FileChange(path="dom/a.cpp", added=900, deleted=100),),
    ],
)
def test_a_large_patch_is_not_of_low_risk(files: tuple[FileChange, ...]) -> None:
    assert row(Question.RISK_LEVEL, form(risk="low"), subject(*files)).kind is Kind.SIZE
    tests = tuple(msgspec.structs.replace(one, path=f"dom/test/{one.path}") for one in files)
    assert row(Question.RISK_LEVEL, form(risk="low"), subject(*tests)).verdict is Verdict.AGREES


def test_recent_backouts_are_told_with_what_the_index_lacks() -> None:
    recent = Churn(
        since=NOON,
        commits=20,
        by_author=1,
        by_reviewers=0,
        reviewed_by_reviewers=0,
        backouts=1,
        last=NOON,
        is_complete=False,
    )
    found = row(Question.RISK_LEVEL, form(risk="low"), subject(recent=recent))
    assert found.measured.endswith("Of at least 20 recent commits to these files 1 back something out.")
    assert found.verdict is Verdict.AGREES


@pytest.mark.parametrize(
    ("says", "more", "verdict", "kind"),
    [
        ("Yes", {"landed_at": None}, Verdict.DISAGREES, Kind.NOT_ON_MAIN),
        ("No", {"landed_at": None}, Verdict.AGREES, None),
        ("Yes", {"landed_at": NOON - timedelta(hours=3)}, Verdict.DISAGREES, Kind.HOURS_ON_MAIN),
        ("Yes", {"landed_at": NOON - timedelta(hours=10)}, Verdict.CANT_TELL, None),
        ("Yes", {"landed_at": NOON + timedelta(hours=5)}, Verdict.DISAGREES, Kind.HOURS_ON_MAIN),
        ("Yes", {}, Verdict.CANT_TELL, None),
        ("Yes", {"is_verified": True}, Verdict.AGREES, None),
        ("Yes", {"landed_at": None, "is_main_known": False}, Verdict.CANT_TELL, None),
    ],
)
def test_verified(says: str, more: dict[str, object], verdict: Verdict, kind: Kind | None) -> None:
    found = row(Question.VERIFIED_NIGHTLY, form(nightly=says), subject(**more))
    assert (found.verdict, found.kind) == (verdict, kind)


@pytest.mark.parametrize(
    ("says", "landed", "verdict"),
    [
        ("landed on m-c two days ago", None, Verdict.DISAGREES),
        ("landed on m-c two days ago", NOON, Verdict.AGREES),
        ("not landed yet", None, None),
        ("local testing", None, None),
    ],
)
def test_testing_completed(says: str, landed: datetime | None, verdict: Verdict | None) -> None:
    rows = [
        one for one in checks(form(done=says), subject(landed_at=landed)) if one.question == "testing_done"
    ]
    assert [one.verdict for one in rows] == ([verdict] if verdict else [])


@pytest.mark.parametrize(
    ("says", "steps", "flag", "verdict", "kind"),
    [
        ("Yes", "N/A", None, Verdict.DISAGREES, Kind.QE_STEPS),
        ("Yes", "see comment 0", None, Verdict.CANT_TELL, None),
        ("Yes, QA will do another pass", "", None, Verdict.CANT_TELL, None),
        ("Yes, please", "", "?", Verdict.DISAGREES, Kind.QE_STEPS),
        ("Yes", "open the menu", "+", Verdict.AGREES, None),
        ("Yes", "open the menu", "-", Verdict.DISAGREES, Kind.QE_FLAG),
        ("No", "", "+", Verdict.DISAGREES, Kind.QE_FLAG),
        ("No", "", None, Verdict.AGREES, None),
    ],
)
def test_manual_qe(says: str, steps: str, flag: str | None, verdict: Verdict, kind: Kind | None) -> None:
    found = row(Question.MANUAL_QE, form(manual=says, steps=steps), subject(qe_verify=flag))
    assert (found.verdict, found.kind) == (verdict, kind), found.measured


@pytest.mark.parametrize(
    ("says", "more", "verdict", "kind"),
    [
        ("None", {"needs": (1850673,)}, Verdict.DISAGREES, Kind.PREREQUISITE),
        ("bug 1850673", {"needs": (1850673,)}, Verdict.AGREES, None),
        ("bug 1850999", {"needs": (1850673,)}, Verdict.DISAGREES, Kind.PREREQUISITE),
        ("None", {}, Verdict.AGREES, None),
        ("None", {"is_conflict": True}, Verdict.CANT_TELL, None),
        ("None", {"trial_at": None}, Verdict.CANT_TELL, None),
        ("bug 1850673", {"others": {1850673: "approved for beta"}}, Verdict.CANT_TELL, None),
    ],
)
def test_other_uplifts(says: str, more: dict[str, object], verdict: Verdict, kind: Kind | None) -> None:
    found = row(Question.OTHER_UPLIFTS, form(others=says), subject(**more))
    assert (found.verdict, found.kind) == (verdict, kind), found.measured


@pytest.mark.parametrize(
    ("says", "known", "verdict"),
    [
        ("bug 1850001", (1850001,), Verdict.AGREES),
        ("Bug 1850001", (1850002,), Verdict.DISAGREES),
        ("1850001", (), Verdict.CANT_TELL),
    ],
)
def test_cause(says: str, known: tuple[int, ...], verdict: Verdict) -> None:
    assert row(Question.CAUSE, form(cause=says), subject(regressed_by=known)).verdict is verdict


def test_disagreements_come_first_and_unanswered_questions_keep_their_facts() -> None:
    rows = checks(form(strings="none", risk="low"), subject(CODE, WORDS))
    assert [one.verdict for one in rows] == sorted((one.verdict for one in rows), key=list(Verdict).index)
    assert disagreements(rows) == 1
    tests = next(one for one in rows if one.question is Question.TESTS)
    assert (tests.says, tests.verdict) == (None, Verdict.CANT_TELL)


def test_without_a_form_facts_stand_alone_and_nothing_disagrees() -> None:
    rows = checks(None, subject(CODE, WORDS, backed_out_at=(NOON,), needs=(5,)))
    assert rows
    assert {one.verdict for one in rows} == {Verdict.CANT_TELL}
    assert {one.says for one in rows} == {None}


def test_what_could_not_be_measured_agrees_with_nothing_yet_may_contradict() -> None:
    lacking = "D7: Phabricator does not answer"
    for name, says in (("strings", "none"), ("tests", "no"), ("risk", "low")):
        for found in checks(form(**{name: says}), subject(lacking=lacking)):
            assert found.verdict is not Verdict.DISAGREES
            assert found.verdict is Verdict.CANT_TELL or found.question == "other_uplifts"
    seen = row(Question.STRINGS, form(strings="none"), subject(WORDS, lacking=lacking))
    assert seen.kind is Kind.STRINGS
    blind = row(Question.STRINGS, form(strings="none"), Subject(lacking=lacking))
    assert blind.measured == f"Not measured: {lacking}."


def test_bugs_are_found_in_answers() -> None:
    assert bugs_named("Bug 1850673, bug #1850674 and 1850675; comment 12") == (1850673, 1850674, 1850675)
    assert bugs_named("https://bugzilla.example/show_bug.cgi?id=99 and 2024") == (99,)
