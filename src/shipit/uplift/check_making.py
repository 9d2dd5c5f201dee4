# SPDX-License-Identifier: MPL-2.0
"""How a check's row is made: what a rule found, and the verdict that follows from it. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shipit.uplift.check_types import MOST_PATHS, Check, Kind, Subject, Verdict
from shipit.uplift.forms import answer_to
from shipit.uplift.questions import Question
from shipit.uplift.types import Form

MOST_SHOWN = 400
"""Characters of an answer that a row shows; the raw form has the rest."""
CLONE, BUGZILLA, FORM, TRIAL = "clone", "bugzilla", "form", "trial"


class Found(msgspec.Struct, frozen=True):
    """What a rule says."""

    verdict: Verdict
    measured: str
    kind: Kind | None = None
    paths: tuple[str, ...] = ()


def answered(form: Form | None, question: Question) -> tuple[str | None, str | None]:
    """The answer as written (cut) and as read; None, None where the form has none."""
    answer = answer_to(form, question) if form is not None else None
    if answer is None:
        return None, None
    return answer.text[:MOST_SHOWN], answer.value


def against(
    speaks_against: bool, speaks_for: bool, told: str, kind: Kind, paths: tuple[str, ...] = ()
) -> Found:
    """What a fact says that can speak against an answer or for it."""
    if speaks_against:
        return Found(Verdict.DISAGREES, told, kind, paths)
    return Found(Verdict.AGREES if speaks_for else Verdict.CANT_TELL, told, None, paths)


def whole(subject: Subject, agrees: bool, told: str, paths: tuple[str, ...] = ()) -> Found:
    """Agreement that needs every patch to be known: what is absent from some may be in the others."""
    if subject.lacking is not None:
        return Found(
            Verdict.CANT_TELL, f"{told} Not every patch could be measured: {subject.lacking}.", None, paths
        )
    return Found(Verdict.AGREES if agrees else Verdict.CANT_TELL, told, None, paths)


def unmeasured(subject: Subject) -> Found:
    """No patch is known, or none could be read."""
    return Found(Verdict.CANT_TELL, f"Not measured: {subject.lacking or 'no patch is known'}.")


def row(
    question: Question,
    label: str,
    says: str | None,
    value: str | None,
    found: Found,
    source: str,
    at: datetime | None,
) -> Check:
    """The row as it is shown."""
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


def count(number: int, noun: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def times(number: int) -> str:
    """ "once", "2 times"."""
    return "once" if number == 1 else f"{number} times"
