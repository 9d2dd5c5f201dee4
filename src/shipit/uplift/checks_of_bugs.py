# SPDX-License-Identifier: MPL-2.0
"""What a form says of its bug: verified, tested, cause, other uplifts; held against what is known. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

from shipit.uplift.check_making import BUGZILLA, CLONE, FORM, TRIAL, Found, against, answered, row
from shipit.uplift.check_types import ONE_NIGHTLY, Check, Kind, Subject, Verdict
from shipit.uplift.needs import bug_words
from shipit.uplift.questions import Question
from shipit.uplift.types import Form

# "Yes, QA will do another pass" says what is to be done; "Yes, please" does not.
BARE_WORDS = 3
_BUG = re.compile(
    r"\b(?:bugs?|bug id|bugzilla)\s{0,3}#?\s{0,3}(\d{5,8})|show_bug\.cgi\?id=(\d{1,8})|\b(\d{6,8})\b", re.I
)
_BAKED = re.compile(r"\b(?:landed|baked|baking|been (?:in|on))\b", re.I)
_NOT_YET = re.compile(r"\b(?:not|n't|yet|will|about to|soon|waiting|pending|todo|tbd)\b", re.I)
_EMPTY = re.compile(r"\W*(?:n\s?/?\s?a|none|nothing|no|-+|see above)?\W*", re.I)


def bugs_named(text: str) -> tuple[int, ...]:
    """The bugs that an answer names, each once, in its order."""
    found = (int(next(filter(None, match.groups()))) for match in _BUG.finditer(text[:2000]))
    return tuple(dict.fromkeys(found))


def verified(form: Form | None, subject: Subject) -> Check | None:
    """Whether it was verified in Nightly."""
    says, value = answered(form, Question.VERIFIED_NIGHTLY)
    if says is None:
        return None
    asked = form.time if form is not None else None
    if not subject.is_main_known:
        found = Found(Verdict.CANT_TELL, "What is on main could not be read.")
    elif subject.landed_at is None:
        found = against(
            value == "yes", value == "no", "Nothing of this bug stands on main.", Kind.NOT_ON_MAIN
        )
    elif asked is not None and asked - subject.landed_at < ONE_NIGHTLY:
        hours = (asked - subject.landed_at) // timedelta(hours=1)
        told = (
            f"It was on main for {hours} h when this was written."
            if hours >= 0
            else "It landed on main after this was written."
        )
        found = against(value == "yes", value == "no", told, Kind.HOURS_ON_MAIN)
    elif subject.is_verified:
        found = Found(Verdict.AGREES if value == "yes" else Verdict.CANT_TELL, "Bugzilla says verified.")
    else:
        found = Found(
            Verdict.CANT_TELL,
            f"On main since {subject.landed_at:%Y-%m-%d %H:%M} UTC; nobody set a verified flag.",
        )
    return row(
        Question.VERIFIED_NIGHTLY, "Verified in Nightly", says, value, found, CLONE, subject.bug_read_at
    )


def tried_before(form: Form | None, subject: Subject) -> Check | None:
    """The old question for testing done, where the answer speaks of main."""
    says, _ = answered(form, Question.TESTING_DONE)
    if says is None or not _BAKED.search(says) or _NOT_YET.search(says):
        return None
    if not subject.is_main_known:
        found = Found(Verdict.CANT_TELL, "What is on main could not be read.")
    elif subject.landed_at is None:
        found = Found(Verdict.DISAGREES, "Nothing of this bug stands on main.", Kind.NOT_ON_MAIN)
    else:
        found = Found(Verdict.AGREES, f"On main since {subject.landed_at:%Y-%m-%d %H:%M} UTC.")
    return row(Question.TESTING_DONE, "Testing completed", says, None, found, CLONE, subject.bug_read_at)


def manual(form: Form | None, subject: Subject) -> Check | None:
    """Whether QE is to test it by hand."""
    says, value = answered(form, Question.MANUAL_QE)
    if says is None:
        return None
    steps, _ = answered(form, Question.QE_STEPS)
    flag = subject.qe_verify
    set_to = f"qe-verify is {flag}" if flag else "qe-verify is not set"
    has_steps = not _EMPTY.fullmatch(steps or "") or len(says.split()) > BARE_WORDS
    if value == "yes" and not has_steps:
        found = Found(Verdict.DISAGREES, f"No steps are given; {set_to}.", Kind.QE_STEPS)
        return row(
            Question.MANUAL_QE, "Manual test by QE", says, value, found, FORM, form.time if form else None
        )
    if (value, flag) in (("no", "+"), ("yes", "-")):
        found = Found(Verdict.DISAGREES, f"{set_to}.".capitalize().replace("Qe-", "qe-"), Kind.QE_FLAG)
    else:
        agrees = (value == "yes" and flag in ("+", "?")) or (value == "no" and flag in (None, "-"))
        found = Found(Verdict.AGREES if agrees else Verdict.CANT_TELL, f"{set_to}.")
    return row(Question.MANUAL_QE, "Manual test by QE", says, value, found, BUGZILLA, subject.bug_read_at)


def other_uplifts(form: Form | None, subject: Subject) -> Check | None:
    """What else must be uplifted."""
    says, _ = answered(form, Question.OTHER_UPLIFTS)
    named = bugs_named(says or "")
    is_none = says is not None and not named and _EMPTY.fullmatch(says) is not None
    if subject.needs:
        missing = [bug for bug in subject.needs if bug not in named]
        bugs = ", ".join(bug_words(bug) for bug in subject.needs)
        told = f"It merges on {subject.train} only after {bugs}."
        found = against(is_none or bool(missing and says is not None), not missing, told, Kind.PREREQUISITE)
    elif named:
        told = "; ".join(
            f"bug {bug}: {subject.others.get(bug, f'no request for {subject.train} is known')}"
            for bug in named
        )
        found = Found(Verdict.CANT_TELL, f"{told}.")
    elif subject.is_conflict:
        found = Found(Verdict.CANT_TELL, f"It conflicts with {subject.train}; no missing bug is proved.")
    elif subject.trial_at is not None:
        found = Found(
            Verdict.AGREES if is_none else Verdict.CANT_TELL,
            f"Its trial on {subject.train} needs no other bug.",
        )
    elif says is None:
        return None
    else:
        found = Found(Verdict.CANT_TELL, "It was not tried yet.")
    return row(Question.OTHER_UPLIFTS, "Other uplifts needed", says, None, found, TRIAL, subject.trial_at)


def cause(form: Form | None, subject: Subject) -> Check | None:
    """What caused it."""
    says, _ = answered(form, Question.CAUSE)
    named = bugs_named(says or "")
    if not named:
        return None
    known = subject.regressed_by
    told = "Bugzilla says regressed by " + ", ".join(f"bug {bug}" for bug in known) + "."
    if not known:
        found = Found(Verdict.CANT_TELL, "Bugzilla names no bug that regressed it.")
    else:
        found = against(not set(named) & set(known), True, told, Kind.CAUSE)
    return row(Question.CAUSE, "Caused by", says, None, found, BUGZILLA, subject.bug_read_at)
