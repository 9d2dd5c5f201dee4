# SPDX-License-Identifier: MPL-2.0
"""A form's answers beside what was measured: agrees, disagrees, or we cannot tell. Pure.

An answer disagrees only where a fact speaks against it: what is merely unproven is "cannot tell". How often
each kind of flag was right on recorded forms is told in docs/board.md; kinds mostly wrong are not here.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec

from shipit.uplift.check_types import (
    MANY_FILES,
    MANY_LINES,
    MOST_PATHS,
    ONE_NIGHTLY,
    Check,
    Kind,
    Subject,
    Verdict,
)
from shipit.uplift.facts import Measured
from shipit.uplift.forms import answer_to, risk_of
from shipit.uplift.questions import Question
from shipit.uplift.types import Form

__all__ = ["Verdict", "bugs_named", "checks", "disagreements"]

MOST_SHOWN = 400
"""Characters of an answer that a row shows; the raw form has the rest."""
# "Yes, QA will do another pass" says what is to be done; "Yes, please" does not.
BARE_WORDS = 3

_BUG = re.compile(
    r"\b(?:bugs?|bug id|bugzilla)\s{0,3}#?\s{0,3}(\d{5,8})|show_bug\.cgi\?id=(\d{1,8})|\b(\d{6,8})\b", re.I
)
_ADDS_TESTS = re.compile(
    r"\b(?:add(?:s|ed)?|new|includ(?:es?|ed|ing)|with|comes with|has)\b[^.;\n]{0,30}\btests?\b(?! coverage)",
    re.I,
)
_NO_TESTS = re.compile(r"\b(?:no|not|without|lacks?|isn't|none|hard to|can(?:'t|not))\b", re.I)
_BAKED = re.compile(r"\b(?:landed|baked|baking|been (?:in|on))\b", re.I)
_NOT_YET = re.compile(r"\b(?:not|n't|yet|will|about to|soon|waiting|pending|todo|tbd)\b", re.I)
_EMPTY = re.compile(r"\W*(?:n\s?/?\s?a|none|nothing|no|-+|see above)?\W*", re.I)


class _Found(msgspec.Struct, frozen=True):
    """What a rule says."""

    verdict: Verdict
    measured: str
    kind: Kind | None = None
    paths: tuple[str, ...] = ()


CLONE, BUGZILLA, FORM, TRIAL = "clone", "bugzilla", "form", "trial"
_ORDER = list(Verdict)


def checks(form: Form | None, subject: Subject) -> tuple[Check, ...]:
    """Every answer that something can be measured for, disagreements first, else in the form's order.

    A question that the form does not ask is shown with its fact alone ("cannot tell"), where there is one.
    """
    rows = [row for rule in _RULES if (row := rule(form, subject)) is not None]
    return tuple(sorted(rows, key=lambda row: _ORDER.index(row.verdict)))


def disagreements(rows: tuple[Check, ...]) -> int:
    """How many answers a fact speaks against."""
    return sum(row.verdict is Verdict.DISAGREES for row in rows)


# --- one rule for each question -----------------------------------------------------------------------


def _strings(form: Form | None, subject: Subject) -> Check | None:
    measured = subject.measured
    says, value = _answer(form, Question.STRINGS)
    if measured is None:
        found = _unmeasured(subject)
    elif measured.strings:
        many = _count(len(measured.strings), "string file")
        found = _against(
            value == "no", value == "yes", f"Words change in {many}.", Kind.STRINGS, measured.strings
        )
    elif value == "yes":
        found = _Found(Verdict.CANT_TELL, "No words change in these patches; others of the feature may.")
    else:
        removed = measured.string_removals
        more = f" Words are only removed, in {_count(len(removed), 'file')}." if removed else ""
        found = _whole(subject, value == "no", f"No string file gains or changes words.{more}", removed)
    return _row(Question.STRINGS, "String changes", says, value, found, CLONE, subject.measured_at)


def _tests(form: Form | None, subject: Subject) -> Check | None:
    measured = subject.measured
    says, value = _answer(form, Question.TESTS)
    if measured is None:
        found = _unmeasured(subject)
    elif measured.tests or measured.manifests:
        touched = (*measured.tests, *measured.manifests)
        lines = measured.test_added
        told = f"{_count(len(touched), 'file')} of tests, {lines} of {measured.added} added lines."
        # "no" with tests in the patch is modesty, or tests that are there and do not cover the fix
        found = _Found(Verdict.AGREES if value == "yes" else Verdict.CANT_TELL, told, None, touched)
    else:
        found = _without_tests(subject, says or "", value)
    return _row(Question.TESTS, "Covered by tests", says, value, found, CLONE, subject.measured_at)


def _without_tests(subject: Subject, says: str, value: str | None) -> _Found:
    near = subject.tests_near
    none = "No test is touched"
    if subject.measured is not None and not subject.measured.programs:
        return _whole(subject, value == "no", f"{none}, and no program code.")
    if _ADDS_TESTS.search(says) and not _NO_TESTS.search(says) and subject.lacking is None:
        return _Found(
            Verdict.DISAGREES, f"{none}, though the answer speaks of added tests.", Kind.TESTS_CLAIMED
        )
    if near is None:
        return _Found(Verdict.CANT_TELL if value != "no" else Verdict.AGREES, f"{none}.")
    if near:
        return _whole(subject, value == "no", f"{none}; {_count(near, 'test file')} lie beside this code.")
    if value == "yes" and subject.lacking is None:
        return _Found(Verdict.DISAGREES, f"{none}, and none lies beside this code.", Kind.TESTS_NONE)
    return _whole(subject, value == "no", f"{none}, and none lies beside this code.")


def _android(form: Form | None, subject: Subject) -> Check | None:
    measured = subject.measured
    says, value = _answer(form, Question.ANDROID)
    if measured is None:
        found = _unmeasured(subject)
    elif measured.android:
        told = f"{len(measured.android)} of {_count(measured.files, 'file')} are code of Android alone."
        found = _against(value == "no", value == "yes", told, Kind.ANDROID, measured.android)
    elif measured.code_files and len(measured.desktop) == measured.code_files and subject.lacking is None:
        told = f"All {_count(measured.code_files, 'file')} outside tests are code of desktop alone."
        found = _against(value == "yes", value == "no", told, Kind.DESKTOP, measured.desktop)
    elif measured.is_tests_only:
        found = _Found(Verdict.CANT_TELL, "Only tests change.")
    else:
        found = _Found(
            Verdict.CANT_TELL, "No file is code of Android alone; what all products share may matter to it."
        )
    return _row(Question.ANDROID, "Android affected", says, value, found, CLONE, subject.measured_at)


def _risk(form: Form | None, subject: Subject) -> Check | None:
    measured = subject.measured
    level = risk_of(form) if form is not None else None
    question = Question.RISK_LEVEL if _answer(form, Question.RISK_LEVEL)[0] is not None else Question.IS_RISKY
    says, _ = _answer(form, question)
    if measured is None:
        found = _unmeasured(subject)
    else:
        told = f"{_count(measured.code_files, 'file')} and {_count(measured.size, 'line')} outside tests."
        found = _risk_facts(subject, measured, told, is_low=level == "low")
    return _row(Question.RISK_LEVEL, "Risk", says, level, found, CLONE, subject.measured_at)


def _risk_facts(subject: Subject, measured: Measured, told: str, *, is_low: bool) -> _Found:
    undone = subject.backed_out_at
    if undone:
        told += f" It was backed out on main {_times(len(undone))}, last {undone[-1]:%Y-%m-%d}."
    for file in subject.troubled:
        told += f" {file.path}: {file.backouts} of {file.commits} recent commits back something out."
    recent = subject.recent
    if recent is not None and not subject.troubled:
        least = "" if recent.is_complete else " at least"
        commits = _count(recent.commits, "recent commit")
        told += f" Of{least} {commits} to these files {recent.backouts} back something out."
    large = measured.code_files >= MANY_FILES or measured.size >= MANY_LINES
    if is_low and undone:
        return _Found(Verdict.DISAGREES, told, Kind.BACKED_OUT)
    if is_low and large:
        return _Found(Verdict.DISAGREES, told, Kind.SIZE)
    if is_low and subject.troubled:
        return _Found(Verdict.DISAGREES, told, Kind.BACKOUTS, tuple(file.path for file in subject.troubled))
    return _whole(subject, is_low, told)


def _verified(form: Form | None, subject: Subject) -> Check | None:
    says, value = _answer(form, Question.VERIFIED_NIGHTLY)
    if says is None:
        return None
    asked = form.time if form is not None else None
    if not subject.is_main_known:
        found = _Found(Verdict.CANT_TELL, "What is on main could not be read.")
    elif subject.landed_at is None:
        found = _against(
            value == "yes", value == "no", "Nothing of this bug stands on main.", Kind.NOT_ON_MAIN
        )
    elif asked is not None and asked - subject.landed_at < ONE_NIGHTLY:
        hours = (asked - subject.landed_at) // timedelta(hours=1)
        told = (
            f"It was on main for {hours} h when this was written."
            if hours >= 0
            else "It landed on main after this was written."
        )
        found = _against(value == "yes", value == "no", told, Kind.HOURS_ON_MAIN)
    elif subject.is_verified:
        found = _Found(Verdict.AGREES if value == "yes" else Verdict.CANT_TELL, "Bugzilla says verified.")
    else:
        found = _Found(
            Verdict.CANT_TELL,
            f"On main since {subject.landed_at:%Y-%m-%d %H:%M} UTC; nobody set a verified flag.",
        )
    return _row(
        Question.VERIFIED_NIGHTLY, "Verified in Nightly", says, value, found, CLONE, subject.bug_read_at
    )


def _tried_before(form: Form | None, subject: Subject) -> Check | None:
    """The old question for testing done, where the answer speaks of main."""
    says, _ = _answer(form, Question.TESTING_DONE)
    if says is None or not _BAKED.search(says) or _NOT_YET.search(says):
        return None
    if not subject.is_main_known:
        found = _Found(Verdict.CANT_TELL, "What is on main could not be read.")
    elif subject.landed_at is None:
        found = _Found(Verdict.DISAGREES, "Nothing of this bug stands on main.", Kind.NOT_ON_MAIN)
    else:
        found = _Found(Verdict.AGREES, f"On main since {subject.landed_at:%Y-%m-%d %H:%M} UTC.")
    return _row(Question.TESTING_DONE, "Testing completed", says, None, found, CLONE, subject.bug_read_at)


def _manual(form: Form | None, subject: Subject) -> Check | None:
    says, value = _answer(form, Question.MANUAL_QE)
    if says is None:
        return None
    steps, _ = _answer(form, Question.QE_STEPS)
    flag = subject.qe_verify
    set_to = f"qe-verify is {flag}" if flag else "qe-verify is not set"
    has_steps = not _EMPTY.fullmatch(steps or "") or len(says.split()) > BARE_WORDS
    if value == "yes" and not has_steps:
        found = _Found(Verdict.DISAGREES, f"No steps are given; {set_to}.", Kind.QE_STEPS)
        return _row(
            Question.MANUAL_QE, "Manual test by QE", says, value, found, FORM, form.time if form else None
        )
    if (value, flag) in (("no", "+"), ("yes", "-")):
        found = _Found(Verdict.DISAGREES, f"{set_to}.".capitalize().replace("Qe-", "qe-"), Kind.QE_FLAG)
    else:
        agrees = (value == "yes" and flag in ("+", "?")) or (value == "no" and flag in (None, "-"))
        found = _Found(Verdict.AGREES if agrees else Verdict.CANT_TELL, f"{set_to}.")
    return _row(Question.MANUAL_QE, "Manual test by QE", says, value, found, BUGZILLA, subject.bug_read_at)


def _other_uplifts(form: Form | None, subject: Subject) -> Check | None:
    says, _ = _answer(form, Question.OTHER_UPLIFTS)
    named = bugs_named(says or "")
    is_none = says is not None and not named and _EMPTY.fullmatch(says) is not None
    if subject.needs:
        missing = [bug for bug in subject.needs if bug not in named]
        bugs = ", ".join(f"bug {bug}" for bug in subject.needs)
        told = f"It merges on {subject.train} only after {bugs}."
        found = _against(is_none or bool(missing and says is not None), not missing, told, Kind.PREREQUISITE)
    elif named:
        told = "; ".join(
            f"bug {bug}: {subject.others.get(bug, f'no request for {subject.train} is known')}"
            for bug in named
        )
        found = _Found(Verdict.CANT_TELL, f"{told}.")
    elif subject.is_conflict:
        found = _Found(Verdict.CANT_TELL, f"It conflicts with {subject.train}; no missing bug is proved.")
    elif subject.trial_at is not None:
        found = _Found(
            Verdict.AGREES if is_none else Verdict.CANT_TELL,
            f"Its trial on {subject.train} needs no other bug.",
        )
    elif says is None:
        return None
    else:
        found = _Found(Verdict.CANT_TELL, "It was not tried yet.")
    return _row(Question.OTHER_UPLIFTS, "Other uplifts needed", says, None, found, TRIAL, subject.trial_at)


def _cause(form: Form | None, subject: Subject) -> Check | None:
    says, _ = _answer(form, Question.CAUSE)
    named = bugs_named(says or "")
    if not named:
        return None
    known = subject.regressed_by
    told = "Bugzilla says regressed by " + ", ".join(f"bug {bug}" for bug in known) + "."
    if not known:
        found = _Found(Verdict.CANT_TELL, "Bugzilla names no bug that regressed it.")
    else:
        found = _against(not set(named) & set(known), True, told, Kind.CAUSE)
    return _row(Question.CAUSE, "Caused by", says, None, found, BUGZILLA, subject.bug_read_at)


_RULES = (_strings, _tests, _verified, _tried_before, _manual, _other_uplifts, _risk, _android, _cause)


# --- shared -------------------------------------------------------------------------------------------


def bugs_named(text: str) -> tuple[int, ...]:
    """The bugs that an answer names, each once, in its order."""
    found = (int(next(filter(None, match.groups()))) for match in _BUG.finditer(text[:2000]))
    return tuple(dict.fromkeys(found))


def _answer(form: Form | None, question: Question) -> tuple[str | None, str | None]:
    answer = answer_to(form, question) if form is not None else None
    if answer is None:
        return None, None
    return answer.text[:MOST_SHOWN], answer.value


def _against(
    speaks_against: bool, speaks_for: bool, told: str, kind: Kind, paths: tuple[str, ...] = ()
) -> _Found:
    if speaks_against:
        return _Found(Verdict.DISAGREES, told, kind, paths)
    return _Found(Verdict.AGREES if speaks_for else Verdict.CANT_TELL, told, None, paths)


def _whole(subject: Subject, agrees: bool, told: str, paths: tuple[str, ...] = ()) -> _Found:
    """Agreement that needs every patch to be known: what is absent from some may be in the others."""
    if subject.lacking is not None:
        return _Found(
            Verdict.CANT_TELL, f"{told} Not every patch could be measured: {subject.lacking}.", None, paths
        )
    return _Found(Verdict.AGREES if agrees else Verdict.CANT_TELL, told, None, paths)


def _unmeasured(subject: Subject) -> _Found:
    return _Found(Verdict.CANT_TELL, f"Not measured: {subject.lacking or 'no patch is known'}.")


def _row(
    question: Question,
    label: str,
    says: str | None,
    value: str | None,
    found: _Found,
    source: str,
    at: datetime | None,
) -> Check:
    return Check(
        question=question,
        label=label,
        says=says,
        value=value,
        measured=found.measured,
        verdict=found.verdict,
        kind=found.kind,
        source=source,
        at=at,
        paths=found.paths[:MOST_PATHS],
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
