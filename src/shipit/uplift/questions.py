# SPDX-License-Identifier: MPL-2.0
"""The questions of uplift forms, in every wording seen since 2011, and how their answers read."""

from __future__ import annotations

import re
from enum import StrEnum


class Question(StrEnum):
    """One canonical key per question, however a form words it."""

    CAUSE = "cause"
    USER_IMPACT = "user_impact"
    TESTS = "tests"
    TESTING_DONE = "testing_done"
    VERIFIED_NIGHTLY = "verified_nightly"
    VERIFIED_BETA = "verified_beta"
    MANUAL_QE = "manual_qe"
    QE_STEPS = "qe_steps"
    OTHER_UPLIFTS = "other_uplifts"
    IS_RISKY = "is_risky"
    RISK_LEVEL = "risk_level"
    RISK_EXPLANATION = "risk_explanation"
    STRINGS = "strings"
    ANDROID = "android"
    CASE = "case"
    FIXED_IN = "fixed_in"
    MIGRATIONS_SKIPPED = "migrations_skipped"
    # asked when a security fix wants to land at all; not an uplift request
    EXPLOIT_EASE = "exploit_ease"
    BULLS_EYE = "bulls_eye"
    AFFECTED_BRANCHES = "affected_branches"
    FLAW_INTRODUCED = "flaw_introduced"
    BACKPORTS = "backports"
    REGRESSION_LIKELIHOOD = "regression_likelihood"
    READY_TO_LAND = "ready_to_land"
    # what no wording explains: shown as written
    OTHER = "other"
    NOTE = "note"


SECURITY = frozenset(
    {
        Question.EXPLOIT_EASE,
        Question.BULLS_EYE,
        Question.AFFECTED_BRANCHES,
        Question.FLAW_INTRODUCED,
        Question.BACKPORTS,
        Question.REGRESSION_LIKELIHOOD,
        Question.READY_TO_LAND,
    }
)

YES_NO = frozenset(
    {
        Question.TESTS,
        Question.VERIFIED_NIGHTLY,
        Question.VERIFIED_BETA,
        Question.MANUAL_QE,
        Question.IS_RISKY,
        Question.STRINGS,
        Question.ANDROID,
        Question.MIGRATIONS_SKIPPED,
        Question.READY_TO_LAND,
    }
)

# Wordings as they read without marks, case and punctuation. Only these are labels on a line without marks.
WORDINGS = {
    "bug caused by feature regressing bug": Question.CAUSE,
    "regression caused by bug": Question.CAUSE,
    "feature regressing bug": Question.CAUSE,
    "feature bug causing the regression": Question.CAUSE,
    "user impact if declined": Question.USER_IMPACT,
    "user impact if declined reason for urgency": Question.USER_IMPACT,
    "reason for urgency": Question.USER_IMPACT,
    "testing completed on m c etc": Question.TESTING_DONE,
    "testing completed": Question.TESTING_DONE,
    "describe test coverage new current treeherder": Question.TESTS,
    "describe test coverage new current tbpl": Question.TESTS,
    "describe test coverage new current moz central": Question.TESTS,
    "is this code covered by automated tests": Question.TESTS,
    "is this code covered by automated testing": Question.TESTS,
    "code covered by automated testing": Question.TESTS,
    "code covered by automated tests": Question.TESTS,
    "has the fix been verified in nightly": Question.VERIFIED_NIGHTLY,
    "fix verified in nightly": Question.VERIFIED_NIGHTLY,
    "has the fix been verified in daily": Question.VERIFIED_NIGHTLY,
    "has the fix been verified in beta": Question.VERIFIED_BETA,
    "needs manual test from qe": Question.MANUAL_QE,
    "needs manual qe test": Question.MANUAL_QE,
    "needs manual qe testing": Question.MANUAL_QE,
    "needs manual test from qe if yes steps to reproduce": Question.MANUAL_QE,
    "if yes steps to reproduce": Question.QE_STEPS,
    "steps to reproduce for manual qe testing": Question.QE_STEPS,
    "list of other uplifts needed": Question.OTHER_UPLIFTS,
    "list of other uplifts needed for the feature fix": Question.OTHER_UPLIFTS,
    "is the change risky": Question.IS_RISKY,
    "risk to taking this patch": Question.RISK_LEVEL,
    "risk to taking this patch and alternatives if risky": Question.RISK_LEVEL,
    "risk associated with taking this patch": Question.RISK_LEVEL,
    "risks and why": Question.RISK_LEVEL,
    "why is the change risky not risky": Question.RISK_EXPLANATION,
    "why is the change risky not risky and alternatives if risky": Question.RISK_EXPLANATION,
    "explanation of risk level": Question.RISK_EXPLANATION,
    "string changes made needed": Question.STRINGS,
    "string uuid change made needed": Question.STRINGS,
    "string uuid changes made needed": Question.STRINGS,
    "string changes made by this patch": Question.STRINGS,
    "string or uuid changes made by this patch": Question.STRINGS,
    "string or idl uuid changes made by this patch": Question.STRINGS,
    "is android affected": Question.ANDROID,
    "if this is not a sec high crit bug please state case for esr consideration": Question.CASE,
    "if this is not a sec high crit bug please state case severity": Question.CASE,
    "fix landed on version": Question.FIXED_IN,
    "does the fix cause any migrations to be skipped": Question.MIGRATIONS_SKIPPED,
    "how easily could an exploit be constructed based on the patch": Question.EXPLOIT_EASE,
    "do comments in the patch the check in comment or tests included in the patch paint a bulls eye on the "
    "security problem": Question.BULLS_EYE,
    "which older supported branches are affected by this flaw": Question.AFFECTED_BRANCHES,
    "which branches beta release and or esr are affected by this flaw and do the release status flags "
    "reflect this affected unaffected state correctly": Question.AFFECTED_BRANCHES,
    "if not all supported branches which bug introduced the flaw": Question.FLAW_INTRODUCED,
    "do you have backports for the affected branches": Question.BACKPORTS,
    "do you have backports for the affected branches if not how different hard to create and risky will "
    "they be": Question.BACKPORTS,
    "if not how different hard to create and risky will they be": Question.BACKPORTS,
    "how likely is this patch to cause regressions how much testing does it need": (
        Question.REGRESSION_LIKELIHOOD
    ),
    "is the patch ready to land after security approval is given": Question.READY_TO_LAND,
}

