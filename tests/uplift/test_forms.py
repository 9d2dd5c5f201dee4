# SPDX-License-Identifier: MPL-2.0
"""Forms: every recorded wording, hand-written variants, hostile text; nothing dropped, nothing invented."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uplift_builders import comment, recorded_bugs, revision

from shipit.uplift.forms import (
    Generation,
    about_attachment,
    answer_to,
    form_of_revision,
    forms_in,
    risk_of,
)
from shipit.uplift.questions import RULES, WORDINGS, Question, question_of, value_of, words
from shipit.uplift.types import Form


def read(text: str) -> Form:
    """The only form in a text."""
    (form,) = forms_in(comment(text))
    assert form.raw == text, "the raw text is kept whole"
    return form


def values(form: Form) -> dict[str, str | None]:
    return {answer.question: answer.value for answer in form.answers if answer.value is not None}


def texts(form: Form) -> dict[str, str]:
    return {answer.question: answer.text for answer in form.answers}


# --- what was recorded --------------------------------------------------------------------------------


def test_every_recorded_form_of_2020_to_2026_is_read_whole(shared: Path) -> None:
    lines = (shared / "data/bugzilla/uplift-request-forms-2020-2026.jsonl").read_text().splitlines()
    forms = [read(json.loads(line)["text"]) for line in lines]
    assert len(forms) == 13
    assert all(form.is_parsed for form in forms)
    assert Counter(form.generation for form in forms) == {"bridge": 7, "markdown": 6}
    assert [form.train_hint for form in forms] == [
        "firefox-beta", "firefox-esr140", "firefox-esr128", "firefox-esr115",
        "firefox-beta", "firefox-esr140", None,
        "beta/release", "esr", "beta/release", "beta/release", "esr", "esr",
    ]  # fmt: skip
    assert [len(form.answers) for form in forms] == [9, 9, 9, 9, 9, 9, 9, 10, 5, 10, 10, 6, 5]
    assert not any(answer.question in ("other", "note") for form in forms for answer in form.answers)
    assert [risk_of(form) for form in forms] == ["low"] * 13
    tests = [values(form).get("tests") for form in forms]
    assert tests == ["no"] * 4 + ["yes"] * 4 + [None, "yes", "yes", None, None]
    nightly = [values(form).get("verified_nightly") for form in forms]
    assert nightly == ["yes"] * 6 + ["no", "yes", None, "yes", "no", None, None]
    android = [values(form).get("android") for form in forms]
    assert android == ["yes"] * 8 + [None, "yes", "yes", None, None]
    strings = [values(form).get("strings") for form in forms]
    assert strings == ["no"] * 8 + [None, "no", None, "no", None], "an empty answer is no answer"


def test_each_label_of_the_recorded_forms_is_one_answer_with_its_text(shared: Path) -> None:
    """Counted without our reader: one bold bullet in the text is one answer, its text is what follows."""
    for line in (shared / "data/bugzilla/uplift-request-forms-2020-2026.jsonl").read_text().splitlines():
        text = json.loads(line)["text"]
        bullets = [row for row in text.split("\n") if row[1:4] == " **"]
        form = read(text)
        assert [answer.label for answer in form.answers] == [
            row[4:].split("**")[0].removesuffix(":").strip() for row in bullets
        ]
        for answer, row in zip(form.answers, bullets, strict=True):
            assert answer.text.startswith(row.split("**", 2)[2].lstrip(":").strip())


def test_the_answer_of_several_lines_is_kept_in_full(shared: Path) -> None:
    lines = (shared / "data/bugzilla/uplift-request-forms-2020-2026.jsonl").read_text().splitlines()
    form = read(json.loads(lines[11])["text"])
    assert texts(form)["risk_explanation"].count("\n") == 1
    assert texts(form)["risk_explanation"].endswith("not performance critical.")


def test_the_recorded_comments_of_2013_to_2016_are_read(shared: Path) -> None:
    folder = shared / "data/bugzilla/uplift-comments"
    forms = {file.stem: read(file.read_text()) for file in folder.glob("*.txt")}
    assert {name: form.generation for name, form in forms.items()} == {
        "1230065": "brackets", "1270916": "brackets", "1319554": "brackets",
        "859425": "plain", "909494": "plain",
    }  # fmt: skip
    assert {name: len(form.answers) for name, form in forms.items()} == {
        "1230065": 5, "1270916": 9, "1319554": 9, "859425": 5, "909494": 5,
    }  # fmt: skip
    assert forms["1230065"].train_hint == "46"
    assert values(forms["1270916"]) == {
        "tests": "yes", "verified_nightly": "yes", "manual_qe": "no", "is_risky": "low", "strings": "no",
    }  # fmt: skip
    assert texts(forms["1319554"])["cause"] == "Bug 1285561"
    assert risk_of(forms["1319554"]) == "low"
    assert texts(forms["859425"])["cause"] == ""
    assert texts(forms["909494"])["risk_level"].startswith("It seems low.")


def test_the_original_reader_finds_no_question_that_we_miss(shared: Path) -> None:
    """Its recorded output has one heading per question it saw."""
    folder = shared / "data/bugzilla/uplift-comments"
    theirs = {file.stem: file.read_text().count("<h1") for file in folder.glob("*.html")}
    assert sum(theirs.values()) == 23
    for name, headings in theirs.items():
        assert len(read((folder / f"{name}.txt").read_text()).answers) >= headings


def test_the_recorded_bugs_hold_exactly_these_forms(shared: Path) -> None:
    found = [(one.id, form) for one in recorded_bugs(shared) for c in one.comments for form in forms_in(c)]
    assert Counter(form.generation for _, form in found) == {
        "plain": 17, "brackets": 10, "markdown": 1, "unknown": 3, "security": 1,
    }  # fmt: skip
    assert [number for number, form in found if not form.is_parsed] == [733614] * 3
    assert {form.raw.split("\n")[-1] for _, form in found if not form.is_parsed} == {"(See above)"}
    known = sum(answer.question not in ("other", "note") for _, form in found for answer in form.answers)
    assert known == 160, "one answer fewer is a wording lost"
    assert not [answer for _, form in found for answer in form.answers if answer.question == "other"]


def test_who_quotes_a_form_has_not_filled_one_in(shared: Path) -> None:
    (quoting,) = [
        c for one in recorded_bugs(shared) if one.id == 846986 for c in one.comments if c.id == 7351660
    ]
    assert "> [Approval Request Comment]" in quoting.text
    assert forms_in(quoting) == ()


# --- wordings by hand ---------------------------------------------------------------------------------

BRACKETS = """Approval Request Comment
[Feature/Bug causing the regression]: bug 1
[User impact if declined]: they crash
[Is this code covered by automated tests?]: {tests}
[Has the fix been verified in Nightly?]: yes
[Needs manual test from QE? If yes, steps to reproduce]: no
[List of other uplifts needed for the feature/fix]: none
[Is the change risky?]: {risky}
[Why is the change risky/not risky?]: small
[String changes made/needed]: {strings}
"""

MARKDOWN = """Comment on attachment 9000001
Bug 2 - A title r?peer

