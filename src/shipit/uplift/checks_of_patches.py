# SPDX-License-Identifier: MPL-2.0
"""What a form says of its patches: strings, tests, Android, risk; held against what was measured. Pure."""

from __future__ import annotations

import re

from shipit.uplift.check_making import CLONE, Found, against, answered, count, row, times, unmeasured, whole
from shipit.uplift.check_types import MANY_FILES, MANY_LINES, Check, Kind, Subject, Verdict
from shipit.uplift.facts import Measured
from shipit.uplift.forms import risk_of
from shipit.uplift.questions import Question
from shipit.uplift.types import Form

_ADDS_TESTS = re.compile(
    r"\b(?:add(?:s|ed)?|new|includ(?:es?|ed|ing)|with|comes with|has)\b[^.;\n]{0,30}\btests?\b(?! coverage)",
    re.I,
)
_NO_TESTS = re.compile(r"\b(?:no|not|without|lacks?|isn't|none|hard to|can(?:'t|not))\b", re.I)


def strings(form: Form | None, subject: Subject) -> Check | None:
    """Whether words change."""
    measured = subject.measured
    says, value = answered(form, Question.STRINGS)
    if measured is None:
        found = unmeasured(subject)
    elif measured.strings:
        many = count(len(measured.strings), "string file")
        found = against(
            value == "no", value == "yes", f"Words change in {many}.", Kind.STRINGS, measured.strings
        )
    elif value == "yes":
        found = Found(Verdict.CANT_TELL, "No words change in these patches; others of the feature may.")
    else:
        removed = measured.string_removals
        more = f" Words are only removed, in {count(len(removed), 'file')}." if removed else ""
        found = whole(subject, value == "no", f"No string file gains or changes words.{more}", removed)
    return row(Question.STRINGS, "String changes", says, value, found, CLONE, subject.measured_at)


def tests(form: Form | None, subject: Subject) -> Check | None:
    """Whether tests cover it."""
    measured = subject.measured
    says, value = answered(form, Question.TESTS)
    if measured is None:
        found = unmeasured(subject)
    elif measured.tests or measured.manifests:
        touched = (*measured.tests, *measured.manifests)
        lines = measured.test_added
        told = f"{count(len(touched), 'file')} of tests, {lines} of {measured.added} added lines."
        # "no" with tests in the patch is modesty, or tests that are there and do not cover the fix
        found = Found(Verdict.AGREES if value == "yes" else Verdict.CANT_TELL, told, None, touched)
    else:
        found = _without_tests(subject, says or "", value)
    return row(Question.TESTS, "Covered by tests", says, value, found, CLONE, subject.measured_at)


def _without_tests(subject: Subject, says: str, value: str | None) -> Found:
    near = subject.tests_near
    none = "No test is touched"
    if subject.measured is not None and not subject.measured.programs:
        return whole(subject, value == "no", f"{none}, and no program code.")
    if _ADDS_TESTS.search(says) and not _NO_TESTS.search(says) and subject.lacking is None:
        return Found(
            Verdict.DISAGREES, f"{none}, though the answer speaks of added tests.", Kind.TESTS_CLAIMED
        )
    if near is None:
        return Found(Verdict.CANT_TELL if value != "no" else Verdict.AGREES, f"{none}.")
    if near:
        return whole(
            subject,
            value == "no",
            f"{none}; {count(near, 'test file')} {'lies' if near == 1 else 'lie'} beside this code.",
        )
    if value == "yes" and subject.lacking is None:
        return Found(Verdict.DISAGREES, f"{none}, and none lies beside this code.", Kind.TESTS_NONE)
    return whole(subject, value == "no", f"{none}, and none lies beside this code.")


def android(form: Form | None, subject: Subject) -> Check | None:
    """Whether Android is affected."""
    measured = subject.measured
    says, value = answered(form, Question.ANDROID)
    if measured is None:
        found = unmeasured(subject)
    elif measured.android:
        told = f"{_part(len(measured.android), measured.files)} code of Android alone."
        found = against(value == "no", value == "yes", told, Kind.ANDROID, measured.android)
    elif measured.code_files and len(measured.desktop) == measured.code_files and subject.lacking is None:
        all_of_them = _part(measured.code_files, measured.code_files, "outside tests ")
        told = f"{all_of_them} code of desktop alone."
        found = against(value == "yes", value == "no", told, Kind.DESKTOP, measured.desktop)
    elif measured.is_tests_only:
        found = Found(Verdict.CANT_TELL, "Only tests change.")
    else:
        found = Found(
            Verdict.CANT_TELL, "No file is code of Android alone; what all products share may matter to it."
        )
    return row(Question.ANDROID, "Android affected", says, value, found, CLONE, subject.measured_at)


def risk(form: Form | None, subject: Subject) -> Check | None:
    """How large it is, and what went wrong with it or its files before."""
    measured = subject.measured
    level = risk_of(form) if form is not None else None
    question = (
        Question.RISK_LEVEL if answered(form, Question.RISK_LEVEL)[0] is not None else Question.IS_RISKY
    )
    says, _ = answered(form, question)
    if measured is None:
        found = unmeasured(subject)
    else:
        told = f"{count(measured.code_files, 'file')} and {count(measured.size, 'line')} outside tests."
        found = _risk_facts(subject, measured, told, is_low=level == "low")
    return row(Question.RISK_LEVEL, "Risk", says, level, found, CLONE, subject.measured_at)


def _risk_facts(subject: Subject, measured: Measured, told: str, *, is_low: bool) -> Found:
    undone = subject.backed_out_at
    if undone:
        told += f" It was backed out on main {times(len(undone))}, last {undone[-1]:%Y-%m-%d}."
    for file in subject.troubled:
        told += f" {file.path}: {file.backouts} of {file.commits} recent commits back something out."
    recent = subject.recent
    if recent is not None and not subject.troubled:
        least = "" if recent.is_complete else " at least"
        commits = count(recent.commits, "recent commit")
        told += f" Of{least} {commits} to these files {recent.backouts} back something out."
    large = measured.code_files >= MANY_FILES or measured.size >= MANY_LINES
    if is_low and undone:
        return Found(Verdict.DISAGREES, told, Kind.BACKED_OUT)
    if is_low and large:
        return Found(Verdict.DISAGREES, told, Kind.SIZE)
    if is_low and subject.troubled:
        return Found(Verdict.DISAGREES, told, Kind.BACKOUTS, tuple(file.path for file in subject.troubled))
    return whole(subject, is_low, told)


def _part(some: int, files: int, which: str = "") -> str:
    """ "The one file is", "All 3 files are", "1 of 3 files is"."""
    if files == 1:
        return f"The one file {which}is"
    if some == files:
        return f"All {files} files {which}are"
    return f"{some} of {files} files {which}{'is' if some == 1 else 'are'}"