# For labels that carry marks: the first rule whose words all occur decides. Order matters.
RULES: tuple[tuple[tuple[str, ...], Question], ...] = (
    (("user impact",), Question.USER_IMPACT),
    (("reason for urgency",), Question.USER_IMPACT),
    (("state", "case"), Question.CASE),
    (("verified in nightly",), Question.VERIFIED_NIGHTLY),
    (("verified in daily",), Question.VERIFIED_NIGHTLY),
    (("verified in beta",), Question.VERIFIED_BETA),
    (("needs manual",), Question.MANUAL_QE),
    (("manual qe test", "need"), Question.MANUAL_QE),
    (("steps to reproduce",), Question.QE_STEPS),
    (("covered", "automated"), Question.TESTS),
    (("test coverage",), Question.TESTS),
    (("testing completed",), Question.TESTING_DONE),
    (("other uplifts",), Question.OTHER_UPLIFTS),
    (("exploit",), Question.EXPLOIT_EASE),
    (("bulls eye",), Question.BULLS_EYE),
    (("bug introduced the flaw",), Question.FLAW_INTRODUCED),
    (("branches", "affected by this flaw"), Question.AFFECTED_BRANCHES),
    (("backports",), Question.BACKPORTS),
    (("how different", "hard to create"), Question.BACKPORTS),
    (("likely", "regressions"), Question.REGRESSION_LIKELIHOOD),
    (("ready to land",), Question.READY_TO_LAND),
    (("explanation of risk",), Question.RISK_EXPLANATION),
    (("why is the change",), Question.RISK_EXPLANATION),
    (("is the change risky",), Question.IS_RISKY),
    (("risk",), Question.RISK_LEVEL),
    (("migrations", "skipped"), Question.MIGRATIONS_SKIPPED),
    (("string", "change"), Question.STRINGS),
    (("android",), Question.ANDROID),
    (("fix landed",), Question.FIXED_IN),
    (("caused by",), Question.CAUSE),
    (("causing the regression",), Question.CAUSE),
    (("regressing bug",), Question.CAUSE),
)

_NOT_WORDS = re.compile(r"[\W_]+")
_NOTHING = frozenset({"na", "n a", "none", "no", "nope", "nothing", "nil", "not needed", "no strings", "0"})
_YES = frozenset({"yes", "y", "yep", "yeah", "true", "1"})
_NO = frozenset({"no", "n", "nope", "not", "none", "false", "0"})
_LEVEL = re.compile(r"\b(low|minimal|medium|moderate|high)\b")
_DENIED = re.compile(
    r"\b(?:not|no|isn't|never)\W{1,3}(?:a |that |so |very |really )?(?:low|minimal|medium|moderate|high)\b"
)
_BEGINNING = 32
_LEVELS = {"low": "low", "minimal": "low", "medium": "medium", "moderate": "medium", "high": "high"}
_HEAD = 200


def words(text: str) -> str:
    """Text as bare lower-case words, the form in which wordings are compared."""
    return _NOT_WORDS.sub(" ", text.lower()).strip()


def known_wording(label: str) -> Question | None:
    """The question a label asks if it is one of the wordings seen, else None."""
    return WORDINGS.get(words(label[:_HEAD]))


def question_of(label: str) -> Question:
    """The question a marked label asks; OTHER when no wording explains it."""
    plain = words(label[:_HEAD])
    exact = WORDINGS.get(plain)
    if exact is not None:
        return exact
    for needles, question in RULES:
        if all(needle in plain for needle in needles):
            return question
    return Question.OTHER


def value_of(question: Question, text: str) -> str | None:
    """Typed reading of an answer ("yes", "no", "unknown", "low", "medium", "high"), or None."""
    head = text[:_HEAD].lower()
    if question in (Question.RISK_LEVEL, Question.IS_RISKY):
        level = _level(head)
        if level is not None:
            return level
    if question in YES_NO:
        return _yes_no(question, head)
    return None


def _level(head: str) -> str | None:
    # Only what the answer begins with: "not high" and "low to medium" are for people to read.
    start = re.split(r"[.;,\n]", head, maxsplit=1)[0][:_BEGINNING]
    named = {_LEVELS[one] for one in _LEVEL.findall(start)}
    return named.pop() if len(named) == 1 and not _DENIED.search(start) else None


def _yes_no(question: Question, head: str) -> str | None:
    plain = words(head)
    if question is Question.STRINGS and plain in _NOTHING:
        return "no"
    if plain in ("unknown", "not sure", "don t know", "i don t know"):
        return "unknown"
    first = plain.split(" ", 1)[0]
    if first in _YES:
        return "yes"
    if first in _NO and not plain.startswith(("no idea", "not sure")):
        return "no"
    return None