### Beta/Release Uplift Approval Request
* **User impact if declined**: Lists get lost:
* one
* two
* **Is this code covered by automated tests?**: Yes
* **Needs manual test from QE?**: Yes
* **If yes, steps to reproduce**: 1. open it

2. close it
* **Risk to taking this patch**: Medium
* **String changes made/needed**: none

### ESR Uplift Approval Request
* **If this is not a sec:{high,crit} bug, please state case for ESR consideration**: it is sec-high
* **Fix Landed on Version**: 128
* **Risk to taking this patch**: High
"""


def test_several_sections_of_one_comment_are_several_forms() -> None:
    beta, esr = forms_in(comment(MARKDOWN))
    assert (beta.train_hint, esr.train_hint) == ("beta/release", "esr")
    assert beta.raw + esr.raw == MARKDOWN
    assert (risk_of(beta), risk_of(esr)) == ("medium", "high")
    assert texts(esr)["fixed_in"] == "128"


def test_answers_span_lines_and_hold_bullets() -> None:
    beta, _ = forms_in(comment(MARKDOWN))
    assert texts(beta)["user_impact"] == "Lists get lost:\n* one\n* two"
    assert texts(beta)["qe_steps"] == "1. open it\n\n2. close it"


@pytest.mark.parametrize(
    ("answer", "value"),
    [("yes", "yes"), ("Yes, xpcshell", "yes"), ("no", "no"), ("No.", "no"), ("unknown", "unknown"),
     ("", None), ("some of it", None), ("not yet", "no"), ("Y", "yes"), ("nowhere near", None)],
)  # fmt: skip
def test_yes_and_no_are_read_and_nothing_else_is_guessed(answer: str, value: str | None) -> None:
    form = read(BRACKETS.format(tests=answer, risky="", strings=""))
    assert answer_to(form, Question.TESTS).value == value  # type: ignore[union-attr]
    assert answer_to(form, Question.TESTS).text == answer  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("answer", "value"),
    [("Low", "low"), ("low risk, one line", "low"), ("Medium", "medium"), ("High", "high"), ("not low", None),
     ("low to medium", None), ("isn't high", None), ("moderate", "medium"), ("", None),
     ("highly unlikely", None)],
)  # fmt: skip
def test_a_risk_is_a_level_only_when_the_answer_begins_with_one(answer: str, value: str | None) -> None:
    assert value_of(Question.RISK_LEVEL, answer) == value


@pytest.mark.parametrize("answer", ["none", "None.", "N/A", "no", "NA", "nothing"])
def test_every_way_to_say_that_no_string_changes(answer: str) -> None:
    assert values(read(BRACKETS.format(tests="", risky="", strings=answer)))["strings"] == "no"


@pytest.mark.parametrize(
    ("heading", "hint"),
    [
        ("### firefox-beta Uplift Approval Request", "firefox-beta"),
        ("### firefox-esr153 Uplift Approval Request", "firefox-esr153"),
        ("# Uplift Approval Request", None),
        ("### Beta/Release Uplift Approval Request", "beta/release"),
        ("### ESR Uplift Approval Request", "esr"),
        ("### comm-esr128 Uplift Approval Request", "comm-esr128"),
        ("[Approval Request Comment]", None),
        ("Approval Request Comment for 46", "46"),
        ("Approval Request Comment for beta", "beta"),
        ("  ###  Release   Uplift Approval Request  ", "release"),
    ],
)
def test_the_heading_names_the_train(heading: str, hint: str | None) -> None:
    form = read(f"{heading}\n- **User impact if declined**: x\n")
    assert form.train_hint == hint and form.is_parsed


@pytest.mark.parametrize(
    "text",
    [
        "Canceling approval request, after checking with people.",
        "Aurora [7] window has closed. Moving approval request to Beta.",
        "> ### Beta/Release Uplift Approval Request\n> * **User impact if declined**: x",
        "Please fill in the uplift approval request form.",
        "Approved for 140.0b7",
        "",
    ],
)
def test_talk_about_forms_is_no_form(text: str) -> None:
    assert forms_in(comment(text)) == ()


def test_a_request_to_land_a_security_fix_is_told_apart() -> None:
    form = read(
        "### Security Approval Request\n"
        "* **How easily could an exploit be constructed based on the patch?**: not\n"
        "* **Which older supported branches are affected by this flaw?**: all\n"
        "* **Is Android affected?**: Yes\n"
    )
    assert form.generation == Generation.SECURITY and form.is_parsed


def test_a_thunderbird_form_is_read() -> None:
    form = read(
        "[Approval Request Comment]\n"
        "* **If this is not a sec:{high,crit} bug, please state case & severity**: data loss\n"
        "* **Has the fix been verified in Daily?**: yes\n* **Has the fix been verified in Beta?**: no\n"
        "* **Does the fix cause any migrations to be skipped?**: no\n"
        "* **Risk to taking this patch**: Medium\n"
    )
    assert form.generation == Generation.COMM
    assert values(form) == {
        "verified_nightly": "yes", "verified_beta": "no", "migrations_skipped": "no", "risk_level": "medium",
    }  # fmt: skip


def test_b13_a_form_whose_words_all_changed_stays_raw_and_marked() -> None:
    text = "### Firefox Uplift Wish\n- **What for**: crashes\n- **Sure?**: yes\n"
    form = read(text)
    assert not form.is_parsed
    assert [(answer.question, answer.text) for answer in form.answers] == [
        ("other", "crashes"),
        ("other", "yes"),
    ]
    assert not read("[Approval Request Comment]\n(See above)").is_parsed


def test_b13_a_form_whose_heading_changed_is_still_read() -> None:
    form = read(
        "### Train change form\n- **User impact if declined**: x\n- **Is Android affected?**: no\n"
        "- **Risk associated with taking this patch**: low\n"
    )
    assert form.is_parsed and risk_of(form) == "low"


def test_a_label_with_one_new_word_is_understood_by_its_old_ones() -> None:
    form = read(
        "### firefox-beta Uplift Approval Request\n- **User impact if this is declined**: x\n- **New?**: y\n"
    )
    assert [answer.question for answer in form.answers] == ["user_impact", "other"]


def test_l14_the_field_in_phabricator_is_a_form_when_no_comment_is() -> None:
    raw = json.dumps(
        {
            "User impact if declined": "they crash",
            "Code covered by automated testing": True,
            "Fix verified in Nightly": 0,
            "Risk associated with taking this patch": "Low",
            "Is Android affected?": 1,
            "String changes made/needed": None,
        }
    )
    form = form_of_revision(revision(7, uplift_request=raw))
    assert form is not None and form.is_parsed and form.raw == raw
    assert values(form) == {"tests": "yes", "verified_nightly": "no", "risk_level": "low", "android": "yes"}
    twice = form_of_revision(revision(7, uplift_request=json.dumps(raw)))
    assert twice is not None and values(twice) == values(form)


@pytest.mark.parametrize("raw", ["{", "[]", "3", '"x"', "[" * 100_000, "\ud800", '{"a": {"b": [1, 2]}}'])
def test_a_broken_field_is_shown_raw(raw: str) -> None:
    form = form_of_revision(revision(7, uplift_request=raw))
    assert form is not None and not form.is_parsed and form.raw == raw


@pytest.mark.parametrize("raw", [None, "", "   "])
def test_an_empty_field_is_no_form(raw: str | None) -> None:
    assert form_of_revision(revision(7, uplift_request=raw)) is None


def test_a_comment_says_which_attachment_it_is_about() -> None:
    assert about_attachment(comment("x", about=5)) == 5
    assert about_attachment(comment("Comment on attachment 8726034\nx")) == 8726034
    assert about_attachment(comment("Created attachment 12\nx")) == 12
    assert about_attachment(comment("See attachment 12")) is None


def test_every_known_wording_is_one_that_comparison_can_find() -> None:
    assert all(words(wording) == wording for wording in WORDINGS)
    assert all(words(needle) == needle for needles, _ in RULES for needle in needles)


@pytest.mark.parametrize("wording", list(WORDINGS))
def test_the_rules_agree_with_the_wordings_or_know_nothing(wording: str) -> None:
    loose = next((q for needles, q in RULES if all(needle in wording for needle in needles)), Question.OTHER)
    assert loose in (WORDINGS[wording], Question.OTHER)
    assert question_of(wording.upper() + "?") == WORDINGS[wording]


# --- hostile text -------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["### Beta/Release Uplift Approval Request", "Approval Request Comment", "[", "]", "* **", "**", ":",
     "\n", "\n", "User impact if declined", "[User impact if declined]:", "> ", "\r", "\u2028", "\x00", "low",
     "é", "\ud800"]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=40).map("".join))
@settings(max_examples=300)
def test_no_text_makes_the_reader_raise_or_lose_a_character(text: str) -> None:
    forms = forms_in(comment(text))
    if forms:
        assert "".join(form.raw for form in forms) == text
    for form in forms:
        for answer in form.answers:
            assert answer.value in (None, "yes", "no", "unknown", "low", "medium", "high")


@given(
    st.dictionaries(
        st.sampled_from([q for q in WORDINGS]), st.text("ab c\n.", max_size=30), min_size=1, max_size=8
    )
)
def test_what_was_written_into_a_form_comes_out_of_it(filled: dict[str, str]) -> None:
    text = "### firefox-beta Uplift Approval Request\n"
    text += "\n".join(f"- **{label}**: {answer}" for label, answer in filled.items())
    (form,) = forms_in(comment(text))
    said = {answer.label: answer.text for answer in form.answers if answer.question != "note"}
    assert said.keys() == filled.keys()
    for label, answer in list(filled.items())[:-1]:
        assert said[label] == "\n".join(line.rstrip() for line in answer.split("\n")).strip()


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "Approval Request Comment\n" * (MEGABYTE // 25),
        "### " + "a" * MEGABYTE + " Uplift Approval Request",
        "Approval Request Comment\n" + "[" * MEGABYTE,
        "Approval Request Comment\n" + "* **" * (MEGABYTE // 4),
        "Approval Request Comment\n" + "* **a\n" * (MEGABYTE // 6),
        "Approval Request Comment\n" + "[User impact if declined]: x\n" * (MEGABYTE // 29),
        "Approval Request Comment\n" + " " * MEGABYTE,
        "Approval Request Comment\n" + "a:{" * (MEGABYTE // 3),
        "Approval Request Comment\n[Is the change risky?]:" + "not " * (MEGABYTE // 4),
        "\n" * MEGABYTE,
    ],
)
def test_a_megabyte_of_malice_takes_linear_time(text: str) -> None:
    started = time.process_time()
    forms = forms_in(comment(text))
    assert time.process_time() - started < 5
    assert len(forms) <= 20 and all(len(form.answers) <= 102 for form in forms)


def test_the_forms_of_the_recorded_dashboard_are_read(shared: Path) -> None:
    folder = shared / "data/bugzilla/dashboard-analysis"
    for number, count, risk in ((1139560, 5, "low"), (1306465, 5, None)):
        analysis = json.loads((folder / f"bug_{number}.json").read_text())["analysis"]
        form = read(analysis["uplift_comment"]["text"])
        known = [answer for answer in form.answers if answer.question != "note"]
        assert (form.generation, len(known), risk_of(form)) == ("brackets", count, risk)
